"""Hulls of many replicates at once are those found one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_metrics import aiq, plain_hull

from routerlib.metrics.curves import costs_at, heights_at, hull, hulls, mean_heights

# Whole numbers: points in line are in line, without rounding.
points = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=1, max_size=9)


@given(st.lists(points.filter(lambda drawn: len(drawn) > 2), min_size=1, max_size=4))
def test_each_row_has_the_corners_that_the_plain_hull_has(rows):
    n = min(map(len, rows))
    cost, quality = np.array([row[:n] for row in rows], dtype=float).transpose(2, 0, 1)
    found = hulls(cost, quality)
    for row in range(len(rows)):
        corners = plain_hull(cost[row], quality[row])
        n_corners = len(corners[0])
        assert found.cost_usd[row, :n_corners].tolist() == corners[0].tolist()
        assert found.quality[row, :n_corners].tolist() == corners[1].tolist()
        assert set(found.cost_usd[row, n_corners:]) <= {corners[0][-1]}


@given(st.lists(st.tuples(st.integers(1, 12) | st.none(), st.integers(0, 12)), max_size=9))
def test_one_row_is_a_call_with_one_row_without_what_is_missing(drawn):
    cost, quality = np.array(drawn, dtype=float).reshape(-1, 2).T
    corner_cost, corner_quality = hull(cost, quality)
    expected_cost, expected_quality = plain_hull(cost, quality)
    assert corner_cost.tolist() == expected_cost.tolist()
    assert corner_quality.tolist() == expected_quality.tolist()


@given(points, st.integers(0, 8), st.integers(0, 8))
def test_mean_height_is_the_aiq(drawn, start, width):
    cost, quality = np.array(drawn, dtype=float).T
    low = cost.min() + start
    found = hulls(cost[None], quality[None])
    expected = aiq(cost, quality, (low, low + width))
    assert mean_heights(found, [low], [low + width])[0] == pytest.approx(expected, abs=1e-12)


@given(points, st.floats(0, 14))
def test_height_and_cost_of_a_hull_are_inverse(drawn, level):
    cost, quality = np.array(drawn, dtype=float).T
    found = hulls(cost[None], quality[None])
    at = costs_at(found, [level])[0]
    if level > quality.max():
        assert np.isnan(at)
    elif level > quality[cost == cost.min()].max():
        assert heights_at(found, [at])[0] == pytest.approx(level, abs=1e-9)
    else:
        assert at == cost.min()


def test_costs_of_three_points_by_hand():
    found = hulls([[1.0, 2.0, 4.0]], [[0.2, 0.6, 0.8]])
    assert costs_at(found, [0.4])[0] == pytest.approx(1.5)
    assert costs_at(found, [0.7])[0] == pytest.approx(3.0)
    assert heights_at(found, [3.0])[0] == pytest.approx(0.7)
    assert heights_at(found, [0.5])[0] == pytest.approx(0.2)
