"""Look up how good the answers to some prompts are."""

from __future__ import annotations

from collections.abc import Collection

from routerlib.log import counted, queries
from routerlib.log.judging import IS_OF_NO_JUDGES_RUN
from routerlib.log.parts import ways_that_count
from routerlib.log.some_prompts import readers_of

_COLUMNS = {
    "calls": dict.fromkeys(
        ("call_id", "prompt_id", "candidate", "params_hash", "run_id", "decision_id"), ""
    ),
    "scores": dict.fromkeys(("score_id", "call_id", "judge", "score"), ""),
}
_QUALITY = f"""
with {queries.JUDGED}, told as (
    select calls.*, quality
    from calls semi join wanted using (prompt_id) join judged using (call_id)
    where {IS_OF_NO_JUDGES_RUN} and {counted.IS_FIRST}
), ways as (from chosen_ways), current as ({counted.OF_WAYS})
select prompt_id, candidate, avg(quality) as quality from current group by prompt_id, candidate
"""


def known_quality(
    source: queries.Source, prompt_ids: Collection[str], judge: str | None = None
) -> dict[tuple[str, str], float]:
    """Return the quality of each scored cell (prompt, candidate) of some prompts, in [0, 1].

    It is that of the outcomes of the whole log, of which no other prompt is read.

    `prompt_ids`: prompts that candidates were asked, or are to be. `judge`: whose scores count;
        None = the mean over judges.
    """
    known: dict[tuple[str, str], float] = {}
    with queries.opened(source) as reader:
        ways = ways_that_count(reader, judge)
        for some in readers_of(reader, prompt_ids, _COLUMNS):
            some.add("chosen_ways", ways)
            for prompt_id, candidate, quality in some.frame(_QUALITY, {"judge": judge}).itertuples(
                index=False
            ):
                known[prompt_id, candidate] = quality
    return known
