"""Features: named, finite, the same every time, for any text."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from routerlib.embedding import encode
from routerlib.features import PromptFeatures, detect_task
from routerlib.surface import SURFACE_NAMES, surface_features
from routerlib.types import TASKS

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
