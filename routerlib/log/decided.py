"""Read decisions with what came of them, so that memory follows from them and not from calls."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.log import queries
from routerlib.log.parts import Parts
from routerlib.records.decision import CALLER, CONVERSATION, STEP
from routerlib.records.progress import watched

if TYPE_CHECKING:
    import pandas as pd

_CANDIDATES = "select distinct candidate from decisions order by candidate"
# Marks tell why no router drew a choice, and the reason of a turn which one it goes on from.
_NUMBERS = f"""made.decision_id, made.prompt_id, made.candidate, propensity,
    case when router_hash in ('{CALLER}', '{CONVERSATION}', '{STEP}') then router_hash end
    as router_hash, case when router_hash = '{CONVERSATION}' then reason end as reason"""
_WHOLE = """made.decision_id, made.prompt_id, text, router_hash, made.candidate, propensity,
    cost_weight, estimates, reason, made.created_at"""
_TEXTS = "select prompt_id, text from prompts semi join wanted using (prompt_id)"
_LATEST = "select decision_id from decisions order by decision_id desc limit ?"
_FIRST = 0  # before any decision


class Expected(NamedTuple):
    """What was expected at decisions, each of shape (n, n_models).

    `models`: names, in the order in which decisions tell of them. `quality, cost_usd`: NaN where
    nothing is told. `is_told`: whether a decision tells of a candidate.
    """

    models: list[str]
    quality: np.ndarray
    cost_usd: np.ndarray
    is_told: np.ndarray


def decided(reader: queries.Reader, judge: str | None) -> pd.DataFrame:
    """Return a row per decision with quality and cost of what was chosen, by their numbers.

    `router_hash` and `reason` are None where a router drew. Calls of a large log are read in
    parts, and none of them can be read by this reader afterwards.
    """
    return _decided(reader, judge, _FIRST, _NUMBERS, "")


def latest(reader: queries.Reader, n_decisions: int) -> pd.DataFrame:
    """Return the latest decisions in the same way, with all that is told of them."""
    ids = reader.rows(_LATEST, n_decisions)
    first = min((number for (number,) in ids), default=_FIRST)
    return _decided(reader, None, first, _WHOLE, "join prompts using (prompt_id)")


def _decided(
    reader: queries.Reader, judge: str | None, since: int, columns: str, with_prompts: str
) -> pd.DataFrame:
    import pandas as pd

    names = reader.frame(_CANDIDATES).candidate.tolist()
    query = queries.UNDER_DECISIONS.format(since=since)
    told = {"judge": judge, "names": names}
    if since == _FIRST:
        parts = Parts(reader)
        under = pd.concat([part.frame(query, told) for part in parts], ignore_index=True)
        parts.close()
    else:
        under = reader.frame(query, told)
    reader.add("under", under)
    query = queries.DECIDED.format(columns=columns, with_prompts=with_prompts, since=since)
    return reader.frame(query, {"names": names})


def texts_of(reader: queries.Reader, prompt_ids: Iterable[str]) -> dict[str, str]:
    """Return the texts of some prompts by their identifiers."""
    import pandas as pd

    reader.add("wanted", pd.DataFrame({"prompt_id": list(dict.fromkeys(prompt_ids))}, dtype=object))
    return dict(reader.each(_TEXTS))


def expected(reader: queries.Reader, decision_ids: np.ndarray) -> Expected:
    """Read what was expected at some decisions, whose numbers rise, in that order."""
    places = {number: place for place, number in enumerate(decision_ids.tolist())}
    columns: dict[str, int] = {}
    told: dict[tuple[str, ...], int] = {}  # names as they stand together, with their first place
    shape = (len(places), 0)
    numbers, is_told = np.full((2, *shape), np.nan), np.zeros(shape, dtype=bool)
    rows = reader.each("select decision_id, estimates from decisions")
    for decision_id, text in watched(rows, "decisions", len(places)):
        if (place := places.get(decision_id)) is None:
            continue
        known = json.loads(text)
        names = tuple(known)
        if names not in told and (new := [name for name in names if name not in columns]):
            columns.update(zip(new, range(len(columns), len(columns) + len(new)), strict=True))
            numbers = np.pad(numbers, [(0, 0), (0, 0), (0, len(new))], constant_values=np.nan)
            is_told = np.pad(is_told, [(0, 0), (0, len(new))])
        told[names] = min(told.get(names, place), place)
        for name, each in known.items():
            at = columns[name]
            is_told[place, at] = True
            for number, value in enumerate((each["quality"], each["cost_usd"])):
                numbers[number, place, at] = np.nan if value is None else value
    models = list(
        dict.fromkeys(name for names in sorted(told, key=told.__getitem__) for name in names)
    )
    if [columns[name] for name in models] != list(range(len(models))):
        order = [columns[name] for name in models]
        numbers, is_told = numbers[:, :, order], is_told[:, order]
    return Expected(models, numbers[0], numbers[1], is_told)
