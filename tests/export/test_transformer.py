"""`EcgEncoder` gives what the runtime gives, from paths, recordings and arrays, and behaves as scikit-learn expects."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.sources import Recording, read_wfdb
from ecg_advmask.errors import InputError
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.export.transformer import EcgEncoder

Array = np.ndarray[Any, Any]


def signals(samples: int = 450, seed: int = 0) -> Array:
    """Slow waves of about a millivolt that obey Einthoven's and Goldberger's laws, (samples, 12) float32."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, samples)[:, None]
    eight = sum(np.sin(2 * np.pi * (k * time + rng.uniform(size=8))) * rng.normal(size=8) for k in range(1, 9))
    one, two = eight[:, :1], eight[:, 1:2]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.concatenate([*limb, eight[:, 2:]], axis=1).astype(np.float32)


def mean_of_lead_means(signals_mv: Array) -> Array:
    """What the encoder of the tests computes at 100 Hz, by hand: windows of 200 samples, each scaled to [0, 1]."""
    windows = [signals_mv[start : start + 200] for start in range(0, len(signals_mv) - 199, 200)]
    scaled = [(window - window.min()) / (window.max() - window.min()) for window in windows]
    return np.mean([window.mean(axis=0) for window in scaled], axis=0)


@pytest.fixture
def encoder(lead_means_onnx: Path) -> EcgEncoder:
    return EcgEncoder(lead_means_onnx, sampling_rate_hz=100).fit()


@pytest.fixture(scope="module")
def headers(generated_cinc: Path) -> list[Path]:
    return sorted(generated_cinc.rglob("*.hea"))


def test_arrays_give_the_mean_over_their_windows(encoder: EcgEncoder) -> None:
    batch = np.stack([signals(seed=seed) for seed in range(3)])
    found = encoder.transform(batch)
    assert found.shape == (3, 12) and found.dtype == np.float32
    np.testing.assert_allclose(found, [mean_of_lead_means(one) for one in batch], atol=1e-6)
    lengths = [signals(200, 1), signals(650, 2)]  # of different lengths
    np.testing.assert_allclose(encoder.transform(lengths), [mean_of_lead_means(one) for one in lengths], atol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1), ("uV", 1000), ("V", 0.001)])
def test_unit_and_order_of_leads_are_those_of_the_parameters(lead_means_onnx: Path, unit: str, factor: float) -> None:
    order = np.random.default_rng(0).permutation(12)
    leads = [STANDARD_LEADS[column] for column in order]
    found = EcgEncoder(lead_means_onnx, sampling_rate_hz=100, unit=unit, leads=leads).fit_transform(
        [signals()[:, order] * factor]
    )
    np.testing.assert_allclose(found[0], mean_of_lead_means(signals()), atol=1e-5)


def test_missing_limb_leads_are_rebuilt(lead_means_onnx: Path) -> None:
    eight = [0, 1, *range(6, 12)]
    leads = [STANDARD_LEADS[column] for column in eight]
    found = EcgEncoder(lead_means_onnx, sampling_rate_hz=100, leads=leads).fit_transform([signals()[:, eight]])
    np.testing.assert_allclose(found[0], mean_of_lead_means(signals()), atol=1e-5)


def test_paths_recordings_and_arrays_give_the_same(
    encoder: EcgEncoder, lead_means_onnx: Path, headers: list[Path], tmp_path: Path
) -> None:
    paths = headers[:3]
    recordings = [read_wfdb(path) for path in paths]
    runtime = OnnxEncoder(lead_means_onnx)
    expected = [runtime.embed(one.signals_mv, one.sampling_rate_hz).mean for one in recordings]
    for given in (paths, [str(path) for path in paths], np.array([str(path) for path in paths]), recordings):
        np.testing.assert_allclose(encoder.transform(given), expected, atol=1e-6)
    frame = pd.DataFrame({"file": [str(path) for path in paths], "age": [30.0, 40.0, 50.0]})
    columns = ColumnTransformer([("ecg", encoder, "file"), ("age", "passthrough", ["age"])])
    np.testing.assert_allclose(columns.fit_transform(frame)[:, :12], expected, atol=1e-6)
    first = recordings[0]
    np.savez(tmp_path / "one.npz", signals=first.signals_mv[None], sampling_rate_hz=first.sampling_rate_hz,
             leads=np.array(STANDARD_LEADS))  # fmt: skip
    np.testing.assert_allclose(encoder.transform([tmp_path / "one.npz"]), expected[:1], atol=1e-6)


def test_a_recording_that_cannot_be_used_is_named(encoder: EcgEncoder, tmp_path: Path) -> None:
    (tmp_path / "damaged.hea").write_text("damaged 12 500\n")
    np.savez(tmp_path / "two.npz", signals=np.stack([signals(), signals()]), sampling_rate_hz=100,
             leads=np.array(STANDARD_LEADS))  # fmt: skip
    for bad, name in (
        (tmp_path / "damaged.hea", "damaged.hea"),
        (tmp_path / "absent.hea", "absent.hea"),
        (tmp_path / "two.npz", "two.npz"),
        (signals(50), "X[1]"),  # shorter than half a window
        (np.zeros((400, 12)), "X[1]"),
        (signals()[:, :11], "X[1]"),
        (np.full((400, 12), "text"), "X[1]"),
        (Recording("short one", signals(50), 100.0), "short one"),
    ):
        with pytest.raises(InputError, match=name.replace("[", r"\[")):
            encoder.transform([signals(), bad])
        lenient = clone(encoder).set_params(errors="nan").fit()
        with pytest.warns(UserWarning, match=name.replace("[", r"\[")):
            found = lenient.transform([signals(), bad, signals()])
        assert np.isnan(found[1]).all() and np.isfinite(found[[0, 2]]).all()
        np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    "bad", [[], "a.hea", Path("a.hea"), 3, np.zeros((400, 12)), np.zeros((1, 1, 400, 12))], ids=repr
)
def test_what_is_no_sequence_of_recordings_is_refused(encoder: EcgEncoder, bad: Any) -> None:
    with pytest.raises(InputError, match=r"^X: "):
        encoder.transform(bad)


@pytest.mark.parametrize(
    "parameters",
    [{"errors": "ignore"}, {"unit": "furlong"}, {"sampling_rate_hz": -1}, {"leads": ["I", "II"]}],
    ids=lambda parameters: next(iter(parameters)),
)
def test_parameters_are_kept_as_given_and_checked_by_fit(lead_means_onnx: Path, parameters: dict[str, Any]) -> None:
    unfitted = EcgEncoder(lead_means_onnx, **parameters)
    assert unfitted.get_params().items() >= ({"path": lead_means_onnx} | parameters).items()
    with pytest.raises(InputError):
        unfitted.fit()


def test_arrays_need_a_rate(lead_means_onnx: Path) -> None:
    with pytest.raises(InputError, match="sampling_rate_hz"):
        EcgEncoder(lead_means_onnx, errors="nan").fit_transform([signals()])


def test_fit_opens_the_file_and_transform_wants_to_be_fitted(tmp_path: Path, lead_means_onnx: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.onnx"):
        EcgEncoder(tmp_path / "absent.onnx").fit()
    with pytest.raises(NotFittedError):
        EcgEncoder(lead_means_onnx).transform([signals()])
    assert EcgEncoder(lead_means_onnx).fit().metadata_["sampling_rate_hz"] == "100"


def test_names_of_the_outputs(encoder: EcgEncoder) -> None:
    names = [f"ecgencoder{number}" for number in range(12)]
    assert encoder.get_feature_names_out().tolist() == names
    frame = clone(encoder).set_output(transform="pandas").fit_transform([signals(), signals()])
    assert frame.columns.tolist() == names and frame.shape == (2, 12)


def test_pickled_it_opens_the_file_again_and_no_other(
    encoder: EcgEncoder, tmp_path: Path, lead_means_onnx: Path
) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(lead_means_onnx.read_bytes())
    fitted = EcgEncoder(path, sampling_rate_hz=100).fit()
    stored = pickle.dumps(fitted)
    again = pickle.loads(stored)
    np.testing.assert_array_equal(again.transform([signals()]), encoder.transform([signals()]))
    import onnx

    model = onnx.load(path)
    model.doc_string = "another file"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"encoder\.onnx"):
        pickle.loads(stored).transform([signals()])


def test_it_works_in_pipelines_and_searches(lead_means_onnx: Path) -> None:
    """Recordings of two classes, whose lead V1 lies above or below the others, are distinguished."""
    labels = [number % 2 for number in range(16)]
    above = np.where(np.arange(12) == 6, np.float32(10), np.float32(0))
    recordings = [signals(seed=number) + (above if label else -above) for number, label in enumerate(labels)]
    model = make_pipeline(EcgEncoder(lead_means_onnx, sampling_rate_hz=100), StandardScaler(), LogisticRegression())
    search = GridSearchCV(model, {"logisticregression__C": [0.1, 10.0]}, cv=2, error_score="raise")
    assert search.fit(recordings, labels).best_score_ == 1.0
    assert pickle.loads(pickle.dumps(search.best_estimator_)).score(recordings, labels) == 1.0


class OfTables(EcgEncoder):  # type: ignore[misc]
    """Takes the tables (n, features) that scikit-learn's checks come with, and embeds an ECG made of each row."""

    def transform(self, X: Any) -> Any:
        offsets = np.tanh(np.nanmean(np.asarray(X, np.float64), axis=1))
        return super().transform(signals(200) + np.arange(12) * offsets[:, None, None])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.no_validation = True  # what an X is, is checked by the tests above
        return tags


CHECKS_THAT_DO_NOT_APPLY = {
    "check_estimator_sparse_tag": "expects fit to refuse a sparse table; fit does not look at X",
    "check_transformer_general": "expects as many columns in transform as in fit; recordings may have any length",
}


def test_checks_of_scikit_learn_pass_as_far_as_they_apply(lead_means_onnx: Path) -> None:
    """All that need no validation of tables; scikit-learn itself has none for other input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(OfTables(lead_means_onnx, sampling_rate_hz=100), on_fail=None, on_skip=None)
    status = {one["check_name"]: f"{one['status']} {one['exception'] or ''}".strip() for one in results}
    assert {name for name, what in status.items() if what.startswith("failed")} == CHECKS_THAT_DO_NOT_APPLY.keys(), (
        status
    )
    assert sum(what == "passed" for what in status.values()) >= 30, status
