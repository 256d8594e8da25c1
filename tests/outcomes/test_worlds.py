"""Simulated worlds are what they say: the truth is known, and the words tell it."""

import re

import numpy as np
import pytest

from routerlib.outcomes.worlds import TOPICS, make_answer_world, make_world


@pytest.mark.parametrize("kind", ["skill", "price", "nothing"])
def test_observed_quality_agrees_with_the_truth(kind):
    outcomes, expected = make_world(n_prompts=3000, kind=kind)
    # Three standard errors of a mean of 3,000 coin tosses are at most 0.028.
    np.testing.assert_allclose(outcomes.mean_quality, expected.mean(axis=0), atol=0.028)
    assert set(np.unique(outcomes.quality)) <= {0.0, 1.0}


def test_the_words_of_a_prompt_tell_its_topic():
    outcomes, _ = make_world(n_prompts=60)
    for prompt, topic in zip(outcomes.prompts, outcomes.topics, strict=True):
        words = set(prompt.lower().strip("?").split())
        told = {name for name, known in TOPICS.items() if words & set(known.split())}
        assert told == {topic}


def test_prompts_are_not_copies_of_each_other():
    outcomes, _ = make_world(n_prompts=300)
    assert len(np.unique(outcomes.groups)) == 300


def test_in_the_skill_world_each_model_wins_somewhere():
    _, expected = make_world(n_prompts=60, n_models=3, kind="skill")
    assert set(expected.argmax(axis=1)) == {0, 1, 2}
    assert expected.max(axis=1).mean() > expected.mean(axis=0).max() + 0.2


def test_in_the_price_world_a_dearer_model_is_always_better():
    outcomes, expected = make_world(n_prompts=60, n_models=3, kind="price")
    assert (np.diff(expected, axis=1) > 0).all()
    assert (np.diff(outcomes.cost_usd, axis=1) > 0).all()
    # On the easiest topic the cheapest model does nearly as well.
    assert np.ptp(expected, axis=1).min() < 0.1


def test_in_the_world_with_nothing_to_learn_quality_does_not_depend_on_the_prompt():
    _, expected = make_world(n_prompts=60, kind="nothing")
    assert (expected == expected[0]).all()


def test_the_same_seed_makes_the_same_world():
    once, again, other = (make_world(n_prompts=20, seed=seed).outcomes for seed in (5, 5, 6))
    assert once.data_hash == again.data_hash != other.data_hash


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of skill, price, nothing, got 'magic'"):
        make_world(kind="magic")
    with pytest.raises(ValueError, match="a world needs prompts and models"):
        make_world(n_prompts=0)


def test_answers_of_a_world_tell_as_often_as_they_are_made_to() -> None:
    def share_shown(tell: float) -> float:
        outcomes = make_answer_world(n_prompts=400, seed=1, tell=tell).outcomes
        wrong = np.argwhere(outcomes.quality == 0)
        shown = [_is_wrong_sum(outcomes.answers[row][arm]) for row, arm in wrong]
        right = np.argwhere(outcomes.quality == 1)
        assert not any(_is_wrong_sum(outcomes.answers[row][arm]) for row, arm in right)
        return float(np.mean(shown))

    assert share_shown(1.0) == 1.0
    assert share_shown(0.0) == 0.0
    assert 0.4 < share_shown(0.5) < 0.6
    with pytest.raises(ValueError, match="tell must lie in"):
        make_answer_world(tell=1.5)


def _is_wrong_sum(answer: str | None) -> bool:
    left, right, total = (int(each) for each in re.findall(r"\d+", answer or "")[:3])
    return left + right != total
