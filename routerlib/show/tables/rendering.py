"""Turn frames into tables for readers: units in the heads, intervals in the cells."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from routerlib.records.text_table import UNKNOWN, aligned
from routerlib.show.words.numbers import (
    BELOW,
    closed,
    count,
    digits,
    percent,
    points,
    significant,
    unbroken,
    usd_per_1000,
)
from routerlib.show.words.prose import explain_words, untypeset

if TYPE_CHECKING:
    import pandas as pd

# From here on a cell needs a wide column to be read.
_LONG_CHARACTERS = 40
# From here on a cell needs more room than a word has.
_WORD_CHARACTERS = 12
# A longer word is broken where a table needs the room.
_UNBROKEN = 24
# What stays together of a word that is broken: a stretch of it, with the signs that follow.
_PIECE = re.compile(r"[^,;:/=&?}\])]{1,24}[,;:/=&?}\])]*|[,;:/=&?}\])]+")
# A number as it is written here, with its unit or interval; or unknown.
_NUMBER = re.compile(rf"[+-]?\d[\d.,e+-]*( ?%)?( \[.*\])?|{UNKNOWN}|{BELOW}|inf")

# How a column is called and written, where its name alone doesn't say it to a reader.
_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "model": ("candidate model", str),
    "candidate": ("candidate model", str),
    "quality": ("quality (0‑1)", digits),
    "expected_quality": ("expected quality (0‑1)", digits),
    "cost_usd": ("cost (US dollars per 1000 prompts)", usd_per_1000),
    "expected_cost_usd": ("expected cost (US dollars per 1000 prompts)", usd_per_1000),
    "total_usd": ("cost in all (US dollars)", significant),
    "expected_usd": ("expected cost (US dollars)", significant),
    "spent_usd": ("spent (US dollars)", significant),
    "worst_case_usd": ("cost in the worst case (US dollars)", significant),
    "cost_share": ("cost, share of best single", percent),
    "share": ("share of prompts", percent),
    "quality_difference": ("quality against best single (points)", points),
    "gain_over_zero": ("quality against random mixing at equal cost (points)", points),
    "AIQ": ("AIQ", digits),
    "APGR": ("APGR", digits),
    "CPT50": ("CPT(50 %), share of calls to the best single", percent),
    "CPT80": ("CPT(80 %), share of calls to the best single", percent),
    "regret saved": ("regret saved", digits),
    "missing to all labels": ("missing to all labels", digits),
    "better than random": ("better than random", digits),
    "further_usd_per_1000": ("further cost (US dollars per 1000 prompts)", significant),
    "gap_closed": ("gap to the oracle closed", closed),
    "regret": ("regret", digits),
    "ECE": ("ECE", digits),
    "Brier": ("Brier score", digits),
    "cost_at_equal_quality": ("cost at equal quality, share of best single", percent),
    "quality_at_equal_cost": ("quality at equal cost", digits),
    "quality_vs_first": ("quality, difference (points)", points),
    "AIQ_vs_first": ("AIQ, difference (points)", points),
    "APGR_vs_first": ("APGR, difference (points)", points),
    "Brier_vs_first": ("Brier score, difference (points)", points),
    "AIQ_vs_topic_table": ("AIQ against the topic table (points)", points),
    "n_train": ("training prompts", count),
    "n_test": ("held-out prompts", count),
    "n": ("prompts", count),
    "n_skipped": ("prompts skipped", count),
    "latency_p50_s": ("median seconds", significant),
    "latency_p95_s": ("95th percentile seconds", significant),
    "latency_p90_s": ("90th percentile seconds", significant),
    "in_time": ("share in time", percent),
}


@dataclass(frozen=True)
class Table:
    """A table that shows itself, in notebooks and pages alike.

    Parameters
    ----------
    heads : tuple of str
        Column heads.
    rows : tuple of tuple of str
        Cells as they are shown, not yet escaped.
    is_number : tuple of bool
        Which columns are set flush right.
    caption : str
        What the table shows.
    notes : tuple of str
        Lines under it, such as what its abbreviations mean.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_number: tuple[bool, ...]
    caption: str = ""
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Render with everything escaped; the region scrolls where the screen is narrow.

        Without rows only the caption is shown, saying that there are none.
        """
        if not self.rows and self.caption:
            return untypeset(f'<p class="caption">{escape(self.caption)}: none.</p>')
        classes = [self._class(column) for column in range(len(self.heads))]
        head = "".join(
            f'<th scope="col"{kind}>{escape(text)}</th>'
            for text, kind in zip(self.heads, classes, strict=True)
        )
        body = "".join(f"<tr>{_cells(row, classes)}</tr>" for row in self.rows)
        caption = f'<p class="caption">{escape(unbroken(self.caption))}</p>' if self.caption else ""
        label = escape(self.caption or "Table", quote=True)
        return untypeset(
            f'{caption}<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{self._noted()}"
        )

    def _noted(self) -> str:
        return f'<p class="notes">{escape("; ".join(self.notes))}.</p>' if self.notes else ""

    def _class(self, column: int) -> str:
        if self.is_number[column]:
            return ' class="number"'
        longest = max((len(row[column]) for row in self.rows), default=0)
        # Notebooks set cells flush right, unless a cell says otherwise; and on a phone they make
        # columns so narrow that rows become tall.
        is_long, width = longest > _LONG_CHARACTERS, ""
        if longest > _WORD_CHARACTERS:
            width = f";min-width:{12 if is_long else 6}rem"
        return ' class="long"' * is_long + f' style="text-align:left{width}"'

    def __str__(self) -> str:
        """Show as plain text, cells under each other; without rows only that there are none."""
        if not self.rows:
            return f"{self.caption or 'rows'}: none"
        return "\n".join([aligned(self.heads, self.rows, self.is_number), *self.notes])


def table(frame: pd.DataFrame, caption: str = "", columns: Sequence[str] | None = None) -> Table:
    """Make a frame readable.

    Parameters
    ----------
    frame : DataFrame
        A named index becomes the first column. Columns ``x_low`` and ``x_high`` are the interval
        of ``x`` and are shown in its cell. NaN is shown as a dash, never as 0. Abbreviations in
        the heads are explained under the table.
    caption : str, default=""
        What the table shows.
    columns : Sequence of str or None, default=None
        Columns to show, in this order; None = all.

    Returns
    -------
    Table

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     {"quality": [0.5], "quality_low": [0.4], "quality_high": [0.6], "cost_usd": [2e-5]},
    ...     index=pd.Index(["small"], name="model"),
    ... )
    >>> print(table(frame))
    candidate model         quality (0‑1)  cost (US dollars per 1000 prompts)
    small            0.500 [0.400, 0.600]                                0.02
    """
    shown = frame.reset_index() if frame.index.name else frame
    names = [str(name) for name in shown.columns if not _is_end(str(name), shown)]
    if columns is not None:
        names = [name for name in names if name in columns or name == frame.index.name]
        names.sort(key=lambda name: [frame.index.name, *columns].index(name))
    texts = [[_cell(name, row, shown) for name in names] for row in shown.to_dict(orient="records")]
    numeric = tuple(
        all(_NUMBER.fullmatch(row[column]) for row in texts) for column in range(len(names))
    )
    heads = tuple(_COLUMNS.get(name, (name.replace("_", " "), str))[0] for name in names)
    return Table(heads, tuple(map(tuple, texts)), numeric, caption, explain_words(*heads))


def _is_end(name: str, frame: pd.DataFrame) -> bool:
    return any(name.endswith(end) and name[: -len(end)] in frame for end in ("_low", "_high"))


def _cell(name: str, row: dict[Any, Any], frame: pd.DataFrame) -> str:
    text = _text(name, row[name])
    ends = [row.get(f"{name}{end}") for end in ("_low", "_high")]
    if text in (UNKNOWN, BELOW) or any(end is None or not math.isfinite(end) for end in ends):
        return text
    low, high = (_text(name, end).removesuffix(" %") for end in ends)
    return f"{text} [{'below 0' if low == BELOW else low}, {high}]"


def _text(name: str, value: Any) -> str:
    if value is None or (isinstance(value, Real) and not math.isfinite(value)):
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, Real) or (isinstance(value, Integral) and name not in _COLUMNS):
        return str(value)
    return _COLUMNS.get(name, (name, significant))[1](float(value))


def _cells(row: Sequence[str], classes: Sequence[str]) -> str:
    first, *rest = (
        f"<td{kind}>{_with_small_interval(text) if 'number' in kind else _breakable(text)}</td>"
        for text, kind in zip(row, classes, strict=True)
    )
    return first.replace("<td", '<th scope="row"', 1).replace("</td>", "</th>") + "".join(rest)


def _breakable(text: str) -> str:
    """Escape a text, and let what would widen a table for want of blanks go on in the next line.

    >>> _breakable("3 & 4"), _breakable('{"a":["b","c"],"d":"e&f"}, no more')[:45]
    ('3 &amp; 4', '{&quot;a&quot;:<wbr>[&quot;b&quot;,<wbr>&quot')
    """
    words = re.split(r"(\s+)", text)
    return "".join(
        "<wbr>".join(map(escape, _PIECE.findall(word))) if len(word) > _UNBROKEN else escape(word)
        for word in words
    )


def _with_small_interval(text: str) -> str:
    value, bracket, interval = text.partition(" [")
    return escape(value) + (
        f' <small style="white-space:nowrap">[{escape(interval)}</small>' if bracket else ""
    )
