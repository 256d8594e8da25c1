"""Answer one prompt: decide who is asked, ask, and log decision and call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from routerlib.candidates import select_candidates
from routerlib.clients import Clients
from routerlib.collect import run_interruptibly
from routerlib.types import Call, CandidateModel, Decision, Prompt

if TYPE_CHECKING:
    from routerlib.log import CallLog
    from routerlib.router import Router


# Stands for the router's hash where a person or a program chose the model, not a router.
CALLER = "caller"


@dataclass(frozen=True)
class Answer:
    """The answer to one prompt, and how it came about.

    Parameters
    ----------
    text : str
        The response; empty when the call failed.
    decision : Decision
        Who was chosen, and why.
    call : Call
        The logged request.
    cost_usd : float
        US dollars; NaN when the provider gave no token counts.
    call_id, decision_id : int
        Their numbers in the log.
    """

    text: str
    decision: Decision
    call: Call
    cost_usd: float
    call_id: int
    decision_id: int


def ask(
    prompt: str | Prompt,
    *,
    router: Router,
    candidates: Sequence[CandidateModel],
    log: CallLog,
    cost_weight: float | None = None,
    task: str | None = None,
    model: str | None = None,
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
        Where decision and call are written.
    cost_weight : float or None, default=None
        Quality given up per US dollar saved; None = the router's own operating point.
    task : str or None, default=None
        Known task; None = the prompt's own, or detected.
    model : str or None, default=None
        Ask this candidate whatever the router says; logged as an override.

    Returns
    -------
    Answer
        A failed call is an Answer too, with empty text and a typed status.

    Raises
    ------
    ValueError
        If the prompt is empty, the chosen model is no candidate, or its key is not set.
    RuntimeError
        If a local candidate can't be started.
    """
    asked = Prompt.from_text(prompt, task=task) if isinstance(prompt, str) else prompt
    decision = router.route(asked.text, cost_weight=cost_weight, task=task or asked.task)
    if model is not None:
        decision = _override(decision, model)
    (candidate,) = select_candidates(candidates, [decision.model])
    log.add_prompts([asked])
    run_id = log.start_run("ask", {"router_hash": decision.router_hash})
    log.add_prices([candidate], run_id)
    decision_id = log.add_decision(asked.prompt_id, decision, run_id)
    call = run_interruptibly(_call(candidate, asked, decision_id))
    call_id = log.add_call(call, run_id)
    cost_usd = float("nan") if call.usage is None else candidate.price.cost_usd(call.usage)
    return Answer(call.response or "", decision, call, cost_usd, call_id, decision_id)


async def _call(candidate: CandidateModel, prompt: Prompt, decision_id: int) -> Call:
    async with Clients() as clients:
        return await clients.call(candidate, prompt, decision_id=decision_id)


def _override(decision: Decision, model: str) -> Decision:
    known = decision.estimates.get(model, {})
    return replace(
        decision,
        model=model,
        expected_quality=known.get("quality", float("nan")),
        expected_cost_usd=known.get("cost_usd", float("nan")),
        propensity=1.0,
        reason=f"chosen by the caller; the router would have asked {decision.model}",
        router_hash=CALLER,
    )
