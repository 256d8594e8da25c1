"""Measure how a router shares prompts between a weak and a strong candidate model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def is_complete(*arrays: ArrayLike) -> NDArray[np.bool_]:
    """Mark the rows that hold no NaN in any of the arrays.

    Parameters
    ----------
    *arrays : array of shape (n_prompts,) or (n_prompts, n_models)
        Arrays of equal length.

    Returns
    -------
    ndarray of shape (n_prompts,)
        True where every value of the row is known.

    Examples
    --------
    >>> is_complete([1.0, np.nan, 0.0], [[1, 1], [1, 1], [np.nan, 0]]).tolist()
    [True, False, False]
    """
    known = [~np.isnan(_floats(array)) for array in arrays]
    return np.logical_and.reduce([k if k.ndim == 1 else k.all(axis=1) for k in known])


def pgr(quality: ArrayLike, quality_weak: ArrayLike, quality_strong: ArrayLike) -> Floats:
    """Return the performance gap recovered.

    ``(quality - quality_weak) / (quality_strong - quality_weak)``: 0 for the weak model, 1 for the
    strong one, above 1 for a router that beats the strong model.

    Parameters
    ----------
    quality, quality_weak, quality_strong : float or array, broadcast together
        Mean qualities.

    Returns
    -------
    ndarray
        NaN where the strong model isn't better than the weak one: there is no gap to recover.

    Examples
    --------
    >>> float(pgr(0.75, 0.5, 1.0))
    0.5
    >>> float(pgr(0.7, 0.9, 0.5))
    nan

    References
    ----------
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

    Parameters
    ----------
    quality_weak, quality_strong : array of shape (n_prompts,)
        Observed quality of the pair.
    score : array of shape (n_prompts,)
        How much the router wants the strong model.
    weights : array of shape (n_replicates, n_prompts), optional
        Bootstrap multiplicities; default one replicate of ones.

    Returns
    -------
    share, quality : ndarray of shape (n_replicates, n_cuts + 1)
        Share of strong calls from 0 to 1 and mean quality there.

    Examples
    --------
    >>> share, quality = share_quality_curve([0, 1, 0], [1, 1, 1], [0.9, 0.1, 0.5])
    >>> share.round(2).tolist(), quality.round(2).tolist()
    ([[0.0, 0.33, 0.67, 1.0]], [[0.33, 0.67, 1.0, 1.0]])
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

    Parameters
    ----------
    quality_weak, quality_strong, score : array of shape (n_prompts,)
        As in `share_quality_curve`.
    n_bins : int, optional
        None cuts at every distinct score (exact); 10 is RouteLLM's published evaluation, which
        cuts at the deciles of the score.
    weights : array of shape (n_replicates, n_prompts), optional
        Bootstrap multiplicities, whole numbers; default one replicate of ones.

    Returns
    -------
    ndarray of shape (n_replicates,)
        NaN where the strong model isn't better than the weak one.

    Examples
    --------
    >>> apgr([0, 1, 0], [1, 1, 1], [0.9, 0.1, 0.5]).round(4).tolist()
    [0.6667]
    >>> apgr([0, 1, 0], [1, 1, 1], [0.5, 0.5, 0.5]).tolist()
    [0.5]

    References
    ----------
    Ong et al. (2024), RouteLLM, section 2.2 and its published evaluation code (ten bins).
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

    Parameters
    ----------
    level : float
        PGR to be reached, such as 0.5 for CPT(50 %).
    quality_weak, quality_strong, score : array of shape (n_prompts,)
        As in `share_quality_curve`.
    weights : array of shape (n_replicates, n_prompts), optional
        Bootstrap multiplicities.

    Returns
    -------
    ndarray of shape (n_replicates,)
        In [0, 1]; NaN where the level is never reached or there is no gap.

    Examples
    --------
    >>> cpt(0.5, [0, 1, 0], [1, 1, 1], [0.9, 0.1, 0.5]).round(4).tolist()
    [0.3333]
    >>> cpt(1.2, [0, 1, 0], [1, 1, 1], [0.9, 0.1, 0.5]).tolist()
    [nan]

    References
    ----------
    Ong et al. (2024), RouteLLM, section 2.2 (call-performance threshold).
    """
    share, quality = share_quality_curve(quality_weak, quality_strong, score, weights)
    return _first_crossing(level, share, _recovered(quality))


class PairMetrics(NamedTuple):
    """What `apgr` and `cpt` give, from one pass over the curve.

    Attributes
    ----------
    apgr, cpt50, cpt80 : ndarray of shape (n_replicates,)
        NaN where undefined.
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

    Parameters
    ----------
    quality_weak, quality_strong, score : array of shape (n_prompts,)
        As in `share_quality_curve`.
    weights : array of shape (n_replicates, n_prompts), optional
        Bootstrap multiplicities.

    Returns
    -------
    PairMetrics

    Examples
    --------
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
