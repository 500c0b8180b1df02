"""A report as a list of blocks, which `html.as_html` and `markdown.as_markdown` write with the same content."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


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
