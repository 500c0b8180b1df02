"""``ecg-advmask encoders``: the trained encoders that come with the package."""

import click


@click.command()
def encoders() -> None:
    """List the trained encoders that come with the package, to be given to embed, judge and fit by their names.

    Beside each stands the model card: what it was trained on, on whom it was judged, and what it is not for.
    """
    from ecg_advmask.export.pretrained import CARD, encoder_config, shipped_encoders

    shipped = shipped_encoders()
    if not shipped:
        click.echo("no encoder comes with this version")
    for name, folder in shipped.items():
        config = encoder_config(folder)
        form, size = config["metadata"], (folder / config["file"]).stat().st_size
        seconds = int(form["window_samples"]) / int(form["sampling_rate_hz"])
        click.echo(
            f"{name}: {form['sampling_rate_hz']} Hz, windows of {seconds:g} s, embeddings of length "
            f"{form['embedding_dim']}, {size / 1e6:.1f} MB; card: {folder / CARD}"
        )
