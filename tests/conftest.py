"""Fixtures that several test modules use."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from ecg_advmask.ecg.leads import STANDARD_LEADS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["ECG_ADVMASK_CACHE"] = "off"  # neither that of the user nor that of an earlier run of the tests
# XLA is shown to be right, not fast: less time is spent on the code that runs once
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
# networks are small, and the tests of other modules run beside
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


# the same examples in each run, so that a change is never blamed for what was wrong before it
settings.register_profile("same", derandomize=True, database=None)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look through it after every module."""
    gc.collect()
    gc.freeze()


def resident_bytes() -> int:
    """The memory of this process; 0 where the system does not say it in the way of Linux."""
    state = Path("/proc/self/statm")
    return int(state.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if state.exists() else 0


@pytest.fixture(scope="module", autouse=True)
def forgets_networks() -> Iterator[None]:
    """The networks of earlier modules of tests are not kept where they take much; to look for them takes seconds."""
    yield
    if "keras" in sys.modules and resident_bytes() > 1.5e9:
        sys.modules["keras"].backend.clear_session()


@pytest.fixture(scope="session", autouse=True)
def heeds_interrupts() -> None:
    """What a shell began in the background ignores Ctrl-C, and so would everything that the tests begin."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real recordings and reference arrays; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("ECG_ADVMASK_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no real recordings at {folder} (set ECG_ADVMASK_SHARED to their folder)")
    return folder


@pytest.fixture(scope="session")
def lead_means_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder file written without TensorFlow, at 100 Hz in windows of 200 samples, whose embedding is known.

    It scales each window to [0, 1] by its minimum and maximum and gives the mean of every lead: (batch, 12).
    """
    onnx = pytest.importorskip("onnx")
    node, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            node("ReduceMin", ["ecg", "all"], ["low"]),
            node("ReduceMax", ["ecg", "all"], ["high"]),
            node("Sub", ["ecg", "low"], ["above"]),
            node("Sub", ["high", "low"], ["spread"]),
            node("Div", ["above", "spread"], ["unit"]),
            node("ReduceMean", ["unit", "time"], ["embedding"], keepdims=0),
        ],
        "encoder",
        [tensor("ecg", onnx.TensorProto.FLOAT, ["batch", 200, 12])],
        [tensor("embedding", onnx.TensorProto.FLOAT, ["batch", 12])],
        [
            onnx.helper.make_tensor("all", onnx.TensorProto.INT64, [2], [1, 2]),
            onnx.helper.make_tensor("time", onnx.TensorProto.INT64, [1], [1]),
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    form = {"format": "ecg-advmask encoder 1", "sampling_rate_hz": "100", "window_samples": "200", "unit": "mV"}
    leads = {"leads": "I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6", "embedding_dim": "12", "encoder_sha256": "0" * 64}
    onnx.helper.set_model_props(model, form | leads)
    path = tmp_path_factory.mktemp("encoder") / "lead_means.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def classifier_onnx(lead_means_onnx: Path) -> Path:
    """The same encoder with a head: class k of three has the logit ten times the mean of lead k (I, II, III)."""
    import onnx

    model = onnx.load(lead_means_onnx)
    weights = np.zeros((12, 3), np.float32)
    weights[[0, 1, 2], [0, 1, 2]] = 10
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "weights"))
    model.graph.node.append(onnx.helper.make_node("MatMul", ["embedding", "weights"], ["logits"]))
    model.graph.node.append(onnx.helper.make_node("Softmax", ["logits"], ["prediction"], axis=-1))
    shape = onnx.helper.make_tensor_value_info("prediction", onnx.TensorProto.FLOAT, ["batch", 3])
    model.graph.output.append(shape)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata |= {"task": "rhythm", "kind": "classes", "names": '["AFIB", "SB", "SR"]'}
    onnx.helper.set_model_props(model, metadata)
    path = lead_means_onnx.with_name("classifier.onnx")
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def write_wfdb() -> Callable[..., Path]:
    """Function that writes a WFDB record as CinC 2021 does: a text header and one MATLAB v4 file of 16-bit samples."""

    def write(
        header: Path,
        samples: np.ndarray,  # (T, leads), int16 units of the converter
        sampling_rate_hz: float = 500,
        *,
        leads: Sequence[str] = STANDARD_LEADS,
        gain: str = "1000/mV",
        signal_file: str | None = None,
        comments: Sequence[str] = ("# Age: 61", "# Sex: Female", "# Dx: 426177001,164934002"),
    ) -> Path:
        header.parent.mkdir(parents=True, exist_ok=True)
        name = signal_file or f"{header.stem}.mat"
        lines = [f"{header.stem} {len(leads)} {sampling_rate_hz:g} {len(samples)}"]
        lines += [f"{name} 16+24 {gain} 16 0 {samples[0, column]} 0 0 {lead}" for column, lead in enumerate(leads)]
        header.write_text("\n".join([*lines, *comments]) + "\n")
        if signal_file is None:
            matrix_header = np.array([30, len(leads), len(samples), 0, 4], "<i4").tobytes() + b"val\0"
            header.with_name(name).write_bytes(matrix_header + samples.astype("<i2").tobytes())
        return header

    return write


@pytest.fixture(scope="session")
def write_data() -> Callable[..., Path]:
    """Function that writes a data set of given windows, one of each recording, without an archive behind it."""
    from ecg_advmask.data import dataset
    from ecg_advmask.data.dataset import WindowWriter
    from ecg_advmask.files import write_csv, write_json

    def write(
        folder: Path,
        windows_uv: np.ndarray,  # (n, L, 12), int16 microvolts
        shard_windows: Sequence[int],
        sampling_rate_hz: int = 100,
        **columns: Sequence[object],  # of records.csv, instead of what stands there otherwise
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        entries, ends = [], np.cumsum(shard_windows)
        for number, windows in enumerate(np.split(windows_uv, ends[:-1])):
            path = folder / f"shard-{number:05d}.tfrecord"
            with WindowWriter(path) as writer:
                for window_uv in windows:
                    writer.write(window_uv)
            entries.append(dataset.stated_file(path) | {"windows": len(windows)})
        plain = {"window": 0, "start_s": 0, "source": "made", "age_years": "", "sex": "", "codes": "", "file": ""}
        plain |= {"original_rate_hz": sampling_rate_hz, "valid_samples": windows_uv.shape[1]}
        plain |= {"reported": "", "duplicate_of": ""}
        rows = []
        for number, window_uv in enumerate(windows_uv):
            own = {
                "id": f"R{number:03d}",
                "patient": f"P{number}",
                "signal_hash": sha256(window_uv.tobytes()).hexdigest(),
            }
            rows.append(plain | own | {name: values[number] for name, values in columns.items()})
        write_csv(folder / dataset.RECORDS_FILE, dataset.RECORD_COLUMNS, rows)
        tables = [dataset.stated_file(folder / dataset.RECORDS_FILE)]
        stated = {"format_version": dataset.FORMAT_VERSION, "sampling_rate_hz": sampling_rate_hz}
        stated |= {"window_samples": windows_uv.shape[1], "shards": entries, "tables": tables}
        stated["sha256"] = dataset.dataset_sha256(str(entry["sha256"]) for entry in [*entries, *tables])
        write_json(folder / dataset.DATASET_FILE, stated)
        return folder

    return write


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Function that has the first worker of a session make a folder, for all of them; no test may change it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        place = root / f"shared-{name}"
        with FileLock(f"{place}.lock"):
            if not place.exists():
                half = root / f"half-{name}"
                shutil.rmtree(half, ignore_errors=True)
                half.mkdir()
                make(half)
                half.rename(place)
        return place

    return made


@pytest.fixture(scope="session")
def generated_cinc(made_once: Callable[..., Path]) -> Path:
    """An archive of 48 generated recordings in the layout of CinC 2021."""
    from ecg_advmask.synthetic.archive import write_archive

    def make(folder: Path) -> None:
        write_archive(folder / "archive", ["cinc2021"], records=48, seed=11, workers=1)

    return made_once("generated", make) / "archive" / "cinc2021"


@pytest.fixture(scope="session")
def generated_data(generated_cinc: Path, made_once: Callable[..., Path]) -> Path:
    """The same, prepared: windows of 2.5 s at 100 Hz."""
    from ecg_advmask.data.prepare import prepare

    def make(folder: Path) -> None:
        prepare(generated_cinc, folder / "data", "cinc2021", sampling_rate_hz=100, seconds=2.5, workers=1)

    return made_once("prepared", make) / "data"


@pytest.fixture(scope="session")
def trained_run(generated_data: Path, made_once: Callable[..., Path]) -> Path:
    """A run of Adv Mask on `generated_data`: narrow networks of the method, one epoch."""
    from ecg_advmask.config import Config
    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.pretrain import trainer

    sizes = {"encoder_width": 2, "embedding_dim": 8, "projection_hidden": 8, "projection_dim": 8}
    sizes |= {"adversary_width": 8, "adversary_depth": 0, "window_seconds": 2.5, "batch_size": 64}
    config = Config.preset("cpu-advmask", **sizes, accumulation=1, epochs=1, jit_compile=False)
    build = trainer.build

    def eager(config: Config) -> Any:
        model = build(config)
        model.compile(run_eagerly=True)
        return model

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer, "build", eager)
            trainer.pretrain(DataSet.open(generated_data), folder / "run", config, log=lambda _: None)

    return made_once("trained", make) / "run"
