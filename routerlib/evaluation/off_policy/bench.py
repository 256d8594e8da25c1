"""Estimate means of a target policy's outcomes, with decisions without a verdict among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from routerlib.evaluation.off_policy import estimators
from routerlib.evaluation.off_policy.estimators import Method
from routerlib.evaluation.off_policy.feedback import Silent, ends_of, probability_of_verdict
from routerlib.evaluation.off_policy.halves import Halves, halves_of
from routerlib.evaluation.off_policy.posterior import Design, Posterior
from routerlib.evaluation.pseudo_outcomes import Rows, augmented, interval
from routerlib.log.choices import LoggedChoices
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.records.arrays import Floats

# With fewer known values a mean says nothing.
MIN_KNOWN = 50
_N_FOLDS = 5


class Bounded(NamedTuple):
    """An estimate, what it is where all missing verdicts are the worst or the best, and by time."""

    interval: Interval
    lowest: float
    highest: float
    halves: Halves | None


@dataclass(frozen=True, eq=False)
class Bench:
    """What all three means are estimated with."""

    logged: LoggedChoices
    method: Method
    groups: np.ndarray
    folds: np.ndarray
    columns: Floats

    @classmethod
    def of(cls, logged: LoggedChoices, method: Method, random_state: int) -> Bench:
        """Lay out what the means of some decisions need."""
        _, groups = np.unique(np.array(logged.prompt_ids), return_inverse=True)
        n_folds = min(_N_FOLDS, len(np.unique(groups)))
        if method != "dr" or n_folds < 2:
            return cls(
                logged, method, groups, np.zeros(len(groups), int), np.ones((len(groups), 1))
            )
        folds = grouped_folds(groups, n_folds, random_state)
        _, columns = Design.fit_columns(logged.prompts)
        return cls(logged, method, groups, folds, columns)

    def value(self, values: Floats, weights: Floats, target: Floats, level: float) -> Interval:
        """Estimate one mean; rows whose value is unknown are left out."""
        known = np.isfinite(values)
        if known.sum() < MIN_KNOWN:
            return Interval(np.nan, np.nan, np.nan, np.nan)
        r, w = values[known], weights[known]
        expected = self.cross_fitted(values, known)[known] if self.method == "dr" else None
        rows = self._rows(r, w, expected, target[known], known)
        return interval(rows, w, self.groups[known], scale=float(np.ptp(r)), level=level)

    def quality(
        self, weights: Floats, target: Floats, silent: Silent, less: Floats, level: float
    ) -> Bounded:
        """Estimate mean quality less something, with decisions without a verdict among it.

        The interval reaches over that of the later half of the log, which is nearer to what comes.

        `less` (n,): such as cost in units of quality; where it is unknown a row is left out.
        """
        known = np.isfinite(less)
        ends, observed = ends_of(self.logged), self.logged.quality - less
        has_verdict = known & np.isfinite(observed)
        if has_verdict.sum() < MIN_KNOWN:
            nan = float("nan")
            return Bounded(Interval(nan, nan, nan, nan), nan, nan, None)
        w, groups = weights[known], self.groups[known]
        expected = self.cross_fitted(observed, has_verdict)[known] if self.method == "dr" else None
        likely = np.ones(int(known.sum()))
        made_up = observed[known]
        if not has_verdict[known].all():
            likely = probability_of_verdict(self.logged, self.groups)[known]
            guess = np.full(len(made_up), np.nanmean(made_up))
            if expected is not None:
                guess = expected[np.arange(len(made_up)), self.logged.arms[known]]
            made_up = augmented(made_up, guess, likely)
        rows = self._rows(made_up, w, expected, target[known], known)
        heard = np.where(has_verdict[known], w / likely, 0.0)
        scale = float(np.nanmax(observed) - np.nanmin(observed))
        middle = interval(rows, heard, groups, scale=scale, level=level)
        low, high = (
            interval(
                self._rows(each[known] - less[known], w, expected, target[known], known),
                w,
                groups,
                scale=scale,
                level=level,
            )
            for each in ends
        )
        if silent == "worst":
            value = float(np.clip(middle.value, low.value, high.value))
            middle = Interval(value, low.low, high.high, middle.se)
        if known.sum() < 2 * MIN_KNOWN:
            return Bounded(middle, low.value, high.value, None)
        halves = halves_of(rows, heard, groups, scale, level)
        lowest = float(np.fmin(middle.low, halves.later.low))
        highest = float(np.fmax(middle.high, halves.later.high))
        middle = middle._replace(low=lowest, high=highest)
        return Bounded(middle, low.value, high.value, halves)

    def _rows(
        self, r: Floats, w: Floats, expected: Floats | None, target: Floats, known: np.ndarray
    ) -> Rows:
        if expected is None:
            return (estimators.snips if self.method == "snips" else estimators.ips)(r, w)
        of_logged = expected[np.arange(len(r)), self.logged.arms[known]]
        return estimators.doubly_robust(r, w, of_logged, (target * expected).sum(axis=1))

    def cross_fitted(self, values: Floats, known: np.ndarray) -> Floats:
        """Expect each candidate's value on all rows from the known ones of the other folds."""
        centre, scale = float(values[known].mean()), float(values[known].std()) or 1.0
        n_models = len(self.logged.models)
        expected = np.zeros((len(values), n_models))
        for fold in np.unique(self.folds):
            held_out = self.folds == fold
            taught = known & ~held_out
            model = Posterior(
                self.columns.shape[1], n_models, prior_mean=0.0, prior_sd=1.0, noise_sd=1.0
            )
            arms, standard = self.logged.arms[taught], (values[taught] - centre) / scale
            model.update(self.columns[taught], arms, standard)
            expected[held_out] = model.means(self.columns[held_out])
        return centre + scale * expected
