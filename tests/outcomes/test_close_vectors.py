"""Pairs of vectors that point nearly the same way are found, all of them and no others."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from routerlib.outcomes import close_vectors
from routerlib.outcomes.close_vectors import close_pairs
from routerlib.weights.embedding import unit_rows


@pytest.mark.parametrize("n_dimensions", [3, 20, 256])
def test_pairs_are_those_of_the_definition(n_dimensions: int) -> None:
    rng = np.random.default_rng(n_dimensions)
    families = np.repeat(rng.standard_normal((600, n_dimensions)), 4, axis=0)
    apart = rng.uniform(0, 0.5, (len(families), 1))
    unit = unit_rows(families + apart * rng.standard_normal(families.shape)).astype(np.float32)
    unit[7] = 0  # a text without a word that is known
    cosines = unit.astype(float) @ unit.T.astype(float)
    found = np.hstack(list(close_pairs(unit, 0.95)))
    pairs = set(map(tuple, found.T.tolist()))
    assert len(pairs) == found.shape[1]
    # Single precision can't tell what is nearer to the threshold than this.
    surely, perhaps = (np.argwhere(np.triu(cosines >= 0.95 + by, 1)) for by in (1e-6, -1e-6))
    assert set(map(tuple, surely.tolist())) <= pairs <= set(map(tuple, perhaps.tolist()))
    assert len(surely) > 300


def test_no_vectors_and_one_are_no_pair() -> None:
    for n_rows in (0, 1):
        assert list(close_pairs(np.ones((n_rows, 4), np.float32), 0.9)) == []


def test_among_many_vectors_nearly_all_pairs_are_found_and_how_many_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    families = np.repeat(rng.standard_normal((1500, 40)), 2, axis=0)
    families += rng.uniform(0, 0.4, (3000, 1)) * rng.standard_normal((3000, 40))
    unit = unit_rows(families).astype(np.float32)
    exact = set(map(tuple, np.hstack(list(close_pairs(unit, 0.95))).T.tolist()))
    monkeypatch.setattr(close_vectors, "EXACT_UP_TO", 1000)
    monkeypatch.setattr(close_vectors, "_ROWS_PER_CENTRE", 50)
    monkeypatch.setattr(close_vectors, "_N_MEASURED", 3000)
    with caplog.at_level(logging.WARNING):
        found = set(map(tuple, np.hstack(list(close_pairs(unit, 0.95))).T.tolist()))
    assert found <= exact
    assert len(found) >= 0.95 * len(exact) > 300
    told = re.search(r"found (\d+) of the (\d+) pairs", caplog.text)
    assert told is not None
    # A pair is counted once for each of its two rows.
    assert [int(number) for number in told.groups()] == [2 * len(found), 2 * len(exact)]
