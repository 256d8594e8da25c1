"""What a third candidate lacks changes no number of the router's choice and the best single."""

import numpy as np
import pytest

from routerlib.evaluation.cross_fit import cross_evaluate
from routerlib.evaluation.evaluate import evaluate
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.parts import grouped_as
from routerlib.routers.baselines import TopicTable
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.tables.evaluation import key_numbers
from routerlib.show.tables.routing import failure_sensitivity
from routerlib.show.words.sentences import evaluate_lessons

MODELS = ("cheap", "good", "odd")


def sixty(*, odd_fails: float) -> Outcomes:
    """Make 60 prompts: `good` is wrong on 4 that `odd` answers, and `odd` fails on the last 14."""
    rng = np.random.default_rng(0)
    prompts = [f"w{rng.integers(10**9)} w{rng.integers(10**9)}" for _ in range(60)]
    quality = np.column_stack([np.arange(60) % 2, np.ones(60), np.full(60, 0.5)])
    quality[:4, 1] = 0
    quality[46:, 2] = odd_fails
    return Outcomes(prompts, MODELS, quality, np.tile([1e-4, 2e-3, 1e-3], (60, 1)))


def kept(train: Outcomes) -> LGBMRouter:
    router = LGBMRouter().fit(train)
    router.stand_at(0.0, fallback="no gain could be shown")
    return router


@pytest.fixture(scope="module")
def evaluation():
    test, wrong = sixty(odd_fails=np.nan), sixty(odd_fails=0.0)
    return cross_evaluate(test, wrong, fit_router=kept, n_bootstrap=100).evaluation


def test_the_tile_of_the_best_single_model_is_about_every_prompt_on_which_it_is_scored(evaluation):
    _, quality, n = key_numbers(evaluation)
    assert (quality.value, quality.name) == ("0.933", "quality of good (0-1)")
    assert quality.interval.endswith("; on the 60 where it is scored")
    assert n == ("60", "held-out prompts", "14 lack a score or a cost of some candidate model")
    assert "All prompts go to good: 100 % of 60; a failed call is never learnt" in str(
        evaluate_lessons(evaluation)
    )


def test_failures_of_a_candidate_that_is_not_chosen_raise_no_quality(evaluation):
    left_out, wrong, *_ = failure_sensitivity(evaluation).rows
    assert wrong[0] == "failure counts as wrong (none of these is known to have failed)"
    assert left_out[1:] == wrong[1:]
    assert left_out[1] == "60"
    assert left_out[2].startswith("0.933")


def test_without_failures_the_rows_and_the_operating_point_have_one_interval():
    test = sixty(odd_fails=0.0)
    found = cross_evaluate(test, test, fit_router=TopicTable().fit, n_bootstrap=100).evaluation
    for name in ("quality", "quality_difference"):
        assert found.scored[name] == pytest.approx(found.failures[name], nan_ok=True)
        assert found.scored[name] == pytest.approx(found.operating[name], nan_ok=True)


def test_a_failure_of_the_choice_lowers_quality_when_it_counts_as_wrong():
    train, test = sixty(odd_fails=0.0).take(range(30)), sixty(odd_fails=0.0).take(range(30, 60))
    quality = test.quality.copy()
    quality[:3, 1] = np.nan
    left_out = Outcomes(test.prompts, MODELS, quality, test.cost_usd)
    wrong = Outcomes(test.prompts, MODELS, np.nan_to_num(quality), test.cost_usd)
    found = evaluate(kept(train), left_out, wrong, n_bootstrap=50)
    assert (found.scored["n"], found.failures["n"]) == (27, 30)
    assert found.scored["quality"].value == pytest.approx(1.0)
    assert found.failures["quality"].value == pytest.approx(0.9)


def test_families_of_known_prompts_are_not_looked_for_again(monkeypatch):
    everything = sixty(odd_fails=np.nan)
    assert len(everything.groups) == 60
    train, test = everything.take(range(30)), everything.take(range(30, 60))
    router = TopicTable().fit(train)
    monkeypatch.setattr("routerlib.outcomes.outcomes.families_of", None)  # calling it would raise
    assert evaluate(router, test, n_bootstrap=20).scored["n"] == 30


def test_nor_where_failed_calls_count_as_wrong(monkeypatch):
    everything = sixty(odd_fails=np.nan)
    assert len(everything.groups) == 60
    train, test = everything.take(range(30)), everything.take(range(30, 60))
    wrong = grouped_as(
        Outcomes(test.prompts, MODELS, np.nan_to_num(test.quality), test.cost_usd), test
    )
    router = TopicTable().fit(train)
    monkeypatch.setattr("routerlib.outcomes.outcomes.families_of", None)  # calling it would raise
    assert evaluate(router, test, wrong, n_bootstrap=20).failures["n"] == 30


def test_groups_are_those_of_the_same_prompts_only():
    everything = sixty(odd_fails=0.0)
    with pytest.raises(ValueError, match="same prompts in the same order"):
        grouped_as(everything.take(range(30)), everything.take(range(30, 60)))
