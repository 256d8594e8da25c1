"""Say from which ratio of prices on it pays to look at a cheap answer first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from routerlib.metrics.intervals import Interval, cluster_weights
from routerlib.metrics.tails import widen_for_few
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.routers.cascades.cascade import Cascade

_N_COSTS = 21
_N_RATIOS = 40
_RATIOS = (1.2, 60.0)


@dataclass(frozen=True, eq=False)
class PriceRatios:
    """Mean quality above random mixing of two models at the same cost, by the ratio of prices.

    A router pays one of the two; a cascade pays the cheap one always, and the dear one where it
    asks on. Means are over all costs from always cheap to always dear, with every call paid.

    Parameters
    ----------
    ratios : ndarray of shape (n_ratios,)
        Price of a dear call over that of a cheap one, above 1.
    router : ndarray of shape (n_ratios,)
        Gain of choosing before any answer; the ratio plays no part in it.
    cascade : ndarray of shape (n_ratios,)
        Gain of looking at the cheap answer first.
    low, high : ndarray of shape (n_ratios,)
        95 % interval of cascade minus router, whole groups of prompts at a time.
    """

    ratios: Floats
    router: Floats
    cascade: Floats
    low: Floats
    high: Floats

    @property
    def breaks_even_at(self) -> float:
        """Ratio from which on the cascade is above the router; NaN = at none of them."""
        above = self.cascade > self.router
        if not above[-1]:
            return float("nan")
        last_below = np.flatnonzero(~above)
        return float(self.ratios[0 if not len(last_below) else last_below[-1] + 1])

    @property
    def is_shown_from(self) -> float:
        """Ratio from which on the interval of the difference excludes zero; NaN = at none."""
        above = self.low > 0
        if not above[-1]:
            return float("nan")
        last_below = np.flatnonzero(~above)
        return float(self.ratios[0 if not len(last_below) else last_below[-1] + 1])


class PairRatios(NamedTuple):
    """Price ratios of two candidate models, and the one that they have.

    Attributes
    ----------
    cheap, dear : str
        Who is looked at first, and the best candidate model.
    own : float
        What a call of the dear one costs, over one of the cheap one; means of the same prompts.
        Endless where the cheap one is free.
    found : PriceRatios
        At many ratios.
    """

    cheap: str
    dear: str
    own: float
    found: PriceRatios


def ratios_of_cascade(
    cascade: Cascade, test: Outcomes, *, n_bootstrap: int = 200, random_state: int = 0
) -> PairRatios | None:
    """Follow a cascade's best candidate model, and the best cheaper one, on held-out prompts.

    Parameters
    ----------
    cascade : Cascade
        Fitted.
    test : Outcomes
        With `answers`; prompts that it wasn't trained on.
    n_bootstrap, random_state : int
        As of `price_ratios`.

    Returns
    -------
    PairRatios or None
        None where nobody is cheaper than the best one, or no prompt has both with a quality, a cost
        and the cheap answer.

    Examples
    --------
    >>> import routerlib as rl
    >>> cascade = rl.load_router("data/router_model.pkl")  # doctest: +SKIP
    >>> ratios_of_cascade(cascade, test).found.breaks_even_at  # doctest: +SKIP
    8.1
    """
    test = test.of_models(cascade.models_)
    quality, cost_usd = cascade.mean_quality_, cascade.mean_cost_usd_
    dear = cascade.models_.index(cascade.best_single_)
    is_cheaper = np.asarray(cost_usd) < cost_usd[dear]
    if not is_cheaper.any():
        return None
    cheap = int(np.where(is_cheaper, quality, -np.inf).argmax())
    pair = [cheap, dear]
    is_there = [row[cheap] is not None for row in test.answers or ()]
    known = np.isfinite(np.hstack([test.quality[:, pair], test.cost_usd[:, pair]])).all(axis=1)
    part = test.take(np.flatnonzero(known & np.array(is_there, dtype=bool)))
    if not len(part):
        return None
    bench = cascade.bench(part)
    expected, seen = bench.estimates.quality, bench.situation((cheap,))
    found = price_ratios(
        part.quality[:, cheap],
        part.quality[:, dear],
        expected[:, dear] - expected[:, cheap],
        seen.expected[:, dear] - seen.best,
        part.groups,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )
    own = price_ratio(*part.cost_usd[:, pair].mean(axis=0).tolist())
    return PairRatios(cascade.models_[cheap], cascade.models_[dear], own, found)


def price_ratio(cheap_usd: float, dear_usd: float) -> float:
    """Return the price of a dear call over that of a cheap one; endless where that is free.

    >>> price_ratio(0.001, 0.02), price_ratio(0.0, 0.02)
    (20.0, inf)
    """
    return dear_usd / cheap_usd if cheap_usd else math.inf


def price_ratios(
    cheap: Floats,
    dear: Floats,
    before: Floats,
    after: Floats,
    groups: np.ndarray,
    *,
    n_bootstrap: int = 200,
    random_state: int = 0,
) -> PriceRatios:
    """Follow router and cascade over prompts that both models answered, at many price ratios.

    Parameters
    ----------
    cheap, dear : ndarray of shape (n_prompts,)
        Quality of each model's answer.
    before : ndarray of shape (n_prompts,)
        What the dear model is expected to gain before any answer, of any scale.
    after : ndarray of shape (n_prompts,)
        The same once the cheap answer was looked at.
    groups : ndarray of shape (n_prompts,)
        Prompts of a group are drawn together.
    n_bootstrap : int, default=200
        Replicates.
    random_state : int, default=0
        Seed of the replicates.

    Returns
    -------
    PriceRatios
        A gain of 0.01 is one point of quality.

    Examples
    --------
    >>> cheap, dear = np.array([1.0, 0.0] * 20), np.ones(40)
    >>> found = price_ratios(cheap, dear, np.zeros(40), 1 - cheap, np.arange(40), n_bootstrap=20)
    >>> bool(found.cascade[-1] > 0.1), bool(found.cascade[0] < found.cascade[-1])
    (True, True)
    """
    ratios = np.geomspace(*_RATIOS, _N_RATIOS)
    ones = np.ones(len(cheap))
    router, cascade = _gains(cheap, dear, before, after, ones, ratios)
    drawn = []
    for block in cluster_weights(groups, n_bootstrap, random_state):
        for weights in block:
            one, other = _gains(cheap, dear, before, after, weights, ratios)
            drawn.append(other - one)
    # The usual rule between two draws takes in too little of so few tails.
    ends = np.quantile(np.array(drawn), [0.025, 0.975], axis=0, method="weibull")
    n_groups = len(np.unique(groups))
    wide = [
        widen_for_few(Interval(value, start, end, float("nan")), n_groups)
        for value, start, end in zip(cascade - router, *ends, strict=True)
    ]
    low, high = (np.array([getattr(each, end) for each in wide]) for end in ("low", "high"))
    return PriceRatios(ratios, router, cascade, low, high)


def _gains(
    cheap: Floats, dear: Floats, before: Floats, after: Floats, weights: Floats, ratios: Floats
) -> tuple[Floats, Floats]:
    """Return the mean gain of router and cascade at each ratio."""
    total = weights.sum()
    step = float((weights * (dear - cheap)).sum() / total)
    costs = np.linspace(0, 1, _N_COSTS)  # 0 = that of always cheap, 1 = that of always dear
    by_router = _gained(cheap, dear, before, weights, costs) - costs * step
    shares = costs[None, :] * (1 - 1 / ratios[:, None])
    by_cascade = _gained(cheap, dear, after, weights, shares.ravel()).reshape(shares.shape)
    router = np.full(len(ratios), by_router.mean())
    return router, (by_cascade - costs * step).mean(axis=1)


def _gained(cheap: Floats, dear: Floats, wish: Floats, weights: Floats, shares: Floats) -> Floats:
    """Return the quality gained where the dear model is asked for a share of the prompts.

    Prompts that are wished alike are asked in equal parts.
    """
    _, rank = np.unique(-wish, return_inverse=True)
    counts = np.bincount(rank, weights=weights)
    gains = np.bincount(rank, weights=weights * (dear - cheap))
    at = np.concatenate([[0.0], np.cumsum(counts)]) / weights.sum()
    gained = np.concatenate([[0.0], np.cumsum(gains)]) / weights.sum()
    return np.asarray(np.interp(shares, at, gained))
