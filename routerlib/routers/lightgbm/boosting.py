"""Boost: LightGBM's own training, in this process or by whoever is to do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.routers.lightgbm.binned import BinnedRows

if TYPE_CHECKING:
    import lightgbm as lgb

# From rows of columns, labels (n_rows,), LightGBM's settings and the number of rounds to a booster
# that was made from its text.
Boost = Callable[[BinnedRows, np.ndarray, Mapping[str, Any], int], "lgb.Booster"]


def boost_here(
    rows: BinnedRows, labels: np.ndarray, settings: Mapping[str, Any], n_rounds: int
) -> lgb.Booster:
    """Train a booster in this process."""
    import lightgbm as lgb

    # It goes through the text by itself.
    return lgb.train(dict(settings), rows.labelled(labels, settings), num_boost_round=n_rounds)


_BOOST: ContextVar[Boost] = ContextVar("boost", default=boost_here)


def boost(
    rows: BinnedRows, labels: np.ndarray, settings: Mapping[str, Any], n_rounds: int
) -> lgb.Booster:
    """Train a booster by whoever is to: this process, or a cluster's workers."""
    return _BOOST.get()(rows, labels, settings, n_rounds)


@contextmanager
def boosted_by(other: Boost) -> Iterator[None]:
    """Have another one train, as long as the block lasts; same rows, labels and settings."""
    token = _BOOST.set(other)
    try:
        yield
    finally:
        _BOOST.reset(token)
