"""AUC is the chance that a good one ranks above a bad one."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.metrics.ranks import auc


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.8, 0.2, 0.1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], 0.0),
        ([0.5, 0.5, 0.5, 0.5], 0.5),
        ([0.9, 0.3, 0.3, 0.1], 0.875),
        ([-9.0, -9.5, -9.2, -9.9], 0.75),
    ],
)
def test_it_counts_pairs_in_order_and_ties_by_half(scores: list[float], expected: float) -> None:
    assert auc(scores, [True, True, False, False]) == expected


def test_weights_count_as_often_as_they_say() -> None:
    scores, good = np.array([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False])
    weights = np.array([2, 1, 0, 3])
    repeated = np.repeat(np.arange(4), weights)
    assert auc(scores, good, weights) == auc(scores[repeated], good[repeated]) == 1.0


def test_without_both_kinds_there_is_none() -> None:
    assert np.isnan(auc([0.1, 0.2], [True, True]))
    assert np.isnan(auc([], []))
