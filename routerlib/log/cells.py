"""Read the cells (prompt, candidate) of a log as matrices of quality and cost."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from routerlib.log import queries
from routerlib.outcomes.outcomes import Failures
from routerlib.records.call import Price

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)

# A candidate that was asked a question or two in the playground must not thin out all others.
_LEAST_COVERAGE = 0.1

_LABELS = """
select
    prompt_id,
    text,
    coalesce(topic, task, 'other') as label,
    nullif(json_extract_string(extra, '$.group'), '') as group_id
from prompts
"""


class Cells(NamedTuple):
    """Everything that Outcomes are made of.

    `prompts, topics, prompt_ids, group_ids` (length n_prompts): in the order of logging; a group
        is the prompt's further field of that name, None where it has none.
    `models` (length n_models): candidate names.
    `quality, cost_usd` (n_prompts, n_models): NaN where unknown; US dollars.
    """

    prompts: list[str]
    models: list[str]
    quality: np.ndarray
    cost_usd: np.ndarray
    topics: list[str]
    prompt_ids: list[str]
    group_ids: list[str | None]


def read_cells(
    path: Path,
    prices: Mapping[str, Price] | None = None,
    failures: Failures = "left_out",
    judge: str | None = None,
    models: Sequence[str] | None = None,
) -> Cells:
    """Read what a log says of each candidate on each prompt."""
    if failures not in get_args(Failures):
        raise ValueError(f"failures must be 'left_out' or 'wrong', got {failures!r}")
    tables = {} if prices is None else {"prices": _price_table(prices)}
    cells = queries.run(path, queries.CELLS, tables, {"judge": judge})
    scored = cells[cells.quality.notna()]
    if scored.empty:
        raise ValueError(_nothing_scored(path, judge))
    names = _order_models(scored, models, path)
    if failures == "wrong":
        cells = cells.assign(quality=cells.quality.mask(cells.is_failed, 0.0))
    wanted = scored.prompt_id[scored.candidate.isin(names)].unique()
    grid = cells.set_index(["prompt_id", "candidate"])[["quality", "cost_usd"]].unstack()
    known = queries.run(path, _LABELS).set_index("prompt_id")
    known = known.loc[wanted]
    return Cells(
        prompts=known.text.tolist(),
        models=names,
        quality=grid.quality.loc[wanted, names].to_numpy(float),
        cost_usd=grid.cost_usd.loc[wanted, names].to_numpy(float),
        topics=known.label.tolist(),
        prompt_ids=wanted.tolist(),
        group_ids=known.group_id.astype(object).where(known.group_id.notna(), None).tolist(),
    )


def blended_judges(path: Path) -> list[str]:
    """Return the judges whose scores of the same calls are averaged into one quality."""
    return [str(name) for name in queries.run(path, queries.BLENDED).judge]


def _nothing_scored(path: Path, judge: str | None) -> str:
    known = queries.run(path, "select distinct judge from scores order by judge").judge.tolist()
    if judge is None or not known:
        return f"the log {path} holds no scored answer yet; collect and judge some first"
    return (
        f"the log {path} holds no score of the judge {judge!r}, it has {', '.join(known)}; "
        f"`routerlib judge --judge {judge}` may add some"
    )


def _order_models(scored: pd.DataFrame, models: Sequence[str] | None, path: Path) -> list[str]:
    by_cost = scored.groupby("candidate").cost_usd.mean().sort_values(na_position="last")
    if models is None:
        n_scored = scored.candidate.value_counts()
        is_seldom = n_scored < n_scored.max() * _LEAST_COVERAGE
        for name in n_scored.index[is_seldom]:
            _logger.warning(
                "left out %r: scored on %d prompts only; name it in models= (--models) to keep it",
                name,
                n_scored[name],
            )
        return [name for name in by_cost.index if not is_seldom[name]]
    for name in models:
        if name not in by_cost.index:
            raise ValueError(
                f"the log {path} has no scored answer of {name!r}; got {', '.join(by_cost.index)}"
            )
    return list(models)


def _price_table(prices: Mapping[str, Price]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "price_id": number,
                "candidate": name,
                "input_usd_per_mtok": price.input_usd_per_mtok,
                "output_usd_per_mtok": price.output_usd_per_mtok,
                "cached_input_usd_per_mtok": price.cached_input_usd_per_mtok,
            }
            for number, (name, price) in enumerate(prices.items())
        ]
    ).astype({"cached_input_usd_per_mtok": float})
