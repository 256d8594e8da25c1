"""Nearest vectors are found without looking at all, and a router file says how."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.features.learners import neighbours as module
from routerlib.features.learners.index import ListIndex
from routerlib.features.learners.neighbours import Neighbours
from routerlib.weights.embedding import unit_rows

RNG = np.random.default_rng(0)
# 40 subjects, and prompts around each.
VECTORS = np.repeat(RNG.standard_normal((40, 16)), 100, axis=0) + RNG.standard_normal((4000, 16))
TARGETS = (VECTORS[:, :2] > 0).astype(float)


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> Neighbours:
    monkeypatch.setattr(module, "MOST_LOOKED_AT", 1000)
    return Neighbours.fit(VECTORS, TARGETS, n_neighbors=20)


@pytest.fixture
def exact() -> Neighbours:
    return Neighbours.fit(VECTORS, TARGETS, n_neighbors=20)


def test_few_vectors_are_all_looked_at(exact: Neighbours) -> None:
    assert exact.index is None
    assert "index" not in exact.to_state()


def test_the_index_finds_what_looking_at_all_finds(indexed: Neighbours, exact: Neighbours) -> None:
    asked = VECTORS[::40] + 0.1
    found, known = indexed.nearest(asked, 20), exact.nearest(asked, 20)
    shares = [np.isin(*pair).mean() for pair in zip(found.rows, known.rows, strict=True)]
    assert np.mean(shares) > 0.95
    assert (np.diff(found.similarities, axis=1) <= 0).all()
    np.testing.assert_allclose(indexed.predict(asked), exact.predict(asked), atol=0.05)
    assert indexed.nearest(asked, 3000).rows.shape == (100, 3000)
    assert indexed.nearest(asked[:0], 3).rows.shape == (0, 3)


def test_no_prompt_is_estimated_from_its_own_fold(indexed: Neighbours, exact: Neighbours) -> None:
    folds = np.arange(4000) // 100 % 5
    found, known = indexed.begin_out_of_fold(folds)(), exact.begin_out_of_fold(folds)()
    assert np.abs(found - known).mean() < 0.02
    # A subject has one fold, so its own answers, turned over, change nothing of its estimates.
    turned = TARGETS.copy()
    turned[folds == 0] = 1 - turned[folds == 0]
    other = Neighbours(indexed.vectors, turned, 20, 0.1, indexed.index)
    other._means = indexed._means
    np.testing.assert_array_equal(other.begin_out_of_fold(folds)()[folds == 0], found[folds == 0])


def test_lists_are_the_same_at_every_call_and_in_a_file(indexed: Neighbours) -> None:
    again = ListIndex.fit(unit_rows(VECTORS).astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(again.lists, indexed.index.lists)
    opened = Neighbours.from_state(indexed.to_state())
    asked = VECTORS[::7]
    np.testing.assert_array_equal(opened.predict(asked), indexed.predict(asked))


def test_altered_lists_are_refused(indexed: Neighbours) -> None:
    state = indexed.to_state()
    lists = indexed.index.lists.copy()
    lists[0] = len(indexed.index.centres)
    for altered in (lists, lists[1:], lists - lists.max() - 1):
        state["index"] = ListIndex(
            indexed.index.centres, indexed.index.lists, indexed._unit
        ).to_state() | {"lists": module.pack_array(altered)}
        with pytest.raises(ValueError, match="lists of vectors name"):
            Neighbours.from_state(state)
