"""Divide prompts into train and test: at random, by topic, or in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.records.brief import n_of

SplitBy = Literal["random", "topic", "time"]

Rows = NDArray[np.intp]

# As many tell quality within half a point (95 %); more would take hours and gigabytes.
MOST_TESTED = 50_000


class Parts(NamedTuple):
    """Rows of the two parts, both in ascending order.

    Attributes
    ----------
    train, test : ndarray of int
        Near-duplicates never stand in both. A prompt may be in neither.
    """

    train: Rows
    test: Rows


def divide(
    groups: NDArray[np.intp],
    test_size: float,
    random_state: int = 0,
    by: SplitBy = "random",
    topics: Sequence[str] | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> Parts:
    """Divide prompts once.

    `groups` (n_prompts,): near-duplicate groups, as of
        `routerlib.outcomes.near_duplicates.near_duplicate_groups`.
    `test_size`: share of prompts for test, in (0, 1).
    `kept` (n_prompts,): whole groups that are the test, whatever its size; None = drawn.
    """
    check_test_size(test_size)
    _check(by, topics)
    if kept is not None:
        return _parts(groups, kept)
    units = _units(groups, by, topics)
    sizes = np.bincount(units) if len(units) else np.zeros(0, dtype=int)
    order = np.random.default_rng(random_state).permutation(len(sizes))
    room = max(1, round(test_size * len(units)))
    chosen = _last(sizes, room) if by == "time" else _fitting(order, sizes, room)
    if by == "random" and topics is not None:
        topic_of = np.unique(np.asarray(topics), return_inverse=True)[1][_firsts(units)]
        chosen = _with_topics(chosen, order, sizes, topic_of, test_size)
    parts = _parts(groups, np.isin(units, chosen))
    if not len(parts.test) or not len(parts.train):
        what, one = "groups of near-duplicates", "group of near-duplicates"
        if by == "topic":
            what, one = "topics", "topic"
        raise ValueError(
            f"{n_of(len(units), 'prompts')} in {n_of(len(sizes), what, one)} can't be split "
            f"with test_size={test_size}; collect more distinct prompts"
        )
    return parts


def check_test_size(test_size: float) -> None:
    """Refuse a share of test prompts that leaves nothing on one side."""
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must lie in (0, 1), got {test_size!r}")


def folds(
    groups: NDArray[np.intp],
    n_folds: int,
    random_state: int = 0,
    by: SplitBy = "random",
    topics: Sequence[str] | None = None,
) -> list[Parts]:
    """Divide prompts several times, so that no prompt is tested twice.

    Parameters
    ----------
    groups : ndarray of int, shape (n_prompts,)
        Near-duplicate groups.
    n_folds : int
        Divisions, at least 2.
    random_state : int, default=0
        Seed.
    by : {"random", "topic", "time"}, default="random"
        As in `divide`. By time the prompts are cut into ``n_folds + 1`` blocks, and each but the
        first is tested after training on all that came before.
    topics : sequence of str or None, default=None
        Topic of each prompt, for ``by="topic"``.

    Returns
    -------
    list of Parts

    Raises
    ------
    ValueError
        If there are fewer groups or topics than folds.

    Examples
    --------
    >>> [parts.test.tolist() for parts in folds(np.arange(6), 2, by="time")]
    [[2, 3], [4, 5]]
    """
    _check(by, topics)
    units = _units(groups, by, topics)
    if by != "time":
        fold = grouped_folds(units, n_folds, random_state)
        return [_parts(groups, fold == number) for number in range(n_folds)]
    n_units = len(np.unique(units))
    if not 2 <= n_folds < n_units:
        raise ValueError(
            f"n_folds must lie between 2 and {n_units - 1}, got {n_folds!r}: these prompts are of "
            f"{n_units} groups, and so many folds by time need {n_folds + 1}; log more that differ"
        )
    ends = np.cumsum(np.bincount(units))
    block = np.minimum((ends - 1) * (n_folds + 1) // len(units), n_folds)[units]
    return [
        Parts(np.flatnonzero(block < number), np.flatnonzero(block == number))
        for number in range(1, n_folds + 1)
    ]


def _check(by: str, topics: Sequence[str] | None) -> None:
    if by not in get_args(SplitBy):
        raise ValueError(f"by must be one of {', '.join(get_args(SplitBy))}, got {by!r}")
    if by == "topic" and topics is None:
        raise ValueError("a split by topic needs outcomes with topics; these have none")


def _units(groups: NDArray[np.intp], by: SplitBy, topics: Sequence[str] | None) -> Rows:
    """Return what goes to one side as a whole: numbers from 0, in order of appearance."""
    labels: NDArray = np.asarray(topics) if by == "topic" else np.asarray(groups)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _fitting(order: Rows, sizes: Rows, room: int) -> Rows:
    """Take units in order as long as they fit into the room that is left."""
    chosen = []
    for unit in order:
        if sizes[unit] <= room:
            chosen.append(unit)
            room -= sizes[unit]
    return np.array(chosen, dtype=np.intp)


def _with_topics(chosen: Rows, order: Rows, sizes: Rows, topic_of: Rows, test_size: float) -> Rows:
    """Exchange units so that no topic is missing in a part where one of its units may be expected.

    Only topics and sizes decide, never outcomes. A unit
    that is no larger goes back in exchange, from the topic that stands there too often.
    """
    is_test = np.isin(np.arange(len(sizes)), chosen)
    n_units = np.bincount(topic_of)
    for part, share in ((True, test_size), (False, 1 - test_size)):
        for topic in np.flatnonzero((n_units >= 2) & (n_units * share >= 1)):
            inside = np.bincount(topic_of[is_test == part], minlength=len(n_units))
            if inside[topic] == 0:
                own = order[topic_of[order] == topic]
                moved = own[np.argmin(sizes[own])]
                surplus = np.where(inside >= 2, inside - share * n_units, -np.inf)[topic_of]
                fits = (is_test == part) & (sizes <= sizes[moved]) & np.isfinite(surplus)
                is_test[moved] = part
                if fits.any():
                    back = order[np.argmax(np.where(fits, surplus, -np.inf)[order])]
                    is_test[back] = not part
    return np.flatnonzero(is_test)


def _firsts(units: Rows) -> Rows:
    """Return the first prompt of each unit."""
    return np.unique(units, return_index=True)[1]


def _last(sizes: Rows, room: int) -> Rows:
    after = np.cumsum(sizes[::-1])[::-1]
    return np.flatnonzero(after <= max(room, sizes[-1:].sum()))


def _parts(groups: NDArray[np.intp], is_test: NDArray[np.bool_]) -> Parts:
    """Leave out test prompts that have a near-duplicate in train."""
    is_copy = np.isin(groups, groups[~is_test])
    return Parts(np.flatnonzero(~is_test), np.flatnonzero(is_test & ~is_copy))
