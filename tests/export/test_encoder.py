"""Embedding with onnxruntime alone: windows, rates and leads as by hand; bad recordings and bad files refused."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.sources import Recording, Refused, read_recordings, resample
from ecg_advmask.errors import InputError
from ecg_advmask.export.encoder import EmbeddedRecording, OnnxEncoder
from ecg_advmask.export.rows import embed_recordings

Array = np.ndarray[Any, Any]


@pytest.fixture
def encoder(lead_means_onnx: Path) -> OnnxEncoder:
    return OnnxEncoder(lead_means_onnx)


def signals(samples: int, seed: int = 0) -> Array:
    """Slow random waves of about a millivolt, (samples, 12) float32."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, samples)[:, None]
    waves = sum(np.sin(2 * np.pi * (k * time + rng.uniform(size=12))) * rng.normal(size=12) for k in range(1, 9))
    return np.asarray(waves, np.float32)


def lead_means(window_mv: Array) -> Array:
    """What the encoder of the tests computes, by hand."""
    return np.asarray(((window_mv - window_mv.min()) / (window_mv.max() - window_mv.min())).mean(axis=0))


def changed(path: Path, folder: Path, **properties: str) -> Path:
    """A copy of an encoder with other metadata."""
    model = onnx.load(path)
    found = {entry.key: entry.value for entry in model.metadata_props} | properties
    onnx.helper.set_model_props(model, found)
    onnx.save(model, folder / "changed.onnx")
    return folder / "changed.onnx"


def test_windows_are_cut_and_embedded_as_by_hand(encoder: OnnxEncoder) -> None:
    whole = signals(650)
    result = encoder.embed(whole, 100)
    by_hand = np.stack([lead_means(whole[start : start + 200]) for start in (0, 200, 400)])
    np.testing.assert_allclose(result.embeddings, by_hand, atol=1e-6)
    assert result.embeddings.dtype == np.float32
    np.testing.assert_array_equal(result.windows, [0, 1, 2])
    np.testing.assert_array_equal(result.start_s, [0.0, 2.0, 4.0])
    assert result.trailing_s == pytest.approx(0.5)
    assert result.refused_windows == ()


@pytest.mark.parametrize("rate", [50, 250, 360, 500, 1000])
def test_other_rates_are_resampled_before_cutting(encoder: OnnxEncoder, rate: int) -> None:
    original = signals(5 * rate)
    at_100_hz = resample(original, rate, 100)
    result = encoder.embed(original, rate)
    by_hand = np.stack([lead_means(at_100_hz[:200]), lead_means(at_100_hz[200:400])])
    np.testing.assert_allclose(result.embeddings, by_hand, atol=1e-6)
    np.testing.assert_array_equal(result.start_s, [0.0, 2.0])
    assert result.trailing_s == pytest.approx(1.0)


def test_order_and_spelling_of_leads_do_not_matter(encoder: OnnxEncoder) -> None:
    whole = signals(200)
    order = np.random.default_rng(1).permutation(12)
    names = [STANDARD_LEADS[lead].upper() for lead in order]
    expected = encoder.embed(whole, 100).embeddings
    np.testing.assert_array_equal(encoder.embed(whole[:, order], 100, names).embeddings, expected)
    with_time = np.column_stack([np.arange(200), whole[:, order]])
    np.testing.assert_array_equal(encoder.embed(with_time, 100, ["time", *names]).embeddings, expected)


def test_limb_leads_that_are_missing_are_rebuilt(encoder: OnnxEncoder) -> None:
    """Of the leads of one heart: III = II - I, aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2."""
    whole = signals(400)
    one, two = whole[:, 0], whole[:, 1]
    whole[:, 2:6] = np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=-1)
    expected = encoder.embed(whole, 100)
    assert expected.rebuilt == ()
    for missing in [("III", "aVR", "aVL", "aVF"), ("aVR",), ("I", "II", "aVL", "aVF")]:
        kept = [lead for lead in STANDARD_LEADS[::-1] if lead not in missing]
        found = encoder.embed(whole[:, [STANDARD_LEADS.index(lead) for lead in kept]], 100, kept)
        assert found.rebuilt == missing
        np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-6)


def test_columns_of_a_data_frame_are_taken_by_their_names(encoder: OnnxEncoder) -> None:
    whole = signals(200)
    expected = encoder.embed(whole, 100).embeddings
    order = np.random.default_rng(2).permutation(12)
    named = pd.DataFrame(whole[:, order], columns=[STANDARD_LEADS[lead] for lead in order])
    beside = named.assign(time=np.arange(200), note="x")[["note", *named.columns[:5], "time", *named.columns[5:]]]
    in_uv = pd.DataFrame(1000 * whole[:, order], columns=[f"{STANDARD_LEADS[lead]} (uV)" for lead in order])
    nullable = named.astype("Float64")
    for frame in (named, beside, in_uv, nullable, pd.DataFrame(whole)):  # the last has numbers for names
        np.testing.assert_allclose(encoder.embed(frame, 100).embeddings, expected, atol=1e-6)
    renamed = encoder.embed(named, 100, leads=STANDARD_LEADS)  # what is said overrides what the frame says
    np.testing.assert_array_equal(renamed.embeddings, encoder.embed(whole[:, order], 100).embeddings)


def test_limb_leads_that_a_data_frame_lacks_are_rebuilt(encoder: OnnxEncoder) -> None:
    whole = signals(200)
    one, two = whole[:, 0], whole[:, 1]
    whole[:, 2:6] = np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=1)
    frame = pd.DataFrame(whole, columns=STANDARD_LEADS)[["V6", "II", "V1", "V2", "V3", "V4", "V5", "I"]]
    found = encoder.embed(frame, 100)
    assert set(found.rebuilt) == {"III", "aVR", "aVL", "aVF"}
    np.testing.assert_allclose(found.embeddings, encoder.embed(whole, 100).embeddings, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "offending"),
    [
        ({"I": "lead one"}, "lacks I"),
        ({"V1": "V2"}, "V2"),
        ({"aVR": "-aVR"}, "aVR"),
    ],
)
def test_a_data_frame_of_other_names_is_refused(encoder: OnnxEncoder, change: dict[str, str], offending: str) -> None:
    frame = pd.DataFrame(signals(200), columns=STANDARD_LEADS).drop(columns=["II", "III", "aVL", "aVF"])
    with pytest.raises(InputError, match=offending):
        encoder.embed(frame.rename(columns=change), 100)
    with pytest.raises(InputError, match="no numbers"):
        encoder.embed(pd.DataFrame(signals(200), columns=STANDARD_LEADS).assign(V3="x"), 100)


def test_what_is_masked_is_missing(encoder: OnnxEncoder) -> None:
    """Whatever lies below the mask, in numbers of any type."""
    whole = np.rint(1000 * signals(600)).astype(np.int16)
    mask = np.zeros(whole.shape, bool)
    mask[250, 3] = True
    hidden = np.ma.masked_array(np.where(mask, 9999, whole), mask)
    found = encoder.embed(hidden / 1000, 100)
    assert [(index, reason[:6]) for index, reason in found.refused_windows] == [(1, "finite")]
    assert [
        index for index, _ in encoder.embed(hidden, 100, [f"{lead} (uV)" for lead in STANDARD_LEADS]).refused_windows
    ] == [1]
    np.testing.assert_array_equal(found.windows, [0, 2])
    np.testing.assert_array_equal(
        found.embeddings, encoder.embed(whole.astype(np.float32) / 1000, 100).embeddings[[0, 2]]
    )
    nothing_masked = np.ma.masked_array(whole / 1000)
    assert encoder.embed(nothing_masked, 100).refused_windows == ()
    empty_cells = pd.DataFrame(whole / 1000, columns=STANDARD_LEADS).where(~mask).astype("Float64")
    assert [index for index, _ in encoder.embed(empty_cells, 100).refused_windows] == [1]


def test_mean_over_windows(encoder: OnnxEncoder) -> None:
    result = encoder.embed(signals(600), 100, batch_size=2)
    assert result.embeddings.shape == (3, 12)
    np.testing.assert_allclose(result.mean, result.embeddings.sum(axis=0) / 3, rtol=1e-6)
    assert result.mean.dtype == np.float32
    assert result.predictions is None and result.mean_prediction is None and encoder.names is None


def test_a_classifier_gives_predictions_too(classifier_onnx: Path, encoder: OnnxEncoder) -> None:
    classifier = OnnxEncoder(classifier_onnx, threads=1)
    assert classifier.names == ("AFIB", "SB", "SR")
    result, embeddings = classifier.embed(signals(600), 100, batch_size=2), encoder.embed(signals(600), 100).embeddings
    np.testing.assert_allclose(result.embeddings, embeddings, atol=1e-6)
    powers = np.exp(10 * embeddings[:, :3].astype(np.float64))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.predictions, expected, atol=1e-5)
    np.testing.assert_allclose(result.mean_prediction, expected.mean(axis=0), atol=1e-5)
    (again,) = embed_recordings(classifier, [Recording("r", signals(600), 100)])
    assert isinstance(again, EmbeddedRecording)
    np.testing.assert_allclose(again.predictions, result.predictions, atol=1e-6)


def test_threads_may_share_an_encoder(classifier_onnx: Path) -> None:
    """Each of eight threads gets what it gets alone, bit by bit."""
    encoder = OnnxEncoder(classifier_onnx, threads=1)
    given = [signals(200 * (1 + seed % 4), seed) for seed in range(40)]
    alone = [encoder.embed(one, 100) for one in given]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: encoder.embed(one, 100), given * 5))
    for found, expected in zip(together, alone * 5, strict=True):
        np.testing.assert_array_equal(found.embeddings, expected.embeddings)
        np.testing.assert_array_equal(found.predictions, expected.predictions)


@pytest.mark.parametrize(("factor", "message"), [(1e3, "amplitude: lead .* more than 20 mV"), (1e-3, "flat: lead")])
def test_signals_in_another_unit_are_noticed(encoder: OnnxEncoder, factor: float, message: str) -> None:
    """Microvolts and volts taken for millivolts, of waves of about a millivolt at most."""
    given = signals(400)
    with pytest.raises(InputError, match=message):
        encoder.embed(given / np.abs(given).max() * 0.9 * factor, 100)


def test_a_provider_that_is_not_there(lead_means_onnx: Path) -> None:
    with pytest.raises(InputError, match=r"has no NoSuchProvider, it has .*CPUExecutionProvider"):
        OnnxEncoder(lead_means_onnx, providers=["NoSuchProvider", "CPUExecutionProvider"])


def test_window_that_fails_a_check_is_reported_and_left_out(encoder: OnnxEncoder) -> None:
    whole = signals(600)
    whole[250, 3] = np.nan
    result = encoder.embed(whole, 100)
    np.testing.assert_array_equal(result.windows, [0, 2])
    np.testing.assert_allclose(result.embeddings[1], lead_means(whole[400:]), atol=1e-6)
    ((index, reason),) = result.refused_windows
    assert index == 1
    assert "aVR" in reason


@pytest.mark.parametrize(
    ("given", "rate", "leads", "message"),
    [
        (signals(200)[:, :11], 100, None, "12 leads"),
        (signals(200)[:, :11], 100, STANDARD_LEADS[:11], "has 11 of the 12 standard leads, lacks V6"),
        (signals(200), 100, ("II", *STANDARD_LEADS[1:]), "has lead II twice"),
        (signals(200)[:, 0], 100, None, "shape"),
        (signals(99), 100, None, "length: 0.99 s"),
        (signals(200), 0, None, "sampling rate"),
        (signals(200) * np.nan, 100, None, "no usable window; window 0"),
    ],
)
def test_recordings_that_cannot_be_embedded(
    encoder: OnnxEncoder, given: Array, rate: float, leads: tuple[str, ...] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        encoder.embed(given, rate, leads)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_across_recordings_change_nothing(encoder: OnnxEncoder, batch_size: int) -> None:
    lengths = [200, 900, 99, 450, 400]
    given: list[Recording | Refused] = [Recording(f"r{n}", signals(n, seed=n), 100) for n in lengths]
    given.insert(1, Refused("bad", "bad.hea", "as it came"))
    results = list(embed_recordings(encoder, given, batch_size))
    assert [result.record_id for result in results] == ["r200", "bad", "r900", "r99", "r450", "r400"]
    assert results[1] is given[1]
    assert isinstance(results[3], Refused)
    assert results[3].reason.startswith("length: 0.99 s")
    for recording, result in zip(given, results, strict=True):
        if isinstance(result, EmbeddedRecording):
            assert isinstance(recording, Recording)
            alone = encoder.embed(recording.signals_mv, 100)
            np.testing.assert_allclose(result.embeddings, alone.embeddings, atol=1e-6)


def test_memory_is_bounded_by_the_batch(encoder: OnnxEncoder) -> None:
    """Results come out as their batch is done: one batch runs, one waits and one is filled, no more are held."""
    read = 0

    def recordings() -> Iterator[Recording]:
        nonlocal read
        for number in range(50):
            read += 1
            yield Recording(str(number), signals(200, seed=number), 100)

    for done, _ in enumerate(embed_recordings(encoder, recordings(), batch_size=4), start=1):
        assert read - done <= 3 * 4
    assert read == 50


def test_real_recordings_embed(shared: Path, encoder: OnnxEncoder) -> None:
    for source in ("georgia", "ningbo"):
        folder = shared / "data" / "cinc2021" / "training" / source
        results = list(embed_recordings(encoder, read_recordings(folder)))
        assert len(results) == len(list(folder.rglob("*.hea")))
        embedded = [result for result in results if isinstance(result, EmbeddedRecording)]
        assert len(embedded) > len(results) / 2
        for result in embedded:
            assert np.isfinite(result.embeddings).all()
            assert np.all((result.embeddings > 0) & (result.embeddings < 1))


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"format": ""}, "not an encoder"),
        ({"format": "ecg-advmask encoder 2"}, "newer"),
        ({"sampling_rate_hz": "fast"}, "metadata lacks"),
        ({"embedding_dim": "0"}, "metadata lacks"),
        ({"embedding_dim": "13"}, "not those that its metadata states"),
        ({"window_samples": "1000"}, "not those that its metadata states"),
        ({"leads": "I,II"}, "other leads"),
        ({"unit": "uV"}, "another unit"),
        ({"names": "[]"}, "names no predictions"),
        ({"names": "{"}, "names no predictions"),
        ({"names": '["a", "b"]'}, "not those that its metadata states"),
    ],
)
def test_files_that_are_no_such_encoder(
    lead_means_onnx: Path, tmp_path: Path, properties: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        OnnxEncoder(changed(lead_means_onnx, tmp_path, **properties))
    assert "\n" not in str(caught.value)
    assert "changed.onnx" in str(caught.value)


def test_files_that_are_not_onnx(lead_means_onnx: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = lead_means_onnx.read_bytes()
    for content in (b"", b"hello\n", whole[: len(whole) // 2], b"\x00" * 100):
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.onnx") as caught:
            OnnxEncoder(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"none\.onnx"):
        OnnxEncoder(tmp_path / "none.onnx")
    with pytest.raises(InputError, match="is no file"):
        OnnxEncoder(tmp_path)
    assert capfd.readouterr() == ("", "")  # onnxruntime's own log stays quiet
