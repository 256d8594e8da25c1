"""Decisions as a log holds them: who was chosen, with what probability, and what came of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from routerlib.log import queries
from routerlib.records.arrays import Floats
from routerlib.records.decision import CALLER, CONVERSATION, Estimates

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log.call_log import CallLog

# Values of `decisions.router_hash` that mark a choice which no router drew.
NOT_DRAWN = {
    CALLER: "a person or program chose",
    CONVERSATION: "the turn stayed with its conversation's model",
}
_UNSCORED = "no verdict on the answer"


@dataclass(frozen=True, eq=False)
class LoggedChoices:
    """Decisions with their propensities and outcomes.

    Parameters
    ----------
    prompts : sequence of str, length n
        Prompt texts.
    prompt_ids : sequence of str, length n
        Identifiers; decisions on the same prompt are no independent evidence.
    models : tuple of str, length n_models
        Candidate models.
    arms : ndarray of int, shape (n,)
        Column that was chosen.
    propensities : ndarray of shape (n,)
        Probability, in (0, 1], with which it was chosen, as stored at decision time.
    quality : ndarray of shape (n,)
        Of the chosen candidate, in [0, 1].
    cost_usd : ndarray of shape (n,)
        US dollars; NaN where unknown.
    estimates : Estimates or None
        What the router expected at decision time; None where it estimated nothing.
    left_out : mapping of str to int
        Decisions of the log that are not among these, by reason.

    Raises
    ------
    ValueError
        If lengths differ, a propensity is missing or out of range, or a quality is unknown.
    """

    prompts: Sequence[str]
    prompt_ids: Sequence[str]
    models: tuple[str, ...]
    arms: np.ndarray
    propensities: Floats
    quality: Floats
    cost_usd: Floats
    estimates: Estimates | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("prompt_ids", "arms", "propensities", "quality", "cost_usd"):
            if len(getattr(self, name)) != len(self.prompts):
                raise ValueError(
                    f"{name} must have one entry per decision ({len(self.prompts)}), "
                    f"got {len(getattr(self, name))}"
                )
        is_wrong = ~((self.propensities > 0) & (self.propensities <= 1))
        if is_wrong.any():
            raise ValueError(
                f"propensities must lie in (0, 1], got {self.propensities[is_wrong][0]!r}; a "
                "missing one can't be guessed afterwards, leave such decisions out"
            )
        if not ((self.quality >= 0) & (self.quality <= 1)).all():
            raise ValueError("quality must lie in [0, 1]; leave decisions without a verdict out")

    def __len__(self) -> int:
        return len(self.prompts)

    @classmethod
    def from_log(cls, log: CallLog, judge: str | None = None) -> LoggedChoices:
        """Read the decisions of a log that a router drew and a judge has a verdict on.

        Parameters
        ----------
        log : CallLog
            The log.
        judge : str or None, default=None
            Count only this judge's scores; None = the mean over judges.

        Returns
        -------
        LoggedChoices
            In the order of logging. A choice that a person overrode, and a turn that stayed with
            its conversation's model, are left out; a fallback's answer is no outcome of the
            choice.

        Raises
        ------
        ValueError
            If there is no such decision.
        """
        frame = queries.run(log.path, queries.DECIDED, parameters={"judge": judge})
        reasons = frame.router_hash.map(NOT_DRAWN)
        reasons = reasons.mask(reasons.isna() & frame.quality.isna(), _UNSCORED)
        left_out = dict(Counter(reasons.dropna()))
        kept = frame[reasons.isna()]
        if kept.empty:
            raise ValueError(
                f"the log {log.path} holds no scored decision of a router (left out: "
                f"{left_out or 'none'}); off-policy value needs decisions with their propensity, "
                "which are never guessed: answer through `ask` or `serve`, and score the answers"
            )
        known = [json.loads(text) for text in kept.estimates]
        models = tuple(dict.fromkeys([name for each in known for name in each] + [*kept.candidate]))
        return cls(
            prompts=kept.text.tolist(),
            prompt_ids=kept.prompt_id.tolist(),
            models=models,
            arms=np.array([models.index(name) for name in kept.candidate]),
            propensities=kept.propensity.to_numpy(float),
            quality=kept.quality.to_numpy(float),
            cost_usd=kept.cost_usd.to_numpy(float),
            estimates=_estimates(known, models),
            left_out=left_out,
        )

    def take(
        self, rows: np.ndarray | Sequence[int], left_out: Mapping[str, int] | None = None
    ) -> LoggedChoices:
        """Return some of the decisions, with further reasons for those left out.

        Parameters
        ----------
        rows : ndarray of int or of bool, or sequence of int
            Which decisions.
        left_out : mapping of str to int, optional
            Decisions left out by reason, in addition.

        Returns
        -------
        LoggedChoices
            In the order of `rows`.
        """
        indices = np.arange(len(self))[np.asarray(rows)]
        estimates = self.estimates
        if estimates is not None:
            sd = estimates.quality_sd
            estimates = Estimates(
                estimates.models,
                estimates.quality[indices],
                estimates.cost_usd[indices],
                None if sd is None else sd[indices],
            )
        return replace(
            self,
            prompts=[self.prompts[index] for index in indices],
            prompt_ids=[self.prompt_ids[index] for index in indices],
            arms=self.arms[indices],
            propensities=self.propensities[indices],
            quality=self.quality[indices],
            cost_usd=self.cost_usd[indices],
            estimates=estimates,
            left_out={**self.left_out, **{k: int(v) for k, v in (left_out or {}).items()}},
        )


def recent(log: CallLog, n_decisions: int) -> pd.DataFrame:
    """Return the latest decisions with the outcome of what was chosen, oldest first.

    `n_decisions`: rows at most.
    """
    frame = queries.run(log.path, queries.DECIDED, parameters={"judge": None})
    return frame.tail(n_decisions).reset_index(drop=True)


def _estimates(known: list[dict], models: tuple[str, ...]) -> Estimates | None:
    """Return logged estimates as matrices; None where some decision has none of quality."""
    nan = {"quality": np.nan, "cost_usd": np.nan}
    quality, cost_usd = (
        np.array([[_number(each.get(model, nan)[name]) for model in models] for each in known])
        for name in ("quality", "cost_usd")
    )
    if np.isnan(quality).any():
        return None
    return Estimates(models, quality, cost_usd)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
