"""A report as one HTML page: texts are escaped, pictures are embedded, nothing is loaded from elsewhere."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Final

from ecg_advmask.files import in_file_name
from ecg_advmask.report.document import Block, Bullets, Cell, Code, Folded, Heading, Paragraph, Picture, Table

_STYLE: Final = """
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
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; border: 1px solid var(--line); }
figcaption { font-size: .88rem; color: #57606a; max-width: 46rem; }
pre, code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .85rem; }
pre { background: var(--soft); border: 1px solid var(--line); padding: .7rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; }
details { margin: .6rem 0; } summary { cursor: pointer; }
@media print { body { max-width: none; font-size: 10pt; } h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; } .scroll { overflow: visible; } figure img { max-height: 23cm; } }
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


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """One page that refers to nothing outside itself; a long one begins with a list of its sections."""
    sections = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    entries = "".join(f'<li><a href="#{_anchor(text)}">{escape(text)}</a></li>' for text in sections)
    contents = f'<nav aria-label="Contents"><ul>{entries}</ul></nav>' if len(sections) > 3 else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        + "\n".join([contents, *map(_html, blocks)])
        + "\n</main>\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            anchor = f' id="{_anchor(text)}"' if level == 2 else ""
            shown = f"<h{level}{anchor}>{escape(text)}</h{level}>"
        case Paragraph(text, notice):
            shown = f'<p class="banner">{escape(text)}</p>' if notice else f"<p>{escape(text)}</p>"
        case Bullets(items):
            shown = "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
        case Table():
            shown = _html_table(block)
        case Picture(_, image, caption, alternative):
            data = base64.b64encode(image).decode("ascii")
            shown = (
                f'<div class="wide"><figure><img src="data:image/png;base64,{data}" alt="{escape(alternative)}">'
                f"<figcaption>{escape(caption)}</figcaption></figure></div>"
            )
        case Code(text):
            shown = f"<pre>{escape(text)}</pre>"
        case Folded(title, blocks):
            content = "\n".join(map(_html, blocks))
            shown = f"<details><summary>{escape(title)}</summary>\n{content}\n</details>"
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
