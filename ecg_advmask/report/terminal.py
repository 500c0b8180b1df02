"""Results of evaluations as text in columns, for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from ecg_advmask.report.results import difference_table, summary_table


def terminal_table(result: Mapping[str, Any]) -> str:
    """The summary and the paired differences as text in columns, with the first metrics of the kind."""
    blocks = [_columns(*summary_table(result))]
    if result["differences"]:
        blocks.append(_columns(*difference_table(result)))
    return "\n\n".join(blocks)


def _columns(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [list(titles), *[[str(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
