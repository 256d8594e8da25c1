"""Tell how the calls ended by which each candidate counts on each prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from routerlib.log import counted, queries
from routerlib.records.endings import broken_by
from routerlib.records.messages import TOOL_CALLS

if TYPE_CHECKING:
    import pandas as pd

# A call that a tool's log brought without its text, and a step to a tool, can't be judged.
_FURTHER = f"""finish_reason, error_type, output_tokens, response is not null
    and json_extract(extra, '$.{TOOL_CALLS}') is null as is_judgeable,"""
_ENDS = f"""
with {queries.PRICED}, {queries.JUDGED},
{counted.CURRENT.format(further=_FURTHER, ways=counted.WAYS)}
select prompt_id, candidate, bool_or(status = 'ok') as has_answer,
    bool_or(status = 'ok' and is_judgeable) as is_judgeable,
    bool_or(status in ('empty', 'refused')) as is_empty,
    bool_or(status = 'truncated') as is_truncated,
    max(output_tokens) filter (where status = 'truncated') as cut_tokens,
    max(finish_reason) filter (where status = 'truncated') as cut_by,
    max(error_type) filter (where status = 'truncated') as cut_error
from current group by prompt_id, candidate
"""


def cell_ends(source: queries.Source, judge: str | None = None) -> pd.DataFrame:
    """Return a row per prompt and candidate that was asked, by the calls that count there.

    What was asked in another way, such as with an earlier ``max_tokens``, is not among them.

    Parameters
    ----------
    source : Path or SealedLog
        The log.
    judge : str or None, default=None
        Whose scores count; None = the mean over judges.

    Returns
    -------
    DataFrame
        `prompt_id`, `candidate`; whether it `has_answer`, one that `is_judgeable`, or that
        `is_empty` or refused; whether one `is_cut` at its cap, with how many `cut_tokens` at
        most, or `is_broken` off otherwise, `cut_by` which word.
    """
    found = queries.run(source, _ENDS, parameters={"judge": judge})
    ends = zip(found.pop("cut_by"), found.pop("cut_error"), strict=True)
    words = [broken_by(*(each if isinstance(each, str) else None for each in end)) for end in ends]
    is_truncated = found.pop("is_truncated").eq(True)
    is_broken = is_truncated & (np.array(words, dtype=object) != "")
    return found.assign(cut_by=words, is_cut=is_truncated & ~is_broken, is_broken=is_broken)
