"""Write HTML. What stands in a text never becomes a tag: names are the user's."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from numbers import Integral, Number, Real
from string import Template

import pandas as pd

_MOST_ROWS = 200


def filled(name: str, **parts: str) -> str:
    """Return a template of the folder ``page`` with its parts, which are HTML, filled in."""
    return Template(part_of_page(name)).substitute(parts)


def part_of_page(name: str) -> str:
    """Return a file of the folder ``page``."""
    return (files("celltraj.pl._report") / "page" / name).read_text(encoding="utf-8")


def section(identity: str, title: str, parts: Iterable[str]) -> str:
    """Return a part of the page with a heading."""
    inner = "\n".join(parts)
    return f'<section id="{identity}">\n<h2>{escape(title)}</h2>\n{inner}\n</section>'


def heading(text: str) -> str:
    """Return the title of a part of a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str) -> str:
    """Return a text in sentences."""
    return f"<p>{escape(text)}</p>"


def bullets(texts: Iterable[str], kind: str = "plain") -> str:
    """Return a list."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{items}</ul>'


def picture(png: bytes, title: str) -> str:
    """Return a picture with what it shows."""
    shown = escape(title)
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    return f'<figure><img src="{source}" alt="{shown}"><figcaption>{shown}</figcaption></figure>'


def table(frame: pd.DataFrame, caption: str) -> str:
    """Return a table that sorts by the column whose head is clicked; the first 200 rows."""
    cut = f"; the first {_MOST_ROWS} of {len(frame):,} rows" if len(frame) > _MOST_ROWS else ""
    is_number = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    head = "".join(
        f'<th scope="col"{_kind(number)}><button type="button">{escape(str(name))}</button></th>'
        for name, number in zip(frame, is_number, strict=True)
    )
    shown = frame.head(_MOST_ROWS).astype(object)
    rows = "".join(f"<tr>{_row(row)}</tr>" for row in shown.itertuples(index=False, name=None))
    return (
        f'<div class="scrolls"><table class="sorts"><caption>{escape(caption + cut)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(values: Sequence[object]) -> str:
    return "".join(map(_cell, values))


def _cell(value: object) -> str:
    """Return a cell: a number in few digits, with all of them to sort by."""
    if value is None or value is pd.NA or value != value:
        return "<td></td>"
    if isinstance(value, Number) and not isinstance(value, bool):
        return f'<td class="number" data-value="{escape(str(value))}">{escape(number(value))}</td>'
    return f"<td>{escape(str(value))}</td>"


def _kind(is_number: bool) -> str:  # noqa: FBT001
    return ' class="number"' if is_number else ""


def number(value: object) -> str:
    """Return a number in few digits.

    Examples
    --------
    >>> from celltraj.pl._report.markup import number
    >>> number(50_000), number(0.123456), number(4.0)
    ('50,000', '0.1235', '4')
    """
    if isinstance(value, Integral):
        return f"{int(value):,}"
    return f"{float(value):.4g}" if isinstance(value, Real) else str(value)
