"""Near-duplicates are found exactly, and forms are not taken for copies."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from routerlib.outcomes.near_duplicates import group_statistics, near_duplicate_groups

PASSAGE = "This question refers to a letter that an explorer wrote to the king in the year of the "
PASSAGE += (
    "great storm, in which he told of ships, of islands, and of people whom he had met there. "
)


def jaccard(one: str, other: str) -> float:
    sets = []
    for text in (one, other):
        folded = " ".join(text.lower().split()).ljust(5)
        sets.append({folded[at : at + 5] for at in range(len(folded) - 4)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@settings(max_examples=60)
@given(
    st.lists(st.text("abcé日 ", min_size=1, max_size=24), min_size=2, max_size=12),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_groups_are_the_components_of_all_pairs_above_the_threshold(
    texts: list[str], threshold: float
) -> None:
    groups = near_duplicate_groups(texts, threshold)
    expected = list(range(len(texts)))
    for row, one in enumerate(texts):
        for column in range(row):
            if jaccard(one, texts[column]) >= threshold:
                old, new = expected[row], expected[column]
                expected = [new if each == old else each for each in expected]
    together = np.equal.outer(groups, groups)
    assert together.tolist() == np.equal.outer(expected, expected).tolist()
    assert groups[0] == 0
    assert groups.max() == len(set(groups)) - 1


def test_one_question_with_other_options_is_one_prompt() -> None:
    question = "Which of these rivers carries the most water to the sea in spring?"
    prompts = [
        f"{question}\nA. the first that comes to mind\nB. none that I know of\nAnswer:",
        f"{question}\nA. a river in the north, far from here\nB. that of our town\nAnswer:",
        "Which is true?\nA. the first that comes to mind\nB. none that I know of\nAnswer:",
        "Which is true?\nA. two and two is four and never five\nB. neither of them\nAnswer:",
    ]
    groups = near_duplicate_groups(prompts, threshold=1.0)
    assert groups.tolist() == [0, 0, 1, 2]  # a short question says nothing without its options


def test_questions_about_one_passage_belong_together_but_a_form_of_many_does_not() -> None:
    asked = ["Whom did he meet?", "How many ships were lost in the storm, and where?"]
    groups = near_duplicate_groups([PASSAGE + each for each in asked], threshold=1.0)
    assert groups.tolist() == [0, 0]
    many = [f"{PASSAGE} Question {word * 9}?" for word in "abcdefghijklmnopqrstuvwxyz"]
    assert len(set(near_duplicate_groups(many, threshold=1.0))) == len(many)


def test_prompts_of_many_lengths_and_odd_characters_are_read() -> None:
    prompts = ["", "a", "\ud800 lone surrogate", "日本語のテキスト", "日本語のテキスト ", "x" * 500]
    groups = near_duplicate_groups(prompts)
    assert groups[3] == groups[4]
    assert len(set(groups)) == 5


def test_statistics_count_prompts_that_have_a_copy() -> None:
    found = group_statistics(np.array([0, 1, 0, 2, 1, 0]))
    assert found == (6, 3, 5, 3)
    assert group_statistics(np.zeros(0, dtype=int)) == (0, 0, 0, 0)
