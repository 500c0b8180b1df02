"""Counts of kept and refused recordings as text: the summary that `prepare` and `info` print.

In: accounts by source and what `dataset.json` says. Out: tables and sentences.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ecg_advmask.data.diagnoses import name_of, scored_classes
from ecg_advmask.data.summary import UNKNOWN_PATIENT, DataSummary, total
from ecg_advmask.errors import some_of


def recordings_table(summaries: Mapping[str, DataSummary]) -> str:
    """A line for each source and for all: recordings in, kept and refused, windows, reasons of refusal."""
    rows = [["source", "in", "kept", "refused", "windows", "reasons"]]
    for source, one in [*sorted(summaries.items()), ("all", total(summaries.values()))]:
        numbers = (one.recordings_in, one.recordings_kept, one.recordings_refused, one.windows_kept)
        reasons = ", ".join(f"{reason} {number}" for reason, number in one.reasons.most_common())
        rows.append([source, *map(str, numbers), reasons])
    return table(rows, right=range(1, 5))


def checks_table(checks: Sequence[Mapping[str, Any]], refuse: Sequence[str], whole: DataSummary) -> str:
    """A line for each quality check: its threshold, what failed it, and what it looks for."""
    rows = [["check", "fails", "refused", "refused", "reported", ""], ["", "", "recordings", "windows", "windows", ""]]
    for check in checks:
        name = str(check["name"])
        fails = f"{'below' if check['fails_below'] else 'above'} {check['threshold']:g} {check['unit']}"
        counts = (whole.reasons[name], whole.window_reasons[name], whole.reported[name])
        meaning = str(check["meaning"]) + ("" if name in refuse else " (reported only)")
        rows.append([name, fails, *map(str, counts), meaning])
    return table(rows, right=(2, 3, 4))


def classes_table(summaries: Mapping[str, DataSummary]) -> str:
    """A line for each class that CinC 2021 scores and a recording has: kept recordings by source.

    The last number counts by the classes of 2020, which did not score three of the codes; empty if there are none.
    """
    sources, whole = sorted(summaries), total(summaries.values())
    rows = [["class", *sources, "all", "as of 2020", "meaning"]]
    of_2020 = {code: one.name for one in scored_classes(2020) for code in one.codes}
    for one in scored_classes(2021):
        if whole.classes_2021[one.name]:
            names = {of_2020[code] for code in one.codes if code in of_2020}
            before = str(sum(whole.classes_2020[name] for name in names)) if names else "-"
            counts = [summaries[source].classes_2021[one.name] for source in sources]
            rows.append([one.name, *map(str, counts), str(whole.classes_2021[one.name]), before, one.meaning])
    return table(rows, right=range(1, len(sources) + 3)) if len(rows) > 1 else ""


def codes_line(summaries: Mapping[str, DataSummary], most: int = 20) -> str:
    """The commonest codes that CinC 2021 does not score, with their names and kept recordings; empty if none."""
    scored = {code for one in scored_classes(2021) for code in one.codes}
    counts = Counter({code: n for code, n in total(summaries.values()).codes.items() if code not in scored})
    shown = [f"{name_of(code)} {n}" for code, n in counts.most_common(most)]
    return ", ".join([*shown, *([f"and {len(counts) - most} more"] if len(counts) > most else [])])


def remarks(whole: DataSummary) -> list[str]:
    """Lines on what the table of recordings does not show."""
    said = []
    if whole.windows_refused:
        kinds = ", ".join(f"{name} {number}" for name, number in whole.window_reasons.most_common())
        said.append(f"windows refused of recordings that were kept: {whole.windows_refused} ({kinds})")
    if whole.windows_left_out:
        said.append(f"windows beyond the limit for one recording: {whole.windows_left_out}")
    if whole.windows_padded:
        said.append(f"windows padded, of recordings shorter than a window: {whole.windows_padded}")
    if whole.rebuilt:
        said.append(f"recordings of which limb leads were rebuilt from others (column rebuilt): {whole.rebuilt}")
    if whole.zeros_cut:
        said.append(f"recordings of which zeros at the ends were cut off: {whole.zeros_cut}")
    if whole.unit_assumed:
        said.append(f"recordings whose files state no unit, taken in that of --source-unit: {whole.unit_assumed}")
    if whole.trailing_seconds >= 0.005:
        said.append(f"seconds at the ends of recordings that did not fill a window: {whole.trailing_seconds:.2f}")
    for name, number in whole.reported.most_common():
        said.append(f"windows kept although they fail the check {name} (column reported of records.csv): {number}")
    if whole.duplicates:
        said.append(
            "recordings with exactly the signal of an earlier one (column duplicate_of; pretraining and evaluation "
            f"leave them out): {whole.duplicates}"
        )
    return said


def patients_line(stated: Mapping[str, Any]) -> str:
    """How many patients `dataset.json` states, where they come from and what was unknown; empty for older versions."""
    patients, counts = stated.get("patients"), stated["counts"]
    if not patients:
        return ""
    origins = {name: int(number) for name, number in counts["patients_from"].items()}
    unknown = origins.pop(UNKNOWN_PATIENT, 0)
    line = f"patients: {patients['number']} of {counts['recordings_kept']} recordings"
    if several := patients["with_several_recordings"]:
        line += f", {several} with several (at most {patients['most_recordings']})"
    else:
        line += ", none with several"
    said = [f"of {number} recordings from {name}" for name, number in origins.items()]
    if unknown:
        said.append(f"unknown of {unknown} recordings, each taken for a patient of its own")
    return f"{line}; {', '.join(said)}"


def table_lines(stated: Mapping[str, Any]) -> list[str]:
    """Lines on the table of labels that `dataset.json` states: how its cells were taken, and what it does not match."""
    lines = list(stated.get("label_remarks", ()))
    titles = {
        "rows_without_recording": "rows of the table of labels that name no recording",
        "recordings_without_row": "recordings without a row in the table of labels",
    }
    for name, title in titles.items():
        if (found := stated.get("unmatched", {}).get(name)) and found["count"]:
            lines.append(f"{title}: {found['count']} ({some_of(found['first'])})")
    if "unmatched" not in stated and (count := stated.get("labels_without_recording")):
        lines.append(f"{titles['rows_without_recording']}: {count}")
    return lines


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Cells in columns two blanks apart, those of the columns ``right`` set to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
