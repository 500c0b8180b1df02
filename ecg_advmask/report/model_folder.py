"""A folder to hand on: an encoder of a run as ONNX, its model card, what describes it, and a head if there is one.

`OnnxEncoder.from_pretrained` opens it, also as a repository of a model hub. It names no path of the machine that it was
made on.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import HEAD_SUFFIX
from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.export.from_run import export_run
from ecg_advmask.export.pretrained import CARD, CONFIG, LIBRARY
from ecg_advmask.files import check_writable, sha256_of, write_json, write_text
from ecg_advmask.pretrain.run import Run
from ecg_advmask.report.model_card import model_card
from ecg_advmask.report.results import METRIC_TITLES, as_studies, read_result

if TYPE_CHECKING:
    from ecg_advmask.export.onnx import Exported
    from ecg_advmask.export.precision import Precision

_TAGS: Final = ("ecg", "electrocardiogram", "12-lead", "self-supervised-learning", "feature-extraction", "onnx")
_METRICS: Final = {"macro_auroc": "roc_auc", "mae": "mae"}
"""Names that hubs have for the metric that a task is judged by."""
HEAD_FILE: Final = "head.npz"


def check_folder(folder: Path) -> None:
    """See that a folder can be written, before any work is done.

    Raises:
        InputError: something is there already, or nothing can be written there.
    """
    if folder.suffix == ".onnx":
        raise InputError(f"{folder}: --card writes a folder, give a name that does not end in .onnx")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: exists already, remove it or name another folder")
    check_writable(folder)


def write_model_folder(
    run_path: str | Path,
    folder: str | Path,
    *,
    precision: "Precision" = "float32",
    recordings: str | Path | None = None,
    evaluation: str | Path | None = None,
    classifier: bool = False,
    licence: str | None = None,
) -> "Exported":
    """Write the folder; it appears when it is complete.

    Args:
        run_path, precision, recordings, evaluation, classifier: as `export_run` takes them. The figures of the
            evaluation go into the card, its head into `HEAD_FILE`.
        folder: must not exist, or be empty.
        licence: of the weights, as hubs write it (``cc-by-4.0``); by default the card states none.

    Raises:
        InputError: as `export_run` and `check_folder`.
        ParityError: the file's embeddings are not those of Keras.
    """
    target = Path(folder)
    check_folder(target)
    run = Run.open(run_path)
    results = [] if evaluation is None else [read_result(evaluation)]
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        file = temporary / ("classifier.onnx" if classifier else "encoder.onnx")
        options = {"precision": precision, "recordings": recordings, "evaluation": evaluation}
        done = export_run(run_path, file, **options, classifier=classifier)  # type: ignore[arg-type]
        file.with_suffix(".parity.json").unlink()  # names the recordings by their path
        if evaluation is not None:
            shutil.copyfile(Path(evaluation).with_suffix(HEAD_SUFFIX), temporary / HEAD_FILE)
        settings = run.config.as_dict()
        config = {
            "library_name": LIBRARY,
            "file": file.name,
            "sha256": sha256_of(file),
            "metadata": done.metadata,
            "pretraining": {"recordings": len(run.seen()), "sources": run.sources(), "settings": settings},
        }
        write_json(temporary / CONFIG, config)
        parity = max(done.parity.values(), key=lambda agreement: agreement.largest_error)
        header = _header(run, results, licence)
        usage = _usage(target.resolve().name, file.name, done.report, parity, done.metadata)
        write_text(temporary / CARD, f"{header}\n{model_card(run, results)}\n{usage}\n")
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return done


def _header(run: Run, results: Sequence[Mapping[str, Any]], licence: str | None) -> str:
    """The YAML that hubs read; its values are JSON, which YAML contains."""
    entries: dict[str, Any] = {} if licence is None else {"license": licence}
    entries |= {"library_name": LIBRARY, "pipeline_tag": "feature-extraction", "tags": list(_TAGS)}
    entries["datasets"] = list(run.sources())
    if results:
        entries["metrics"] = sorted({_METRICS[PRIMARY[result["targets"]["kind"]]] for result in results})
        entries["model-index"] = [{"name": run.config.preset_name, "results": [_measured(one) for one in results]}]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in entries.items()]
    return "\n".join(["---", *lines, "---"])


def _measured(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as hubs list it: the metric that the task is judged by, at the largest number of labels."""
    (study,) = as_studies([result])
    (task,) = study.tasks
    fraction, labels = study.columns(task["task"])[-1]
    entry = study.summary(task["task"], study.methods[0], fraction)
    assert entry is not None, "a result has its own summary"
    estimate, metric = entry["metrics"][task["primary"]], task["primary"]
    interval = f"{study.level_text} interval {estimate['low']:.4f} to {estimate['high']:.4f}, {labels:,} labels"
    return {
        "task": {"type": "feature-extraction", "name": f"{task['task']}, linear head"},
        "dataset": {"name": result["dataset"]["name"], "type": result["dataset"]["name"]},
        "metrics": [
            {
                "type": _METRICS[metric],
                "value": round(float(estimate["mean"]), 4),
                "name": f"{METRIC_TITLES[metric]}, {interval}",
            }
        ],
    }


def _usage(name: str, file: str, report: Mapping[str, Any], parity: Any, metadata: Mapping[str, str]) -> str:
    return "\n".join(
        [
            "## How to use it",
            "",
            "```sh",
            "pip install ecg-advmask",
            f"ecg-advmask embed {name} RECORDINGS --out embeddings.npz",
            "```",
            "",
            "```python",
            "from ecg_advmask import OnnxEncoder",
            "",
            f'encoder = OnnxEncoder.from_pretrained("{name}")',
            "embedded = encoder.embed(signals_mv, sampling_rate_hz)  # (samples, 12) in millivolts",
            "```",
            "",
            f"`{file}` ({metadata['precision']}) compared with Keras in float32 on "
            f"{report['compared_on']['windows']} windows: largest error {parity.largest_error:.2g} (of embeddings up "
            f"to {parity.largest_value:.2g}), cosine at least {parity.smallest_cosine:.6f}, error over spread "
            f"{parity.error_over_spread:.2g}.",
        ]
    )
