"""Fit routers on one part of the prompts, and measure what they estimate of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
from tqdm import tqdm

from routerlib.evaluation.contenders import (
    Contender,
    TestedPrompts,
    baseline_contenders,
    estimates_contender,
)
from routerlib.evaluation.resampled import Laid, Metric, Replicates, replicates_of
from routerlib.features.prompt_columns import GROUPS, PLAIN
from routerlib.metrics.calibration import weighted_errors
from routerlib.metrics.pairs import apgr, is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, Rows
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Floats
from routerlib.records.canonical import tagged_hash
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router

if TYPE_CHECKING:
    from joblib import Memory

MakeRouter = Callable[[], Router]

# Enough for a median with its quartiles, and hardly any time beside the fit.
_N_TIMED = 50
BENCHMARKED: tuple[Metric | Literal["ECE", "Brier"], ...] = (
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
class Fit:
    """What one router estimates of the prompts that it was not trained on, and its costs.

    `told`: where the known topics are told to it; None = not asked for.
    `fit_s`: processor seconds of the training.
    `decision_s` (n_timed,): processor seconds of single decisions (``router.route``), one
        prompt each. Other work on the machine lengthens them less than time on the wall.
    """

    detected: Estimates
    told: Estimates | None
    estimates_quality: bool
    fit_s: float
    decision_s: Floats


def usual_routers(random_state: int = 0, *, all_families: bool = False) -> dict[str, MakeRouter]:
    """Return makers of the usual learned routers, ours first, and of the topic table.

    Parameters
    ----------
    random_state : int, default=0
        Seed of each.
    all_families : bool, default=False
        The other families that the field uses as well (``docs/families.md``): one factor, low
        rank, matrix factorisation, table of clusters, LightGBM as it comes.

    Returns
    -------
    dict of str to callable
        Each returns a new, unfitted router.

    Examples
    --------
    >>> list(usual_routers())
    ['lightgbm', 'lightgbm plain', 'lightgbm best_model', 'mlp', 'linear', 'knn', 'topic table']
    >>> list(usual_routers(all_families=True))[7:]
    ['one-factor', 'low-rank', 'mf', 'cluster table', 'lightgbm untuned']
    """
    from routerlib.routers.baselines import TopicTable
    from routerlib.routers.clusters import ClusterTable
    from routerlib.routers.factors import LowRankRouter, MFRouter, OneFactorRouter
    from routerlib.routers.lightgbm.router import LGBMRouter
    from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter
    from routerlib.routers.untuned import UntunedLGBMRouter

    makes: dict[str, MakeRouter] = {
        "lightgbm": partial(LGBMRouter, random_state),
        "lightgbm plain": partial(LGBMRouter, random_state, groups=PLAIN),
        "lightgbm best_model": partial(LGBMRouter, random_state, objective="best_model"),
        "mlp": partial(MLPRouter, random_state=random_state),
        "linear": partial(LinearRouter, random_state=random_state),
        "knn": partial(KNNRouter, random_state=random_state),
        "topic table": partial(TopicTable, random_state),
    }
    if all_families:
        makes |= {
            "one-factor": partial(OneFactorRouter, random_state),
            "low-rank": partial(LowRankRouter, random_state=random_state),
            "mf": partial(MFRouter, random_state),
            "cluster table": partial(ClusterTable, random_state=random_state),
            "lightgbm untuned": partial(UntunedLGBMRouter, random_state),
        }
    return makes


def without_each_group(random_state: int = 0) -> dict[str, MakeRouter]:
    """Return makers of the default router, and of it without each group of columns in turn.

    Parameters
    ----------
    random_state : int, default=0
        Seed of each.

    Returns
    -------
    dict of str to callable

    Examples
    --------
    >>> list(without_each_group())[:3]
    ['lightgbm', 'without surface', 'without task']
    """
    from routerlib.routers.lightgbm.router import LGBMRouter

    makes: dict[str, MakeRouter] = {"lightgbm": partial(LGBMRouter, random_state)}
    for group in GROUPS:
        rest = tuple(each for each in GROUPS if each != group)
        makes[f"without {group}"] = partial(LGBMRouter, random_state, groups=rest)
    return makes


def fit_parts(
    makes: Mapping[str, MakeRouter],
    outcomes: Outcomes,
    divided: Sequence[Parts],
    *,
    tell_topics: bool = False,
    memory: Memory | None = None,
    memory_key: str = "",
    progress: bool = False,
) -> dict[str, list[Fit]]:
    """Fit each router on the training prompts of each division."""
    fit = _fit if memory is None else memory.cache(_fit, ignore=["make", "outcomes"])
    data = (outcomes.data_hash, tagged_hash([list(outcomes.topics or ())]), memory_key)
    _ = outcomes.groups  # found here once, they are handed on to every part
    found: dict[str, list[Fit]] = {name: [] for name in makes}
    cells = tqdm(list(product(divided, makes)), disable=not progress, unit="fit")
    for parts, name in cells:
        cells.set_postfix_str(name)
        found[name].append(fit((name, *data), parts, tell_topics, makes[name], outcomes))
    return found


def _fit(
    key: tuple[str, ...], parts: Parts, tell_topics: bool, make: MakeRouter, outcomes: Outcomes
) -> Fit:
    """Fit one router on one part; `key` tells fits apart that are kept."""
    del key
    train, test = outcomes.take(parts.train), outcomes.take(parts.test)
    start = time.process_time()
    router = make().fit(train)
    fit_s = time.process_time() - start
    router.route(test.prompts[0])  # the first decision opens what later ones find open
    timed = [_decision_s(router, prompt) for prompt in test.prompts[:_N_TIMED]]
    return Fit(
        detected=router.predict(test.prompts),
        told=router.predict(test.prompts, topics=test.topics) if tell_topics else None,
        estimates_quality=getattr(router, "objective", "quality") == "quality",
        fit_s=fit_s,
        decision_s=np.array(timed),
    )


def _decision_s(router: Router, prompt: str) -> float:
    start = time.thread_time()
    router.route(prompt)
    return time.thread_time() - start


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The test prompts of one part, with all that doesn't change from draw to draw.

    `laid`: contenders on the tested prompts.
    `rows` (n_prompts,): which rows of all outcomes these are.
    `expected` (n_prompts, n_models): expected quality, of those that expect any.
    """

    laid: Laid
    rows: Rows
    expected: dict[str, Floats]

    @classmethod
    def of(
        cls, fits: Mapping[str, Fit], outcomes: Outcomes, parts: Parts, is_told: bool
    ) -> HeldOut:
        """Lay out one part; what baselines need is chosen on its training prompts."""
        train, test = outcomes.take(parts.train), outcomes.take(parts.test)
        means = train.compared()
        by = means.quality if np.isnan(means.cost_usd).all() else means.cost_usd
        tested = TestedPrompts.of(test, train.best_single, train.models[int(np.nanargmin(by))])
        contenders: dict[str, Contender] = {}
        expected = {}
        for name, fit in fits.items():
            found = estimates_of(fit, is_told, name)
            quality, cost_usd = found.quality[tested.kept], found.cost_usd[tested.kept]
            estimates = Estimates(found.models, quality, cost_usd)
            arms = choose_arms(estimates, 0.0)
            contenders[name] = estimates_contender(tested, estimates, arms, _N_SWEEP_POINTS)
            if fit.estimates_quality:
                expected[name] = quality
        at_cost_usd = next(iter(contenders.values())).cost_usd
        baselines = baseline_contenders(tested, means.quality, means.cost_usd, at_cost_usd)
        expected["best single"] = np.tile(means.quality, (len(tested), 1))
        laid = Laid.of(tested, {**contenders, **baselines})
        return cls(laid, parts.test[tested.kept], expected)

    def measure(self, weights: Floats) -> Floats:
        """Measure all contenders on prompts that were drawn so many times.

        `weights` (n_replicates, n_prompts): how often each prompt was drawn.
        Returns shape (3, n_lines, n_metrics, n_replicates): the metrics, and what those of the
            curve lie between; the others three times.
        """
        drawn = replicates_of(self.laid, weights)
        lines = [self._readings(name, drawn[name], weights) for name in self.laid.contenders]
        return np.stack(lines, axis=1)

    def _readings(self, name: str, drawn: Replicates, weights: Floats) -> Floats:
        """Return one line of the above, shape (3, n_metrics, n_replicates)."""
        tested, contender = self.laid.tested, self.laid.contenders[name]
        pair = tested.quality[:, tested.weak], tested.quality[:, tested.strong]
        # The oracle's score has three values: deciles would jump over its best cut.
        n_bins = None if name in BASELINES else _N_APGR_BINS
        found: dict[str, Floats] = {**drawn.metrics}
        found["APGR"] = apgr(*pair, contender.score, n_bins, weights)
        found["ECE"] = found["Brier"] = np.full(len(weights), np.nan)
        if name in self.expected:
            found["ECE"], found["Brier"] = weighted_errors(
                self.expected[name], tested.quality, weights
            )
        lows = found | {metric: between.low for metric, between in drawn.curve.items()}
        highs = found | {metric: between.high for metric, between in drawn.curve.items()}
        return np.array([[each[metric] for metric in BENCHMARKED] for each in (found, lows, highs)])


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
