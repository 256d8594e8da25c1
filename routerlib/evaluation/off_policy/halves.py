"""Ask whether the earlier and the later half of a log say the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.evaluation.pseudo_outcomes import Rows, interval
from routerlib.metrics.intervals import Interval, within_possible
from routerlib.records.arrays import Floats

# Beyond this confidence halves are said to differ: less often than once in a hundred honest logs.
_LEVEL = 0.99


class Halves(NamedTuple):
    """What a policy would have been worth earlier and later.

    Attributes
    ----------
    earlier, later : Interval
        Mean quality per decision, 95 %.
    change : Interval
        Later minus earlier, 99 %.
    """

    earlier: Interval
    later: Interval
    change: Interval

    @property
    def agree(self) -> bool:
        """Whether nothing shows that the world has changed."""
        return bool(np.isnan(self.change.low) or self.change.low <= 0 <= self.change.high)

    @property
    def possible(self) -> Halves:
        """The same of qualities in [0, 1], cut where these can't lie."""
        return Halves(
            within_possible("quality", self.earlier),
            within_possible("quality", self.later),
            within_possible("quality_difference", self.change),
        )

    def told(self) -> str:
        """Say both, and the difference."""
        value, low, high = (100 * each for each in self.change[:3])
        return (
            f"{self.earlier.value:.3f} on the earlier half, {self.later.value:.3f} on the later "
            f"(change {value:+.1f} points [{low:.1f}, {high:.1f}], 99 %)"
        )


def halves_of(
    rows: Rows, weights: Floats, groups: np.ndarray, scale: float, level: float = 0.95
) -> Halves:
    """Compare the halves of a log by what each row adds to an estimate.

    `weights, groups` (n,): of the rows, in the order of the log.
    """
    made_up = rows.value + rows.influence
    is_later = np.arange(len(made_up)) >= len(made_up) // 2
    found = []
    for part in (~is_later, is_later):
        mean = float(made_up[part].mean())
        own = Rows(mean, made_up[part] - mean)
        found.append(interval(own, weights[part], groups[part], scale=scale, level=level))
    earlier, later = found
    share = np.where(is_later, 1 / is_later.mean(), -1 / (1 - is_later.mean()))
    influence = share * (made_up - np.where(is_later, later.value, earlier.value))
    change = Rows(later.value - earlier.value, influence)
    apart = interval(change, np.abs(share) * weights, groups, scale=scale, level=_LEVEL)
    return Halves(earlier, later, apart)
