"""Evaluation measures routers on held-out prompts, beside baselines, with honest intervals."""

import json

import numpy as np
import pytest

from routerlib.evaluation import contenders as laid
from routerlib.evaluation.compare import compare
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.routing import route_all
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import TOPICS, make_world
from routerlib.records.decision import Decision, Estimates
from routerlib.routers.baselines import BestSingle, RandomRouter
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.rules import RuleRouter

TOPIC_WORDS = {topic: set(words.split()) for topic, words in TOPICS.items()}


class TopicTable:
    """Estimates the mean quality and cost of each topic that it reads in the words."""

    name = "topic table"

    def __init__(self, cost_weight=0.0):
        self.cost_weight_ = cost_weight

    def fit(self, outcomes):
        self.models_ = outcomes.models
        self.best_single_ = outcomes.best_single
        self.mean_quality_, self.mean_cost_usd_ = outcomes.mean_quality, outcomes.mean_cost_usd
        self.train_prompt_ids_ = outcomes.prompt_ids
        topics = np.array([self._topic(prompt) for prompt in outcomes.prompts])
        self.quality_ = {
            topic: outcomes.quality[topics == topic].mean(axis=0) for topic in np.unique(topics)
        }
        return self

    @staticmethod
    def _topic(prompt):
        words = set(prompt.lower().strip("?").split())
        return max(TOPICS, key=lambda topic: len(words & TOPIC_WORDS[topic]))

    def predict(self, prompts, topics=None):
        quality = np.array([self.quality_[self._topic(prompt)] for prompt in prompts])
        quality = quality.reshape(len(prompts), len(self.models_))
        cost = np.broadcast_to(self.mean_cost_usd_, quality.shape)
        return Estimates(tuple(self.models_), quality, cost)

    def route(self, prompt, *, task=None):
        estimates = self.predict([prompt])
        utility = estimates.quality[0] - self.cost_weight_ * estimates.cost_usd[0]
        model = self.models_[int(utility.argmax())]
        return Decision(model, float("nan"), float("nan"), 1.0, "topic", self.cost_weight_)


class Guess(TopicTable):
    """Estimates nothing and always decides for the last candidate model."""

    name = "guess"

    def predict(self, prompts, topics=None):
        nothing = np.full((len(prompts), len(self.models_)), np.nan)
        return Estimates(tuple(self.models_), nothing, nothing)

    def route(self, prompt, *, task=None):
        return Decision(self.models_[-1], float("nan"), float("nan"), 1.0, "guess", 0.0)


# Four prompts, two models: the small one costs 1, the large one 3. Right answers: 2 and 3 of 4.
TRAIN = Outcomes(
    prompts=["comet orbit old", "comet orbit new", "garlic oven old", "garlic oven new"],
    models=["small", "large"],
    quality=[[1, 1], [1, 1], [0, 1], [0, 0]],
    cost_usd=[[1, 3]] * 4,
)
TEST = Outcomes(
    prompts=["comet orbit lunar bridge", "garlic oven butter city", "meteor nebula some village"],
    models=["small", "large"],
    quality=[[1, 1], [0, 1], [0, 1]],
    cost_usd=[[1, 3]] * 3,
)


@pytest.fixture(scope="module")
def skill():
    world = make_world(n_prompts=900, seed=3, kind="skill")
    return world, *world.outcomes.split(random_state=0)


def test_three_prompts_by_hand():
    router = TopicTable().fit(TRAIN)
    table = compare({"topics": router}, TEST, n_bootstrap=100)
    # On astronomy both models were right on train: the cheaper one is taken, on cooking large.
    assert table.loc["topics", "quality"] == pytest.approx(2 / 3)
    assert table.loc["topics", "cost_usd"] == pytest.approx(5 / 3)
    assert table.loc["topics", "cost_share"] == pytest.approx(5 / 9)
    assert table.loc["topics", "quality_difference"] == pytest.approx(-1 / 3)
    # Singles at (1, 1/3) and (3, 1): mixing reaches 1/3 + 1/3 * 2/3 at a cost of 5/3.
    assert table.loc["topics", "gain_over_zero"] == pytest.approx(2 / 3 - 5 / 9)
    assert table.loc["zero router", "quality"] == pytest.approx(5 / 9)
    assert table.loc["best single", ["quality", "PGR"]].tolist() == [1, 1]
    assert table.loc["random", "quality"] == pytest.approx(2 / 3)
    assert table.loc["oracle", "cost_usd"] == pytest.approx(7 / 3)
    # Hull from (1, 1/3) to (5/3, 2/3), then flat to 3: (1/2 * 2/3 + 2/3 * 4/3) / 2.
    assert table.loc["topics", "AIQ"] == pytest.approx(11 / 18)
    assert table.loc["zero router", ["AIQ", "APGR", "CPT80"]].tolist() == pytest.approx(
        [2 / 3, 0.5, 0.8]
    )
    assert table.attrs["strong"] == "large"
    assert table.attrs["weak"] == "small"
    assert table.attrs["cost_range_usd"] == (1, 3)


def test_each_metric_has_an_interval_around_it():
    train, test = make_world(n_prompts=400, kind="price").outcomes.split()
    table = compare({"topics": TopicTable().fit(train)}, test, n_bootstrap=200)
    for name in ("quality", "cost_share", "quality_difference", "AIQ", "APGR", "CPT50", "CPT80"):
        row = table.loc["topics"]
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"], name
    assert (table.n == len(test)).all()
    assert (table.loc["oracle", "AIQ"] >= table.AIQ).all()


def test_the_same_seed_gives_the_same_table(skill):
    _, train, test = skill
    router = TopicTable().fit(train)
    once, again = (compare({"t": router}, test, n_bootstrap=50, random_state=4) for _ in range(2))
    assert once.equals(again)


def test_the_interval_of_quality_covers_the_truth(skill):
    world, train, test = skill
    router = TopicTable().fit(train)
    evaluation = evaluate(router, test, n_bootstrap=400)
    rows = [world.outcomes.prompt_ids.index(key) for key in test.prompt_ids]
    truth = world.expected_quality[rows]
    chosen = router.predict(test.prompts).quality.argmax(axis=1)
    true_quality = truth[np.arange(len(rows)), chosen].mean()
    interval = evaluation.operating["quality"]
    assert interval.low <= true_quality <= interval.high
    best = truth[:, test.models.index(train.best_single)].mean()
    difference = evaluation.operating["quality_difference"]
    assert difference.low <= true_quality - best <= difference.high


def test_incomplete_prompts_are_skipped_and_counted():
    quality = TEST.quality.copy()
    quality[2, 0] = np.nan
    test = Outcomes(TEST.prompts, TEST.models, quality, TEST.cost_usd)
    table = compare({"topics": TopicTable().fit(TRAIN)}, test, n_bootstrap=20)
    assert table.n.tolist() == [2] * 5
    assert table.n_skipped.tolist() == [1] * 5
    assert table.loc["topics", "quality"] == 1
    evaluation = evaluate(TopicTable().fit(TRAIN), test, n_bootstrap=20)
    assert (evaluation.n, evaluation.n_skipped) == (2, 1)
    # Five cells were observed, and calibration uses all of them.
    assert evaluation.calibration.reliability.counts.sum() == 5


def test_without_costs_only_quality_is_measured():
    train = Outcomes(TRAIN.prompts, TRAIN.models, TRAIN.quality)
    test = Outcomes(TEST.prompts, TEST.models, TEST.quality)
    table = compare({"topics": TopicTable().fit(train)}, test, n_bootstrap=20)
    row = table.loc["topics"]
    assert row.quality == pytest.approx(2 / 3)
    assert row[["APGR", "CPT50"]].notna().all()
    assert row[["cost_usd", "cost_share", "AIQ", "gain_over_zero"]].isna().all()
    assert table.attrs["weak"] == "small"
    assert evaluate(TopicTable().fit(train), test, n_bootstrap=20).equal_quality is None


def test_a_test_without_complete_prompts_is_all_nan():
    test = Outcomes(TEST.prompts, TEST.models, np.full((3, 2), np.nan), TEST.cost_usd)
    table = compare({"topics": TopicTable().fit(TRAIN)}, test, n_bootstrap=20)
    assert table.quality.isna().all()
    evaluation = evaluate(TopicTable().fit(TRAIN), test, n_bootstrap=20)
    assert evaluation.verdict.kind == "not_measurable"
    assert evaluation.n == 0


def test_a_router_without_estimates_is_asked_prompt_by_prompt():
    router = Guess().fit(TRAIN)
    table = compare({"guess": router, "topics": TopicTable().fit(TRAIN)}, TEST, n_bootstrap=20)
    assert table.loc["guess", "quality"] == 1
    assert np.isnan(table.loc["guess", "APGR"])
    evaluation = evaluate(router, TEST, n_bootstrap=20)
    assert evaluation.calibration is None
    assert evaluation.routed_shares == {"small": 0.0, "large": 1.0}


def test_a_router_that_falls_back_to_best_single_is_taken_at_its_word():
    router = TopicTable().fit(TRAIN)
    router.fallback_ = "too few prompts"
    evaluation = evaluate(router, TEST, n_bootstrap=20)
    assert evaluation.routed_shares == {"small": 0.0, "large": 1.0}
    assert evaluation.verdict.kind == "not_measurable"
    assert "keeps to always calling large, because too few prompts" in evaluation.verdict.sentence
    assert evaluation.as_dict()["verdict"]["fallback"] == "too few prompts"


def test_always_calling_the_best_single_on_purpose_is_no_fallback():
    verdict = evaluate(BestSingle().fit(TRAIN), TEST, n_bootstrap=20).verdict
    assert (verdict.kind, verdict.fallback) == ("does_not_pay", None)


def test_choices_are_those_of_the_router_itself():
    train, test = make_world(n_prompts=240, kind="price").outcomes.split()
    router = KNNRouter().fit(train)
    router.stand_at(0.1 / train.mean_cost_usd.max())
    routed = route_all(router, test)
    asked = [router.route(prompt).model for prompt in test.prompts]
    assert [test.models[arm] for arm in routed.arms] == asked


def test_prompts_that_a_router_was_trained_on_are_refused():
    router = TopicTable().fit(TRAIN)
    with pytest.raises(ValueError, match=r"got 4 of 4 that it was; use the test half"):
        evaluate(router, TRAIN)
    with pytest.raises(ValueError, match="not trained on"):
        compare({"topics": router}, TRAIN)


def test_a_router_of_other_candidates_is_refused():
    other = Outcomes(TEST.prompts, ["small", "medium"], TEST.quality, TEST.cost_usd)
    with pytest.raises(ValueError, match="may choose 'large', but the outcomes only have small"):
        evaluate(TopicTable().fit(TRAIN), other)


def test_a_comparison_needs_a_router():
    with pytest.raises(ValueError, match="at least one router"):
        compare({}, TEST)


def test_a_candidate_that_the_router_does_not_know_is_never_chosen():
    wider = Outcomes(
        TEST.prompts,
        ["new", "small", "large"],
        np.hstack([np.ones((3, 1)), TEST.quality]),
        np.hstack([np.full((3, 1), 9.0), TEST.cost_usd]),
    )
    evaluation = evaluate(TopicTable().fit(TRAIN), wider, n_bootstrap=20)
    assert evaluation.routed_shares["new"] == 0
    assert evaluation.operating["quality"].value == pytest.approx(2 / 3)
    assert np.isnan(evaluation.calibration.ece["new"])


def test_shares_say_what_was_routed_where():
    test = Outcomes(TEST.prompts, TEST.models, TEST.quality, TEST.cost_usd, ["a", "b", "a"])
    evaluation = evaluate(TopicTable().fit(TRAIN), test, n_bootstrap=20)
    assert evaluation.routed_by_task == {
        "a": {"small": 1.0, "large": 0.0, "n": 2},
        "b": {"small": 0.0, "large": 1.0, "n": 1},
    }


def test_equal_quality_is_chosen_by_estimates_and_not_by_what_was_observed(skill):
    _, train, test = skill
    router = TopicTable().fit(train)
    evaluation = evaluate(router, test, n_bootstrap=50)
    flipped = Outcomes(
        test.prompts, test.models, 1 - test.quality, test.cost_usd, prompt_ids=test.prompt_ids
    )
    worse = evaluate(router, flipped, n_bootstrap=50)
    assert evaluation.equal_quality["saving"].value == worse.equal_quality["saving"].value
    assert evaluation.equal_quality["saving"].value >= evaluation.operating["saving"].value


def test_failures_counted_as_wrong_stand_beside_failures_left_out():
    left_out = TEST.quality.copy()
    left_out[2, 1] = np.nan
    wrong = TEST.quality.copy()
    wrong[2, 1] = 0
    cost = TEST.cost_usd.copy()
    cost[2, 1] = np.nan
    evaluation = evaluate(
        TopicTable().fit(TRAIN),
        Outcomes(TEST.prompts, TEST.models, left_out, cost),
        Outcomes(TEST.prompts, TEST.models, wrong, cost),
        n_bootstrap=20,
    )
    assert (evaluation.n, evaluation.operating["quality"].value) == (3, pytest.approx(2 / 3))
    assert evaluation.failures["n"] == 3
    assert evaluation.failures["quality"].value == pytest.approx(2 / 3)


def test_an_evaluation_goes_to_json_without_nan():
    evaluation = evaluate(Guess().fit(TRAIN), TEST, n_bootstrap=20)
    text = json.dumps(evaluation.as_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["verdict"]["sentence"] == evaluation.verdict.sentence
    assert back["verdict"]["headline"] == evaluation.verdict.headline
    assert len(back["verdict"]["headline"].split()) <= 12
    assert back["operating"]["APGR"]["value"] is None
    assert back["routed_shares"] == {"small": 0.0, "large": 1.0}


@pytest.mark.parametrize("model", ["m0", "m1", "m2"])
def test_always_calling_one_model_never_pays(model):
    train, test = make_world(n_prompts=300, kind="price").outcomes.split()
    router = TopicTable().fit(train)
    only = [float(name == model) for name in router.models_]
    router.quality_ = dict.fromkeys(router.quality_, only)
    evaluation = evaluate(router, test, n_bootstrap=100)
    assert evaluation.routed_shares[model] == 1
    assert evaluation.verdict.kind == "does_not_pay", evaluation.verdict.sentence


def test_routing_by_skill_pays():
    train, test = make_world(n_prompts=1200, seed=1, kind="skill").outcomes.split()
    verdict = evaluate(TopicTable().fit(train), test, n_bootstrap=300).verdict
    assert verdict.kind == "pays"
    assert "more quality than always calling" in verdict.sentence


def test_routing_by_price_saves_at_a_price():
    train, test = make_world(n_prompts=1200, seed=1, kind="price").outcomes.split()
    # A cost weight at which half of the quality pays for the dearest model's whole cost.
    router = TopicTable(cost_weight=0.5 / train.mean_cost_usd.max()).fit(train)
    verdict = evaluate(router, test, n_bootstrap=300).verdict
    assert verdict.kind == "saves_at_a_price"
    assert verdict.sentence.startswith("Routing saves ")
    assert verdict.numbers["zero_difference"] < verdict.numbers["quality_difference"]


def test_where_there_is_nothing_to_learn_routing_never_pays():
    for seed in range(12):
        train, test = make_world(n_prompts=300, seed=seed, kind="nothing").outcomes.split()
        for cost_weight in (0.0, 0.2 / train.mean_cost_usd.max()):
            router = TopicTable(cost_weight).fit(train)
            verdict = evaluate(router, test, n_bootstrap=200).verdict
            assert verdict.kind in ("does_not_pay", "not_measurable"), verdict.sentence


def test_the_failure_sensitivity_knows_topics_too():
    class Told(TopicTable):
        """Reads the topic label instead of the words, when there is one."""

        def predict(self, prompts, topics=None):
            return super().predict(prompts if topics is None else topics)

    # Words say cooking (large is better), labels say astronomy (small does).
    test = Outcomes(
        ["garlic oven butter city", "garlic oven some village"],
        TEST.models,
        [[1, 0], [1, 0]],
        [[1, 3]] * 2,
        topics=["comet orbit", "comet orbit"],
    )
    evaluation = evaluate(Told().fit(TRAIN), test, test, n_bootstrap=20, use_topics=True)
    assert evaluation.failures["quality"].value == evaluation.operating["quality"].value == 1


class Counting(TopicTable):
    """Notes each prompt that it estimates."""

    def fit(self, outcomes):
        self.estimated = []
        return super().fit(outcomes)

    def predict(self, prompts, topics=None):
        self.estimated.extend(prompts)
        return super().predict(prompts, topics)


@pytest.mark.parametrize("use_topics", [False, True])
def test_an_evaluation_estimates_each_held_out_prompt_once(use_topics):
    world = make_world(n_prompts=120, seed=4).outcomes
    train, test = world.split(random_state=0)
    answered, quality = test.quality.copy(), test.quality.copy()
    answered[:9, 0], quality[:9, 0] = np.nan, 0.0  # failed calls: unscored here, wrong there
    left_out = Outcomes(test.prompts[:-3], test.models, answered[:-3], test.cost_usd[:-3])
    wrong = Outcomes(test.prompts, test.models, quality, test.cost_usd, topics=test.topics)
    router = Counting().fit(train)
    evaluation = evaluate(router, test, wrong, n_bootstrap=20, use_topics=use_topics)
    assert sorted(router.estimated) == sorted({*test.prompts, *wrong.prompts})
    assert evaluation.calibration is not None
    router.estimated.clear()
    evaluation = evaluate(router, left_out, wrong, n_bootstrap=20)
    assert sorted(router.estimated) == sorted({*left_out.prompts, *wrong.prompts})
    assert (evaluation.n, evaluation.failures["n"]) == (len(test) - 3, len(test))


def test_rules_that_never_saw_outcomes_are_refused_with_advice():
    roles = dict.fromkeys(("cheapest", "cheap"), "small") | dict.fromkeys(
        ("coder", "strongest"), "large"
    )
    advice = r"never fitted.*call fit\(train\) first"
    with pytest.raises(ValueError, match=advice):
        evaluate(RuleRouter(roles), TEST)
    with pytest.raises(ValueError, match=advice):
        compare({"rules": RuleRouter(roles)}, TEST)
    # Beside a router that knows the means they can be compared.
    beside = {"rules": RuleRouter(roles), "topics": TopicTable().fit(TRAIN)}
    assert compare(beside, TEST, n_bootstrap=20).loc["rules", "n"] == 3


@pytest.mark.parametrize("name", ["rules", "random"])
def test_votes_are_not_taken_for_estimates(name):
    roles = dict.fromkeys(("cheapest", "cheap"), "small") | dict.fromkeys(
        ("coder", "strongest"), "large"
    )
    router = {"rules": RuleRouter(roles), "random": RandomRouter()}[name].fit(TRAIN)
    evaluation = evaluate(router, TEST, n_bootstrap=20)
    assert evaluation.calibration is None
    assert evaluation.equal_quality is None
    assert len(evaluation.curve.quality) == 1
    asked = [router.route(prompt).model for prompt in TEST.prompts]
    assert evaluation.routed_shares["small"] == asked.count("small") / 3
    table = compare({name: router}, TEST, n_bootstrap=20)
    assert np.isnan(table.loc[name, ["APGR", "CPT50"]].astype(float)).all()


def test_a_handful_of_rerouted_prompts_without_a_loss_proves_no_equal_quality():
    # 100 prompts, 4 of them sent to the cheap model, which happens to be right there.
    quality = np.ones((100, 2))
    quality[4:, 0] = np.arange(96) % 2
    prompts = [f"{number * 7919} {number}" for number in range(100)]
    test = Outcomes(prompts, ["small", "large"], quality, np.tile([1.0, 3.0], (100, 1)))
    tested = laid.TestedPrompts.of(test, strong="large", weak="small")
    contenders = {
        "lucky": laid.arms_contender(tested, np.where(np.arange(100) < 4, 0, 1)),
        "always large": laid.arms_contender(tested, np.ones(100, dtype=int)),
    }
    measured = measure(tested, contenders, n_bootstrap=200, random_state=0)
    lucky = measured.intervals("lucky")["quality_difference"]
    assert (lucky.value, lucky.low < -0.01, lucky.high > 0.01) == (0, True, True)
    assert measured.intervals("always large")["quality_difference"][:3] == (0, 0, 0)
