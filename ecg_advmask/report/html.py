"""Small pieces of HTML: texts are escaped here, pictures are put into the page, nothing is loaded from elsewhere."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

STYLE: Final = """
:root { --ink: #1b1f24; --line: #d0d7de; --soft: #f6f8fa; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 74rem; color: var(--ink); background: #fff;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 2px solid var(--accent); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .4rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.banner { border: 2px solid #d55e00; background: #fff4ec; padding: .7rem 1rem; margin: 1rem 0; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; margin: .5rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .88rem; padding: .2rem 0; color: #57606a; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: left; vertical-align: top; }
thead th { background: var(--soft); border-bottom: 2px solid var(--line); }
th, td { white-space: nowrap; }
td.number, th.number { text-align: right; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; border: 1px solid var(--line); }
figcaption { font-size: .88rem; color: #57606a; max-width: 46rem; }
pre, code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .85rem; }
pre { background: var(--soft); border: 1px solid var(--line); padding: .7rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; }
details { margin: .6rem 0; } summary { cursor: pointer; }
@media print { body { max-width: none; font-size: 10pt; } h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; } .scroll { overflow: visible; } figure img { max-height: 23cm; } }
"""


def page(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole document; ``style`` is CSS that goes beyond `STYLE`."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, css_class: str = "") -> str:
    """A paragraph of plain text."""
    attribute = f' class="{escape(css_class)}"' if css_class else ""
    return f"<p{attribute}>{escape(text)}</p>"


def bullets(items: Iterable[str]) -> str:
    """An unordered list of plain texts."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def commands(lines: Iterable[str]) -> str:
    """Shell commands, or any text that keeps its line breaks."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """A table; a column whose cells are all numbers or start with one is set flush right."""
    cells = [[_text(value) for value in row] for row in rows]
    numeric = [bool(cells) and all(_starts_with_number(row[column]) for row in cells) for column in range(len(columns))]
    css = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(f"<th{css[i]}>{escape(name)}</th>" for i, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(f"<td{css[i]}>{escape(cell)}</td>" for i, cell in enumerate(row)) + "</tr>\n" for row in cells
    )
    top = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{top}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def settings(values: Mapping[str, Any], caption: str = "") -> str:
    """A table of names and values."""
    rows = "".join(
        f"<tr><th>{escape(str(key))}</th><td>{escape(_text(value))}</td></tr>\n" for key, value in values.items()
    )
    top = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{top}<tbody>{rows}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """HTML that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


def picture(image: bytes, caption: str, alternative: str) -> str:
    """A PNG inside the page."""
    data = base64.b64encode(image).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alternative)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _starts_with_number(text: str) -> bool:
    return text == "–" or text.lstrip("+−-")[:1].isdigit()
