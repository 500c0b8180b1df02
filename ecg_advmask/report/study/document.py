"""A report as a list of blocks, which `as_html` and `markdown.as_markdown` write with the same content."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ecg_advmask.files import in_file_name
from ecg_advmask.report import html


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
    """A cell of a table: a text, what stands smaller below it, and whether it is bold."""

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

_STYLE: Final = """
nav ul { columns: 16rem; padding-left: 1.2rem; }
table.estimates td, table.estimates thead th + th { text-align: right; }
caption { overflow-wrap: anywhere; }
table.estimates small { color: #57606a; font-size: .78rem; }
table.estimates td, table.estimates tbody th { padding: .2rem .5rem; }
tbody th { font-weight: 600; white-space: normal; overflow-wrap: anywhere; min-width: 6.5rem; max-width: 13rem; }
table.estimates tbody th { position: sticky; left: 0; background: #fff; }
table.prose td { white-space: normal; overflow-wrap: break-word; max-width: 26rem; }
table.prose { min-width: 34rem; }
table.estimates { min-width: min(100%, 34rem); }
figure img { border: 0; }
@media screen and (max-width: 46rem) { .wide figure { overflow-x: auto; }
  .wide img { max-width: none; width: 42rem; } .wide figcaption { position: sticky; left: 0; }
  caption { max-width: 21rem; } }
@media print { table, caption, figcaption { font-size: 8pt; } table.estimates { break-inside: avoid; }
  table.estimates small { font-size: 7pt; }
  table.estimates tbody th { position: static; } table.prose { min-width: 0; }
  details::details-content { content-visibility: visible; } }
"""
"""On a narrow screen, tables and figures are moved sideways within their frames, so that their print stays readable."""


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


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """One page that refers to nothing outside itself."""
    sections = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    entries = "".join(f'<li><a href="#{_anchor(text)}">{escape(text)}</a></li>' for text in sections)
    contents = f'<nav aria-label="Contents"><ul>{entries}</ul></nav>' if len(sections) > 3 else ""
    return html.page(title, [contents, *map(_html, blocks)], _STYLE)


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            anchor = f' id="{_anchor(text)}"' if level == 2 else ""
            shown = f"<h{level}{anchor}>{escape(text)}</h{level}>"
        case Paragraph(text, notice):
            shown = html.paragraph(text, "banner" if notice else "")
        case Bullets(items):
            shown = html.bullets(items)
        case Table():
            shown = _html_table(block)
        case Picture():
            shown = f'<div class="wide">{html.picture(block.image, block.caption, block.alternative)}</div>'
        case Code(text):
            shown = html.commands([text])
        case Folded(title, blocks):
            shown = html.folded(title, "\n".join(map(_html, blocks)))
    return shown


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = []
    for first, *others in table.rows:
        cells = "".join(f"<td>{_html_cell(cell)}</td>" for cell in others)
        rows.append(f'<tr><th scope="row">{_html_cell(first)}</th>{cells}</tr>\n')
    return (
        f'<div class="scroll"><table class="{"prose" if table.prose else "estimates"}">'
        f"<caption>{escape(table.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _html_cell(cell: Cell | str) -> str:
    shown = cell if isinstance(cell, Cell) else Cell(cell)
    text = f"<strong>{escape(shown.text)}</strong>" if shown.strong else escape(shown.text)
    return text + (f"<br><small>{escape(shown.below)}</small>" if shown.below else "")


def _anchor(text: str) -> str:
    return in_file_name(text).strip("_").lower()


# ---- A report's blocks as Markdown (GitHub's kind), with figures as files beside it.

FIGURES = "figures"
"""Folder of the figures, beside the file."""


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The whole text. Names cannot become markup: signs with a meaning are escaped."""
    return "\n\n".join([f"# {plain(title)}", *map(_markdown, blocks)]) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    one_line = " ".join(text.split())
    entities = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", entities)


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            shown = f"{'#' * level} {plain(text)}"
        case Paragraph(text, notice):
            shown = f"> **{plain(text)}**" if notice else _paragraph(text)
        case Bullets(items):
            shown = "\n".join(f"- {_paragraph(item)}" for item in items)
        case Table():
            shown = _table(block)
        case Picture(name, _, caption, alternative):
            shown = f"![{plain(alternative)}]({FIGURES}/{name}.png)\n\n{plain(caption)}"
        case Code(text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            shown = f"{fence}\n{text}\n{fence}"
        case Folded(title, blocks):
            shown = "\n\n".join([f"**{plain(title)}**", *map(_markdown, blocks)])
    return shown


def _paragraph(text: str) -> str:
    """Text whose beginning is not taken for a list or a quotation."""
    return re.sub(r"^([-+]|\d+[.)])(?=\s)", r"\\\1", plain(text))


def _table(table: Table) -> str:
    align = "---" if table.prose else "---:"
    lines = [
        f"| {' | '.join(plain(name) for name in table.columns)} |",
        f"| --- | {' | '.join(align for _ in table.columns[1:])} |",
        *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in table.rows),
    ]
    return f"{plain(table.caption)}\n\n" + "\n".join(lines)


def _cell(cell: Cell | str) -> str:
    shown = cell if isinstance(cell, Cell) else Cell(cell)
    text = f"**{plain(shown.text)}**" if shown.strong else plain(shown.text)
    return text + (f"<br>({plain(shown.below)})" if shown.below else "")
