"""Answer requests against one log: decide, ask, write; nothing is told before it is logged."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib.gather.calls.answers import (
    OVER_BUDGET,
    Answer,
    answer,
    instead,
    order_of_asking,
)
from routerlib.gather.calls.asking import ListenerOf, heard_by_nobody
from routerlib.gather.calls.budget import Budget
from routerlib.gather.calls.hedging import IS_HEARD, Hedge
from routerlib.gather.calls.steps import answer_in_steps, goes_on, without_steps
from routerlib.gather.candidates import abilities
from routerlib.gather.candidates.candidates import select_candidates
from routerlib.log.call_log import CallLog
from routerlib.log.writer import LogWriter
from routerlib.policies.input_costs import InputCost
from routerlib.records.call import FEEDBACK, OF_CONVERSATION, CandidateModel, Score
from routerlib.records.decision import CALLER, CONVERSATION, LATENCY_NAMES, Decision
from routerlib.records.prompt import Prompt
from routerlib.serve.caches import Caches, told_of_switch
from routerlib.serve.choosing import Exploration, decide
from routerlib.serve.connections import LimitedClients, check_capped, is_affordable
from routerlib.serve.conversations import Turn, conversation_of, earlier_turn, told_turn
from routerlib.serve.deadlines import Deadlines
from routerlib.serve.faults import Refused, refusing
from routerlib.serve.pairing import check_conversation
from routerlib.serve.recording import WriterRecording
from routerlib.serve.settings import Stickiness
from routerlib.serve.situations import in_situation
from routerlib.serve.spans import SpannedRecording, Spans
from routerlib.serve.wishes import Wish, with_parameters

if TYPE_CHECKING:
    from routerlib.routers.cascades.cascade import Cascade
    from routerlib.routers.router import Router
    from routerlib.serve.reloading import ReloadedRouter

logger = logging.getLogger("routerlib.serve")

# What of a request, beside its messages, a log needs to know what was asked.
_KEPT = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
# Longer texts are decided in a thread, so that nobody waits for them, and one after the other, so
# that their copies don't add up; for shorter ones handing over to a thread, and getting the
# interpreter back from it, would take longer than deciding.
_LONG_CHARACTERS = 20_000
_LAST_CALLS_S = 30.0
# A request with fewer messages goes on from nothing.
_LEAST_MESSAGES = 2
_FEEDBACK_ON = f"""
select call_id, candidate, status from calls
where decision_id = ? and {IS_HEARD}
order by call_id desc limit 1
"""


class Scored(NamedTuple):
    """What a verdict was about: who gave the answer, and how many answers it counts for."""

    model: str
    n_answers: int


class Service:
    """Everything that requests share: router, connections, log.

    `budget_usd`: cap on what the candidates' answers may cost until this service ends, US
        dollars.
    """

    def __init__(
        self,
        routing: ReloadedRouter,
        candidates: Sequence[CandidateModel],
        log: CallLog,
        *,
        exploration: Exploration | None = None,
        stickiness: Stickiness = "conversation",
        budget_usd: float | None = None,
        hedge: bool = False,
        spans: Spans | None = None,
    ) -> None:
        self.budget = Budget(budget_usd)
        self._spans = spans
        if budget_usd is not None:
            check_capped(candidates)
        self.routing = routing
        self.candidates = list(candidates)
        self._log = log
        self._exploration = exploration
        self._stickiness = stickiness
        self._hedges = hedge
        self._under_way: set[asyncio.Task[Any]] = set()
        self._long_texts = ThreadPoolExecutor(1, "long-texts")

    async def open(self) -> None:
        """Begin: one run in the log, connections, and local models that load meanwhile."""
        importlib.import_module("openai")  # a second or more, which the first to ask would wait
        known_as = {
            "candidates": {each.name: each.params_hash for each in self.candidates},
            "router_hash": self.routing.router.router_hash_,
            "explores": None if self._exploration is None else str(self._exploration),
            "stickiness": self._stickiness,
        }
        self._run_id = self._log.start_run("serve", known_as, self.budget.cap_usd)
        self._log.add_prices(self.candidates, self._run_id)
        self._reader = CallLog(self._log.path, read_only=True)
        self._deadlines = Deadlines(self._reader)
        self._caches = Caches(self._reader, self.candidates)
        self._writer = LogWriter(self._log)
        self._clients = LimitedClients(self.candidates, self.budget)
        for candidate in self.candidates:
            if candidate.provider == "local":
                self._start(self._warm_up(candidate))
        self.routing.start()

    async def close(self) -> None:
        """End: calls that nobody waits for any more may finish, then everything is closed."""
        self.routing.stop()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_LAST_CALLS_S)
            for task in late:
                logger.warning("a call was still under way when the server stopped")
                task.cancel()
        self._long_texts.shutdown(cancel_futures=True)
        self._caches.close()
        await self._clients.__aexit__(None, None, None)
        await asyncio.to_thread(self._writer.close)
        if self._spans:
            await asyncio.to_thread(self._spans.close)
        self._reader.close()

    async def decide(self, prompt: Prompt, cost_weight: float | None = None) -> Decision:
        """Return the router's decision on a prompt, as it is asked once; nothing is logged."""
        able = _able(self.candidates, prompt, {})
        return await self._decide(self.routing.router, prompt, Wish(cost_weight), able)

    async def _decide(
        self,
        router: Router,
        prompt: Prompt,
        wish: Wish,
        able: Sequence[CandidateModel],
        inputs: Mapping[str, InputCost] | None = None,
    ) -> Decision:
        by_price = sorted(able, key=lambda each: -each.price.output_usd_per_mtok)
        among = None if len(able) == len(self.candidates) else [each.name for each in by_price]
        arguments = (router, prompt, wish.cost_weight, self._exploration, among)
        choose = partial(
            decide,
            *arguments,
            haste=wish.haste,
            inputs=inputs,
            cascades=wish.cascades,
            time=self._time_of(wish),
        )
        with refusing(422):
            if len(prompt.text) > _LONG_CHARACTERS:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._long_texts, choose)
            return choose()

    async def ask(
        self,
        prompt: Prompt,
        wish: Wish,
        listener_of: ListenerOf = heard_by_nobody,
    ) -> Answering:
        """Decide and start to ask."""
        check_conversation(prompt.messages)
        router = self.routing.router
        if wish.cascades:
            _check_cascade(router)
        in_time = self._deadlines.keep(self.candidates, wish.haste.max_latency_s)
        if wish.model is not None:
            named = select_candidates(self.candidates, [wish.model])
            _able(named, prompt, wish.parameters)  # says what it lacks, whoever else could answer
        able = _able(in_time, prompt, wish.parameters)
        before = self._before(prompt, wish)
        prompt = in_situation(self._reader, prompt, wish.parameters, before)
        decision = await self._decision(router, prompt, wish, able, before)
        order = order_of_asking(decision, able if wish.model is None else named)
        order = [with_parameters(candidate, wish.parameters) for candidate in order]
        if not is_affordable(self.budget, order, prompt):
            raise _spent(self.budget)
        recording = WriterRecording(self._writer, self._run_id)
        spanned = self._spans and SpannedRecording(recording, self._spans, self.candidates)
        how: dict[str, Any] = {
            "clients": self._clients,
            "recording": spanned or recording,
            "listener_of": listener_of,
            "asked": {name: wish.parameters[name] for name in _KEPT if name in wish.parameters},
        }
        cascade = self._cascade(router, decision, wish)
        if cascade is None:
            work = answer(prompt, decision, order, hedge=self._hedge(decision), **how)
        else:
            rule = {"cost_weight": wish.cost_weight, "task": prompt.task, **self._time_of(wish)}
            how |= {"cascade": cascade, "how": rule, "is_affordable": self._is_affordable(prompt)}
            work = answer_in_steps(prompt, decision, order, **how)
        is_held_back = cascade is not None
        task = self._start(work)
        if spanned:
            task.add_done_callback(spanned.end)
        return Answering(task, recording, self.budget, is_held_back=is_held_back)

    def _hedge(self, decision: Decision) -> Hedge | None:
        """Return when a second is asked: where it is known how soon the chosen one begins."""
        begins_s = decision.estimates.get(decision.model, {}).get(LATENCY_NAMES[3])
        return Hedge(begins_s, self._start) if self._hedges and begins_s else None

    def _time_of(self, wish: Wish) -> dict[str, Any]:
        """Return what a cascade knows of a deadline that all its calls have to keep together."""
        most_s = wish.haste.max_latency_s
        if most_s is None or not wish.cascades:
            return {}
        return {"latency_s": self._deadlines.seconds(), "max_latency_s": most_s}

    def _is_affordable(self, prompt: Prompt) -> Callable[[CandidateModel], bool]:
        return lambda candidate: is_affordable(self.budget, [candidate], prompt)

    def _cascade(self, router: Router, decision: Decision, wish: Wish) -> Cascade | None:
        """Return who looks at answers; None = nobody does, as where a tool's call is the answer."""
        stays = decision.router_hash == CONVERSATION or bool(wish.parameters.get("tools"))
        return goes_on(router) if wish.cascades and not stays else None

    async def score(
        self, decision_id: int, score: float, rationale: str, *, is_of_conversation: bool = False
    ) -> Scored:
        """Store what somebody thinks of an answer, or of the conversation up to it.

        Then each complete answer of it is credited with that, calls of tools too.
        """
        found = self._reader.lookup(_FEEDBACK_ON, decision_id)
        if not found:
            raise Refused(404, f"no answer is logged under decision {decision_id}")
        call_id, candidate, status = found[0]
        if status != "ok":
            raise Refused(409, f"only a complete answer can be scored, this one is {status!r}")
        call_ids, verdict = [call_id], Score(FEEDBACK, score, rationale)
        if is_of_conversation:
            turns = await asyncio.to_thread(conversation_of, self._reader, decision_id)
            told = [row for turn in turns for row in self._reader.lookup(_FEEDBACK_ON, turn)]
            call_ids = [call for call, _, status in told if status == "ok"]
            verdict = Score(OF_CONVERSATION, score, rationale, {"decisions": turns[::-1]})

        def write(log: CallLog) -> None:
            for call in call_ids:
                log.add_scores(call, [verdict])

        with refusing(503):
            await asyncio.wrap_future(self._writer.submit(write))
        return Scored(str(candidate), len(call_ids))

    async def _decision(
        self,
        router: Router,
        prompt: Prompt,
        wish: Wish,
        able: Sequence[CandidateModel],
        before: Turn | None,
    ) -> Decision:
        stays = wish.model is None and (wish.continues or self._stickiness != "none")
        turn = before if stays else None
        inputs = await self._inputs(prompt, wish, turn)
        decision = await self._decide(router, prompt, wish, able, inputs)
        if wish.model is not None:
            reason = f"chosen by the caller; the router would have asked {decision.model}"
            return instead(decision, wish.model, reason, CALLER)
        if turn is None or turn.model not in {each.name for each in able}:
            return decision
        if self._stickiness == "cache":
            told = told_of_switch(decision.model, turn.model, inputs)
            return replace(decision, reason=decision.reason + told)
        reason = (
            f"the conversation stays with {turn.model}, which answered under decision "
            f"{turn.decision_id}; afresh {decision.model} would have been asked"
        )
        return instead(decision, turn.model, reason, CONVERSATION)

    async def _inputs(self, prompt: Prompt, wish: Wish, turn: Turn | None) -> dict[str, InputCost]:
        """Return what the input costs candidates, where a conversation's caches are weighed."""
        if self._stickiness != "cache" or wish.cascades or len(prompt.messages) < _LEAST_MESSAGES:
            return {}
        return await self._caches.inputs_meanwhile(prompt, wish.parameters, turn and turn.model)

    def _before(self, prompt: Prompt, wish: Wish) -> Turn | None:
        """Return the turn that a request goes on from, as it says, or as its messages do."""
        if wish.continues == "none":
            return None
        if wish.continues is not None and wish.model is None:
            return told_turn(self._reader, int(wish.continues))
        return earlier_turn(self._reader, prompt.messages)

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _warm_up(self, candidate: CandidateModel) -> None:
        try:
            await self._clients.client(candidate)
        except (ValueError, RuntimeError) as error:
            logger.error("%s can't be asked: %s", candidate.name, error)


class Answering:
    """A prompt that is being asked.

    `is_held_back`: whether nothing is handed on before the answer stands.
    """

    def __init__(
        self,
        task: asyncio.Task[Answer],
        recording: WriterRecording,
        budget: Budget,
        *,
        is_held_back: bool = False,
    ) -> None:
        self.task = task
        self.is_held_back = is_held_back
        self._recording = recording
        self._budget = budget

    async def decision_id(self) -> int:
        """Return the number of the decision once it is logged."""
        return await self._recording.decision_id()

    async def answered(self) -> Answer:
        """Return the answer."""
        with refusing(503):
            # Shielded: whoever stops waiting doesn't stop the call, which costs money anyway.
            answered = await asyncio.shield(self.task)
        if not answered.is_answered:
            told = [*answered.failed, answered.call]
            if all(call.error_type == OVER_BUDGET for call in told):
                raise _spent(self._budget)
            why = "; ".join(f"{c.candidate}: {c.status} {c.error or ''}".strip() for c in told)
            raise Refused(502, f"no candidate gave an answer: {why}")
        return answered


def _able(
    candidates: Sequence[CandidateModel], prompt: Prompt, parameters: Mapping[str, Any]
) -> list[CandidateModel]:
    """Return who can answer, or refuse."""
    try:
        return abilities.able(candidates, abilities.Request(prompt, parameters))
    except abilities.Unable as error:
        raise Refused(400, str(error), code="unable") from error


def _check_cascade(router: Router) -> None:
    if without_steps(router) is router:
        message = (
            f"the router in use is no cascade but {router.name!r}; train one with "
            "`routerlib train --cascade`, or ask for model 'router'"
        )
        raise Refused(422, message, param="model")


def _spent(budget: Budget) -> Refused:
    message = (
        f"the budget of {budget.cap_usd} US dollars has no room for this request: "
        f"{budget.spent_usd:.6f} are spent; start the server anew with a larger --budget-usd"
    )
    return Refused(402, message, code="insufficient_quota")
