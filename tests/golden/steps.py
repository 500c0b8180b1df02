"""The commands that the frozen files come from, in their order; all paths are relative to the current folder."""

from collections.abc import Sequence

from click.testing import CliRunner

from ecg_advmask.cli import main

SETTINGS = (
    "window_seconds=2.5",
    "encoder_width=2",
    "embedding_dim=6",
    "projection_hidden=8",
    "projection_dim=6",
    "adversary_width=8",
    "adversary_depth=0",
    "batch_size=8",
    "epochs=2",
    "pretraining_share=0.3",
    "jit_compile=false",
    "keep_checkpoints=1",
    "pictures_every=0",
)
_JUDGED = ("--task", "sex", "--fractions", "8,1")

PREPARE = ("prepare", "raw", "data", "--format", "cinc2021", "--labels", "raw/patients.csv", "--workers", "1")
PREPARE_FAST = ("prepare", "fast", "data-fast", "--format", "wfdb", "--workers", "1")
FORM = ("--sampling-rate", "100", "--seconds", "2.5")
PRETRAIN = ("pretrain", "data", "run", "--preset", "cpu-advmask")
LINEAR_EVAL = ("linear-eval", "run", "data", *_JUDGED, "--seeds", "2", "--out", "sex.json")
FINETUNE = ("finetune", "run", "data", *_JUDGED, "--seeds", "1", "--updates", "2", "--split", "sex.split.csv")
EXPORT = ("export", "run", "encoder.onnx", "--recordings", "data")
EXPORT_CLASSIFIER = ("export", "run", "sex.onnx", "--recordings", "data", "--evaluation", "sex.json", "--classifier")
EMBED = ("embed", "encoder.onnx", "raw", "--threads", "1", "--workers", "0", "--out")
EMBED_CLASSIFIER = ("embed", "sex.onnx", "raw", "--mean", "--threads", "1", "--workers", "0", "--out")
STUDY = ("study", "study.toml", "study")


def with_settings(command: Sequence[str], settings: Sequence[str] = SETTINGS) -> tuple[str, ...]:
    """The command with a ``--set`` for each setting."""
    return *command, *(word for setting in settings for word in ("--set", setting))


def run(*arguments: str) -> str:
    """Run ``ecg-advmask`` with these arguments, and return what it prints."""
    done = CliRunner().invoke(main, list(arguments))
    if done.exit_code != 0:
        raise RuntimeError(f"ecg-advmask {' '.join(arguments)}: {done.output}") from done.exception
    return done.output
