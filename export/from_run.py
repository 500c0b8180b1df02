"""From a run directory to an exported file: what ``ecg-advmask export`` does, for Python.

Importable at once: TensorFlow comes with the call.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecg_advmask.errors import InputError

if TYPE_CHECKING:
    from ecg_advmask.export.onnx import Exported
    from ecg_advmask.export.precision import Precision

WINDOWS: Final = 128
"""Windows of real recordings that a file is compared on, and as many others that int8 is calibrated on."""

FEWEST_FOR_INT8: Final = 16
"""Windows that int8 needs: half of them to calibrate on."""


def export_run(
    run_path: str | Path,
    path: str | Path,
    *,
    precision: "Precision" = "float32",
    recordings: str | Path | None = None,
    evaluation: str | Path | None = None,
    classifier: bool = False,
    saved_model: str | Path | None = None,
) -> "Exported":
    """Export the encoder of a run to one ONNX file, with a parity report beside it.

    Args:
        run_path: a run directory.
        path: the file to write, ``.onnx``.
        precision: ``float32``, ``float16``, ``float16-weights`` or ``int8``.
        recordings: recordings, or a data set of `prepare`, from which `WINDOWS` windows are taken to compare Keras and
            onnxruntime on (generated signals if not given), and as many others to calibrate ``int8`` on.
        evaluation: a result of ``linear-eval`` on this run (``.json``); the change of its metric is reported.
        classifier: put the linear head of that evaluation into the file, as a second output ``prediction``.
        saved_model: folder to write a TensorFlow SavedModel to as well.

    Raises:
        InputError: a path is not what it should be, the options do not go together, the head is of another encoder,
            there are no usable recordings, or float16 cannot hold the weights.
        ParityError: the file's embeddings are not those of Keras.
    """
    check_options(run_path, path, precision, recordings, evaluation, classifier, saved_model)
    from ecg_advmask.export.onnx import export_encoder
    from ecg_advmask.export.probe import StoredEvaluation, source_windows
    from ecg_advmask.pretrain.run import Run

    run = Run.open(run_path)
    encoder = run.encoder()
    probe = None if evaluation is None else StoredEvaluation.open(Path(evaluation), Path(run_path), encoder)
    compared = calibration = None
    if recordings is not None:
        compared = source_windows(Path(recordings), run.config, WINDOWS * (2 if precision == "int8" else 1))
    if compared is not None and precision == "int8":
        if len(compared) < FEWEST_FOR_INT8:
            raise InputError(
                f"{recordings}: int8 needs {FEWEST_FOR_INT8} usable windows of "
                f"{run.config.window_seconds:g} s to calibrate on, found {len(compared)}; give more recordings"
            )
        calibration, compared = compared[::2], compared[1::2]
    return export_encoder(
        encoder,
        run.config,
        path,
        precision=precision,
        calibration_mv=calibration,
        signals_mv=compared,
        source="generated signals" if recordings is None else str(recordings),
        head=probe.head if probe is not None and classifier else None,
        evaluation=probe,
        saved_model_path=saved_model,
        reference=run.reference(),
    )


def check_options(
    run_path: str | Path,
    path: str | Path,
    precision: str,
    recordings: str | Path | None,
    evaluation: str | Path | None,
    classifier: bool,
    saved_model: str | Path | None,
) -> None:
    """See, without TensorFlow, that the arguments of `export_run` go together.

    Raises:
        InputError: they do not.
    """
    if Path(path).suffix != ".onnx" or Path(path).is_dir():
        raise InputError(f"{path}: an encoder is written to a file that ends in .onnx")
    if not (Path(run_path) / "config.json").is_file():  # Run.open says the same, after TensorFlow's long import
        raise InputError(f"{run_path}: is not a run directory, give one that ecg-advmask pretrain wrote")
    if precision == "int8" and recordings is None:
        raise InputError("--precision int8: takes its ranges from real recordings, give some with --recordings")
    if classifier and evaluation is None:
        raise InputError("--classifier: needs a linear head, give the result of linear-eval with --evaluation")
    if saved_model is not None and Path(saved_model).exists():
        raise InputError(f"{saved_model}: exists already, remove it or name another folder")
