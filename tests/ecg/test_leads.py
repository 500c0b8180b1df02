"""Lead names and the algebra between leads."""

from itertools import combinations

import numpy as np
import pytest

from ecg_advmask.ecg.leads import (
    DOWER,
    INDEPENDENT_LEADS,
    STANDARD_LEADS,
    LeadNames,
    eight_from_twelve,
    find_leads,
    leads_from_heart_vector,
    standard_lead,
    stated_unit,
    twelve_from_eight,
)
from ecg_advmask.errors import InputError

SPELLINGS = {
    "I": "I i lead·I Lead_I LEAD-I ECG·I ECG·Lead·I MDC_ECG_LEAD_I EKG·i DI D1 d1 'i' \"I\" I·(mV) I·[uV] I_mV I/mV",
    "II": "ii Ⅱ DII D2 MDC_ECG_LEAD_II ECGII",
    "III": "Lead·III DIII D3 iii III·(1e-4V)",
    "aVR": "aVR AVR avr ·aVR· lead·aVR Lead_AVR Lead-aVR ECG·aVR EKG·avr VR MDC_ECG_LEAD_AVR 'avr' aVR·(microvolts)",
    "aVL": "avl VL vl ecg_avl",
    "aVF": "AVF VF Lead·VF",
    "V1": "v1 C1 c1 V-1 V·1 V_1 C·1 MDC_ECG_LEAD_V1 'V1' V1·[mV]",
    "V6": "V6 C6 V-6 Lead·V6 V６",
}
"""Of some leads, with · for a blank."""


@pytest.mark.parametrize("lead", SPELLINGS)
def test_lead_names_in_any_spelling(lead: str) -> None:
    for name in SPELLINGS[lead].split():
        found = standard_lead(name.replace("·", " "))
        assert found is not None and STANDARD_LEADS[found] == lead, name


@pytest.mark.parametrize(
    "name", ["", "VX", "V7", "V0", "I I", "MLII", "-aVR", "Lead -aVR", "lead", "ECG", "ECG1", "D4", "V1-V2", "aVR\n?",
     "C7", "V12", "V1 2", "I (mmHg)", "V1 (filtered)", "1", "time", "aV", "R", "MDC_ECG_LEAD_CONFIG", "I-II"],
)  # fmt: skip
def test_other_names_are_no_leads(name: str) -> None:
    assert standard_lead(name) is None


def test_units_in_names() -> None:
    names = ("I (mV)", "II [uV]", "V1_mV", "V2 / uV", "'V3 (4.88uV)'", "V4", "V5 (filtered)", "MLII (µV)")
    assert [stated_unit(name) for name in names] == ["mV", "uV", "mV", "uV", "4.88uV", "", "", "µV"]
    found = find_leads([f"{lead} (uV)" for lead in STANDARD_LEADS[:-1]] + ["V6"])
    assert found.units == ("uV",) * 11 + ("",)


def test_an_order_and_leads_for_names_as_text() -> None:
    assert LeadNames.parse("") == LeadNames() and LeadNames().of_nameless() == STANDARD_LEADS
    order = LeadNames.parse(" time, I,II ")
    assert order.of_nameless() == ("time", "I", "II") and order.apply(["x", "I"]) == ["x", "I"]
    renamed = LeadNames.parse("ECG1=I, a=b=II,III=aVR")
    assert renamed.apply(["ECG1", " ECG1 (uV)", "a=b", "III", "ecg1"]) == ["I", "I (uV)", "II", "aVR", "ecg1"]
    for names in (LeadNames(), order, renamed):
        assert LeadNames.parse(str(names)) == names


@pytest.mark.parametrize(
    ("text", "offending"),
    [("I,II,I", "I twice"), ("I,,II", "empty"), ("a=I,a=II", "a twice"), ("a=I,b=I", "I twice"), ("a=MLII", "MLII"),
     ("a=I,II", "a=I,II"), ("a=", "a="), ("=I", "=I"), ("I,i", "I twice"), (",", "empty")],
)  # fmt: skip
def test_other_texts_name_no_leads(text: str, offending: str) -> None:
    with pytest.raises(InputError, match=offending):
        LeadNames.parse(text)


def test_a_reversed_lead_is_refused_unless_the_lead_is_there() -> None:
    for name in ("-aVR", "\u2212aVR", "'-avr'", "Lead -aVR", "ECG -VR"):
        names = [name if lead == "aVR" else lead for lead in STANDARD_LEADS]
        for rebuild in (False, True):
            with pytest.raises(InputError, match=f"has {name}, which is the reverse of aVR"):
                find_leads(names, rebuild=rebuild)
        assert find_leads([*STANDARD_LEADS, name]).columns == tuple(range(12))


def test_a_refusal_shows_the_names_that_were_found() -> None:
    with pytest.raises(InputError, match=r"its columns: ch0, ch1, .*ch15, \.\.\.$"):
        find_leads([f"ch{number}" for number in range(30)])
    with pytest.raises(InputError, match=r"has lead V1 twice \(as V1 and C1\)"):
        find_leads([*STANDARD_LEADS, "C1"])


def test_derived_leads_follow_from_the_electrodes() -> None:
    """Potentials of the arms and the foot give every limb lead by its definition; the algebra must agree."""
    right, left, foot = np.random.default_rng(0).normal(size=(3, 100))
    limb = {"I": left - right, "II": foot - right, "III": foot - left}
    augmented = {
        "aVR": right - (left + foot) / 2,
        "aVL": left - (right + foot) / 2,
        "aVF": foot - (right + left) / 2,
    }
    precordial = np.random.default_rng(1).normal(size=(6, 100))
    eight = np.stack([limb["I"], limb["II"], *precordial], axis=-1)
    expected = np.stack([*limb.values(), *augmented.values(), *precordial], axis=-1)
    twelve = twelve_from_eight(eight)
    np.testing.assert_allclose(twelve, expected, atol=1e-12)
    np.testing.assert_array_equal(eight_from_twelve(twelve), eight)


def test_float32_stays_float32() -> None:
    assert twelve_from_eight(np.zeros((5, 8), np.float32)).dtype == np.float32


def test_a_vector_to_the_left_is_positive_in_the_lateral_leads() -> None:
    """Signs that any textbook shows: left is up in I, aVL, V5, V6; foot in II, III, aVF; back is down in V1 and V2."""
    left, foot, back = (dict(zip(STANDARD_LEADS, row, strict=True)) for row in leads_from_heart_vector(np.eye(3)))
    assert min(left[name] for name in ("I", "aVL", "V5", "V6")) > 0
    assert min(foot[name] for name in ("II", "III", "aVF")) > 0
    assert max(back[name] for name in ("V1", "V2")) < 0
    assert left["V1"] == DOWER[INDEPENDENT_LEADS.index("V1"), 0]


def from_electrodes(samples: int) -> np.ndarray:
    """Twelve leads (samples, 12) of random potentials of the electrodes, each lead by its definition."""
    rng = np.random.default_rng(4)
    right, left, foot = rng.normal(size=(3, samples))
    limb = [left - right, foot - right, foot - left]
    augmented = [right - (left + foot) / 2, left - (right + foot) / 2, foot - (right + left) / 2]
    return np.stack([*limb, *augmented, *rng.normal(size=(6, samples))], axis=-1)


@pytest.mark.parametrize("pair", list(combinations(STANDARD_LEADS[:6], 2)))
def test_any_two_limb_leads_give_the_others(pair: tuple[str, str]) -> None:
    whole = from_electrodes(50)
    names = [*STANDARD_LEADS[6:], *reversed(pair)]
    found = find_leads(["time", *(name.upper() for name in names)], rebuild=True)
    assert found.rebuilt == tuple(name for name in STANDARD_LEADS if name not in names)
    recorded = np.column_stack([np.zeros(50), whole[:, [STANDARD_LEADS.index(name) for name in names]]])
    np.testing.assert_allclose(found.to_twelve_leads(recorded[:, found.columns]), whole, atol=1e-12)


def test_leads_that_are_there_stay_as_they_are() -> None:
    """Bit by bit; and what is rebuilt from I and II is what `twelve_from_eight` gives."""
    signals = np.random.default_rng(5).normal(size=(40, 12)).astype(np.float32)  # not of one heart
    all_there = find_leads(STANDARD_LEADS[::-1], rebuild=True)
    assert all_there.columns == tuple(range(11, -1, -1)) and all_there.rebuilt == ()
    assert all_there.to_twelve_leads(signals) is signals
    without = [lead for lead in STANDARD_LEADS if lead not in {"III", "aVL"}]
    twelve = find_leads(without, rebuild=True).to_twelve_leads(
        signals[:, [STANDARD_LEADS.index(lead) for lead in without]]
    )
    assert twelve.dtype == np.float32
    expected = twelve_from_eight(eight_from_twelve(signals))
    for column, lead in enumerate(STANDARD_LEADS):
        np.testing.assert_array_equal(twelve[:, column], (signals if lead in without else expected)[:, column])


def test_a_missing_sample_is_missing_in_what_is_rebuilt_of_it() -> None:
    eight = np.ones((3, 8))
    eight[1, 0] = np.nan
    twelve = find_leads(INDEPENDENT_LEADS, rebuild=True).to_twelve_leads(eight)
    assert np.isnan(twelve[1, [0, 2, 3, 4, 5]]).all() and np.isfinite(twelve[1, [1, *range(6, 12)]]).all()
    assert np.isfinite(twelve[[0, 2]]).all()


@pytest.mark.parametrize(
    ("names", "rebuild", "message"),
    [
        (INDEPENDENT_LEADS, False, "has 8 of the 12 standard leads, lacks III, aVR, aVL, aVF; its columns: I, II, V1"),
        (INDEPENDENT_LEADS[1:], True, "has 7 of the 12 standard leads, lacks I, III, aVR, aVL, aVF; V1 to V6 and two"),
        (STANDARD_LEADS[:-2], True, "has 10 of the 12 standard leads, lacks V5, V6; V1 to V6 and two limb leads"),
        ((*INDEPENDENT_LEADS, "v6"), True, "has lead V6 twice"),
        ((), True, "has 0 of the 12"),
    ],
)
def test_leads_that_do_not_suffice(names: tuple[str, ...], rebuild: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_leads(names, rebuild=rebuild)
