"""The gate between a challenger and the router in use: who judges it, and what that shows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.duel import (
    Comparison,
    Weighed,
    compare_logged,
    compare_observed,
    weigh,
)
from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.log.choices import LoggedChoices
from routerlib.metrics.sequences import draws_needed, level_of_test
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import MOST_TESTED
from routerlib.routers.artifact import ArtifactError
from routerlib.routers.promotions import Promotions, anchor_of, challenger_of
from routerlib.routers.router import Router
from routerlib.routers.training.train import train_router

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# Chance that a worse router is ever put in use, over all challengers since the anchor.
_ALPHA = 0.05
# A challenger that has gained nothing on so many prompts is set aside for one that knows more.
_ENOUGH = 200
# Gains whose price in prompts is told.
_GAINS = (0.02, 0.05)


@dataclass(frozen=True)
class Evidence:
    """What a bet on a challenger has grown to, and what it takes to put that in use.

    Parameters
    ----------
    e_value : float
        Against "it is worse than the champion by more than the margin": at most once in x
        challengers that are does it ever reach x. NaN where logged decisions were compared, whose
        interval is at the level that this look may spend.
    against_anchor : float
        The same against the router that a person put in use last.
    needed : float
        What both must reach; it grows with every challenger, so that all of them together put a
        worse router in use with a probability of at most 5 %.
    n_tests : int
        Challengers tested since the anchor, this one included.
    prompts_for_2_points, prompts_for_5_points : float
        About how many prompts that neither has seen would show such a gain.
    """

    e_value: float
    against_anchor: float
    needed: float
    n_tests: int
    prompts_for_2_points: float
    prompts_for_5_points: float


@dataclass(frozen=True, eq=False)
class Found:
    """What a comparison came to: the verdict, and whether the challenger goes on standing by."""

    comparison: Comparison
    evidence: Evidence
    is_shown: bool
    is_same: bool
    n_train: int

    @property
    def is_promoted(self) -> bool:
        """Whether the challenger goes in use."""
        return self.is_shown and self.comparison.utility.value >= 0 and not self.is_same

    @property
    def is_set_aside(self) -> bool:
        """Whether another challenger has better prospects.

        It has where this one has gained nothing, or has had as many prompts as it learnt from and
        as many as show a gain of 2 points.
        """
        n, gained = self.comparison.n, self.comparison.utility.value
        most = np.fmax(self.n_train, self.evidence.prompts_for_2_points)
        return bool((n >= _ENOUGH and gained < 0) or n >= most)

    def sentence(self, margin: float) -> str:
        """Say what was decided, with its numbers."""
        told = self._compared(margin)
        if self.is_promoted:
            return f"Replaced: {told}."
        if self.is_same:
            return f"Kept: both choose the same on all {self.comparison.n} prompts compared."
        if self.is_set_aside:
            return f"Kept: {told}; it is set aside for one that knows more."
        seen = self.evidence
        prospects = (
            f", and about {seen.prompts_for_5_points:.0f} prompts would show a gain of 5 points, "
            f"{seen.prompts_for_2_points:.0f} one of 2"
            if np.isfinite(seen.e_value)
            else ""
        )
        return f"Kept: {told}. The new router stands by and is tested on what comes in{prospects}."

    def _compared(self, margin: float) -> str:
        compared, seen = self.comparison, self.evidence
        gained = compared.utility
        how = "" if compared.how == "observed" else ", estimated from logged propensities"
        weighed = (
            f" (evidence {min(seen.e_value, seen.against_anchor):.3g} to 1, {seen.needed:.0f} to 1 "
            "needed)"
            if np.isfinite(seen.e_value)
            else ""
        )
        return (
            f"on {compared.n} prompts that neither was trained on the new router gains "
            f"{gained.value:+.3f} [{gained.low:+.3f}, {gained.high:+.3f}] utility a prompt{how}, "
            f"{'at least' if self.is_promoted else 'not shown to be at least'} -{margin:g}{weighed}"
        )


@dataclass(frozen=True, eq=False)
class Gate:
    """What one retraining has to go by."""

    log: CallLog
    outcomes: Outcomes
    model_path: Path
    champion: Router
    margin: float
    cost_weight: float | None
    random_state: int

    def fresh(self, used: Collection[str], *routers: Router) -> np.ndarray:
        """Return the rows that no router has learnt from and that have judged none, nor nearly."""
        seen = {key for router in routers for key in router.train_prompt_ids_}
        return apart_from(self.outcomes, seen.union(used))

    def standing(self, promotions: Promotions) -> tuple[Router | None, Promotions]:
        """Return the challenger that stands by, with what has come in since to judge it."""
        if not promotions.batches:
            return None, promotions
        try:
            challenger = challenger_of(self.model_path)
        except (ArtifactError, FileNotFoundError):
            return None, promotions.settled({"verdict": "lost", "when": now()})
        if not set(challenger.models_) <= set(self.outcomes.models):
            return None, promotions.settled({"verdict": "without its candidates", "when": now()})
        judged = (*promotions.used, *promotions.tested())
        rows = self.fresh(judged, self.champion, challenger)
        batch = tuple(self.outcomes.prompt_ids[row] for row in rows)
        batches = (*promotions.batches, batch) if batch else promotions.batches
        return challenger, replace(promotions, batches=batches)

    def another(
        self, promotions: Promotions, fresh: np.ndarray, test_size: float
    ) -> tuple[Router, Promotions]:
        """Train a challenger on all but a part of the fresh prompts, which are to judge it.

        Of very many new prompts the part is smaller: 50,000 that every candidate has answered tell
        enough, and the challenger learns from the others.
        """
        new = self.outcomes.take(fresh)
        n_complete = int(np.isfinite(new.quality).all(axis=1).sum())
        share = min(test_size, MOST_TESTED / max(n_complete, 1))
        _, test = new.split(share, self.random_state)
        del new
        taught = self.outcomes.without(test.prompt_ids)
        challenger = train_router(taught, random_state=self.random_state)
        begun = replace(
            promotions, n_tests=promotions.n_tests + 1, batches=(tuple(test.prompt_ids),)
        )
        return challenger, begun

    def judge(self, challenger: Router, promotions: Promotions) -> Found:
        """Compare the challenger with champion and anchor on the prompts that judge it."""
        row_of = {key: row for row, key in enumerate(self.outcomes.prompt_ids)}
        batches = [
            self.outcomes.take([row_of[key] for key in batch if key in row_of])
            for batch in promotions.batches
        ]
        tested = self.outcomes.take([row_of[key] for key in promotions.tested() if key in row_of])
        weight = self.cost_weight
        if weight is None:
            weight = float(self.champion.cost_weight_ or challenger.cost_weight_)
        level = level_of_test(promotions.n_tests, _ALPHA)
        try:
            comparison = compare_observed(
                challenger,
                self.champion,
                tested,
                cost_weight=weight,
                random_state=self.random_state,
            )
        except ThinOverlap as too_few:
            return self._judge_logged(challenger, tested, promotions, weight, too_few)
        costs = self.outcomes.cost_usd[np.isfinite(self.outcomes.cost_usd)]
        against = [
            weigh(
                challenger,
                other,
                batches,
                margin=self.margin,
                cost_weight=weight,
                largest_cost_usd=float(costs.max(initial=0.0)),
            )
            for other in (self.champion, self._anchor())
        ]
        evidence = _evidence(against, self.margin, level, promotions.n_tests)
        is_shown = min(evidence.e_value, evidence.against_anchor) >= evidence.needed
        n_train = len(challenger.train_prompt_ids_)
        return Found(comparison, evidence, is_shown, against[0].is_same, n_train)

    def _judge_logged(
        self,
        challenger: Router,
        tested: Outcomes,
        promotions: Promotions,
        weight: float,
        too_few: ThinOverlap,
    ) -> Found:
        """Compare on logged decisions, each time that these have doubled: each spends a share."""
        try:
            logged = LoggedChoices.from_log(self.log)
        except ValueError:
            raise too_few from None
        level = level_of_test(promotions.n_tests, _ALPHA)
        found = [
            compare_logged(
                challenger,
                other,
                logged,
                tested.prompt_ids,
                cost_weight=weight,
                level=1 - 2 * level,
                random_state=self.random_state,
            )
            for other in (self.champion, self._anchor())
        ]
        if found[0].n < 2 * promotions.n_looked:
            raise ThinOverlap(
                f"{found[0].n} decisions are logged, the next look is at {2 * promotions.n_looked}"
            )
        nan = float("nan")
        evidence = Evidence(nan, nan, 1 / level, promotions.n_tests, nan, nan)
        is_shown = min(each.utility.low for each in found) >= -self.margin
        return Found(found[0], evidence, is_shown, False, len(challenger.train_prompt_ids_))

    def _anchor(self) -> Router:
        """Return the anchor; the champion where the anchor's candidates are gone."""
        anchor = anchor_of(self.model_path)
        return anchor if set(anchor.models_) <= set(self.outcomes.models) else self.champion


def _evidence(against: list[Weighed], margin: float, level: float, n_tests: int) -> Evidence:
    seen = against[0]
    # A router that gains 5 points differs on 5 % of prompts at least, whatever few prompts showed.
    few, many = (
        draws_needed(gain + margin, max(seen.variance, gain), level, seen.lowest) for gain in _GAINS
    )
    return Evidence(seen.e_value, against[1].e_value, 1 / level, n_tests, few, many)


def apart_from(outcomes: Outcomes, prompt_ids: Collection[str]) -> np.ndarray:
    """Return the rows that are neither among some prompts nor nearly so."""
    groups = outcomes.groups
    is_among = np.array([key in prompt_ids for key in outcomes.prompt_ids], dtype=bool)
    return np.flatnonzero(~np.isin(groups, groups[is_among]))


def now() -> str:
    """Return the time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
