"""Ask the chosen candidate, the next best where it fails, and log decision and calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from routerlib.gather.calls.asking import ListenerOf, NotAsked, Permit, heard_by_nobody
from routerlib.gather.calls.client import Clients
from routerlib.gather.calls.hedging import HEARD, HEDGED, UNHEARD, Hedge, Stage, race
from routerlib.gather.candidates.candidates import select_candidates
from routerlib.policies.utility import utility
from routerlib.records.call import Call, CandidateModel
from routerlib.records.decision import Decision
from routerlib.records.messages import n_characters
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import THOUGHT

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# A refusal or a cut answer is the candidate's answer; these give the asker nothing at all.
_NO_ANSWER = ("error", "timeout", "empty")
_MAX_ERROR_CHARS = 500
_LONG_CHARACTERS = 1_000_000
# The kind of fault of a call that was never made, since the money for it wasn't there.
OVER_BUDGET = "over_budget"
# The same, since another was heard first; such a call is not logged.
_UNNEEDED = "unneeded"


@dataclass(frozen=True)
class Answer:
    """The answer to one prompt, and how it came about.

    Parameters
    ----------
    text : str
        The response; empty when every call failed.
    decision : Decision
        Who was chosen, and why.
    call : Call
        The last logged request; its candidate is who answered.
    cost_usd : float
        US dollars of that call; NaN when the provider gave no token counts.
    call_id, decision_id : int
        Their numbers in the log.
    failed : tuple of Call, default=()
        Requests before it that gave no answer, in order.
    beside : tuple of Answer, default=()
        What a cascade was told besides, in the order of asking; all of it was paid.
    judged : mapping of str to float, default={}
        What a cascade expects of each answer, in [0, 1], by candidate; empty = no cascade.
    stands : str, default=""
        Why a cascade asked nobody else.
    hedged : str, default=""
        Who was asked beside it, since the first was slow to begin, and wasn't heard; that call is
        paid, and logged once it ends.
    """

    text: str
    decision: Decision
    call: Call
    cost_usd: float
    call_id: int
    decision_id: int
    failed: tuple[Call, ...] = field(default=())
    beside: tuple[Answer, ...] = field(default=())
    judged: Mapping[str, float] = field(default_factory=dict)
    stands: str = ""
    hedged: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether a candidate had something to say, be it cut short or a refusal."""
        return _is_answer(self.call)

    @property
    def thought(self) -> str:
        """What the candidate thought before it answered; empty = nothing is known of it."""
        known = (self.call.extra or {}).get(THOUGHT)
        return known if isinstance(known, str) else ""

    @property
    def total_usd(self) -> float:
        """US dollars of all answers that were had; NaN where one's are unknown."""
        return math.fsum([self.cost_usd, *(each.cost_usd for each in self.beside)])


class Recording(Protocol):
    """Where decisions and calls are written; each is on the disk once it is awaited."""

    async def add_decision(self, prompt: Prompt, decision: Decision) -> int:
        """Store a decision and its prompt and return the decision's number."""

    async def add_call(self, call: Call) -> int:
        """Store a call and return its number."""


@dataclass(frozen=True)
class LogRecording:
    """Write straight to a log."""

    log: CallLog
    run_id: int

    async def add_decision(self, prompt: Prompt, decision: Decision) -> int:
        """Store a decision and its prompt and return the decision's number."""
        with self.log.transaction():
            self.log.add_prompts([prompt])
            return self.log.add_decision(prompt.prompt_id, decision, self.run_id)

    async def add_call(self, call: Call) -> int:
        """Store a call and return its number."""
        return self.log.add_call(call, self.run_id)


async def answer(
    prompt: Prompt,
    decision: Decision,
    order: Sequence[CandidateModel],
    *,
    clients: Clients,
    recording: Recording,
    listener_of: ListenerOf = heard_by_nobody,
    permit: Permit | None = None,
    asked: Mapping[str, Any] | None = None,
    hedge: Hedge | None = None,
) -> Answer:
    """Ask one candidate after the other until one answers; decision and every call are logged.

    Once a candidate has begun to speak no other is asked: two answers don't make one. A call of a
    tool is a beginning only where somebody hears it.

    `order`: whom to ask, see `order_of_asking`; at least one.
    `asked`: what of the request each call's `extra` keeps beside the messages.
    `hedge`: when the second in the order is asked beside a first that is slow to begin; with
        somebody who hears it. None = never.
    """
    recorded = asyncio.ensure_future(recording.add_decision(prompt, decision))
    if sum(map(n_characters, prompt.messages)) > _LONG_CHARACTERS:
        await recorded  # the copies that writing and sending take don't add up
    stage = Stage(listener_of)

    async def ask(candidate: CandidateModel) -> Call:
        return await _call(clients, candidate, prompt, permit, stage)

    async def record(call: Call, **told: str) -> Call:
        extra = {**(call.extra or {}), **(asked or {}), **told} or None
        call = replace(call, decision_id=await recorded, extra=extra)
        call_ids.append(await recording.add_call(call))
        return call

    call_ids: list[int] = []
    left, calls, beside = list(order), list[Call](), ""
    if hedge is not None and len(left) > 1 and listener_of(left[0].name).on_text is not None:
        calls, beside = await _hedged(left[:2], stage, hedge, ask, record)
        left = left[2 if beside else 1 :]
    while left and not (calls and (_is_answer(calls[-1]) or stage.heard)):
        calls.append(await record(await ask(left.pop(0))))
    *failed, call = calls
    (who,) = [each for each in order if each.name == call.candidate]
    cost_usd = math.nan if call.usage is None else who.price.cost_usd(call.usage)
    return Answer(
        call.response or "",
        decision,
        call,
        cost_usd,
        call_ids[-1],
        await recorded,
        tuple(failed),
        hedged=beside,
    )


async def _hedged(
    pair: Sequence[CandidateModel],
    stage: Stage,
    hedge: Hedge,
    ask: Callable[[CandidateModel], Awaitable[Call]],
    record: Callable[..., Awaitable[Call]],
) -> tuple[list[Call], str]:
    """Ask one, or two; return the calls that are logged, the one that counts last, and who else."""
    call, other = await race(pair, stage, hedge.after_s, ask, _is_answer)
    if other is None:
        return [await record(call)], ""

    async def log_other() -> list[Call]:
        unheard = await other
        is_made = unheard.error_type != _UNNEEDED
        return [await record(unheard, **{HEDGED: UNHEARD})] if is_made else []

    logged = []
    if other.done():
        logged = await log_other()
    else:
        hedge.keep(log_other())
    logged.append(await record(call, **{HEDGED: HEARD}))
    return logged, next(each.name for each in pair if each.name != call.candidate)


def _is_answer(call: Call) -> bool:
    return call.status not in _NO_ANSWER


def order_of_asking(
    decision: Decision, candidates: Sequence[CandidateModel]
) -> list[CandidateModel]:
    """Return the chosen candidate, and after it the others, the next best first."""
    (chosen,) = select_candidates(candidates, [decision.model])

    def rank(candidate: CandidateModel) -> tuple[bool, float, float]:
        utility = _utility(decision, candidate.name)
        is_unknown = math.isnan(utility)
        return is_unknown, -math.inf if is_unknown else -utility, -_usd_per_mtok(candidate)

    others = [candidate for candidate in candidates if candidate.name != chosen.name]
    return [chosen, *sorted(others, key=rank)]


def instead(decision: Decision, model: str, reason: str, router_hash: str) -> Decision:
    """Return a certain decision for another model, keeping the router's estimates."""
    known = decision.estimates.get(model, {})
    return replace(
        decision,
        model=model,
        expected_quality=known.get("quality", math.nan),
        expected_cost_usd=known.get("cost_usd", math.nan),
        propensity=1.0,
        reason=reason,
        router_hash=router_hash,
    )


async def _call(
    clients: Clients,
    candidate: CandidateModel,
    prompt: Prompt,
    permit: Permit | None,
    stage: Stage,
) -> Call:
    """Ask; a missing key, local model or money is a failed call too."""
    try:
        return await clients.call(
            candidate,
            prompt,
            listener=stage.listener(candidate.name),
            permit=permit,
            is_wanted=lambda: stage.may_be_heard(candidate.name),
        )
    except NotAsked:
        if not stage.may_be_heard(candidate.name):
            return _never_made(candidate, prompt, _UNNEEDED, "another was heard before it was sent")
        return _never_made(candidate, prompt, OVER_BUDGET, "the budget has no room for it")
    except (ValueError, RuntimeError) as error:
        return _never_made(candidate, prompt, "unavailable", str(error))


def _never_made(candidate: CandidateModel, prompt: Prompt, kind: str, why: str) -> Call:
    return Call(
        prompt_id=prompt.prompt_id,
        candidate=candidate.name,
        params_hash=candidate.params_hash,
        status="error",
        error_type=kind,
        error=" ".join(why.split())[:_MAX_ERROR_CHARS],
    )


def _utility(decision: Decision, name: str) -> float:
    known = decision.estimates.get(name)
    if known is None:
        return math.nan
    return utility(known["quality"], known["cost_usd"], decision.cost_weight)


def _usd_per_mtok(candidate: CandidateModel) -> float:
    return candidate.price.output_usd_per_mtok
