"""Learn how routing quality grows with training prompts, and how far that can be drawn on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from routerlib.evaluation.contenders import TestedPrompts, estimates_contender
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.routing import means_on_train, route_all
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import pandas as pd

Metric = Literal["quality", "AIQ", "APGR", "gap_closed", "cost_at_equal_quality"]

_METRICS: tuple[Metric, ...] = get_args(Metric)
_N_SIZES = 4
_SMALLEST = 40
# Fits to more distant sizes are no better than a guess.
_FURTHEST = 2.0
# What is lost falls with some power of the size that no few sizes tell: from hardly at all, which
# is a straight line in its logarithm, to one over it, the fastest that learning from noise can be.
_POWERS = (0, -1)
_MIN_SIZES = _MIN_SEEDS = 3


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """What routers trained on more and more prompts reach on held-out ones.

    Parameters
    ----------
    points : DataFrame
        One row per seed and training size: ``seed``, ``n_train``, ``n_test``, ``fit_s`` and, with
        the cost weight at 0, ``quality``, ``AIQ``, ``APGR``, ``gap_closed``,
        ``cost_at_equal_quality``; ``best_single`` is the quality of always calling it.
    is_stopped : bool
        Whether time ran out before every size was tried.
    """

    points: pd.DataFrame
    is_stopped: bool

    def extrapolate(self, n_train: int, metric: Metric = "quality") -> tuple[float, float, float]:
        """Draw the curve on to more training prompts, at most to twice the largest size.

        Two curves are fitted for each seed, which has training and test prompts of its own: one
        that goes on in a straight line over the logarithm of the size, and one that flattens out
        with one over the size. The interval is about what the further prompts add to the mean at
        the largest size: where that would lie for one further seed in 95 of 100 cases, whether
        the curve goes on by the one, by the other, or between them; the value is half-way. It
        leaves out that other test prompts are easier or harder as a whole, and that seeds share
        prompts.

        Parameters
        ----------
        n_train : int
            Training prompts, at most twice as many as were tried.
        metric : str, default="quality"
            Column of `points`.

        Returns
        -------
        tuple (value, low, high) of float

        Raises
        ------
        ValueError
            If it is too far, or fewer than three sizes or seeds were measured.
        """
        sizes = np.unique(self.points["n_train"])
        seeds = np.unique(self.points["seed"])
        if len(sizes) < _MIN_SIZES or len(seeds) < _MIN_SEEDS:
            raise ValueError(
                f"drawing on needs {_MIN_SIZES} sizes and {_MIN_SEEDS} seeds, got {len(sizes)} "
                f"and {len(seeds)}; measure a longer curve"
            )
        if n_train > _FURTHEST * sizes.max():
            raise ValueError(
                f"n_train must be at most {_FURTHEST:g} times the {sizes.max()} prompts tried, "
                f"got {n_train!r}: further on any curve fits; collect prompts and measure again"
            )
        largest = int(sizes.max())
        at_largest = float(self.points.loc[self.points["n_train"] == largest, metric].mean())
        ways = np.array([self._added(n_train / largest, metric, power) for power in _POWERS])
        value, low, high = ways[:, 0].mean(), ways[:, 1].min(), ways[:, 2].max()
        return at_largest + float(value), at_largest + float(low), at_largest + float(high)

    def _added(self, times: float, metric: Metric, power: int) -> tuple[float, float, float]:
        """Return what so many times the largest size adds, if the curve goes on by one power."""
        largest = self.points["n_train"].max()
        slopes = [
            np.polyfit(_over(each["n_train"].to_numpy(float) / largest, power), each[metric], 1)[0]
            for _, each in self.points.groupby("seed")
        ]
        now, then = _over(np.array([1.0, times]), power)
        return _prediction(np.array(slopes) * (then - now))

    def sentence(self, metric: Metric = "quality") -> str:
        """Say what twice as many prompts would bring, or why it can't be told."""
        largest = int(self.points["n_train"].max())
        now = float(self.points.loc[self.points["n_train"] == largest, metric].mean())
        start = f"With {largest} training prompts the router's {metric} is {now:.3f}"
        try:
            value, low, high = self.extrapolate(2 * largest, metric)
        except ValueError as error:
            return f"{start}; where more would lead can't be told: {error}."
        if low <= now <= high:
            return (
                f"{start}; drawn on to {2 * largest} it would be {value:.3f} [{low:.3f}, "
                f"{high:.3f}], which isn't told from no change."
            )
        return (
            f"{start}; drawn on to {2 * largest} it would be {value:.3f} [{low:.3f}, {high:.3f}]."
        )


def learning_curve(
    make_router: Callable[[], Router],
    outcomes: Outcomes,
    *,
    sizes: Sequence[int] | None = None,
    n_seeds: int = 3,
    test_size: float = 0.3,
    max_s: float | None = None,
    random_state: int = 0,
) -> LearningCurve:
    """Train on more and more prompts, and measure each router on the same held-out ones.

    For each seed prompts are split anew, near-duplicates on the same side, and each training set
    contains the smaller ones.

    Parameters
    ----------
    make_router : callable
        Returns a new, unfitted router that estimates quality.
    outcomes : Outcomes
        All prompts; test prompts of a final judgement should not be among them.
    sizes : sequence of int or None, default=None
        Numbers of training prompts; None = four, each about twice the one before, up to all.
    n_seeds : int, default=3
        Splits.
    test_size : float, default=0.3
        Share of prompts held out in each.
    max_s : float or None, default=None
        Seconds after which no larger size is begun; small sizes come first, each is tried with
        every seed. None = no limit.
    random_state : int, default=0
        First seed.

    Returns
    -------
    LearningCurve

    Raises
    ------
    ValueError
        If a size is under 1 or there are fewer training prompts than the smallest size.

    Examples
    --------
    >>> from routerlib.routers.rivals import KNNRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> curve = learning_curve(KNNRouter, make_world(n_prompts=300).outcomes, sizes=[20, 200])
    >>> curve.points.groupby("n_train").quality.mean().round(2).to_dict()
    {20: 0.68, 200: 0.88}
    """
    import pandas as pd

    begin = time.monotonic()
    splits = [outcomes.split(test_size, random_state + seed) for seed in range(n_seeds)]
    most = min(len(train) for train, _ in splits)
    wanted = sorted(set(_default_sizes(most) if sizes is None else sizes))
    if not wanted or wanted[0] < 1 or wanted[0] > most:
        raise ValueError(f"sizes must lie between 1 and the {most} training prompts, got {sizes!r}")
    rows: list[dict[str, float]] = []
    for size in wanted:
        if rows and max_s is not None and time.monotonic() - begin > max_s:
            break  # between sizes: a mean over some of the seeds stands beside no other
        for seed, (train, test) in enumerate(splits):
            order = np.random.default_rng(random_state + seed).permutation(len(train))
            part = train.take(np.sort(order[:size]))
            rows.append({"seed": seed, "n_train": size, **_point(make_router, part, test)})
    return LearningCurve(pd.DataFrame(rows), len(rows) < len(wanted) * n_seeds)


def _default_sizes(most: int) -> list[int]:
    smallest = max(min(_SMALLEST, most), round(most / 2 ** (_N_SIZES - 1)))
    return [round(size) for size in np.geomspace(smallest, most, _N_SIZES)]


def _point(make_router: Callable[[], Router], train: Outcomes, test: Outcomes) -> dict[str, float]:
    begin = time.perf_counter()
    router = make_router().fit(train)
    fit_s = time.perf_counter() - begin
    means = means_on_train(router, test)
    tested = TestedPrompts.of(test, means.strong, means.weak)
    routed = route_all(router, tested.outcomes, cost_weight=0.0)
    contenders = {"router": estimates_contender(tested, routed.estimates, routed.arms)}
    values = measure(tested, contenders, n_bootstrap=0, random_state=0).values["router"]
    return {
        "n_test": len(tested),
        "fit_s": fit_s,
        **{name: values[name] for name in _METRICS},
        "best_single": values["quality"] - values["quality_difference"],
    }


def _over(sizes: Floats, power: int) -> Floats:
    """Return what a curve is a straight line over."""
    return -(sizes ** float(power)) if power else np.log2(sizes)


def _prediction(drawn: np.ndarray) -> tuple[float, float, float]:
    """Return the mean and the 95 % interval of one further draw (Student)."""
    from scipy.stats import t

    n = len(drawn)
    half = t.ppf(0.975, n - 1) * drawn.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(drawn.mean()), float(drawn.mean() - half), float(drawn.mean() + half)
