"""Routers expect seconds, policies weigh them or keep to a cap, files without them still open."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from routerlib.features.prompt_columns import PLAIN
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import EpsilonGreedy, Thompson, UpperConfidence
from routerlib.policies.policies import CostWeight
from routerlib.policies.utility import Haste
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.records.call import Call, Score
from routerlib.records.decision import LATENCY_NAMES, Estimates, Latencies
from routerlib.records.prompt import Prompt
from routerlib.routers import artifact
from routerlib.routers.artifact import ArtifactError
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.rules import RuleRouter
from routerlib.routers.usual_latencies import upper_level

WORDS = [f"{first}{last}" for first in ("ba", "ko", "li", "mu", "re", "ta") for last in ("n", "r")]
ROLES = {"cheapest": "quick", "cheap": "quick", "coder": "good", "strongest": "good"}


def prompt_of(n_words: int, rng: np.random.Generator) -> str:
    """Make a prompt that belongs to no family."""
    return " ".join(rng.choice(WORDS) + rng.choice(WORDS) for _ in range(n_words))


SHORT, LONG = (prompt_of(n_words, np.random.default_rng(7)) for n_words in (5, 60))


def world(n_prompts: int, seed: int) -> Outcomes:
    """Make prompts whose long half takes ten times as long, with spread; quick is half as slow."""
    rng = np.random.default_rng(seed)
    is_long = np.arange(n_prompts) % 2 == 1
    prompts = [prompt_of(60 if each else 5, rng) for each in is_long]
    typical_s = np.where(is_long, 10.0, 1.0)[:, None] * np.array([[0.5, 1.0]])
    latency_s = typical_s * rng.lognormal(0, 0.4, (n_prompts, 2))
    quality = (rng.random((n_prompts, 2)) < [[0.5, 0.9]]).astype(float)
    return Outcomes(
        prompts,
        ["quick", "good"],
        quality,
        np.full((n_prompts, 2), 0.001),
        latency_s=latency_s,
        first_token_s=latency_s / 4,
    )


@pytest.fixture(scope="module")
def router() -> LGBMRouter:
    return LGBMRouter(groups=PLAIN).fit(world(200, seed=0))


def test_nine_of_ten_new_calls_stay_under_the_quantile_of_long_and_short_prompts(
    router: LGBMRouter,
) -> None:
    new = world(400, seed=1)
    latency = router.predict(new.prompts).latency
    assert latency is not None
    for first in (0, 1):  # short prompts, long ones
        part = slice(first, None, 2)
        is_under = new.latency_s[part] <= latency.p90_s[part]
        assert 0.84 < is_under.mean() < 0.97  # 400 calls each: 0.9 +- 4 standard errors
        is_begun = new.first_token_s[part] <= latency.first_token_p95_s[part]
        assert 0.90 < is_begun.mean() <= 1
        means = latency.mean_s[part].mean(axis=0)
        assert means == pytest.approx(new.latency_s[part].mean(axis=0), rel=0.25)


def test_a_saved_router_expects_the_same_and_an_old_file_expects_nothing(
    router: LGBMRouter, tmp_path: Path
) -> None:
    router.save(tmp_path / "router.pkl")
    opened = load_router(tmp_path / "router.pkl")
    assert opened.router_hash_ == router.router_hash_
    known, again = (each.predict([SHORT, LONG]).latency for each in (router, opened))
    for left, right in zip(known.arrays, again.arrays, strict=True):
        assert left.tolist() == right.tolist()
    state = router.to_state()
    del state["latencies"], state["learned"]["latency"]
    old = LGBMRouter.from_state(state)
    assert old.predict([SHORT]).latency is None
    assert old.predict([SHORT]).quality.tolist() == router.predict([SHORT]).quality.tolist()
    assert "how long anybody takes is unknown" in old.route(SHORT, haste=Haste(0, 3.0)).reason
    with pytest.raises(ValueError, match="the latency of 'quick' is unknown"):
        old.route(SHORT, haste=Haste(latency_weight=0.1))


@pytest.mark.parametrize(
    ("place", "name", "alter", "message"),
    [
        ("trees", "lines", lambda a: np.where([True, False], np.nan, a), "finite offsets"),
        ("trees", "lines", lambda a: np.where([False, True], np.inf, a), "finite offsets"),
        ("trees", "lines", lambda a: np.where([True, False], 1e9, a), "latency that is negative"),
        ("trees", "outputs", lambda a: a.astype(float), "another candidate or field"),
        ("trees", "outputs", lambda a: a[[0] * len(a)], "another candidate or field"),
        ("trees", "outputs", lambda a: a + 9, "a field that isn't there"),
        ("usual", "seconds", lambda a: -a, "at least 0"),
        ("usual", "seconds", lambda a: a * np.inf, "at least 0"),
        ("usual", "n_calls", lambda a: -a, "numbers of calls"),
        ("usual", "n_calls", lambda a: a / 3, "numbers of calls"),
    ],
)
def test_a_router_file_with_altered_seconds_is_refused(
    router: LGBMRouter,
    tmp_path: Path,
    place: str,
    name: str,
    alter: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    state = router.to_state()
    home = state["learned"]["latency"] if place == "trees" else state["latencies"]
    artifact.save(state, tmp_path / "router.pkl", {})
    load_router(tmp_path / "router.pkl")
    home[name] = pack_array(alter(unpack_array(home[name])))
    artifact.save(state, tmp_path / "router.pkl", {})
    with pytest.raises(ArtifactError, match=message):
        load_router(tmp_path / "router.pkl")


def test_who_was_asked_seldom_takes_what_is_usual_or_is_unknown() -> None:
    known = world(200, seed=0)
    latency_s = np.array(known.latency_s)
    latency_s[30:, 0] = np.nan
    latency_s[10:, 1] = np.nan
    few = LGBMRouter(groups=PLAIN).fit(replace(known, latency_s=latency_s, first_token_s=None))
    latency = few.predict([SHORT, LONG]).latency
    assert latency.mean_s[:, 0] == pytest.approx(latency_s[:30, 0].mean())
    assert np.isnan(latency.mean_s[:, 1]).all()
    assert np.isnan(latency.first_token_s).all()
    decision = few.route(LONG, haste=Haste(0, 1000.0))
    assert decision.reason.endswith("how long good takes is unknown")
    assert "latency_s" not in decision.estimates["good"]


def test_a_cap_leaves_out_who_is_too_slow_for_this_prompt(router: LGBMRouter) -> None:
    free = router.route(LONG, cost_weight=0)
    capped = router.route(LONG, cost_weight=0, haste=Haste(max_latency_s=10.0))
    assert (free.model, capped.model) == ("good", "quick")
    assert "too slow for 10 s: good" in capped.reason
    assert list(capped.estimates) == ["quick"]
    assert set(LATENCY_NAMES) <= set(capped.estimates["quick"])
    assert router.route(SHORT, cost_weight=0, haste=Haste(max_latency_s=10.0)).model == "good"
    nobody = router.route(LONG, haste=Haste(max_latency_s=0.1))
    assert nobody.model == "quick"
    assert "nobody is expected within 0.1 s" in nobody.reason


def test_who_is_kept_to_in_place_of_the_best_single_model_is_not_called_that(
    router: LGBMRouter,
) -> None:
    kept = copy(router)
    kept.stand_at(0.0, fallback="no gain over it could be shown")
    assert kept.route(LONG).reason.startswith("keeps to good: no gain over it")
    decision = kept.route(LONG, among=["quick"])
    assert decision.reason == (
        "keeps to quick, the best single model of those left, as it would to good: "
        "no gain over it could be shown"
    )


def test_a_latency_weight_gives_up_quality_for_seconds(router: LGBMRouter) -> None:
    weighed = Haste(latency_weight=0.2)
    assert router.route(LONG, cost_weight=0, haste=weighed).model == "quick"
    assert router.route(SHORT, cost_weight=0, haste=weighed).model == "good"
    assert "expected to take" in router.route(SHORT, cost_weight=0, haste=weighed).reason
    told = CostWeight(0, weighed).choose(router.predict([SHORT, LONG]))
    assert told.arms.tolist() == [1, 0]


@pytest.mark.parametrize("kind", [EpsilonGreedy, Thompson, UpperConfidence])
def test_chance_keeps_to_a_cap(kind: type) -> None:
    seconds = np.array([[1.0, 2.0, 9.0]])
    estimates = Estimates(
        ("a", "b", "c"),
        np.array([[0.2, 0.4, 0.9]]),
        np.zeros((1, 3)),
        np.full((1, 3), 0.1),
        Latencies(seconds, seconds, seconds, seconds),
    )
    chances = kind(haste=Haste(max_latency_s=3.0)).probabilities(estimates)
    assert chances[0, 2] == 0
    assert (chances[0, :2] > 0).all()
    assert chances.sum() == pytest.approx(1)
    slow = kind(haste=Haste(latency_weight=0.1)).probabilities(estimates)
    assert slow[0].argmax() == 1
    assert (slow > 0).all()


@pytest.mark.parametrize(
    "haste", [Haste(-1), Haste(float("nan")), Haste(0, 0), Haste(0, float("inf"))]
)
def test_haste_is_checked(router: LGBMRouter, haste: Haste) -> None:
    with pytest.raises(ValueError, match=r"(latency_weight|max_latency_s) must be"):
        router.route(SHORT, haste=haste)


def test_other_routers_and_rules_keep_to_what_is_usual() -> None:
    known = world(60, seed=0)
    near = KNNRouter().fit(known)
    assert near.predict([SHORT]).latency.mean_s[0] == pytest.approx(known.latency_s.mean(axis=0))
    rules = RuleRouter(ROLES).fit(known)
    usual_s = np.sort(known.latency_s[:, 0])[int(60 * upper_level(60, 0.9)) - 1]
    assert rules.route(LONG, haste=Haste(max_latency_s=float(usual_s) + 0.01)).model == "quick"


def test_a_log_tells_seconds_of_complete_answers_alone(log: CallLog) -> None:
    prompts = [Prompt.from_text(text) for text in ("one", "two")]
    log.add_prompts(prompts)
    for seconds, extra in ((2.0, {"first_token_s": 0.5}), (4.0, None)):
        call = Call(prompts[0].prompt_id, "m", "h", "ok", "4", latency_s=seconds, extra=extra)
        log.add_call(call, scores=[Score("person", 1.0)])
    log.add_call(Call(prompts[0].prompt_id, "m", "h", "timeout", latency_s=99.0))
    log.add_call(Call(prompts[1].prompt_id, "m", "h", "ok", "4"), scores=[Score("person", 0.0)])
    outcomes = Outcomes.from_log(log)
    assert outcomes.latency_s[0].tolist() == [3.0]
    assert outcomes.first_token_s[0].tolist() == [0.5]
    assert np.isnan(outcomes.latency_s[1]).all()
    assert outcomes.take([0]).latency_s.tolist() == [[3.0]]
    assert outcomes.take([1]).latency_s is None


def test_seconds_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="latency_s must be finite and at least 0 seconds"):
        Outcomes(["a"], ["m"], [[1]], latency_s=[[-1.0]])
