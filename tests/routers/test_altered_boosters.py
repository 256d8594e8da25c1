"""A router file whose trees were altered is refused before LightGBM reads them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers import artifact
from routerlib.routers.artifact import ArtifactError
from routerlib.routers.lightgbm.binned import BinnedRows, RowsOf
from routerlib.routers.lightgbm.boosters import (
    raw_scores,
    train_classifier,
    train_cost,
    train_quality,
)
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import check_model_text, read_trees
from routerlib.routers.loading import load_router

PROMPTS = ["What is 3 times 4?", "Tell me about the sea.", ""]


def varied_costs(outcomes: Outcomes) -> Outcomes:
    """Return outcomes whose costs depend on the prompt, so that trees of cost have leaves."""
    lengths = np.array([[len(prompt)] for prompt in outcomes.prompts])
    return Outcomes(
        outcomes.prompts, outcomes.models, outcomes.quality, outcomes.cost_usd * lengths
    )


@pytest.fixture(scope="module")
def saved(outcomes: Outcomes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "router.pkl"
    LGBMRouter().fit(varied_costs(outcomes)).save(path)
    return path


@pytest.fixture(scope="module")
def model_text() -> str:
    """Return the text of a booster of three columns; its first tree has several leaves."""
    columns = np.random.default_rng(0).random((200, 3))
    return train_cost(
        BinnedRows(columns), columns[:, 0] + columns[:, 1], random_state=0
    ).model_to_string()


def changed_tree(text: str, field: str, change: Callable[[list[str]], list[str]]) -> str:
    """Return a model text with one field of its first large tree changed, sizes put right."""
    tree = next(m for m in re.finditer(r"Tree=\d+\n.*?\n\n\n", text, re.S) if "=1 2" in m[0])
    old = re.search(rf"(?<=\n{field}=)[^\n]*", tree[0])
    assert old is not None
    new = tree[0][: old.start()] + " ".join(change(old[0].split())) + tree[0][old.end() :]
    number = int(re.match(r"Tree=(\d+)", tree[0])[1])  # type: ignore[index]
    head, rest = text[: tree.start()], text[tree.end() :]
    sizes = re.search(r"(?<=tree_sizes=)[^\n]*", head)
    assert sizes is not None
    right = sizes[0].split()
    right[number] = str(len(new))
    return head[: sizes.start()] + " ".join(right) + head[sizes.end() :] + new + rest


# What an editor could do to a tree, and what is said about it.
ALTERATIONS: dict[str, tuple[str, Callable[[list[str]], list[str]], str]] = {
    "num_leaves": ("num_leaves", lambda _: ["9999"], "another shape than its 9999 leaves"),
    "no leaves": ("num_leaves", lambda _: ["0"], "another shape than its 0 leaves"),
    "circle": ("left_child", lambda c: ["0", *c[1:]], "is no tree: it has a circle"),
    "circle below": ("left_child", lambda c: [c[0], "1", *c[2:]], "is no tree: it has a circle"),
    "twice": ("right_child", lambda c: [*c[:-1], "-1"], "is no tree"),
    "leaf beyond": ("left_child", lambda c: [*c[:-1], "-999"], "is no tree"),
    "feature": ("split_feature", lambda f: ["99999", *f[1:]], "splits on a feature beyond"),
    "feature below": ("split_feature", lambda f: ["-1", *f[1:]], "splits on a feature beyond"),
    "kind": ("decision_type", lambda k: ["1", *k[1:]], "a split of an unknown kind"),
    "zeros missing": ("decision_type", lambda k: ["6", *k[1:]], "a split of an unknown kind"),
    "categories": ("num_cat", lambda _: ["1"], "not written as its size says"),
    "shrinkage": ("shrinkage", lambda _: ["e1"], "not written as its size says"),
    "short": ("threshold", lambda t: t[1:], "another shape"),
    "no number": ("threshold", lambda t: ["1e5e", *t[1:]], "could not convert"),
    "no integer": ("internal_count", lambda c: ["1.5", *c[1:]], "invalid literal"),
    "endless": ("leaf_value", lambda v: ["1e999", *v[1:]], "leaf_value that are not finite"),
    "read by Python alone": ("leaf_count", lambda c: ["1_0", *c[1:]], "not written as its size"),
    "below all": ("left_child", lambda c: ["-99999999999999999999", *c[1:]], "beyond all bounds"),
    "no beginning": ("threshold", lambda t: ["-inf", *t[1:]], "threshold that are not finite"),
    "large": ("leaf_count", lambda c: ["99999999999", *c[1:]], "beyond all bounds"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_a_tree_that_is_none_is_refused(model_text: str, name: str) -> None:
    field, change, message = ALTERATIONS[name]
    with pytest.raises(ValueError, match=f"LightGBM model text is altered: .*{message}"):
        check_model_text(changed_tree(model_text, field, change), n_features=3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_feature_idx=2", "max_feature_idx=9", "max_feature_idx must be 2, got 9"),
        ("num_class=1", "num_class=0", "num_class must be 1, got 0"),
        ("_iteration=1", "_iteration=0", "num_tree_per_iteration must be 1, got 0"),
        ("Column_2\n", "\n", "feature_names must have 3 entries"),
        ("=regression", "=multiclass num_class:3", "objective 'multiclass num_class:3' is not one"),
        ("tree_sizes=", "tree_sizes=5", "tree 0 is not written as its size says"),
        ("Tree=1\n", "Tree=7\n", "tree 1 is not written as its size says"),
        ("end of trees", "Tree=99", "something else follows its 60 trees"),
        ("tree\n", "", "its head is not that of a model"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    model_text: str, old: str, new: str, message: str
) -> None:
    assert old in model_text
    with pytest.raises(ValueError, match=message):
        check_model_text(model_text.replace(old, new, 1), n_features=3)


@pytest.mark.parametrize("text", ["", "tree\n", None, 5])
def test_what_is_no_model_text_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="LightGBM model text is altered"):
        check_model_text(text, n_features=3)


def test_boosters_of_every_kind_open_and_predict_the_same() -> None:
    columns = np.random.default_rng(0).random((200, 3))
    labels = (columns[:, 0] > 0.5).astype(float)
    classes = np.digitize(columns[:, 1], [0.3, 0.6])
    rare = np.where(np.arange(200) == 0, 2, labels).astype(int)  # a class of a single row
    rows = BinnedRows(columns)
    for booster, n_classes in [
        (train_quality(rows, labels, 0), 1),
        (train_quality(BinnedRows(columns[:5]), labels[:5], 0), 1),
        (train_cost(rows, np.log(columns[:, 2]), 0), 1),
        (train_classifier(rows, classes, 0), 3),
        (train_classifier(rows, rare, 0), 3),
    ]:
        scorer = Scorer(read_trees(booster.model_to_string(), 3, n_classes), n_classes)
        told = booster.predict(columns, raw_score=True).reshape(200, n_classes)
        np.testing.assert_array_equal(scorer.raw(columns), told)
        alone = [scorer.raw(row[np.newaxis])[0] for row in columns]
        np.testing.assert_array_equal(alone, told)
        assert scorer.raw(columns[:0]).shape == (0, n_classes)
        if n_classes > 1:
            shares = scorer.probabilities(columns)
            np.testing.assert_allclose(shares, booster.predict(columns), rtol=1e-14)


@pytest.mark.parametrize("n_leaves", [8, 31, 64])
def test_wide_trees_and_missing_numbers_are_scored_as_lightgbm_does(n_leaves: int) -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(2000, 4))
    columns[rng.random(columns.shape) < 0.3] = np.nan
    columns[:, 3] = np.nan_to_num(columns[:, 3])  # nothing is missing when it is learnt
    labels = np.where(np.isnan(columns[:, 0]), 1.0, columns[:, 0]) + columns[:, 3] ** 2
    settings = {"num_leaves": n_leaves, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    booster = lgb.train(settings, lgb.Dataset(columns, labels), num_boost_round=15)
    text = booster.model_to_string()
    kinds = " ".join(re.findall("(?<=decision_type=).*", text)).split()
    assert set(kinds) == {"2", "8", "10"}
    asked = np.vstack([columns, np.full(4, np.nan), np.zeros(4), np.full(4, np.inf)])
    told = booster.predict(asked, raw_score=True)
    np.testing.assert_array_equal(Scorer(read_trees(text, 4), 1).raw(asked)[:, 0], told)


def test_a_split_of_missing_numbers_from_all_others_is_scored_as_lightgbm_does() -> None:
    rng = np.random.default_rng(2)
    columns = rng.normal(size=(600, 2))
    columns[rng.random(600) < 0.5, 0] = np.nan
    labels = np.where(np.isnan(columns[:, 0]), 1.0, 0.0)
    settings = {"num_leaves": 4, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    booster = lgb.train(settings, lgb.Dataset(columns, labels), num_boost_round=5)
    text = booster.model_to_string()
    thresholds = " ".join(re.findall("(?<=threshold=).*", text)).split()
    assert "inf" in thresholds
    asked = np.vstack([columns, np.full(2, np.nan), np.zeros(2), np.full(2, np.inf)])
    told = booster.predict(asked, raw_score=True)
    np.testing.assert_array_equal(Scorer(read_trees(text, 2), 1).raw(asked)[:, 0], told)
    for other in ("-inf", "nan", "infinity"):
        altered = text.replace("threshold=inf", f"threshold={other}")
        with pytest.raises(ValueError, match="altered"):
            check_model_text(altered, 2)


def test_a_tree_of_more_leaves_than_a_word_has_bits_is_refused() -> None:
    columns = np.random.default_rng(1).normal(size=(2000, 2))
    settings = {"num_leaves": 65, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    booster = lgb.train(settings, lgb.Dataset(columns, columns[:, 0]), num_boost_round=1)
    with pytest.raises(ValueError, match="a tree has 65 leaves, at most 64 can be asked"):
        Scorer(read_trees(booster.model_to_string(), 2), 1)


def test_boosters_that_share_their_rows_are_the_same_as_alone() -> None:
    columns = np.random.default_rng(0).random((300, 12))
    columns[:, 6:] = columns[:, 6:] > 0.9  # columns that LightGBM bundles
    labels = [(columns[:, at] > 0.5).astype(float) for at in (0, 1, 6)]
    rows = BinnedRows(columns)
    shared = [train_quality(rows, each, 0).model_to_string() for each in labels]
    alone = [train_quality(BinnedRows(columns), each, 0).model_to_string() for each in labels]
    assert shared == alone
    assert len(set(shared)) == len(labels)


def test_some_rows_in_the_bins_of_all_teach_as_they_do_alone() -> None:
    columns = np.random.default_rng(0).integers(0, 9, (300, 12)).astype(float)  # the same bins
    kept = np.arange(300) % 5 != 0
    some, alone = RowsOf(columns).take(kept), BinnedRows(columns[kept])

    np.testing.assert_array_equal(some.columns, columns[kept])
    found, expected = (
        raw_scores(train_cost(rows, columns[kept, 0], 0), columns) for rows in (some, alone)
    )
    np.testing.assert_array_equal(found, expected)
    assert np.corrcoef(found, columns[:, 0])[0, 1] > 0.99


@pytest.mark.parametrize("name", ["num_leaves", "circle", "feature"])
@pytest.mark.parametrize("part", ["quality", "cost"])
def test_a_router_file_with_an_altered_tree_is_refused_in_one_line(
    saved: Path, tmp_path: Path, part: str, name: str
) -> None:
    state = copy.deepcopy(artifact.load(saved).state)
    learned = state["learned"]
    home, key = (learned, "quality") if part == "quality" else (learned["cost"], "text")
    home[key] = changed_tree(home[key], *ALTERATIONS[name][:2])
    path = tmp_path / "router.pkl"
    artifact.save(state, path, {})
    with pytest.raises(ArtifactError, match=r"altered, damaged or .* tree .*; train the") as caught:
        load_router(path)
    assert "\n" not in str(caught.value)


def test_an_unaltered_router_file_opens(saved: Path, outcomes: Outcomes) -> None:
    opened, trained = load_router(saved), LGBMRouter().fit(varied_costs(outcomes))
    np.testing.assert_array_equal(opened.predict(PROMPTS).quality, trained.predict(PROMPTS).quality)
