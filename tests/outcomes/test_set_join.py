"""Pairs of similar sets are found: all of them by the exact search, nearly all by hashing."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from routerlib.outcomes import set_join
from routerlib.outcomes.families import _counted
from routerlib.outcomes.set_join import similar_sets
from routerlib.outcomes.similar_sets import components, connected, sets_of

Pairs = set[tuple[int, int]]


def matrix(sets: list[set[int]], n_elements: int) -> Any:
    cells = [(row, element) for row, each in enumerate(sets) for element in sorted(each)]
    rows, columns = np.array(cells, dtype=int).reshape(-1, 2).T
    return csr_array((np.ones(len(cells), np.float32), (rows, columns)), (len(sets), n_elements))


def by_definition(sets: list[set[int]], threshold: float) -> Pairs:
    return {
        (one, other)
        for other in range(len(sets))
        for one in range(other)
        if sets[one] | sets[other]
        and len(sets[one] & sets[other]) / len(sets[one] | sets[other]) >= threshold
    }


def found(sets: Any, threshold: float) -> Pairs:
    return {(int(a), int(b)) for pairs in similar_sets(sets, threshold) for a, b in pairs.T}


def families(n_families: int, seed: int) -> list[set[int]]:
    """Return sets of 20 to 200 elements, each followed by one that differs from it a little."""
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(n_families):
        size = int(rng.integers(20, 200))
        members = rng.choice(5000, size, replace=False)
        other = np.where(
            rng.random(size) < rng.uniform(0, 0.15), rng.integers(0, 5000, size), members
        )
        sets += [set(members.tolist()), set(other.tolist())]
    return sets


@settings(max_examples=200)
@given(
    st.lists(st.sets(st.integers(0, 11), max_size=12), min_size=1, max_size=25),
    st.sampled_from([0.3, 0.5, 0.75, 0.8, 1.0]),
)
def test_the_exact_search_finds_what_the_definition_says(
    sets: list[set[int]], threshold: float
) -> None:
    assert found(matrix(sets, 12), threshold) == by_definition(sets, threshold)


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.95])
def test_the_exact_search_works_in_blocks(
    threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_join, "_LOOKED_UP_AT_ONCE", 700)
    monkeypatch.setattr(set_join, "_ROWS_IN_MEMORY", 11)
    monkeypatch.setattr(set_join, "_PAIRS_AT_ONCE", 5)
    sets = families(60, seed=1)
    expected = by_definition(sets, threshold)
    assert found(matrix(sets, 5000), threshold) == expected
    assert len(expected) > 3


def only_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_join, "EXACT_UP_TO", 100)
    monkeypatch.setattr(set_join, "_MOST_LOOKED_UP", 0)


def test_more_sets_are_searched_exactly_where_rare_elements_stay_rare(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(set_join, "EXACT_UP_TO", 100)
    sets = families(100, seed=3)
    with caplog.at_level(logging.WARNING):
        assert found(matrix(sets, 5000), 0.8) == by_definition(sets, 0.8)
    assert not caplog.text


def test_hashing_finds_nearly_all_and_nothing_else_and_says_how_many(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sets = matrix(families(600, seed=2), 5000)
    exact = found(sets, 0.8)
    only_hashing(monkeypatch)
    with caplog.at_level(logging.WARNING):
        hashed = found(sets, 0.8)
    assert hashed <= exact
    assert len(hashed) >= 0.99 * len(exact) > 300
    n = len(exact)
    assert f"it found {len(hashed)} of the {n} pairs that an exact search finds" in caplog.text


def test_hashing_takes_many_equal_sets_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.sparse.csgraph import connected_components

    only_hashing(monkeypatch)
    n = 500
    pairs = np.hstack(list(similar_sets(matrix([{1, 2, 3}] * n, 5), 0.8)))
    assert pairs.shape[1] < 20 * 64 * n  # so many bands, and so many that follow in one
    graph = csr_array((np.ones(pairs.shape[1]), tuple(pairs)), (n, n))
    assert connected_components(graph, directed=False)[0] == 1


def test_sets_that_share_more_than_a_byte_counts_are_found() -> None:
    elements = set(range(1000))
    sets = [elements, elements - {1, 2, 3}, elements | {1001}, set(range(500, 1100))]
    joined = similar_sets_of(sets)
    assert found(joined, 0.9) == by_definition(sets, 0.9) == {(0, 1), (0, 2), (1, 2)}


def similar_sets_of(sets: list[set[int]]) -> Any:
    """Lay sets out as the rules do: sparse rows of the smallest whole numbers."""
    rows = np.repeat(np.arange(len(sets)), [len(each) for each in sets])
    columns = np.concatenate([sorted(each) for each in sets])
    return sets_of(rows, columns, (len(sets), int(columns.max()) + 1))


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=6), max_size=8)
)
def test_pairs_in_blocks_connect_what_all_at_once_do(blocks: list[list[tuple[int, int]]]) -> None:
    as_arrays = [np.array(each, dtype=int).reshape(-1, 2).T for each in blocks]
    every = np.hstack([np.zeros((2, 0), dtype=int), *as_arrays])
    np.testing.assert_array_equal(connected(as_arrays, 20), components(every, 20))


def test_what_is_connected_already_is_not_asked_again() -> None:
    asked = []

    def belong(pairs: np.ndarray) -> np.ndarray:
        asked.append(pairs.T.tolist())
        return np.array([one != 2 for one, _ in pairs.T.tolist()])

    blocks = [np.array([[4, 2], [5, 3]]), np.array([[5, 0], [4, 4]]), np.array([[0], [5]])]
    assert connected(blocks, 6, belong).tolist() == [0, 1, 2, 3, 0, 0]
    assert asked == [[[4, 5], [2, 3]], [[0, 4]]]


@given(st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=8))
def test_the_second_of_a_kind_is_another_element(rows: list[list[int]]) -> None:
    cells = [(row, value) for row, each in enumerate(rows) for value in each]
    numbers, values = np.array(cells, dtype=int).reshape(-1, 2).T
    sets = _counted(numbers, values, len(rows))
    shared = (sets.astype(int) @ sets.astype(int).T).toarray()
    for one, two in np.ndindex(shared.shape):
        assert shared[one, two] == (Counter(rows[one]) & Counter(rows[two])).total()
