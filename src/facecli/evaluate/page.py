"""A page that stands alone: one HTML file without scripts, fonts or anything else from elsewhere.

All text that came from outside goes through :func:`text`, which makes it visible and harmless. The page forbids scripts
and every remote resource by its own policy as well, so that a slip there could not be used.

:class:`Html` is text that is HTML already; whatever takes it can't be handed a plain string by mistake.
"""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, NewType

from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Html = NewType("Html", str)
"""Safe to stand in a page as it is."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1c1c1e; --soft: #63666b; --line: #e2e2e5; --wash: #f6f6f7;
  --series-1: #0072b2; --series-2: #c25500; --series-3: #00855f; --series-4: #b0558a; --series-5: #b87d00;
  --series-6: #2b8fc9; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #141416; --ink: #ececee; --soft: #a6a8ad; --line: #313136; --wash: #1d1d20;
  --series-1: #56b4e9; --series-2: #e8803a; --series-3: #2bbd93; --series-4: #d994ba; --series-5: #e69f00;
  --series-6: #8fcdf2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main { max-width: 66rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; margin: 0 0 0.4rem; }
h2 { font-size: 1.2rem; font-weight: 650; margin: 3.5rem 0 0.5rem; }
h3 { font-size: 1rem; font-weight: 650; margin: 1.6rem 0 0.4rem; }
p { max-width: 44rem; margin: 0.5rem 0; }
.soft, figcaption, small { color: var(--soft); }
.notice { border-left: 3px solid var(--series-2); padding: 0.1rem 0 0.1rem 1rem; margin: 1.5rem 0; }
.stats { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.6rem, 1fr)); gap: 1px; margin: 1rem 0 0;
  border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.stats div { box-shadow: 0 0 0 1px var(--line); padding: 0.9rem 1rem; }
.stats dt { color: var(--soft); font-size: 0.85rem; }
.stats dd { margin: 0.15rem 0 0; font-size: 1.45rem; font-weight: 600; letter-spacing: -0.01em; line-height: 1.25; }
.stats dd + dd { font-size: 0.85rem; font-weight: 400; color: var(--soft); letter-spacing: 0; line-height: 1.4; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem 2rem;
  margin: 1rem 0; }
figure { margin: 1rem 0; min-width: 0; }
.figures figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: inherit !important; }
figcaption { font-size: 0.85rem; margin-top: 0.4rem; max-width: 44rem; }
.said { max-width: 46rem; padding-left: 1.2rem; }
.said li { margin: 0.35rem 0; }
.scroll { overflow-x: auto; margin: 0.8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; overflow-wrap: break-word; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 0.85rem; vertical-align: bottom; }
th, td { padding: 0.42rem 1.4rem 0.42rem 0; border-bottom: 1px solid var(--line); }
td { vertical-align: top; }
tbody th { color: var(--ink); font-size: inherit; vertical-align: top; }
.number { text-align: right; white-space: nowrap; }
.number:last-child { padding-right: 0; }
td small, tbody th small { display: block; font-size: 0.8rem; font-weight: 400; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); gap: 1.4rem 1.6rem;
  margin: 1rem 0; padding: 0; list-style: none; }
.faces { display: flex; gap: 4px; margin-bottom: 0.5rem; }
.faces img, .faces span { width: 50%; aspect-ratio: 1; border-radius: 5px; background: var(--wash); object-fit: cover; }
.faces span { display: grid; place-items: center; color: var(--soft); font-size: 0.8rem; text-align: center;
  padding: 0.4rem; }
.pairs b { font-weight: 600; }
.pairs small { display: block; line-height: 1.4; }
code { overflow-wrap: anywhere; font: 0.85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 0.85rem;
  color: var(--soft); }
@media print { main { padding: 0; } h2 { break-after: avoid; } figure, li, tr, .stats { break-inside: avoid; } }
"""


def text(value: str) -> Html:
    """Return text from anywhere as it may stand in a page or in a quoted attribute."""
    return Html(html.escape(visible(value), quote=True))


def joined(parts: Iterable[Html]) -> Html:
    """Put pieces one after the other."""
    return Html("\n".join(parts))


def element(tag: str, content: Html, *, kind: str = "") -> Html:
    """Return an element; ``kind`` is its class."""
    attribute = f' class="{kind}"' if kind else ""
    return Html(f"<{tag}{attribute}>{content}</{tag}>")


def paragraph(sentence: str, *, kind: str = "") -> Html:
    """Return a paragraph of plain text."""
    return element("p", text(sentence), kind=kind)


def heading(title: str, *, level: int = 2) -> Html:
    """Return a heading."""
    return element(f"h{level}", text(title))


def two_lines(value: str, below: str) -> Html:
    """Return a value with something smaller below it."""
    return Html(text(value) + (element("small", text(below)) if below else ""))


def stats(items: Iterable[tuple[str, str, str]]) -> Html:
    """Return the figures that matter most, as (what, value, below)."""
    cells = [
        f"<div><dt>{text(what)}</dt><dd>{text(value)}</dd><dd>{text(below)}</dd></div>" for what, value, below in items
    ]
    return Html('<dl class="stats">' + "".join(cells) + "</dl>")


def table(headings: Sequence[str], rows: Iterable[Sequence[Html]], *, numbers: Sequence[int] = ()) -> Html:
    """Return a table; the first cell of a row is its heading, and columns of numbers stand to the right."""

    def sort(column: int) -> str:
        return ' class="number"' if column in numbers else ""

    head = "".join(f'<th scope="col"{sort(column)}>{text(name)}</th>' for column, name in enumerate(headings))
    body = [
        "<tr>"
        + "".join(
            f"<td{sort(column)}>{cell}</td>" if column else f'<th scope="row"{sort(column)}>{cell}</th>'
            for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    ]
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return Html(f'<div class="scroll">{inner}</div>')


def figure(svg: str, *, told: str, caption: str = "") -> Html:
    """Return a figure; ``told`` says what is on it to those who can't see it."""
    drawn = svg.replace("<svg ", f'<svg role="img" aria-label="{text(told)}" ', 1)
    below = element("figcaption", text(caption)) if caption else ""
    return Html(f"<figure>{drawn}{below}</figure>")


def jpeg(content: bytes, *, told: str) -> Html:
    """Return a picture, the file in the page itself."""
    return Html(
        f'<img src="data:image/jpeg;base64,{base64.b64encode(content).decode()}" alt="{text(told)}" loading="lazy">'
    )


def document(title: str, body: Iterable[Html]) -> str:
    """Return the whole page."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="robots" content="noindex, noarchive">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{text(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )
