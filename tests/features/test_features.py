"""Features: named, finite, the same every time, for any text."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from routerlib.features.columns import rarity_columns
from routerlib.features.prompt_features import PromptFeatures
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import _RULES, _Rule, detect_task
from routerlib.features.vocabulary import HINTS, PATTERN_COUNTS, SHARES
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.prompt import TASKS
from routerlib.weights.embedding import encode

PROMPTS = [
    "What is 17 * 23?",
    "Write a Python function that reverses a string.\n```python\ndef f(s):\n    pass\n```",
    "Summarise the following article in one sentence: The cat sat on the mat.",
    "Übersetze ins Englische: Guten Morgen, wie geht es dir?",
]


def surface(text: str) -> dict[str, float]:
    return dict(zip(SURFACE_NAMES, surface_features([text])[0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("What is 17 * 23?", "n_characters", 16),
        ("What is 17 * 23?", "n_words", 4),
        ("What is 17 * 23?", "n_question_words", 1),
        ("What is 17 * 23?", "is_ending_with_question", 1),
        ("List three fruits.", "is_beginning_with_imperative", 1),
        ("A. red\nB. blue\nC. green", "n_options", 3),
        ("```python\nx = 1\n```", "n_code_fences", 2),
        (r"Find $$\frac{1}{2}$$", "n_latex", 3),
        ("write to ann@example.org or https://example.org", "n_emails", 1),
        ("write to ann@example.org or https://example.org", "n_urls", 1),
        ('{"name": "Ann", "age": 3}', "n_json_keys", 2),
        ("one. two! three?", "n_sentences", 3),
        ("Ann Lee met Bob in 1984 and in 2100", "n_names", 1),
        ("Ann Lee met Bob in 1984 and in 2100", "n_years", 1),
        ("NASA did NOT go to part IV of A", "n_capital_words", 3),
        ("NASA did NOT go to part IV of A", "n_roman_numerals", 1),
        ("NASA did NOT go to part IV of A", "n_single_capitals", 1),
        ("It takes 3 hours, 20 minutes and 5 km, 5%", "n_units", 3),
        ("It takes 3 hours, 20 minutes and 5 km, 5%", "n_percent_signs", 1),
        ("1,200.5 people, 3 dogs, 3 cats and 1.2.3", "largest_number", 1200.5),
        ("1,200.5 people, 3 dogs, 3 cats and 1.2.3", "smallest_number", 3),
        ("1,200.5 people, 3 dogs, 3 cats and 1.2.3", "n_distinct_numbers", 3),
        ("9" * 400, "largest_number", 1e15),
        ("a bb ccc", "longest_word", 3),
        ("Which?\nA. 3 km\nB. 5 km\nC. blue sky.", "question_characters", 6),
        ("Which?\nA. 3 km\nB. 5 km\nC. blue sky.", "longest_option_characters", 9),
        ("Which? A) 3 km B) 5 km C) blue sky.", "longest_option_characters", 9),
        ("Which?\nA. 3 km\nB. 5 km\nC. blue sky.", "share_options_sentences", 1 / 3),
        ("A. Smith and B. Jones", "longest_option_characters", 0),
        ("日本の首都", "n_words", 5),
        ("日本の首都", "share_han", 0.8),
        ("Привет", "share_cyrillic", 1),
    ],
)
def test_surface_counts_can_be_checked_by_hand(text: str, name: str, expected: float) -> None:
    assert surface(text)[name] == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "😀" * 50, "\ud800", "\n" * 100_000, "a" * 1_000_000, "<a" * 50_000],
    ids=["empty", "blank", "nul", "emoji", "surrogate", "newlines", "one megabyte", "tags"],
)
def test_odd_texts_give_finite_numbers(text: str) -> None:
    features = PromptFeatures().fit(PROMPTS)

    assert np.isfinite(features.transform([text])).all()


def test_tokens_late_in_the_vocabulary_raise_the_columns_of_rarity() -> None:
    plain, rare = rarity_columns(
        encode(["the cat is in the house", "zygomatic antediluvian quixotry"]).token_ids
    )

    assert rare[0] > plain[0]
    frequent, seldom = rarity_columns([np.array([100]), np.array([20_000])])
    assert (seldom > frequent)[:5].all()


def test_a_prompt_unlike_a_small_log_does_not_send_the_network_astray(outcomes: Outcomes) -> None:
    features = PromptFeatures(groups=["network"])
    seen = features.fit_transform(outcomes.prompts, outcomes)
    strange = features.transform(["Discuss thermodynamic entropy; 日本の首都?", "Z" * 3000])

    assert ((seen > 0.05) & (seen < 0.95)).mean() > 0.2
    assert strange[:, 2].min() > 0.5  # the third is nearly always right


def test_an_empty_prompt_has_no_surface_and_no_meaning() -> None:
    assert surface_features([""]).sum() == 0
    assert encode([""]).vectors.sum() == 0


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Hello, how are you today?", "chat"),
        ("Summarize this text: ...", "summarize"),
        ("Fasse den folgenden Text zusammen: ...", "summarize"),
        ("Classify the sentiment of this review: great film", "classify"),
        ("If all cats are animals, must a cat be an animal? Think step by step.", "reasoning"),
        ("Write a Python function that sorts a list.", "code"),
        ("Solve for x: 3x + 2 = 11", "math"),
        ("Cuántos son 3 + 4?", "math"),
        ("Extract the e-mail address from the text: ...", "extract"),
        ("Translate to French: good morning", "translate"),
        ("翻訳してください: hello", "translate"),
        ("The capital of Peru", "other"),
    ],
)
def test_rules_find_the_task(text: str, task: str) -> None:
    assert detect_task(text) == task


def test_columns_have_readable_names_in_order() -> None:
    features = PromptFeatures(n_components=2).fit(PROMPTS)
    names = features.get_feature_names_out().tolist()

    assert features.transform(PROMPTS).shape == (4, len(names))
    assert names[0] == "n_characters"
    assert names[-2:] == ["embedding_00", "embedding_01"]
    assert f"task_{TASKS[0]}" in names
    assert len(set(names)) == len(names)


def test_groups_can_be_switched_off() -> None:
    features = PromptFeatures(groups=("task",)).fit(PROMPTS)

    assert features.get_feature_names_out().tolist() == [f"task_{task}" for task in TASKS]
    for wrong in ((), ("surface", "smell"), "surface"):
        with pytest.raises(ValueError, match="groups must be some of surface, task, embedding"):
            PromptFeatures(groups=wrong).fit(PROMPTS)


def test_behaves_as_a_scikit_learn_transformer() -> None:
    features = PromptFeatures(n_components=2)
    framed = clone(features).set_output(transform="pandas").fit_transform(pd.Series(PROMPTS))

    assert framed.columns.tolist() == features.fit(PROMPTS).get_feature_names_out().tolist()
    np.testing.assert_array_equal(framed.to_numpy(), features.transform(PROMPTS))
    with pytest.raises(NotFittedError):
        clone(features).transform(PROMPTS)


def test_state_is_plain_and_gives_the_same_columns() -> None:
    features = PromptFeatures(n_components=3).fit(PROMPTS)
    state = pickle.loads(pickle.dumps(features.to_state()))

    again = PromptFeatures.from_state(state)

    np.testing.assert_array_equal(again.transform(PROMPTS), features.transform(PROMPTS))
    assert state["encoder"] is None


def test_a_prompt_has_the_same_numbers_alone_and_in_company() -> None:
    features = PromptFeatures(n_components=3).fit(PROMPTS)

    alone = np.vstack([features.transform([prompt]) for prompt in PROMPTS])

    np.testing.assert_allclose(features.transform(PROMPTS), alone, atol=1e-6)


@pytest.mark.parametrize("prompts", [["fine", None], ["fine", 3.5]])
def test_what_is_not_text_is_refused_by_position(prompts: list) -> None:
    with pytest.raises(ValueError, match="at position 1"):
        PromptFeatures().fit(prompts)


def test_one_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a list of texts"):
        PromptFeatures().fit("What is this?")


@pytest.mark.parametrize(
    ("text", "name", "least"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |", "n_table_rows", 3),
        ("Which?\nA. red\nB. blue\nC. green", "is_multiple_choice", 1),
        ("Unquestionably extraordinary circumlocutions", "share_long_words", 1),
        ("計算してください：３＋４はいくつ？", "n_foreign_math_words", 2),
        ("計算してください：３＋４はいくつ？", "n_numbers", 2),
        ("計算してください：３＋４はいくつ？", "n_operators", 1),
        ("请用Python写一个函数 f(x)", "n_foreign_code_words", 1),
        ("请用Python写一个函数 f(x)", "n_code_words", 1),
        ("เขียนโปรแกรมคำนวณผลรวม", "n_foreign_code_words", 1),
        ("เขียนโปรแกรมคำนวณผลรวม", "n_words", 5),
        ("Wie heißt 'apple' auf 日本語?", "n_words", 6),
    ],
)
def test_tables_options_and_scripts_without_spaces_are_counted(
    text: str, name: str, least: float
) -> None:
    assert surface(text)[name] >= least


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("请用Python写一个函数", "code"),
        ("Pythonで関数を書いて", "code"),
        ("12＋30を計算してください", "math"),
        ("คำนวณ 12 + 30", "math"),
        ("次の文章を要約してください", "summarize"),
    ],
)
def test_rules_find_the_task_in_scripts_without_spaces(text: str, task: str) -> None:
    assert detect_task(text) == task


def test_outcomes_add_what_simpler_learners_expect_out_of_fold() -> None:
    outcomes = make_world(n_prompts=80, n_models=2, seed=3).outcomes
    features = PromptFeatures(n_components=2)
    held_out = features.fit_transform(outcomes.prompts, outcomes)
    seen = features.transform(outcomes.prompts)

    names = features.get_feature_names_out().tolist()
    assert held_out.shape == seen.shape == (80, len(names))
    for learner in ("words", "neighbours", "topic", "network"):
        column = names.index(f"{learner}_quality_m1")
        labels = outcomes.quality[:, 1]
        # What was seen in training is known too well; out of fold it isn't.
        errors = [np.abs(table[:, column] - labels).mean() for table in (seen, held_out)]
        assert errors[0] < errors[1], learner
    assert "words_cost_m0" in names


def test_a_told_topic_replaces_the_detected_one() -> None:
    outcomes = make_world(n_prompts=120, n_models=2, seed=3).outcomes
    features = PromptFeatures(groups=("topic",)).fit(outcomes.prompts, outcomes)
    text = ["please explain the old river"]
    rows = [features.transform(text, [topic])[0] for topic in ("law", "cooking", "never seen")]
    assert not np.allclose(rows[0], rows[1])
    np.testing.assert_array_equal(rows[2], features.transform(text)[0])


def test_without_topics_clusters_stand_in() -> None:
    outcomes = make_world(n_prompts=120, n_models=2, seed=3).outcomes
    unlabelled = Outcomes(outcomes.prompts, outcomes.models, outcomes.quality)
    features = PromptFeatures(groups=("topic",)).fit(unlabelled.prompts, unlabelled)
    assert np.isfinite(features.transform(PROMPTS)).all()


def test_an_array_of_qualities_is_taken_too() -> None:
    outcomes = make_world(n_prompts=60, n_models=2, seed=3).outcomes
    features = PromptFeatures(groups=("words",)).fit(outcomes.prompts, outcomes.quality)
    assert features.get_feature_names_out().tolist() == ["words_quality_m0", "words_quality_m1"]
    with pytest.raises(ValueError, match=r"one row per prompt \(4\), got 60"):
        PromptFeatures().fit(PROMPTS, outcomes)


def lengths(texts: list[str]) -> np.ndarray:
    """Encode a text by its length and its number of vowels."""
    return np.array([[len(text), sum(text.count(vowel) for vowel in "aeiou")] for text in texts])


def test_any_function_can_be_the_encoder() -> None:
    features = PromptFeatures(n_components=3, encoder=lengths).fit(PROMPTS)
    state = features.to_state()

    assert state["encoder"] == "own"
    again = PromptFeatures.from_state(state, encoder=lengths)
    np.testing.assert_array_equal(again.transform(PROMPTS), features.transform(PROMPTS))
    with pytest.raises(ValueError, match="with an encoder of its own; hand it over"):
        PromptFeatures.from_state(state).transform(PROMPTS)


@pytest.mark.parametrize("wrong", [lambda texts: np.zeros(3), lambda texts: np.zeros((1, 2))])
def test_an_encoder_must_return_a_row_for_each_text(wrong: Callable) -> None:
    with pytest.raises(ValueError, match="an encoder must return finite numbers of shape"):
        PromptFeatures(encoder=wrong).fit(PROMPTS)


def test_an_unknown_encoder_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="encoder must be 'minilm', a function or None, got 'x'"):
        PromptFeatures(encoder="x").fit(PROMPTS)


_AWKWARD = st.lists(
    st.sampled_from(
        [
            *("3 * -4", "x=", "$5", "1/2", "a_b", "aBc", "`a`", "f(", "::", "e@b.c", "www.x"),
            *("https://x", "'k' : 1", "<b>", "| a |", "....", "Q1:", "- x", "12. y", "A) z"),
            *("\n", "\n  ", "\t", " ", "\x1c", "é", "漢字", "٣٤", "ＡＢ１", "×", "½", "。"),
        ]
    )
)


@given(_AWKWARD)
def test_a_pattern_that_is_not_looked_for_would_not_match(pieces: list[str]) -> None:
    text = unicodedata.normalize("NFKC", "".join(pieces)) or " "
    row = dict(zip(SURFACE_NAMES, surface_features([text])[0], strict=True))

    for name, pattern in PATTERN_COUNTS.items():
        assert row[name] == len(pattern.findall(text)), name
    for name, pattern in SHARES.items():
        assert row[name] == len(pattern.findall(text)) / len(text), name


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.task)
def test_the_texts_that_a_phrase_needs_are_part_of_it(rule: _Rule) -> None:
    spoken = {
        "summarize": ["tl;dr", "zusammenfassung", "fasse es zusammen", "riassumi"],
        "translate": ["übersetze", "traduzca"],
        "code": ["c++11", "from x", "fix the unit tests", "select a from b", "write una función"],
        "extract": ["extrahiere", "find all", "as json", "which e-mail address", "give a field"],
        "classify": ["classify", "klassifiziere", "which language", "is this spam", "a) x b) y"],
        "math": ["3 × 4", "how many", "how much", "percentage", "wie viel", "plus 2", "sum of"],
        "reasoning": ["step-by step", "step by step", "if all", "why does", "begründe"],
        "chat": ["hi", "tell me about", "chat with", "what do you think"],
    }[rule.task]
    for text in spoken:
        found = [phrase for phrase in rule.phrases if phrase.pattern.search(f"{text} ")]
        assert found, text
        assert all(any(part in text for part in phrase.needed) for phrase in found), text


def test_the_embedding_leaves_the_logging_of_the_program_alone() -> None:
    code = (
        "import logging; from routerlib.weights.embedding import encode; encode(['Hello']); "
        "import sys; assert 'wordllama' in sys.modules; root = logging.getLogger(); "
        "assert root.handlers == [] and root.level == logging.WARNING, (root.handlers, root.level)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


AWKWARD = st.lists(
    st.sampled_from(
        [
            *"aZxn1٣_ \n=^+*/.():!é;{}->&|",
            *("http://", "www.", "A.", "(B)", " x =", "2y", "aB", "f("),
            *("2026-01-31", "1/12", "____", "....."),
        ]
    ),
    max_size=14,
).map("".join)
# Patterns that are written so that they begin with a seldom character, as one would write them.
PLAIN = {
    "n_long_numbers": r"\d{4,}",
    "n_unknowns": r"\b[a-zA-Z](?=\s?[=^+*/])|\d[xyzn]\b",
    "n_code_symbols": r"[;{}]|->|=>|==|!=|&&|\|\||::",
    "n_identifiers": r"[a-z0-9]_[a-z0-9]|[a-z][A-Z]",
    "n_dates": r"\d{4}-\d\d-\d\d|\d[/.]\d{1,2}[/.]\d\d|\d:\d\d",
    "n_blanks": r"_{3,}|\.{4,}",
}


@pytest.mark.parametrize("name", HINTS)
@given(AWKWARD)
def test_a_hint_is_found_wherever_its_pattern_matches(name: str, text: str) -> None:
    if PATTERN_COUNTS[name].search(text):
        assert HINTS[name].search(text)


@pytest.mark.parametrize("name", PLAIN)
@given(AWKWARD)
def test_a_pattern_that_is_quick_finds_what_the_plain_one_does(name: str, text: str) -> None:
    assert PATTERN_COUNTS[name].findall(text) == re.findall(PLAIN[name], text)
