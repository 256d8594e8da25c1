"""Say what a router saves in a month, in dollars."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.metrics.intervals import Interval, product_interval

if TYPE_CHECKING:
    from routerlib.evaluation.evaluate import Evaluation

# What a page begins with; its reader writes another number.
PROMPTS_PER_MONTH = 100_000


class Monthly(NamedTuple):
    """US dollars a prompt, to be multiplied by the prompts of a month.

    Attributes
    ----------
    best_single : str
        What it is compared with.
    bill_usd : float
        What always calling it costs, mean over held-out prompts.
    saved_usd : Interval or None
        What the router saves of that, with its 95 % interval; None where it keeps to that model.
    """

    best_single: str
    bill_usd: float
    saved_usd: Interval | None

    def told(self, n: int = PROMPTS_PER_MONTH) -> str:
        """Say it for a month of `n` prompts.

        >>> Monthly("large", 0.002, Interval(0.0005, 0.0004, 0.0006, 5e-5)).told(100_000)
        'saves $50.00 [$40.00, $60.00] a month of the $200 that always calling large costs'
        """
        bill = f"${dollars(n * self.bill_usd)} that always calling {self.best_single} costs"
        if self.saved_usd is None:
            return f"saves nothing of the {bill} a month, since it is that model itself"
        value, low, high = (n * end for end in self.saved_usd[:3])
        if value >= 0:
            return f"saves {_usd(value)} [{_usd(low)}, {_usd(high)}] a month of the {bill}"
        ends = f"[{_usd(-high)}, {_usd(-low)}]"
        return f"costs {_usd(-value)} {ends} a month more than the {bill}"


def monthly(evaluation: Evaluation, saving: Interval | None = None) -> Monthly | None:
    """Turn the share that is saved into dollars; None where costs are unknown.

    The interval joins that of the share and that of the mean cost of the best single model, which
    the same prompts decide.

    `saving`: share saved by a cascade, joined as if it had nothing to do with that cost; None =
        that of the verdict.
    """
    cost = evaluation.baselines["best single"]["cost_usd"]
    if not isfinite(cost.value):
        return None
    verdict = evaluation.verdict
    saved = None
    if verdict.fallback is None or saving is not None:
        named = [verdict.numbers.get(f"saving{end}") for end in ("", "_low", "_high")]
        share, low, high = named if saving is None else saving[:3]
        if share is None or low is None or high is None:
            return None
        of_bill = Interval(share, low, high, evaluation.operating["saving"].se)
        related = evaluation.saving_with_bill if saving is None else 0.0
        saved = product_interval(of_bill, cost, related)
    return Monthly(verdict.best_single or evaluation.strong, cost.value, saved)


def _usd(value: float) -> str:
    return f"${dollars(value)}" if value >= 0 else f"-${dollars(-value)}"


def dollars(value: float) -> str:
    """Write dollars of any size: cents from a dollar on, none from a hundred on.

    `value`: at least 0.

    >>> dollars(12345.6), dollars(12.3), dollars(0.012345), dollars(0.00002)
    ('12,346', '12.30', '0.0123', '0.00002')
    """
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value:.2f}"
    return np.format_float_positional(float(f"{value:.3g}") + 0.0, trim="-")
