"""Compare routers in one table with the baselines that any router has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.measurement import Field, baseline_lines, estimates_line, measure
from routerlib.outcomes import Outcomes
from routerlib.routed import check_held_out, means_on_train, route_all
from routerlib.router import Router

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    "quality",
    "cost_usd",
    "cost_share",
    "quality_difference",
    "gain_over_zero",
    "AIQ",
    "PGR",
    "APGR",
    "CPT50",
    "CPT80",
)


def compare(
    routers: Mapping[str, Router],
    test: Outcomes,
    *,
    n_bootstrap: int = 1000,
    random_state: int = 0,
    use_topics: bool = False,
) -> pd.DataFrame:
    """Put routers and baselines into one table, measured on the same held-out prompts.

    Everything that is chosen was chosen on train: each router brings its cost weight, the best
    single and the cheapest candidate model are the routers' own. Only AIQ sweeps the cost weight
    on test, which flatters all routers alike, by little.

    Parameters
    ----------
    routers : mapping of str to Router
        Fitted routers by the name their row shall have; at least one.
    test : Outcomes
        Prompts that no router was trained on. Prompts that some candidate model didn't answer are
        skipped and counted.
    n_bootstrap : int, default=1000
        Replicates of the bootstrap; prompts are drawn in groups of near-duplicates.
    random_state : int, default=0
        Its seed.
    use_topics : bool, default=False
        Tell the routers the known task labels.

    Returns
    -------
    DataFrame
        Index ``router``: the routers, then best single, random, zero router (at the mean cost of
        the first router), oracle. Columns at the operating point: ``quality``, ``cost_usd`` (mean
        US dollars per prompt), ``cost_share`` of best single, ``quality_difference`` to best
        single, ``gain_over_zero`` router at equal cost, ``PGR``; over cost weights: ``AIQ``
        between the mean costs of the cheapest and the dearest candidate model; over shares of
        strong calls: ``APGR``, ``CPT50``, ``CPT80``. Each has ``_low`` and ``_high``, the ends of
        its 95 % interval. ``n`` and ``n_skipped`` count prompts. NaN = undefined or not known,
        such as everything with costs where costs are unknown. ``attrs`` names the pair
        (``strong``, ``weak``), the cost range, and what was skipped.

    Raises
    ------
    ValueError
        If there is no router, a router knows other candidate models, or was trained on test.

    Examples
    --------
    >>> from routerlib.routers import BestSingle
    >>> from routerlib.simulate import make_world
    >>> train, test = make_world(n_prompts=60).outcomes.split(random_state=0)
    >>> table = compare({"always the best": BestSingle().fit(train)}, test, n_bootstrap=50)
    >>> table.index.tolist()
    ['always the best', 'best single', 'random', 'zero router', 'oracle']
    >>> float(table.loc["always the best", "quality_difference"])
    0.0
    """
    import pandas as pd

    if not routers:
        raise ValueError("at least one router is needed, got none")
    for router in routers.values():
        check_held_out(router, test)
    reference = _reference(routers)
    train_quality, train_cost, strong, weak = means_on_train(reference, test)
    field = Field.of(test, strong, weak)
    lines = {}
    for name, router in routers.items():
        routed = route_all(router, field.outcomes, use_topics=use_topics)
        lines[name] = estimates_line(field, routed.estimates, routed.arms)
    first = next(iter(lines.values()))
    baselines = baseline_lines(field, train_quality, train_cost, first.cost_usd)
    lines |= {name: line for name, line in baselines.items() if name not in lines}
    measured = measure(field, lines, n_bootstrap=n_bootstrap, random_state=random_state)
    rows = [
        {f"{name}{end}": value for name in _COLUMNS for end, value in _ends(measured[row][name])}
        | {"n": len(field), "n_skipped": field.n_skipped}
        for row in lines
    ]
    table = pd.DataFrame(rows, index=pd.Index(list(lines), name="router"))
    model_cost = field.cost_usd.mean(axis=0) if len(field) else np.array([np.nan])
    table.attrs = {
        "strong": strong,
        "weak": weak,
        "cost_range_usd": (float(model_cost.min()), float(model_cost.max())),
        "n": len(field),
        "n_skipped": field.n_skipped,
        "n_bootstrap": n_bootstrap,
    }
    return table


def _reference(routers: Mapping[str, Router]) -> Router:
    """Return the first fitted router of those whose best single model most routers agree on."""
    fitted = [each for each in routers.values() if not np.isnan(each.mean_quality_).any()]
    known = fitted or list(routers.values())
    agreed = Counter(router.best_single_ for router in known).most_common(1)[0][0]
    return next(router for router in known if router.best_single_ == agreed)


def _ends(interval: Any) -> list[tuple[str, float]]:
    return [("", interval.value), ("_low", interval.low), ("_high", interval.high)]
