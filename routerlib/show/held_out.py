"""Divide the outcomes of a log into what a router has learnt from, and what may judge it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from heapq import nsmallest
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.log.cell_ends import cell_ends
from routerlib.outcomes.splits import MOST_TESTED

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router

_logger = logging.getLogger(__name__)


def drawn_for_test(prompt_ids: Sequence[str]) -> list[int]:
    """Return which prompts to test on: all, or of very many those with the first ids.

    Ids are hashes, so these are drawn at random, and stay the same from look to look.

    >>> drawn_for_test(["b2:c", "b2:a"])
    [0, 1]
    """
    rows = range(len(prompt_ids))
    if len(rows) <= MOST_TESTED:
        return list(rows)
    return sorted(nsmallest(MOST_TESTED, rows, key=prompt_ids.__getitem__))


def unseen_by(router: Router, prompt_ids: Sequence[str]) -> list[int]:
    """Return which prompts a router wasn't trained on, or has choices out of fold for."""
    record = router.out_of_fold_
    known = () if record is None else record.prompt_ids
    seen = set(router.train_prompt_ids_).difference(known)
    return [row for row, prompt_id in enumerate(prompt_ids) if prompt_id not in seen]


class SeenAndUnseen(NamedTuple):
    """Outcomes as one router divides them.

    Attributes
    ----------
    train : Outcomes
        Prompts that the router was trained on, as far as these outcomes hold them.
    test : Outcomes
        Prompts on which it may be judged: by itself, or by routers that were trained alike and
        haven't seen them (`Router.out_of_fold_`); these stand in both parts.
    """

    train: Outcomes
    test: Outcomes


def split_as_trained(outcomes: Outcomes, router: Router) -> SeenAndUnseen:
    """Divide outcomes into what a router has seen, and what it may be judged on.

    Near-duplicates of training prompts are in neither part, so that the judgement stays
    honest when the log has grown, or was split otherwise, since the training. Of more than
    50,000 prompts that it hasn't seen as many are drawn at random, by their ids, which is logged
    as a warning.

    Parameters
    ----------
    outcomes : Outcomes
        All that was observed.
    router : Router
        A fitted router; it remembers its training prompts.

    Returns
    -------
    SeenAndUnseen

    Raises
    ------
    ValueError
        If the router has seen every prompt.
    """
    possible = unseen_by(router, outcomes.prompt_ids)
    if len(possible) > MOST_TESTED:
        _logger.warning(
            "%s of %s prompts that the router hasn't seen are drawn at random to judge it on",
            f"{MOST_TESTED:,}",
            f"{len(possible):,}",
        )
        drawn = drawn_for_test([outcomes.prompt_ids[row] for row in possible])
        left_out = set(possible).difference(possible[row] for row in drawn)
        outcomes = outcomes.take([row for row in range(len(outcomes)) if row not in left_out])
    seen = set(router.train_prompt_ids_)
    is_seen = [prompt_id in seen for prompt_id in outcomes.prompt_ids]
    seen_groups = {group for group, known in zip(outcomes.groups, is_seen, strict=True) if known}
    record = router.out_of_fold_
    crossed = set() if record is None else set(record.prompt_ids)
    unseen = [
        index
        for index, (group, prompt_id) in enumerate(
            zip(outcomes.groups, outcomes.prompt_ids, strict=True)
        )
        if group not in seen_groups or prompt_id in crossed
    ]
    if not unseen:
        raise ValueError(
            f"expected prompts that the router has not seen, got {len(outcomes)} that it was all "
            "trained on; train on a part (outcomes.split) or collect more prompts"
        )
    trained = [index for index, known in enumerate(is_seen) if known]
    return SeenAndUnseen(train=outcomes.take(trained), test=outcomes.take(unseen))


class HeldApart(NamedTuple):
    """A router with the outcomes that it was trained on, and others that it hasn't seen.

    Attributes
    ----------
    router : Router
        The router that was given, or one that was trained alike on less.
    train, test : Outcomes
        No prompt, nor a near-duplicate of one, stands in both.
    """

    router: Router
    train: Outcomes
    test: Outcomes


def held_apart(
    outcomes: Outcomes, router: Router, *, test_size: float = 0.3, random_state: int = 0
) -> HeldApart:
    """Divide outcomes for what is built upon a router, such as a cascade, and judged with it.

    Choices out of fold are the router's own and tell nothing of what is built upon it. So a
    router that was trained on all of a small log is trained again, on a part.

    Parameters
    ----------
    outcomes : Outcomes
        All that was observed.
    router : Router
        A fitted router.
    test_size : float, default=0.3
        Share that is held out where the router is trained again, between 0 and 1.
    random_state : int, default=0
        Seed of that split.

    Returns
    -------
    HeldApart

    Raises
    ------
    ValueError
        If the router has seen every prompt, and has no choices out of fold.
    """
    from sklearn.base import clone

    if router.out_of_fold_ is None:
        return HeldApart(router, *split_as_trained(outcomes, router))
    train, test = outcomes.split(test_size=test_size, random_state=random_state)
    return HeldApart(clone(router).fit(train), train, test)


def failures_as_wrong(log: CallLog, test: Outcomes, judge: str | None = None) -> Outcomes:
    """Return the outcomes of the very same prompts with failed calls as quality 0.

    Only calls of prompts that lack a score are looked up.

    Parameters
    ----------
    log : CallLog
        The log that `test` was read from.
    test : Outcomes
        What a router is judged on, such as `split_as_trained` gives.
    judge : str or None, default=None
        The judge that `test` was read by; None = the mean over judges.

    Returns
    -------
    Outcomes
        Of the same prompts and candidate models, for `routerlib.evaluation.evaluate.evaluate`.
    """
    from routerlib.outcomes.parts import grouped_as

    if test.inclusion is not None:  # what was bought and failed has another chance
        return _read_as_wrong(log, test, judge)
    lacks = np.isnan(test.quality)
    if lacks.all(axis=1).any():  # a prompt on which no judge has spoken tells of no failure
        test = test.take(~lacks.all(axis=1))
        lacks = np.isnan(test.quality)
    rows = {test.prompt_ids[row]: row for row in np.flatnonzero(lacks.any(axis=1)).tolist()}
    arms = {name: arm for arm, name in enumerate(test.models)}
    ends = cell_ends(log.source, rows, judge).cells
    failed = ends[~ends.has_answer & ends.candidate.isin(test.models)]
    quality = test.quality.copy()
    quality[failed.prompt_id.map(rows).astype(int), failed.candidate.map(arms).astype(int)] = 0.0
    return grouped_as(replace(test, quality=quality), test)


def _read_as_wrong(log: CallLog, test: Outcomes, judge: str | None) -> Outcomes:
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.outcomes.parts import grouped_as

    wrong = Outcomes.from_log(log, failures="wrong", judge=judge, models=test.models)
    rows = {prompt_id: row for row, prompt_id in enumerate(wrong.prompt_ids)}
    same = wrong.take([rows[prompt_id] for prompt_id in test.prompt_ids if prompt_id in rows])
    return grouped_as(same, test) if same.prompt_ids == test.prompt_ids else same
