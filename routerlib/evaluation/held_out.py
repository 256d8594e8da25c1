"""Measure the tested prompts of one part, as they are or drawn anew, by every metric of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from routerlib.evaluation.benchmark_fits import Fit
from routerlib.evaluation.contenders import Field, Line, baseline_lines, estimates_line
from routerlib.evaluation.replicates import replicates_of
from routerlib.metrics.calibration import weighted_errors
from routerlib.metrics.curves import choose_arms
from routerlib.metrics.pairs import Floats, apgr, is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, Rows
from routerlib.records.decision import Estimates

METRICS = (
    "quality",
    "gap_closed",
    "AIQ",
    "cost_at_equal_quality",
    "APGR",
    "CPT50",
    "CPT80",
    "ECE",
    "Brier",
)
BASELINES = ("best single", "random", "zero router", "oracle")
# RouteLLM's published evaluation cuts at the deciles of the score.
_N_APGR_BINS = 10
# A hull through more points is a little higher; beyond this it no longer changes.
_N_SWEEP_POINTS = 200


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The test prompts of one part, with all that doesn't change from draw to draw.

    `rows` (n_prompts,): which rows of all outcomes these are.
    `expected` (n_prompts, n_models): expected quality, of those that expect any.
    """

    field: Field
    rows: Rows
    lines: dict[str, Line]
    expected: dict[str, Floats]

    @classmethod
    def of(
        cls, fits: Mapping[str, Fit], outcomes: Outcomes, parts: Parts, is_told: bool
    ) -> HeldOut:
        """Lay out one part; what baselines need is chosen on its training prompts."""
        train, test = outcomes.take(parts.train), outcomes.take(parts.test)
        means = train.compared()
        by = means.quality if np.isnan(means.cost_usd).all() else means.cost_usd
        field = Field.of(test, train.best_single, train.models[int(np.nanargmin(by))])
        lines, expected = {}, {}
        for name, fit in fits.items():
            found = estimates_of(fit, is_told, name)
            quality, cost_usd = found.quality[field.kept], found.cost_usd[field.kept]
            estimates = Estimates(found.models, quality, cost_usd)
            arms = choose_arms(quality, cost_usd, 0.0)
            lines[name] = estimates_line(field, estimates, arms, _N_SWEEP_POINTS)
            if fit.estimates_quality:
                expected[name] = quality
        at_cost_usd = next(iter(lines.values())).cost_usd
        baselines = baseline_lines(field, means.quality, means.cost_usd, at_cost_usd)
        expected["best single"] = np.tile(means.quality, (len(field), 1))
        return cls(field, parts.test[field.kept], {**lines, **baselines}, expected)

    def measure(self, weights: Floats) -> Floats:
        """Measure all lines on prompts that were drawn so many times.

        `weights` (n_replicates, n_prompts): how often each prompt was drawn.
        """
        found = replicates_of(self.field, self.lines, weights)
        unknown = np.full(len(weights), np.nan)
        quality = self.field.quality
        pair = quality[:, self.field.weak], quality[:, self.field.strong]
        for name, line in self.lines.items():
            # The oracle's score has three values: deciles would jump over its best cut.
            n_bins = None if name in BASELINES else _N_APGR_BINS
            found[name]["APGR"] = apgr(*pair, line.score, n_bins, weights)
            found[name]["ECE"], found[name]["Brier"] = (
                weighted_errors(self.expected[name], quality, weights)
                if name in self.expected
                else (unknown, unknown)
            )
        return np.array([[found[name][metric] for metric in METRICS] for name in self.lines])


def estimates_of(fit: Fit, is_told: bool, name: str) -> Estimates:
    """Return what a router expects where topics were told to it, or where it detects them."""
    estimates = fit.told if is_told else fit.detected
    if estimates is None:
        raise ValueError(f"topics weren't told to {name!r}; fit with tell_topics=True")
    if not is_complete(estimates.quality).all():
        raise ValueError(
            f"{name!r} estimates no quality, so there is no curve to measure; leave it out "
            "(chance and the best single model stand in the table anyway)"
        )
    return estimates
