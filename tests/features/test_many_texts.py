"""What is counted in many texts at once is what is counted in each alone, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.features import surface
from routerlib.features.learners.neighbours import Neighbours
from routerlib.features.marks import mark_counts
from routerlib.features.plain_texts import PlainTexts
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import _RULES, _task, detect_task
from routerlib.features.text_space import TermIndex
from routerlib.features.vocabulary import OF_ONE_CHARACTER, PATTERN_COUNTS
from routerlib.gather.workload import make_prompts
from routerlib.weights.embedding import _TEXTS_TOGETHER, _means_of_few, _means_of_many, encode

SIGNS = list("aAbBxnIVXQ12 0 \n\t.,:;(){}[]<>=!&|$\\/-+*^_`~\"'@w?#%\r\x1c")
# Marks, and what looks like them, to stand beside one another.
PIECES = [
    *("a_b_c", "New York City", "McDonald Smith Jones", " 5 km", "2/3", "1.2.3.4", "===", "!=="),
    *("=>", "||||", "::", "$$$", "$ 5", "\\frac", "www.a.b", "https://x", "A.", "(B)", "\n  x"),
    *("\n\tx", "Q1:", "1999", "2012", "FOO", "II", "5x", "x ^2", "3 - (a", " ", "\n", "1. ", "- "),
    *("12:30", "2020-01-01", "a@b.c", "```", "____", "....", "|a|", '"k":', "x", "<b>", "Solve"),
]


def made_up(parts: list[str], n_texts: int, longest: int) -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(parts, size)) for size in rng.integers(1, longest, size=n_texts)]


TEXTS = {
    "signs": made_up(SIGNS, 1500, 80),
    "pieces": made_up(PIECES, 1500, 12),
    "workload": [prompt.text for prompt in make_prompts(12, seed=0)],
    "odd": [
        "",
        "a",
        "?",
        " ",
        "\n",
        "_",
        "_ a",
        "...",
        "a" * 30_000,
        "\u00e9 \u4e2d",
        "x\u00b2",
        "A.",
        "+" * 2000 + " " * 1999 + "a",
        "+" + " " * 3999,
    ]
    * 2,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_each_text_has_the_numbers_that_it_has_alone(kind: str) -> None:
    texts = TEXTS[kind]
    together = surface_features(texts)
    alone = np.vstack([surface_features([text]) for text in texts])
    differ = np.flatnonzero((together != alone).any(axis=0))
    assert [SURFACE_NAMES[column] for column in differ] == []


@pytest.mark.parametrize("kind", ["signs", "pieces"])
def test_marks_are_the_matches_of_their_patterns(kind: str) -> None:
    texts = [text for text in TEXTS[kind] if text]
    counts = mark_counts(PlainTexts(texts))
    for column, (name, pattern) in enumerate(PATTERN_COUNTS.items()):
        if name in OF_ONE_CHARACTER:
            continue
        told = [len(pattern.findall(text)) for text in texts]
        assert counts[:, column].tolist() == told, name
        assert any(told) or kind == "signs", f"no text shows {name}"


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = TEXTS["workload"][:50]
    usual = surface_features(texts)
    monkeypatch.setattr(surface, "_TEXTS_AT_ONCE", 9)
    np.testing.assert_array_equal(surface_features(texts), usual)


def test_terms_of_many_texts_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    token_ids = [rng.integers(0, 40, size=size, dtype=np.int32) for size in range(300)]
    index = TermIndex.fit(token_ids[:60])
    many = list(index.rows(token_ids))
    assert len(many) == len(token_ids)
    for ids, (columns, weights) in zip(token_ids, many, strict=True):
        alone = index.row(ids)
        np.testing.assert_array_equal(columns, alone[0])
        np.testing.assert_array_equal(weights, alone[1])


def test_the_nearest_of_one_prompt_are_those_among_many() -> None:
    rng = np.random.default_rng(0)
    near = Neighbours.fit(rng.normal(size=(2000, 8)), rng.random((2000, 2)), n_neighbors=40)
    asked = rng.normal(size=(30, 8)).round(1)
    together = near.predict(asked)
    alone = np.vstack([near.predict(each[np.newaxis]) for each in asked])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)


def test_words_tell_which_rules_to_ask_so_that_all_of_them_say_the_same() -> None:
    phrases = [text for rule in _RULES for each in rule.phrases for text in each.needed]
    marks = [mark for rule in _RULES for mark in rule.marks]
    words = [word for rule in _RULES for word in rule.words]
    parts = [text for text in (*phrases, *marks, *words) if text.isascii()]
    between = ["", "", " ", " ", "_", "\n", ". ", "a ", "3 ", " many", "e"]
    texts = made_up([*parts, *(between * (len(parts) // len(between)))], 6000, 9)
    by_all_rules = [_task(text) for text in texts]
    assert [detect_task(text) for text in texts] == by_all_rules
    assert len(set(by_all_rules)) == len(_RULES) + 1


def test_means_of_many_texts_are_those_of_each() -> None:
    token_ids = encode([*TEXTS["workload"], *TEXTS["odd"], *TEXTS["signs"]]).token_ids
    assert len(token_ids) > _TEXTS_TOGETHER
    assert _means_of_many(token_ids).tobytes() == _means_of_few(token_ids).tobytes()
    nothing = [np.zeros(0, dtype=np.int32)] * 8
    assert not _means_of_many(nothing).any()
