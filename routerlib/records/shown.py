"""Objects that show themselves in a notebook: a line of words and a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from routerlib.records.text_table import UNKNOWN, plain_number

_MOST_ROWS = 20
_NUMBER = 'style="text-align:right"'
_TEXT = 'style="text-align:left"'


def shown_html(told: str, rows: Sequence[Mapping[str, object]] = ()) -> str:
    """Return a line and a table of some rows as HTML, all of it escaped; nothing in it is typeset.

    `rows`: by head of the column, alike in all rows; those after the twentieth are counted.

    >>> print(shown_html("2 < 3", [{"model": "small", "calls": 120.0}]))
    <div class="tex2jax_ignore mathjax_ignore"><p>2 &lt; 3</p><table><thead><tr>...
    """
    table = ""
    if rows:
        heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
        body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in rows[:_MOST_ROWS])
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    if len(rows) > _MOST_ROWS:
        table += f"<p>and {len(rows) - _MOST_ROWS} more</p>"
    return f'<div class="tex2jax_ignore mathjax_ignore"><p>{escape(told)}</p>{table}</div>'


def _cell(value: object) -> str:
    text = UNKNOWN if value is None else plain_number(value)
    return f"<td {_TEXT if isinstance(value, str | bool) else _NUMBER}>{escape(text)}</td>"
