"""What is missing is never taken as good for a claim."""

import numpy as np
import pytest

from routerlib.evaluation.bounds import Lacking, bound_missing
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.pseudo_outcomes import augmented, probability_observed
from routerlib.evaluation.routing import Routed, TrainMeans
from routerlib.evaluation.verdict import judge_by_intervals
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router
from routerlib.show.tables.routing import failure_sensitivity

NAN = float("nan")
MODELS = ("small", "large")


class ByTopic(Router):
    """Send what begins with "a" to the small model, as it was told."""

    def _learn(self, outcomes):
        pass

    def _estimate(self, prompts, topics=None):
        is_easy = np.array([prompt.startswith("a") for prompt in prompts])
        quality = np.column_stack([np.where(is_easy, 0.9, 0.1), np.full(len(prompts), 0.7)])
        return quality, np.tile([0.1, 1.0], (len(prompts), 1))


def world(n=400, *, missing, seed=0):
    """Make easy and hard prompts; `missing` tells by "is it easy" and length what has no score."""
    rng = np.random.default_rng(seed)
    is_easy = rng.random(n) < 0.6
    is_long = rng.random(n) < 0.5
    words = [f"w{rng.integers(10**9)}" for _ in range(n)]
    prompts = [
        f"{'a' if easy else 'b'} {word} " + ("more and more " * 20 if long else "")
        for easy, long, word in zip(is_easy, is_long, words, strict=True)
    ]
    chance = np.column_stack([np.where(is_easy, 0.9, 0.1), np.full(n, 0.7)])
    quality = (rng.random((n, 2)) < chance).astype(float)
    quality[missing(is_easy, is_long, rng), 0] = NAN
    return Outcomes(prompts, MODELS, quality, np.tile([0.1, 1.0], (n, 1)))


def fitted(train):
    router = ByTopic()
    router.fit(train)
    return router


def nothing(is_easy, is_long, rng):
    return np.zeros(len(is_easy), dtype=bool)


def long_ones(is_easy, is_long, rng):
    return is_long


def some(is_easy, is_long, rng):
    return rng.random(len(is_easy)) < 0.01


@pytest.fixture(scope="module")
def router():
    return fitted(world(missing=nothing, seed=1))


def test_the_bounds_are_the_worst_and_the_best_that_missing_cells_can_be():
    quality = [[1, 1], [NAN, 1], [1, NAN], [0, 1]]
    outcomes = Outcomes(["p", "q", "r", "s"], MODELS, quality, np.tile([1.0, 2.0], (4, 1)))
    routed = Routed(
        Estimates(MODELS, np.full((4, 2), NAN), np.full((4, 2), NAN)), np.array([0, 0, 0, 1])
    )
    train = TrainMeans(np.array([0.5, 0.8]), np.array([1.0, 2.0]), "large", "small")
    missing = bound_missing(outcomes, routed, train, Lacking.of(outcomes), n_bootstrap=200)
    found = missing.bounds["large"]["quality_difference"]
    # Prompt by prompt: 0, -1 to 0, 0 to 1, and 0 where both are the same call.
    assert found.value == pytest.approx((-1 / 4 + 1 / 4) / 2)
    assert found.low < -1 / 4
    assert found.high > 1 / 4
    assert missing.bounds["large"]["saving"].value == pytest.approx(1 - 5 / 8)
    assert missing.adjusted is None


def test_with_nothing_missing_there_is_nothing_to_bound(router):
    found = evaluate(router, world(missing=nothing), n_bootstrap=100)
    assert found.missing is None
    assert found.verdict.kind == "pays"


def test_a_gain_that_missing_cells_could_undo_is_not_claimed(router):
    found = evaluate(router, world(missing=long_ones), n_bootstrap=100)
    assert found.operating["quality_difference"].low > 0
    assert found.verdict.kind == "not_measurable"
    assert "no score of small on" in found.verdict.sentence
    assert "of the longest third of the prompts" in found.verdict.sentence
    assert found.verdict.headline.startswith("Not measurable yet: ")
    assert found.verdict.numbers["quality_difference_at_worst"] < 0


def test_a_gain_that_holds_at_the_worst_is_claimed_and_what_is_missing_said(router):
    found = evaluate(router, world(missing=some), n_bootstrap=100)
    assert found.verdict.kind == "pays"
    assert "lack a score" in found.verdict.sentence
    worst = found.missing.bounds["large"]["quality_difference"]
    assert 0 < worst.low < found.operating["quality_difference"].low


def test_a_call_that_is_known_to_have_failed_is_a_wrong_answer_not_an_unknown_one(router):
    test = world(missing=long_ones)
    as_wrong = Outcomes(test.prompts, MODELS, np.nan_to_num(test.quality), test.cost_usd)
    found = evaluate(router, test, as_wrong, n_bootstrap=100)
    assert found.scored["quality_difference"].low > 0
    worst = found.missing.bounds["large"]["quality_difference"]
    assert found.operating["quality_difference"].value == pytest.approx(worst.value)
    assert worst.value == pytest.approx(found.failures["quality_difference"].value)
    assert worst.high < 0
    assert found.verdict.kind == "saves_at_a_price"
    assert found.verdict.numbers["quality_difference"] == pytest.approx(worst.value)
    assert f"for {-100 * worst.value:.1f} points" in found.verdict.sentence
    assert "n = 400" in found.verdict.sentence


def test_a_candidate_that_may_be_the_best_single_is_compared_with_too(router):
    # The small model has no score on three of four prompts: it may be right on all of them.
    test = world(missing=nothing)
    quality = test.quality.copy()
    quality[:300, 0] = NAN
    found = evaluate(
        router, Outcomes(test.prompts, MODELS, quality, test.cost_usd), n_bootstrap=100
    )
    assert set(found.missing.bounds) == {"large", "small"}
    assert found.verdict.kind == "not_measurable"


def test_what_prompts_explain_is_made_up_for(router):
    """Only hard answers of the small model lack a score: the mean of what is left flatters it."""

    def mostly_hard(is_easy, is_long, rng):
        return ~is_easy & (rng.random(len(is_easy)) < 0.8)

    test, whole = world(2000, missing=mostly_hard), world(2000, missing=nothing)
    truth = evaluate(router, whole, n_bootstrap=50).operating["quality_difference"].value
    found = evaluate(router, test, n_bootstrap=50)
    left = found.operating["quality_difference"].value
    assert found.missing.adjusted.low <= truth <= found.missing.adjusted.high
    assert abs(found.missing.adjusted.value - truth) < abs(left - truth) / 2


def test_the_augmented_mean_is_right_where_the_prediction_is_wrong():
    rng = np.random.default_rng(0)
    probability = np.where(rng.random((20_000, 1)) < 0.5, 0.2, 0.9)
    quality = (rng.random((20_000, 1)) < 0.3 + 0.5 * (probability > 0.5)).astype(float)
    observed = np.where(rng.random(quality.shape) < probability, quality, NAN)
    made_up = augmented(observed, np.full(quality.shape, 0.1), probability)
    assert made_up.mean() == pytest.approx(quality.mean(), abs=0.02)
    assert np.nanmean(observed) > quality.mean() + 0.1


def test_cells_like_which_none_was_observed_are_counted():
    length = np.repeat([0.0, 5.0], 100)[:, None]
    observed = np.where(length > 1, NAN, 1.0)
    observed[100:103] = 1.0
    seen = probability_observed(observed, length, np.arange(200))
    assert seen.n_out_of_reach > 50
    assert (seen.probability >= 0.05).all()


def test_the_report_lays_bounds_beside_what_was_left_out(router):
    shown = failure_sensitivity(evaluate(router, world(missing=long_ones), n_bootstrap=50))
    labels = [row[0] for row in shown.rows]
    assert labels == [
        "failures left out",
        "missing cells from worst to best",
        "missing cells like others of their kind",
    ]


def test_lacking_counts_candidates_and_lengths():
    outcomes = Outcomes(["a", "bb", "ccc"], MODELS, [[1, 1], [1, 0], [NAN, 1]])
    found = Lacking.of(outcomes)
    assert found.n_skipped == 1
    assert found.by_candidate == {"small": 1, "large": 0}
    assert found.by_length == {"shortest third": 0, "third of middle length": 0, "longest third": 1}
    assert "so do 100 % of the longest third of the prompts" in found.told("held-out")
    middle = Lacking.of(Outcomes(["a", "ccc", "bb"], MODELS, outcomes.quality))
    assert "so do 100 % of the prompts that are neither long nor short" in middle.told("held-out")


def test_scored_answers_of_unknown_cost_are_named_too():
    prompts = ["a", "b", "c", "d"]
    quality, cost_usd = [[1, 1], [1, 0], [NAN, 1], [1, 1]], [[1, 2], [1, NAN], [NAN, 2], [1, 2]]
    found = Lacking.of(Outcomes(prompts, MODELS, quality, cost_usd))
    assert found.costs_by_candidate == {"small": 0, "large": 1}  # small on "c" lacks a score
    assert found.told("held-out").startswith(
        "2 of 4 held-out prompts lack a score or a cost (no score of small on 1; no cost of "
        "large on 1"
    )
    unpriced = Outcomes(prompts, MODELS, quality)
    assert "no cost" not in Lacking.of(unpriced).told("held-out")


def test_prompts_that_count_within_their_bounds_were_not_left_out(router):
    found = evaluate(router, world(missing=long_ones), n_bootstrap=100)
    names = ("quality_difference", "saving", "gain_over_zero", "zero_difference")
    wide = {name: Interval(0.0, -0.2, 0.2, 0.1) for name in names}
    said = ((found.n, "were left out"), (found.missing.lacking.n, "counts within its bounds"))
    for n, words in said:
        verdict = judge_by_intervals(
            wide,
            best_single="large",
            share_of_best_single=0.5,
            n=n,
            n_groups=n,
            missing=found.missing,
        )
        assert words in verdict.sentence
