"""Damage to NumPy archives."""

import io
import os
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from ecg_advmask.ecg.leads import STANDARD_LEADS
from hostile.archive import Place
from hostile.damage import Ends, damages, spoil_bytes


def arrays(name: str, ends: Ends, alter: Callable[[dict[str, Any], Random], object], reason: str = "") -> None:
    """Enter a damage that saves the victim with other arrays."""

    def do(place: Place, random: Random) -> None:
        held = {"signals": place.values_uv, "sampling_rate_hz": 100, "unit": "uV"}
        alter(held, random)
        np.savez(place.victim, **{key: value for key, value in held.items() if value is not None})

    do.__name__ = name
    damages("npz", ends, reason)(do)


def put(**values: Any) -> Callable[[dict[str, Any], Random], object]:
    """Put an array in the place of one of the victim's; a tuple stands for one of several, None for none."""
    return lambda held, random: held.update(
        {key: random.choice(value) if isinstance(value, tuple) else value for key, value in values.items()}
    )


def changed(alter: Callable[[Any, Random], Any]) -> Callable[[dict[str, Any], Random], object]:
    """Alter the signals."""
    return lambda held, random: held.update(signals=alter(held["signals"], random))


def one_sample(*values: float) -> Callable[[dict[str, Any], Random], object]:
    """One sample of another value, among floating-point ones."""

    def alter(held: dict[str, Any], random: Random) -> None:
        held["signals"] = held["signals"].astype(random.choice(["f8", "f4"]))
        with np.errstate(over="ignore"):
            held["signals"][random.randrange(200), random.randrange(12)] = random.choice(values)

    return alter


arrays(
    "npz_of_pickled_objects",
    "refused",
    lambda held, random: held.update(
        {random.choice(["signals", "sampling_rate_hz", "unit", "ids", "leads"]): np.array([Bomb()] * 12, object)}
    ),
)
arrays(
    "npz_signals_of_another_type",
    "refused",
    changed(
        lambda values, random: random.choice(
            [
                values.astype(bool),
                values.astype("c16"),
                values.astype("S5"),
                values.astype("U5"),
                values.astype("m8[s]"),
                np.zeros(200, [(lead, "f4") for lead in STANDARD_LEADS]),
                values.astype("V2"),
            ]
        )
    ),
)
arrays(
    "npz_signals_of_another_shape",
    "refused",
    changed(
        lambda values, random: random.choice(
            [
                np.array(7),
                values.ravel(),
                values[:0],
                values[:, :0],
                values[None, None],
                values.T,
                values[:, :11],
                np.concatenate([values, values], axis=1),
                values[None, :0],
                np.zeros((0, 200, 12)),
                values.reshape(-1, 6),
            ]
        )
    ),
)
arrays(
    "npz_signals_in_another_number_format",
    "kept",
    changed(
        lambda values, random: values.astype(
            random.choice([">i2", "<i8", ">f8", "<f4", "f2", ">i4", "i8", "longdouble"])
        )
    ),
)
arrays(
    "npz_signals_in_fortran_order",
    "kept",
    changed(lambda values, random: np.asfortranarray(random.choice([values, values[None]]))),
)
arrays(
    "npz_signals_unsigned", "refused", changed(lambda values, random: values.astype(random.choice(["u2", "u8", "u4"])))
)
arrays("npz_sample_missing", "refused", one_sample(np.nan), "finite")
arrays("npz_sample_infinite", "refused", one_sample(np.inf, -np.inf, 1e300, -1e42))
arrays("npz_sample_huge", "refused", one_sample(1e30, -1e38, 3e38, 2.1e4), "amplitude")
arrays(
    "npz_all_of_one_value",
    "refused",
    changed(lambda values, random: np.full_like(values, random.randint(-99, 99))),
    "flat",
)
arrays(
    "npz_rate_absurd",
    "refused",
    put(sampling_rate_hz=(np.nan, np.inf, -100, 0, 1e-300, 1e300, 9.9, 2**63, -np.inf, np.float16(1))),
)
arrays(
    "npz_rate_of_another_form",
    "refused",
    put(
        sampling_rate_hz=(
            [100, 100],
            np.array([]),
            "fast",
            b"\xff",
            True,
            1j,
            [[1]] * 3,
            "",
            np.datetime64("2020"),
            "1_00",
            "١٠٠",
        )
    ),
)
arrays(
    "npz_rate_written_otherwise",
    "kept",
    put(sampling_rate_hz=([[100]], "100", b"100", np.float16(100), [100.0], " 1e2 ")),
)
arrays("npz_rate_absent", "refused", put(sampling_rate_hz=None), "does not state its sampling rate")
arrays("npz_unit_absurd", "refused", put(unit=("mmHg", "", 7, ["uV", "mV"], b"\xff", np.array([]), "uV" * 5000)))
arrays(
    "npz_leads_absurd",
    "refused",
    put(
        leads=(
            ["I"] * 12,
            list(STANDARD_LEADS)[:11],
            [],
            [*STANDARD_LEADS, "V7"],
            "I",
            list(range(12)),
            [b"\xff"] * 12,
            ["x" * 10000] * 12,
            np.array([STANDARD_LEADS] * 9),
            ["I"] * 1000,
        )
    ),
)
arrays("npz_leads_in_any_order", "kept", lambda held, random: _reordered(held, random))  # noqa: PLW0108 (defined below)
arrays("npz_ids_too_few_or_many", "refused", put(ids=([], ["a", "b"], ["a"] * 1000, [[], []])))
arrays(
    "npz_ids_absurd",
    "refused",
    put(ids=([""], [" "], ["a\nb"], ["\x1b[31m"], ["\0\0"], ["\u2028"], [True], [1j], [b"\xff"], ["a\tb"])),
)
arrays(
    "npz_ids_unusual",
    "kept",
    put(
        ids=(
            ["../../etc/passwd"],
            ["a,b"],
            ['"'],
            ["é" * 1000],
            ["/"],
            [7],
            [b"seven"],
            ["=1+1"],
            ["\U0001f600"],
            ["NaN"],
        )
    ),
)
arrays("npz_id_of_another", "refused", put(ids=(["good0"], ["sub/good1-00001"])), "repeated id")
arrays(
    "npz_ids_repeated",
    "stated",
    lambda held, _: held.update(signals=np.stack([held["signals"]] * 3), ids=["a", "b", "a"]),
)
arrays("npz_without_signals", "refused", lambda held, random: held.update({random.choice("qs"): held.pop("signals")}))
arrays(
    "npz_of_other_length",
    "stated",
    changed(lambda values, random: np.concatenate([values] * 3)[: random.randint(1, 600)]),
)
arrays(
    "npz_of_many",
    "stated",
    changed(lambda values, random: np.stack([values + n for n in range(random.randint(1, 40))])),
)


@damages("npz", "stated")
def npz_bytes_altered(place: Place, random: Random) -> None:
    place.victim.write_bytes(spoil_bytes(place.victim.read_bytes(), random))


@damages("npz", "stated")
def npz_compressed_bytes_altered(place: Place, random: Random) -> None:
    np.savez_compressed(place.victim, signals=place.values_uv, sampling_rate_hz=100, unit="uV")
    place.victim.write_bytes(spoil_bytes(place.victim.read_bytes(), random))


@damages("npz", "stated")
def npz_directory_altered(place: Place, random: Random) -> None:
    """Bytes of the directory at the end, and of the header before the samples, where they tell most."""
    data = place.victim.read_bytes()
    at = random.choice([0, data.rindex(b"signals"), data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")])
    place.victim.write_bytes(data[:at] + spoil_bytes(data[at : at + 120], random) + data[at + 120 :])


@damages("npz", "refused")
def npz_cut_anywhere(place: Place, random: Random) -> None:
    data = place.victim.read_bytes()
    place.victim.write_bytes(data[: random.randrange(len(data))])


@damages("npz", "refused")
def npz_of_random_bytes(place: Place, random: Random) -> None:
    data = np.random.default_rng(random.randrange(2**32)).bytes(random.randint(0, 3000))
    place.victim.write_bytes(
        random.choice([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY\x01\0", b"\x93NUMPY\x02\0"]) + data
    )


def claiming(shape: tuple[int, ...], descr: object = "<i2", more: str = "") -> bytes:
    """Header of an array of any claimed shape and type."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}{more}}}\n".encode()
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text


CLAIMS: tuple[tuple[tuple[int, ...], object], ...] = (
    ((10**12, 12), "<i2"),
    ((10**6, 10**6, 12), "<i2"),
    ((10**30, 12), "<f8"),
    ((2**63, 12), "<i2"),
    ((-1, 12), "<i2"),
    ((2**61, 2**61, 12), "<f8"),
    ((10**9,) * 30, "<f4"),
    ((200, 12), "<V1000000000"),
    ((0, 10**18, 12), "<i2"),
    ((200, 12), "<U999999999"),
    ((10**18, 0, 12), "<i2"),
    ((200, 12, 0), "<i2"),
    ((0,) * 3, "<i2"),
    ((10**12, 1, 12), "|V0"),
)


@damages("npz", "refused", claims=True)
def npz_claiming_a_size(place: Place, random: Random) -> None:
    shape, descr = random.choice(CLAIMS)
    name = random.choice(["signals", "signals", "ids", "leads", "sampling_rate_hz", "unit"])
    data = claiming(shape, descr) + place.values_uv.tobytes()
    method = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(place.victim, "w", method) as archive:
        for key, value in (("signals", place.values_uv), ("sampling_rate_hz", np.array(100)), ("unit", np.array("uV"))):
            if key != name:
                archive.writestr(f"{key}.npy", _npy(value))
        archive.writestr(f"{name}.npy", data)


@damages("npz", "refused", claims=True)
def npz_bomb(place: Place, random: Random) -> None:
    """A gigabyte of zeros that takes a megabyte, or a claim of it: as ids, as leads, as samples of nothing."""
    name = random.choice(["ids", "leads", "unit", "sampling_rate_hz"])
    with zipfile.ZipFile(place.victim, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("signals.npy", _npy(place.values_uv))
        with archive.open(f"{name}.npy", "w") as member:
            member.write(claiming((1,), f"<U{50 * 2**20}") if name != "ids" else claiming((200 * 2**20,), "|S1"))
            for _ in range(200):
                member.write(b"\0" * 2**20)


@damages("npz", "refused")
def npz_header_that_is_code(place: Place, random: Random) -> None:
    text = random.choice(
        [
            "__import__('os').system('true')",
            "1/0",
            "(" * 5000,
            "{'descr': '<i2'}",
            "{" * 300,
            "'a' * 10**10",
            "",
            "{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (1,)}",
            "9**9**9",
            "[]",
            "-" * 9000 + "1",
            "\0\0",
            "{'descr': '<i2', 'fortran_order': 1, 'shape': (200, 12)}",
            "{'descr': '<i2', 'fortran_order': False, 'shape': 9}",
            "{'descr': None, 'fortran_order': False, 'shape': ()}",
            "{'shape': (True, 12), 'descr': '<i2', 'fortran_order': False}",
        ]
    )
    data = b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text.encode() + place.values_uv.tobytes()
    with zipfile.ZipFile(place.victim, "w") as archive:
        archive.writestr("signals.npy", data)
        archive.writestr("sampling_rate_hz.npy", _npy(np.array(100)))


@damages("npz", "refused")
def npz_packed_otherwise(place: Place, random: Random) -> None:
    method = random.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(place.victim, "w", method) as archive:
        archive.writestr("signals.npy", _npy(place.values_uv))
        archive.writestr("sampling_rate_hz.npy", _npy(np.array(100)))


@damages("npz", "refused")
def npz_of_strange_members(place: Place, random: Random) -> None:
    with zipfile.ZipFile(place.victim, "w") as archive:
        names = [
            "../signals.npy",
            "/signals.npy",
            "signals.npy/",
            "signals",
            "Signals.npy",
            "signals.npy.npy",
            "signals.npy",
        ]
        for name in random.sample(names[:3] + names[4:6], 3) + random.choice([[], ["signals.npy", "signals"]]):
            archive.writestr(name, _npy(place.values_uv))


@damages("npz", "stated")
def npz_that_is_an_npy(place: Place, random: Random) -> None:
    """An array under the name of an archive: NumPy goes by the contents, so that only the rate is not stated."""
    place.victim.write_bytes(_npy(place.values_uv[:: random.choice([1, -1])]))


@damages("npz", "refused", claims=True)
def npy_of_nothing_but_size(place: Place, random: Random) -> None:
    """A file of 2 TB without contents whose header is right about it."""
    head = claiming(random.choice([(8 * 10**10, 12), (1, 8 * 10**10, 12)]), "<i2")
    place.victim.write_bytes(head)
    os.truncate(place.victim, len(head) + 8 * 10**10 * 24)


@damages("npz", "refused")
def npz_that_is_no_file(place: Place, random: Random) -> None:
    place.victim.unlink()
    if random.random() < 0.5:
        os.mkfifo(place.victim)
    else:
        place.victim.symlink_to(
            random.choice(["../outside/bait.npz", place.outside / "bait.npz", "/dev/zero", "victim.npz"])
        )


class Bomb:
    """What must not be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (77,)


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _reordered(held: dict[str, Any], random: Random) -> None:
    order = random.sample(range(12), 12)
    held["signals"] = held["signals"][:, order]
    held["leads"] = [STANDARD_LEADS[lead] for lead in order]
