"""Answer one prompt for real: decide, ask, step by step where the router is a cascade, and log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from routerlib.gather.calls.answers import Answer, LogRecording, answer, instead, order_of_asking
from routerlib.gather.calls.asking import Listener, Permit
from routerlib.gather.calls.client import Clients
from routerlib.gather.calls.interruptible import run_interruptibly
from routerlib.gather.calls.steps import answer_in_steps, goes_on
from routerlib.gather.candidates.abilities import Request, able
from routerlib.policies.utility import NO_HASTE, Haste
from routerlib.records.call import CandidateModel
from routerlib.records.decision import CALLER, Decision
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.policies.policies import Policy
    from routerlib.routers.router import Router


def ask(
    prompt: str | Prompt,
    *,
    router: Router,
    candidates: Sequence[CandidateModel],
    log: CallLog,
    cost_weight: float | None = None,
    policy: Policy | None = None,
    task: str | None = None,
    haste: Haste = NO_HASTE,
    model: str | None = None,
    decision: Decision | None = None,
    fall_back: bool = True,
    on_text: Callable[[str], None] | None = None,
    on_thought: Callable[[str], None] | None = None,
    permit: Permit | None = None,
) -> Answer:
    """Route a prompt, ask the chosen candidate for real, and log both.

    Parameters
    ----------
    prompt : str or Prompt
        What to ask.
    router : Router
        Who decides.
    candidates : sequence of CandidateModel
        All that the router may choose.
    log : CallLog
        Where decision and calls are written.
    cost_weight : float or None, default=None
        Quality given up per US dollar saved; None = the router's own operating point.
    policy : policy or None, default=None
        Another rule, such as `routerlib.EpsilonGreedy`, whose exact probability of this choice is
        logged; not with `cost_weight`, nor with a decision that was made before. A cascade keeps
        to it at every step.
    task : str or None, default=None
        Known task; None = the prompt's own, or detected.
    haste : Haste, default=Haste()
        Quality given up per second saved, and a cap on seconds: as of `route`, where all are too
        slow, the quickest is asked. All steps of a cascade together keep to the cap, by what they
        really took and what further ones are expected to take. Not with a decision that was made
        before.
    model : str or None, default=None
        Ask this candidate, and no other, whatever the router says; logged as an override.
    decision : Decision or None, default=None
        A decision on this prompt that was made, and perhaps shown, before; None = decide now.
    fall_back : bool, default=True
        Where the chosen candidate gives no answer, ask the next best.
    on_text : callable or None, default=None
        Called with each part of the answer as it comes; of a cascade, with all of it once it
        stands.
    on_thought : callable or None, default=None
        Called with each part of what the candidate thinks, where its provider tells that apart
        from the answer; only beside `on_text`.
    permit : routerlib.gather.calls.asking.Permit or None, default=None
        Asked before each attempt, whoever it asks, and told what became of it, before anything is
        logged: so what was paid is known even where the log can't be written; None = no limit.

    Returns
    -------
    Answer
        Where every call failed it is an Answer too, with empty text and a typed status.

    Raises
    ------
    ValueError
        If the prompt is empty, the chosen model is no candidate, nobody can answer, or it is said
        twice how to decide.

    Examples
    --------
    >>> import routerlib as rl
    >>> router = rl.load_router("data/router_model.pkl")  # doctest: +SKIP
    >>> log = rl.CallLog("data/logs.db")  # doctest: +SKIP
    >>> ask("What is 17 * 23?", router=router, log=log).text  # doctest: +SKIP
    '391'
    """
    asked = Prompt.from_text(prompt, task=task) if isinstance(prompt, str) else prompt
    if decision is not None and policy is not None:
        raise ValueError("give a decision or the policy to make one, not both")
    if decision is not None and haste != NO_HASTE:
        raise ValueError("give a decision or the haste to make one in, not both")
    task = task or asked.task
    if decision is None:
        can = able(candidates, Request(asked, {}))
        among = None if len(can) == len(candidates) else [each.name for each in can]
        how: dict[str, Any] = {"cost_weight": cost_weight, "task": task, "among": among}
        decision = router.route(asked.text, policy=policy, haste=haste, **how)
        candidates = can if model is None else candidates
    if model is not None:
        why = f"chosen by the caller; the router would have asked {decision.model}"
        decision = instead(decision, model, why, CALLER)
    settled = decision
    order = order_of_asking(settled, candidates)
    run_id = log.start_run("ask", {"router_hash": settled.router_hash})
    log.add_prices(order, run_id)

    is_free = model is None and fall_back
    cascade = goes_on(router) if is_free else None
    listener = Listener(on_text, on_thought)

    async def answered() -> Answer:
        async with Clients() as clients:
            recording = LogRecording(log, run_id)
            if cascade is not None:
                return await answer_in_steps(
                    asked,
                    settled,
                    order,
                    cascade=cascade,
                    clients=clients,
                    recording=recording,
                    how={
                        "cost_weight": cost_weight,
                        "policy": policy,
                        "task": task,
                        "max_latency_s": haste.max_latency_s,
                    },
                    listener_of=lambda _: listener,
                    permit=permit,
                )
            return await answer(
                asked,
                settled,
                order if fall_back and model is None else order[:1],
                clients=clients,
                recording=recording,
                listener_of=lambda _: listener,
                permit=permit,
            )

    return run_interruptibly(answered())
