"""The playground's logic: a prompt, a cost weight, and what the router makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from routerlib.candidates import default_candidates
from routerlib.story import why
from routerlib.tables import Table, short
from routerlib.types import CandidateModel, Decision, Score

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.inference import Answer
    from routerlib.log import CallLog
    from routerlib.routers import Router

# What a person sees as words instead of a traceback: wrong input, files, servers, the log.
_EXPECTED_ERRORS = (ValueError, OSError, RuntimeError)
_N_COST_WEIGHTS = 31
# The slider spans two decades each way round "the dearest candidate's whole cost, in quality".
_DECADES = 2.0
_UNCHANGED = "unchanged"
DEFAULT_PROMPT = "What is 17 * 23?"


class PlaygroundController:
    """Hold what is typed, decide at once, and ask for real when told to.

    Every method leaves `message` in words instead of raising, and nothing typed is lost.

    Parameters
    ----------
    router : Router
        A fitted router.
    candidates : Sequence of CandidateModel or None, default=None
        How to call the candidate models; None = the embedded pool.
    log : CallLog or None, default=None
        Where calls, decisions and ratings are written; None = asking is switched off.

    Attributes
    ----------
    prompt : str
        What is asked.
    task : str or None
        Known task, None = detected.
    cost_weight : float
        Quality given up per US dollar saved, at least 0.
    decision : Decision or None
        What the router chooses now; None, with a `message`, when there is nothing to decide.
    answer : Answer or None
        What came back last.
    message : str
        What a person should know now; empty when all is well.
    """

    def __init__(
        self,
        router: Router,
        candidates: Sequence[CandidateModel] | None = None,
        log: CallLog | None = None,
    ) -> None:
        known = default_candidates() if candidates is None else candidates
        self.router = router
        self.candidates = [each for each in known if each.name in router.models_]
        self.log = log
        self.prompt = DEFAULT_PROMPT
        self.task: str | None = None
        self.cost_weight = float(router.cost_weight_)
        self.answer: Answer | None = None
        self.decision: Decision | None = None
        self.message = ""
        self.set()

    @property
    def cost_weights(self) -> list[float]:
        """Cost weights worth trying, 0 and the router's own among them, rising."""
        dearest = float(np.nanmax(self.router.mean_cost_usd_))
        if not dearest > 0:
            return [0.0]
        steps = np.geomspace(10**-_DECADES / dearest, 10**_DECADES / dearest, _N_COST_WEIGHTS)
        rounded = {float(f"{step:.2g}") for step in steps}
        return sorted({0.0, float(self.router.cost_weight_), *rounded})

    def set(
        self,
        *,
        prompt: str | None = None,
        task: str | None = _UNCHANGED,
        cost_weight: float | None = None,
    ) -> None:
        """Change what is asked or how, and decide anew.

        Parameters
        ----------
        prompt : str or None, default=None
            What is asked; None = as before.
        task : str or None, default=unchanged
            Known task, one of `routerlib.types.TASKS`; None = detect it.
        cost_weight : float or None, default=None
            Quality given up per US dollar saved, at least 0; None = as before.
        """
        self.prompt = self.prompt if prompt is None else prompt
        self.task = self.task if task == _UNCHANGED else task
        self.cost_weight = self.cost_weight if cost_weight is None else cost_weight
        self.message, self.decision = "", None
        if not self.prompt.strip():
            self.message = "Type a prompt: without one there is nothing to decide."
            return
        try:
            self.decision = self.router.route(
                self.prompt, cost_weight=self._asked_weight(), task=self.task
            )
        except _EXPECTED_ERRORS as error:
            self.message = str(error)

    def _asked_weight(self) -> float | None:
        """Leave the router's own operating point to it: there it may keep to the best single."""
        return None if self.cost_weight == float(self.router.cost_weight_) else self.cost_weight

    @property
    def table(self) -> pd.DataFrame:
        """What is expected of each candidate model.

        Returns
        -------
        DataFrame
            Index: candidate model. Columns: expected quality in [0, 1], expected cost in US
            dollars per 1000 prompts, and whether it is chosen; no rows without a prompt.
        """
        import pandas as pd

        decision = self.decision
        estimates = decision.estimates if decision else {}
        return pd.DataFrame(
            [
                {
                    "expected_quality": each["quality"],
                    "expected_cost_usd_per_1000": 1000 * each["cost_usd"],
                    "is_chosen": name == decision.model if decision else False,
                }
                for name, each in estimates.items()
            ],
            index=pd.Index(list(estimates), name="model"),
            columns=["expected_quality", "expected_cost_usd_per_1000", "is_chosen"],
        )

    def explain(self) -> str:
        """Say why this model and not the next best, in one sentence."""
        decision = self.decision
        if decision is None:
            return ""
        return why(self.router, self.prompt, decision, self.task)

    def ask(self, model: str | None = None) -> None:
        """Call a candidate model for real, and log the call and the decision behind it.

        Parameters
        ----------
        model : str or None, default=None
            Call this one against the router's choice; None = the router's choice.
        """
        decision, self.message = self.decision, ""
        if decision is None:
            self.message = "There is no decision to follow: type a prompt first."
            return
        if self.log is None:
            self.message = "Asking needs a log to write to: rl.playground(router, log=log)."
            return
        wanted = model or decision.model
        if wanted not in {each.name for each in self.candidates}:
            self.message = (
                f"How to call {wanted} is not known here: "
                "pass candidates=rl.load_candidates('candidates.yaml')."
            )
            return
        from routerlib.inference import ask

        try:
            self.answer = ask(
                self.prompt,
                router=self.router,
                candidates=self.candidates,
                log=self.log,
                cost_weight=self._asked_weight(),
                task=self.task,
                model=model,
            )
        except _EXPECTED_ERRORS as error:
            self.message = f"{wanted} was not asked: {error}"
            return
        call = self.answer.call
        if not call.is_ok:
            detail = f": {call.error}" if call.error else ""
            self.message = f"{call.candidate} gave no complete answer ({call.status}){detail}."

    def rate(self, score: float) -> None:
        """Write a person's verdict on the last answer to the log.

        Parameters
        ----------
        score : float
            In [0, 1]; 1 = right, 0 = wrong.
        """
        if self.answer is None or self.log is None or not self.answer.call.is_ok:
            self.message = "Ask first: a verdict needs a complete answer."
            return
        try:
            self.log.add_scores(self.answer.call_id, [Score("person", score)])
        except _EXPECTED_ERRORS as error:
            self.message = f"The verdict was not logged: {error}"
            return
        self.message = f"Logged: {score:g} for {self.answer.call.candidate}, judged by a person."

    def examples_html(self, prompts: Sequence[str]) -> str:
        """Show the choices for some prompts as a table, for readers without a kernel.

        Parameters
        ----------
        prompts : Sequence of str
            Example prompts.

        Returns
        -------
        str
            An HTML table; everything in it is escaped.
        """
        weights = [0.0, float(self.router.cost_weight_), max(self.cost_weights)]
        heads = ["quality alone", "as chosen on train", "cost above all"]
        labels = [
            f"{head} (cost weight {weight:,.4g})"
            for head, weight in zip(heads, weights, strict=True)
        ]
        rows = [
            [short(prompt), *(self.router.route(prompt, cost_weight=w).model for w in weights)]
            for prompt in prompts
        ]
        shown = Table(("prompt", *labels), tuple(map(tuple, rows)), (False,) * 4)
        return shown._repr_html_()
