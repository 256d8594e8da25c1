"""What files of prompts have in common, read or written."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".jsonl", ".csv", ".parquet")
# Columns that hold JSON in a CSV file and a Parquet file, whose cells are plain.
JSON_COLUMNS = ("messages", "reference", "extra")


def check_suffix(path: Path) -> None:
    """Raise ValueError for a file of another format."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"prompts are stored as {', '.join(SUFFIXES)}, got {str(path)!r}")
