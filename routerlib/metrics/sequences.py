"""Tell at every look, however often one looks: e-values and bounds that hold at all times.

An interval of 95 % is for one look. Whoever looks every day and acts on the first striking one is
misled nearly for sure. What is here holds at all looks together, so that looking costs nothing.

Howard, Ramdas, McAuliffe and Sekhon (2021), Time-uniform, nonparametric, nonasymptotic confidence
sequences, Annals of Statistics 49, https://doi.org/10.1214/20-AOS1991
Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, Journal
of the Royal Statistical Society B 86, https://doi.org/10.1093/jrsssb/qkad009
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from routerlib.records.arrays import Floats

# Shares of what can be staked that are staked; a coin is divided evenly among them. The least one
# is for small gains in much noise, the largest leaves something after the worst loss.
_STAKES = [0.9 * 0.5**halvings for halvings in range(8)]
# What the division of the coin costs, in nats, as seen: the best stake and its neighbours share.
_NATS_OF_DIVISION = 1.5


def log_e_values(values: ArrayLike, lowest: ArrayLike) -> Floats:
    """Bet against "the mean is at most 0", draw after draw.

    The logarithm of what a coin has grown to: if the hypothesis holds, the coin ever reaches x
    with a probability of at most 1 / x, whatever the distribution, however often one looks. Rare
    large losses need no assumption: none is larger than the stake allows for.

    `values` (n,): draws, one after the other, each at least ``lowest``.
    `lowest` number, or (n,): the least value that a draw can have, below 0, known before it.
    Returns shape (n,).

    >>> log_e_values([1, 1, -1, 1], -1).round(2).tolist()
    [0.2, 0.46, -0.02, 0.14]
    """
    drawn = np.asarray(values, dtype=float)
    least = np.broadcast_to(np.asarray(lowest, dtype=float), drawn.shape)
    if (least >= 0).any() or (drawn < least - 1e-9).any():
        raise ValueError("every draw must be at least its lowest value, and that below 0")
    grown = np.cumsum(np.log1p(np.outer(_STAKES, drawn / -least)), axis=1)
    return np.asarray(np.logaddexp.reduce(grown, axis=0) - math.log(len(_STAKES)))


def level_of_test(number: int, alpha: float) -> float:
    """Return what test ``number`` may spend so that all tests together spend ``alpha``.

    `number`: from 1; there may be any number of tests.
    `alpha`: chance of one false rejection among all, in (0, 1).

    >>> [round(level_of_test(number, 0.05), 5) for number in (1, 2, 3)]
    [0.025, 0.00833, 0.00417]
    """
    return alpha / (number * (number + 1))


def draws_needed(mean: float, variance: float, level: float, lowest: float = -1.0) -> float:
    """Estimate how many draws `log_e_values` needs until it reaches 1 / level.

    `mean, variance`: of the draws; infinite without a mean above 0.
    `level`: in (0, 1).
    `lowest`: the least value that a draw can have; it bounds what can be staked.

    >>> round(draws_needed(mean=0.07, variance=0.1, level=0.025))
    222
    """
    if not mean > 0:
        return math.inf
    squared = variance + mean**2
    stake = min(_STAKES[0] / -lowest, mean / squared)
    growth = stake * mean - stake**2 * squared / 2
    return (_NATS_OF_DIVISION + math.log(1 / level)) / growth


def log_shift_evidence(shift: ArrayLike, variance: ArrayLike, expected: float = 0.1) -> Floats:
    """Weigh "the mean has fallen" against "it is what was expected", at any look.

    The logarithm of a likelihood ratio: falls drawn from the lower half of ``N(0, expected**2)``
    against none (the one-sided normal mixture). If nothing has changed, the ratio ever reaches x
    with a probability of at most 1 / x. It rests on sums that are nearly normal, so not on a
    handful. For a rise give ``-shift``.

    `shift`: mean minus its expectation at this look.
    `variance`: of that difference; it may have a part that never falls, the uncertainty of the
        expectation itself.
    `expected`: size of falls that are told soonest; it holds whatever their size.

    >>> log_shift_evidence([-0.1, 0.0, 0.1], 0.001).round(2).tolist()
    [4.04, -1.2, -2.62]
    """
    from scipy.special import log_ndtr

    d, a = np.asarray(shift, dtype=float), np.asarray(variance, dtype=float)
    b = a + expected**2
    two_sided = 0.5 * np.log(a / b) + d**2 * expected**2 / (2 * a * b)
    return np.asarray(two_sided + math.log(2) + log_ndtr(-d * expected / np.sqrt(a * b)))
