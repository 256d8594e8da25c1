"""Compare routers in one table with the baselines that any router has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.between_folds import CrossTested, held
from routerlib.evaluation.cascading import cascade_contender
from routerlib.evaluation.contenders import (
    Contender,
    TestedPrompts,
    baseline_contenders,
    estimates_contender,
)
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.resampled import METRICS
from routerlib.evaluation.routing import (
    best_unseen,
    check_held_out,
    means_on_train,
    out_of_fold_of,
    route_unseen,
    topic_table_of,
)
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import some_rows
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.out_of_fold import UNKNOWN, OutOfFold
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import pandas as pd

# Saving is 1 - cost share; the zero router's difference stands in its own row.
_COLUMNS = tuple(name for name in METRICS if name not in {"saving", "zero_difference"})
_AGAINST = "_vs_first"
# So many tell a rival what it can learn; more would take longer than all else.
MOST_TAUGHT = 20_000


def compare(
    routers: Mapping[str, Router],
    test: Outcomes,
    *,
    train: Outcomes | None = None,
    n_bootstrap: int = 1000,
    random_state: int = 0,
    use_topics: bool = False,
) -> pd.DataFrame:
    """Put routers and baselines into one table, measured on the same held-out prompts.

    Everything that is chosen was chosen on train: each router brings its cost weight, the best
    single and the cheapest candidate model are the routers' own. Only what follows the curve
    (AIQ, cost at equal quality, quality at equal cost) needs the tested prompts to choose what is
    mixed where; each mixture is measured on a tenth of them and chosen on the other nine tenths.
    ``docs/reports.md`` says what exactly is estimated.

    Parameters
    ----------
    routers : mapping of str to Router
        Fitted routers by the name their row shall have; at least one. A `Cascade` is followed over
        the answers in `test`, and every call that it makes is paid.
    test : Outcomes
        Prompts that no router was trained on. Prompts that some candidate model didn't answer are
        skipped and counted.
    train : Outcomes or None, default=None
        The training prompts. With them two rivals are fitted and stand in the table too, each at
        an operating point of its own, chosen out of fold: nearest neighbours, and the classic
        classifier of the best model's label. Of more than 20,000 they learn from as many, drawn
        at random. A rival of a kind that is among `routers` already
        isn't added.
    n_bootstrap : int, default=1000
        Replicates of the bootstrap; prompts are drawn in groups of near-duplicates.
    random_state : int, default=0
        Its seed.
    use_topics : bool, default=False
        Tell the routers the known task labels.

    Returns
    -------
    DataFrame
        Index ``router``: the routers, rivals, then best single, random, zero router (at the mean
        cost of the first router), topic table (means of each prompt's known topic on train, at
        the first router's cost weight; where topics are known), oracle. Columns at the operating
        point: ``quality``, ``cost_usd`` (mean US dollars per prompt), ``cost_share`` of best
        single, ``quality_difference`` to best single, ``gain_over_zero`` router at equal cost,
        ``regret`` (at the first router's cost weight), ``gap_closed`` between best single and
        oracle, ``PGR``; over cost weights: ``AIQ`` between the mean costs of the cheapest and the
        dearest candidate model, ``cost_at_equal_quality`` (share of best single's cost),
        ``quality_at_equal_cost``; over shares of strong calls: ``APGR``, ``CPT50``, ``CPT80``.
        Each has ``_low`` and ``_high``, the ends of its 95 % interval, and ``_vs_first`` with
        ``_vs_first_low`` and ``_vs_first_high``: this row minus the first router, paired on the
        same resampled prompts. ``n`` and ``n_skipped`` count prompts. NaN = undefined or not
        known, such as everything with costs where costs are unknown. ``attrs`` names the pair
        (``strong``, ``weak``), the cost range, what was skipped, and of how many training prompts
        rivals learnt (``n_taught``, ``n_train``). Shown are the eight columns
        of a first look; ``table.full`` shows all.

    Raises
    ------
    ValueError
        If there is no router, a router knows other candidate models, or was trained on test.

    Examples
    --------
    >>> from routerlib.routers.baselines import BestSingle
    >>> from routerlib.outcomes.worlds import make_world
    >>> train, test = make_world(n_prompts=60).outcomes.split(random_state=0)
    >>> table = compare({"always the best": BestSingle().fit(train)}, test, n_bootstrap=50)
    >>> table.index.tolist()
    ['always the best', 'best single', 'random', 'zero router', 'topic table', 'oracle']
    >>> float(table.loc["always the best", "quality_difference"])
    0.0
    """
    import pandas as pd

    from routerlib.evaluation.comparison_frame import ComparisonFrame

    if not routers:
        raise ValueError("at least one router is needed, got none")
    reference = _reference(routers)
    taught = None if train is None else _drawn(train)
    entrants = {**routers, **_rivals(routers, taught, out_of_fold_of(reference))}
    for router in entrants.values():
        check_held_out(router, test)
    tested, contenders, weight = _contenders(entrants, reference, test, use_topics)
    measured = measure(
        tested, contenders, n_bootstrap=n_bootstrap, random_state=random_state, cost_weight=weight
    )
    counts = {"n": len(tested), "n_skipped": tested.n_skipped}
    train_means = means_on_train(reference, test)
    crossed = {
        name: CrossTested.of(router, test, tested, train_means)
        for name, router in entrants.items()
        if getattr(router, "fallback_", None) is None
    }
    rows = [
        _row(held(measured.intervals(name), crossed.get(name)), "")
        | _row(measured.differences(name, next(iter(contenders))), _AGAINST)
        | counts
        for name in contenders
    ]
    table = ComparisonFrame(rows, index=pd.Index(list(contenders), name="router"))
    model_cost = tested.cost_usd.mean(axis=0) if len(tested) else np.array([np.nan])
    table.attrs = {
        "strong": test.models[tested.strong],
        "weak": test.models[tested.weak],
        "cost_range_usd": (float(model_cost.min()), float(model_cost.max())),
        "cost_weight": weight,
        "n_bootstrap": n_bootstrap,
        "n": len(tested),
        "n_skipped": tested.n_skipped,
    }
    if train is not None and taught is not None:
        table.attrs["n_taught"], table.attrs["n_train"] = len(taught), len(train)
    return table


def _contenders(
    entrants: Mapping[str, Router], reference: Router, test: Outcomes, use_topics: bool
) -> tuple[TestedPrompts, dict[str, Contender], float]:
    """Return tested prompts, a contender per row, and the first router's cost weight."""
    train_quality, train_cost, strong, weak = means_on_train(reference, test)
    best = best_unseen(reference, test)
    tested = TestedPrompts.of(test, strong, weak, best)
    contenders = {}
    for name, router in entrants.items():
        if isinstance(router, Cascade):
            contenders[name] = cascade_contender(tested, router, use_topics=use_topics)
            continue
        routed = route_unseen(router, [tested.outcomes], use_topics=use_topics)[0]
        contenders[name] = estimates_contender(tested, routed.estimates, routed.arms)
    weight = float(next(iter(entrants.values())).cost_weight_) if tested.has_costs else 0.0
    baselines = baseline_contenders(
        tested,
        train_quality,
        train_cost,
        next(iter(contenders.values())).cost_usd,
        topic_table_of(reference, tested.outcomes),
        weight,
    )
    return (
        tested,
        contenders | {name: baselines[name] for name in baselines if name not in contenders},
        weight,
    )


def _drawn(train: Outcomes) -> Outcomes:
    """Draw what rivals learn from, where it is very much."""
    rows = some_rows(len(train), MOST_TAUGHT)
    return train if isinstance(rows, slice) else train.take(rows)


def _rivals(
    routers: Mapping[str, Router], train: Outcomes | None, record: OutOfFold | None
) -> dict[str, Router]:
    """Fit the rivals that every comparison has, but those of a kind that is there already.

    `record`: choices out of fold of the routers; the rivals are then tested in the same folds.
    """
    if train is None:
        return {}
    from routerlib.routers.lightgbm.router import LGBMRouter
    from routerlib.routers.rivals import KNNRouter
    from routerlib.routers.training.cross_trained import cross_fitted
    from routerlib.routers.training.train import at_operating_point

    kinds = {(router.name, getattr(router, "objective", "")) for router in routers.values()}
    wanted = {
        "nearest neighbours": KNNRouter(),
        "best-model classifier": LGBMRouter(objective="best_model"),
    }
    absent = {
        name: rival
        for name, rival in wanted.items()
        if name not in routers and (rival.name, getattr(rival, "objective", "")) not in kinds
    }
    if record is None:
        return {name: at_operating_point(rival, train) for name, rival in absent.items()}
    rows = record.rows_of(train.prompt_ids)
    learnt, folds = train.take(np.flatnonzero(rows != UNKNOWN)), record.fold[rows[rows != UNKNOWN]]
    return {name: cross_fitted(rival, learnt, folds) for name, rival in absent.items()}


def _reference(routers: Mapping[str, Router]) -> Router:
    """Return the first fitted router of those whose best single model most routers agree on."""
    fitted = [each for each in routers.values() if not np.isnan(each.mean_quality_).any()]
    known = fitted or list(routers.values())
    agreed = Counter(router.best_single_ for router in known).most_common(1)[0][0]
    return next(router for router in known if router.best_single_ == agreed)


def _row(intervals: Mapping[str, Interval], against: str) -> dict[str, float]:
    return {
        column: value
        for name in _COLUMNS
        for column, value in intervals[name].columns(f"{name}{against}").items()
    }
