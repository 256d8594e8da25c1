"""Families are recognised by their pattern, and different prompts are not taken for one."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerlib.outcomes.families import families_of
from routerlib.outcomes.masking import masked, without_forms
from routerlib.outcomes.near_duplicates import near_duplicate_groups
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.prompt import Prompt
from routerlib.records.situations import Situation
from routerlib.show.words.sentences import describe_split

WORDS = "river stone market window garden letter engine copper planet harbour winter lesson bridge "
WORDS += "candle forest ladder mirror needle orange pencil rocket silver tunnel violet wagon anchor"


def redrawn(n_families: int, n_each: int = 5, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Write families of prompts of 14 words, in each of which one word was redrawn."""
    rng = np.random.default_rng(seed)
    prompts, family_of = [], []
    for family in range(n_families):
        first = rng.choice(WORDS.split(), 14)
        for _ in range(n_each):
            words = first.copy()
            words[rng.integers(14)] = rng.choice(WORDS.split())
            prompts.append(" ".join(words) + "?")
            family_of.append(family)
    return prompts, np.array(family_of)


def together(groups: np.ndarray) -> list[list[bool]]:
    return np.equal.outer(groups, groups).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_one_word_of_fourteen_redrawn_is_one_family_and_nothing_else_is(seed: int) -> None:
    prompts, family_of = redrawn(40, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(len(prompts))
    found = families_of([prompts[row] for row in shuffled])
    assert together(found.groups) == together(family_of[shuffled])
    assert sum(found.n_joined.values()) == 160
    assert Outcomes(prompts, ["small"], np.ones((200, 1))).groups.max() == 39


def in_order(one: list[str], other: list[str]) -> int:
    """Count the words of the longest common subsequence, by its definition."""
    longest = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for row, word in enumerate(one):
        for column, beside in enumerate(other):
            longest[row + 1][column + 1] = (
                longest[row][column] + 1
                if word == beside
                else max(longest[row][column + 1], longest[row + 1][column])
            )
    return longest[-1][-1]


@st.composite
def varied(draw: st.DrawFn) -> list[list[str]]:
    """Draw wordings and, of each, others from which words were taken or into which they came."""
    few = st.sampled_from(WORDS.split()[: draw(st.integers(2, 12))])
    found = []
    for first in draw(st.lists(st.lists(few, min_size=6, max_size=16), min_size=1, max_size=2)):
        found.append(first)
        for _ in range(draw(st.integers(0, 3))):
            words = list(first)
            for _ in range(draw(st.integers(1, 4))):
                at = draw(st.integers(0, len(words)))
                if draw(st.booleans()) and len(words) > 5:
                    del words[at : at + 1]
                else:
                    words.insert(at, draw(few))
            found.append(words)
    return found


@settings(max_examples=60, deadline=None)
@given(varied())
def test_no_two_prompts_of_mostly_the_same_words_in_order_are_apart(
    wordings: list[list[str]],
) -> None:
    groups = families_of([" ".join(words) for words in wordings]).groups
    for row, one in enumerate(wordings):
        for beside, other in enumerate(wordings[:row]):
            if 10 * in_order(one, other) > 4 * (len(one) + len(other)):
                assert groups[row] == groups[beside]


def test_a_template_is_one_group_whatever_numbers_and_names_fill_it() -> None:
    prompts = [
        "Anna has 12 apples and gives Tom 3. How many are left?",
        "Bertha has 7 apples and gives Little John 1,5. How many are left?",
        "What is 17 * 23?",
        "What is 4 * 391?",
        "What is 4 + 391?",
        "Of which state is Bern the capital?",
        "Of which state is Addis Ababa the capital?",
        "Welche Stadt ist die Hauptstadt von Frankreich?",
        "Welche Farbe ist die Lieblingsfarbe von Frankreich?",
    ]
    found = families_of(prompts)
    assert found.groups.tolist() == [0, 0, 1, 1, 2, 3, 3, 4, 5]
    assert "templates" in found.n_joined
    assert "numbers and names masked" in found.told


def test_what_a_pattern_joins_depends_on_how_many_follow_it_and_that_is_said() -> None:
    sums = [f"What is {number} * 3 apples in all?" for number in range(12)]
    rest = [f"{word} {word}s {word}ed over here" for word in "abcdefghijklmnopqrstuvwxyz"]
    others = [f"{one} {other}" for one in rest for other in rest[:3]]
    among_few, among_many = families_of([*sums, *rest[:8]]), families_of([*sums, *others])
    assert len(set(among_few.groups[:12])) == 12
    assert among_few.n_in_common == 12
    assert "12 prompts follow patterns that more than a fifth of these prompts" in among_few.told
    assert len(set(among_many.groups[:12])) == 1
    assert "more than a fifth" not in among_many.told
    prompts = [*sums, *rest[:8]]
    outcomes = Outcomes(prompts, ["small"], np.ones((20, 1)))
    train, test = outcomes.split(random_state=0)
    told = "12 follow patterns that more than a fifth of all share"
    assert told in describe_split(train, test)
    assert told in describe_split(outcomes, outcomes)
    named = replace(outcomes, group_ids=["sums"] * 12 + [None] * 8)
    assert "follow patterns" not in describe_split(*named.split(random_state=0))
    many = Outcomes([*sums, *others], ["small"], np.ones((90, 1)))
    assert "follow patterns" not in describe_split(many, many)


def test_a_name_that_begins_a_sentence_is_seen_when_it_has_several_words() -> None:
    assert masked("Ben Smith owns 3 cars.").text == "# owns # cars."
    assert masked("Paris is large, as Rome is.").text == "paris is large, as # is."


def test_numbers_alone_make_no_template() -> None:
    found = families_of(["prompt 1", "prompt 2", "17", "18", "item w17 of list m2", "item w18"])
    assert len(set(found.groups)) == 6


def test_the_same_words_in_another_order_are_one_family_by_meaning() -> None:
    asked = "Please tell me when this shop opens, and how much a new clock costs there."
    turned = "There, how much costs a new clock, and when opens this shop? Tell me, please."
    found = families_of([asked, turned, "When was the first steam engine built, and where?"])
    assert found.groups.tolist() == [0, 0, 1]
    assert found.n_joined["meaning"] == 1


def test_a_pattern_that_a_large_part_follows_is_no_family() -> None:
    sums = [f"What is {number} plus {number * 7}?" for number in range(30)]
    assert len(set(families_of(sums).groups)) == 30
    others = make_world(n_prompts=200, seed=1).outcomes.prompts
    assert len(set(families_of([*sums, *others]).groups)) == 201


def test_questions_after_the_same_instructions_are_not_alike() -> None:
    form = "You are a careful assistant. Read the question twice, think, then answer in one line. "
    form += "Example: what is the largest planet? Jupiter. Example: who wrote Faust? Goethe. Now: "
    asked = [prompt + "!" for prompt in make_world(n_prompts=30).outcomes.prompts]
    assert without_forms([form + each for each in asked])[0] in asked[0]
    assert len(set(families_of([form + each for each in asked]).groups)) == 30


def test_the_prompts_of_a_world_of_few_words_stay_apart() -> None:
    prompts = make_world(n_prompts=600, seed=3).outcomes.prompts
    assert len(set(families_of(prompts).groups)) == 600


def test_no_prompts_and_empty_ones_are_grouped() -> None:
    assert families_of([]).groups.tolist() == []
    assert families_of(["", "a"]).groups.tolist() == [0, 1]
    assert families_of(["", "", "日本語のテキストですか"]).groups.tolist() == [0, 0, 1]


def test_questions_under_one_long_system_prompt_are_no_copies() -> None:
    setup = {"role": "system", "content": "You answer customers of a bank, politely. " * 50}
    tool = {"type": "function", "function": {"name": "search"}}
    questions = [" ".join(rng.choices(WORDS.split(), k=8)) for rng in map(random.Random, range(40))]
    asked = [{"role": "user", "content": each} for each in questions]
    alone = near_duplicate_groups(questions)
    long = [Prompt((setup, each)).text for each in asked]
    offered = [Prompt((each,), extra=Situation.of([tool]).kept()).text for each in asked]
    assert len(set(alone.tolist())) == len(questions)
    for texts in (long, offered):
        assert near_duplicate_groups(texts).tolist() == alone.tolist()
        assert families_of(texts).groups.tolist() == families_of(questions).groups.tolist()
