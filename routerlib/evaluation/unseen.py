"""Compare what a way of training is worth on prompts like those seen, on new topics, and later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.contenders import TestedPrompts, arms_contender, estimates_contender
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.resampled import Metric
from routerlib.evaluation.routing import route_all, topic_table_of
from routerlib.metrics.pairs import is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, SplitBy, folds
from routerlib.policies.utility import choose_arms
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import pandas as pd

_NAMES: dict[SplitBy, str] = {
    "random": "random",
    "topic": "leave topics out",
    "time": "train before, test after",
}
_COLUMNS: tuple[Metric, ...] = (
    "quality",
    "quality_difference",
    "cost_share",
    "AIQ",
    "APGR",
    "gap_closed",
    "cost_at_equal_quality",
)
_LEADS: tuple[Metric, ...] = ("AIQ", "APGR")


def compare_splits(
    fit_router: Callable[[Outcomes], Router],
    outcomes: Outcomes,
    *,
    n_folds: int = 3,
    ways: Sequence[SplitBy] = ("random", "topic", "time"),
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """Measure one way of training by three ways of holding prompts out, side by side.

    A random split asks how a router does on more prompts of the same kind. Holding whole topics
    out asks what it knows beyond the topic, and testing on what came later asks how it stands
    when prompts change. In each way no prompt is held_out twice and near-duplicates never stand on
    both sides; all held_out prompts are measured together, each with the choice of a router that
    had not seen it.

    Parameters
    ----------
    fit_router : callable
        Takes training outcomes, returns a fitted router, such as ``KNNRouter().fit`` or
        `routerlib.routers.training.train.train_router`.
    outcomes : Outcomes
        All prompts, in the order of time.
    n_folds : int, default=3
        Trainings in each way.
    ways : sequence of {"random", "topic", "time"}, default=all
        Ways to hold prompts out.
    n_bootstrap : int, default=1000
        Replicates of the bootstrap.
    random_state : int, default=0
        Seed of folds and bootstrap.

    Returns
    -------
    DataFrame
        Index ``split``; the row of topics is missing where they are unknown or too few, or
        a candidate was observed on the prompts of one part alone.
        ``n_train`` (mean over trainings), ``n_test``, and with ``_low`` and ``_high``:
        ``quality``, ``cost_share`` and ``quality_difference`` against the best single of each
        training at the routers' own operating points; ``AIQ``, ``APGR``,
        ``cost_at_equal_quality`` along the curve,
        ``gap_closed``; ``AIQ_vs_topic_table`` and ``APGR_vs_topic_table``, the paired lead over
        the means of known topics (which knows nothing of topics that were held out). The interval
        holds the draw of test prompts, not that of training prompts.

    Raises
    ------
    ValueError
        If there are fewer distinct prompts than folds.

    Examples
    --------
    >>> from routerlib.routers.rivals import KNNRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> table = compare_splits(KNNRouter().fit, make_world(n_prompts=240).outcomes, n_bootstrap=50)
    >>> table.quality.round(2).to_dict()
    {'random': 0.86, 'leave topics out': 0.48, 'train before, test after': 0.84}
    """
    import pandas as pd

    rows = {}
    for by in ways:
        name = _NAMES[by]
        divided = _folds(outcomes, by, n_folds, random_state)
        if divided is not None:
            rows[name] = _row(
                fit_router, outcomes, divided, n_bootstrap=n_bootstrap, random_state=random_state
            )
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "split"
    return table


def _folds(
    outcomes: Outcomes, by: SplitBy, n_folds: int, random_state: int
) -> Sequence[Parts] | None:
    """Divide; None where topics are unknown or too few to be held out."""
    if by == "topic" and len(set(outcomes.topics or ())) < n_folds:
        return None
    divided = folds(outcomes.groups, n_folds, random_state, by, outcomes.topics)
    if by == "topic":
        is_seen = np.isfinite(outcomes.quality)
        if not all(is_seen[parts.train].any(axis=0).all() for parts in divided):
            return None
    return divided


def _row(
    fit_router: Callable[[Outcomes], Router],
    outcomes: Outcomes,
    divided: Sequence[Parts],
    *,
    n_bootstrap: int,
    random_state: int,
) -> dict[str, float]:
    complete = _measurable(outcomes)
    tests = [parts.test[complete[parts.test]] for parts in divided]
    held_out = outcomes.take(np.concatenate(tests))
    estimates, topic_table = _blank(held_out), _blank(held_out)
    arms, singles = (np.zeros(len(held_out), dtype=np.intp) for _ in range(2))
    start = 0
    for parts, rows in zip(divided, tests, strict=True):
        here = slice(start, start + len(rows))
        test = outcomes.take(rows)
        router = fit_router(outcomes.take(parts.train))
        routed = route_all(router, test)
        arms[here] = routed.arms
        singles[here] = outcomes.models.index(router.best_single_)
        _put(estimates, here, routed.estimates)
        _put(topic_table, here, topic_table_of(router, test))
        start += len(rows)
    strong = held_out.models[int(np.bincount(singles, minlength=len(held_out.models)).argmax())]
    tested = TestedPrompts.of(held_out, strong, held_out.cheapest)
    contenders = {
        "router": estimates_contender(tested, estimates, arms),
        "best single": arms_contender(tested, singles),
    }
    if is_complete(topic_table.quality).all():
        by_topic = choose_arms(topic_table, 0.0)
        contenders["topic table"] = estimates_contender(tested, topic_table, by_topic)
    measured = measure(tested, contenders, n_bootstrap=n_bootstrap, random_state=random_state)
    found = measured.intervals("router")
    found["quality_difference"] = measured.differences("router", "best single")["quality"]
    if "topic table" in contenders:
        leads = measured.differences("router", "topic table")
        found |= {f"{name}_vs_topic_table": leads[name] for name in _LEADS}
    columns = [*_COLUMNS, *(name for name in found if name.endswith("_vs_topic_table"))]
    return {
        "n_train": round(float(np.mean([len(parts.train) for parts in divided]))),
        "n_test": len(tested),
        **{
            column: value for name in columns for column, value in found[name].columns(name).items()
        },
    }


def _measurable(outcomes: Outcomes) -> np.ndarray:
    """Mark prompts on which every candidate was observed, with costs where they are known."""
    has_costs = bool((~np.isnan(outcomes.cost_usd)).any(axis=0).all())
    needed = (outcomes.quality, outcomes.cost_usd) if has_costs else (outcomes.quality,)
    return is_complete(*needed)


def _blank(held_out: Outcomes) -> Estimates:
    unknown = np.full(held_out.quality.shape, np.nan)
    return Estimates(tuple(held_out.models), unknown, unknown.copy())


def _put(estimates: Estimates, here: slice, part: Estimates | None) -> None:
    if part is not None:
        estimates.quality[here], estimates.cost_usd[here] = part.quality, part.cost_usd
