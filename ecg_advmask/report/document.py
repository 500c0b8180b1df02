"""A report as a list of blocks, which `html.as_html` and `markdown.as_markdown` write with the same content."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Heading:
    """A heading of level 2 or 3; those of level 2 are listed at the beginning of a long page."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text; a notice is framed."""

    text: str
    notice: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of plain texts."""

    items: Sequence[str]


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a text, a smaller text below it, and whether it is bold."""

    text: str
    below: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows; ``prose``: cells are texts that may be broken into lines."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str
    prose: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG; ``name`` is its file name without suffix."""

    name: str
    image: bytes
    caption: str
    alternative: str


@dataclass(frozen=True)
class Code:
    """Text that keeps its line breaks."""

    text: str


@dataclass(frozen=True)
class Folded:
    """Blocks that a browser shows on a click, and always prints."""

    title: str
    blocks: Sequence["Block"]


Block = Heading | Paragraph | Bullets | Table | Picture | Code | Folded


def numbered(blocks: Iterable[Block]) -> list[Block]:
    """The blocks, with ``Table 1.`` and ``Figure 1.`` before captions, in the order of reading."""
    counts = {Table: 0, Picture: 0}

    def walk(members: Iterable[Block]) -> Iterator[Block]:
        for block in members:
            if isinstance(block, Folded):
                yield dataclasses.replace(block, blocks=list(walk(block.blocks)))
            elif isinstance(block, Table | Picture):
                counts[type(block)] += 1
                word = f"{'Table' if isinstance(block, Table) else 'Figure'} {counts[type(block)]}"
                yield dataclasses.replace(block, caption=f"{word}. {block.caption}")
            else:
                yield block

    return list(walk(blocks))


def pictures(blocks: Iterable[Block]) -> Iterator[Picture]:
    """All pictures, those of folded blocks included."""
    for block in blocks:
        if isinstance(block, Picture):
            yield block
        elif isinstance(block, Folded):
            yield from pictures(block.blocks)


# ---- A report's blocks as Markdown (GitHub's kind), with figures as files beside it.

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
