"""Choose where to stand between quality and cost, by out-of-fold estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from routerlib.metrics.curves import hull
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.amounts import check_share
from routerlib.records.decision import Estimates
from routerlib.routers.held_out import HeldOut

# A gain is shown when it exceeds this many standard errors. More than the usual 1.64 of a one-sided
# test, because the best of many cost weights is looked at.
_STANDARD_ERRORS = 2.0
# What is told at the far end of a one-sided interval of 95 %. Comparing means alone, the cheapest
# of many cost weights could lose twice as much on new prompts as was allowed.
_STANDARD_ERRORS_OF_LOSS = 1.64
# Sums in another order differ by less; a router that chooses nothing else gains exactly nothing.
_NO_GAIN = 1e-12
MIN_PROMPTS = 20
# What may be given up to save cost, and what counts as the same quality, in training and verdict
# alike. Less can't be shown where answers differ on one prompt in ten, without a thousand held out.
QUALITY_MARGIN = 0.03


@dataclass(frozen=True)
class OperatingPoint:
    """Where to stand between quality and cost, and what that gave out of fold.

    `quality, cost_usd`: mean out-of-fold quality and US dollars at this point; NaN when not
        measured.
    `tried_cost_weight`: the most promising one, where the router falls back all the same, so that
        held-out prompts can tell what it would have been worth; None = none.
    """

    cost_weight: float
    fallback: str | None
    n_prompts: int
    best_single: str
    quality: float
    cost_usd: float
    best_single_quality: float
    best_single_cost_usd: float
    gain_over_mixing: float
    gain_standard_error: float
    tried_cost_weight: float | None = None


def choose_cost_weight(
    held_out: HeldOut, outcomes: Outcomes, max_quality_loss: float = QUALITY_MARGIN
) -> OperatingPoint:
    """Choose the cost weight that keeps what is gained and saves while losing little, out of fold.

    Each prompt's choice is compared with the model that was the best single one of the other
    folds: neither side has seen the prompt. What is seen of the mean difference is weighed with
    what the estimates themselves expect of it, each by its variance, into what is believed: a few
    dozen prompts say next to nothing, and there estimates that were drawn together by the noise in
    them (``held_out.is_drawn_together``) are the better guess; with thousands only what was seen
    counts. What they expect is as uncertain as the mean difference of the two candidates is, on
    each prompt that is sent elsewhere. So it is no matter of all or nothing.

    1. The yardstick is the router at the lowest cost weight at which it costs no more than the
       best single model, if a gain over that one is believed, and a loss above `max_quality_loss`
       isn't (one-sided, 95 %); at cost weight 0, whatever it costs, if a gain is believed beyond
       chance. Estimates say where most is gained, and what was seen whether to believe them: the
       largest of many gains that were seen would be the luckiest.
    2. Otherwise the yardstick is the best single model.
    3. From there a saving is taken if it is worth more than the quality that it is believed to
       give up: all of the yardstick's cost is worth `max_quality_loss`, half of it half of that.
       Where there is a gain to lose, what may be given up counts (one-sided, 95 %), but never more
       doubt than there is gain: it is hardly ever sold. The saving must be better than mixing
       candidates at random at the same cost by more than chance, and a loss above
       `max_quality_loss` against the best single model must be excluded, both by what was seen
       alone and by what is believed. Of several the one is taken that is worth most.
    4. Where neither gains nor saves, the router shall keep to the best single model.

    For a promise that holds for new prompts see
    `routerlib.routers.training.train.at_certified_point`.

    `max_quality_loss`: mean quality that may be given up, in [0, 1]; with 0 only a gain that
        can be shown counts.
    """
    check_share("max_quality_loss", max_quality_loss)
    bench = _Bench.of(held_out, outcomes)
    if len(bench.quality) < MIN_PROMPTS:
        return kept_to_best_single(outcomes, len(bench.quality), too_few(len(bench.quality)))
    swept = bench.sweep()
    gain = bench.gain(swept, max_quality_loss)
    point = bench.worthiest_saving(swept, gain, max_quality_loss) or gain
    if point is not None:
        return _point(point, bench, outcomes)
    reason = "no gain over it could be shown on the training prompts"
    kept = kept_to_best_single(outcomes, len(bench.quality), reason)
    return replace(kept, tried_cost_weight=bench.most_promising(swept))


def most_expected(estimates: Estimates, max_quality_loss: float = QUALITY_MARGIN) -> float:
    """Return the cost weight at which estimates alone expect most above mixing; 0 without costs.

    Of those at which they expect to lose at most `max_quality_loss` against the best single model.
    """
    if not len(estimates) or not np.isfinite(estimates.cost_usd).all():
        return 0.0
    single = int(estimates.quality.mean(axis=0).argmax())
    groups, everywhere = np.arange(len(estimates)), np.full(len(estimates), single)
    believing = _Bench(
        estimates, estimates.quality, estimates.cost_usd, everywhere, single, groups, True, True
    )
    weights = sweep_cost_weights(estimates)
    measured = [believing.measure(float(weight)) for weight in weights]
    allowed = [each for each in measured if each.expected_gain >= -max_quality_loss]
    return max(allowed, key=lambda each: float(each.gain.mean())).cost_weight


@dataclass(frozen=True, eq=False)
class _Measured:
    """What one cost weight gave: per prompt the choice, quality, cost, and gain over mixing.

    `expected_gain`: mean quality above the best single model that the estimates expect.
    """

    cost_weight: float
    arms: np.ndarray
    expected_gain: float
    quality: np.ndarray
    cost_usd: np.ndarray
    gain: np.ndarray
    groups: np.ndarray


class _Believed(NamedTuple):
    """A difference in mean quality, and the far end of its one-sided interval of 95 %."""

    mean: float
    low: float


@dataclass(frozen=True, eq=False)
class _Bench:
    """Out-of-fold estimates beside what was observed, on prompts with nothing missing.

    `best` (n_prompts,): best single model of the other folds. `single`: that of all.
    """

    estimates: Estimates
    quality: np.ndarray
    cost_usd: np.ndarray
    best: np.ndarray
    single: int
    groups: np.ndarray
    has_cost: bool
    is_believed: bool

    @classmethod
    def of(cls, held_out: HeldOut, outcomes: Outcomes) -> _Bench:
        estimates = held_out.estimates
        has_cost = bool(np.isfinite(estimates.cost_usd).all())
        is_complete = np.isfinite(outcomes.quality).all(axis=1)
        if has_cost:
            is_complete &= np.isfinite(outcomes.cost_usd).all(axis=1)
        kept = Estimates(
            estimates.models, estimates.quality[is_complete], estimates.cost_usd[is_complete]
        )
        best = _best_of_other_folds(outcomes, held_out.folds)[is_complete]
        groups = np.unique(outcomes.groups[is_complete], return_inverse=True)[1].ravel()
        quality, cost_usd = outcomes.quality[is_complete], outcomes.cost_usd[is_complete]
        single = outcomes.models.index(outcomes.best_single)
        believed = held_out.is_drawn_together
        return cls(kept, quality, cost_usd, best, single, groups, has_cost, believed)

    def measure(self, cost_weight: float) -> _Measured:
        arms = choose_arms(self.estimates, cost_weight)
        rows = np.arange(len(arms))
        quality, cost_usd = self.quality[rows, arms], self.cost_usd[rows, arms]
        gain = quality - self._mixed(cost_usd)
        expected = self.estimates.quality
        expected_gain = float((expected[rows, arms] - expected[rows, self.best]).mean())
        return _Measured(cost_weight, arms, expected_gain, quality, cost_usd, gain, self.groups)

    def always_best_single(self) -> _Measured:
        rows = np.arange(len(self.best))
        quality, cost_usd = self.quality[rows, self.best], self.cost_usd[rows, self.best]
        nothing = np.zeros(len(quality))
        return _Measured(0.0, self.best, 0.0, quality, cost_usd, nothing, self.groups)

    def sweep(self) -> list[_Measured]:
        """Measure every cost weight at which choices change, from the lowest up."""
        weights = sweep_cost_weights(self.estimates) if self.has_cost else np.zeros(1)
        return [self.measure(float(weight)) for weight in weights]

    def gain(self, swept: Sequence[_Measured], max_quality_loss: float) -> _Measured | None:
        """Return the point that is expected to gain most, of those that may be taken; or None."""
        kept = self.always_best_single()
        if self.believed(swept[0], kept).low > _NO_GAIN:
            return swept[0]
        most_usd = self.best_single_usd()
        for point in swept:
            if not self.has_cost or point.cost_usd.mean() <= most_usd:
                believed = self.believed(point, kept)
                is_gain = believed.mean > _NO_GAIN and believed.low >= -max_quality_loss
                return point if is_gain else None
        return None

    def worthiest_saving(
        self, swept: Sequence[_Measured], gain: _Measured | None, max_quality_loss: float
    ) -> _Measured | None:
        """Return the saving that is worth most beyond the quality that it costs, or None.

        `gain`: the yardstick; None = the best single model.
        """
        if not self.has_cost:
            return None
        kept = self.always_best_single()
        yardstick = kept if gain is None else gain
        most_usd = self.best_single_usd() if gain is None else float(gain.cost_usd.mean())
        at_stake = max(self.believed(yardstick, kept).mean, 0.0)
        best, most = None, _NO_GAIN
        for point in swept:
            saved = 1 - float(point.cost_usd.mean()) / most_usd if most_usd > 0 else 0.0
            change = self.believed(point, yardstick)
            doubt = min(change.mean - change.low, at_stake)
            worth = change.mean - doubt + max_quality_loss * saved
            if (
                saved > 0
                and worth > most
                and _excludes_loss(point.quality - kept.quality, self.groups, max_quality_loss)
                and self.believed(point, kept).low >= -max_quality_loss
                and _is_positive(point.gain, self.groups)
            ):
                best, most = point, worth
        return best

    def best_single_usd(self) -> float:
        """Return the mean cost of the best single model, of the folds' ones or the final one."""
        kept = self.always_best_single().cost_usd
        return float(min(kept.mean(), self.cost_usd[:, self.single].mean()))

    def believed(self, point: _Measured, yardstick: _Measured) -> _Believed:
        """Weigh the mean difference that was seen with the one that was expected.

        An expectation that what was seen falls short of beyond chance is worth the less for it.
        """
        differences = point.quality - yardstick.quality
        seen, variance = float(differences.mean()), _standard_error(differences, self.groups) ** 2
        share = 1.0
        expected = point.expected_gain - yardstick.expected_gain
        if self.is_believed:
            uncertain = float(self._uncertainty[point.arms, yardstick.arms].mean())
            short = max(expected - seen, 0.0) / _STANDARD_ERRORS
            off = max(uncertain**2, short**2 - variance)
            share = off / (variance + off)
        mean = share * seen + (1 - share) * expected
        return _Believed(mean, mean - _STANDARD_ERRORS_OF_LOSS * math.sqrt(share * variance))

    @cached_property
    def _uncertainty(self) -> np.ndarray:
        """Standard errors of candidates' mean differences, shape (n_models, n_models)."""
        n_models = self.quality.shape[1]
        errors = np.zeros((n_models, n_models))
        for one in range(n_models):
            for other in range(one):
                differences = self.quality[:, one] - self.quality[:, other]
                errors[one, other] = _standard_error(differences, self.groups)
        return errors + errors.T

    def most_promising(self, swept: Sequence[_Measured]) -> float:
        """Return the cost weight with the surest gain over mixing, of those that do route."""
        if not self.has_cost:
            return 0.0
        routing = [point for point in swept if len(set(point.arms)) > 1]
        best = max(routing, key=_sureness, default=None)
        return 0.0 if best is None else best.cost_weight

    def _mixed(self, cost_usd: np.ndarray) -> np.ndarray:
        """Return per prompt what random mixing gives at the mean of these costs.

        Between two corners of the hull the mix is a weighted mean of two candidates' quality;
        it is corrected for each prompt's own cost, so that the standard error is that of the
        vertical distance from the hull.
        """
        if not self.has_cost:
            return self.always_best_single().quality
        low, high = self._corners(float(cost_usd.mean()))
        low_usd, high_usd = self.cost_usd[:, low], self.cost_usd[:, high]
        run = float(high_usd.mean() - low_usd.mean())
        if run <= 0:
            return self.quality[:, high]
        share = float(np.clip((cost_usd.mean() - low_usd.mean()) / run, 0, 1))
        slope = float((self.quality[:, high] - self.quality[:, low]).mean()) / run
        mixed = (1 - share) * self.quality[:, low] + share * self.quality[:, high]
        mixed_usd = (1 - share) * low_usd + share * high_usd
        deviation = cost_usd - mixed_usd
        return mixed + slope * (deviation - deviation.mean())

    def _corners(self, mean_usd: float) -> tuple[int, int]:
        """Return the two candidates of the hull's edge over a mean cost."""
        means_usd, means = self.cost_usd.mean(axis=0), self.quality.mean(axis=0)
        costs, qualities = hull(means_usd, means)
        arms = [
            int(np.argmin(np.abs(means_usd - cost) + np.abs(means - quality)))
            for cost, quality in zip(costs, qualities, strict=True)
        ]
        right = int(np.searchsorted(costs, mean_usd))
        return arms[max(min(right, len(arms)) - 1, 0)], arms[min(right, len(arms) - 1)]


def _best_of_other_folds(outcomes: Outcomes, folds: np.ndarray) -> np.ndarray:
    """Return for each prompt the best single model of the folds that it isn't in."""
    best = np.empty(len(outcomes), dtype=int)
    for fold in np.unique(folds):
        others = outcomes.take(folds != fold) if (folds != fold).any() else outcomes
        best[folds == fold] = outcomes.models.index(others.best_single)
    return best


def _sureness(point: _Measured) -> float:
    """Return by how many standard errors a point is better than mixing at its cost."""
    return float(point.gain.mean()) / _standard_error(point.gain, point.groups)


def _is_positive(gains: np.ndarray, groups: np.ndarray) -> bool:
    return bool(gains.mean() > _STANDARD_ERRORS * _standard_error(gains, groups) + 1e-12)


def _excludes_loss(differences: np.ndarray, groups: np.ndarray, max_loss: float) -> bool:
    """Tell whether the mean loss stays within bounds at the far end of its interval."""
    low = differences.mean() - _STANDARD_ERRORS_OF_LOSS * _standard_error(differences, groups)
    return bool(low >= -max_loss)


def _standard_error(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the standard error of the mean, never less than if one group more had differed.

    A handful of groups that all happen to fall right has next to no spread, and proves nothing.

    `groups` (n_prompts,): numbers from 0; prompts of one are one draw.
    """
    sums = np.bincount(groups, values - values.mean())
    n_groups = len(sums)
    squares = float((sums**2).sum()) + (len(values) / n_groups) ** 2
    squares *= n_groups / max(n_groups - 1, 1)
    return float(np.sqrt(squares)) / len(values)


def too_few(n_prompts: int) -> str:
    """Say in words why so few prompts can't choose an operating point."""
    return (
        f"only {n_prompts} training prompts have every candidate observed, {MIN_PROMPTS} are needed"
    )


def kept_to_best_single(outcomes: Outcomes, n_prompts: int, reason: str) -> OperatingPoint:
    """Return the operating point that keeps to the best single model, with its reason."""
    best = outcomes.models.index(outcomes.best_single)
    quality, cost_usd = (float(means[best]) for means in outcomes.compared())
    nan = float("nan")
    return OperatingPoint(
        0.0, reason, n_prompts, outcomes.best_single, quality, cost_usd, quality, cost_usd, nan, nan
    )


def _point(measured: _Measured, bench: _Bench, outcomes: Outcomes) -> OperatingPoint:
    kept = bench.always_best_single()
    return OperatingPoint(
        cost_weight=measured.cost_weight,
        fallback=None,
        n_prompts=len(bench.quality),
        best_single=outcomes.best_single,
        quality=float(measured.quality.mean()),
        cost_usd=float(measured.cost_usd.mean()),
        best_single_quality=float(kept.quality.mean()),
        best_single_cost_usd=float(kept.cost_usd.mean()),
        gain_over_mixing=float(measured.gain.mean()),
        gain_standard_error=_standard_error(measured.gain, measured.groups),
    )
