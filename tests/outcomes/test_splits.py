"""Train and test never share a near-duplicate, however prompts are divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import SplitBy, divide, folds
from routerlib.outcomes.worlds import make_world

WAYS: tuple[SplitBy, ...] = ("random", "topic", "time")


@st.composite
def prompts_in_groups(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    n = draw(st.integers(12, 40))
    topics = draw(st.lists(st.sampled_from("abcdef"), min_size=n, max_size=n))
    of_copy = draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    labels = [min(row, other) if other % 4 == 0 else row for row, other in enumerate(of_copy)]
    _, first, groups = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[groups], topics


@given(prompts_in_groups(), st.sampled_from(WAYS), st.floats(0.1, 0.6), st.integers(0, 5))
def test_no_group_stands_on_both_sides(
    drawn: tuple[np.ndarray, list[str]], by: SplitBy, test_size: float, seed: int
) -> None:
    groups, topics = drawn
    try:
        parts = divide(groups, test_size, seed, by, topics)
    except ValueError:  # too few groups or topics; what is refused has a test of its own
        return
    assert not set(groups[parts.train]) & set(groups[parts.test])
    assert not set(parts.train) & set(parts.test)
    if by == "topic":
        tested = {topics[row] for row in parts.test}
        assert not tested & {topics[row] for row in parts.train}
    else:
        assert len(parts.train) + len(parts.test) == len(groups)


@pytest.mark.parametrize("by", WAYS)
def test_planted_copies_never_straddle(by: SplitBy) -> None:
    plain = make_world(n_prompts=60).outcomes
    copies = [f"{text.upper()} " for text in plain.prompts[:30]]
    topics = [*plain.topics, *np.roll(plain.topics[:30], 7)]  # copies under other topics
    outcomes = Outcomes(
        [*plain.prompts, *copies],
        plain.models,
        np.vstack([plain.quality, plain.quality[:30]]),
        topics=topics,
    )
    train, test = outcomes.split(0.4, random_state=1, by=by)
    spoken = {text.lower().strip() for text in train.prompts}
    assert len(test) > 5
    assert not spoken & {text.lower().strip() for text in test.prompts}


def test_a_split_by_time_tests_what_came_last() -> None:
    outcomes = make_world(n_prompts=40).outcomes
    train, test = outcomes.split(0.25, by="time")
    assert train.prompts == outcomes.prompts[:30]
    assert test.prompts == outcomes.prompts[30:]


def test_a_split_by_topic_holds_whole_topics_out() -> None:
    outcomes = make_world(n_prompts=60).outcomes
    train, test = outcomes.split(0.34, random_state=0, by="topic")
    assert not set(train.topics or ()) & set(test.topics or ())
    assert len(test) == 20


@pytest.mark.parametrize("by", WAYS)
def test_folds_test_each_prompt_at_most_once_and_never_a_copy(by: SplitBy) -> None:
    outcomes = make_world(n_prompts=60).outcomes
    divided = folds(outcomes.groups, 3, by=by, topics=outcomes.topics)
    tested = np.concatenate([parts.test for parts in divided])
    assert len(divided) == 3
    assert len(set(tested)) == len(tested) == (45 if by == "time" else 60)
    if by == "time":
        assert all(parts.train.max() < parts.test.min() for parts in divided)


def test_what_can_not_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="needs outcomes with topics"):
        divide(np.arange(9), 0.3, by="topic")
    with pytest.raises(ValueError, match="by must be one of random, topic, time, got 'luck'"):
        divide(np.arange(9), 0.3, by="luck")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="9 prompts in 1 topic can't be split"):
        divide(np.arange(9), 0.3, by="topic", topics=["law"] * 9)
    with pytest.raises(
        ValueError,
        match=r"between 2 and 8, got 9: .* 9 groups.* need 10; log more",
    ):
        folds(np.arange(9), 9, by="time")


def test_topic_is_in_both_parts_wherever_its_groups_allow_it() -> None:
    topics = ["common"] * 40 + ["rare"] * 4 + ["single"] * 6
    groups = np.array([*range(44), *[44] * 6])  # the single topic is one group of copies
    for seed in range(60):
        parts = divide(groups, 0.3, seed, topics=topics)
        assert {topics[row] for row in parts.test} >= {"common", "rare"}
        assert {topics[row] for row in parts.train} >= {"common", "rare"}
        assert sorted([*parts.train, *parts.test]) == list(range(50))
        assert len(parts.test) == 15
        assert len({row in parts.test for row in range(44, 50)}) == 1


def test_split_that_lacks_no_topic_is_the_draw_itself() -> None:
    groups, topics = np.arange(60), ["a", "b", "c"] * 20
    for seed in range(20):
        plain, known = divide(groups, 0.3, seed), divide(groups, 0.3, seed, topics=topics)
        assert plain.test.tolist() == known.test.tolist()


def test_topics_too_small_to_be_expected_do_not_enlarge_the_test_part() -> None:
    groups, topics = np.arange(60), [f"topic {row // 2}" for row in range(60)]
    assert len(divide(groups, 0.3, 0, topics=topics).test) == 18
