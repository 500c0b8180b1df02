"""Hospital formats: differences to independent readers, what damaged copies do, and embeddings in five formats.

    python benchmarks/hospital.py samples ../shared/data/formats      # 1. real files, other readers
    python benchmarks/hospital.py damage --copies 1000                # 2. damaged copies of a generated file of each
    python benchmarks/hospital.py embed encoder.onnx --records 1000   # 3. generated ECGs in five formats and as WFDB

Each prints a Markdown table. ``encoder.onnx`` is a file of `ecg-advmask export`, several may be given; the last table
of the third is the result.
"""

import argparse
import io
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ecg_advmask.ecg.formats import suffixes_of
from ecg_advmask.ecg.hospital import read_hospital
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.ecg.windows import Windowing, cut
from ecg_advmask.synthetic.hospital import FORMATS, STEP_UV, SUFFIX, Sheet, encode, generate_hospital, sheet_of
from ecg_advmask.synthetic.sources import place_of, write_cinc2021

DAMAGES = ("one bit", "one byte", "cut short", "bytes lost", "bytes twice", "a block of zeros")


def damaged(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """A copy with one damage, and its kind."""
    kind = DAMAGES[rng.integers(len(DAMAGES))]
    at, copy = int(rng.integers(len(content))), bytearray(content)
    size = int(rng.integers(1, 65))
    if kind == "one bit":
        copy[at] ^= 1 << int(rng.integers(8))
    elif kind == "one byte":
        copy[at] = (copy[at] + int(rng.integers(1, 256))) % 256
    elif kind == "cut short":
        del copy[at:]
    elif kind == "bytes lost":
        del copy[at : at + size]
    elif kind == "bytes twice":
        copy[at:at] = copy[at : at + size]
    else:
        copy[at : at + size] = bytes(len(copy[at : at + size]))
    return kind, bytes(copy)


def outcome(path: Path, whole: Recording) -> str:
    """What becomes of a damaged copy at ``path``."""
    try:
        found = read_hospital(path)
    except UnreadableRecordingError:
        return "refused"
    same_signal = (
        found.signals_mv.shape == whole.signals_mv.shape
        and found.sampling_rate_hz == whole.sampling_rate_hz
        and np.array_equal(found.signals_mv, whole.signals_mv)
    )
    if not same_signal:
        return "another signal"
    person = (found.patient, found.age_years, found.sex) == (whole.patient, whole.age_years, whole.sex)
    return "not read" if person else "another patient"


def edf(sheet: Sheet) -> bytes:
    """An EDF+ file of one data record a second."""
    step_uv, rate = 0.5, sheet.sampling_rate_hz
    units = np.rint(sheet.signals_mv * (1000 / step_uv)).clip(-32768, 32767).astype("<i2")
    count, records = units.shape[1], len(units) // rate
    columns = [
        (16, [f"ECG {lead}" for lead in STANDARD_LEADS]),
        (80, ["electrode"] * count),
        (8, ["uV"] * count),
        (8, [f"{-32768 * step_uv:g}"] * count),
        (8, [f"{32767 * step_uv:g}"] * count),
        (8, ["-32768"] * count),
        (8, ["32767"] * count),
        (80, [""] * count),
        (8, [str(rate)] * count),
        (32, [""] * count),
    ]
    person = f"{sheet.patient} {sheet.sex[0].upper()} 21-MAR-{sheet.birth[0]} NOBODY_GENERATED"
    header = f"{'0':<8}{person:<80}{'Startdate 15-JUN-2020 X X X':<80}15.06.2010.15.00"
    header += f"{256 * (count + 1):<8}{'EDF+C':<44}{records:<8}{1:<8}{count:<4}"
    header += "".join(f"{text:<{width}}" for width, texts in columns for text in texts)
    return header.encode("ascii") + units.reshape(records, rate, count).transpose(0, 2, 1).tobytes()


def cardiosoft(sheet: Sheet) -> bytes:
    """A CardioSoft file of 5 microvolts a unit."""
    units = np.rint(sheet.signals_mv * 200).astype(int)
    leads = "".join(
        f'<WaveformData lead="{lead}">{",".join(map(str, column))}</WaveformData>\n'
        for lead, column in zip(STANDARD_LEADS, units.T.tolist(), strict=True)
    )
    return f"""<?xml version="1.0" encoding="ISO8859-1"?>
<CardiologyXML><PatientInfo><PID>{sheet.patient}</PID><Name><FamilyName>NOBODY</FamilyName></Name>
<Age units="years">{sheet.age_years}</Age><Gender>{sheet.sex.upper()}</Gender></PatientInfo>
<StripData><NumberOfLeads>12</NumberOfLeads><SampleRate units="Hz">{sheet.sampling_rate_hz}</SampleRate>
<ChannelSampleCountTotal>{len(units)}</ChannelSampleCountTotal><Resolution units="uVperLsb">5</Resolution>
{leads}</StripData></CardiologyXML>
""".encode("latin-1")


def damage(copies: int, seed: int) -> None:
    """Print what damaged copies of one generated file of each format do."""
    sheet = sheet_of(generate_hospital(seed, 0))
    contents = {form: (encode(form, sheet), SUFFIX[form]) for form in FORMATS}
    contents |= {"edf": (edf(sheet), ".edf"), "cardiosoft": (cardiosoft(sheet), ".xml")}
    columns = ("refused", "not read", "another patient", "another signal")
    print(f"| format | {' | '.join(columns)} | of these, by kind |\n|---|{'---:|' * len(columns)}---|")
    for form, (content, suffix) in contents.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"copy{suffix}"
            path.write_bytes(content)
            whole, rng = read_hospital(path), np.random.default_rng(seed)
            found: Counter[str] = Counter()
            kinds: Counter[str] = Counter()
            for _ in range(copies):
                kind, copy = damaged(content, rng)
                while copy == content:
                    kind, copy = damaged(content, rng)
                path.write_bytes(copy)
                became = outcome(path, whole)
                found[became] += 1
                if became == "another signal":
                    kinds[kind] += 1
            counted = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
            print(f"| {form} | {' | '.join(str(found[name]) for name in columns)} | {counted} |", flush=True)


def samples(folder: Path) -> None:
    """Print the largest difference of real files to the readers that are installed."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in suffixes_of("hospital"))
    try:
        from pydicom.data import get_testdata_file

        files.append(Path(str(get_testdata_file("waveform_ecg.dcm"))))
    except ImportError:
        pass
    print("| file | samples | Hz | largest difference, nV |\n|---|---:|---:|---|")
    for path in files:
        recording = read_hospital(path)
        differences = [
            f"{name} {difference:.3f}" for name, reader in _OTHERS.items()
            if (difference := _difference_nv(recording, reader, path)) is not None
        ]  # fmt: skip
        samples_read = len(recording.signals_mv)
        print(f"| {path.name} | {samples_read} | {recording.sampling_rate_hz:g} | {', '.join(differences)} |")


def _difference_nv(
    recording: Recording, reader: Callable[[Path], Iterator[tuple[str, Any]]], path: Path
) -> float | None:
    try:
        leads = {name.lower(): values_mv for name, values_mv in reader(path)}
    except Exception:  # the package is missing or does not read this format
        return None
    differences = []
    for column, lead in enumerate(STANDARD_LEADS):
        if lead.lower() in leads:
            read_mv = recording.signals_mv[:, column]
            differences.append(np.abs(np.asarray(leads[lead.lower()][: len(read_mv)], np.float64) - read_mv).max())
    return float(max(differences)) * 1e6 if differences else None


def _by_pydicom(path: Path) -> Iterator[tuple[str, Any]]:
    import pydicom

    dataset = pydicom.dcmread(path)
    group = dataset.WaveformSequence[0]
    for channel, values in zip(group.ChannelDefinitionSequence, dataset.waveform_array(0).T, strict=True):
        yield channel.ChannelSourceSequence[0].CodeMeaning.split()[1], values / 1000


def _by_sierraecg(path: Path) -> Iterator[tuple[str, Any]]:
    import sierraecg

    for lead in sierraecg.read_file(str(path)).leads:
        yield lead.label, lead.samples * 0.005


def _by_ecgdatakit(path: Path) -> Iterator[tuple[str, Any]]:
    from ecgdatakit.parsing.parser import FileParser

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = FileParser().parse(str(path))
    for lead in record.leads:
        factor = {"uV": 1e-3, "mV": 1.0, "nV": 1e-6}[lead.units or lead.resolution_unit]
        values = lead.samples * lead.resolution + lead.offset if lead.is_raw else lead.samples
        yield lead.label, values * factor


_OTHERS = {"pydicom": _by_pydicom, "sierraecg": _by_sierraecg, "ecgdatakit": _by_ecgdatakit}


def embed(encoder_paths: list[Path], first: int, records: int, seed: int) -> None:
    """Print how far embeddings of generated ECGs in five formats are from those of the same ECGs as WFDB.

    What one step of a format can do to an embedding is measured: the largest change when every lead of the WFDB
    windows moves by a step, up or down at random, in two draws, and when every sample does, in two others. Windows that
    a quality check would refuse are embedded as well; where the checks of both files differ is counted.
    """
    from ecg_advmask.export.encoder import OnnxEncoder

    rng = np.random.default_rng(seed)
    encoders = [OnnxEncoder(path) for path in encoder_paths]
    windowing = replace(encoders[0].windowing, refuse=())
    worst = {(form, path): np.zeros(4) for form in FORMATS for path in encoder_paths}
    beyond: Counter[tuple[str, Path]] = Counter()
    checked: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(first, first + records):
            entry = generate_hospital(seed, index)
            source, rank = place_of(index)
            write_cinc2021(folder, "record", entry.subject, entry.recording, seed, source=source, rank=rank)
            reference = read_wfdb(folder / "record.hea")
            expected, verdicts = _windows(reference, windowing)
            for form in FORMATS:
                path = folder / f"record{SUFFIX[form]}"
                path.write_bytes(encode(form, sheet_of(entry)))
                found, step_mv = read_hospital(path), STEP_UV[form] / 1000
                windows, own_verdicts = _windows(found, windowing)
                checked[form] += own_verdicts != verdicts
                steps = np.abs(found.signals_mv - reference.signals_mv).max() / step_mv
                moves = [rng.choice([-step_mv, step_mv], size) for size in [12, 12, expected.shape, expected.shape]]
                for encoder in encoders:
                    before = encoder.embed_windows(expected)
                    difference = np.abs(encoder.embed_windows(windows) - before).max()
                    moved = [encoder.embed_windows((expected + move).astype(np.float32)) for move in moves]
                    by_step = max(np.abs(one - before).max() for one in moved)
                    key = form, encoder.path
                    beyond[key] += bool(difference > by_step)
                    worst[key] = np.maximum(worst[key], [steps, difference, by_step, difference / by_step])
            done = index + 1 - first
            if done % 100 == 0 or done == records:
                print(f"\nRecordings: {done}\n")
                columns = (
                    "step, uV | of a sample, steps | of an embedding | by a step | share of it | beyond it | checks"
                )
                print(f"| encoder | format | {columns} |\n|---|---|" + "---:|" * 7)
                for (form, encoder_path), (steps, difference, by_step, share) in worst.items():
                    print(
                        f"| {encoder_path.stem} | {form} | {STEP_UV[form]:g} | {steps:.3f} | {difference:.2e} "
                        f"| {by_step:.2e} | {share:.2f} | {beyond[form, encoder_path]} | {checked[form]} |"
                    )


def _windows(recording: Recording, windowing: Windowing) -> tuple[Any, list[tuple[str, ...]]]:
    """Windows (n, L, 12) of a recording, and the quality checks that each fails."""
    windows = cut(recording.signals_mv, recording.sampling_rate_hz, windowing).windows
    return np.stack([window.signals_mv for window in windows]), [window.reported for window in windows]


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("samples").add_argument("folder", type=Path)
    commands.add_parser("damage").add_argument("--copies", type=int, default=1000)
    embedding = commands.add_parser("embed")
    embedding.add_argument("encoders", type=Path, nargs="+")
    embedding.add_argument("--first", type=int, default=0, help="so that several processes may share the work")
    embedding.add_argument("--records", type=int, default=1000)
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    if arguments.command == "samples":
        samples(arguments.folder)
    elif arguments.command == "damage":
        damage(arguments.copies, seed=1)
    else:
        embed(arguments.encoders, arguments.first, arguments.records, seed=1)


if __name__ == "__main__":
    main()
