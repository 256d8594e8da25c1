"""From which ratio of prices on looking first pays is worked out on the same answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from routerlib.evaluation.price_ratios import price_ratios, ratios_of_cascade
from routerlib.outcomes.worlds import make_answer_world
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.rivals import KNNRouter

N = 400
CHEAP = np.arange(N) % 2.0  # right every other time
DEAR = np.ones(N)


def test_by_hand_a_perfect_look_gains_what_geometry_says() -> None:
    found = price_ratios(CHEAP, DEAR, np.zeros(N), 1 - CHEAP, np.arange(N), n_bootstrap=20)
    # Of a cost x in [0, 1], the share x(1 - 1/r) is asked again; half of all prompts gain one.
    costs = np.linspace(0, 1, 21)
    for ratio, gain in zip(found.ratios, found.cascade, strict=True):
        by_hand = np.minimum(costs * (1 - 1 / ratio), 0.5) - 0.5 * costs
        assert gain == pytest.approx(by_hand.mean())
    assert found.router == pytest.approx(0.0)  # all alike: it mixes


def test_a_look_that_tells_nothing_loses_at_every_ratio_and_less_the_dearer_the_other() -> None:
    found = price_ratios(CHEAP, DEAR, np.zeros(N), np.zeros(N), np.arange(N), n_bootstrap=20)
    assert (found.cascade < 0).all()
    assert (np.diff(found.cascade) > 0).all()
    assert np.isnan(found.breaks_even_at)
    assert np.isnan(found.is_shown_from)


def test_where_it_breaks_even_lies_before_where_that_is_shown() -> None:
    rng = np.random.default_rng(0)
    noisy = (1 - CHEAP) + rng.normal(0, 1.0, N)
    found = price_ratios(CHEAP, DEAR, np.zeros(N), noisy, np.arange(N))
    assert 1.2 < found.breaks_even_at < found.is_shown_from < 60
    at = np.searchsorted(found.ratios, found.breaks_even_at)
    assert found.cascade[at] > found.router[at]
    assert found.cascade[at - 1] <= found.router[at - 1]


def test_prompts_of_a_group_are_drawn_together() -> None:
    rng = np.random.default_rng(1)
    after = (1 - CHEAP) + rng.normal(0, 1.0, N)
    alone = price_ratios(CHEAP, DEAR, np.zeros(N), after, np.arange(N))
    together = price_ratios(CHEAP, DEAR, np.zeros(N), after, np.arange(N) // 40)
    widths = [float((each.high - each.low)[-1]) for each in (alone, together)]
    assert widths[0] != widths[1]


def test_a_cascade_is_followed_on_held_out_prompts_at_every_ratio() -> None:
    train, test = make_answer_world(n_prompts=260, seed=1).outcomes.split(random_state=0)
    cascade = Cascade(KNNRouter().fit(train)).fit(train)
    pair = ratios_of_cascade(cascade, test, n_bootstrap=50)
    assert pair is not None
    assert (pair.cheap, pair.dear, pair.own) == (*test.models, pytest.approx(20))
    # Wrong answers show that they are wrong: it pays, but not where both cost nearly the same.
    assert 1.2 < pair.found.breaks_even_at <= pair.found.is_shown_from < 20
    unpriced = replace(test, cost_usd=np.full(test.cost_usd.shape, np.nan))
    assert ratios_of_cascade(cascade, unpriced) is None
    silent = replace(test, answers=[[None, row[1]] for row in test.answers])
    assert ratios_of_cascade(cascade, silent) is None
