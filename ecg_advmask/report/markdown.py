"""A report's blocks as Markdown (GitHub's kind), with figures as files beside it."""

import re
from collections.abc import Sequence
from typing import Final

from ecg_advmask.report.document import Block, Bullets, Cell, Code, Folded, Heading, Paragraph, Picture, Table

FIGURES: Final = "figures"
"""Folder of the figures, beside the file."""


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The whole text. Names cannot become markup: signs with a meaning are escaped."""
    return "\n\n".join([f"# {escape_markdown(title)}", *map(_markdown, blocks)]) + "\n"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    one_line = " ".join(text.split())
    entities = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", entities)


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            shown = f"{'#' * level} {escape_markdown(text)}"
        case Paragraph(text, notice):
            shown = f"> **{escape_markdown(text)}**" if notice else _paragraph(text)
        case Bullets(items):
            shown = "\n".join(f"- {_paragraph(item)}" for item in items)
        case Table():
            shown = _table(block)
        case Picture(name, _, caption, alternative):
            shown = f"![{escape_markdown(alternative)}]({FIGURES}/{name}.png)\n\n{escape_markdown(caption)}"
        case Code(text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            shown = f"{fence}\n{text}\n{fence}"
        case Folded(title, blocks):
            shown = "\n\n".join([f"**{escape_markdown(title)}**", *map(_markdown, blocks)])
    return shown


def _paragraph(text: str) -> str:
    """Text whose beginning is not taken for a list or a quotation."""
    return re.sub(r"^([-+]|\d+[.)])(?=\s)", r"\\\1", escape_markdown(text))


def _table(table: Table) -> str:
    align = "---" if table.prose else "---:"
    lines = [
        f"| {' | '.join(escape_markdown(name) for name in table.columns)} |",
        f"| --- | {' | '.join(align for _ in table.columns[1:])} |",
        *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in table.rows),
    ]
    return f"{escape_markdown(table.caption)}\n\n" + "\n".join(lines)


def _cell(cell: Cell | str) -> str:
    shown = cell if isinstance(cell, Cell) else Cell(cell)
    text = f"**{escape_markdown(shown.text)}**" if shown.strong else escape_markdown(shown.text)
    return text + (f"<br>({escape_markdown(shown.below)})" if shown.below else "")
