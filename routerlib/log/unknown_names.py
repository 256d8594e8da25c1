"""Say which tables and columns there are, where a query asks for one that isn't."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

_NO_TABLE = re.compile(r"Table with name (\w+) does not exist")
_NO_COLUMN = re.compile(r'column "(\w+)" not found|not have a column named "(\w+)"')


def unknown_name(complaint: str, tables: Mapping[str, Any]) -> str | None:
    """Say which names there are, the nearest first, where DuckDB doesn't know one."""
    if unknown := _NO_TABLE.search(complaint):
        return _suggested("table", unknown.group(1), set(tables))
    if unknown := _NO_COLUMN.search(complaint):
        columns = {column for table in tables.values() for column in _columns(table)}
        return _suggested("column", unknown.group(1) or unknown.group(2), columns)
    return None


def _suggested(kind: str, unknown: str, known: set[str]) -> str | None:
    near = get_close_matches(unknown.lower(), sorted(known), n=1)
    if not near:
        return None
    return (
        f"there is no {kind} {unknown!r}, did you mean {near[0]}? There are "
        f"{', '.join(sorted(known))}"
    )


def _columns(table: Any) -> list[str]:
    return list(getattr(table, "column_names", None) or table.columns)
