"""The playground's logic: a prompt, a policy, what is known, and what the router makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from routerlib.features.tasks import detect_task
from routerlib.gather.candidates.candidates import default_candidates
from routerlib.policies.utility import Haste
from routerlib.records.call import CandidateModel
from routerlib.records.decision import Decision, Estimates
from routerlib.routers.explanation.why import is_explainable, runner_up, why
from routerlib.show.widget.asking import EXPECTED_ERRORS, Asked, Asking
from routerlib.show.widget.known import KnownPrompts
from routerlib.show.widget.slider import (
    Flip,
    Kind,
    Setting,
    Stretch,
    flips,
    kinds_for,
    setting_for,
    settings_for,
    stretches,
)

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.gather.calls.answers import Answer
    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.explanation.margin import MarginExplanation
    from routerlib.routers.explanation.similar import SimilarPrompt
    from routerlib.routers.router import Router

DEFAULT_PROMPT = "What is 17 * 23?"
DEFAULT_BUDGET_USD = 1.0

_UNCHANGED: Final = "unchanged"
_NO_PROMPT = "Type a prompt: without one there is nothing to decide."


class PlaygroundController:
    """Hold what is typed, decide at once, and ask for real when told to.

    Every method leaves `message` in words instead of raising, and nothing typed is lost.

    `candidates`: how to call the candidate models; None = the embedded pool.
    `log`: where calls, decisions and ratings are written; None = asking is switched off.
    `outcomes`: what is known of earlier prompts: evidence beside the estimates, and the prompts
        that a mean budget is held over. None = what the log holds.
    `budget_usd`: cap on what asking may cost in this session, US dollars; None = no cap.
    `task`: known task, None = detected.
    """

    def __init__(
        self,
        router: Router,
        candidates: Sequence[CandidateModel] | None = None,
        log: CallLog | None = None,
        outcomes: Outcomes | None = None,
        budget_usd: float | None = DEFAULT_BUDGET_USD,
    ) -> None:
        known = default_candidates() if candidates is None else candidates
        self.router = router
        self.candidates = [each for each in known if each.name in router.models_]
        self.log = log
        self.asking = Asking(router, self.candidates, log, budget_usd)
        self._known = KnownPrompts(router, outcomes, log)
        self._reference = self._known.estimates
        self.kinds = kinds_for(router, self._reference)
        self.prompt = DEFAULT_PROMPT
        self.task: str | None = None
        self.max_latency_s: float | None = None
        self.settings = settings_for("cost_weight", router, self._reference)
        self.setting = self._at("cost_weight", float(router.cost_weight_))
        self.message = ""
        self._forget()
        self.set()

    @property
    def cost_weight(self) -> float:
        """Quality given up per US dollar saved; 0 under a quality floor, which weighs no cost."""
        return self.setting.policy.present_cost_weight or 0.0

    @property
    def cost_weights(self) -> list[float]:
        """Cost weights worth trying, 0 and the router's own among them, rising."""
        return [each.value for each in settings_for("cost_weight", self.router, self._reference)]

    @property
    def detected_task(self) -> str:
        """What kind of task the prompt's wording suggests."""
        return detect_task(self.prompt)

    @property
    def answer(self) -> Answer | None:
        """What came back last; None before, or where nobody could be asked."""
        return next((each.answer for each in reversed(self.asking.asked) if each.answer), None)

    def set(
        self,
        *,
        prompt: str | None = None,
        task: str | None = _UNCHANGED,
        cost_weight: float | None = None,
        budget_usd: float | None = None,
        max_loss: float | None = None,
        max_latency_s: float | Literal["unchanged"] | None = _UNCHANGED,
    ) -> None:
        """Change what is asked or how it is decided, and decide anew.

        `prompt`: what is asked; None = as before.
        `task`: known task, one of `routerlib.records.prompt.TASKS`; None = detect it.
        `cost_weight`: decide by quality given up per US dollar saved, at least 0.
        `budget_usd`: decide by a mean budget over known prompts, US dollars a prompt.
        `max_loss`: decide by a quality floor: expected quality that may be lost on a prompt, in [0,
            1].
        `max_latency_s`: decide among those expected within it in nine of ten calls, seconds above
            0; None = no deadline.
        """
        self.prompt = self.prompt if prompt is None else prompt
        self.task = self.task if task == _UNCHANGED else task
        if max_latency_s != _UNCHANGED:
            self.max_latency_s = max_latency_s
        self.message = ""
        self._forget()
        wanted: dict[Kind, float | None] = {
            "cost_weight": cost_weight,
            "budget_usd": budget_usd,
            "max_loss": max_loss,
        }
        try:
            for kind, value in wanted.items():
                if value is not None:
                    self._set_policy(kind, value)
            if not self.prompt.strip():
                self.message = _NO_PROMPT
                return
            self._decide()
        except EXPECTED_ERRORS as error:
            self._forget()
            self.message = str(error)

    def choose_kind(self, kind: Kind) -> None:
        """Decide by another kind of policy, at the place of its slider that changes least."""
        chosen = self.decision.model if self.decision else None
        self.settings = settings_for(kind, self.router, self._reference)
        self.setting = self.settings[0]
        if kind == "cost_weight":
            self.setting = self._at(kind, float(self.router.cost_weight_))
        self.set()
        same = [each for each in self.along if each.model == chosen]
        if same and kind != "cost_weight":
            self.setting = self.settings[same[0].first]
            self.set()

    def _set_policy(self, kind: Kind, value: float) -> None:
        if kind not in self.kinds:
            raise ValueError(
                f"this router can't decide by {kind}: it needs estimated costs, and a mean "
                "budget also needs known prompts (outcomes=)"
            )
        if kind != self.setting.kind:
            self.settings = settings_for(kind, self.router, self._reference)
        self.setting = self._at(kind, value)

    def _at(self, kind: Kind, value: float) -> Setting:
        """Return the slider's place with this value, else one beside it."""
        there = (each for each in self.settings if (each.kind, each.value) == (kind, value))
        return next(there, None) or setting_for(kind, value, self.router, self._reference)

    def _forget(self) -> None:
        self.decision: Decision | None = None
        self.margin: MarginExplanation | None = None
        self.intervals: dict[str, tuple[float, float]] = {}
        self.along: list[Stretch] = []
        self.flips: list[Flip] = []
        self.similar: list[SimilarPrompt] = []

    def _decide(self) -> None:
        self.decision = self._routed()
        self.similar = self._known.similar(self.prompt)
        if not self.decision.estimates:  # rules and chance estimate nothing
            return
        self.intervals = self._intervals()
        estimates = _as_estimates(self.decision)
        self.along = stretches(self.settings, estimates)
        if not self._keeps_to_best:
            self.flips = flips(self.settings, self.setting, estimates)
            self.margin = self._margin(self.decision)

    def _routed(self) -> Decision:
        if self.setting.kind == "max_loss":
            chosen = self.router.route(
                self.prompt, policy=self.setting.policy, task=self.task, haste=self._haste
            )
            floor = f"cheapest within {self.setting.label} of the best"
            return replace(chosen, cost_weight=0.0, reason=f"{floor}: {chosen.reason}")
        # The router's own operating point is left to it: there it may keep to the best single.
        weight = None if self._is_own else self.cost_weight
        return self.router.route(self.prompt, cost_weight=weight, task=self.task, haste=self._haste)

    @property
    def _haste(self) -> Haste:
        return Haste(max_latency_s=self.max_latency_s)

    @property
    def deadlines_s(self) -> list[float]:
        """Deadlines worth trying: what each candidate model but the slowest usually keeps to."""
        known = self.router.latencies_
        usual_s = [] if known is None else known.expected(1).p90_s[0]
        return sorted({float(f"{each:.2g}") for each in usual_s if np.isfinite(each)})[:-1]

    @property
    def _is_own(self) -> bool:
        setting = self.setting
        return setting.kind == "cost_weight" and setting.value == float(self.router.cost_weight_)

    @property
    def _keeps_to_best(self) -> bool:
        return self._is_own and self.router.fallback_ is not None

    def _intervals(self) -> dict[str, tuple[float, float]]:
        topics = None if self.task is None else [self.task]
        low, high = self.router.quality_interval([self.prompt], topics)
        ends = zip(self.router.models_, low[0], high[0], strict=True)
        return {
            name: (float(bottom), float(top))
            for name, bottom, top in ends
            if np.isfinite(bottom) and np.isfinite(top)
        }

    def _margin(self, decision: Decision) -> MarginExplanation | None:
        other = self._other(decision)
        if other is None or not is_explainable(self.router):
            return None
        from routerlib.routers.explanation.margin import explain_margin

        return explain_margin(
            self.router,
            self.prompt,
            decision.model,
            other,
            cost_weight=self.cost_weight,
            task=self.task,
        )

    def _other(self, decision: Decision) -> str | None:
        """Return whom the choice is compared with: under a quality floor, the best one."""
        if self.setting.kind != "max_loss":
            return runner_up(decision)
        others = {name: each for name, each in decision.estimates.items() if name != decision.model}
        return max(others, key=lambda name: others[name]["quality"], default=None)

    @property
    def table(self) -> pd.DataFrame:
        """What is expected of each candidate model."""
        import pandas as pd

        decision = self.decision
        estimates = decision.estimates if decision else {}
        unknown = (float("nan"), float("nan"))
        return pd.DataFrame(
            [
                {
                    "expected_quality": each["quality"],
                    "expected_quality_low": self.intervals.get(name, unknown)[0],
                    "expected_quality_high": self.intervals.get(name, unknown)[1],
                    "expected_cost_usd_per_1000": 1000 * each["cost_usd"],
                    "is_chosen": name == decision.model if decision else False,
                }
                for name, each in estimates.items()
            ],
            index=pd.Index(list(estimates), name="model"),
            columns=[
                "expected_quality",
                "expected_quality_low",
                "expected_quality_high",
                "expected_cost_usd_per_1000",
                "is_chosen",
            ],
        )

    def explain(self) -> str:
        """Say why this model and not the next best, in one sentence."""
        decision = self.decision
        if decision is None:
            return ""
        if self.margin is not None:
            return self.margin.sentence
        return why(self.router, self.prompt, decision, self.task)

    @property
    def dearest(self) -> str | None:
        """The candidate model with the highest expected cost; None where costs are unknown."""
        estimates = self.decision.estimates if self.decision else {}
        costs = {name: each["cost_usd"] for name, each in estimates.items()}
        known = {name: cost for name, cost in costs.items() if np.isfinite(cost)}
        return max(known, key=lambda name: known[name], default=None)

    def start(self, models: Sequence[str] | None = None) -> bool:
        """Begin to ask for real, and come back at once; answers come into `asking`.

        `models`: whom to ask side by side. None = the router's choice; any other was chosen by the
            caller, and is logged as such.
        """
        if self.decision is None:
            self.message = "There is no decision to follow: type a prompt first."
            return False
        wanted = [self.decision.model] if models is None else list(dict.fromkeys(models))
        try:
            how = self._how()
            self.message = self.asking.start(self.prompt, self.task, self.decision, wanted, how)
        except EXPECTED_ERRORS as error:
            self.message = f"{' and '.join(wanted)} can't be asked: {error}"
        return not self.message

    def go_on(self) -> bool:
        """Ask whom a cascade would ask after the answer at hand, and come back at once."""
        try:
            self.message = self.asking.go_on()
        except EXPECTED_ERRORS as error:
            self.message = f"Nobody else can be asked: {error}"
        return not self.message

    def _how(self) -> dict[str, Any]:
        """Return by what a cascade goes on: the same as for the first call."""
        within = {"max_latency_s": self.max_latency_s}
        if self.setting.kind == "max_loss":
            return {"policy": self.setting.policy, **within}
        return {"cost_weight": None if self._is_own else self.cost_weight, **within}

    def ask(self, model: str | None = None) -> None:
        """Ask for real, wait for the answer, and log the call with the decision behind it.

        `model`: call this one against the router's choice; None = the router's choice.
        """
        if self.start(None if model is None else [model]):
            self.asking.wait()
            self.message = " ".join(each.problem for each in self.asking.asked if each.problem)

    def rate(self, score: float, asked: Asked | None = None) -> None:
        """Write a person's verdict on an answer to the log.

        `asked`: whose answer; None = the last one.
        """
        rated = asked or next(iter(reversed(self.asking.asked)), None)
        self.message = (
            "Ask first: a verdict needs a complete answer."
            if rated is None
            else self.asking.rate(rated, score)
        )


def _as_estimates(decision: Decision) -> Estimates:
    return Estimates(
        tuple(decision.estimates),
        np.array([[each["quality"] for each in decision.estimates.values()]]),
        np.array([[each["cost_usd"] for each in decision.estimates.values()]]),
    )
