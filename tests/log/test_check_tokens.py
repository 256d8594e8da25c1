"""A log check tells calls whose tokens can't be."""

from __future__ import annotations

import pytest

from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, Usage
from routerlib.records.prompt import Prompt


@pytest.mark.parametrize(
    ("usage", "n_odd"), [(Usage(10, 5, 10, 5), 0), (Usage(4, 1, 10), 1), (Usage(4, 1, 0, 2), 1)]
)
def test_more_cached_or_thought_tokens_than_there_were_are_told(
    log: CallLog, usage: Usage, n_odd: int
) -> None:
    prompt = Prompt.from_text("1+1?")
    run_id = log.start_run("import", {})
    log.add_prompts([prompt])
    log.add_call(Call(prompt.prompt_id, "m", "b2:x", "ok", "2", usage), run_id)
    told = log.check()
    assert len(told) == n_odd
    assert all("1 calls of which more tokens were cached than came in" in line for line in told)
