"""``ecg-advmask embed``: recordings to embeddings with an exported encoder, without TensorFlow."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecg_advmask.errors import InputError

if TYPE_CHECKING:
    from ecg_advmask.export.runtime import EmbeddedRecording, OnnxEncoder
    from ecg_advmask.records import Recording, Refused


@click.command("embed")
@click.argument("encoder_path", metavar="ENCODER.onnx", type=click.Path(path_type=Path))
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="FILE.npz or FILE.csv.")
@click.option("--sampling-rate", type=float, metavar="HZ", help="Rate of CSV and NumPy files that do not state theirs.")
@click.option(
    "--unit",
    type=click.Choice(["mV", "uV"], case_sensitive=False),
    default="mV",
    show_default=True,
    help="Unit of CSV and NumPy files that do not state theirs.",
)
@click.option("--mean", is_flag=True, help="One embedding per recording: the mean over its windows.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Windows at once.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of onnxruntime; all cores if not given.")
def embed(
    *,
    encoder_path: Path,
    sources: tuple[Path, ...],
    out: Path,
    sampling_rate: float | None,
    unit: str,
    mean: bool,
    batch_size: int,
    threads: int | None,
) -> None:
    """Embed recordings with an exported encoder.

    Each SOURCE is a folder (searched with its subfolders), a WFDB header (.hea), or a CSV, .npz or .npy file, at any
    sampling rate. Recordings longer than the encoder's window give one embedding per window.

    An .npz file holds ids, windows (number within the recording), start_s and embeddings (N, D) float32; a .csv file
    has the columns id, window, start_s, e0, e1, ... With --mean, windows is the number of windows averaged, and start_s
    is left out. What could not be used goes to FILE.refused.csv with the reason; the exit code is 2 if nothing could.
    """
    if out.suffix not in {".npz", ".csv"} or out.is_dir():
        raise InputError(f"--out {out}: is a folder or has an unknown ending, give FILE.npz or FILE.csv")
    from ecg_advmask.export.runtime import EmbeddedRecording, OnnxEncoder, embed_recordings
    from ecg_advmask.files import write_csv
    from ecg_advmask.records import find_recordings

    encoder = OnnxEncoder(encoder_path, threads=threads)
    files = sum(len(find_recordings(source)) for source in sources)
    recordings = _read(sources, sampling_rate, unit)
    embedded: list[EmbeddedRecording] = []
    refused: list[dict[str, str]] = []
    with click.progressbar(length=files, label="Embedding", hidden=files < 2, file=sys.stderr) as bar:
        current = None
        for result in embed_recordings(encoder, recordings, batch_size):
            if isinstance(result, EmbeddedRecording):
                embedded.append(result)
                reasons = [f"window {index}: {reason}" for index, reason in result.refused_windows]
            else:
                reasons = [result.reason]
            refused += [{"id": result.record_id, "file": result.file, "reason": reason} for reason in reasons]
            bar.update(int(result.file != current))
            current = result.file

    refused_path = out.with_suffix(".refused.csv")
    refused_path.unlink(missing_ok=True)
    if refused:
        write_csv(refused_path, ["id", "file", "reason"], refused)
    if not embedded:
        if not refused:
            raise InputError(f"{', '.join(map(str, sources))}: no recordings inside, nothing was embedded")
        first = refused[0]
        raise InputError(f"{first['file']}: {first['reason']}; nothing was embedded, {refused_path} says why")
    rows = _write(out, encoder, embedded, mean)
    if refused:
        windows = sum(len(result.refused_windows) for result in embedded)
        click.echo(f"refused: recordings: {len(refused) - windows}, windows of others: {windows}; see {refused_path}")
    short = [result.trailing_s for result in embedded if result.trailing_s > 0]
    if short:
        click.echo(f"left over at the ends, shorter than a window: {sum(short):.1f} s of {len(short)} recordings")
    click.echo(
        f"wrote {out}: {rows} embeddings of length {encoder.embedding_dim}, "
        f"one per {'recording' if mean else 'window'}; recordings: {len(embedded)}"
    )


def _read(sources: tuple[Path, ...], sampling_rate_hz: float | None, unit: str) -> "Iterator[Recording | Refused]":
    """The recordings of all sources; an id that a former source had gets its folder's name before it."""
    from dataclasses import replace

    from ecg_advmask.records import Refused, read_recordings

    taken: set[str] = set()
    for source in sources:
        for found in read_recordings(source, sampling_rate_hz=sampling_rate_hz, unit=unit):
            if isinstance(found, Refused):
                yield found
                continue
            record_id = found.record_id
            if record_id in taken:
                record_id = f"{Path(found.file).parent.as_posix()}/{record_id}"
            if record_id in taken:
                yield Refused(record_id, found.file, "a recording with this id was embedded already")
                continue
            taken.add(record_id)
            yield found if record_id == found.record_id else replace(found, record_id=record_id)


def _write(out: Path, encoder: "OnnxEncoder", embedded: "list[EmbeddedRecording]", mean: bool) -> int:
    """Write the table in the format of the ending; returns the number of rows."""
    import numpy as np

    from ecg_advmask.files import atomic_path, write_csv

    counts = [len(result.windows) for result in embedded]
    ids = np.array([result.record_id for result in embedded])
    if mean:
        columns = {"ids": ids, "windows": np.array(counts, np.int64)}
        embeddings = np.stack([result.embeddings.mean(axis=0, dtype=np.float64) for result in embedded])
        embeddings = embeddings.astype(np.float32)
    else:
        columns = {
            "ids": np.repeat(ids, counts),
            "windows": np.concatenate([result.windows for result in embedded]),
            "start_s": np.concatenate([result.start_s for result in embedded]),
        }
        embeddings = np.concatenate([result.embeddings for result in embedded])
    if out.suffix == ".npz":
        origin = np.array(encoder.metadata["encoder_sha256"])
        with atomic_path(out) as temporary:
            np.savez(temporary, allow_pickle=False, **columns, embeddings=embeddings, encoder_sha256=origin)
    else:
        names = [{"ids": "id", "windows": "windows" if mean else "window"}.get(name, name) for name in columns]
        names += [f"e{number}" for number in range(encoder.embedding_dim)]
        write_csv(out, names, (_row(names, values) for values in zip(*columns.values(), embeddings, strict=True)))
    return len(embeddings)


def _row(names: list[str], values: tuple[Any, ...]) -> dict[str, Any]:
    """One row of the CSV file; nine digits give a float32 back exactly."""
    *start, embedding = values
    return dict(zip(names, [*start, *(f"{number:.9g}" for number in embedding)], strict=True))
