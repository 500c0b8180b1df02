"""A stored linear head predicts what the fitted one did, from plain embeddings, and a damaged file is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import Head, LinearHead

NONE = np.array([""] * 4, dtype=object)
TARGETS = {
    "classes": Targets("rhythm", "classes", ("a", "b", "c"), np.array([0, 1, 2, 0]), NONE),
    "labels": Targets("diagnosis", "labels", ("x", "y", "z"), np.eye(4, 3, dtype=np.int64), NONE),
    "number": Targets("age", "number", ("years",), np.array([3.0, 4.0, 5.0, 6.0]), NONE),
}


def made(kind: str) -> tuple[Head, LinearHead]:
    """A head on standardised embeddings, far from zero and of unequal spread, and the same as it is stored."""
    rng = np.random.default_rng(0)
    outputs = len(TARGETS[kind].names)
    centre, scale = rng.normal(size=5) * 30, rng.uniform(0.1, 8, 5)
    head = Head(TARGETS[kind].kind, centre, scale, rng.normal(size=(5, outputs)), rng.normal(size=outputs))
    return head, LinearHead.of(head, TARGETS[kind], "0a" * 32, {"fraction": 1.0, "labels": 4})


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_stored_head_predicts_from_plain_embeddings(kind: str, tmp_path: Path) -> None:
    head, kept = made(kind)
    kept.write(tmp_path / "head.npz")
    again = LinearHead.read(tmp_path / "head.npz")
    embeddings = head.centre + head.scale * np.random.default_rng(1).normal(size=(40, 5))
    np.testing.assert_allclose(again.predict(embeddings), head.predict(embeddings), atol=1e-11)
    outputs = ((embeddings - head.centre) / head.scale) @ head.weights + head.intercepts
    expected = {"classes": softmax(outputs, axis=1), "labels": expit(outputs), "number": outputs[:, 0]}[kind]
    np.testing.assert_allclose(again.predict(embeddings), expected, atol=1e-11)
    assert (again.task, again.kind, again.names) == (TARGETS[kind].task, kind, TARGETS[kind].names)
    assert again.encoder_sha256 == "0a" * 32 and again.about == {"fraction": 1.0, "labels": 4}


def test_probabilities_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    embeddings = rng.normal(size=(60, 5))
    fitted = LogisticRegression().fit(embeddings, rng.integers(3, size=60))
    kept = LinearHead("t", "classes", ("a", "b", "c"), fitted.coef_.T, fitted.intercept_, "", {})
    np.testing.assert_allclose(kept.predict(embeddings), fitted.predict_proba(embeddings), atol=1e-12)


def test_a_class_that_no_recording_had_keeps_the_probability_zero(tmp_path: Path) -> None:
    head, _ = made("classes")
    head.weights[:, 1], head.intercepts[1] = 0, -np.inf
    LinearHead.of(head, TARGETS["classes"], "", {}).write(tmp_path / "head.npz")
    predicted = LinearHead.read(tmp_path / "head.npz").predict(np.ones((2, 5)))
    assert (predicted[:, 1] == 0).all() and np.allclose(predicted.sum(axis=1), 1)


def test_same_head_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made("labels")[1].write(tmp_path / f"{name}.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_what_is_no_head_is_refused_in_one_line(tmp_path: Path) -> None:
    good = tmp_path / "head.npz"
    made("classes")[1].write(good)
    with np.load(good) as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays["about"]))
    altered = {
        "other.npz": arrays | {"about": np.array(json.dumps(about | {"format": "something else"}))},
        "kind.npz": arrays | {"about": np.array(json.dumps(about | {"kind": "colour"}))},
        "list.npz": arrays | {"about": np.array("[]")},
        "names.npz": arrays | {"about": np.array(json.dumps(about | {"names": ["a"]}))},
        "nan.npz": arrays | {"weights": arrays["weights"] * np.nan},
        "flat.npz": arrays | {"weights": arrays["weights"][:, 0]},
        "text.npz": arrays | {"weights": np.array("text")},
        "pickled.npz": arrays | {"weights": np.array([{}], dtype=object)},
        "lacking.npz": {"weights": arrays["weights"]},
    }
    for name, parts in altered.items():
        np.savez(tmp_path / name, **parts)
    (tmp_path / "cut.npz").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in (*altered, "cut.npz", "empty.npz", "absent.npz"):
        with pytest.raises(InputError, match=rf"{name}: is not a linear head \(") as caught:
            LinearHead.read(tmp_path / name)
        assert "\n" not in str(caught.value)
