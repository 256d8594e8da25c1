"""When a candidate is asked no more: its fault would meet every other prompt too."""

from __future__ import annotations

from routerlib.gather.calls import faults
from routerlib.gather.collection.plan import usd
from routerlib.gather.collection.result import Tally
from routerlib.records.call import Call

# Why a candidate is given up: at once, or as long as nothing came back.
_GIVE_UP = {
    "http_401": "its key was refused",
    faults.BAD_KEY: "its key was refused",
    faults.NO_CREDIT: "its account has no credit",
    faults.NO_MODEL: "its model is not there",
    faults.WRONG_ADDRESS: "its address is not there",
    faults.LONG_WAIT: "it asks for a longer wait than its max_wait_s allows",
    "redirect": "its address sends requests elsewhere",
}
_GIVE_UP_UNANSWERED = {
    "http_403": "its key was refused",
    "http_404": "its model or its address is not there",
    faults.UNSUPPORTED: "it can't be asked with these parameters",
}
# So many first prompts that fail in the same way tell what the others would do.
_TELLING_FAULTS = 3


def why_hopeless(tally: Tally, call: Call, is_old_fault: bool = False) -> str:
    """Say why the candidate of a logged call is to be asked no more; "" = go on.

    "Forbidden" and "not found" can also mean one prompt: they count as long as nothing came
    back. So do faults of the first prompts, and neither where a prompt fails that has failed in an
    earlier run, while the candidate has answered others.
    """
    has_answered = tally.statuses["ok"] > 0 or is_old_fault
    reasons = _GIVE_UP if has_answered else {**_GIVE_UP, **_GIVE_UP_UNANSWERED}
    why = reasons.get(call.error_type or "")
    n_same = tally.n_same_faults
    if not why and not is_old_fault and n_same >= _TELLING_FAULTS:
        why = f"its first {n_same} prompts all failed in the same way"
    return f"{why} ({call.error_type}: {call.error})" if why else ""


def why_too_dear(tally: Tally, most_usd: float) -> str:
    """Say why a candidate whose calls cost more than at most is to be asked no more; "" = go on.

    `most_usd`: US dollars that all its calls of this run were to cost at most.
    """
    if not tally.n_dearer or tally.spent_usd <= most_usd:
        return ""
    return (
        f"its calls have cost {usd(tally.spent_usd)} already, and all of them were to cost "
        f"{usd(most_usd)} at most; run the same command again to go on with it"
    )


def too_dear_for(left_usd: float, worst_usd: float) -> str:
    """Say why a call that may be dearer than its worst case doesn't fit into what is left."""
    return (
        f"{usd(max(left_usd, 0.0))} of the budget is left, and its next call could cost "
        f"{usd(worst_usd)}, as one before did; run the same command again with a higher budget"
    )
