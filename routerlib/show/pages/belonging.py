"""Tell which log and router a page is of, so that pages of different ones are not mixed up."""

from __future__ import annotations

import re
from html import escape, unescape
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.records.canonical import tagged_hash

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# Whatever writes the page may put a tag's attributes in another order.
_MARK = re.compile(r'<meta (?=[^>]*name="routerlib-log")[^>]*content="([^"]*)"')
_ROUTER = re.compile(r'<meta (?=[^>]*name="routerlib-router")[^>]*content="([^"]*)"')
# The mark stands in a page's head, before anything long.
_LOOKED_AT = 4_000


def mark_of(log: CallLog) -> str:
    """Return what marks pages of a log: its first prompt's identity and moment, and its name.

    A log only grows, so that this stays as it is; "" for a log without prompts.
    """
    birth = log.birth()
    return f"{tagged_hash(birth)} {log.path.name}" if birth else ""


def meta(mark: str, router: str = "") -> str:
    """Return the lines of a page's head that carry its mark, and the name of its router's file."""
    of_router = f'\n<meta name="routerlib-router" content="{escape(router)}">' if router else ""
    return f'<meta name="routerlib-log" content="{escape(mark)}">{of_router}'


def mark_in(page: Path) -> str:
    """Return the mark of a page; "" where there is none, or no page."""
    return _found_in(page, _MARK)


def router_in(page: Path) -> str:
    """Return the name of the file of a page's router; "" where it isn't told, or no page."""
    return _found_in(page, _ROUTER)


def _found_in(page: Path, wanted: re.Pattern[str]) -> str:
    if not page.is_file():
        return ""
    with page.open(encoding="utf-8", errors="replace") as stream:
        found = wanted.search(stream.read(_LOOKED_AT))
    return unescape(found[1]) if found else ""


def page_of(folder: Path, router: Path, *, is_own: bool) -> Path:
    """Return where the report of a router belongs: the index, or a page of its name beside it.

    `is_own`: whether the index is kept for this router, as for the project's own.
    """
    index = folder / "index.html"
    there = router_in(index)
    if is_own or there == router.name or not index.is_file():
        return index
    return folder / f"{router.stem}.html"


def pages_of(folder: Path, mark: str) -> list[str]:
    """Return the names of the notebooks' pages in a folder that are of this log."""
    pages = sorted(folder.glob("[0-9]*.html"))
    return [page.name for page in pages if mark and is_same(mark_in(page), mark)]


def is_same(one: str, other: str) -> bool:
    """Tell whether two marks are of one log, whatever its file is called."""
    return one.split(" ")[0] == other.split(" ")[0]


def refuse_other(page: Path, mark: str, router: str = "") -> None:
    """Raise ValueError where a page is the report of another log or router."""
    there, other = mark_in(page), router_in(page)
    if there and mark and not is_same(there, mark):
        raise ValueError(
            f"{page} is the report of another log, {there.partition(' ')[2]}; name another page "
            "with --out"
        )
    if other and router and other != router:
        raise ValueError(
            f"{page} is the report of another router, {other}; name another page with --out"
        )
