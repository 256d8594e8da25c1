"""Say how much routers differ that were trained alike on overlapping parts of the prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from routerlib.evaluation.bounds import MissingCells
from routerlib.evaluation.contenders import TestedPrompts, take_arms
from routerlib.evaluation.routing import TrainMeans, out_of_fold_of
from routerlib.metrics.curves import hull
from routerlib.metrics.intervals import Interval, cluster_weights, within_possible
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Arms, Floats
from routerlib.routers.out_of_fold import UNKNOWN, OutOfFold
from routerlib.routers.router import Router

_N_DRAWN = 200
# So many times the variance between two routers comes on top. Chosen by coverage: with less, the
# interval of a router with nothing to learn but chance held its truth in under 93 %.
_SHARED = 1.8
_Z95 = 1.96


class CrossTested(NamedTuple):
    """How prompts were tested that the router itself has seen.

    `n_folds`: routers that were trained on all folds but one each.
    `n_prompts`: prompts that one of these was tested on.
    `spread`: by metric, standard error that their training brings; see `spread_of_training`.
    """

    n_folds: int
    n_prompts: int
    spread: Mapping[str, float]

    @classmethod
    def of(
        cls, router: Router, test: Outcomes, tested: TestedPrompts, train: TrainMeans
    ) -> CrossTested | None:
        """Count the prompts whose choices are known out of fold; None where there are none."""
        record = out_of_fold_of(router)
        if record is None:
            return None
        n_prompts = int((record.rows_of(test.prompt_ids) != UNKNOWN).sum())
        if not n_prompts:
            return None
        columns = np.array([test.models.index(name) for name in router.models_], dtype=np.intp)
        return cls(record.n_folds, n_prompts, spread_of_training(record, tested, columns, train))

    def told(self, n: int) -> str:
        """Say who was tested on some prompts, those that lack something among them.

        >>> CrossTested(5, 450, {}).told(450)
        'Tested on all 450 prompts by routers trained on 4/5 of them; the router in use is trained
         on all.'
        """
        all_of = "all " if n == self.n_prompts else ""
        parts = f"{self.n_folds - 1}/{self.n_folds}"
        told = f"Tested on {all_of}{self.n_prompts} prompts by routers trained on {parts} of them; "
        others = "" if n == self.n_prompts else f", and tested itself on {n - self.n_prompts} more"
        return f"{told}the router in use is trained on all{others}."


def held(measured: Mapping[str, Interval], crossed: CrossTested | None) -> Mapping[str, Interval]:
    """Widen intervals by what the training of the folds' routers brings, if they were tested.

    No end lies where the number can't.

    >>> crossed = CrossTested(5, 450, {"quality": 0.04})
    >>> wider = held({"quality": Interval(0.5, 0.44, 0.56, 0.03)}, crossed)["quality"]
    >>> round(wider.low, 3), round(wider.high, 3), wider.se
    (0.401, 0.599, 0.05)
    """
    spread = {} if crossed is None else crossed.spread
    return {
        name: within_possible(name, _wider(each, spread.get(name, 0.0)))
        for name, each in measured.items()
    }


def held_with_missing(
    missing: MissingCells | None, crossed: CrossTested | None
) -> MissingCells | None:
    """Widen the bounds of what is missing in the same way."""
    if missing is None or crossed is None:
        return missing
    se = crossed.spread.get("quality_difference", 0.0)
    return replace(
        missing,
        bounds={name: held(each, crossed) for name, each in missing.bounds.items()},
        adjusted=missing.adjusted and _wider(missing.adjusted, se),
    )


def spread_of_training(
    record: OutOfFold, tested: TestedPrompts, columns: Arms, train: TrainMeans
) -> dict[str, float]:
    """Estimate the standard error that folds share, on top of that of tested prompts.

    Two things make an interval of tested prompts alone too narrow. The routers of the folds were
    tested, not the one in use, which is yet another draw. And each prompt taught the routers that
    the others were tested by: whatever was learnt of chance counts twice. Both are as large as the
    choices swing from fold to fold, and no larger, so routers that choose alike add nothing. Two
    routers are compared on the prompts of the other folds, which both have seen, so that neither is
    flattered beside the other; where chance alone would put them farther apart than they are, that
    counts.

    Bates, Hastie and Tibshirani (2023), Cross-validation: what does it estimate and how well does
    it do it?, JASA 119; Nadeau and Bengio (2003), Inference for the generalization error, Machine
    Learning 52, whose correction is the same for every router: it would be 2.25 times the variance.

    `columns` (n_models,): where the router's models stand in the tested outcomes.
    Returns by metric, at least 0.
    """
    rows = record.rows_of(tested.outcomes.prompt_ids)
    known = np.flatnonzero(rows != UNKNOWN)
    bench = _Bench(record, tested, rows, columns, hull(train.cost_usd, train.quality))
    seen: dict[str, list[float]] = {}
    noise: dict[str, list[float]] = {}
    for left, right in combinations(range(record.n_folds), 2):
        both = known[~np.isin(record.fold[rows[known]], (left, right))]
        if not len(both):
            continue
        for name, (apart, by_chance) in bench.apart(left, right, both).items():
            seen.setdefault(name, []).append(apart**2 / 2)
            noise.setdefault(name, []).append(by_chance / 2)
    return {
        name: math.sqrt(_SHARED * max(float(np.mean(squares)), float(np.mean(noise[name]))))
        for name, squares in seen.items()
    }


def _wider(interval: Interval, se: float) -> Interval:
    if not se > 0 or np.isnan([interval.low, interval.high]).any():
        return interval
    below, above = (
        float(np.hypot(end - interval.value, _Z95 * se)) for end in (interval.low, interval.high)
    )
    value = interval.value
    return Interval(value, value - below, value + above, float(np.hypot(interval.se, se)))


class _Bench:
    """The routers of the folds on prompts with nothing missing."""

    def __init__(
        self,
        record: OutOfFold,
        tested: TestedPrompts,
        rows: Arms,
        columns: Arms,
        line: tuple[Floats, Floats],
    ) -> None:
        self._tested, self._line = tested, line
        self._chosen = columns[record.chosen[:, rows]]
        self._best = columns[record.best]

    def apart(self, left: int, right: int, prompts: Arms) -> dict[str, tuple[float, float]]:
        """Return by metric how far two routers are apart, and the variance of that."""
        drawn = np.vstack(
            [
                np.ones((1, len(prompts))),
                *cluster_weights(self._tested.outcomes.groups[prompts], _N_DRAWN, 0),
            ]
        )
        ours, theirs = (self._metrics(fold, prompts, drawn) for fold in (left, right))
        found = {}
        for name, values in ours.items():
            off = values - theirs[name]
            if np.isfinite(off).all():
                found[name] = float(off[0]), float(off[1:].var(ddof=1))
        return found

    def _metrics(self, fold: int, prompts: Arms, weights: Floats) -> dict[str, Floats]:
        n = weights.sum(axis=1)
        arms, best = self._chosen[fold, prompts], self._best[fold]
        quality, cost = self._tested.quality[prompts], self._tested.cost_usd[prompts]
        own, own_usd, single, single_usd = (
            weights @ values / n
            for values in (
                take_arms(quality, arms),
                take_arms(cost, arms),
                quality[:, best],
                cost[:, best],
            )
        )
        mixed = np.interp(own_usd, *self._line) if len(self._line[0]) else np.full(len(n), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = own_usd / single_usd
        return {
            "quality": own,
            "cost_usd": own_usd,
            "cost_share": share,
            "saving": 1 - share,
            "quality_difference": own - single,
            "zero_difference": mixed - single,
            "gain_over_zero": own - mixed,
        }
