"""Lead names and the algebra between leads."""

import numpy as np
import pytest

from ecg_advmask.leads import (
    DOWER,
    INDEPENDENT_LEADS,
    STANDARD_LEADS,
    eight_from_twelve,
    lead_index,
    leads_from_heart_vector,
    twelve_from_eight,
)


@pytest.mark.parametrize(
    "name", ["aVR", "AVR", "avr", " aVR ", "lead aVR", "Lead_AVR", "Lead-aVR", "ECG aVR", "EKG avr"]
)
def test_lead_names_in_any_spelling(name: str) -> None:
    assert lead_index(name) == 3


@pytest.mark.parametrize(
    "name", ["", "VX", "V7", "I I", "MLII", "-aVR", "Lead -aVR", "lead", "ECG", "ECG1", "D1", "V1-V2", "aVR\n?"]
)
def test_other_names_are_no_leads(name: str) -> None:
    with pytest.raises(KeyError):
        lead_index(name)


def test_limb_leads_in_latin_languages() -> None:
    assert [lead_index(name) for name in ("DI", "dII", "DIII")] == [0, 1, 2]


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
