"""The model card of a run: intended use, input, training data and evaluation of the encoder.

After Mitchell et al. 2019, "Model Cards for Model Reporting". The preprocessing is in it because embeddings cannot
be reproduced without it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.files import write_text
from ecg_advmask.pretrain.run import Run
from ecg_advmask.report.protocol import protocol_in_words
from ecg_advmask.report.results import GENERATED_NOTICE, as_studies, read_result
from ecg_advmask.report.run_report import METHODS, pretrain_command
from ecg_advmask.report.tables import summary_table
from ecg_advmask.report.text import answer_of_task, groups


def write_model_card(
    run_path: str | Path, result_paths: Sequence[str | Path] = (), out: str | Path | None = None
) -> Path:
    """Write ``model_card.md`` into the run directory, or to ``out``, with the figures of the given results.

    Raises:
        InputError: the run or a result cannot be read.
    """
    run = Run.open(run_path)
    target = Path(out) if out is not None else run.path / "model_card.md"
    write_text(target, model_card(run, [read_result(path) for path in result_paths]))
    return target


def model_card(run: Run, results: Sequence[Mapping[str, Any]]) -> str:
    """The card as Markdown; it names no path of this machine."""
    sections = [_purpose(run), _preprocessing(run), _training(run), _probe(run), _figures(results), _limits(run)]
    return "\n\n".join(["# Model card: 12-lead ECG encoder", *filter(None, sections)]) + "\n"


def _purpose(run: Run) -> str:
    config = run.config
    banner = [f"> **{GENERATED_NOTICE}**", ""] if run.saw_generated() else []
    return "\n".join(
        [
            *banner,
            f"One-dimensional ResNet-18 (width {config.encoder_width}) that maps a 12-lead ECG window to "
            f"{config.embedding_dim} numbers, pretrained without labels by {METHODS[config.method]}.",
            "",
            "## Intended use",
            "",
            "Research: features for small classifiers where labels are few, retrieval, comparison of pretraining "
            "methods. It is no medical device and has not been validated for diagnosis or for any clinical decision.",
        ]
    )


def _preprocessing(run: Run) -> str:
    config = run.config
    return "\n".join(
        [
            "## Input and preprocessing",
            "",
            f"- Leads, in this order: {', '.join(STANDARD_LEADS)}; time before leads, `(batch, time, 12)`, float32.",
            f"- Sampling rate {config.sampling_rate_hz} Hz, windows of {config.window_seconds:g} s "
            f"({config.window_samples:,} samples); recordings at other rates are resampled first.",
            "- The encoder itself takes each window scaled to [0, 1] with its own minimum and maximum over time and "
            "leads together, so that amplitudes of leads stay comparable within a recording. The exported ONNX file "
            "takes millivolts and holds this scaling.",
            "- No filter. A recording of several windows has an embedding for each, evaluations use the mean.",
            f"- Output: `(batch, {config.embedding_dim})` float32, not normalised.",
        ]
    )


def _training(run: Run) -> str:
    data: Mapping[str, Any] = run.dataset
    names = " + ".join(Path(path).name for path in str(data.get("path")).split(" + "))
    sources = [f"| {_cell(source)} | {count:,} |" for source, count in run.sources().items()]
    packages = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    settings = [f"| {key} | {_cell(value)} |" for key, value in run.config.as_dict().items()]
    return "\n".join(
        [
            "## Pretraining",
            "",
            f"- {len(run.seen()):,} recordings of the data set `{names}` (SHA-256 `{data.get('sha256')}`).",
            f"- {len(run.history())} epochs finished. Library versions: {packages or 'not recorded'}.",
            "",
            "```",
            pretrain_command(run, "DATA", "RUN"),
            "```",
            "",
            "| source | recordings |",
            "|---|---|",
            *sources,
            "",
            "| setting | value |",
            "|---|---|",
            *settings,
        ]
    )


def _probe(run: Run) -> str:
    """The last figures of the probe that watched the pretraining, if there was one."""
    probed = run.history()
    columns = [f"probe_{task}" for task in run.config.probe_tasks]
    if not columns or not set(columns) <= set(probed.columns) or probed[columns].dropna().empty:
        return ""
    last = probed.dropna(subset=columns).iloc[-1]
    figures = [f"| {_cell(task)} | {last[f'probe_{task}']:.3f} |" for task in run.config.probe_tasks]
    return "\n".join(
        [
            "## Probe during pretraining",
            "",
            f"A linear head on the frozen encoder after epoch {int(last['epoch'])}, fitted and tested on different "
            "patients of the pretraining data, whose signals, without labels, the encoder has seen: it says when to "
            "stop, not how well the encoder does on other patients.",
            "",
            "| task | macro AUROC |",
            "|---|---|",
            *figures,
        ]
    )


def _figures(results: Sequence[Mapping[str, Any]]) -> str:
    parts = ["## Figures"]
    if not results:
        parts.append("Not evaluated yet: `ecg-advmask linear-eval`, then `ecg-advmask report`.")
    for study in as_studies(results):
        (task,), table = study.tasks, summary_table(study, study.tasks[0])
        parts.append(f"### {study.content['name']}")
        lines = [f"| {' | '.join(_cell(value) for value in row)} |" for row in [table.columns, *table.rows]]
        parts.append("\n".join([lines[0], "|---" * len(table.columns) + "|", *lines[1:]]))
        found = [answer_of_task(study, task, group) for group in groups(study)]
        words = [words for result in study.content["results"] for words in protocol_in_words(result)]
        parts.append("\n".join(f"- {one}" for one in dict.fromkeys([*found, *words]) if one))
    return "\n\n".join(parts)


def _limits(run: Run) -> str:
    return "\n".join(
        [
            "## Limits",
            "",
            "- What holds for the recordings above need not hold for other devices, electrode placements, ages or "
            "populations; evaluate on your own recordings before use.",
            "- Embeddings carry whatever distinguishes recordings, such as sex, age and the recording device, also "
            "where that is not wanted, and may make a person recognisable: treat them as health data.",
            f"- Windows other than {run.config.window_seconds:g} s and missing leads were not tested.",
        ]
    )


def _cell(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text.replace("|", "\\|").replace("\n", " ") or "–"
