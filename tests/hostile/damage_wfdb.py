"""Damage to WFDB records: headers that are malformed, absurd or lead elsewhere, and files of signals."""

import gzip
import io
import os
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from ecg_advmask.ecg.leads import STANDARD_LEADS
from hostile.archive import Header, Place, header_of, matlab, recording_uv, write_record
from hostile.damage import Ends, damages, spoil_bytes

Edit = Callable[[Header, Random], object]


def edited(name: str, ends: Ends, edit: Edit, reason: str = "") -> None:
    """Enter a damage that alters the parts of a header."""

    def do(place: Place, random: Random) -> None:
        header = place.header()
        edit(header, random)
        place.victim.write_text(header.text())

    do.__name__ = name
    damages("wfdb", ends, reason)(do)


def for_all(**fields: object) -> Edit:
    """Set fields of every signal line; a tuple stands for one of several values."""

    def edit(header: Header, random: Random) -> None:
        for name, value in fields.items():
            chosen = random.choice(value) if isinstance(value, tuple) else value
            for signal in header.signals:
                setattr(signal, name, str(chosen))

    return edit


def for_one(**fields: object) -> Edit:
    """The same for one signal line alone."""

    def edit(header: Header, random: Random) -> None:
        signal = random.choice(header.signals)
        for name, value in fields.items():
            setattr(signal, name, str(random.choice(value) if isinstance(value, tuple) else value))

    return edit


def for_chest(**fields: object) -> Edit:
    """The same for one of the chest leads, which do not follow from others."""

    def edit(header: Header, random: Random) -> None:
        signal = random.choice(header.signals[6:])
        for name, value in fields.items():
            setattr(signal, name, str(random.choice(value) if isinstance(value, tuple) else value))

    return edit


def record(**fields: object) -> Edit:
    """Set fields of the record line."""

    def edit(header: Header, random: Random) -> None:
        for name, value in fields.items():
            setattr(header, name, str(random.choice(value) if isinstance(value, tuple) else value))

    return edit


# --- the header as a file


@damages("wfdb", "stated")
def header_cut_anywhere(place: Place, random: Random) -> None:
    text = place.victim.read_bytes()
    place.victim.write_bytes(text[: random.randrange(len(text))])


@damages("wfdb", "stated")
def header_bytes_altered(place: Place, random: Random) -> None:
    place.victim.write_bytes(spoil_bytes(place.victim.read_bytes(), random))


@damages("wfdb", "stated")
def header_characters_altered(place: Place, random: Random) -> None:
    text = place.victim.read_text()
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text))
        text = text[:at] + random.choice("0123456789+-x:/().eE #\t\nmuVI") + text[at + random.randint(0, 1) :]
    place.victim.write_text(text)


@damages("wfdb", "stated")
def header_fields_exchanged(place: Place, random: Random) -> None:
    lines = [line.split(" ") for line in place.victim.read_text().splitlines()]
    for _ in range(random.randint(1, 2)):
        one, other = random.choice(lines[:13]), random.choice(lines[:13])
        i, j = random.randrange(len(one)), random.randrange(len(other))
        one[i], other[j] = other[j], one[i]
    place.victim.write_text("\n".join(" ".join(line) for line in lines))


@damages("wfdb", "stated")
def header_fields_missing(place: Place, random: Random) -> None:
    lines = [line.split(" ") for line in place.victim.read_text().splitlines()]
    line = random.choice(lines[:13])
    del line[random.randrange(len(line))]
    place.victim.write_text("\n".join(" ".join(line) for line in lines))


@damages("wfdb", "refused", "not a WFDB header")
def header_of_random_bytes(place: Place, random: Random) -> None:
    place.victim.write_bytes(np.random.default_rng(random.randrange(2**32)).bytes(random.randint(1, 3000)) + b"\xff")


@damages("wfdb", "refused", "not a WFDB header")
def header_empty_or_comments_alone(place: Place, random: Random) -> None:
    place.victim.write_text(random.choice(["", "\n\n", "# Age: 61\n# Dx: 1\n", " \t\r\n"]))


@damages("wfdb", "stated")
def header_with_zero_bytes(place: Place, random: Random) -> None:
    text = place.victim.read_bytes()
    at = random.randrange(len(text))
    place.victim.write_bytes(text[:at] + b"\0" * random.randint(1, 20) + text[at:])


@damages("wfdb", "kept")
def header_with_a_byte_order_mark(place: Place, _random: Random) -> None:
    place.victim.write_bytes(b"\xef\xbb\xbf" + place.victim.read_bytes())


@damages("wfdb", "kept")
def header_with_other_line_ends(place: Place, random: Random) -> None:
    end = random.choice([b"\r\n", b"\r", b"\n\n", b" \t\n", b"\r\r\n"])
    place.victim.write_bytes(place.victim.read_bytes().replace(b"\n", end))


@damages("wfdb", "refused")
def header_in_utf_16(place: Place, random: Random) -> None:
    text = place.victim.read_text()
    place.victim.write_bytes(text.encode(random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"])))


@damages("wfdb", "stated")
def header_with_strange_blanks(place: Place, random: Random) -> None:
    """Characters that some programs take for line breaks or blanks, and others do not."""
    mark = random.choice(["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\xa0", "\u3000", "\x1f"])
    text = place.victim.read_text()
    at = random.choice([index for index, letter in enumerate(text) if letter in " \n"])
    place.victim.write_text(text[:at] + mark + text[at + random.randint(0, 1) :])


@damages("wfdb", "refused", "as headers are", claims=True)
def header_of_a_megabyte_of_comments(place: Place, _random: Random) -> None:
    place.victim.write_text(place.victim.read_text() + "# a remark that goes on\n" * 60_000)


@damages("wfdb", "kept", claims=True)
def header_of_just_less_than_a_megabyte(place: Place, random: Random) -> None:
    remark = "#" + random.choice([": ", " ", "<a>", "<", ">", "<>:", "#"]) * 150_000
    place.victim.write_text(place.victim.read_text() + remark[:900_000] + "\n")


@damages("wfdb", "refused", claims=True)
def header_of_one_long_line(place: Place, random: Random) -> None:
    text = random.choice(["1", " ", "a", "1 ", "a 12 100 200 ", "("]) * 900_000
    place.victim.write_text(f"victim 12 100 200{text[:900_000]}\nx")


@damages("wfdb", "refused", claims=True)
def header_of_many_signals(place: Place, random: Random) -> None:
    header = place.header()
    header.signals *= random.choice([2, 1000])
    place.victim.write_text(header.text())


@damages("wfdb", "refused")
def header_of_several_segments(place: Place, random: Random) -> None:
    segments = random.choice([2, 3, 10**9])
    place.victim.write_text(f"victim/{segments} 12 100 400\ngood0 200\n../outside/bait 200\n")


@damages("wfdb", "refused", "leads nowhere")
def header_in_a_circle_of_links(place: Place, _random: Random) -> None:
    place.victim.unlink()
    place.victim.symlink_to("round.hea")
    (place.folder / "round.hea").symlink_to("victim.hea")


@damages("wfdb", "refused", "leads out of the folder")
def header_that_is_a_link_out(place: Place, random: Random) -> None:
    place.victim.unlink()
    place.victim.symlink_to(random.choice([place.outside / "bait.hea", "../outside/bait.hea", "/dev/zero", "/dev/tty"]))


@damages("wfdb", "refused", "not a regular file")
def header_that_is_a_pipe(place: Place, _random: Random) -> None:
    place.victim.unlink()
    os.mkfifo(place.victim)


@damages("wfdb", "kept")
def header_that_is_a_folder(place: Place, _random: Random) -> None:
    """A folder of this name is walked, for the record may as well lie in it."""
    place.victim.rename(place.folder / "moved")
    place.victim.mkdir()
    (place.folder / "moved").rename(place.victim / "victim.hea")
    place.signal_file.rename(place.victim / "victim.mat")


# --- the record line

edited("samples_absurd", "refused", record(samples=(10**9, 10**12, 10**18, 10**30, "9" * 4000)))
edited("samples_negative", "refused", record(samples=(-1, -200, -(10**18))))
edited("samples_no_whole_number", "refused", record(samples=("200.5", "2e2", "0x80", "nan", "٢٠٠", "1_000", "+200")))
edited("samples_more_than_there_are", "refused", record(samples=(204, 400, 10**6)), "cut short")
edited("samples_unknown", "stated", record(samples=("0", "")))
edited("samples_fewer_than_there_are", "refused", record(samples=(150, 199)), "checksum")
edited("rate_zero_or_negative", "refused", record(rate=("0", "-100", "0.0", "-0", "0/100")), "sampling rate")
edited(
    "rate_no_number", "refused", record(rate=("nan", "inf", "1e400", "1e2", "fast", "0x64", "٥٠٠", "1e-300", "/100"))
)
edited("rate_out_of_range", "refused", record(rate=("0.000001", "9.99", "100001", "999999999999", "0.1")))
edited("rate_other_than_meant", "stated", record(rate=("10", "77.7", "99.99999", "100/3(7)", "100000", "257.0")))
edited("no_signals", "refused", lambda header, _: (header.signals.clear(), record(count="0")(header, _)))
edited("count_of_signals_wrong", "refused", record(count=(0, 1, 11, 13, 15, 10**9, 10**18, -12, "12.0", "twelve")))
edited(
    "record_name_a_path", "refused", record(name=("../victim", "/victim", "a/b", "..\\victim", "http://a.b/c", "a::b"))
)
edited("record_name_of_another", "kept", record(name=("good0", "x" * 300, "victim.hea", "victim.mat", "~", ".", "..")))


# --- signal lines

edited("lead_twice", "refused", lambda header, random: setattr(random.choice(header.signals[1:]), "lead", "I"), "twice")
edited("lead_unknown", "refused", for_chest(lead=("MLII", "", "X", "-aVR", "V7", "I I", "lead", "٣", "I\u200b", "11")))
edited("lead_names_lacking", "refused", for_all(lead=("", " ", "ECG")))
edited("unit_that_is_no_voltage", "refused", for_one(gain=("1000/mmHg", "1000/mVolt", "1000/m", "1000/mV/mV")))
edited("unit_other", "stated", for_one(gain=("1/uV", "1000000/V", "0.001/nV", "1000/MV", "1000/Uv", "1000/V", "1/nV")))
edited("unit_in_greek", "stated", for_one(gain=("1/µV", "1/μV")))
edited("unit_in_other_letters", "refused", for_one(gain=("1000/ｍV", "1000/mВ")), "unit")
edited("gain_zero", "stated", for_one(gain=("0/mV", "0", "0(0)/mV", "0.0/mV")))
edited("gain_negative", "stated", for_one(gain=("-1000/mV", "-1000(0)/mV")))
edited("gain_no_number", "refused", for_one(gain=("inf/mV", "nan/mV", "1e400/mV", "-inf", "x/mV", "0x10/mV", "1e/mV")))
edited("gain_tiny", "refused", for_one(gain=("1e-300/mV", "1e-308/mV", "5e-324/mV", "0.0001/mV", "1e-30/uV", "1e-400")))
edited("gain_huge", "refused", for_one(gain=("1e300/mV", "999999999/mV", "1e18/nV", "1e308/V")))
edited("baseline_huge", "refused", for_one(gain=("1000(999999999)/mV", f"1000({10**30})/mV", f"1000(-{10**400})/mV")))
edited(
    "baseline_no_number", "refused", for_one(gain=("1000(1.5)/mV", "1000(nan)/mV", "1000(/mV", "1000)/mV", "1000(0/mV"))
)
edited("baseline_other", "stated", for_one(gain=("1000(7)/mV", "1000(-900)/mV", "1000()/mV", "1000(+7)/mV", "1000/")))
edited("adc_zero_other", "stated", for_one(zero=("7", "-900", "1.5", "x", "10000000000", "")))
edited(
    "format_unknown",
    "refused",
    for_all(form=("17", "0", "-16", "16.0", "x", "16+", "16x", "16:", "1e9", "１６", "65552")),
)
edited("formats_mixed", "refused", for_one(form=("212+24", "32+24", "16+25", "16", "80+24")), "differ")
edited("format_claims_flac", "refused", for_all(form=("508", "516", "524", "516+24")))
edited(
    "format_of_other_width",
    "stated",
    for_all(form=("212+24", "80+24", "24", "32", "8+24", "61+24", "160", "310", "311")),
)
edited(
    "format_of_other_width_without_sums", "stated", for_all(form=("212+24", "80+24", "61+24", "160+24"), checksum="0")
)
edited("offset_beyond_the_file", "refused", for_all(form=("16+4824", f"16+{10**9}", f"16+{10**15}", "16+25")))
edited("offset_wrong", "refused", for_all(form=("16", "16+0", "16+23", "16+22", "16+2")), "checksum")
edited("skew", "stated", for_one(form=("16:1+24", "16:199+24", "16:200+24", "16:999999+24")))
edited(
    "several_samples_a_frame",
    "stated",
    lambda header, random: (for_all(form="16x2+24")(header, random), record(samples=100)(header, random)),
)
edited("several_samples_a_frame_in_one", "refused", for_one(form=("16x2+24", "16x0+24", "16x999999+24")))
edited("checksum_wrong", "refused", for_one(checksum=("1", "-1", "32767", "99999")), "checksum")
edited("checksum_no_number", "stated", for_one(checksum=("x", "nan", "1e3", "-", "", "10000000000000000000")))
edited("first_sample_wrong", "kept", for_one(first=("12345", "-1", "0")))
edited(
    "comments_of_all_kinds",
    "kept",
    lambda header, random: header.comments.extend(
        random.sample(
            [
                "# Age: " + "9" * 5000,
                "# Age: -5",
                "# Age: 1e400",
                "#<<<<>>>>:",
                "# Sex: \x1b[31m",
                "# Dx: " + "1," * 5000,
                "# Dx: ;;\"',\t",
                "#" * 1000,
                "# :::::",
                "# Age",
                "# Größe: 1",
                "# Sex: male female",
            ],
            4,
        )
    ),
)


@damages("wfdb", "kept")
def leads_in_any_order(place: Place, random: Random) -> None:
    order = random.sample(range(12), 12)
    header = header_of("victim", place.values_uv[:, order], [STANDARD_LEADS[lead] for lead in order])
    write_record(place.victim, header, place.values_uv[:, order])


@damages("wfdb", "kept")
def leads_in_other_spellings(place: Place, random: Random) -> None:
    header = place.header()
    for signal in header.signals:
        signal.lead = random.choice(["", "lead ", "ECG_", "EKG-"]) + random.choice([str.lower, str.upper])(signal.lead)
    place.victim.write_text(header.text())


@damages("wfdb", "kept")
def leads_too_many(place: Place, random: Random) -> None:
    more = random.randint(1, 4)
    extra = np.tile(place.values_uv[:, :1] + np.int16(7), more)
    values = np.concatenate([extra, place.values_uv], axis=1)
    names = ["vx", "vy", "vz", "Resp"][:more]
    write_record(place.victim, header_of("victim", values, [*names, *STANDARD_LEADS]), values)


@damages("wfdb", "refused", "leads: has 11")
def leads_too_few(place: Place, random: Random) -> None:
    dropped = random.randrange(6, 12)  # limb leads follow from others
    columns = [lead for lead in range(12) if lead != dropped]
    values = place.values_uv[:, columns]
    write_record(place.victim, header_of("victim", values, [STANDARD_LEADS[lead] for lead in columns]), values)


# --- names of files that lead elsewhere

ELSEWHERE: tuple[str, ...] = (
    "../outside/bait.mat",
    "sub/../../outside/bait.mat",
    "{outside}/bait.mat",
    "/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "http://127.0.0.1:9/a.mat",
    "https://physionet.org/a.mat",
    "ftp://a/b.mat",
    "file:///etc/passwd",
    "s3://bucket/a",
    "gs://bucket/a",
    "azureml://a/b",
    "memory://a",
    "::",
    "a::b",
    "zip://a.mat::http://127.0.0.1:9/b",
    "C:\\a.mat",
    "..\\outside\\bait.mat",
    "//host/share/a",
    "sub/good1.mat",
    "./victim.mat",
    ".",
    "..",
    "/",
    "~root/a",
    "~/a",
    "victim.mat\0",
    "$HOME",
    "%2e%2e/bait",
    "-",
    "|cat",
    "\x1b[2J",
    "victim.mat/",
    "…",
    "file:victim.mat",
)


@damages("wfdb", "refused")
def signal_file_named_elsewhere(place: Place, random: Random) -> None:
    name = random.choice(ELSEWHERE).format(outside=place.outside)
    header = place.header()
    chosen = header.signals if random.random() < 0.5 else [random.choice(header.signals)]
    for signal in chosen:
        signal.file = name
    place.victim.write_text(header.text())


edited("signal_file_absent", "refused", for_all(file=("absent.mat", "VICTIM.MAT", "x" * 250, "x" * 300, "x" * 9000)))
edited("signal_file_is_the_header", "refused", for_all(file=("victim.hea",)), "no signal file")
edited("signal_file_of_another", "refused", for_all(file=("good0.mat", "good0.hea", "..", "sub")))
edited(
    "signal_file_of_another_for_one",
    "refused",
    lambda header, random: (
        for_all(checksum="0")(header, random),
        setattr(header.signals[random.randint(1, 10)], "file", "good0.mat"),
    ),
)


def relinked(name: str, ends: Ends, put: Callable[[Place, Random], Any], reason: str = "") -> None:
    """Enter a damage that puts something else where the file of the signals was."""

    def do(place: Place, random: Random) -> None:
        place.signal_file.unlink()
        put(place, random)

    do.__name__ = name
    damages("wfdb", ends, reason)(do)


relinked("signal_file_gone", "refused", lambda _place, _random: None, "does not exist")
relinked("signal_file_a_folder", "refused", lambda place, _: place.signal_file.mkdir(), "no signal file")
relinked("signal_file_a_pipe", "refused", lambda place, _: os.mkfifo(place.signal_file), "no signal file")
relinked("signal_file_a_link_to_itself", "refused", lambda place, _: place.signal_file.symlink_to("victim.mat"))
relinked(
    "signal_file_a_link_out",
    "refused",
    lambda place, random: place.signal_file.symlink_to(
        random.choice(["../outside/bait.mat", place.outside / "bait.mat", "/dev/zero", "/etc/passwd", ".."])
    ),
    "beside it",
)


@damages("wfdb", "kept")
def signal_file_a_link_within(place: Place, _random: Random) -> None:
    place.signal_file.rename(place.folder / "sub" / "moved.mat")
    (place.folder / "sub" / "moved.mat").rename(place.folder / "moved.bin")
    place.signal_file.symlink_to("moved.bin")


@damages("wfdb", "kept")
def signal_file_with_another_suffix(place: Place, random: Random) -> None:
    name = "victim" + random.choice([".dat", ".bin", "", ".MAT", ".hea.mat", "-1.dat", ".json", "~"])
    header = place.header()
    for signal in header.signals:
        signal.file = name
    place.victim.write_text(header.text())
    place.signal_file.rename(place.folder / name)


# --- the file of the signals


def samples(name: str, ends: Ends, alter: Callable[[Any, Random], Any], reason: str = "") -> None:
    """Enter a damage that alters the samples, with checksums to match."""

    def do(place: Place, random: Random) -> None:
        values = np.array(place.values_uv)
        altered = alter(values, random)
        values = values if altered is None else altered
        write_record(place.victim, header_of("victim", values), values)

    do.__name__ = name
    damages("wfdb", ends, reason)(do)


def _set(values: Any, where: Any, what: int) -> None:
    values[where] = what


samples("all_samples_missing", "refused", lambda values, _: _set(values, ..., -32768), "finite")
samples(
    "one_sample_missing",
    "refused",
    lambda values, random: _set(values, (random.randrange(200), random.randrange(12)), -32768),
    "finite",
)
samples("all_of_one_value", "refused", lambda values, random: _set(values, ..., random.randint(-20000, 32767)))
samples(
    "one_lead_flat",
    "refused",
    lambda values, random: _set(values, (slice(None), random.randrange(12)), random.randint(-9000, 9000)),
    "flat",
)
samples(
    "one_lead_missing",
    "refused",
    lambda values, random: _set(values, (slice(None), random.randrange(12)), -32768),
    "finite",
)
samples(
    "amplitude_beyond_belief",
    "refused",
    lambda values, random: _set(
        values, (random.randrange(200), random.randrange(12)), random.choice([32767, -32767, 20001])
    ),
    "amplitude",
)
samples(
    "electrode_off",
    "refused",
    lambda values, random: _set(values, (slice(random.randint(1, 90), None), random.randrange(12)), 5),
    "lead-off",
)
samples("too_short", "refused", lambda values, random: values[: random.randint(1, 99)], "length")
samples("just_long_enough", "stated", lambda values, random: values[: random.randint(100, 199)])
samples(
    "long", "stated", lambda values, random: np.concatenate([values] * random.randint(2, 5))[: -random.randint(1, 99)]
)


@damages("wfdb", "refused")
def signal_file_cut_anywhere(place: Place, random: Random) -> None:
    data = place.signal_file.read_bytes()
    place.signal_file.write_bytes(data[: random.randrange(len(data))])


@damages("wfdb", "kept")
def signal_file_longer_than_stated(place: Place, random: Random) -> None:
    with place.signal_file.open("ab") as stream:
        stream.write(b"\x7f" * random.randint(1, 100))


@damages("wfdb", "refused", "checksum")
def signal_file_bit_flipped(place: Place, random: Random) -> None:
    data = bytearray(place.signal_file.read_bytes())
    data[random.randrange(24, len(data))] ^= 1 << random.randrange(8)
    place.signal_file.write_bytes(data)


@damages("wfdb", "refused")
def signal_file_of_random_bytes(place: Place, random: Random) -> None:
    place.signal_file.write_bytes(np.random.default_rng(random.randrange(2**32)).bytes(random.randint(0, 9000)))


@damages("wfdb", "refused", "checksum")
def signal_file_of_other_byte_order(place: Place, _random: Random) -> None:
    place.signal_file.write_bytes(matlab(place.values_uv, ">i2"))


@damages("wfdb", "refused")
def signal_file_compressed(place: Place, _random: Random) -> None:
    place.signal_file.write_bytes(gzip.compress(place.signal_file.read_bytes(), 0))


@damages("wfdb", "refused", "checksum")
def signal_file_of_matlab_5(place: Place, _random: Random) -> None:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, {"val": place.values_uv.T})
    place.signal_file.write_bytes(stream.getvalue())


@damages("wfdb", "refused", claims=True)
def signal_file_of_nothing_but_size(place: Place, random: Random) -> None:
    """A file of 2 TB without contents, and a header that takes it at its word."""
    os.truncate(place.signal_file, 2 * 10**12)
    header = place.header()
    header.rate, header.samples = random.choice(
        [("100000", "0"), ("100000", "17000000000"), ("999999999", "0"), ("100", "0")]
    )
    place.victim.write_text(header.text())


@damages("wfdb", "stated")
def flac_altered(place: Place, random: Random) -> None:
    """A record as the wfdb package writes it in FLAC, and bytes of its files altered."""
    import wfdb

    values = place.values_uv.astype(np.int64)
    names = ["victim_a.flac"] * 6 + ["victim_b.flac"] * 6
    wfdb.Record(
        record_name="victim",
        n_sig=12,
        fs=100,
        sig_len=200,
        file_name=names,
        fmt=["516"] * 12,
        byte_offset=[None] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        units=["mV"] * 12,
        adc_res=[16] * 12,
        adc_zero=[0] * 12,
        block_size=[0] * 12,
        sig_name=list(STANDARD_LEADS),
        d_signal=values,
        init_value=values[0].tolist(),
        checksum=(values.sum(axis=0) % 65536).tolist(),
    ).wrsamp(write_dir=str(place.folder))
    file = place.folder / random.choice(names)
    file.write_bytes(spoil_bytes(file.read_bytes(), random, 4))


@damages("wfdb", "kept")
def a_record_beside_it_without_signals(place: Place, random: Random) -> None:
    """Other damage in the folder does not touch the victim."""
    name = random.choice(["other", "victim2", "victim "])
    (place.folder / f"{name}.hea").write_text(header_of(name, recording_uv("other")).text())
