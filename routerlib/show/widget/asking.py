"""Ask candidate models for real from the playground, within a cap on the session's spending."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from routerlib.gather.calls.ask import ask
from routerlib.gather.calls.budget import Budget, capped, worst_cost_usd
from routerlib.gather.calls.steps import as_further_step
from routerlib.gather.candidates.candidates import select_candidates
from routerlib.records.call import PERSON, CandidateModel, Score, Usage
from routerlib.records.decision import Decision
from routerlib.records.logprobs import kept_logprobs
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import THOUGHT

if TYPE_CHECKING:
    from routerlib.gather.calls.answers import Answer
    from routerlib.log.call_log import CallLog
    from routerlib.routers.cascades.steps import Step
    from routerlib.routers.router import Router

# What a person sees as words instead of a traceback: wrong input, files, servers, the log.
EXPECTED_ERRORS = (ValueError, OSError, RuntimeError)


@dataclass
class Asked:
    """One candidate model that was asked, while the answer comes and afterwards.

    `thought`: what it thought before it answered, as far as its provider tells.
    `step`: what a cascade thinks of the answers so far, and how it goes on; None = it is none.
    `has_led_on`: whether that was done.
    `score`: the person's last verdict in [0, 1].
    """

    prompt: Prompt
    model: str
    is_choice: bool
    text: str = ""
    thought: str = ""
    answer: Answer | None = None
    step: Step | None = None
    has_led_on: bool = False
    problem: str = ""
    is_done: bool = False
    score: float | None = None

    @property
    def is_ratable(self) -> bool:
        """Whether it is a complete answer, which alone can have a score."""
        return self.answer is not None and self.answer.call.is_ok

    @property
    def may_lead_on(self) -> bool:
        """Whether a cascade would ask another one now, which wasn't done yet."""
        return self.is_done and self.step is not None and not (self.step.stop or self.has_led_on)


@dataclass
class Asking:
    """Ask, one round at a time; every answer comes in a thread of its own.

    What the router chose is logged as the router's decision, with the propensity that it had. Who
    is asked beside it or against it was chosen by a person: that is another decision, marked as
    the caller's, so that no estimate of what the router is worth takes it for a random choice.

    `log`: where calls, decisions and verdicts are written; None = nothing can be asked.
    `budget_usd`: cap on what this session may cost, US dollars; None = no cap.
    `goes_on`: whether a cascade asks on by itself after an answer of the router's choice; else it
        waits for `go_on`.
    """

    router: Router
    candidates: Sequence[CandidateModel]
    log: CallLog | None
    budget_usd: float | None
    asked: list[Asked] = field(default_factory=list)
    goes_on: bool = True
    on_change: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._budget = Budget(self.budget_usd)
        if self.budget_usd is not None:
            self.candidates = [capped(each) for each in self.candidates]
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self._how: Mapping[str, Any] = {}

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still coming."""
        return not all(each.is_done for each in self.asked)

    @property
    def spent_usd(self) -> float:
        """What the session has cost so far, US dollars; the worst case where that is unknown."""
        return self._budget.spent_usd

    def refusal(self, models: Sequence[str]) -> str:
        """Say why these candidate models can't be asked now; empty when they can."""
        if self.is_busy:
            return "An answer is still coming: wait for its end."
        if self.log is None:
            return "Asking needs a log to write to: rl.playground(router, log=log)."
        known = {each.name for each in self.candidates}
        for model in models:
            if model not in known:
                return (
                    f"How to call {model} is not known here: "
                    "pass candidates=rl.load_candidates('candidates.yaml')."
                )
        return "" if models else "Tick at least one candidate model to compare."

    def start(
        self,
        prompt: str,
        task: str | None,
        decision: Decision,
        models: Sequence[str],
        how: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a round, and come back at once.

        `how`: by what a cascade goes on, as of `Cascade.after`; None = the decision's cost weight.
        """
        with self._lock:  # two clicks must not both find nobody busy
            refusal = self.refusal(models)
            if refusal or self.log is None:
                return refusal
            asked_prompt = Prompt.from_text(prompt, task=task)
            self.asked = [Asked(asked_prompt, name, name == decision.model) for name in models]
            self._how = {"cost_weight": decision.cost_weight} if how is None else how
        self._threads = [
            threading.Thread(target=self._ask, args=(each, decision, self.log), daemon=True)
            for each in self.asked
        ]
        for thread in self._threads:
            thread.start()
        return ""

    def go_on(self) -> str:
        """Ask whom a cascade would ask next, and come back at once; say why where it can't be."""
        with self._lock:
            last = next((each for each in reversed(self.asked) if each.may_lead_on), None)
            if last is None or last.step is None or self.log is None:
                return "There is no answer after which another candidate would be asked."
            refusal = self.refusal([last.step.model])
            if refusal:
                return refusal
            following, decision = self._following(last)
        thread = threading.Thread(
            target=self._ask, args=(following, decision, self.log), daemon=True
        )
        self._threads.append(thread)
        thread.start()
        return ""

    def wait(self) -> None:
        """Wait until every answer of the round has come."""
        for thread in self._threads:
            thread.join()

    def rate(self, asked: Asked, score: float) -> str:
        """Write a person's verdict to the log."""
        if asked.answer is None or self.log is None or not asked.is_ratable:
            return "Ask first: a verdict needs a complete answer."
        try:
            self.log.add_scores(asked.answer.call_id, [Score(PERSON, score)])
        except EXPECTED_ERRORS as error:
            return f"The verdict was not logged: {error}"
        asked.score = score
        return f"Logged: {score:g} for {asked.model}, judged by a person."

    def worst_usd(self, prompt: str, models: Sequence[str]) -> float:
        """Bound from above what asking may cost, US dollars; those unknown are left out."""
        text = Prompt.from_text(prompt)
        return sum(worst_cost_usd(each, text) for each in self.candidates if each.name in models)

    def _ask(self, asked: Asked, decision: Decision, log: CallLog) -> None:
        """Ask one candidate model, and on where a cascade does; runs in a thread of its own."""
        while True:
            following = self._ask_one(asked, decision, log)
            self.on_change()
            if following is None:
                return
            asked, decision = following

    def _following(self, last: Asked) -> tuple[Asked, Decision]:
        """Put the next step of a cascade beside the answers so far."""
        assert last.step is not None
        assert last.answer is not None
        decision = as_further_step(last.step, last.answer.decision_id)
        following = Asked(last.prompt, last.step.model, is_choice=True)
        last.has_led_on = True
        self.asked.append(following)
        return following, decision

    def _ask_one(
        self, asked: Asked, decision: Decision, log: CallLog
    ) -> tuple[Asked, Decision] | None:
        """Ask one candidate model; return whom to ask next."""
        (candidate,) = select_candidates(self.candidates, [asked.model])
        try:
            self._ask_within_budget(asked, decision, candidate, log)
        except EXPECTED_ERRORS as error:
            asked.problem = f"{asked.model} was not asked: {error}"
            if asked.text:
                asked.problem = f"The answer of {asked.model} was not logged: {error}"
        finally:
            if asked.answer is None and not asked.problem:
                asked.problem = f"{asked.model}: an unexpected error, see the kernel's messages."
            with self._lock:  # nobody may find the round at its end between two steps
                asked.is_done = True
                leads_on = self.goes_on and asked.is_choice and asked.may_lead_on
                following = self._following(asked) if leads_on else None
        return following

    def _ask_within_budget(
        self, asked: Asked, decision: Decision, candidate: CandidateModel, log: CallLog
    ) -> None:
        def take(piece: str) -> None:
            asked.text += piece
            self.on_change()

        def take_thought(piece: str) -> None:
            asked.thought += piece
            self.on_change()

        permit = _Reserving(self._budget, self._lock, candidate, asked.prompt)
        if not permit.reserve():
            raise ValueError(self._too_dear(permit.worst_usd))
        try:
            asked.answer = ask(
                asked.prompt,
                router=self.router,
                candidates=self.candidates,
                log=log,
                decision=decision,
                model=None if asked.is_choice else asked.model,
                fall_back=False,  # a person asked this one; another's answer would mislead
                on_text=take,
                on_thought=take_thought,
                permit=permit,
            )
        finally:
            permit.release()
        call = asked.answer.call
        asked.text = asked.answer.text or asked.text
        asked.thought = str((call.extra or {}).get(THOUGHT) or asked.thought)
        asked.step = self._step_after(asked)
        if not call.is_ok:
            detail = f": {call.error.rstrip('.')}" if call.error else ""
            asked.problem = f"{call.candidate} gave no complete answer ({call.status}){detail}."

    def _step_after(self, asked: Asked) -> Step | None:
        """Return what a cascade thinks of an answer and of those before it; None = it is none."""
        from routerlib.routers.cascades.cascade import Cascade

        router, answer = self.router, asked.answer
        if not isinstance(router, Cascade) or answer is None or not answer.is_answered:
            return None
        before = [each for each in self.asked if each.has_led_on] if asked.is_choice else []
        had = {each.model: each.answer for each in [*before, asked] if each.answer}
        numbers = {name: kept_logprobs(each.call.extra) for name, each in had.items()}
        paid_usd = math.fsum(each.cost_usd for each in had.values())
        return router.after(
            asked.prompt.text,
            {name: each.text for name, each in had.items()},
            task=asked.prompt.task,
            logprobs={name: kept for name, kept in numbers.items() if kept},
            among=[each.name for each in self.candidates],
            spent_usd=None if math.isnan(paid_usd) else paid_usd,
            **self._how,
        )

    def _too_dear(self, worst_usd: float) -> str:
        return (
            f"it may cost up to {worst_usd:.2g} US dollars, and of the {self.budget_usd:g} that "
            f"this session may spend {self.spent_usd:.2g} are spent; pass a larger budget_usd, or "
            "ask a cheaper candidate"
        )


class _Reserving:
    """Reserve the worst case of each attempt, and charge it as soon as its outcome is known.

    It is charged where the attempt ends, not where its answer is logged: an answer is paid for
    even if the log can't be written. The lock is the session's, as others are asked meanwhile.
    """

    def __init__(
        self, budget: Budget, lock: threading.RLock, candidate: CandidateModel, prompt: Prompt
    ) -> None:
        self.worst_usd = worst_cost_usd(candidate, prompt)
        self._budget = budget
        self._lock = lock
        self._price = candidate.price
        self._is_reserved = False

    def reserve(self) -> bool:
        """Reserve the next attempt, unless that was done already; False where it doesn't fit."""
        with self._lock:
            self._is_reserved = self._is_reserved or self._budget.reserve(self.worst_usd)
        return self._is_reserved

    async def take(self) -> bool:
        """Return whether the next attempt may be made."""
        is_allowed, self._is_reserved = self.reserve(), False
        return is_allowed

    def settle(self, usage: Usage | None, is_turned_away: bool) -> None:
        """Charge what an attempt cost, or the worst case where nobody knows."""
        unknown_usd = 0.0 if is_turned_away else self.worst_usd
        cost_usd = unknown_usd if usage is None else self._price.cost_usd(usage)
        with self._lock:
            self._budget.settle(self.worst_usd, cost_usd)

    def release(self) -> None:
        """Give back what was reserved for an attempt that was never made."""
        with self._lock:
            if self._is_reserved:
                self._budget.settle(self.worst_usd, 0.0)
            self._is_reserved = False
