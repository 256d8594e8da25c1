from __future__ import annotations

import pickle

import numpy as np
import pytest

from routerlib.features.learners.neighbours import Neighbours, _largest


@pytest.mark.parametrize(
    ("n_values", "kept"), [(5608, 80), (650, 40), (641, 40), (30, 80), (80, 80)]
)
def test_the_largest_values_are_found_as_by_sorting(n_values: int, kept: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, n_values)).astype(np.float32)
    values[0] = 0.5  # all alike
    values[1] = rng.integers(0, 3, n_values)  # many alike
    values[2, rng.random(n_values) < 0.9] = -np.inf  # few that count
    values[3] = np.sort(values[3])[::-1]  # all of the largest in neighbouring heaps
    kept = min(kept, n_values)

    where, found = _largest(values, kept)

    assert where.shape == found.shape == (50, kept)
    assert all(len(set(row)) == kept for row in where.tolist())
    np.testing.assert_array_equal(np.take_along_axis(values, where, axis=1), found)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(values, axis=1)[:, -kept:])
    for row in range(len(values)):  # one alone takes other steps
        alone, of_alone = _largest(values[row : row + 1], kept)
        np.testing.assert_array_equal(values[row, alone[0]], of_alone[0])
        np.testing.assert_array_equal(np.sort(of_alone[0]), np.sort(found[row]))


def test_a_value_that_is_no_number_hides_nothing() -> None:
    values = np.tile(np.arange(1000.0), (2, 1))
    values[1, ::7] = np.nan

    where, found = _largest(values, 20)

    assert set(found[0]) == set(range(980, 1000))
    assert where.shape == (2, 20)


def test_estimates_are_those_of_the_plain_formula() -> None:
    rng = np.random.default_rng(1)
    vectors, targets = rng.normal(size=(900, 16)), rng.random((900, 3))
    targets[rng.random(targets.shape) < 0.3] = np.nan
    near = Neighbours.fit(vectors, targets, n_neighbors=10)
    asked = rng.normal(size=(7, 16))

    found = near.predict(asked)

    unit = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    cosines = unit @ near.vectors.astype(float).T
    for row, expected in zip(cosines, found, strict=True):
        best = np.argsort(-row)[:10]
        weights = np.exp((row[best] - row.max()) / 0.1)[:, np.newaxis] * ~np.isnan(targets[best])
        total = (weights * np.nan_to_num(targets[best])).sum(axis=0) + np.nanmean(targets, axis=0)
        np.testing.assert_allclose(expected, total / (weights.sum(axis=0) + 1), atol=1e-6)


def test_neighbours_travel_without_what_can_be_made_anew() -> None:
    rng = np.random.default_rng(0)
    vectors, folds = rng.standard_normal((9000, 16)), np.arange(9000) % 5
    near = Neighbours.fit(vectors, rng.random((9000, 2)))
    assert near.index is not None
    sent = pickle.dumps(near)
    found = pickle.loads(sent)
    assert len(sent) < 2.2 * near.vectors.nbytes
    np.testing.assert_array_equal(found.predict(vectors[:50]), near.predict(vectors[:50]))
    function, (vectors_, targets, *rest) = near.__reduce__()
    shifted = np.frombuffer(b"-" + targets.tobytes(), offset=1).reshape(targets.shape)
    assert not shifted.flags.aligned  # as it may come to a worker
    assert function(vectors_, shifted, *rest).targets.flags.aligned
    some = slice(100, 150)
    np.testing.assert_array_equal(found.held_out(folds, some), near.held_out(folds, some))
