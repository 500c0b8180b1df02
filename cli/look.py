"""``ecg-advmask plot``: a recording on ECG paper; ``neighbours``: the recordings nearest to one. Without TensorFlow."""

from pathlib import Path

import click

from ecg_advmask.cli.source_options import source_options
from ecg_advmask.errors import InputError

_SUFFIXES = (".png", ".svg", ".pdf")


@click.command()
@click.argument("recording", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="FILE.png, FILE.svg or FILE.pdf."
)
@click.option("--start", type=click.FloatRange(min=0), default=0.0, show_default=True, help="First second to draw.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="How many to draw.")
@click.option(
    "--classifier",
    metavar="FILE",
    help="A file that fit wrote, or export with a head: the stretches are shaded that drive its prediction.",
)
@click.option("--class", "name", metavar="NAME", help="The prediction to explain.  [default: the most probable one]")
@source_options
def plot(
    recording: Path,
    *,
    out: Path,
    start: float,
    seconds: float,
    classifier: str | None,
    name: str | None,
    source_rate: float | None,
    source_unit: str,
    leads: str,
    follow_links: bool,
) -> None:
    """Draw the twelve leads of RECORDING on ECG paper, at 25 mm/s and 10 mm/mV (5 mm/mV where leads need the height).

    RECORDING is a file as embed takes it. With --classifier the encoder's window that holds second --start is drawn,
    at the encoder's rate. Stretches of 0.2 s are occluded in turn, by a straight line in all leads: what lowers the
    prediction supports it (orange), what raises it speaks against it (blue). That is no statement on what is wrong
    with the heart.
    """
    from ecg_advmask.ecg.leads import LeadNames
    from ecg_advmask.ecg.sources import FileSource, Refused, SourceOptions, read_or_refuse
    from ecg_advmask.files import atomic_path, check_writable
    from ecg_advmask.report.ecg_picture import ecg_picture

    if out.suffix not in _SUFFIXES:
        raise InputError(f"--out {out}: a picture is written to a file that ends in {', '.join(_SUFFIXES)}")
    if name is not None and classifier is None:
        raise InputError(f"--class {name}: is a prediction of a classifier, give that with --classifier")
    check_writable(out)
    source = FileSource(
        SourceOptions(
            sampling_rate_hz=source_rate,
            unit=source_unit,
            leads=LeadNames.parse(leads),
            rebuild_leads=True,
            follow_links=follow_links,
        ),
        paths=(recording,),
    )
    listed = list(source.entries())
    if len(listed) != 1:
        raise InputError(f"{recording}: holds {len(listed)} recordings, give a file of one")
    one = read_or_refuse(source, listed[0])
    if isinstance(one, Refused):
        raise InputError(f"{recording}: {one.reason}")
    if classifier is None:
        first = round(start * one.sampling_rate_hz)
        shown, rate = one.signals_mv[first : first + round(seconds * one.sampling_rate_hz)], one.sampling_rate_hz
        if len(shown) < 2:
            raise InputError(f"--start {start:g}: {recording} ends after {len(one.signals_mv) / rate:g} s")
        figure = ecg_picture(shown, rate, _title(one.record_id, start))
    else:
        from ecg_advmask.export.encoder import OnnxEncoder, windows_to_embed
        from ecg_advmask.export.occlusion import Occlusion

        opened = OnnxEncoder.from_pretrained(classifier)
        outline, windows = windows_to_embed(one, opened.windowing)
        if isinstance(outline, Refused):
            raise InputError(f"{recording}: {outline.reason}")
        length_s = opened.window_samples / opened.sampling_rate_hz
        held = [place for place, at in enumerate(outline.start_s) if at <= start < at + length_s]
        if not held:
            raise InputError(f"--start {start:g}: no usable window of {recording} holds this second")
        window, rate = list(windows)[held[0]], opened.sampling_rate_hz
        explained = Occlusion.of(opened, window, name)
        text = f"{explained.name}: {explained.prediction:.3g}"
        title = f"{_title(one.record_id, float(outline.start_s[held[0]]))}   {text}"
        figure = ecg_picture(window, rate, title, explained.support, explained.name)
        click.echo(text)
    with atomic_path(out) as temporary:
        figure.savefig(
            temporary, format=out.suffix[1:], dpi=150, metadata={"Date": None} if out.suffix == ".svg" else {}
        )
    click.echo(f"wrote {out}")


def _title(record_id: str, start_s: float) -> str:
    return record_id if start_s == 0 else f"{record_id}, from {start_s:g} s"


@click.command()
@click.argument("embeddings", type=click.Path(path_type=Path))
@click.argument("recording", metavar="ID")
@click.option("--most", type=click.IntRange(1), default=10, show_default=True, help="Recordings to list at most.")
def neighbours(embeddings: Path, recording: str, *, most: int) -> None:
    """List the recordings of EMBEDDINGS whose embeddings are nearest to that of recording ID, by cosine similarity.

    EMBEDDINGS is a table as judge takes it. Of each number its mean over the table is taken off first: embeddings
    have much in common that distinguishes none.
    """
    from ecg_advmask.evaluate.embedding_table import EmbeddingTable

    for name, similarity in EmbeddingTable.read(embeddings).nearest(recording, most):
        click.echo(f"{similarity:+.3f}  {name}")
