"""Measure how a router shares prompts between a weak and a strong candidate model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.records.arrays import Floats


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def is_complete(*arrays: ArrayLike) -> NDArray[np.bool_]:
    """Mark the rows that hold no NaN in any of the arrays.

    `*arrays` (n_prompts,): arrays of equal length.
    """
    known = [~np.isnan(_floats(array)) for array in arrays]
    return np.logical_and.reduce([k if k.ndim == 1 else k.all(axis=1) for k in known])


def pgr(quality: ArrayLike, quality_weak: ArrayLike, quality_strong: ArrayLike) -> Floats:
    """Return the performance gap recovered.

    ``(quality - quality_weak) / (quality_strong - quality_weak)``: 0 for the weak model, 1 for the
    strong one, above 1 for a router that beats the strong model.

    Ong et al. (2024), RouteLLM: Learning to Route LLMs with Preference Data, section 2.2.
    """
    gap = _floats(quality_strong) - _floats(quality_weak)
    gap = np.where(gap > 0, gap, np.nan)
    return np.asarray((_floats(quality) - _floats(quality_weak)) / gap)


def share_quality_curve(
    quality_weak: ArrayLike,
    quality_strong: ArrayLike,
    score: ArrayLike,
    weights: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Follow mean quality as the strong model is called on more and more prompts.

    Prompts with the highest score go to the strong model first. Prompts of equal score go
    together, so the order of rows doesn't matter; between two cuts the curve is straight, which
    is what breaking the tie at random would give on average.

    `quality_weak, quality_strong` (n_prompts,): observed quality of the pair.
    `score` (n_prompts,): how much the router wants the strong model.
    `weights` (n_replicates, n_prompts): bootstrap multiplicities; default one replicate of
        ones.
    Returns shape (n_replicates, n_cuts + 1): share of strong calls from 0 to 1 and mean quality
        there; NaN for a replicate in which no prompt was drawn.
    """
    weak, strong, wanted = _floats(quality_weak), _floats(quality_strong), _floats(score)
    many = np.ones((1, len(weak))) if weights is None else np.atleast_2d(_floats(weights))
    keep = np.flatnonzero(is_complete(weak, strong, wanted))
    if not len(keep):
        return np.full((len(many), 2), np.nan), np.full((len(many), 2), np.nan)
    order = keep[np.argsort(-wanted[keep], kind="stable")]
    last_of_tie = np.append(np.flatnonzero(np.diff(wanted[order])), len(order) - 1)
    many = many[:, order]
    total = many.sum(axis=1, keepdims=True)
    total = np.where(total > 0, total, np.nan)  # nothing drawn: no curve
    share = np.cumsum(many, axis=1)[:, last_of_tie] / total
    gained = np.cumsum(many * (strong - weak)[order], axis=1)[:, last_of_tie] / total
    start = np.zeros((len(many), 1))
    quality_at_0 = (many @ weak[order])[:, None] / total
    return np.hstack([start, share]), quality_at_0 + np.hstack([start, gained])


def apgr(
    quality_weak: ArrayLike,
    quality_strong: ArrayLike,
    score: ArrayLike,
    n_bins: int | None = None,
    weights: ArrayLike | None = None,
) -> Floats:
    """Return the average performance gap recovered over shares of strong calls.

    The area (trapezoid rule) under PGR as the share of strong calls goes from 0 to 1. A router
    that can't tell prompts apart gets 0.5.

    Ong et al. (2024), RouteLLM, section 2.2 and its published evaluation code (ten bins).

    `quality_weak, quality_strong, score` (n_prompts,): as in `share_quality_curve`.
    `weights` (n_replicates, n_prompts): bootstrap multiplicities, whole numbers; default one
        replicate of ones.
    Returns shape (n_replicates,): NaN where the strong model isn't better than the weak one.
    """
    if n_bins is None:
        share, quality = share_quality_curve(quality_weak, quality_strong, score, weights)
    else:
        share, quality = _binned_curve(quality_weak, quality_strong, score, n_bins, weights)
    recovered = pgr(quality, quality[:, :1], quality[:, -1:])
    return np.asarray(np.trapezoid(recovered, share, axis=1))


def _binned_curve(
    quality_weak: ArrayLike,
    quality_strong: ArrayLike,
    score: ArrayLike,
    n_bins: int,
    weights: ArrayLike | None,
) -> tuple[Floats, Floats]:
    """Cut at quantiles of the score; those of a replicate are quantiles of what it drew."""
    weak, strong, wanted = _floats(quality_weak), _floats(quality_strong), _floats(score)
    many = np.ones((1, len(weak))) if weights is None else np.atleast_2d(_floats(weights))
    keep = np.flatnonzero(is_complete(weak, strong, wanted))
    if not len(keep):
        return np.full((len(many), 2), np.nan), np.full((len(many), 2), np.nan)
    order = keep[np.argsort(wanted[keep], kind="stable")]
    ascending, many = wanted[order], many[:, order]
    n_up_to = np.cumsum(many, axis=1)
    # What calling the weak model on everything up to a prompt costs in quality.
    lost_up_to = np.cumsum(many * (strong - weak)[order], axis=1)
    n = n_up_to[:, -1:]
    cuts = np.array([_cuts(ascending, row, n_bins) for row in n_up_to])
    rows = np.arange(len(many))[:, None]
    n_weak = np.where(cuts > 0, n_up_to[rows, cuts - 1], 0.0)
    lost = np.where(cuts > 0, lost_up_to[rows, cuts - 1], 0.0)
    with np.errstate(invalid="ignore"):
        return 1 - n_weak / n, ((many @ strong[order])[:, None] - lost) / n


def _cuts(ascending: Floats, n_up_to: Floats, n_bins: int) -> NDArray[np.intp]:
    """Return up to which prompt the weak model is called, from all of them down to none."""
    place = np.maximum(n_up_to[-1] - 1, 0) * np.arange(n_bins, -1, -1) / n_bins
    below = np.floor(place)
    lower, upper = (
        ascending[np.minimum(np.searchsorted(n_up_to, at, side="right"), len(ascending) - 1)]
        for at in (below, np.ceil(place))
    )
    thresholds = _between(lower, upper, place - below)
    cuts = np.searchsorted(ascending, thresholds, side="left")
    # The largest threshold stands for "never strong", so it is passed by nobody.
    cuts[thresholds == thresholds[0]] = len(ascending)
    cuts[-1] = 0
    return cuts


def _between(lower: Floats, upper: Floats, part: Floats) -> Floats:
    """Interpolate rounding as `numpy.quantile` does, so that equal scores stay equal."""
    rise = upper - lower
    return np.where(part < 0.5, lower + rise * part, upper - rise * (1 - part))


def cpt(
    level: float,
    quality_weak: ArrayLike,
    quality_strong: ArrayLike,
    score: ArrayLike,
    weights: ArrayLike | None = None,
) -> Floats:
    """Return the smallest share of strong calls that reaches a given PGR.

    The first crossing along the curve, so it never falls as `level` grows, also where quality
    dips along the way.

    Ong et al. (2024), RouteLLM, section 2.2 (call-performance threshold).

    `quality_weak, quality_strong, score` (n_prompts,): as in `share_quality_curve`.
    `weights` (n_replicates, n_prompts): bootstrap multiplicities.
    Returns shape (n_replicates,): in [0, 1]; NaN where the level is never reached or there is
        no gap.
    """
    share, quality = share_quality_curve(quality_weak, quality_strong, score, weights)
    return _first_crossing(level, share, _recovered(quality))


class PairMetrics(NamedTuple):
    """What `apgr` and `cpt` give, from one pass over the curve.

    `apgr, cpt50, cpt80` (n_replicates,): NaN where undefined.
    """

    apgr: Floats
    cpt50: Floats
    cpt80: Floats


def pair_metrics(
    quality_weak: ArrayLike,
    quality_strong: ArrayLike,
    score: ArrayLike,
    weights: ArrayLike | None = None,
) -> PairMetrics:
    """Measure APGR, CPT(50 %) and CPT(80 %) together.

    `quality_weak, quality_strong, score` (n_prompts,): as in `share_quality_curve`.
    `weights` (n_replicates, n_prompts): bootstrap multiplicities.

    >>> pair_metrics([0, 1, 0], [1, 1, 1], [0.9, 0.1, 0.5]).apgr.round(4).tolist()
    [0.6667]
    """
    share, quality = share_quality_curve(quality_weak, quality_strong, score, weights)
    recovered = _recovered(quality)
    return PairMetrics(
        np.asarray(np.trapezoid(recovered, share, axis=1)),
        _first_crossing(0.5, share, recovered),
        _first_crossing(0.8, share, recovered),
    )


def _recovered(quality: Floats) -> Floats:
    """Return PGR along a curve whose ends are the weak and the strong model."""
    recovered = pgr(quality, quality[:, :1], quality[:, -1:])
    # Rounding must not put the strong model just under 1.
    recovered[:, -1] = np.where(np.isnan(recovered[:, -1]), np.nan, 1.0)
    return recovered


def _first_crossing(level: float, share: Floats, recovered: Floats) -> Floats:
    is_reached = recovered >= level
    rows = np.arange(len(share))
    after = is_reached.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    rise = recovered[rows, after] - recovered[rows, before]
    part = np.divide(level - recovered[rows, before], rise, out=np.zeros(len(rows)), where=rise > 0)
    crossing = share[rows, before] + part * (share[rows, after] - share[rows, before])
    return np.asarray(np.where(is_reached.any(axis=1), crossing, np.nan))
