"""Agreement of embeddings against slow loops, and the distances from which on a file is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from ecg_advmask.export.parity import Agreement, ParityError, check
from ecg_advmask.files import sha256_of

Array = np.ndarray[Any, Any]


def slow_agreement(found: Array, expected: Array) -> dict[str, float]:
    """Every figure by a loop over windows and numbers."""
    errors, cosines, squares, deviations = [], [], 0.0, 0.0
    n, dim = expected.shape
    centre = [sum(float(expected[i, j]) for i in range(n)) / n for j in range(dim)]
    for one, other in zip(found.tolist(), expected.tolist(), strict=True):
        errors += [abs(a - b) for a, b in zip(one, other, strict=True)]
        product = sum(a * b for a, b in zip(one, other, strict=True))
        cosines.append(product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other)))
        squares += sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
        deviations += sum((b - c) ** 2 for b, c in zip(other, centre, strict=True))
    return {
        "largest_error": max(errors),
        "mean_error": sum(errors) / len(errors),
        "smallest_cosine": min(cosines),
        "mean_cosine": sum(cosines) / len(cosines),
        "error_over_spread": math.sqrt(squares / deviations),
        "largest_value": max(abs(value) for value in expected.ravel().tolist()),
    }


def test_agreement_is_what_loops_find() -> None:
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(9, 5)) + 3
    found = expected + 0.3 * rng.normal(size=(9, 5))
    assert Agreement.of(found, expected)._asdict() == pytest.approx(slow_agreement(found, expected), rel=1e-12)


def test_agreement_in_closed_form() -> None:
    """A right angle, a half turn, and twice the length."""
    found = np.array([[0.0, 2.0], [-1.0, 0.0], [2.0, 2.0]])
    expected = np.array([[2.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    agreement = Agreement.of(found, expected)
    assert (agreement.smallest_cosine, agreement.largest_error, agreement.largest_value) == (-1.0, 2.0, 2.0)
    assert agreement.mean_cosine == pytest.approx(0.0, abs=1e-15)
    assert agreement.mean_error == pytest.approx((2 + 2 + 2 + 0 + 1 + 1) / 6)


def test_embeddings_without_direction_or_spread() -> None:
    zeros, ones = np.zeros((2, 3)), np.ones((2, 3))
    assert Agreement.of(zeros, zeros).smallest_cosine == 1.0
    assert Agreement.of(ones, zeros).smallest_cosine == 0.0
    assert math.isnan(Agreement.of(ones * 1.1, ones).error_over_spread)
    assert math.isnan(Agreement.of(ones * np.nan, ones).largest_error)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_what_is_too_far_from_keras_is_refused(precision: Any) -> None:
    good = Agreement(0.0, 0.0, 1.0, 1.0, 0.0, 1.0)
    check(good, precision, "a.onnx")
    limit = {"float32": 0.99999, "float16": 0.999, "int8": 0.98}[precision]
    check(good._replace(smallest_cosine=limit, error_over_spread=0.5), precision, "a.onnx")
    check(good._replace(error_over_spread=math.nan), precision, "a.onnx")
    for bad in (
        good._replace(smallest_cosine=limit - 1e-6),
        good._replace(smallest_cosine=math.nan, largest_error=math.nan),
        good._replace(error_over_spread=0.51),
    ):
        with pytest.raises(ParityError, match=r"^a\.onnx: not written, "):
            check(bad, precision, "a.onnx")


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_report_beside_the_file(files: dict[str, Path], ecgs_mv: Array, expected: Array, precision: str) -> None:
    path = files[precision]
    report = json.loads(path.with_suffix(".parity.json").read_text())
    assert (report["file"], report["precision"], report["sha256"]) == (path.name, precision, sha256_of(path))
    assert report["compared_on"]["source"] == "generated recordings" and report["compared_on"]["windows"] == 24
    compared, session = ecgs_mv[1::2], onnxruntime.InferenceSession(path)
    for batch_size in (1, 7, 32):
        pieces = [compared[start : start + batch_size] for start in range(0, 24, batch_size)]
        found = np.concatenate([session.run(["embedding"], {"ecg": piece})[0] for piece in pieces])
        slow = slow_agreement(found, expected[1::2])
        stated = report["batch_sizes"][str(batch_size)]["embedding"]
        assert stated.keys() == slow.keys()
        for name, value in slow.items():  # Keras's batches and scaling round otherwise than those of the fixture
            assert stated[name] == pytest.approx(value, rel=1e-3, abs=4e-6), name
    assert report["limits"]["error_over_spread"] == 0.5 and 0.9 < report["limits"]["smallest_cosine"] < 1
    assert {"onnxruntime", "keras", "tf2onnx"} <= set(report["versions"])
