"""Say of a request what its messages don't: tools on offer, and what the steps before brought."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from routerlib.gather.calls.hedging import IS_HEARD
from routerlib.log.call_log import CallLog
from routerlib.records.prompt import Prompt
from routerlib.records.situations import Situation, Step
from routerlib.records.trajectories import is_condensed
from routerlib.serve.conversations import Turn

_CALLS = f"""
select candidate, status, input_tokens + output_tokens from calls
where decision_id = ? and {IS_HEARD} order by call_id
"""
_BEFORE = """
select prompts.extra from decisions join prompts using (prompt_id) where decision_id = ?
"""


def in_situation(
    log: CallLog, prompt: Prompt, parameters: Mapping[str, Any], before: Turn | None
) -> Prompt:
    """Return a prompt with its situation, where a decision sees more than its words.

    The turn before holds its own situation, so that nothing older has to be looked up.

    `before`: the turn that it goes on from; None = none that is known.
    """
    tools = parameters.get("tools")
    if not is_condensed(prompt.messages, has_tools=bool(tools)):
        return prompt
    steps, n_tokens = list[Step](), None
    if before is not None:
        ((extra,),) = log.lookup(_BEFORE, before.decision_id)
        earlier = Situation.read(json.loads(extra or "null"))
        steps += earlier.steps if earlier else ()
        for model, status, told in log.lookup(_CALLS, before.decision_id):
            steps.append(Step(model, status))
            n_tokens = told
    situation = Situation.of(tools, n_tokens, steps)
    situated = replace(prompt, extra={**(prompt.extra or {}), **situation.kept()})
    return situated
