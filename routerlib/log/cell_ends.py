"""Tell how the calls ended by which each candidate counts on some prompts."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.log import counted, queries
from routerlib.log.judging import IS_OF_NO_JUDGES_RUN
from routerlib.log.parts import ways_that_count
from routerlib.log.some_prompts import readers_of
from routerlib.records.endings import broken_by
from routerlib.records.messages import TOOL_CALLS

if TYPE_CHECKING:
    import pandas as pd

# Of an answer, a reference and further fields only what tells whether there is one, and whether a
# call is a step to a tool.
_COLUMNS = {
    "calls": {
        **dict.fromkeys(("prompt_id", "candidate", "params_hash", "status", "finish_reason"), ""),
        **dict.fromkeys(("error_type", "output_tokens", "run_id", "decision_id"), ""),
        "response": "iif(response is null, null, '')",
        "extra": f"""iif(
            json_type(extra, '$.{TOOL_CALLS}') is null, null, json_object('{TOOL_CALLS}', 1)
        )""",
    },
    "prompts": {"prompt_id": "", "reference": "iif(reference is null, null, '')", "source": ""},
}

# A call that a tool's log brought without its text, and a step to a tool, can't be judged. Prompts
# that a judge was asked are none of those that candidates count on, so the run is enough.
_ENDS = f"""
with told as (
    select *, response is not null and json_extract(extra, '$.{TOOL_CALLS}') is null as is_judgeable
    from calls semi join wanted using (prompt_id)
    where {IS_OF_NO_JUDGES_RUN} and {counted.IS_FIRST}
), ways as (from chosen_ways), current as ({counted.OF_WAYS})
select prompt_id, candidate, bool_or(status = 'ok') as has_answer,
    bool_or(status = 'ok' and is_judgeable) as is_judgeable,
    bool_or(status in ('empty', 'refused')) as is_empty,
    bool_or(status = 'truncated') as is_truncated,
    max(output_tokens) filter (where status = 'truncated') as cut_tokens,
    max(finish_reason) filter (where status = 'truncated') as cut_by,
    max(error_type) filter (where status = 'truncated') as cut_error
from current group by prompt_id, candidate
"""
_KINDS = """
select prompt_id, reference is not null as has_reference, source = 'serve' as is_served
from prompts semi join wanted using (prompt_id)
"""


class CellEnds(NamedTuple):
    """How the calls of some prompts ended.

    `cells`: a row per prompt and candidate that was asked: `prompt_id`, `candidate`; whether it
        `has_answer`, one that `is_judgeable`, or that `is_empty` or refused; whether one `is_cut`
        at its cap, with how many `cut_tokens` at most, or `is_broken` off otherwise, `cut_by` which
        word. `with_reference`: the prompts that have one. `served`: those that a server was sent.
    """

    cells: pd.DataFrame
    with_reference: set[str]
    served: set[str]


def cell_ends(
    source: queries.Source, prompt_ids: Collection[str], judge: str | None = None
) -> CellEnds:
    """Look up how the calls ended that count on some prompts, and nothing of any other.

    What was asked in another way, such as with an earlier ``max_tokens``, is not among them.

    Parameters
    ----------
    source : Path or SealedLog
        The log.
    prompt_ids : collection of str
        Prompts that candidates were asked.
    judge : str or None, default=None
        Whose scores choose the way that counts; None = the mean over judges.

    Returns
    -------
    CellEnds
    """
    import pandas as pd

    cells: list[pd.DataFrame] = []
    with_reference: set[str] = set()
    served: set[str] = set()
    with queries.opened(source) as reader:
        ways = ways_that_count(reader, judge)
        for some in readers_of(reader, prompt_ids, _COLUMNS):
            some.add("chosen_ways", ways)
            cells.append(some.frame(_ENDS))
            kinds = some.frame(_KINDS)
            with_reference.update(kinds.prompt_id[kinds.has_reference.eq(True)])
            served.update(kinds.prompt_id[kinds.is_served.eq(True)])
    found = pd.concat(cells, ignore_index=True)
    ends = zip(found.pop("cut_by"), found.pop("cut_error"), strict=True)
    words = [broken_by(*(each if isinstance(each, str) else None for each in end)) for end in ends]
    is_truncated = found.pop("is_truncated").eq(True)
    is_broken = is_truncated & (np.array(words, dtype=object) != "")
    told = found.assign(cut_by=words, is_cut=is_truncated & ~is_broken, is_broken=is_broken)
    return CellEnds(told, with_reference, served)
