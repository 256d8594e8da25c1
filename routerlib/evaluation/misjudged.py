"""Tell, at every look, which candidates have become other than a router estimates them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routerlib.metrics.intervals import Interval
from routerlib.metrics.sequences import log_shift_evidence
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.records.progress import watched
from routerlib.routers.held_out_errors import HeldOutErrors
from routerlib.routers.in_parts import MOST_AT_ONCE
from routerlib.routers.router import Router

# Fewer answers say nothing: the bound rests on sums that are nearly normal.
MIN_ANSWERS = 30
# A mean error of the estimates that can change decisions.
_MISJUDGED = 0.05
# A change is looked for from every so many answers on; most weight has one since training.
_STEP = 100
_SHARE_OF_FIRST = 0.4
# A candidate that has become worse costs; one that has become better can wait.
_SHARE_OF_WORSE = 0.8
# An error is a difference of two qualities.
_LARGEST_ERROR = 2.0
_N_HALVINGS = 20


class Misjudged(NamedTuple):
    """What a router expected of a candidate beside what was observed since training.

    `error`: mean of observed minus expected, with bounds that hold at all looks; over all
        answers since training, or over those since the change where there is one.
    `n, n_since`: scored answers since training, and those that `error` is about.
    `to_do`: ``retrain`` (worse than expected), ``recalibrate`` (better), ``nothing`` or
        ``judge more`` (fewer than 30 answers).
    """

    expected: float
    observed: float
    error: Interval
    n: int
    n_since: int
    to_do: str

    @property
    def is_misjudged(self) -> bool:
        """Whether the candidate has become better or worse."""
        return self.to_do in ("retrain", "recalibrate")


def judge_estimates(
    router: Router,
    recent: Outcomes,
    alpha: float,
    drawn: NDArray[np.intp] | None = None,
) -> dict[str, Misjudged]:
    """Compare estimates with outcomes, candidate by candidate.

    Expected is what estimates like these meant out of fold at training time, with the
    uncertainty of that; a change is looked for from the first answer on and from every
    hundredth later one. All bounds hold together, over candidates, starts and looks, with a
    probability of at least ``1 - alpha``.

    `recent`: prompts that the router hasn't learnt from, in the order of their answers.
    `alpha`: chance of ever calling a candidate misjudged that isn't, in (0, 1).
    `drawn`: rows, drawn at random, among which near-duplicates are looked for; None = all.
    """
    if not len(recent):
        return {}
    rows = np.arange(len(recent)) if drawn is None else drawn
    groups = recent.groups if drawn is None else recent.take(drawn).groups
    estimated = _expected_quality(router, recent.prompts)
    kept = router.held_out_errors_ or HeldOutErrors.assumed(
        router.mean_quality_, len(router.train_prompt_ids_)
    )
    columns = [recent.models.index(name) for name in router.models_]
    errors = recent.quality[:, columns] - kept.expected(estimated)
    found = {}
    for arm, name in enumerate(router.models_):
        known = np.isfinite(errors[:, arm])
        if not known.any():
            continue
        segment = _most_striking(
            errors[known, arm],
            design_effect=_design_effect(
                errors[rows, arm][known[rows]], groups[known[rows]], int(known.sum())
            ),
            outcome_variance=float(kept.variance[arm]),
            n_training=float(kept.n[arm]),
            mean_variance=float(kept.variance_of_mean(estimated[known])[arm]),
            alpha=alpha / len(router.models_),
        )
        observed = float(recent.quality[known, columns[arm]][segment.start :].mean())
        expected = min(max(observed - segment.error.value, 0.0), 1.0)
        found[name] = Misjudged(
            expected,
            observed,
            _possible(segment.error, expected, observed),
            int(known.sum()),
            int(known.sum()) - segment.start,
            _to_do(segment.error, int(known.sum())),
        )
    return found


def _expected_quality(router: Router, prompts: Sequence[str]) -> Floats:
    """Estimate quality part by part: of millions of prompts costs and seconds aren't held."""
    starts = range(0, len(prompts), MOST_AT_ONCE)
    return np.concatenate(
        [
            router.predict(prompts[start : start + MOST_AT_ONCE]).quality
            for start in watched(starts, f"{MOST_AT_ONCE:,} prompts each, estimated", len(starts))
        ]
    )


def _possible(error: Interval, expected: float, observed: float) -> Interval:
    """Cut an error off where the quality that it means would leave [0, 1]."""
    value = observed - expected
    low, high = max(error.low, -expected), min(error.high, 1 - expected)
    return Interval(value, min(low, value), max(high, value), error.se)


class _Segment(NamedTuple):
    """Answers from `start` on, and their mean error against what was expected before."""

    start: int
    error: Interval


def _most_striking(
    errors: Floats,
    *,
    design_effect: float,
    outcome_variance: float,
    n_training: float,
    mean_variance: float,
    alpha: float,
) -> _Segment:
    """Return the segment that tells of a change, or all answers where none does.

    `errors` (n,): observed minus expected, in order.
    `design_effect`: how much more their sum varies than that of independent ones.
    `outcome_variance`: of one error, as measured on `n_training` prompts.
    `mean_variance`: of the expectation.
    """
    n = len(errors)
    squares = float(errors @ errors)
    variance = (outcome_variance * n_training + squares + 1) / (n_training + n)
    variance *= design_effect
    starts = np.arange(0, max(n - MIN_ANSWERS, 0) + 1, _STEP)
    sums = np.concatenate([[0.0], np.cumsum(errors)])[[*starts, n]]
    seen = _Looks(np.append(starts, n), sums, variance, mean_variance)
    worse, better = -np.log(alpha * _SHARE_OF_WORSE), -np.log(alpha * (1 - _SHARE_OF_WORSE))
    is_changed = seen.of_fall(0.0, 0) > worse or seen.of_rise(0.0, 0) > better
    at = seen.likeliest() if is_changed else 0
    start, value, sd = int(starts[at]), float(seen.shifts[at]), float(np.sqrt(seen.variances[at]))
    high = _bisect(lambda reach: seen.of_fall(value + reach, start) < worse)
    low = _bisect(lambda reach: seen.of_rise(value - reach, start) < better)
    return _Segment(start, Interval(value, value - low, value + high, sd))


@dataclass(frozen=True, eq=False)
class _Looks:
    """Sums of errors up to several starts and now, each segment weighed against what was before.

    `places` (n_starts + 1,): first error of each segment; at last the number of all.
    `sums` (n_starts + 1,): of the errors before each place.
    `variance`: of one error. `mean_variance`: of their expectation at training time.
    """

    places: NDArray[np.intp]
    sums: Floats
    variance: float
    mean_variance: float

    @cached_property
    def variances(self) -> Floats:
        """Return that of each segment's shift; what came before makes the expectation surer."""
        return 1 / self._precision + self.variance / (self.places[-1] - self.places[:-1])

    @property
    def shifts(self) -> Floats:
        """Return each segment's mean error minus the error that was there before."""
        return self._shifts(self.sums)

    def of_fall(self, shift: float, start: int) -> float:
        """Weigh whether errors, less a shift from a start on, have fallen."""
        return self._evidence(self._shifts(self._less(shift, start)))

    def of_rise(self, shift: float, start: int) -> float:
        """Weigh whether errors, less a shift from a start on, have risen."""
        return self._evidence(-self._shifts(self._less(shift, start)))

    def likeliest(self) -> int:
        """Return the start from which on a shift explains most."""
        return int(np.argmax(self.shifts**2 / self.variances))

    @cached_property
    def _precision(self) -> Floats:
        return 1 / self.mean_variance + self.places[:-1] / self.variance

    @cached_property
    def _log_shares(self) -> Floats:
        later = 1 / np.log2(np.arange(2, len(self.places) + 1))
        return np.log(np.append(_SHARE_OF_FIRST, (1 - _SHARE_OF_FIRST) * (later[:-1] - later[1:])))

    def _less(self, shift: float, start: int) -> Floats:
        return self.sums - shift * np.maximum(self.places - start, 0)

    def _shifts(self, sums: Floats) -> Floats:
        before = sums[:-1] / self.variance / self._precision
        return np.asarray((sums[-1] - sums[:-1]) / (self.places[-1] - self.places[:-1]) - before)

    def _evidence(self, shifts: Floats) -> float:
        weighed = log_shift_evidence(shifts, self.variances) + self._log_shares
        return float(np.logaddexp.reduce(weighed))


def _bisect(is_inside: Callable[[float], bool]) -> float:
    """Return how far an interval reaches, given what is inside it; at least 0."""
    inside, outside = 0.0, _LARGEST_ERROR
    for _ in range(_N_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return inside


def _design_effect(errors: Floats, groups: NDArray[np.intp], n: int) -> float:
    """Return how much more the sum of errors varies because near-duplicates err together.

    `n`: errors that these were drawn from at random. A tenth of them holds a hundredth of the
    pairs that err together, and a tenth of the squares.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    sums = np.bincount(group_of, weights=errors)
    effect = float(sums @ sums) / max(float(errors @ errors), 1e-12)
    if len(errors) < n:
        effect = 1 + (effect - 1) * n / max(len(errors), 1)
    return max(1.0, effect)


def _to_do(error: Interval, n: int) -> str:
    if n < MIN_ANSWERS:
        return "judge more"
    if abs(error.value) < _MISJUDGED or error.low <= 0 <= error.high:
        return "nothing"
    return "retrain" if error.value < 0 else "recalibrate"
