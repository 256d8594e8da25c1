"""Texts of LightGBM models: checked before LightGBM reads them, and many made into one.

LightGBM trusts its model texts: one that was altered can end the process, walk in a circle for
ever or read beyond its arrays. So every tree must be whole, and a tree, before it is opened.

Nine boosters take nine calls of about 20 microseconds each; their trees interleaved in one file,
as LightGBM writes a model of nine classes, take one call. Only raw scores mean anything there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest

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
_NUMBERS = dict.fromkeys(_FIELDS, r"[-+.\de ]*") | {"threshold": rf"(?:[-+.\de ]|{_NO_END})*"}
_TREE = re.compile(
    r"Tree=(?P<number>\d{1,9})\nnum_leaves=(?P<num_leaves>\d{1,9})\nnum_cat=0\n"
    + "".join(rf"{field}=(?P<{field}>{numbers})\n" for field, numbers in _NUMBERS.items())
    + r"is_linear=0\nshrinkage=\d+(?:\.\d+)?(?:e-?\d+)?\n\n\n"
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


def check_model_text(text: str, n_features: int, n_classes: int = 1) -> str:
    """Return the text of a booster once every tree in it is known to be sound.

    `n_features`: columns that the booster must expect, at least 1.
    """
    try:
        _check(text, n_features, n_classes)
    except (ValueError, TypeError) as error:
        raise ValueError(f"LightGBM model text is altered: {error}") from error
    return text


def _check(text: str, n_features: int, n_classes: int) -> None:
    head = _HEAD.match(text)
    if head is None or not text.isascii():
        raise ValueError("its head is not that of a model")
    sizes = [int(size) for size in head["tree_sizes"].split()]
    _check_head(head, n_features, n_classes, len(sizes))
    start = head.end()
    for number, size in enumerate(sizes):
        tree = _TREE.match(text, start)
        if tree is None or tree.end() - start != size or int(tree["number"]) != number:
            raise ValueError(f"tree {number} is not written as its size says")
        _check_tree(tree.groupdict(), number, n_features)
        start = tree.end()
    if not text.startswith(_END, start):
        raise ValueError(f"something else follows its {len(sizes)} trees")


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


def _check_tree(tree: Mapping[str, str], number: int, n_features: int) -> None:
    n_leaves = int(tree["num_leaves"])
    values = {field: tree[field].split() for field in _FIELDS}
    _check_lengths(values, number, n_leaves)
    integers = {name: list(map(int, values[name])) for name in _NODE_INTEGERS + _LEAF_INTEGERS}
    for name in _NODE_NUMBERS + _LEAF_NUMBERS:
        told = [each for each in values[name] if each != _NO_END or name != "threshold"]
        if not all(map(math.isfinite, map(float, told))):
            raise ValueError(f"tree {number} has {name} that are not finite")
    if n_leaves == 1:
        return
    if max(map(max, integers.values())) > _LARGEST_INTEGER:
        raise ValueError(f"tree {number} has a number beyond all bounds")
    splits = integers["split_feature"]
    if min(splits) < 0 or max(splits) >= n_features:
        raise ValueError(f"tree {number} splits on a feature beyond the {n_features} there are")
    kinds = integers["decision_type"]
    if not _DECISION_TYPES.issuperset(kinds):
        raise ValueError(f"tree {number} has a split of an unknown kind")
    _check_children(integers["left_child"], integers["right_child"], number)


def _check_lengths(values: Mapping[str, list[str]], number: int, n_leaves: int) -> None:
    """Check that each field is as long as the leaves say; one leaf alone has no weight."""
    lengths = {
        **dict.fromkeys(_NODE_INTEGERS + _NODE_NUMBERS, n_leaves - 1),
        **dict.fromkeys(_LEAF_INTEGERS + _LEAF_NUMBERS, n_leaves),
    }
    if n_leaves == 1:
        lengths["leaf_weight"] = len(values["leaf_weight"])
        lengths["leaf_count"] = len(values["leaf_count"])
    if n_leaves < 1 or any(len(values[name]) != length for name, length in lengths.items()):
        raise ValueError(f"tree {number} has another shape than its {n_leaves} leaves need")


def _check_children(left: list[int], right: list[int], number: int) -> None:
    """Check that each node and leaf is reached once, and only from a node made before it.

    Nodes count from 0, the root; leaf i is written as -1 - i.
    """
    n_nodes = len(left)
    everything = [*range(-n_nodes - 1, 0), *range(1, n_nodes)]
    is_forward = all(
        child < 0 or child > node for side in (left, right) for node, child in enumerate(side)
    )
    if sorted(left + right) != everything or not is_forward:
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
