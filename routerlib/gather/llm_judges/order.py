"""Ask whether the place of an answer decides for a judge that compares in both orders."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.evaluation.pseudo_outcomes import Rows, interval
from routerlib.gather.llm_judges import wording
from routerlib.log.sealed import first_number
from routerlib.metrics.intervals import Interval
from routerlib.records.thoughts import separate

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

_POINTS = {"first": 1.0, "tie": 0.0, "second": -1.0}
_BOTH_ORDERS = 2

_LAST_WORDS = """
select judge, prompt_id, (scores.extra ->> '$.judge_calls'), score_id
from scores join calls using (call_id)
where judge like 'pairwise:%' and score_id in (
    select max(score_id) from scores group by call_id, judge
)
order by score_id
"""


class OrderBias(NamedTuple):
    """How far the place of an answer decides for a judge.

    Attributes
    ----------
    judge : str
        What its scores are called.
    n_pairs : int
        Pairs of answers that it compared in both orders, with a clear verdict in each.
    n_by_place : int
        Those of which it preferred the same place both times, so that the place decided; they
        count as ties.
    bias : Interval
        Share of verdicts for the first place minus that for the second, in [-1, 1], 95 %. Every
        pair stands in both orders, so a judge that doesn't look at the place has 0.
    """

    judge: str
    n_pairs: int
    n_by_place: int
    bias: Interval


def order_bias(log: CallLog) -> list[OrderBias]:
    """Measure the bias of each pairwise judge from the replies that the log holds.

    Parameters
    ----------
    log : CallLog
        Any log.

    Returns
    -------
    list of OrderBias
        One per judge that compared at least one pair in both orders.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> order_bias(rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db"))
    []
    """
    asked: dict[tuple[str, str], list[set[int]]] = defaultdict(list)
    for judge, prompt_id, told, score_id in log.lookup(_LAST_WORDS):
        first = first_number(score_id)
        asked[judge, prompt_id].append({first + each for each in json.loads(told or "[]")})
    said: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for (judge, prompt_id), answers in asked.items():
        # Equal answers share their comparisons with others: each counts once.
        compared = {frozenset(one & other) for one, other in combinations(answers, 2)}
        for calls in sorted(compared, key=sorted):
            points = [each for call_id in calls if (each := _points(log, call_id)) is not None]
            if len(calls) == len(points) == _BOTH_ORDERS:
                said[judge].append((prompt_id, points[0], points[1]))
    return [_measured(judge, pairs) for judge, pairs in said.items()]


def _points(log: CallLog, call_id: int) -> float | None:
    """Return 1 where a reply prefers the first place, -1 the second; None = no clear verdict."""
    ((response,),) = log.lookup("select response from calls where call_id = ?", call_id)
    winner = wording.read_winner(separate(response or "").answer)
    return None if winner is None else _POINTS[winner]


def _measured(judge: str, pairs: list[tuple[str, float, float]]) -> OrderBias:
    points = np.array([[straight, swapped] for _, straight, swapped in pairs])
    means = points.mean(axis=1)
    rows = Rows(float(means.mean()), means - means.mean())
    value, low, high, se = interval(rows, np.ones(len(means)), [each[0] for each in pairs])
    bias = Interval(value, float(np.clip(low, -1, 1)), float(np.clip(high, -1, 1)), se)
    return OrderBias(judge, len(pairs), int((np.abs(means) == 1).sum()), bias)
