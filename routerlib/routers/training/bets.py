"""Test means without a guess about their distribution, by betting against the opposite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routerlib.records.arrays import Floats

# Share of what can be staked that is staked at most, so that no single loss ends the game.
_LARGEST_STAKE = 0.9
# Stakes of the bet on costs, each half of the one before.
_N_STAKES = 10
# Variance that is believed of differences before any was seen, with the weight of one draw.
_FIRST_VARIANCE = 0.25


def gain_p_values(
    gains: Floats, groups: NDArray[np.intp] | Sequence[int], epsilon: float, delta: float
) -> Floats:
    """Test for each column whether its mean is above ``-epsilon``, by betting.

    Somebody bets against "the mean gain is at most -epsilon", one group of near-duplicates after
    the other in an order drawn in advance, and stakes by what was seen so far. If the hypothesis
    holds, no stake makes a coin grow on average, so that it ever reaches x with probability at
    most 1 / x. Unlike Hoeffding's and Bentkus' bounds the bet profits from a small variance,
    which paired differences have: two ways of choosing agree on most prompts.

    Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting,
    Journal of the Royal Statistical Society B 86, https://doi.org/10.1093/jrsssb/qkad009

    `gains` (n_prompts, n_columns): paired differences in quality, each in [-1, 1].
    `groups` (length n_prompts): prompts of a group count as one draw; groups are independent.
    `epsilon`: loss of mean quality allowed, in [0, 1).
    `delta`: level of the test for which the stakes are sized, in (0, 1); valid at any other
        too.
    Returns shape (n_columns,): p-values, valid for any number of prompts and any distribution
        in [-1, 1].
    """
    drawn = _group_sums(np.asarray(gains, dtype=float) + epsilon, groups)
    n = len(drawn)
    if not n:
        return np.ones(drawn.shape[1])
    drawn = drawn[np.random.default_rng(0).permutation(n)]
    seen = np.arange(1, n + 1)[:, None]
    mean = np.cumsum(drawn, axis=0) / (seen + 1)
    variance = (_FIRST_VARIANCE + np.cumsum((drawn - mean) ** 2, axis=0)) / (seen + 1)
    # A stake may only know what came before it.
    before = np.vstack([np.full((1, drawn.shape[1]), _FIRST_VARIANCE), variance[:-1]])
    stakes = np.sqrt(2 * np.log(1 / delta) / (n * before))
    stakes = np.minimum(stakes, _LARGEST_STAKE / (1 - epsilon))
    log_wealth = np.cumsum(np.log1p(stakes * drawn), axis=0)
    return np.exp(-np.maximum(log_wealth.max(axis=0), 0.0))


def saving_p_value(
    savings: Floats, groups: NDArray[np.intp] | Sequence[int], most_usd: float
) -> float:
    """Test whether the mean saving is above 0, by betting.

    Costs have heavy tails, so the stakes are the smallest and the largest that a bound allows, and
    many between, each with a part of the coins: what the best of them wins remains, without
    a guess about the spread. Savings may be as large as they like; only the loss needs a bound.

    `savings` (n_prompts,): US dollars saved, each at least ``-most_usd``.
    `groups` (length n_prompts): as in `gain_p_values`.
    `most_usd`: largest loss on one prompt.
    Returns a p-value, valid for any number of prompts and any distribution above that bound.
    """
    drawn = _group_sums(np.asarray(savings, dtype=float)[:, None] / most_usd, groups)[:, 0]
    if not len(drawn):
        return 1.0
    drawn = drawn[np.random.default_rng(0).permutation(len(drawn))]
    stakes = _LARGEST_STAKE / 2.0 ** np.arange(_N_STAKES)
    log_wealth = np.cumsum(np.log1p(stakes * drawn[:, None]), axis=0)
    largest = log_wealth.max(axis=1)
    together = largest + np.log(np.exp(log_wealth - largest[:, None]).mean(axis=1))
    return float(np.exp(-max(together.max(), 0.0)))


def _group_sums(values: Floats, groups: NDArray[np.intp] | Sequence[int]) -> Floats:
    """Add up the values of each group, in units of the largest group's size."""
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, group_of, values)
    return sums / max(np.bincount(group_of).max(initial=0), 1)
