"""Find out which model a conversation started with, from the log alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from routerlib.gather.calls.hedging import IS_HEARD
from routerlib.log.call_log import CallLog
from routerlib.log.conversations import before_answer, is_answer
from routerlib.records.decision import GOES_ON_FROM
from routerlib.serve.faults import Refused

_ANSWERED = f"""
select candidate, decision_id, response, extra from calls
where prompt_id = ? and decision_id is not null and status in ('ok', 'truncated')
    and {IS_HEARD}
order by call_id desc
"""
_ASKED = """
select messages, reason from decisions join whole_prompts using (prompt_id)
where decision_id = ?
"""
_OF_DECISION = f"""
select candidate, decision_id, response from calls
where decision_id = ? and status in ('ok', 'truncated') and {IS_HEARD}
order by call_id desc limit 1
"""


class Turn(NamedTuple):
    """An earlier turn of a conversation."""

    model: str
    decision_id: int


def earlier_turn(log: CallLog, messages: Sequence[Mapping[str, Any]]) -> Turn | None:
    """Return the turn that these messages go on from.

    The messages up to the last answer in them are a prompt that was sent before, and the answer
    is what a candidate said to it: both stand in the log. So nothing has to be remembered, a
    restarted server and a second one on the same log know it too, and a client needn't tell.
    """
    found = before_answer(messages)
    if found is None:
        return None
    before, answer = found
    for model, decision_id, response, extra in log.lookup(_ANSWERED, before.prompt_id):
        if is_answer(answer, response, extra):
            return Turn(model, decision_id)
    return None


def conversation_of(log: CallLog, decision_id: int) -> list[int]:
    """Return the decisions of a conversation up to one of them, the last first.

    A turn goes on from the one that its reason names, or from the one whose answer its messages
    hold: also where another candidate had answered.
    """
    found = [decision_id]
    while True:
        told = log.lookup(_ASKED, found[-1])
        if not told:
            return found
        messages, reason = told[0]
        named = GOES_ON_FROM.search(reason)
        before = int(named[1]) if named else _before(log, messages)
        if before is None or before >= found[-1]:
            return found
        found.append(before)


def _before(log: CallLog, messages: str) -> int | None:
    turn = earlier_turn(log, json.loads(messages))
    return None if turn is None else turn.decision_id


def told_turn(log: CallLog, decision_id: int) -> Turn:
    """Return the turn that a client names by the number of its decision."""
    found = log.lookup(_OF_DECISION, decision_id)
    if not found:
        raise Refused(404, f"no answer is logged under decision {decision_id}")
    return Turn(*found[0][:2])
