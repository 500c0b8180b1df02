"""What must hold of any archive, however damaged: a data set with a true account of it, or one error of one line."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.prepare import prepare
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.sources import Recording, Refused, SourceOptions, read_recordings
from ecg_advmask.errors import InputError
from hostile import oracle
from hostile.archive import SECONDS, Microvolts, Place
from hostile.damage import Damage
from hostile.watch import limited, opened, strays

LIMIT_S = 20
"""Far more than any of the archives takes, since a machine may be busy."""

LONGEST = 500
"""Characters of a reason, or of an error without the path in it."""
OUT = "out"


@dataclass(frozen=True)
class Result:
    """The data set that was made, or the error."""

    data: DataSet | None
    error: str = ""

    @property
    def kept(self) -> pd.DataFrame:
        assert self.data is not None
        return self.data.records

    @property
    def refused(self) -> list[dict[str, str]]:
        """Rows of `refused.csv` on whole recordings."""
        assert self.data is not None
        with (self.data.path / "refused.csv").open(newline="", encoding="utf-8") as stream:
            return [row for row in csv.DictReader(stream) if not row["window"]]


def options_of(place: Place) -> SourceOptions:
    """What is said about files that do not state their rate."""
    return SourceOptions(sampling_rate_hz=100 if place.form == "csv" else None)


def prepared(place: Place, layout: str, late: Callable[[], object] = lambda: None) -> Result:
    """Make the data set; ``late`` is called when the archive has been listed and no signal was read."""
    destination = place.root / OUT

    class Bar:
        def update(self, n: int, /) -> None:
            pass

    def listed(_recordings: int) -> Bar:
        late()
        return Bar()

    with limited(LIMIT_S), opened() as seen:
        try:
            prepare(
                place.folder,
                destination,
                layout,
                sampling_rate_hz=place.rate_hz,
                seconds=SECONDS,
                workers=1,
                labels=place.labels,
                options=options_of(place),
                progress=listed,
            )
            error = ""
        except InputError as raised:
            error = str(raised)
    assert not strays(seen, place.root), strays(seen, place.root)
    assert not any(str(place.outside) in path for _, path in seen)
    return judged(place, layout, error)


def judged(place: Place, layout: str, error: str) -> Result:
    """Check what was left on disk, and all that can be said whatever the damage was."""
    out = place.root / OUT
    assert not list(place.root.glob(f"{OUT}.partial")) and not list(place.root.glob(".*"))
    if error:
        check_error(place, error)
        assert not out.exists()
        return Result(None, error)
    result = Result(DataSet.open(out, verify=True))
    check_account(place, layout, result)
    check_kept(place, layout, result)
    return result


def check_sentence(text: str) -> None:
    """One line of printable text; not the words of an accident."""
    assert text.strip() and text.isprintable() and len(text) < LONGEST, text
    assert "unexpected:" not in text and "Traceback" not in text, text


def check_error(place: Place, text: str) -> None:
    """A sentence that names a file or folder first."""
    path, _, remark = text.partition(": ")
    assert path.startswith(str(place.root)), text
    check_sentence(remark)


def check_account(place: Place, layout: str, result: Result) -> None:
    """In = kept + refused, every reason a sentence, every file in the folder accounted for."""
    assert result.data is not None
    stated = json.loads((result.data.path / "dataset.json").read_text())
    ids, refused = result.kept["id"].unique(), result.refused
    counts = stated["counts"]
    assert counts["recordings_in"] == stated["recordings"] == len(ids) + len(refused)
    assert (counts["recordings_kept"], counts["recordings_refused"]) == (len(ids), len(refused))
    for row in refused:
        check_sentence(row["reason"])
        assert not os.path.isabs(row["file"]), row  # noqa: PTH117 (a name in a table)
    if layout == "chapman" or not place.folder.is_dir():
        return
    files = list(recording_files(place))
    named = {*result.kept["file"], *(row["file"] for row in refused)}
    if layout != "npz":
        assert len(files) <= counts["recordings_in"]  # fewer if some vanished since the archive was listed
        assert result.kept.groupby("file")["id"].nunique().max() == 1
    for file in files:
        if file.isprintable():
            assert file in named, f"{file} is neither kept nor refused"


def recording_files(place: Place) -> Iterator[str]:
    """Names within the archive of everything that `prepare` has to say something about."""
    suffixes = {"wfdb": (".hea",), "csv": (".csv",), "npz": (".npz", ".npy")}[place.form]
    for folder, below, files in os.walk(place.folder):
        links = [name for name in below if (Path(folder) / name).is_symlink()]
        for name in [*links, *(name for name in files if name.lower().endswith(suffixes))]:
            yield os.path.relpath(os.path.join(folder, name), place.folder)  # noqa: PTH118 (bytes that are no UTF-8)


def check_kept(place: Place, layout: str, result: Result) -> None:
    """Every recording that was kept holds what its file states, which the oracle reads on its own."""
    assert result.data is not None
    data, known = result.data, place.good_uv(layout)
    for record_id, rows in result.kept.groupby("id", sort=False):
        first = rows.iloc[0]
        if first["rebuilt"]:
            windows = [
                window[:valid]
                for window, valid in zip(data.windows_uv(rows.index.to_numpy()), rows["valid_samples"], strict=True)
            ]
            signals_mv = np.concatenate(windows).astype(np.float32) / 1000
            rebuilt = tuple(first["rebuilt"].split(";"))
            check_rebuilt(Recording(str(record_id), signals_mv, place.rate_hz, rebuilt=rebuilt), within_mv=0.003)
            continue
        if record_id in known and Path(first["file"]).stem.startswith("good"):
            microvolts, rate = known[str(record_id)], float(place.rate_hz)
            stated_uv = microvolts
        else:
            stated_uv, rate = stated_by_file(place, first["file"], str(record_id))
        assert first["original_rate_hz"] == float(f"{rate:.10g}")
        assert first["signal_hash"] == sha256(stated_uv.astype("<i2").tobytes()).hexdigest()
        if rate == place.rate_hz:
            windows = data.windows_uv(rows.index.to_numpy())
            for window_uv, index, valid in zip(windows, rows["window"], rows["valid_samples"], strict=True):
                start = index * data.window_samples
                np.testing.assert_array_equal(window_uv[:valid], stated_uv[start : start + valid])


def stated_by_file(place: Place, name: str, record_id: str) -> tuple[Microvolts, float]:
    """What the file of a recording states, in whole microvolts."""
    unit = "uV" if place.form == "figshare" else "mV"
    signals_mv, rate = oracle.stated(place.folder / name, record_id, place.rate_hz, unit)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.rint(signals_mv.astype(np.float32) * np.float32(1000))
        return np.where(np.abs(rounded) <= 32767, rounded, -32768).astype(np.int16), rate


def check_readers(place: Place) -> None:
    """As `embed` reads the same folder: each file ends as a recording that states the same, or as refused."""
    rate, unit = (500, "uV") if place.form == "figshare" else (100 if place.form == "csv" else None, "mV")
    with limited(LIMIT_S), opened() as seen:
        try:
            found = list(read_recordings(place.folder, sampling_rate_hz=rate, unit=unit, rebuild_leads=True))
        except InputError as error:
            check_error(place, str(error))
            return
    assert not strays(seen, place.root), strays(seen, place.root)
    for one in found:
        if isinstance(one, Refused):
            check_sentence(one.reason)
            continue
        assert isinstance(one, Recording)
        if one.rebuilt:
            check_rebuilt(one)
            continue
        name = os.path.relpath(one.file, place.folder)
        values_uv, stated_rate = stated_by_file(place, name, one.record_id)
        assert one.sampling_rate_hz == stated_rate
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.rint(one.signals_mv * np.float32(1000))
        np.testing.assert_array_equal(np.where(np.abs(rounded) <= 32767, rounded, -32768), values_uv)


def check_rebuilt(one: Recording, within_mv: float = 1e-6) -> None:
    """Limb leads that are not in the file are those of the electrodes that give the first two which are in it."""
    of_left_and_foot = {"I": (1, 0), "II": (0, 1), "III": (-1, 1)}  # the right arm at zero
    of_left_and_foot |= {"aVR": (-0.5, -0.5), "aVL": (1, -0.5), "aVF": (-0.5, 1)}
    leads = dict(zip(STANDARD_LEADS, one.signals_mv.T.astype(np.float64), strict=True))
    first, second = [lead for lead in of_left_and_foot if lead not in one.rebuilt][:2]
    there = np.isfinite(leads[first]) & np.isfinite(leads[second])
    assert not any(np.isfinite(leads[lead][~there]).any() for lead in one.rebuilt)
    there &= np.maximum(np.abs(leads[first]), np.abs(leads[second])) < 1e30  # else sums may exceed what float32 holds
    recorded = np.stack([leads[first][there], leads[second][there]])
    electrodes = np.linalg.solve(np.array([of_left_and_foot[first], of_left_and_foot[second]]), recorded)
    for lead in one.rebuilt:
        expected = np.array(of_left_and_foot[lead]) @ electrodes
        np.testing.assert_allclose(leads[lead][there], expected, atol=within_mv * (1 + np.abs(recorded).max(initial=0)))


def check_ends(place: Place, layout: str, damage: Damage, result: Result) -> None:
    """What one damage alone must lead to."""
    if damage.ends == "any":
        return
    if damage.ends == "stops":
        assert damage.reason in result.error and result.error, f"did not stop; refused: {refusals(result)}"
        return
    check_good(place, layout, result)
    good = place.good_uv(layout)
    untouched = sha256(place.values_uv.astype("<i2").tobytes()).hexdigest()
    others = result.kept[~result.kept["id"].isin(list(good))]
    if damage.ends == "kept":
        assert untouched in set(others["signal_hash"]), refusals(result)
    if damage.ends == "refused" and damage.name.startswith("lead") and (others["rebuilt"] != "").any():
        return  # a limb lead that was lost follows from the others; `check_kept` has seen to it
    if damage.ends == "refused":
        assert others.empty, f"kept: {others.to_dict('records')}"
        assert any(damage.reason in reason for reason in refusals(result)), refusals(result)


def check_good(place: Place, layout: str, result: Result) -> None:
    """The sound recordings are all kept; `check_kept` has seen to their values."""
    assert result.error == ""
    lost = set(place.good_uv(layout)) - set(result.kept["id"])
    assert not lost, (lost, refusals(result))


def refusals(result: Result) -> Sequence[str]:
    return [] if result.data is None else [row["reason"] for row in result.refused]
