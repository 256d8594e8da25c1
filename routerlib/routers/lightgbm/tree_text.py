"""Texts of LightGBM models: checked before LightGBM reads them, and many made into one.

LightGBM trusts its model texts: one that was altered can end the process, walk in a circle for
ever or read beyond its arrays. So every tree must be whole, and a tree, before it is opened.

Nine boosters take nine calls of about 20 microseconds each; their trees interleaved in one file,
as LightGBM writes a model of nine classes, take one call. Only raw scores mean anything there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple, Self

import numpy as np

# Format v4, exactly as `Booster.model_to_string` writes it for numeric features.
_HEAD = re.compile(
    r"tree\nversion=v4\nnum_class=(?P<num_class>\d+)\n"
    r"num_tree_per_iteration=(?P<num_tree_per_iteration>\d+)\nlabel_index=0\n"
    r"max_feature_idx=(?P<max_feature_idx>\d+)\nobjective=(?P<objective>[^\n]+)\n"
    r"feature_names=(?P<feature_names>[^\n]+)\nfeature_infos=(?P<feature_infos>[^\n]+)\n"
    r"tree_sizes=(?P<tree_sizes>[\d ]+)\n\n"
)
_END = "end of trees\n"
# What a tree of n leaves has n - 1 times, as whole numbers and as numbers, and what n times.
_NODE_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
_NODE_NUMBERS = ("split_gain", "threshold", "internal_value", "internal_weight")
_LEAF_INTEGERS = ("leaf_count",)
_LEAF_NUMBERS = ("leaf_value", "leaf_weight")
_FIELDS = (
    *("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child"),
    *("leaf_value", "leaf_weight", "leaf_count"),
    *("internal_value", "internal_weight", "internal_count"),
)
# A split of missing numbers from all others has no end.
_NO_END = "inf"
_WRITTEN_BY = dict.fromkeys(_FIELDS, b"-+.0123456789e ") | {"threshold": b"-+.0123456789einf "}
# The lines of a tree that stand before its fields and behind them.
_N_BEFORE, _N_AFTER = 3, 4
_N_LINES = _N_BEFORE + len(_FIELDS) + _N_AFTER
_AROUND = re.compile(
    r"Tree=(?P<number>\d{1,9})\nnum_leaves=(?P<num_leaves>\d{1,9})\nnum_cat=0\n"
    r"is_linear=0\nshrinkage=\d+(?:\.\d+)?(?:e-?\d+)?\n\n"
)
_OBJECTIVES = ("cross_entropy", "regression", "quantile")
# Where a missing number goes; others are splits on categories, or call zeros missing.
_DECISION_TYPES = frozenset({0, 2, 8, 10})
_LARGEST_INTEGER = 2**31 - 1
# One tree of a whole text, number left out.
_BODY = re.compile(r"Tree=\d+\n(?P<body>.*?\n\n\n)", re.DOTALL)
# What fills an output that has fewer trees than another: a leaf alone that adds nothing.
_NOTHING = (
    "num_leaves=1\nnum_cat=0\nsplit_feature=\nsplit_gain=\nthreshold=\ndecision_type=\n"
    "left_child=\nright_child=\nleaf_value=0\nleaf_weight=\nleaf_count=\ninternal_value=\n"
    "internal_weight=\ninternal_count=\nis_linear=0\nshrinkage=1\n\n\n"
)


class Trees(NamedTuple):
    """What decides in the trees of a model text, tree after tree, as LightGBM names it.

    `n_leaves` (n_trees,). `split_feature, threshold, decision_type, left_child, right_child`
    (n_nodes of all trees,). `leaf_value` (n_leaves of all trees,).
    """

    n_leaves: np.ndarray
    split_feature: np.ndarray
    threshold: np.ndarray
    decision_type: np.ndarray
    left_child: np.ndarray
    right_child: np.ndarray
    leaf_value: np.ndarray


def check_model_text(text: str, n_features: int, n_classes: int = 1) -> str:
    """Return the text of a booster once every tree in it is known to be sound."""
    read_trees(text, n_features, n_classes)
    return text


def read_trees(text: str, n_features: int, n_classes: int = 1) -> Trees:
    """Read the trees of a booster, every one of which must be sound.

    `n_features`: columns that the booster must expect, at least 1.
    """
    try:
        return _read(text, n_features, n_classes)
    except (ValueError, TypeError) as error:
        raise ValueError(f"LightGBM model text is altered: {error}") from error


def _read(text: str, n_features: int, n_classes: int) -> Trees:
    head = _HEAD.match(text)
    if head is None or not text.isascii():
        raise ValueError("its head is not that of a model")
    sizes = [int(size) for size in head["tree_sizes"].split()]
    _check_head(head, n_features, n_classes, len(sizes))
    lines = text[head.end() :].split("\n")
    n_leaves = _leaves_of(lines, sizes)
    n_lines = _N_LINES * len(sizes)
    if not "\n".join(lines[n_lines : n_lines + 2]).startswith(_END):
        raise ValueError(f"something else follows its {len(sizes)} trees")
    fields = {
        name: _Field.read(name, lines[place:n_lines:_N_LINES])
        for place, name in enumerate(_FIELDS, start=_N_BEFORE)
    }
    for name, field in fields.items():
        field.check_shape(name, n_leaves)
    values = {name: fields[name].integers() for name in _NODE_INTEGERS + _LEAF_INTEGERS}
    values |= {name: fields[name].numbers(name) for name in _NODE_NUMBERS + _LEAF_NUMBERS}
    _check_nodes(values, n_leaves, n_features)
    return Trees(n_leaves, **{name: values[name] for name in Trees._fields[1:]})


def _leaves_of(lines: list[str], sizes: Sequence[int]) -> np.ndarray:
    """Return how many leaves each tree has, shape (n_trees,); every line must be one of a tree."""
    n_leaves = []
    for number, size in enumerate(sizes):
        own = lines[number * _N_LINES : (number + 1) * _N_LINES]
        around = _AROUND.fullmatch("\n".join(own[:_N_BEFORE] + own[-_N_AFTER:]))
        is_whole = (
            around is not None
            and int(around["number"]) == number
            and sum(map(len, own)) + _N_LINES == size
        )
        if around is None or not is_whole:
            raise _not_written(number)
        n_leaves.append(int(around["num_leaves"]))
    return np.array(n_leaves)


def _not_written(number: int) -> ValueError:
    return ValueError(f"tree {number} is not written as its size says")


class _Field(NamedTuple):
    """What stands in a field of all trees, one after the other.

    `counts` (n_trees,): how many cells each tree has.
    """

    cells: list[str]
    counts: np.ndarray

    @classmethod
    def read(cls, name: str, lines: Sequence[str]) -> Self:
        """Read the lines of a field, one a tree, with nothing in them but numbers."""
        start = f"{name}="
        texts = [line.removeprefix(start) for line in lines]
        for number, line in enumerate(lines):
            if not line.startswith(start):
                raise _not_written(number)
        if " ".join(texts).encode().translate(None, _WRITTEN_BY[name]):
            odd = (bool(text.encode().translate(None, _WRITTEN_BY[name])) for text in texts)
            raise _not_written(list(odd).index(True))
        rows = [text.split() for text in texts]
        return cls(list(chain.from_iterable(rows)), np.array(list(map(len, rows))))

    def check_shape(self, name: str, n_leaves: np.ndarray) -> None:
        """Check that it is as long as the leaves say; one leaf alone has no weight."""
        of_nodes = name in _NODE_INTEGERS + _NODE_NUMBERS
        is_other = (self.counts != n_leaves - of_nodes) | (n_leaves < 1)
        if name in ("leaf_weight", "leaf_count"):
            is_other &= n_leaves != 1
        if is_other.any():
            number = int(is_other.argmax())
            raise ValueError(
                f"tree {number} has another shape than its {n_leaves[number]} leaves need"
            )

    def integers(self) -> np.ndarray:
        """Return its cells as whole numbers."""
        values = list(map(int, self.cells))
        largest = max(map(abs, values), default=0)
        if largest > _LARGEST_INTEGER:
            number = self._tree_of([abs(value) == largest for value in values])
            raise ValueError(f"tree {number} has a number beyond all bounds")
        return np.array(values, dtype=np.int64)

    def numbers(self, name: str) -> np.ndarray:
        """Return its cells as finite numbers; a threshold may have no end."""
        values = np.fromiter(map(float, self.cells), float, len(self.cells))
        if np.isfinite(values).all():
            return values
        may_be = _NO_END if name == "threshold" else ""
        is_odd = [
            not np.isfinite(value) and cell != may_be
            for value, cell in zip(values, self.cells, strict=True)
        ]
        if any(is_odd):
            raise ValueError(f"tree {self._tree_of(is_odd)} has {name} that are not finite")
        return values

    def _tree_of(self, is_it: Sequence[bool]) -> int:
        """Return the tree of the first cell that is meant."""
        return int(np.searchsorted(np.cumsum(self.counts), is_it.index(True), side="right"))


def _check_head(head: re.Match[str], n_features: int, n_classes: int, n_trees: int) -> None:
    expected = {
        "num_class": n_classes,
        "num_tree_per_iteration": n_classes,
        "max_feature_idx": n_features - 1,
    }
    for name, value in expected.items():
        if int(head[name]) != value:
            raise ValueError(f"{name} must be {value}, got {head[name]}")
    for name in ("feature_names", "feature_infos"):
        if len(head[name].split()) != n_features:
            raise ValueError(f"{name} must have {n_features} entries")
    if n_trees == 0 or n_trees % n_classes:
        raise ValueError(f"{n_trees} trees can't serve {n_classes} classes")
    objectives = _OBJECTIVES if n_classes == 1 else (f"multiclass num_class:{n_classes}",)
    if head["objective"] not in objectives:
        raise ValueError(f"objective {head['objective']!r} is not one of {', '.join(objectives)}")


def _check_nodes(values: Mapping[str, np.ndarray], n_leaves: np.ndarray, n_features: int) -> None:
    """Check what the nodes of all trees ask, and that they are trees.

    Nodes count from 0, the root; leaf i is written as -1 - i. Each node and leaf is reached once,
    and only from a node made before it.
    """
    n_nodes = n_leaves - 1
    tree = np.repeat(np.arange(len(n_nodes)), n_nodes)
    splits = values["split_feature"]
    if (is_beyond := (splits < 0) | (splits >= n_features)).any():
        number = tree[is_beyond.argmax()]
        raise ValueError(f"tree {number} splits on a feature beyond the {n_features} there are")
    if (is_unknown := ~np.isin(values["decision_type"], sorted(_DECISION_TYPES))).any():
        raise ValueError(f"tree {tree[is_unknown.argmax()]} has a split of an unknown kind")
    node = np.arange(len(tree)) - (np.cumsum(n_nodes) - n_nodes)[tree]
    tree, node = np.tile(tree, 2), np.tile(node, 2)
    child = np.concatenate([values["left_child"], values["right_child"]])
    is_odd = (child < -n_leaves[tree]) | (child >= n_nodes[tree]) | ((child >= 0) & (child <= node))
    # A place for each leaf and node of each tree: there are as many children as places but roots.
    n_places = 2 * n_leaves
    place = (np.cumsum(n_places) - n_places + n_leaves)[tree] + child
    times = np.bincount(place[~is_odd], minlength=n_places.sum())
    is_odd[~is_odd] = times[place[~is_odd]] > 1
    if is_odd.any():
        number = tree[is_odd.argmax()]
        raise ValueError(f"tree {number} is no tree: it has a circle, or a part it can't reach")


def merge_models(outputs: Sequence[Sequence[str]]) -> str:
    """Return one model text whose raw score k is the sum of the raw scores of ``outputs[k]``.

    `outputs`: model texts of LightGBM, each with one output and all with the same columns; at
        least one for each output.

    >>> import lightgbm as lgb
    >>> import numpy as np
    >>> from routerlib.routers.lightgbm.binned import BinnedRows
    >>> from routerlib.routers.lightgbm.boosters import raw_scores, train_cost
    >>> columns = np.random.default_rng(0).random((40, 2))
    >>> parts = [train_cost(BinnedRows(columns), columns[:, k], random_state=0) for k in (0, 1)]
    >>> merged = lgb.Booster(model_str=merge_models([[part.model_to_string()] for part in parts]))
    >>> alone = np.column_stack([raw_scores(part, columns) for part in parts])
    >>> bool(np.allclose(raw_scores(merged, columns), alone))
    True
    """
    n_outputs = len(outputs)
    by_output = [
        [tree["body"] for text in texts for tree in _BODY.finditer(text)] for texts in outputs
    ]
    bodies = [body for row in zip_longest(*by_output, fillvalue=_NOTHING) for body in row]
    return _written(outputs[0][0], bodies, n_outputs)


def single_model(merged: str, output: int) -> str:
    """Return the model text of one output of a merged model."""
    n_outputs = int(_entry_of(merged, "num_class"))
    bodies = [tree["body"] for tree in _BODY.finditer(merged)][output::n_outputs]
    return _written(merged, bodies, 1)


def _written(head: str, bodies: Sequence[str], n_outputs: int) -> str:
    objective = "regression" if n_outputs == 1 else f"multiclass num_class:{n_outputs}"
    trees = [f"Tree={number}\n{body}" for number, body in enumerate(bodies)]
    return (
        f"tree\nversion=v4\nnum_class={n_outputs}\nnum_tree_per_iteration={n_outputs}\n"
        f"label_index=0\nmax_feature_idx={_entry_of(head, 'max_feature_idx')}\n"
        f"objective={objective}\nfeature_names={_entry_of(head, 'feature_names')}\n"
        f"feature_infos={_entry_of(head, 'feature_infos')}\n"
        f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}\n\n"
        f"{''.join(trees)}{_END}"
    )


def _entry_of(text: str, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {name} in the head of a LightGBM model text")
    return found[1]
