"""Put one band round a router at all its cost weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.evaluation.contenders import Contender, TestedPrompts
from routerlib.metrics.intervals import resampled_sums
from routerlib.metrics.tails import joint_band
from routerlib.records.arrays import Arms, Floats

# Enough for the largest of all deviations; more would only take time.
_MOST_REPLICATES = 500


class CurveBand(NamedTuple):
    """What a router gives at each cost weight, with 95 % bands that hold at all of them at once.

    So whichever point is picked after looking, its intervals hold: that of `quality`, and those
    of `difference` and `saving` together. Sorted by cost.

    `cost_weights` (n_points,): quality given up per US dollar saved; NaN = not swept.
    `cost_usd` (n_points,): mean US dollars per prompt; NaN = unknown.
    `quality, quality_low, quality_high` (n_points,): mean quality in [0, 1], and its band.
    `difference, difference_low, difference_high` (n_points,): mean quality minus that of best
        single, in [-1, 1], and its band.
    `saving, saving_low, saving_high` (n_points,): 1 - cost as a share of that of best single, and
        its band; NaN = unknown.
    """

    cost_weights: Floats
    cost_usd: Floats
    quality: Floats
    quality_low: Floats
    quality_high: Floats
    difference: Floats
    difference_low: Floats
    difference_high: Floats
    saving: Floats
    saving_low: Floats
    saving_high: Floats


class _Seen(NamedTuple):
    """Numbers of each point, as measured and on resampled prompts.

    `values` (n_points,), `drawn` (n_bootstrap, n_points), `unseen` (n_points,): standard error of
    what no replicate can show.
    """

    values: Floats
    drawn: Floats
    unseen: Floats


def curve_band(
    tested: TestedPrompts, contender: Contender, *, n_bootstrap: int, random_state: int
) -> CurveBand:
    """Measure a contender at each point of its curve."""
    groups = tested.outcomes.groups if len(tested) else np.zeros(0, dtype=np.intp)
    n_groups = len(np.unique(groups))
    order = _by_cost(contender)
    quality, cost_usd = contender.curve_quality[:, order], contender.curve_cost_usd[:, order]
    best, best_usd = tested.best_quality[:, None], tested.best_cost_usd[:, None]
    columns = np.hstack([quality - best, best, cost_usd, best_usd])
    n_drawn = min(n_bootstrap, _MOST_REPLICATES)
    once, drawn = _means(columns, groups, n_drawn, random_state)
    n = len(order)
    # A few rerouted prompts that lost nothing are no proof, as in `widen_for_unseen`.
    is_rerouted = (cost_usd != best_usd).any(axis=0)
    gain = _Seen(once[:n], drawn[:, :n], is_rerouted / (n_groups + 2))
    share = _log_shares(once[n + 1 :], drawn[:, n + 1 :], cost_usd, best_usd, groups)
    mean = once[:n] + once[n]
    low, high = joint_band(mean, drawn[:, :n] + drawn[:, n : n + 1], n_groups)
    gain_low, gain_high, log_low, log_high = _together(gain, share, n_groups)
    return CurveBand(
        np.full(n, np.nan) if contender.cost_weights is None else contender.cost_weights[order],
        once[n + 1 : -1],
        *(mean, low, high),
        *(gain.values, gain_low, gain_high),
        *(1 - np.exp(log) for log in (share.values, log_high, log_low)),
    )


def _by_cost(contender: Contender) -> Arms:
    means = (each.sum(axis=0) for each in (contender.curve_quality, contender.curve_cost_usd))
    return np.lexsort(tuple(means))


def _means(
    columns: Floats, groups: Arms, n_bootstrap: int, random_state: int
) -> tuple[Floats, Floats]:
    """Return the mean of each column, and its means on resampled prompts."""
    sums, counts = (
        resampled_sums(each, groups, n_bootstrap, random_state)
        for each in (columns, np.ones((len(columns), 1)))
    )
    with np.errstate(invalid="ignore"):
        return columns.sum(axis=0) / np.float64(len(columns)), sums / counts


def _log_shares(
    once: Floats, drawn: Floats, cost_usd: Floats, best_usd: Floats, groups: Arms
) -> _Seen:
    """Take the logarithm of each point's share of best single's cost, which stands last.

    No sample shows its rarest prompt: one group more, as far off as the farthest.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), cost_usd.shape[1] + 1))
    np.add.at(sums, group_of, np.hstack([cost_usd, best_usd]))
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = sums / sums.sum(axis=0)
        farthest = np.abs(parts[:, :-1] - parts[:, -1:]).max(axis=0, initial=0.0)
        return _Seen(np.log(once[:-1] / once[-1]), np.log(drawn[:, :-1] / drawn[:, -1:]), farthest)


def _together(gain: _Seen, share: _Seen, n_groups: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Put one band round both, so that a saving and its loss can be quoted together."""
    if not (np.isfinite(share.values).all() and np.isfinite(share.drawn).all()):
        unknown = np.full(len(share.values), np.nan)
        low, high = joint_band(gain.values, gain.drawn, n_groups, gain.unseen)
        return low, high, unknown, unknown
    values, drawn, unseen = (
        np.concatenate(pair, axis=-1) for pair in zip(gain, share, strict=True)
    )
    low, high = joint_band(values, drawn, n_groups, unseen)
    n = len(gain.values)
    return low[:n], high[:n], low[n:], high[n:]
