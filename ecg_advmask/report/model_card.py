"""The model card of a run: what the encoder is for, what it expects, what it was made from, what it is worth.

After Mitchell et al. 2019, "Model Cards for Model Reporting". The preprocessing stands in it because embeddings cannot
be reproduced without it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.files import write_text
from ecg_advmask.report.report import METHODS
from ecg_advmask.report.results import GENERATED_NOTICE, read_result, summary_table
from ecg_advmask.report.run_files import RunFiles, pretrain_command
from ecg_advmask.report.text import protocol_in_words, title, verdicts


def write_model_card(
    run_path: str | Path, result_paths: Sequence[str | Path] = (), out: str | Path | None = None
) -> Path:
    """Write ``model_card.md`` into the run directory, or to ``out``, with the figures of the given results.

    Raises:
        InputError: the run or a result cannot be read.
    """
    run = RunFiles.read(run_path)
    results = [read_result(path) for path in result_paths]
    target = Path(out) if out is not None else run.path / "model_card.md"
    sections = [_purpose(run), _preprocessing(run), _training(run), _figures(results), _limits(run)]
    write_text(target, "\n\n".join(["# Model card: 12-lead ECG encoder", *sections]) + "\n")
    return target


def _purpose(run: RunFiles) -> str:
    config = run.config
    banner = [f"> **{GENERATED_NOTICE}**", ""] if run.generated else []
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


def _preprocessing(run: RunFiles) -> str:
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


def _training(run: RunFiles) -> str:
    data: Mapping[str, Any] = run.description.get("dataset", {})
    packages = ", ".join(f"{name} {version}" for name, version in dict(run.description.get("versions", {})).items())
    settings = [f"| {key} | {_cell(value)} |" for key, value in run.config.as_dict().items()]
    return "\n".join(
        [
            "## Pretraining",
            "",
            f"- {run.recordings_seen:,} recordings of the data set `{Path(str(data.get('path'))).name}` (SHA-256 "
            f"`{data.get('sha256')}`); `seen.csv` lists them.",
            f"- {len(run.history)} epochs finished. Library versions: {packages or 'not recorded'}.",
            "",
            "```",
            pretrain_command(run),
            "```",
            "",
            "| setting | value |",
            "|---|---|",
            *settings,
        ]
    )


def _figures(results: Sequence[Mapping[str, Any]]) -> str:
    parts = ["## Figures"]
    if not results:
        parts.append("Not evaluated yet: `ecg-advmask linear-eval`, then `ecg-advmask report`.")
    for result in results:
        parts.append(f"### {title(result)}")
        titles, rows = summary_table(result)
        lines = [f"| {' | '.join(_cell(value) for value in row)} |" for row in [titles, *rows]]
        parts.append("\n".join([lines[0], "|---" * len(titles) + "|", *lines[1:]]))
        parts.append("\n".join(f"- {sentence}" for sentence in [*verdicts(result), *protocol_in_words(result)]))
    return "\n\n".join(parts)


def _limits(run: RunFiles) -> str:
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
