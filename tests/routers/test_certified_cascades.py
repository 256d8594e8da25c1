"""A certificate of a cascade is about its calls and its answers, and counts what isn't known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_answer_world
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.certification import Chosen, Observed, Trial, Way, try_in_order
from routerlib.routers.training.certified_cascades import way_of
from routerlib.routers.training.train import at_certified_point

EPSILON, DELTA = 0.05, 0.1


@pytest.fixture(scope="module")
def parts() -> tuple[Outcomes, Outcomes]:
    """Return train and test of a world in which every wrong answer shows that it is wrong."""
    return make_answer_world(n_prompts=900, seed=3).outcomes.split(random_state=0)


@pytest.fixture(scope="module")
def certified(parts: tuple[Outcomes, Outcomes]) -> Cascade:
    return at_certified_point(Cascade(KNNRouter()), parts[0], epsilon=EPSILON, delta=DELTA)


def test_a_cascade_is_certified_by_its_own_choices(
    certified: Cascade, parts: tuple[Outcomes, Outcomes]
) -> None:
    train, test = parts
    assert certified.training_["cost_weight_is"] == "certified"
    assert f"the cascade is at most {100 * EPSILON:g} points" in certified.training_["certificate"]
    assert certified.training_["certificate"].endswith("all calls paid.")
    assert set(certified.train_prompt_ids_) == set(train.prompt_ids)
    replay, best = certified.replay(test), test.models.index(certified.best_single_)
    assert replay.n_calls.max() > 1
    assert replay.quality.mean() > test.quality.mean(axis=0).max() - EPSILON
    assert replay.cost_usd.mean() < test.cost_usd[:, best].mean()


def test_a_file_keeps_the_promise(certified: Cascade, tmp_path: Path) -> None:
    certified.save(tmp_path / "router.pkl")
    loaded = load_router(tmp_path / "router.pkl")
    assert loaded.training_["certificate"] == certified.training_["certificate"]
    assert loaded.cost_weight_ == certified.cost_weight_


def test_answers_that_were_not_kept_count_at_their_worst(
    certified: Cascade, parts: tuple[Outcomes, Outcomes]
) -> None:
    test = parts[1]
    whole = way_of(certified, test).choose(certified.cost_weight_)
    first = replace(test, answers=[[None, row[1]] for row in test.answers])
    missing = way_of(certified, first).choose(certified.cost_weight_)
    assert whole.is_told.all()
    assert not missing.is_told[missing.asked[:, 0]].any()


def tried(given: list[int], asked: list[list[bool]], is_told: bool = True) -> Trial:
    """Try a way of choosing between a cheap model and a best one, the same on 400 prompts."""
    n = 400
    chosen = Chosen(np.tile(given, n // 2), np.tile(asked, (n // 2, 1)), np.full(n, is_told))
    quality, cost_usd = np.ones((n, 2)), np.tile([1.0, 1.2], (n, 1))
    (trial,) = try_in_order(
        Way(lambda _: chosen, 2, "cascade"),
        Observed(quality, cost_usd, np.arange(n), best=1),
        epsilon=EPSILON,
        delta=DELTA,
        cost_weights=[1.0],
    )
    return trial


def test_every_call_is_paid() -> None:
    once = tried([0, 0], [[True, False], [True, False]])
    twice = tried([0, 1], [[True, False], [True, True]])
    assert once.is_accepted
    assert once.cost_usd == pytest.approx(1.0)
    assert not twice.is_accepted
    assert twice.cost_usd == pytest.approx(1.6)


def test_what_cannot_be_told_proves_nothing() -> None:
    assert not tried([0, 0], [[True, False], [True, False]], is_told=False).is_accepted


def test_a_cascade_that_shows_no_gain_is_certified_as_its_router() -> None:
    train = make_answer_world(n_prompts=200, seed=2, tell=0.0).outcomes
    how = {"epsilon": EPSILON, "delta": DELTA}
    cascade = at_certified_point(Cascade(KNNRouter()), train, **how)
    router = at_certified_point(KNNRouter(), train, **how)
    assert cascade.boldness_.share == 0
    assert cascade.training_["p_value"] == pytest.approx(router.training_["p_value"])
    assert (cascade.cost_weight_, cascade.fallback_) == (router.cost_weight_, router.fallback_)
