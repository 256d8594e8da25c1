"""Read what a log holds of some prompts, and nothing of any other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from routerlib.log import queries
from routerlib.log.parts import Parts
from routerlib.log.sealed_tables import SealedSnapshot
from routerlib.records.decision import STEP

# Prompts whose calls are read at once.
_PROMPTS_AT_ONCE = 2000
# Where rows of each table are found; an index finds those of a view only where prompts are named.
_FOUND = {
    "calls": "from calls where prompt_id in ({marks})",
    "scores": (
        "from scores where call_id in (select call_id from calls where prompt_id in ({marks}))"
    ),
    "prompts": "from known_prompts where prompt_id in ({marks})",
}
# The decisions that `routerlib.log.counted.IS_FIRST` looks for, and all that it looks at of them.
_STEPS = f"select decision_id, router_hash from decisions where router_hash = '{STEP}'"


def readers_of(
    reader: queries.Reader,
    prompt_ids: Collection[str],
    columns: Mapping[str, Mapping[str, str]],
) -> Iterator[queries.Reader]:
    """Yield readers of a bounded number of prompts each, in turn of all; ``wanted`` names them.

    A file's index finds their rows; a dataset is read bucket by bucket, so that a query has to
    choose those that are wanted.

    `columns`: by table those that are read, each with what stands for it in SQLite's words; "" =
        itself.
    """
    import pandas as pd

    snapshot = reader.snapshot
    if isinstance(snapshot, SealedSnapshot):
        wanted = pd.DataFrame({"prompt_id": list(prompt_ids)}, dtype=object)
        for part in Parts(reader):
            part.add("wanted", wanted)
            yield part
        return
    reader.keep("decisions", _STEPS)
    for some in _batches(prompt_ids):
        marks = ", ".join("?" * len(some))
        for name, told in columns.items():
            found = snapshot.table(name).found(told, _FOUND[name].format(marks=marks), *some)
            reader.add(f"some_{name}", found)
            reader.stand(name, f"from some_{name}")
        reader.add("wanted", pd.DataFrame({"prompt_id": some}, dtype=object))
        yield reader


def _batches(prompt_ids: Collection[str]) -> Iterator[list[str]]:
    """Yield some thousand at a time; without any prompt, that there are none."""
    left = iter(prompt_ids)
    while some := list(islice(left, _PROMPTS_AT_ONCE)):
        yield some
    if not prompt_ids:
        yield []
