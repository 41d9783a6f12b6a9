"""The page: its frame, its style sheet, and the elements that sections are made of.

All text is escaped here and nowhere else: what comes in is text, what goes out is HTML. Nothing is
loaded from anywhere, and a content security policy forbids it to the browser as well.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "Section",
    "Table",
    "escape",
    "figure",
    "frame",
    "items",
    "paragraph",
    "table",
    "without_empty",
]

# Signs that HTML has no place for: controls but for tabs and line ends, and halves of pairs.
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LONG = 25
_WRAPPED = 26
_WIDE = 750


def escape(text: object) -> str:
    """Text as HTML, in an element or in an attribute."""
    return html.escape(_NO_TEXT.sub("\ufffd", str(text)), quote=True)


@dataclass(frozen=True)
class Section:
    """A section: the name that links lead to, its heading, and its HTML."""

    name: str
    heading: str
    body: str


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes
    ----------
    caption : str
    heads : sequence of str
        One for each column; all empty where the rows are names and values.
    rows : sequence of sequence of str
        The first cell of each names its row.
    text : int
        How many columns are text, from the left; the others are numbers.
    over : sequence of (str, int)
        A row of headings above ``heads``: each with the number of columns that it spans.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: int = 1
    over: Sequence[tuple[str, int]] = ()


def without_empty(t: Table) -> Table:
    """A table without the columns that say nothing in any row."""
    kept = [k for k in range(len(t.heads)) if k == 0 or any(row[k] for row in t.rows)]
    rows = [[row[k] for k in kept] for row in t.rows]
    return Table(t.caption, [t.heads[k] for k in kept], rows, t.text)


def table(t: Table, name: str) -> str:
    """A table in a box of its own, which scrolls where the table is too wide for the screen.

    Parameters
    ----------
    t : Table
    name : str
        Unique in the page.
    """
    words = [k < t.text for k in range(len(t.heads))]
    head = ""
    if not any(t.heads):
        return _boxed(t, name, "", words)
    if t.over:
        cells = "".join(
            f'<th scope="colgroup" colspan="{width}">{escape(label)}</th>'
            if label
            else f'<td colspan="{width}"></td>'
            for label, width in t.over
        )
        head = f"<tr>{cells}</tr>\n"
    head += "<tr>" + "".join(map(_head, t.heads, words)) + "</tr>"
    return _boxed(t, name, f"<thead>\n{head}\n</thead>\n", words)


def _boxed(t: Table, name: str, head: str, words: Sequence[bool]) -> str:
    body = "\n".join(_row(row, words) for row in t.rows)
    long, below = "", ""
    if len(t.rows) > _LONG:
        long = " long"
        below = f'\n<p class="below">Scroll in the table for all {len(t.rows)} rows.</p>'
    return (
        f'<div class="scroll{long}" role="region" aria-labelledby="{name}" tabindex="0">\n'
        f'<table>\n<caption id="{name}"><span>{escape(t.caption)}</span></caption>\n'
        f"{head}<tbody>\n{body}\n</tbody>\n</table>\n</div>{below}"
    )


def _head(label: str, words: bool) -> str:
    style = ' class="words"' if words else ""
    # A column of marks needs no heading; an empty th would be one without a name.
    return f'<th scope="col"{style}>{escape(label)}</th>' if label else "<td></td>"


def _row(row: Sequence[str], words: Sequence[bool]) -> str:
    cells = [f'<th scope="row"{_style(row[0], words=False)}>{escape(row[0])}</th>']
    for cell, text in zip(row[1:], words[1:], strict=True):
        cells.append(f"<td{_style(cell, words=text)}>{escape(cell)}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _style(cell: str, *, words: bool) -> str:
    """The class of a cell: text stands left, and wraps where it is long."""
    names = [*(["words"] if words else []), *(["wrap"] if len(cell) > _WRAPPED else [])]
    return f' class="{" ".join(names)}"' if names else ""


def paragraph(text: object, style: str = "") -> str:
    """A paragraph of text."""
    name = f' class="{style}"' if style else ""
    return f"<p{name}>{escape(text)}</p>"


def items(texts: Sequence[object]) -> str:
    """A list, an item for each text."""
    return "<ul>\n" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "\n</ul>"


def figure(uri: str, alt: str, caption: str, size: tuple[int, int], name: str) -> str:
    """A picture with what it says in words; on a narrow screen it can be enlarged.

    Parameters
    ----------
    uri : str
        The picture itself, as a data URI.
    alt : str
        What it shows.
    caption : str
    size : (int, int)
        Width and height in CSS pixels, so that nothing moves while the page is laid out.
    name : str
        Unique in the page.
    """
    wide = ' class="wide"' if size[0] > _WIDE else ""
    return (
        f'<figure>\n<input type="checkbox" id="{name}-larger"><label for="{name}-larger">enlarge '
        f'<span class="unseen">the picture: {escape(caption)}</span></label>\n'
        f'<div class="scroll picture" role="region" tabindex="0" aria-labelledby="{name}">'
        f'<img{wide} src="{escape(uri)}" alt="{escape(alt)}" width="{size[0]}" height="{size[1]}">'
        f'</div>\n<figcaption id="{name}">{escape(caption)}</figcaption>\n</figure>'
    )


def frame(title: str, lead: str, sections: Sequence[Section], foot: str) -> str:
    """The whole page.

    Parameters
    ----------
    title, lead, foot : str
        Text.
    sections : sequence of Section
    """
    links = "".join(f'<li><a href="#{s.name}">{escape(s.heading)}</a></li>' for s in sections)
    body = "\n".join(
        f'<section id="{s.name}" aria-labelledby="{s.name}-heading">\n'
        f'<h2 id="{s.name}-heading">{escape(s.heading)}</h2>\n{s.body}\n</section>'
        for s in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<meta name="generator" content="hiermodels">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
<footer><p>{escape(foot)}</p></footer>
</body>
</html>
"""


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --pale: #f6f8fa;
  --link: #0b4f8a; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; padding: 0 1rem 3rem; max-width: 62rem; background: #fff; color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { margin: 2rem 0 .25rem; font-size: 1.75rem; }
h2 { margin: 2.75rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line);
  font-size: 1.35rem; }
h3 { margin: 1.75rem 0 .5rem; font-size: 1.08rem; }
p, li, dd { max-width: 46rem; }
a { color: var(--link); }
.lead, figcaption, footer, .note, .below { color: var(--soft); }
.below { margin: .25rem 0 1.5rem; font-size: .85rem; }
.lead { margin-top: 0; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 1rem 0 0; padding: 0;
  list-style: none; }
nav a { display: inline-block; padding: .15rem 0; }
.verdict { padding: .6rem .9rem; border-left: .3rem solid; border-radius: .2rem; }
.good { border-color: #1a7f37; background: #eef8f0; }
.bad { border-color: #b42318; background: #fdf0ee; }
.symbols { padding: .9rem 1.1rem; border-radius: .3rem; background: var(--pale); font-size: 1.2rem;
  font-family: "STIX Two Text", Cambria, Georgia, "Times New Roman", serif; line-height: 1.9; }
.symbols p { margin: 0; }
sub { font-size: .72em; line-height: 0; }
dl.where { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; }
dl.where dt { font-family: Cambria, Georgia, "Times New Roman", serif; font-size: 1.1rem; }
dl.where dd { margin: 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll.long { max-height: 34rem; margin-bottom: 0; overflow-y: auto;
  border-bottom: 1px solid var(--line); }
.scroll:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
  line-height: 1.35; }
caption { padding: 0 0 .4rem; text-align: left; font-weight: 600; overflow-wrap: normal; }
/* In view also where the table is wider than the screen. */
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 2rem); }
th, td { padding: .28rem .7rem .28rem 0; text-align: right; vertical-align: top;
  white-space: nowrap; overflow-wrap: normal; }
th + th, th + td, td + td { padding-left: .35rem; }
tbody th, .words { text-align: left; }
tbody th { position: sticky; left: 0; min-width: 5rem; background: #fff; font-weight: 500; }
.wrap { min-width: 11rem; max-width: 30rem; white-space: normal; overflow-wrap: anywhere; }
thead { background: #fff; }
thead tr:last-child > * { border-bottom: 1.5px solid var(--ink); }
thead th { font-weight: 600; }
th[scope="colgroup"] { text-align: center; border-bottom: 1px solid var(--line);
  padding-left: .6rem; }
tbody tr + tr > * { border-top: 1px solid #eaeef2; }
.long thead { position: sticky; top: 0; z-index: 1; }
figure { margin: 1.5rem 0 2rem; }
figcaption { max-width: 46rem; font-size: .92rem; }
.picture { margin: 0 0 .4rem; }
.picture img { display: block; max-width: 100%; height: auto; }
figure input, figure label { display: none; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
pre { padding: .9rem 1.1rem; border-radius: .3rem; background: var(--pale); overflow-x: auto;
  font-size: .88rem; line-height: 1.5; overflow-wrap: normal; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
footer { margin-top: 3rem; font-size: .85rem; }
@media (max-width: 40rem) {
  h1 { font-size: 1.45rem; }
  figure { position: relative; }
  figure input, figure label { display: inline-block; vertical-align: middle; font-size: .9rem; }
  figure input { width: 1.1rem; height: 1.1rem; margin: 0 .4rem 0 0; }
  figure input:checked ~ .picture img { width: 52rem; max-width: none; }
  .wrap { min-width: 9rem; }
  .scroll.long { max-height: 75vh; }
}
@media print {
  @page { margin: 16mm 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h1, h2, h3, caption { break-after: avoid; }
  figure, tr, .symbols, .verdict, pre, .scroll:not(.long) { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll, .scroll.long, pre { overflow: visible; max-height: none; }
  pre { white-space: pre-wrap; }
  .long thead { position: static; }
  table { font-size: 8pt; }
  th, td { padding: 1.5pt 4pt 1.5pt 0; }
  tbody th { position: static; min-width: 0; }
  .wrap { min-width: 6rem; }
  figure input, figure label, .below { display: none; }
  /* Flat ones two to a page; what is wider on a screen has smaller letters, and needs the width. */
  .picture img { width: auto; max-width: 155mm; max-height: 230mm; }
  .picture img.wide { max-width: 100%; }
  a { color: inherit; text-decoration: none; }
}
"""
