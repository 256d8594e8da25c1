"""Check that a sealed dataset is whole: its files, its references, what can be derived again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

from routerlib.log import queries
from routerlib.log.check import COUNTED, MOST_COMPLAINTS, altered, check_log
from routerlib.log.parts import Parts
from routerlib.log.sealed import Manifest, SealedFile, SealedLog
from routerlib.log.sealed_tables import SealedSnapshot
from routerlib.records.files import sha256_of

# Rows that refer to a row of another table: of the same prompt, or of any.
_REFERENCES = (
    ("calls", "prompt_id", "prompts"),
    ("decisions", "prompt_id", "prompts"),
    ("scores", "call_id", "calls"),
)
_FURTHER_REFERENCES = (("calls", "decision_id", "decisions"), ("calls", "run_id", "runs"))
_LOST = """
select count(*) from {table} where {column} is not null
and {column} not in (select {column} from {parent})
"""


def check_dataset(log: SealedLog) -> list[str]:
    """Check a dataset and the logs that go on after it, without changing them.

    Every sealed file is compared with the size and the SHA-256 that it had when it was sealed;
    then references and prompts' identifiers are looked at, as in a log.
    """
    complaints = list(islice(_files(log), MOST_COMPLAINTS))
    if complaints:
        return complaints
    with closing(SealedSnapshot(log)) as snapshot:
        for tail in snapshot.tails:
            complaints += [f"{tail.path}: {each}" for each in check_log(tail.path)]
        rows = snapshot.table("prompts").batches(["prompt_id", "messages", "text", "extra"])
        texts = (zip(*(each.to_pylist() for each in batch.columns), strict=True) for batch in rows)
        complaints += altered(row for batch in texts for row in batch)
    with queries.opened(log) as reader:
        complaints += _counted(reader)
    return complaints


def _files(log: SealedLog) -> Iterator[str]:
    for file in Manifest.read(log.folder).files:
        if complaint := _complaint(log, file):
            yield f"the sealed file {file.path} {complaint}; restore it from a copy"


def _complaint(log: SealedLog, file: SealedFile) -> str | None:
    path = log.folder / file.path
    if not path.is_file():
        return "is not there"
    if (n_bytes := path.stat().st_size) != file.n_bytes:
        return f"has {n_bytes} bytes in place of {file.n_bytes}"
    return None if sha256_of(path) == file.sha256 else "was changed since it was sealed"


def _counted(reader: queries.Reader) -> Iterator[str]:
    found: Counter[str] = Counter()
    for part in Parts(reader):  # whole, a large log's would fill the memory
        found += _lost(part, _REFERENCES)
    found += _lost(reader, _FURTHER_REFERENCES)
    found += Counter({complaint: _n(reader, count) for complaint, count in COUNTED})
    for complaint, n in found.items():
        yield f"{n} {complaint}"


def _lost(reader: queries.Reader, references: Iterable[tuple[str, str, str]]) -> Counter[str]:
    return Counter(
        {
            f"rows of {table} refer to rows of {parent} that are not there": _n(
                reader, _LOST.format(table=table, column=column, parent=parent)
            )
            for table, column, parent in references
        }
    )


def _n(reader: queries.Reader, count: str) -> int:
    ((n,),) = reader.rows(count)
    return int(n)
