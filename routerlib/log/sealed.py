"""What a sealed dataset is: a folder of Parquet files and the one list of those that count.

A file that the manifest doesn't name does not exist for a reader, whatever a kill has left behind;
the manifest is replaced whole. Each log keeps the numbers of its rows: those of the first are as
they were, those of each further one are moved by `STRIDE`, so that none is given twice.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from routerlib.log.schema import VERSION, LogError
from routerlib.records.files import write_atomically

MANIFEST = "sealed.json"
_FORMAT = 1

# More rows than a table of one log will have.
STRIDE = 1 << 40
# Columns that hold the number of a row.
NUMBERS = frozenset(
    ("call_id", "score_id", "decision_id", "run_id", "price_id", "fact_id", "start_id")
)
# Calls that are another log's calls too: an import of the same rows, kept once.
SAME_CALLS = "same_calls"

# What tells one row of a table from another log's row at the same place, beside its time.
_TELLING = {
    "prompts": "prompt_id",
    "prompt_facts": "prompt_id",
    "runs": "kind",
    "prices": "candidate",
    "decisions": "prompt_id",
    "starts": "prompt_id",
    "calls": "prompt_id",
    "scores": "call_id",
}


class SealedLog(NamedTuple):
    """A dataset and the logs that go on after it.

    `folder`: of the dataset. `tails`: SQLite files; None = those that it was sealed from.
    """

    folder: Path
    tails: tuple[Path, ...] | None = None

    def __str__(self) -> str:
        return str(self.folder)


class SealedFile(NamedTuple):
    """One Parquet file: its path within the folder, rows, size and SHA-256."""

    path: str
    rows: int
    n_bytes: int
    sha256: str

    @property
    def table(self) -> str:
        """Table that its rows are of."""
        return self.path.partition("/")[0]


@dataclass
class Source:
    """A log of which a dataset holds the beginning.

    `name`: of its file. `path`: from the dataset's folder, where it was when it was sealed last.
    `birth`: what tells its first prompt. `marks`: by table, the row up to which it is sealed, and
    what tells that row. `is_whole`: nothing had been logged after the marks.
    """

    name: str
    path: str
    birth: list
    marks: dict[str, list] = field(default_factory=dict)
    is_whole: bool = False

    def mark(self, table: str) -> int:
        """Return the number of a table's last row that is sealed; 0 = none."""
        return self.marks[table][0] if table in self.marks else 0


@dataclass
class Manifest:
    """The list of what a dataset holds.

    `n_buckets`: parts of each day, by a hash of the prompt's identifier.
    """

    n_buckets: int
    sources: list[Source] = field(default_factory=list)
    files: list[SealedFile] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a folder."""
        path = folder / MANIFEST
        try:
            told = json.loads(path.read_bytes())
            known = told["format"], told["schema"]
            if known[0] > _FORMAT or known[1] > VERSION:
                raise LogError(
                    f"{path} has format {known[0]} and schema {known[1]}, this routerlib knows up "
                    f"to {_FORMAT} and {VERSION}; update routerlib to read it"
                )
            return cls(
                told["n_buckets"],
                [Source(**each) for each in told["sources"]],
                [SealedFile(*each) for each in told["files"]],
            )
        except FileNotFoundError as error:
            raise LogError(
                f"{folder} is a folder without {MANIFEST}: no sealed dataset; name the file of a "
                "log, or make a dataset with `routerlib log compact`"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise LogError(
                f"{path} can't be read: {error!r}; restore the dataset from a copy"
            ) from error

    def write(self, folder: Path) -> None:
        """Replace the manifest of a folder; what it names must be on the disk."""
        told = {"format": _FORMAT, "schema": VERSION, **asdict(self)}
        write_atomically(folder / MANIFEST, (json.dumps(told, indent=1) + "\n").encode())
        to_disk(folder)

    def of_table(self, table: str) -> list[SealedFile]:
        """Return the files of a table, in the order in which they were sealed."""
        return [each for each in self.files if each.table == table]


def is_dataset(path: Path) -> bool:
    """Tell whether a log is named by the folder of a sealed dataset."""
    return path.is_dir()


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def first_number(number: int) -> int:
    """Return what was added to the numbers of the log that a row came from.

    What such a row says of other rows in words or JSON is in that log's own numbers.

    >>> first_number(12), first_number(STRIDE + 12) == STRIDE
    (0, True)
    """
    return number - number % STRIDE


def telling(table: str) -> str:
    """Return the SQLite columns that tell a row from one of another log."""
    return f"{_TELLING[table]}, created_at"
