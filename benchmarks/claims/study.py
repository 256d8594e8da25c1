"""What a study of promises is: worlds with a known truth, drawn again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import beta, t

from routerlib.outcomes.outcomes import Outcomes

# An interval of the measured mean; a claim fails where this excludes what was promised.
_LEVEL = 0.95


def in_groups(outcomes: Outcomes, groups: np.ndarray) -> Outcomes:
    """Say which prompts belong together where that is known: to look for it takes half of the time.

    `groups` (n_prompts,): number of each prompt's group.
    """
    return outcomes._grouped(groups, None)


class Claim(NamedTuple):
    """One promise: a mean over repeats, and what it is promised to be.

    Attributes
    ----------
    says : str
        The promise, as in docs/promises.md.
    at_least, at_most : float
        Bounds of the mean.
    is_share : bool or None
        Whether each repeat saw something or not; None = where nothing but 0 and 1 was seen, it is.
    """

    says: str
    at_least: float = -math.inf
    at_most: float = math.inf
    is_share: bool | None = None


class Study(NamedTuple):
    """A world, and the claims that its repeats measure.

    Attributes
    ----------
    world : str
        What is drawn, in words.
    draw : callable
        Takes the number of a repeat, which seeds it, and returns per claim what was seen: 1 or 0
        where a share is promised, any number where a mean is; NaN = this repeat says nothing.
        A function of a module, so that other processes can run it.
    claims : dict of str to Claim
        By the keys of what `draw` returns.
    n_quick, n_full : int
        Repeats.
    """

    world: str
    draw: Callable[[int], Mapping[str, float]]
    claims: Mapping[str, Claim]
    n_quick: int
    n_full: int


class Found(NamedTuple):
    """A claim as measured.

    Attributes
    ----------
    n : int
        Repeats that said something.
    mean, low, high : float
        Over repeats, with its 95 % interval.
    verdict : str
        ``holds``; ``not told`` where the interval reaches over the bound; ``FAILS``.
    """

    n: int
    mean: float
    low: float
    high: float
    verdict: str


def measured(claim: Claim, seen: Sequence[float]) -> Found:
    """Compare a claim with what the repeats saw."""
    values = np.asarray(seen, dtype=float)
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        return Found(0, math.nan, math.nan, math.nan, "not told")
    mean = float(values.mean())
    is_share = np.isin(values, (0, 1)).all() if claim.is_share is None else claim.is_share
    low, high = _share(values) if is_share else _mean(values)
    if high < claim.at_least or low > claim.at_most:
        verdict = "FAILS"
    elif claim.at_least <= mean <= claim.at_most:
        verdict = "holds"
    else:
        verdict = "not told"
    return Found(n, mean, low, high, verdict)


def _share(values: np.ndarray) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson)."""
    n, hits, tail = len(values), values.sum(), (1 - _LEVEL) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Return Student's interval of a mean: few repeats say little."""
    if len(values) < 2:
        return -math.inf, math.inf
    quantile = float(t.ppf((1 + _LEVEL) / 2, len(values) - 1))
    half = quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half
