"""Answer one prompt by a cascade: ask, judge the answer, and ask on where that is worth it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from routerlib.gather.calls.answers import Answer, Recording, answer, order_of_asking
from routerlib.gather.calls.asking import ListenerOf, Permit, heard_by_nobody
from routerlib.gather.calls.client import Clients
from routerlib.records.call import CandidateModel
from routerlib.records.decision import AFTER_DECISION, STEP, Decision
from routerlib.records.logprobs import kept_logprobs
from routerlib.records.messages import TOOL_CALLS
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    from routerlib.routers.cascades.cascade import Cascade
    from routerlib.routers.cascades.steps import Step
    from routerlib.routers.router import Router


def goes_on(router: object) -> Cascade | None:
    """Return the router where it is a cascade that may ask somebody after an answer; else None."""
    from routerlib.routers.cascades.cascade import Cascade

    if not isinstance(router, Cascade) or router.boldness_.share == 0 or router.most_calls == 1:
        return None
    return router


def without_steps(router: Router) -> Router:
    """Return the router that a cascade stands on; any other as it is.

    Parameters
    ----------
    router : Router
        A cascade or not.

    Returns
    -------
    Router
        It asks once.

    Examples
    --------
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> from routerlib.routers.baselines import BestSingle
    >>> router = BestSingle().fit(Outcomes(["a", "b"], ["small", "large"], [[0, 1], [1, 1]]))
    >>> without_steps(router) is router
    True
    """
    from routerlib.routers.cascades.cascade import Cascade

    return router.router if isinstance(router, Cascade) else router


async def answer_in_steps(
    prompt: Prompt,
    first: Decision,
    candidates: Sequence[CandidateModel],
    *,
    cascade: Cascade,
    clients: Clients,
    recording: Recording,
    how: Mapping[str, Any] | None = None,
    is_affordable: Callable[[CandidateModel], bool] = lambda candidate: True,
    listener_of: ListenerOf = heard_by_nobody,
    on_step: Callable[[Answer, Step], None] | None = None,
    permit: Permit | None = None,
    asked: Mapping[str, Any] | None = None,
) -> Answer:
    """Ask, judge, and ask on until an answer stands; every step is logged, and paid.

    Nothing is handed on before an answer stands: then all of it at once. A step that doesn't fit
    what is left of a budget or of the time isn't made; so much is paid as the answers really cost,
    and so much time has gone as they really took.

    `first`: the decision to begin with.
    `candidates`: who may be asked; one that gives no answer is replaced by the next best of them.
    `how`: how the cascade goes on, as of `Cascade.after`: `cost_weight` or `policy`, `task`,
        `latency_s` and `max_latency_s`.
    `is_affordable`: whether there is money for a further call, asked before each.
    `on_step`: told of each answer, and of how the cascade goes on after it.
    `asked`: as of `answer`.
    """
    had: list[Answer] = []
    decision, left, started = first, list(candidates), time.monotonic()
    while True:
        order = order_of_asking(decision, left)
        found = await answer(
            prompt,
            decision,
            order,
            clients=clients,
            recording=recording,
            permit=permit,
            asked=asked,
        )
        had.append(found)
        if (found.call.extra or {}).get(TOOL_CALLS):  # a step on the way, which nobody can judge
            return replace(found, beside=tuple(had[:-1]), stands="it calls a tool")
        tried = {call.candidate for call in (*found.failed, found.call)}
        left = [each for each in left if each.name not in tried]
        can = [each.name for each in left if is_affordable(each)]
        known = {**(how or {}), "among": can, "spent_s": time.monotonic() - started}
        step = await asyncio.to_thread(_after, cascade, prompt, had, known)
        if step is not None and on_step is not None:
            on_step(found, step)
        if step is None or step.stop or step.model not in can:
            break
        decision = as_further_step(step, found.decision_id)
    given = _given(had, step)
    listener = listener_of(given.call.candidate)
    if listener.on_thought is not None and given.thought:
        listener.on_thought(given.thought)
    if listener.on_text is not None and given.text:
        listener.on_text(given.text)
    return given


def as_further_step(step: Step, decision_id: int) -> Decision:
    """Return a step as it is logged: it rests on the answer under another decision.

    Parameters
    ----------
    step : Step
        Of a cascade, with somebody to ask.
    decision_id : int
        Number of the decision whose answer was looked at.

    Returns
    -------
    Decision
        Marked, so that off-policy values and training leave it out.
    """
    reason = f"{AFTER_DECISION}{decision_id}: {step.reason}"
    return replace(step, router_hash=STEP, reason=reason)


def _after(
    cascade: Cascade, prompt: Prompt, had: Sequence[Answer], how: Mapping[str, Any]
) -> Step | None:
    """Return how to go on; None where nobody said anything yet.

    `how`: as of `Cascade.after`.
    """
    known = set(cascade.models_)
    told = [each for each in had if each.is_answered and each.call.candidate in known]
    if not told:
        return None
    failed = [call for each in had for call in (*each.failed, each.call)]
    silent = [call.candidate for call in failed if call.candidate in known]
    answers: dict[str, str | None] = dict.fromkeys(silent)
    answers |= {each.call.candidate: each.text for each in told}
    numbers = {each.call.candidate: kept_logprobs(each.call.extra) for each in told}
    logprobs = {name: kept for name, kept in numbers.items() if kept}
    paid_usd = math.fsum(each.cost_usd for each in had)
    spent_usd = None if math.isnan(paid_usd) else paid_usd
    return cascade.after(prompt.text, answers, logprobs=logprobs, spent_usd=spent_usd, **how)


def _given(had: Sequence[Answer], step: Step | None) -> Answer:
    """Return the answer believed best, with what was had beside it."""
    if step is None:
        return had[-1]
    judged = dict(step.judged)
    told = [each for each in had if each.is_answered]
    best = max(told, key=lambda each: judged.get(each.call.candidate, 0.0))
    beside = tuple(each for each in had if each is not best)
    return replace(best, beside=beside, judged=judged, stands=step.reason)
