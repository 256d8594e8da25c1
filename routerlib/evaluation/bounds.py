"""Bound what routing is worth on all held-out prompts, those with missing cells among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from routerlib.evaluation.pseudo_outcomes import (
    Corrected,
    augmented,
    corrected,
    filled,
    left_out,
    probability_observed,
)
from routerlib.evaluation.routing import Routed, TrainMeans
from routerlib.metrics.curves import hull
from routerlib.metrics.intervals import (
    Interval,
    percentile_interval,
    resampled_sums,
    widen_for_unseen,
)
from routerlib.outcomes.audit import Audit
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Arms, Floats

# So many times the usual share of prompts lack something: that is worth a word.
_UNEVEN = 1.5
# Thirds of the prompts by their length, and how a sentence calls them.
LENGTHS = {
    "shortest third": "the shortest third of the prompts",
    "third of middle length": "the prompts that are neither long nor short",
    "longest third": "the longest third of the prompts",
}


class Lacking(NamedTuple):
    """Prompts that lack a quality or a cost, other than because it wasn't bought.

    Attributes
    ----------
    n, n_skipped : int
        Prompts, and those among them that lack something.
    by_candidate : dict of str to int
        Cells without quality.
    costs_by_candidate : dict of str to int
        Cells with a quality, but without a cost.
    by_length : dict of str to float
        Share of prompts that lack something among the third of the shortest, middle and longest.
    n_failed : int
        Prompts that lack nothing once failed calls count as wrong answers.
    """

    n: int
    n_skipped: int
    by_candidate: Mapping[str, int]
    costs_by_candidate: Mapping[str, int]
    by_length: Mapping[str, float]
    n_failed: int = 0

    @classmethod
    def of(cls, outcomes: Outcomes, counted: Outcomes | None = None) -> Lacking:
        """Count what some outcomes lack; costs only where each candidate has some.

        `counted`: the same outcomes, failed calls as wrong answers; None = nobody knows of any.
        """
        by_design = left_out(outcomes)
        is_missing = np.isnan(outcomes.quality) & ~by_design
        is_skipped = is_missing.any(axis=1)
        has_no_cost = np.isnan(outcomes.cost_usd) & ~by_design & _has_costs(outcomes)
        is_skipped |= has_no_cost.any(axis=1)

        def by_candidate(cells: np.ndarray) -> dict[str, int]:
            counts = zip(outcomes.models, cells.sum(axis=0), strict=True)
            return {name: int(count) for name, count in counts}

        return cls(
            n=len(outcomes),
            n_skipped=int(is_skipped.sum()),
            by_candidate=by_candidate(is_missing),
            costs_by_candidate=by_candidate(has_no_cost & ~is_missing),
            by_length=_by_length(outcomes, is_skipped),
            n_failed=0 if counted is None else int(is_skipped.sum()) - cls.of(counted).n_skipped,
        )

    def told(self, which: str) -> str:
        """Say how many prompts lack something, of whom, and of what length they are.

        >>> by_length = {"shortest third": 0.0, "longest third": 0.6}
        >>> few = Lacking(10, 2, {"small": 2}, {"large": 1}, by_length)
        >>> few.told("held-out")
        '2 of 10 held-out prompts lack a score or a cost (no score of small on 2; no cost of large
         on 1; so do 60 % of the longest third of the prompts)'
        """
        of_score, of_cost = (
            ", ".join(f"{name} on {n}" for name, n in counts.items() if n)
            for counts in (self.by_candidate, self.costs_by_candidate)
        )
        longest = max(self.by_length, key=lambda each: self.by_length[each])
        share = self.by_length[longest]
        is_uneven = share > _UNEVEN * self.n_skipped / max(self.n, 1)
        where = f"so do {100 * share:.0f} % of {LENGTHS[longest]}" if is_uneven else ""
        told = (of_score and f"no score of {of_score}", of_cost and f"no cost of {of_cost}", where)
        reasons = "; ".join(filter(None, told))
        start = f"{self.n_skipped} of {self.n} {which} prompts lack a score or a cost"
        return f"{start} ({reasons})" if reasons else start

    def counted(self, n: int, how: str = "") -> str:
        """Say how numbers of `n` prompts count those that lack something.

        `how`: what becomes of what is unknown; "" = it was left out, or is within its bounds.

        >>> Lacking(10, 2, {"small": 2}, {}, {}, n_failed=1).counted(9)
        '; a failed call counts as a wrong answer, the other 1 left out'
        """
        n_out = 0 if how else self.n - n
        if not self.n_failed:
            how = how or "what is missing counts within its bounds"
            return " and were left out" if n_out else f"; {how}"
        failed = "; a failed call counts as a wrong answer"
        if self.n_failed == self.n_skipped:
            return failed
        how = how or "what else is missing within its bounds"
        return f"{failed}, the other {n_out} left out" if n_out else f"{failed}, {how}"


@dataclass(frozen=True)
class MissingCells:
    """Held-out prompts on which some candidate has no quality, and what they could change.

    Manski (1990), Nonparametric bounds on treatment effects, American Economic Review 80: what
    isn't known is taken as bad for a claim as it can be.

    Parameters
    ----------
    lacking : Lacking
        How many, of whom, how long.
    share_of_best_single : float
        Share of all held-out prompts that the router sends to the best single model.
    bounds : dict of str to dict of str to Interval
        Per candidate that may be the best single one: ``quality_difference``, ``gain_over_zero``
        and ``saving``, from the low end of the worst case to the high end of the best, 95 %;
        ``value`` is the middle of both cases.
    adjusted : Interval or None
        Difference to the best single model on all held-out prompts if what is missing depends on
        length and expected quality only; None where the router estimates nothing.
    n_out_of_reach : int
        Missing cells that `adjusted` only predicts, since none like them was observed.
    """

    lacking: Lacking
    share_of_best_single: float
    bounds: Mapping[str, Mapping[str, Interval]]
    adjusted: Interval | None
    n_out_of_reach: int

    @property
    def quality_difference(self) -> tuple[float, float]:
        """Lowest and highest difference in quality that can't be excluded."""
        ends = [each["quality_difference"] for each in self.bounds.values()]
        return min(each.low for each in ends), max(each.high for each in ends)


def _has_costs(outcomes: Outcomes) -> bool:
    return bool((~np.isnan(outcomes.cost_usd)).any(axis=0).all())


def bound_missing(
    test: Outcomes,
    routed: Routed,
    train: TrainMeans,
    lacking: Lacking,
    *,
    audit: Audit | None = None,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> MissingCells | None:
    """Bound what routing is worth on all held-out prompts; None where none was left out.

    `test`: a failed call has quality 0 there, if it is known to have failed.
    `lacking`: what they lack where such a call has no quality.
    `audit`: a person's scores of a random part of them, by which quality is corrected.
    """
    if not lacking.n_skipped:
        return None
    strong = test.models.index(train.strong)
    best = np.full(len(test), strong) if routed.best is None else routed.best
    table = filled(test, routed.estimates)
    world = Chosen(
        test,
        table.quality,
        table.cost_usd,
        routed.arms,
        _has_costs(test),
        n_bootstrap,
        random_state,
        audit,
    )
    adjusted, n_out = _adjusted(world, routed, best)
    rivals = _possible_best(table.quality, strong)
    singles = {arm: best if arm == strong else np.full(len(test), arm) for arm in rivals}
    return MissingCells(
        lacking=lacking,
        share_of_best_single=float((routed.arms == best).mean()),
        bounds={test.models[arm]: world.bounds(each, train) for arm, each in singles.items()},
        adjusted=adjusted,
        n_out_of_reach=n_out,
    )


@dataclass(frozen=True, eq=False)
class Chosen:
    """Held-out prompts, what the router chose there, how the bootstrap draws, and an audit.

    `quality, cost_usd` (n_prompts, n_models): what wasn't bought is made up for.
    """

    test: Outcomes
    quality: Floats
    cost_usd: Floats
    arms: Arms
    has_costs: bool
    n_bootstrap: int
    random_state: int
    audit: Audit | None = None

    def bounds(self, best: Arms, train: TrainMeans) -> dict[str, Interval]:
        """Bound difference, gain over mixing and saving against one candidate of each prompt."""
        nothing = Interval(np.nan, np.nan, np.nan, np.nan)
        found = {"quality_difference": nothing, "gain_over_zero": nothing, "saving": nothing}
        one = np.eye(len(self.test.models))
        chosen, singles = one[self.arms], one[best]
        found["quality_difference"] = self.contrast(chosen - singles)
        if self.has_costs:
            found["saving"], at_usd = self._saving(best)
            mixture = mixture_at(train.quality, train.cost_usd, at_usd)
            found["gain_over_zero"] = self.contrast(chosen - mixture)
            found["zero_difference"] = self.contrast(mixture - singles)
        return found

    def mean(self, values: Floats) -> Interval:
        """Put an interval round a mean over all held-out prompts."""
        drawn = self._sums(np.column_stack([values, np.ones(len(values))]))
        found = percentile_interval(float(values.mean()), drawn[:, 0] / drawn[:, 1])
        return widen_for_unseen(found, len(np.unique(self.test.groups)))

    def _sums(self, columns: Floats) -> Floats:
        """Add up columns over resampled prompts, shape (n_bootstrap, n_columns)."""
        return resampled_sums(columns, self.test.groups, self.n_bootstrap, self.random_state)

    def contrast(self, shares: Floats) -> Interval:
        """Bound the mean quality of candidates in some shares, such as 1 of one less 1 of another.

        `shares` (n_prompts, n_models): of each candidate on each prompt.
        """
        if not shares.any():
            return Interval(0.0, 0.0, 0.0, 0.0)
        ends = _ends(self.quality, shares)
        if self.audit is None:
            return Interval.from_to(*map(self.mean, ends))
        return Interval.from_to(*(each.interval for each in self.corrected(shares)))

    def corrected(self, shares: Floats) -> tuple[Corrected, Corrected]:
        """Correct such a mean by the audit, with what is missing at its worst and at its best."""
        assert self.audit is not None, "there is nothing to correct by"
        rows, audit = self.audit.beside(self.test)
        judged = _ends(self.quality[rows], shares[rows])
        scored = _ends(audit.quality, shares[rows])
        worst, best = (
            corrected(
                ours,
                np.where(audit.is_drawn, told, np.nan),
                audit.probability,
                self.test.groups[rows],
            )
            for ours, told in zip(judged, scored, strict=True)
        )
        return worst, best

    def _saving(self, best: Arms) -> tuple[Interval, float]:
        """Bound the share of candidates' cost that is saved, and say the mean cost of choices.

        An unknown cost is the highest, or the lowest, that was seen of its candidate.
        """
        cost, rows = self.cost_usd, np.arange(len(self.test))
        middle = np.nanmean(cost, axis=0)
        # The very same call on both sides costs the same.
        is_same = (self.arms == best) & np.isnan(cost[rows, best])
        cost = np.where(is_same[:, None] & np.isnan(cost), middle, cost)
        ends = []
        for ours, theirs in ((np.nanmax, np.nanmin), (np.nanmin, np.nanmax)):
            paid = np.where(np.isnan(cost), ours(cost, axis=0), cost)[rows, self.arms]
            single = np.where(np.isnan(cost), theirs(cost, axis=0), cost)[rows, best]
            drawn = self._sums(np.column_stack([paid, single]))
            with np.errstate(invalid="ignore", divide="ignore"):
                value = 1 - np.float64(paid.sum()) / single.sum()
                ends.append(percentile_interval(float(value), 1 - drawn[:, 0] / drawn[:, 1]))
        known = np.where(np.isnan(cost), middle, cost)[rows, self.arms]
        return Interval.from_to(*ends), float(known.mean())


def _ends(quality: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Weigh each prompt's qualities by shares, an unknown one at its worst and at its best."""
    known = shares * np.nan_to_num(quality)
    low, high = (
        np.where(np.isnan(quality), end, known).sum(axis=1)
        for end in (np.minimum(shares, 0), np.maximum(shares, 0))
    )
    return low, high


def _possible_best(quality: Floats, strong: int) -> list[int]:
    """Return the best single model of train, and those that may be it on all held-out prompts."""
    found = [strong]
    for arm in range(quality.shape[1]):
        pair = quality[:, [arm, strong]]
        if arm == strong or not np.isnan(pair).any():
            continue
        ours, theirs = np.nan_to_num(pair[:, 0], nan=1.0), np.nan_to_num(pair[:, 1], nan=0.0)
        if ours.mean() > theirs.mean():
            found.append(arm)
    return found


def mixture_at(quality: Floats, cost_usd: Floats, at_usd: float) -> Floats:
    """Return the shares of candidates that mix best at a mean cost, by their means."""
    corners_usd, heights = hull(cost_usd, quality)
    weights = np.zeros(len(quality))
    arms = [
        int(np.nanargmin(np.abs(cost_usd - cost) + np.abs(quality - height)))
        for cost, height in zip(corners_usd, heights, strict=True)
    ]
    right = int(np.clip(np.searchsorted(corners_usd, at_usd), 0, len(arms) - 1))
    left = max(right - 1, 0)
    run = corners_usd[right] - corners_usd[left]
    share = np.clip((at_usd - corners_usd[left]) / run, 0, 1) if run > 0 else 1.0
    weights[arms[left]] += 1 - share
    weights[arms[right]] += share
    return weights


def _by_length(test: Outcomes, is_skipped: np.ndarray) -> dict[str, float]:
    order = np.argsort([len(prompt) for prompt in test.prompts], kind="stable")
    thirds = np.array_split(is_skipped[order], len(LENGTHS))
    return {
        name: float(part.mean()) if len(part) else 0.0
        for name, part in zip(LENGTHS, thirds, strict=True)
    }


def _adjusted(world: Chosen, routed: Routed, best: Arms) -> tuple[Interval | None, int]:
    """Estimate the difference to the best single model by what is like the missing cells."""
    test, expected = world.test, routed.estimates.quality
    if not np.isfinite(expected).all() or not np.isnan(world.quality).any():
        return None, 0
    lengths = np.log1p([len(prompt) for prompt in test.prompts])
    seen = probability_observed(world.quality, np.column_stack([lengths, expected]), test.groups)
    made_up = augmented(world.quality, expected, seen.probability)
    rows = np.arange(len(test))
    return world.mean(made_up[rows, routed.arms] - made_up[rows, best]), seen.n_out_of_reach
