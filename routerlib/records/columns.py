"""Which columns of a file were named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from routerlib.records.brief import brief


def check_there(path: Path, found: Iterable[Any], columns: Mapping[str, str]) -> None:
    """Raise ValueError for a named column that the file doesn't have."""
    there = sorted({str(name) for name in found})
    for ours, theirs in columns.items():
        if theirs not in there:
            near = get_close_matches(theirs, there, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{path}: there is no column {theirs!r} for {ours!r} in {brief(there)}{meant}"
            )
