"""What saturates is learnt from some of the prompts, the same ones every time, and that is said."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from routerlib.features import prompt_columns, text_space
from routerlib.features.learners import topics
from routerlib.features.learners.topics import TopicClassifier
from routerlib.features.prompt_columns import GROUPS, PromptColumns
from routerlib.features.reading import read_here
from routerlib.features.text_space import TextSpace
from routerlib.outcomes import close_vectors, set_join
from routerlib.outcomes.families import families_of
from routerlib.outcomes.worlds import make_world
from routerlib.records.arrays import some_rows

PROMPTS = list(make_world(n_prompts=120, n_models=2).outcomes.prompts)


def test_a_space_is_found_by_some_texts_and_places_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_space, "MOST_SPACED", 60)
    encoded, counts = read_here(PROMPTS, GROUPS, None)
    space, place = TextSpace.fit(encoded, counts, random_state=0)
    rows = some_rows(120, 60)
    known, _ = TextSpace.fit(encoded.take(rows), counts[rows], random_state=0)
    np.testing.assert_array_equal(space.constant, known.constant)
    assert place.coordinates.shape[0] == 120
    np.testing.assert_array_equal(known.place(encoded, counts).coordinates, place.coordinates)


def test_topics_are_learnt_from_some_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.vstack([np.eye(4)] * 50) + np.random.default_rng(0).normal(0, 0.1, (200, 4))
    labels = np.array(list("abcd") * 50)
    monkeypatch.setattr(topics, "MOST_CLASSIFIED", 100)
    few = TopicClassifier.fit(columns, labels, "abcd")
    rows = some_rows(200, 100)
    same = TopicClassifier.fit(columns[rows], labels[rows], "abcd")
    np.testing.assert_array_equal(few.slopes, same.slopes)
    assert (few.probabilities(columns).argmax(axis=1) == np.arange(200) % 4).mean() > 0.95


def test_it_is_said_what_was_learnt_from_some_only(monkeypatch: pytest.MonkeyPatch) -> None:
    features = PromptColumns(groups=("surface",))
    features.learn(PROMPTS)
    assert features.approximated(120) == {}
    monkeypatch.setattr(prompt_columns, "MOST_SPACED", 100)
    assert features.approximated(120) == {"text space": "100 prompts, drawn at random"}


def test_how_groups_of_very_many_prompts_were_found_is_said_and_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(set_join, "EXACT_UP_TO", 50)
    monkeypatch.setattr(set_join, "_MOST_LOOKED_UP", 0)
    monkeypatch.setattr(close_vectors, "EXACT_UP_TO", 50)
    monkeypatch.setattr(close_vectors, "_ROWS_PER_CENTRE", 20)
    train, _ = make_world(n_prompts=120, n_models=2).outcomes.split(0.5)
    features = PromptColumns(groups=("surface",))
    features.learn(list(train.prompts), train)
    told = PromptColumns.from_state(features.to_state()).approximated(len(train))
    assert list(told) == ["groups: copies", "groups: wording", "groups: meaning"]
    assert "looked for by hashing: " in told["groups: copies"]
    assert "looked for around centres: " in told["groups: meaning"]


def test_of_many_prompts_without_near_duplicates_it_is_said_once_that_there_was_none_to_miss(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(set_join, "EXACT_UP_TO", 50)
    monkeypatch.setattr(set_join, "_MOST_LOOKED_UP", -1)
    monkeypatch.setattr(close_vectors, "EXACT_UP_TO", 50)
    monkeypatch.setattr(close_vectors, "_ROWS_PER_CENTRE", 20)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnop"), 7)) for _ in range(3000)]
    prompts = [" ".join(rng.choice(words, 12)) for _ in range(120)]
    with caplog.at_level(logging.WARNING):
        found = families_of(prompts)
    assert len(set(found.groups)) == 120
    (told,) = (each.getMessage() for each in caplog.records)
    hashing = "looked for by hashing: 120 of them, searched exactly, have none to find"
    assert f"near-duplicates of 120 prompts: copies and wording {hashing}; meaning " in told
    assert told.endswith("around centres: 120 of them, compared with all, have none to find")
