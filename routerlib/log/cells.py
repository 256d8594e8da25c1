"""Read the cells (prompt, candidate) of a log as matrices of quality and cost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from routerlib.log import counted, queries
from routerlib.log.packing import n_parts
from routerlib.log.parts import Grids, Known, PartsRead, read_parts
from routerlib.log.purchases import Purchases
from routerlib.log.sealed import STRIDE
from routerlib.outcomes.outcomes import Failures
from routerlib.records.brief import n_of
from routerlib.records.call import AUDIT, Price
from routerlib.records.decision import CONVERSATION, GOES_ON_FROM
from routerlib.records.prompt import USER_GROUP

if TYPE_CHECKING:
    import pandas as pd

# Chooses the candidates that count from their numbers of scored prompts.
_Order = Callable[["pd.Series"], list[str]]

_logger = logging.getLogger(__name__)

# A candidate that was asked a question or two in the playground must not thin out all others.
_LEAST_COVERAGE = 0.1

# Candidates with a scored answer, the cheapest first.
_SCORED = """
select candidate, count(*) as n_scored from cells where quality is not null
group by candidate order by avg(cost_usd) nulls last, candidate
"""
# Prompts with a scored answer of a candidate that is wanted, in the order of logging.
_WANTED = """
select prompt_id, row_number() over (order by min(first_call)) - 1 as row from cells
where quality is not null and list_contains($names, candidate) group by prompt_id
"""
_LABELS = f"""
select
    text,
    coalesce(topic, task, 'other') as label,
    prompt_id,
    {queries.GROUP_ID} as group_id,
    row
from prompts join wanted using (prompt_id)
"""
# Turns that stayed with their conversation's model, each with the turn that it goes on from.
_TURNS = r"""
select later.prompt_id as prompt_id, earlier.prompt_id as earlier_id
from decisions as later join decisions as earlier
on earlier.decision_id = try_cast(regexp_extract(later.reason, $goes_on_from, 1) as bigint)
    + later.decision_id - later.decision_id % $stride
where later.router_hash = $stayed and later.prompt_id <> earlier.prompt_id
order by later.decision_id
"""
_GRID = """
select row, list_position($names, candidate) - 1 as model, quality, cost_usd, latency_s,
    first_token_s, is_failed
from cells join wanted using (prompt_id) where list_contains($names, candidate)
"""


_SCORED_BY = """
select 1 from scores where score is not null and (?::varchar is null and judge <> ? or judge = ?)
limit 1
"""


class Cells(NamedTuple):
    """Everything that Outcomes are made of.

    `prompts, topics, prompt_ids, group_ids` (length n_prompts): in the order of logging; groups
        are as `Prompt.group` says (users only where several are known), or the first prompt of a
        conversation for all of its turns; None where a prompt has none.
    `models` (length n_models): candidate names.
    `quality, cost_usd` (n_prompts, n_models): NaN where unknown; US dollars.
    `latency_s, first_token_s` (n_prompts, n_models): seconds of complete answers; NaN where
        unknown.
    `inclusion` (n_prompts, n_models): probability with which a cell was to be observed; None = no
        label was bought.
    """

    prompts: list[str]
    models: list[str]
    quality: np.ndarray
    cost_usd: np.ndarray
    latency_s: np.ndarray
    first_token_s: np.ndarray
    topics: list[str]
    prompt_ids: list[str]
    group_ids: list[str | None]
    inclusion: np.ndarray | None


def read_cells(
    path: queries.Source,
    prices: Mapping[str, Price] | None = None,
    failures: Failures = "left_out",
    judge: str | None = None,
    models: Sequence[str] | None = None,
) -> Cells:
    """Read what a log says of each candidate on each prompt."""
    if failures not in get_args(Failures):
        raise ValueError(f"failures must be 'left_out' or 'wrong', got {failures!r}")
    tables = {} if prices is None else {"prices": _price_table(prices)}
    with queries.opened(path, tables) as reader:
        read = _read_whole if n_parts(reader) == 1 else _read_parts
        found = read(reader, judge, lambda n_scored: _order_models(n_scored, models, path))
        if found is None:
            raise ValueError(_nothing_scored(reader, path, judge))
        told = {"goes_on_from": GOES_ON_FROM.pattern, "stayed": CONVERSATION, "stride": STRIDE}
        turns = reader.frame(_TURNS, told)
    names, known, grids = found
    quality, conversations = grids.quality, _conversations(turns)
    if failures == "wrong":
        quality[grids.is_failed] = 0.0
    for each in grids:
        each.setflags(write=False)  # so that outcomes take them as they are
    return Cells(
        prompts=known.texts,
        models=names,
        quality=quality,
        cost_usd=grids.cost_usd,
        latency_s=grids.latency_s,
        first_token_s=grids.first_token_s,
        topics=known.labels,
        prompt_ids=known.prompt_ids,
        group_ids=[
            conversations.get(prompt_id) if group_id is None else group_id
            for prompt_id, group_id in zip(
                known.prompt_ids, _of_many_users(known.group_ids), strict=True
            )
        ],
        inclusion=Purchases.read(path).inclusion(known.prompt_ids, names, quality),
    )


def _of_many_users(group_ids: list[str | None]) -> list[str | None]:
    """Take the user away where only one is known: that is whose prompts these are, and no group."""
    users = {each for each in group_ids if each is not None and each.startswith(USER_GROUP)}
    return group_ids if len(users) != 1 else [None if each in users else each for each in group_ids]


def _conversations(turns: pd.DataFrame) -> dict[str, str]:
    """Name the conversation of each prompt that has more than one turn: by its first prompt."""
    names: dict[str, str] = {}
    for later, earlier in zip(turns.prompt_id, turns.earlier_id, strict=True):
        names[later] = names.setdefault(earlier, f"conversation/{earlier}")
    return names


def _read_parts(reader: queries.Reader, judge: str | None, order: _Order) -> PartsRead | None:
    return read_parts(reader, judge, _LABELS, order)


def _read_whole(reader: queries.Reader, judge: str | None, order: _Order) -> PartsRead | None:
    reader.keep("cells", counted.CELLS, {"judge": judge})
    scored = reader.frame(_SCORED)
    if scored.empty:
        return None
    names = order(scored.set_index("candidate").n_scored)
    reader.keep("wanted", _WANTED, {"names": names})
    row, model, *values = reader.arrays(_GRID, {"names": names})
    ((n_prompts,),) = reader.rows("select count(*) from wanted")
    known = Known.of([reader], _LABELS, n_prompts)
    shape = (n_prompts, len(names))
    numbers = [_grid(row, model, each, shape, np.nan) for each in values[:-1]]
    is_failed = _grid(row, model, values[-1], shape, False)
    quality, cost_usd, latency_s, first_token_s = numbers
    grids = Grids(quality, cost_usd, latency_s, first_token_s, is_failed, np.empty(0))
    return PartsRead(names, known, grids)


def _grid(
    row: np.ndarray, model: np.ndarray, values: np.ndarray, shape: tuple[int, int], empty: object
) -> np.ndarray:
    grid = np.full(shape, empty)
    grid[row, model] = values
    return grid


def blended_judges(path: queries.Source) -> list[str]:
    """Return the judges whose scores of the same calls are averaged into one quality."""
    with queries.opened(path) as reader:
        return queries.blended(reader)


def refuse_unscored(path: queries.Source, judge: str | None = None) -> None:
    """Raise ValueError where a judge has scored nothing, or nobody has, without reading cells."""
    with queries.opened(path) as reader:
        if not reader.rows(_SCORED_BY, judge, AUDIT, judge):
            raise ValueError(_nothing_scored(reader, path, judge))


def _nothing_scored(reader: queries.Reader, path: queries.Source, judge: str | None) -> str:
    known = reader.frame("select distinct judge from scores order by judge").judge.tolist()
    if judge is None or not known:
        with_reference = "select count(*) as n from prompts where reference is not null"
        has_reference = bool(reader.frame(with_reference).n[0])
        by = "auto" if has_reference else "llm --judge-candidate NAME"
        return (
            f"the log {path} holds no scored answer yet; collect some, and judge them "
            f"(routerlib judge --judge {by})"
        )
    near = get_close_matches(judge, known, n=1)
    meant = f"did you mean {near[0]!r}?" if near else "name one of these."
    return (
        f"the log {path} holds no score of the judge {judge!r}, it has {', '.join(known)}; {meant} "
        "Another judge has to score the answers first (routerlib judge --judge NAME)"
    )


def _order_models(
    n_scored: pd.Series, models: Sequence[str] | None, path: queries.Source
) -> list[str]:
    """Return the candidates that count, as named or the cheapest first.

    `n_scored`: scored prompts by candidate, the cheapest first.
    """
    if models is None:
        is_seldom = n_scored < n_scored.max() * _LEAST_COVERAGE
        for name in n_scored.index[is_seldom]:
            _logger.warning(
                "left out %r: scored on %s only; name it in models= (--models) to keep it",
                name,
                n_of(int(n_scored[name]), "prompts"),
            )
        return [name for name in n_scored.index if not is_seldom[name]]
    for name in models:
        if name not in n_scored.index:
            raise ValueError(
                f"the log {path} has no scored answer of {name!r}; got {', '.join(n_scored.index)}"
            )
    return list(models)


_MAYBE_UNKNOWN = (
    "cached_input_usd_per_mtok",
    "cache_write_usd_per_mtok",
    "cache_write_1h_usd_per_mtok",
)


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
                "cache_write_usd_per_mtok": price.cache_write_usd_per_mtok,
                "cache_write_1h_usd_per_mtok": price.cache_write_1h_usd_per_mtok,
            }
            for number, (name, price) in enumerate(prices.items())
        ]
    ).astype(dict.fromkeys(_MAYBE_UNKNOWN, float))
