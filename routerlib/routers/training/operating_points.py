"""Choose where to stand between quality and cost, by out-of-fold estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from routerlib.metrics.curves import hull
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.decision import Estimates
from routerlib.routers.held_out import HeldOut

# A gain is shown when it exceeds this many standard errors. More than the usual 1.64 of a one-sided
# test, because the best of many cost weights is looked at.
_STANDARD_ERRORS = 2.0
# A gain with so much of the surest one's sureness is as sure: a tenth more prompts make up for it.
_AS_SURE = 0.95
# A loss is excluded at the far end of a one-sided interval of 95 %. Comparing means alone, the
# cheapest of many cost weights could lose twice as much on new prompts as was allowed.
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
    """Choose the cost weight that saves most surely while losing little, out of fold.

    Each prompt's choice is compared with the model that was the best single one of the other
    folds: neither side has seen the prompt. What is seen of the mean difference is weighed with
    what the estimates themselves expect of it, each by its variance (``held_out.gain_sd``), into
    what is believed: a few dozen prompts say next to nothing, and there estimates that were
    drawn together by the noise in them are the better guess; with thousands only what was seen
    counts. So it is no matter of all or nothing.

    1. The yardstick is the best single model, or the router at cost weight 0 where that is
       believed to be better by more than chance. Among the cost weights of which a loss above
       `max_quality_loss` against the yardstick is excluded (one-sided, 95 %), both by what was
       seen alone and by what is believed, that are cheaper than the yardstick and better than
       mixing candidates at random at the same cost by more than chance, the one is chosen that is
       most surely better or, of those nearly as sure, that gives up least: there other prompts
       will show it too, and no more quality is given up than the saving is worth.
    2. Otherwise the cost weight is 0 if that is the yardstick.
    3. Otherwise a gain that is believed without being shown is taken where it costs nothing: the
       cost weight with the largest among those that cost no more than the best single model and of
       which a loss above `max_quality_loss` isn't believed either (one-sided, 95 %).
    4. Otherwise the router shall keep to the best single model.

    For a promise that holds for new prompts see
    `routerlib.routers.training.train.at_certified_point`.

    `max_quality_loss`: mean quality that may be given up, in [0, 1]; with 0 only a gain that
        can be shown counts.
    """
    if not 0 <= max_quality_loss <= 1:
        raise ValueError(f"max_quality_loss must lie in [0, 1], got {max_quality_loss!r}")
    bench = _Bench.of(held_out, outcomes)
    if len(bench.quality) < MIN_PROMPTS:
        return kept_to_best_single(outcomes, len(bench.quality), too_few(len(bench.quality)))
    unweighed = bench.measure(0.0)
    kept = bench.always_best_single()
    is_better = bench.believed(unweighed, kept).low > _NO_GAIN
    yardstick = unweighed if is_better else kept
    most_usd = float(unweighed.cost_usd.mean()) if is_better else bench.best_single_usd()
    saving = bench.surest_saving(yardstick, most_usd, max_quality_loss)
    if saving is not None:
        return _point(saving, bench, outcomes)
    if is_better:
        return _point(unweighed, bench, outcomes)
    gain = bench.largest_gain(max_quality_loss)
    if gain is not None:
        return _point(gain, bench, outcomes)
    reason = "no gain over it could be shown on the training prompts"
    point = kept_to_best_single(outcomes, len(bench.quality), reason)
    return replace(point, tried_cost_weight=bench.most_promising())


def most_expected(estimates: Estimates, max_quality_loss: float = QUALITY_MARGIN) -> float:
    """Return the cost weight at which estimates alone expect most above mixing; 0 without costs.

    Of those at which they expect to lose at most `max_quality_loss` against the best single model.
    """
    if not len(estimates) or not np.isfinite(estimates.cost_usd).all():
        return 0.0
    single = int(estimates.quality.mean(axis=0).argmax())
    groups, everywhere = np.arange(len(estimates)), np.full(len(estimates), single)
    believing = _Bench(
        estimates, estimates.quality, estimates.cost_usd, everywhere, single, groups, True, 0.0
    )
    weights = sweep_cost_weights(estimates)
    measured = [believing.measure(float(weight)) for weight in weights]
    allowed = [each for each in measured if each.expected_gain >= -max_quality_loss]
    return max(allowed, key=lambda each: float(each.gain.mean())).cost_weight


@dataclass(frozen=True, eq=False)
class _Measured:
    """What one cost weight gave: per prompt the quality, the cost, the gain over mixing.

    `expected_gain`: mean quality above the best single model that the estimates expect.
    """

    cost_weight: float
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
    gain_sd: float

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
        return cls(kept, quality, cost_usd, best, single, groups, has_cost, held_out.gain_sd)

    def measure(self, cost_weight: float) -> _Measured:
        arms = choose_arms(self.estimates, cost_weight)
        rows = np.arange(len(arms))
        quality, cost_usd = self.quality[rows, arms], self.cost_usd[rows, arms]
        gain = quality - self._mixed(cost_usd)
        expected = self.estimates.quality
        expected_gain = float((expected[rows, arms] - expected[rows, self.best]).mean())
        return _Measured(cost_weight, expected_gain, quality, cost_usd, gain, self.groups)

    def always_best_single(self) -> _Measured:
        rows = np.arange(len(self.best))
        quality, cost_usd = self.quality[rows, self.best], self.cost_usd[rows, self.best]
        return _Measured(0.0, 0.0, quality, cost_usd, np.zeros(len(quality)), self.groups)

    def surest_saving(
        self, yardstick: _Measured, most_usd: float, max_quality_loss: float
    ) -> _Measured | None:
        """Return the allowed point that is as sure to gain as any and gives up least, or None.

        None gains beyond chance then. Around the surest point the gain is flat: the last per cent
        of cost is paid for with quality, and where exactly the top lies is luck.
        """
        if not self.has_cost:
            return None
        weights = sweep_cost_weights(self.estimates)
        measured = [self.measure(float(weight)) for weight in weights]
        allowed = [
            point
            for point in measured
            if _excludes_loss(point.quality - yardstick.quality, self.groups, max_quality_loss)
            and self.believed(point, yardstick).low >= -max_quality_loss
            and point.cost_usd.mean() < most_usd
            and _is_positive(point.gain, self.groups)
        ]
        surest = max((_sureness(point) for point in allowed), default=0.0)
        as_sure = [point for point in allowed if _sureness(point) >= _AS_SURE * surest]
        return min(as_sure, key=lambda point: point.cost_weight, default=None)

    def largest_gain(self, max_quality_loss: float) -> _Measured | None:
        """Return the point believed to gain most at no more than the best single model's cost."""
        kept = self.always_best_single()
        most_usd = self.best_single_usd()
        weights = sweep_cost_weights(self.estimates) if self.has_cost else np.zeros(1)
        allowed = []
        for point in (self.measure(float(weight)) for weight in weights):
            gain = self.believed(point, kept)
            is_gain = gain.mean > _NO_GAIN and gain.low >= -max_quality_loss
            if is_gain and not (self.has_cost and point.cost_usd.mean() > most_usd):
                allowed.append((gain.mean, point))
        return max(allowed, key=lambda each: each[0], default=(0.0, None))[1]

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
        expected = point.expected_gain - yardstick.expected_gain
        short = max(expected - seen, 0.0) / _STANDARD_ERRORS
        off = max(self.gain_sd**2, short**2 - variance)
        share = 1.0 if math.isinf(off) else off / (variance + off)
        mean = share * seen + (1 - share) * expected
        return _Believed(mean, mean - _STANDARD_ERRORS_OF_LOSS * math.sqrt(share * variance))

    def most_promising(self) -> float:
        """Return the cost weight with the surest gain over mixing, of those that do route."""
        if not self.has_cost:
            return 0.0
        weights = sweep_cost_weights(self.estimates)
        routing = [w for w in weights if len(set(choose_arms(self.estimates, w))) > 1]
        measured = [self.measure(float(weight)) for weight in routing]
        best = max(measured, key=_sureness, default=None)
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
