"""Explanations add up to the estimates and say in words what decided."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from routerlib.features.names import (
    ANY_PROMPT,
    KNOWN_TASK,
    SIMILAR,
    TOPIC,
    WHOLE,
    WORDS,
    readable_name,
)
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.policies import CostWeight
from routerlib.routers.explanation.explain import SCALES, explain, explain_all
from routerlib.routers.explanation.margin import explain_margin
from routerlib.routers.explanation.similar import similar_prompts
from routerlib.routers.explanation.why import why
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.rivals import KNNRouter


@pytest.fixture(scope="module")
def world():
    return make_world(n_prompts=240, n_models=3, seed=2, kind="price").outcomes.split()


@pytest.fixture(scope="module")
def router(world):
    train, _ = world
    fitted = LGBMRouter(random_state=0).fit(train)
    fitted.stand_at(0.2 / train.mean_cost_usd.max())
    return fitted


@pytest.mark.parametrize("target", ["quality", "cost"])
@pytest.mark.parametrize("model", ["m0", "m2"])
def test_contributions_and_base_add_up_to_the_raw_estimate(router, world, model, target):
    prompts = world[1].prompts[:20]
    explanation = explain(router, prompts, model=model, target=target)
    added = explanation.values.sum(axis=1) + explanation.base_values
    estimates, column = router.predict(prompts), router.models_.index(model)
    if target == "quality":
        expected = router.quality_scale(model).quality(added)
        np.testing.assert_allclose(expected, estimates.quality[:, column], atol=1e-9)
    else:
        np.testing.assert_allclose(np.exp(added), estimates.cost_usd[:, column], rtol=1e-9)
    assert explanation.output_names == SCALES[target]


def test_features_are_readable_and_folded(router, world):
    explanation = explain(router, world[1].prompts[:5], model="m1")
    names = explanation.feature_names
    assert len(names) == len(set(names)) == explanation.values.shape[1]
    assert {WORDS, SIMILAR, TOPIC, "length in characters", "task: math"} <= set(names)
    assert not [name for name in names if "_" in name]


def test_the_original_feature_values_are_shown(router, world):
    prompts = world[1].prompts[:5]
    explanation = explain(router, prompts, model="m1")
    length = explanation.data[:, explanation.feature_names.index("length in characters")]
    assert length.tolist() == [len(prompt) for prompt in prompts]
    assert np.isnan(explanation.data[:, explanation.feature_names.index(WHOLE)]).all()
    column = router.feature_names_.index("neighbours_quality_m1")
    np.testing.assert_array_equal(
        explanation.data[:, explanation.feature_names.index(SIMILAR)],
        router.features(prompts)[:, column],
    )


def test_the_best_single_model_is_explained_by_default(router, world):
    prompts = world[1].prompts[:3]
    explanation, same = explain(router, prompts), explain(router, prompts, model="m2")
    np.testing.assert_array_equal(explanation.values, same.values)


def test_all_candidates_are_explained_as_each_is(router, world):
    prompts = world[1].prompts[:3]
    together = explain_all(router, prompts)
    assert list(together) == list(router.models_)
    for model, explanation in together.items():
        alone = explain(router, prompts, model=model)
        np.testing.assert_array_equal(explanation.values, alone.values)
        assert explanation.feature_names == alone.feature_names


def test_margin_contributions_add_up_to_the_estimated_difference(router, world):
    for prompt in world[1].prompts[:10]:
        margin = explain_margin(router, prompt, "m2", "m0", cost_weight=500)
        estimates = router.predict([prompt])
        difference = estimates.quality[0, 2] - estimates.quality[0, 0]
        cost = estimates.cost_usd[0, 2] - estimates.cost_usd[0, 0]
        assert margin.quality_margin == pytest.approx(difference, abs=1e-12)
        assert sum(margin.contributions.values()) == pytest.approx(difference, abs=1e-9)
        assert margin.cost_part == pytest.approx(-500 * cost)
        assert margin.utility_margin == pytest.approx(difference - 500 * cost)
        assert ANY_PROMPT in margin.contributions


def test_a_known_task_is_part_of_the_margin(router, world):
    _, test = world
    prompt, task = test.prompts[0], test.topics[0]
    margin = explain_margin(router, prompt, "m2", "m0", task=task)
    estimates = router.predict([prompt], [task])
    difference = estimates.quality[0, 2] - estimates.quality[0, 0]
    assert sum(margin.contributions.values()) == pytest.approx(difference, abs=1e-9)
    assert KNOWN_TASK in margin.contributions


def test_the_choice_between_the_two_flips_at_the_flip_point(router, world):
    n_flips = 0
    for prompt in world[1].prompts[:10]:
        flip = explain_margin(router, prompt, "m2", "m0").flip_cost_weight
        if flip is None:
            continue
        n_flips += 1
        under, over = (
            explain_margin(router, prompt, "m2", "m0", cost_weight=flip * factor).utility_margin
            for factor in (0.99, 1.01)
        )
        assert under * over < 0
    assert n_flips > 0


def test_the_two_change_places_when_one_costs_so_many_times_as_much(router, world):
    n_flips = 0
    for prompt in world[1].prompts[:10]:
        margin = explain_margin(router, prompt, "m2", "m0", cost_weight=300)
        estimates = router.predict([prompt])
        for model, factor in margin.flip_price_factors.items():
            cost = dict(zip(router.models_, estimates.cost_usd[0], strict=True))
            cost[model] *= factor
            at = margin.quality_margin - 300 * (cost["m2"] - cost["m0"])
            assert at == pytest.approx(0, abs=1e-9)
            n_flips += 1
        assert all(factor > 0 for factor in margin.flip_price_factors.values())
    assert n_flips > 0
    assert explain_margin(router, prompt, "m2", "m0", cost_weight=0).flip_price_factors == {}


def test_the_choice_among_all_changes_where_it_says_and_not_before(router, world):
    n_changes = 0
    for prompt in world[1].prompts[:20]:
        margin = explain_margin(router, prompt)
        for weight, model in margin.changes:
            rises = weight > margin.cost_weight
            before, beyond = (weight * (1 + (step if rises else -step)) for step in (-1e-6, 1e-6))
            assert router.route(prompt, cost_weight=before).model == margin.chosen
            assert router.route(prompt, policy=CostWeight(beyond)).model == model
            n_changes += 1
    assert n_changes > 0


@pytest.mark.parametrize(
    ("quality_margin", "cost_part", "decided"),
    [
        (0.2, -0.1, "quality"),
        (-0.1, 0.2, "cost"),
        (0.1, 0.1, "both"),
        (0.1, -0.2, "cost"),
        (-0.2, -0.1, "both"),
        (0.0, 0.1, "cost"),
        (0.0, 0.0, "neither"),
    ],
)
def test_what_decides_is_the_part_that_speaks_for_who_is_ahead(
    router, world, quality_margin, cost_part, decided
):
    margin = explain_margin(router, world[1].prompts[0], "m2", "m0", cost_weight=1)
    changed = replace(margin, quality_margin=quality_margin, cost_margin_usd=-cost_part)
    assert changed.decided_by == decided


def test_a_margin_is_data_too(router, world):
    margin = explain_margin(router, world[1].prompts[0], "m2", "m0", cost_weight=100)
    known = json.loads(json.dumps(margin.as_dict(), allow_nan=False))
    assert sum(known["contributions"].values()) == pytest.approx(known["quality_margin"])
    assert known["quality_margin"] + known["cost_part"] == pytest.approx(known["utility_margin"])
    assert known["decided_by"] in ("quality", "cost", "both", "neither")
    assert known["values"]["the prompt as a whole"] is None


def test_what_learners_add_is_led_back_to_words_counts_topic_and_neighbours(router, world):
    prompts = world[1].prompts[:8]
    reasons = router.reasons(prompts)
    raw = router.contributions_all(router.features(prompts))
    np.testing.assert_allclose(
        reasons.values.sum(axis=2) + reasons.base, raw.sum(axis=2), atol=1e-12
    )
    assert {WORDS, SIMILAR, TOPIC} <= set(reasons.names)
    size = np.abs(reasons.values).sum(axis=(0, 1))
    # What can't be put down to something readable is little of it, and no reason has a code name.
    assert size[reasons.names.index(WHOLE)] < 0.1 * size.sum()
    assert not [name for name in reasons.names if "network" in name or "_" in name]


def test_words_and_similar_prompts_add_up_to_their_part(router, world):
    for prompt in world[1].prompts[:8]:
        margin = explain_margin(router, prompt, "m2", "m0")
        assert sum(margin.words.values()) == pytest.approx(margin.contributions[WORDS], abs=1e-9)
        assert sum(margin.similar.values()) == pytest.approx(
            margin.contributions[SIMILAR], abs=1e-9
        )
        assert set(margin.words) <= set(re.findall(r"\w+|[^\w\s]", prompt.lower())) | {"(blank)"}
        assert set(margin.similar) <= set(world[0].prompt_ids)
        assert margin.topic in world[0].topics
        assert sizes(margin.words) == sorted(sizes(margin.words), reverse=True)


def sizes(parts):
    return [abs(part) for part in parts.values()]


def test_the_word_that_decides_is_named():
    """Candidates differ on one word alone, so it is the reason, and none of the others."""
    things = ["boats", "trees", "roads", "clouds", "lamps", "rivers", "stones", "birds"]
    prompts = [
        f"Tell me {number} {kind} about {thing}"
        for number in ("two", "three", "four", "five", "six", "seven")
        for thing in things
        for kind in ("facts", "theorems")
    ]
    quality = [[1.0, 0.9 - 0.9 * ("theorems" in prompt)] for prompt in prompts]
    groups = [str(row // 2) for row in range(len(prompts))]
    outcomes = Outcomes(prompts, ["large", "small"], quality, group_ids=groups)
    router = LGBMRouter(random_state=0).fit(outcomes)
    margin = explain_margin(router, "Tell me nine theorems about dogs", "large", "small")
    assert next(iter(margin.words)) == "theorems"
    assert margin.words["theorems"] > 0.5 * sum(sizes(margin.words))
    assert 'its words ("theorems"' in margin.sentence


def test_known_topics_are_named_and_clusters_are_led_back_to_words(world):
    train, test = world
    without = LGBMRouter(random_state=0).fit(
        Outcomes(train.prompts, train.models, train.quality, train.cost_usd)
    )
    assert TOPIC not in explain(without, test.prompts[:5]).feature_names
    margin = explain_margin(without, test.prompts[0], "m2", "m0")
    assert margin.topic is None
    assert TOPIC not in margin.contributions
    assert sum(margin.contributions.values()) == pytest.approx(margin.quality_margin, abs=1e-9)


@pytest.mark.parametrize(
    "prompt", ["", " ", "\n\n", "\u00e9\u4f60\ud83d\ude00" * 40, "word " * 3000]
)
def test_odd_prompts_are_explained_too(router, prompt):
    margin = explain_margin(router, prompt, "m2", "m0")
    assert sum(margin.contributions.values()) == pytest.approx(margin.quality_margin, abs=1e-9)
    assert np.isfinite(list(margin.words.values())).all()


def test_an_added_candidate_has_the_reasons_of_the_others(world):
    train, test = world
    few = train.take(range(40))
    known = train.of_models(["m0", "m1"])
    newcomer = few.of_models(["m2"])
    router = LGBMRouter(random_state=0).fit(known).add_candidate(newcomer)
    margin = explain_margin(router, test.prompts[0], "m2", "m0")
    assert sum(margin.contributions.values()) == pytest.approx(margin.quality_margin, abs=1e-9)
    reasons = router.reasons(test.prompts[:3])
    raw = router.contributions_all(router.features(test.prompts[:3]))
    np.testing.assert_allclose(reasons.values.sum(axis=2) + reasons.base, raw.sum(axis=2))


def test_similar_prompts_bring_their_outcomes(router, world):
    train, _ = world
    evidence = similar_prompts(router, train.prompts[3], train, k=4)
    first = evidence.similar[0]
    assert (first.prompt_id, first.text) == (train.prompt_ids[3], train.prompts[3])
    assert first.similarity == pytest.approx(1, abs=1e-2)
    similarities = [each.similarity for each in evidence.similar]
    assert similarities == sorted(similarities, reverse=True)
    for each in evidence.similar:
        row = train.prompt_ids.index(each.prompt_id)
        assert list(each.quality.values()) == train.quality[row].tolist()
    means = np.mean([list(each.quality.values()) for each in evidence.similar], axis=0)
    assert list(evidence.mean_quality.values()) == pytest.approx(means.tolist())
    assert "On the 4 most similar training prompts" in evidence.sentence
    json.dumps(evidence.as_dict(), allow_nan=False)


def test_without_a_log_similar_prompts_have_outcomes_but_no_text(router, world):
    evidence = similar_prompts(router, world[1].prompts[0])
    assert [each.text for each in evidence.similar] == [None] * 5
    assert np.isfinite(list(evidence.mean_quality.values())).all()
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        similar_prompts(router, "Hi", k=0)


def test_a_router_of_few_prompts_keeps_none_to_compare_with(world):
    small = LGBMRouter().fit(world[0].take(range(30)))
    evidence = similar_prompts(small, "Hi")
    assert evidence.similar == ()
    assert "keeps no training prompts" in evidence.sentence


def test_chosen_and_runner_up_are_the_default(router, world):
    for prompt in world[1].prompts[:10]:
        margin = explain_margin(router, prompt)
        assert margin.chosen == router.route(prompt).model
        assert margin.other == margin.runner_up != margin.chosen
        assert margin.utility_margin >= 0


def test_the_sentence_names_models_points_and_cost(router, world):
    margin = explain_margin(router, world[1].prompts[0], "m2", "m0", cost_weight=100)
    assert margin.sentence.startswith("m2 is expected to give ")
    assert "than m0" in margin.sentence
    told = re.search(
        r"([\d.]+) points (more|less) quality than m0: (\S+) on any prompt, and (\S+) for this one "
        r"\((.*?[\d])\)\.",
        margin.sentence,
    )
    assert told is not None
    parts = [float(part.split()[-1]) for part in re.sub(r" \(.*?\)", "", told[5]).split(", ")]
    assert "others" in told[5]
    assert "on any prompt" not in told[5]  # a constant is no reason
    base, own = float(told[3]), float(told[4])
    assert base == pytest.approx(100 * margin.contributions[ANY_PROMPT], abs=0.06)
    assert sum(parts) == pytest.approx(own, abs=0.06 * (len(parts) + 1))
    assert base + own == pytest.approx(100 * margin.quality_margin, abs=0.11)
    assert "US dollars more per 1000 prompts, which weighs -" in margin.sentence
    assert "They change places at a cost weight of " in margin.sentence
    assert " times as much." in margin.sentence
    assert "nan" not in margin.sentence


def test_without_costs_the_margin_is_quality_alone(world):
    train, test = world
    router = LGBMRouter().fit(type(train)(train.prompts, train.models, train.quality))
    margin = explain_margin(router, test.prompts[0], "m2", "m0")
    assert margin.flip_cost_weight is None
    assert margin.utility_margin == margin.quality_margin
    assert margin.sentence.endswith("Costs are unknown.")


def test_only_boosted_trees_can_be_explained(router, world):
    train, test = world
    with pytest.raises(ValueError, match="only an LGBMRouter can be explained by SHAP, got KNN"):
        explain(KNNRouter().fit(train), test.prompts[:2])
    with pytest.raises(ValueError, match="a list with at least one text"):
        explain(router, [])
    with pytest.raises(ValueError, match="model must be one of m0, m1, m2, got 'm9'"):
        explain(router, test.prompts[:2], model="m9")


def test_every_column_has_a_readable_name(router):
    for column in router.feature_names_:
        name = readable_name(column)
        assert "_" not in name
        assert name.strip() == name


def test_a_router_that_keeps_to_the_best_single_is_explained_as_it_decides(world):
    train, test = world
    kept = LGBMRouter(random_state=0).fit(train)
    kept.stand_at(0.0, fallback="no gain could be shown")
    for prompt in test.prompts[:10]:
        margin = explain_margin(kept, prompt)
        assert margin.chosen == kept.route(prompt).model == kept.best_single_
        assert margin.other == margin.runner_up != margin.chosen
        assert margin.sentence.endswith("The router keeps to m2: no gain could be shown.")
        asked = explain_margin(kept, prompt, cost_weight=500)
        assert asked.chosen == kept.route(prompt, cost_weight=500).model
        assert "keeps to" not in asked.sentence


@pytest.fixture(scope="module")
def priced():
    """Return a world in which dear models are better everywhere, and a router of all of it."""
    priced = make_world(n_prompts=300, seed=1, kind="price")
    return priced, LGBMRouter().fit(priced.outcomes)


def test_steps_from_coarse_to_fine_add_up_and_tell_hard_prompts_from_easy_ones(priced) -> None:
    world, router = priced
    outcomes = world.outcomes
    steps = router.steps(outcomes.prompts)
    quality = router.predict(outcomes.prompts).quality

    np.testing.assert_allclose(steps.usual + steps.difficulty + steps.differences, quality)
    told = router.steps(outcomes.prompts[:9], outcomes.topics[:9])
    quality = router.predict(outcomes.prompts[:9], outcomes.topics[:9]).quality
    np.testing.assert_allclose(told.usual + told.difficulty + told.differences, quality)
    with pytest.raises(ValueError, match="one entry per prompt"):
        router.steps(outcomes.prompts[:9], outcomes.topics[:8])
    # All candidates find the same prompts hard there, and nobody is a specialist.
    truth = world.expected_quality.mean(axis=1)
    assert np.corrcoef(steps.difficulty.mean(axis=1), truth)[0, 1] > 0.8
    assert np.abs(steps.differences).mean() < 0.2 * np.abs(steps.difficulty).mean()


def test_why_says_how_hard_a_prompt_is(priced) -> None:
    world, router = priced
    outcomes = world.outcomes
    difficulty = router.steps(outcomes.prompts).difficulty.mean(axis=1)
    for row, word in ((difficulty.argmin(), "harder"), (difficulty.argmax(), "easier")):
        prompt = outcomes.prompts[row]
        said = why(router, prompt, router.route(prompt, cost_weight=0.0))
        assert f"The prompt is {word} than usual: {100 * difficulty[row]:+.0f} points" in said
