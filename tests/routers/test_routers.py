"""Routers: one contract, sane with little and odd data, the same after saving."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.policies import QualityFloor
from routerlib.records.call import CandidateModel, Price
from routerlib.records.prompt import TASKS
from routerlib.routers import artifact
from routerlib.routers.artifact import FORMAT, ArtifactError, json_path
from routerlib.routers.baselines import BestSingle, RandomRouter, TopicTable
from routerlib.routers.clusters import ClusterTable
from routerlib.routers.factors import LowRankRouter, MFRouter, OneFactorRouter
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter
from routerlib.routers.untuned import UntunedLGBMRouter

ROLES = {"cheapest": "tiny", "cheap": "small", "coder": "small", "strongest": "large"}
NEW = ["What is 31 times 417, item 99?", "Tell me something nice about the sea.", ""]


def make_routers() -> dict[str, Router]:
    return {
        "lightgbm": LGBMRouter(),
        "best_model": LGBMRouter(objective="best_model"),
        "knn": KNNRouter(n_neighbors=7),
        "linear": LinearRouter(),
        "mlp": MLPRouter(),
        "one_factor": OneFactorRouter(),
        "low_rank": LowRankRouter(n_factors=2),
        "mf": MFRouter(),
        "cluster_table": ClusterTable(),
        "lightgbm_untuned": UntunedLGBMRouter(),
        "topic_table": TopicTable(),
        "best_single": BestSingle(),
        "random": RandomRouter(random_state=3),
        "rules": RuleRouter(ROLES),
    }


@pytest.fixture(scope="module")
def fitted(outcomes: Outcomes) -> dict[str, Router]:
    return {name: router.fit(outcomes) for name, router in make_routers().items()}


def changed(outcomes: Outcomes, **parts: object) -> Outcomes:
    known = {
        "prompts": outcomes.prompts,
        "models": outcomes.models,
        "quality": outcomes.quality,
        "cost_usd": outcomes.cost_usd,
        "topics": outcomes.topics,
    }
    return Outcomes(**{**known, **parts})  # type: ignore[arg-type]


LEARNED = [name for name in make_routers() if name not in ("random", "rules")]


@pytest.mark.parametrize("name", LEARNED)
def test_estimates_have_one_row_a_prompt_and_lie_in_range(
    fitted: dict[str, Router], name: str
) -> None:
    estimates = fitted[name].predict(NEW)

    assert estimates.models == ("tiny", "small", "large")
    assert estimates.quality.shape == estimates.cost_usd.shape == (3, 3)
    assert ((estimates.quality >= 0) & (estimates.quality <= 1)).all()
    assert (estimates.cost_usd >= 0).all()
    assert fitted[name].predict([]).quality.shape == (0, 3)


@pytest.mark.parametrize("name", ["random", "rules"])
def test_routers_that_only_choose_estimate_no_quality(fitted: dict[str, Router], name: str) -> None:
    router = fitted[name]
    estimates, decision = router.predict(NEW), router.route(NEW[0], cost_weight=3.0)

    assert estimates.quality.shape == (3, 3)
    assert np.isnan(estimates.quality).all()
    np.testing.assert_array_equal(estimates.cost_usd[0], router.mean_cost_usd_)
    assert math.isnan(decision.expected_quality)
    assert math.isnan(decision.expected_cost_usd)
    assert decision.estimates == {}
    assert decision.cost_weight == 3.0
    assert not router.chooses_by_estimates
    with pytest.raises(ValueError, match="no estimates for a policy"):
        router.route(NEW[0], policy=QualityFloor(1.0))


@pytest.mark.parametrize("name", make_routers())
def test_a_saved_router_estimates_and_decides_exactly_the_same(
    fitted: dict[str, Router], name: str, tmp_path: Path
) -> None:
    router = fitted[name]
    router.save(tmp_path / "router.pkl", {"note": "kept"})
    again = load_router(tmp_path / "router.pkl")

    before, after = router.predict(NEW), again.predict(NEW)
    np.testing.assert_array_equal(before.quality, after.quality)
    np.testing.assert_array_equal(before.cost_usd, after.cost_usd)
    assert again.route(NEW[0]).model == router.route(NEW[0]).model
    assert again.router_hash_ == router.router_hash_
    assert again.train_prompt_ids_ == router.train_prompt_ids_
    assert again.best_single_ == router.best_single_
    described = json.loads(json_path(tmp_path / "router.pkl").read_text())
    assert described["candidates"] == ["tiny", "small", "large"]
    assert described["data_hash"] == router.data_hash_
    assert described["note"] == "kept"


@pytest.mark.parametrize("name", make_routers())
def test_the_same_seed_gives_the_same_file(outcomes: Outcomes, name: str, tmp_path: Path) -> None:
    for each in ("a.pkl", "b.pkl"):
        make_routers()[name].fit(outcomes).save(tmp_path / each)

    assert (tmp_path / "a.pkl").read_bytes() == (tmp_path / "b.pkl").read_bytes()


def test_a_router_saved_after_loading_gives_the_same_file(
    fitted: dict[str, Router], tmp_path: Path
) -> None:
    fitted["lightgbm"].save(tmp_path / "a.pkl")
    load_router(tmp_path / "a.pkl").save(tmp_path / "b.pkl")

    assert (tmp_path / "a.pkl").read_bytes() == (tmp_path / "b.pkl").read_bytes()


def test_it_learns_which_prompts_need_the_large_model(fitted: dict[str, Router]) -> None:
    math_prompt, chat_prompt, _ = fitted["lightgbm"].predict(NEW).quality

    assert math_prompt[0] < 0.4 < chat_prompt[0]
    assert math_prompt[2] > 0.6


def test_expected_costs_have_the_right_mean(outcomes: Outcomes) -> None:
    rng = np.random.default_rng(1)
    noisy = changed(outcomes, cost_usd=outcomes.cost_usd * rng.lognormal(0, 1, (60, 3)))

    expected = LGBMRouter().fit(noisy).predict(noisy.prompts).cost_usd

    # The logarithm of this noise has mean 0, its exponential has mean 1.65.
    np.testing.assert_allclose(expected.mean(axis=0), noisy.mean_cost_usd, rtol=0.25)


def test_permuted_labels_give_no_gain(outcomes: Outcomes) -> None:
    world = make_world(n_prompts=240, n_models=2, seed=5, kind="skill").outcomes
    train, test = world.take(range(160)), world.take(range(160, 240))
    order = np.random.default_rng(0).permutation(160)
    permuted = changed(train, quality=train.quality[order], topics=None)

    learnt = LGBMRouter().fit(train).predict(test.prompts).quality
    blind = LGBMRouter().fit(permuted).predict(test.prompts).quality

    assert learnt.std(axis=0).min() > 3 * blind.std(axis=0).max()


def test_a_known_topic_shifts_the_estimate_towards_the_topic(outcomes: Outcomes) -> None:
    hidden = changed(outcomes, prompts=[f"item number {i}" for i in range(60)])
    router = LGBMRouter().fit(hidden)

    without = router.predict(["item number 70"]).quality[0, 0]
    math_topic = router.predict(["item number 70"], topics=["math"]).quality[0, 0]
    unknown_topic = router.predict(["item number 70"], topics=["poetry"]).quality[0, 0]

    assert math_topic < without - 0.1
    assert unknown_topic == without


@pytest.mark.parametrize("n_prompts", [1, 2, 3, 25])
def test_few_prompts_give_estimates_near_the_mean(outcomes: Outcomes, n_prompts: int) -> None:
    few = outcomes.take(range(n_prompts))
    quality = LGBMRouter().fit(few).predict(NEW).quality

    assert np.isfinite(quality).all()
    assert ((quality > 0) & (quality < 1)).all()


def test_missing_cells_and_rare_candidates_are_fine(outcomes: Outcomes) -> None:
    quality, cost_usd = outcomes.quality.copy(), outcomes.cost_usd.copy()
    quality[10:, 1] = np.nan
    quality[::3, 2] = np.nan
    cost_usd[:50, 0] = np.nan

    estimates = LGBMRouter().fit(changed(outcomes, quality=quality, cost_usd=cost_usd)).predict(NEW)

    assert np.isfinite(estimates.quality).all()
    # Ten labels say how good it is on average; which prompts are hard, the others know.
    assert estimates.quality[0, 1] < estimates.quality[1, 1]
    np.testing.assert_allclose(estimates.cost_usd[:, 0], 0.0001)


@pytest.mark.parametrize("label", [0.0, 1.0, 0.5])
def test_one_label_only_is_fine(outcomes: Outcomes, label: float) -> None:
    same = changed(outcomes, quality=np.full((60, 3), label))
    quality = LGBMRouter().fit(same).predict(NEW).quality

    np.testing.assert_allclose(quality, label, atol=0.05)


def test_duplicate_prompts_are_fine(outcomes: Outcomes) -> None:
    one = changed(outcomes, prompts=["the same"] * 60)
    quality = LGBMRouter().fit(one).predict(["the same"]).quality[0]

    np.testing.assert_allclose(quality, one.mean_quality, atol=0.05)


@pytest.mark.parametrize("name", [name for name in LEARNED if name != "best_model"])
def test_unknown_costs_stay_unknown(outcomes: Outcomes, name: str) -> None:
    router = make_routers()[name].fit(changed(outcomes, cost_usd=None))

    assert np.isnan(router.predict(NEW).cost_usd).all()
    assert math.isnan(router.route(NEW[0]).expected_cost_usd)
    with pytest.raises(ValueError, match="the cost of 'tiny' is unknown"):
        router.route(NEW[0], cost_weight=10)


def test_free_candidates_cost_nothing(outcomes: Outcomes) -> None:
    free = changed(outcomes, cost_usd=np.zeros((60, 3)))

    np.testing.assert_array_equal(LGBMRouter().fit(free).predict(NEW).cost_usd, 0)


def test_a_candidate_never_observed_is_refused_by_name(outcomes: Outcomes) -> None:
    quality = outcomes.quality.copy()
    quality[:, 1] = np.nan
    with pytest.raises(ValueError, match="candidate 'small' has no observed quality"):
        LGBMRouter().fit(changed(outcomes, quality=quality))


def test_no_prompts_are_refused(outcomes: Outcomes) -> None:
    with pytest.raises(ValueError, match="at least one prompt"):
        LGBMRouter().fit(outcomes.take(np.zeros(0, dtype=int)))


def test_an_unfitted_router_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="isn't fitted"):
        LGBMRouter().predict(["x"])
    with pytest.raises(ValueError, match="isn't fitted"):
        KNNRouter().save(tmp_path / "router.pkl")


def test_boosters_see_the_named_features(fitted: dict[str, Router]) -> None:
    router = fitted["lightgbm"]
    assert isinstance(router, LGBMRouter)
    columns = router.features(NEW)

    raw = router.contributions(columns, "small").sum(axis=1)
    trees = router.booster("small").predict(columns, pred_contrib=True)

    assert columns.shape == (3, len(router.feature_names_))
    assert "words_quality_small" in router.feature_names_
    np.testing.assert_allclose(
        router.quality_scale("small").quality(raw), router.predict(NEW).quality[:, 1]
    )
    assert trees.shape == (3, len(router.feature_names_) + 1)
    cost = router.booster("large", target="cost").predict(columns, raw_score=True)
    np.testing.assert_allclose(np.exp(cost), 0.001)
    cost = router.contributions(columns, "large", target="cost").sum(axis=1)
    np.testing.assert_allclose(np.exp(cost), router.predict(NEW).cost_usd[:, 2])


def test_boosters_that_do_not_exist_are_refused(fitted: dict[str, Router]) -> None:
    router, classic = fitted["lightgbm"], fitted["best_model"]
    assert isinstance(router, LGBMRouter)
    assert isinstance(classic, LGBMRouter)
    with pytest.raises(ValueError, match="model must be one of tiny, small, large, got 'huge'"):
        router.booster("huge")
    with pytest.raises(ValueError, match="one booster for all candidates"):
        classic.booster("tiny")


def test_best_model_probabilities_sum_to_one(fitted: dict[str, Router]) -> None:
    np.testing.assert_allclose(fitted["best_model"].predict(NEW).quality.sum(axis=1), 1)


def test_a_decision_tells_why(fitted: dict[str, Router]) -> None:
    router = fitted["lightgbm"]
    best = router.route(NEW[0])
    cheap = router.route(NEW[1], cost_weight=1000)

    assert best.model == "large"
    assert best.reason.startswith("highest expected quality, 0.")
    assert cheap.model == "tiny"
    assert "against 0." in cheap.reason
    assert cheap.reason.endswith("at 10 % of its cost")
    assert set(best.estimates) == {"tiny", "small", "large"}
    assert best.estimates["large"]["quality"] == best.expected_quality
    assert (best.propensity, best.cost_weight, cheap.cost_weight) == (1.0, 0.0, 1000)


def test_a_policy_can_decide_instead(fitted: dict[str, Router]) -> None:
    router = fitted["lightgbm"]

    assert router.route(NEW[0], policy=QualityFloor(1.0)).model == "tiny"
    with pytest.raises(ValueError, match="cost_weight or policy, not both"):
        router.route(NEW[0], cost_weight=1, policy=QualityFloor(1.0))


def test_a_fallback_keeps_to_the_best_single_until_asked_otherwise(
    router_state: dict[str, Any],
) -> None:
    router = LGBMRouter.from_state(router_state).stand_at(0.0, fallback="no gain was seen")

    assert router.route(NEW[1]).model == router.best_single_
    assert router.route(NEW[1]).reason == f"keeps to {router.best_single_}: no gain was seen"
    assert not router.chooses_by_estimates
    assert router.route(NEW[1], cost_weight=1000).model == "tiny"


def test_chance_has_equal_propensities_and_repeats(fitted: dict[str, Router]) -> None:
    router = fitted["random"]
    chosen = [router.route(f"prompt {i}").model for i in range(300)]

    assert router.route("x").propensity == pytest.approx(1 / 3)
    assert chosen == [router.route(f"prompt {i}").model for i in range(300)]
    assert min(chosen.count(model) for model in router.models_) > 70


@pytest.mark.parametrize(
    ("prompt", "task", "model", "reason"),
    [
        ("Summarize: ...", None, "small", "rule: summarize goes to the cheap model"),
        ("What is 3 * 4?", None, "large", "rule: math goes to the strongest model"),
        ("Hi!", None, "tiny", "rule: short chat goes to the cheapest model"),
        ("Hi! " + "la " * 200, None, "small", "rule: long chat goes to the cheap model"),
        ("Hi!", "code", "small", "rule: code goes to the coder model"),
        ("The capital of Peru", None, "small", "rule: short other goes to the cheap model"),
        ("Hi!", "not a task", "tiny", "rule: short chat goes to the cheapest model"),
    ],
)
def test_rules_choose_by_task_and_length(
    prompt: str, task: str | None, model: str, reason: str
) -> None:
    decision = RuleRouter(ROLES).route(prompt, task=task)

    assert (decision.model, decision.reason) == (model, reason)
    assert math.isnan(decision.expected_quality)
    assert decision.propensity == 1


@pytest.mark.parametrize("task", TASKS)
def test_there_is_a_rule_for_every_task(task: str) -> None:
    assert RuleRouter(ROLES).route("x", task=task).model in ROLES.values()


def test_rules_take_roles_from_candidates_and_prices_fill_the_gaps() -> None:
    def candidate(name: str, usd: float, roles: tuple[str, ...] = ()) -> CandidateModel:
        return CandidateModel(name, name, "custom", None, None, Price(usd, usd), roles=roles)

    pool = [candidate("big", 3), candidate("mini", 1), candidate("qwen-coder", 2)]
    assert RuleRouter.from_candidates(pool).roles == {
        "cheapest": "mini",
        "cheap": "qwen-coder",
        "coder": "qwen-coder",
        "strongest": "big",
    }
    written = [candidate("big", 3), candidate("mini", 1, roles=("strongest",))]
    assert RuleRouter.from_candidates(written).roles["strongest"] == "mini"
    with pytest.raises(ValueError, match="at least one candidate"):
        RuleRouter.from_candidates([])
    with pytest.raises(ValueError, match="a candidate for each of cheapest, cheap"):
        RuleRouter({"cheap": "mini"})


def test_rules_refuse_outcomes_without_their_candidates(outcomes: Outcomes) -> None:
    with pytest.raises(ValueError, match="roles name 'huge'"):
        RuleRouter({**ROLES, "strongest": "huge"}).fit(outcomes)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"kind": "oracle"}, "router of kind 'oracle'"),
        ({"kind": {}}, "router of kind"),
        ({"kind": "knn"}, "damaged or of another"),
    ],
)
def test_a_router_file_of_another_kind_or_version_is_one_clear_error(
    tmp_path: Path, state: dict, message: str
) -> None:
    content = {"magic": "routerlib router", "format": FORMAT, "state": state}
    (tmp_path / "router.pkl").write_bytes(artifact.packed(content))
    with pytest.raises(ArtifactError, match=message):
        load_router(tmp_path / "router.pkl")


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="objective must be 'quality' or 'best_model'"):
        LGBMRouter(objective="cost")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_neighbors must be at least 1, got 0"):
        KNNRouter(n_neighbors=0)
    with pytest.raises(ValueError, match="n_factors must be at least 1, got 0"):
        LowRankRouter(n_factors=0)
    with pytest.raises(ValueError, match="n_clusters must be None or at least 1, got 0"):
        ClusterTable(n_clusters=0)


def test_topics_need_one_label_a_prompt(fitted: dict[str, Router]) -> None:
    with pytest.raises(ValueError, match=r"one entry per prompt \(2\), got 1"):
        fitted["knn"].predict(["a", "b"], topics=["math"])
