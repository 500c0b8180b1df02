"""Scored classes of the two Challenges, their counting, and names for the codes of real recordings."""

from collections import Counter
from pathlib import Path

import pytest

from ecg_advmask.data import diagnoses
from ecg_advmask.ecg.wfdb import read_wfdb

PAIRS_2020 = {"CRBBB|RBBB": ("713427006", "59118001"), "PAC|SVPB": ("284470004", "63593006")} | {
    "PVC|VPB": ("427172004", "17338001")
}
PAIRS_2021 = PAIRS_2020 | {"CLBBB|LBBB": ("733534002", "164909002")}


@pytest.mark.parametrize(("year", "codes", "pairs"), [(2020, 27, PAIRS_2020), (2021, 30, PAIRS_2021)])
def test_codes_classes_and_pairs_are_those_of_the_challenge(
    year: diagnoses.Year, codes: int, pairs: dict[str, tuple[str, str]]
) -> None:
    scored = diagnoses.scored_classes(year)
    every_code = [code for entry in scored for code in entry.codes]
    assert len(every_code) == len(set(every_code)) == codes
    assert len(scored) == len({entry.name for entry in scored}) == codes - len(pairs)
    assert {entry.name: entry.codes for entry in scored if len(entry.codes) > 1} == pairs


def test_three_codes_are_scored_from_2021_on() -> None:
    codes = [{code for entry in diagnoses.scored_classes(year) for code in entry.codes} for year in diagnoses.YEARS]
    assert codes[0] < codes[1]
    assert {diagnoses.diagnoses()[code].abbreviation for code in codes[1] - codes[0]} == {"BBB", "CLBBB", "PRWP"}


def test_every_code_has_its_own_name_and_abbreviation() -> None:
    table = diagnoses.diagnoses().values()
    assert len(table) == 133
    for column in ("code", "abbreviation", "name"):
        values = [getattr(diagnosis, column) for diagnosis in table]
        assert len(set(values)) == len(values)
        assert all(value == value.strip() and value for value in values)
    assert all(diagnosis.code.isdigit() for diagnosis in table)
    assert diagnoses.name_of("164889003") == "atrial fibrillation"
    assert diagnoses.name_of("270492004") == "first-degree atrioventricular block"
    assert diagnoses.name_of("251238007") == "251238007"


@pytest.mark.parametrize("year", diagnoses.YEARS)
def test_every_scored_class_is_in_exactly_one_subgroup(year: diagnoses.Year) -> None:
    groups = diagnoses.subgroups(year)
    assert set(groups) == {"rhythm", "ectopy", "conduction", "axis and chamber", "ST-T and infarction"}
    assert sorted(name for names in groups.values() for name in names) == sorted(
        entry.name for entry in diagnoses.scored_classes(year)
    )
    for entry in diagnoses.scored_classes(year):
        assert {diagnoses.diagnoses()[code].subgroup for code in entry.codes} == {entry.subgroup}
    assert {"AF", "SB", "PR"} <= set(groups["rhythm"])
    assert {"LAD", "RAD"} <= set(groups["axis and chamber"])
    assert {"IAVB", "CRBBB|RBBB"} <= set(groups["conduction"])


def test_classes_of_a_recording() -> None:
    assert diagnoses.classes_of("713427006;164889003; 59118001", 2020) == ("AF", "CRBBB|RBBB")
    assert diagnoses.classes_of(("164909002", "426783006"), 2020) == ("LBBB", "NSR")
    assert diagnoses.classes_of("733534002", 2021) == ("CLBBB|LBBB",)
    assert diagnoses.classes_of("733534002;6374002;365413008", 2020) == ()
    assert diagnoses.classes_of("", 2021) == diagnoses.classes_of("164873001;1648890030;AFIB", 2021) == ()


def test_a_recording_with_both_codes_of_a_pair_counts_once() -> None:
    assert diagnoses.classes_of("713427006;59118001", 2021) == ("CRBBB|RBBB",)
    assert diagnoses.classes_of("59118001;164889003", 2021) == ("AF", "CRBBB|RBBB")


def test_every_code_of_the_real_headers_has_a_name_and_counts_as_an_obvious_loop_says(shared: Path) -> None:
    headers = sorted((shared / "data" / "cinc2021").rglob("*.hea"))
    lines = [line.lstrip("# ") for path in headers for line in path.read_text().splitlines() if "Dx:" in line]
    assert len(lines) == len(headers)
    recordings = [[code.strip() for code in line.removeprefix("Dx:").split(",")] for line in lines]
    codes = {code for recording in recordings for code in recording} - {"Unknown"}
    assert {code for code in codes if diagnoses.name_of(code) == code} == set()
    counts = Counter(name for recording in recordings for name in diagnoses.classes_of(recording, 2021))
    for entry in diagnoses.scored_classes(2021):
        assert counts[entry.name] == sum(any(code in recording for code in entry.codes) for recording in recordings)
    assert sum(counts.values()) > len(headers) / 2
    assert read_wfdb(headers[0]).codes == tuple(code for code in recordings[0] if code != "Unknown")
