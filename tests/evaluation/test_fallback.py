"""A router that keeps to the best single model is judged without that too."""

import numpy as np
import pytest

from routerlib.evaluation.contenders import TestedPrompts
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.fallback import margin_of, told_reach
from routerlib.evaluation.next_steps import progress_of
from routerlib.evaluation.verdict import Verdict
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.router import Router
from routerlib.routers.training.operating_points import QUALITY_MARGIN
from routerlib.routers.training.train import at_operating_point

MODELS = ("small", "large")
REASON = "no gain over it could be shown on the training prompts"


class ByFirstLetter(Router):
    """Believe that the small model is enough for what begins with "a"."""

    def _learn(self, outcomes):
        pass

    def _estimate(self, prompts, topics=None):
        is_easy = np.array([prompt.startswith("a") for prompt in prompts])
        quality = np.column_stack([np.where(is_easy, 0.9, 0.1), np.full(len(prompts), 0.8)])
        return quality, np.tile([0.1, 1.0], (len(prompts), 1))


def world(n, right_when_easy, right_else, seed=0):
    rng = np.random.default_rng(seed)
    is_easy = rng.random(n) < 0.5
    words = rng.integers(10**9, size=(n, 3))
    prompts = [
        f"{'a' if easy else 'b'}{first} {second} {third}"
        for easy, (first, second, third) in zip(is_easy, words, strict=True)
    ]
    chance = np.column_stack([np.where(is_easy, right_when_easy, right_else), np.full(n, 0.8)])
    quality = (rng.random((n, 2)) < chance).astype(float)
    return Outcomes(prompts, MODELS, quality, np.tile([0.1, 1.0], (n, 1)))


def fallen_back(train, **training):
    router = ByFirstLetter()
    router.fit(train)
    return router.stand_at(0.0, REASON, training)


def judged(right_when_easy, right_else, n=1500, **training):
    test = world(n, right_when_easy, right_else)
    router = fallen_back(world(200, right_when_easy, right_else, seed=1), **training)
    return evaluate(router, test, n_bootstrap=100).verdict


def test_that_it_gains_nothing_without_its_fallback_is_a_finding():
    verdict = judged(0.5, 0.5, tried_cost_weight=0.0)
    assert verdict.kind == "does_not_pay"
    assert verdict.sentence.startswith(
        "Routing doesn't pay: tried on these prompts without its fallback, it saves "
    )
    assert verdict.finding.endswith(f"keeps to the best single model, because {REASON}.")
    assert "by this judge" in verdict.sentence
    assert verdict.headline == "Routing doesn't pay on these prompts"
    assert verdict.numbers["tried_gain_over_zero"] < QUALITY_MARGIN
    assert verdict.numbers["prompts_needed"] is None


def test_that_it_would_have_gained_is_told_and_not_claimed():
    verdict = judged(0.95, 0.2, tried_cost_weight=0.0)
    assert verdict.kind == "not_measurable"
    assert verdict.sentence.startswith("Not measurable yet: the router keeps to always calling")
    assert verdict.tried.startswith("Tried on these prompts without that: Routing pays: ")
    assert verdict.sentence.endswith(verdict.advice)


def test_few_prompts_leave_open_what_it_would_have_gained():
    verdict = judged(0.5, 0.5, n=25, tried_cost_weight=0.0)
    assert verdict.kind == "not_measurable"
    assert "Tried on these prompts without that: against always calling" in verdict.sentence


def test_an_interval_wider_than_any_choice_says_why():
    # Three prompts: the worst choice loses 1, 1 and 0, the best gains 0, 0 and 1.
    test = Outcomes(["a", "b", "c"], ["small", "large"], [[0, 1], [0, 1], [1, 0]])
    tested = TestedPrompts.of(test, "large", "small")
    wide = {"quality_difference_low": -0.9, "quality_difference_high": 0.6, "n_groups": 3, "n": 3}
    assert told_reach(tested, Verdict("not_measurable", "", wide)) == (
        " Whatever were chosen on these 3, quality would differ by -66.7 to 33.3 points; the "
        "interval reaches beyond that because 3 prompts say so little of the next ones."
    )
    # A narrow interval may lie beyond; one of other prompts than these says nothing of them.
    beyond = {**wide, "quality_difference_low": -0.9, "quality_difference_high": -0.5}
    assert "reaches beyond" in told_reach(tested, Verdict("not_measurable", "", beyond))
    assert told_reach(tested, Verdict("not_measurable", "", {**wide, "n": 4})) == ""
    narrow = {**wide, "quality_difference_low": -0.1, "quality_difference_high": 0.1}
    assert told_reach(tested, Verdict("not_measurable", "", narrow)) == ""


def test_nothing_is_told_where_training_named_nothing_to_try():
    verdict = judged(0.5, 0.5)
    assert verdict.kind == "not_measurable"
    assert "Tried" not in verdict.sentence


def test_missing_cells_can_undo_that_nothing_is_gained():
    test = world(1500, 0.5, 0.5)
    quality = test.quality.copy()
    quality[::5, 0] = np.nan
    holed = Outcomes(test.prompts, MODELS, quality, test.cost_usd)
    router = fallen_back(world(200, 0.5, 0.5, seed=1), tried_cost_weight=0.0)
    verdict = evaluate(router, holed, n_bootstrap=100).verdict
    assert verdict.kind == "not_measurable"


@pytest.mark.parametrize(
    ("training", "margin"),
    [({}, QUALITY_MARGIN), ({"max_quality_loss": 0.01}, 0.01), ({"epsilon": 0.05}, 0.05)],
)
def test_the_margin_is_what_training_was_allowed(training, margin):
    router = fallen_back(world(50, 0.5, 0.5), **training)
    assert margin_of(router) == margin
    verdict = evaluate(router, world(60, 0.5, 0.5, seed=3), n_bootstrap=20).verdict
    assert verdict.numbers["margin"] == margin


def test_training_names_what_to_try_where_it_falls_back():
    router = at_operating_point(KNNRouter(), world(200, 0.5, 0.5))
    assert router.fallback_ == REASON
    assert router.training_["tried_cost_weight"] >= 0


def test_one_candidate_model_leaves_nothing_to_choose_however_many_prompts() -> None:
    outcomes = world(300, 0.9, 0.4).of_models(MODELS[:1])
    train, test = outcomes.split(random_state=0)
    for router in (KNNRouter().fit(train), KNNRouter().fit(train).stand_at(0.0, REASON)):
        verdict = evaluate(router, test, n_bootstrap=20).verdict
        assert verdict.kind == "not_measurable"
        assert verdict.headline == (
            "Not measurable yet: one candidate model leaves nothing to choose"
        )
        assert f"{MODELS[0]} is the only candidate model" in verdict.sentence
        assert "more prompts" not in verdict.sentence
        assert progress_of(verdict) is None
