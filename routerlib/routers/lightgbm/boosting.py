"""Boost: LightGBM's own training, in this process or by whoever is to do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from routerlib.records.progress import watched
from routerlib.routers.lightgbm.binned import BinnedRows

if TYPE_CHECKING:
    import lightgbm as lgb


class Wanted(NamedTuple):
    """A booster that is wanted.

    `labels` (n_rows,): of the rows.
    `settings`: LightGBM's.
    """

    rows: BinnedRows
    labels: np.ndarray
    settings: Mapping[str, Any]
    n_rounds: int


# Boosters that were made from their texts, in the order in which they are wanted.
Boost = Callable[[Iterable[Wanted]], Iterator["lgb.Booster"]]


def boost_here(wanted: Iterable[Wanted]) -> Iterator[lgb.Booster]:
    """Train boosters in this process, one after the other."""
    import lightgbm as lgb

    for rows, labels, settings, n_rounds in watched(wanted, "boosters"):
        # It goes through the text by itself.
        yield lgb.train(dict(settings), rows.labelled(labels, settings), num_boost_round=n_rounds)


_BOOST: ContextVar[Boost] = ContextVar("boost", default=boost_here)


def boost(wanted: Iterable[Wanted]) -> Iterator[lgb.Booster]:
    """Train boosters by whoever is to: this process, or a cluster's workers, several at once."""
    return _BOOST.get()(wanted)


@contextmanager
def boosted_by(other: Boost) -> Iterator[None]:
    """Have another one train, as long as the block lasts; same rows, labels and settings."""
    token = _BOOST.set(other)
    try:
        yield
    finally:
        _BOOST.reset(token)
