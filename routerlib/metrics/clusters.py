"""Say how much the prompts of one group are alike, and what that costs in precision."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# With fewer groups the spread between them is known too badly for a verdict.
FEW_GROUPS = 30
# With fewer prompts that share a group a correlation between such prompts is chance alone.
_FEW_SHARED = 30


class Clustering(NamedTuple):
    """How values hang together within groups.

    `largest`: prompts of the largest group.
    `correlation`: of two prompts of one group, at most 1; NaN where no group has two prompts or
        no value differs. A little below 0 by chance where groups tell nothing.
    `design_effect`: so many times as many prompts are needed as if each stood alone, at least 1;
        NaN where the correlation is.
    `n_shared`: prompts that stand in a group with others.
    """

    n: int
    n_groups: int
    largest: int
    correlation: float
    design_effect: float
    n_shared: int

    @property
    def is_told(self) -> bool:
        """Whether enough prompts share a group for the correlation to tell anything."""
        return self.n_shared >= _FEW_SHARED and not math.isnan(self.correlation)


def clustering(values: ArrayLike, groups: ArrayLike) -> Clustering:
    """Estimate the correlation within groups by the analysis of variance, and the design effect.

    Kish (1965), Survey Sampling, with the sizes of the groups as they are: 1 + (sum of squared
    sizes by n, minus 1) times the correlation. Donner (1986), A review of inference procedures for
    the intraclass correlation coefficient, International Statistical Review 54.

    `values` (n,): one of each prompt.
    `groups` (n,): group of each prompt.

    >>> found = clustering([1, 1, 0, 0], ["a", "a", "b", "b"])
    >>> found.n_groups, round(found.correlation, 2), round(found.design_effect, 2)
    (2, 1.0, 2.0)
    """
    y = np.asarray(values, dtype=np.float64)
    _, group_of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    n, n_groups = len(y), len(sizes)
    nan, n_shared = float("nan"), int(sizes[sizes > 1].sum())
    unknown = Clustering(n, n_groups, int(sizes.max(initial=0)), nan, nan, n_shared)
    if n_groups < 2 or n == n_groups or np.ptp(y) == 0:
        return unknown
    means = np.bincount(group_of, weights=y) / sizes
    between = float((sizes * (means - y.mean()) ** 2).sum() / (n_groups - 1))
    within = float(((y - means[group_of]) ** 2).sum() / (n - n_groups))
    usual = (n - (sizes**2).sum() / n) / (n_groups - 1)
    correlation = (between - within) / (between + (usual - 1) * within)
    effect = 1 + ((sizes**2).sum() / n - 1) * max(correlation, 0.0)
    return unknown._replace(correlation=float(correlation), design_effect=float(effect))


def share_ends(values: ArrayLike, groups: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the interval of a mean of numbers in [0, 1], such as of qualities.

    Wilson's, for as many prompts as the design effect leaves of those that share a group, and then
    by Student's law: the spread between groups is known from so many groups only.

    `values` (n,): one of each prompt. `groups` (n,): group of each prompt.
    Returns NaN twice without values.

    >>> values = [1] * 10 + [0] * 10
    >>> [round(end, 2) for end in share_ends(values, range(20))]
    [0.3, 0.7]
    >>> [round(end, 2) for end in share_ends(values, [at // 2 for at in range(20)])]  # ten pairs
    [0.21, 0.79]
    """
    from scipy.special import stdtrit

    found = clustering(values, groups)
    if not found.n:
        return float("nan"), float("nan")
    mean, upper = float(np.mean(np.asarray(values, dtype=np.float64))), (1 + level) / 2
    if found.n == found.n_groups:
        return wilson(mean, found.n, NormalDist().inv_cdf(upper))
    # Where no value differs, or all share one group, nothing tells how much alike they are.
    n = found.n_groups if math.isnan(found.design_effect) else found.n / found.design_effect
    return wilson(mean, n, float(stdtrit(max(found.n_groups - 1, 1), upper)))


def wilson(mean: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a share of `n`, `z` standard errors wide each way.

    >>> [round(end, 3) for end in wilson(1.0, 10)]
    [0.722, 1.0]
    """
    centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    spread = z / (1 + z**2 / n) * math.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
    return max(centre - spread, 0.0), min(centre + spread, 1.0)
