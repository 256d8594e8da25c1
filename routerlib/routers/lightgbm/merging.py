"""Make one LightGBM model with many outputs out of many models, so that one call asks them all.

Nine boosters take nine calls of about 20 microseconds each; their trees interleaved in one file,
as LightGBM writes a model of nine classes, take one call. Only raw scores mean anything there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

_TREE = re.compile(r"Tree=\d+\n(?P<body>.*?\n\n\n)", re.DOTALL)
_END = "end of trees\n"
# What fills an output that has fewer trees than another: a leaf alone that adds nothing.
_NOTHING = (
    "num_leaves=1\nnum_cat=0\nsplit_feature=\nsplit_gain=\nthreshold=\ndecision_type=\n"
    "left_child=\nright_child=\nleaf_value=0\nleaf_weight=\nleaf_count=\ninternal_value=\n"
    "internal_weight=\ninternal_count=\nis_linear=0\nshrinkage=1\n\n\n"
)


def merge_models(outputs: Sequence[Sequence[str]]) -> str:
    """Return one model text whose raw score k is the sum of the raw scores of ``outputs[k]``.

    `outputs`: model texts of LightGBM, each with one output and all with the same columns; at
        least one for each output.

    >>> import lightgbm as lgb
    >>> import numpy as np
    >>> from routerlib.routers.lightgbm.boosting import raw_scores, train_cost
    >>> columns = np.random.default_rng(0).random((40, 2))
    >>> parts = [train_cost(columns, columns[:, k], random_state=0) for k in (0, 1)]
    >>> merged = lgb.Booster(model_str=merge_models([[part.model_to_string()] for part in parts]))
    >>> alone = np.column_stack([raw_scores(part, columns) for part in parts])
    >>> bool(np.allclose(raw_scores(merged, columns), alone))
    True
    """
    n_outputs = len(outputs)
    by_output = [
        [tree["body"] for text in texts for tree in _TREE.finditer(text)] for texts in outputs
    ]
    bodies = [body for row in zip_longest(*by_output, fillvalue=_NOTHING) for body in row]
    return _written(outputs[0][0], bodies, n_outputs)


def single_model(merged: str, output: int) -> str:
    """Return the model text of one output of a merged model."""
    n_outputs = int(_head(merged, "num_class"))
    bodies = [tree["body"] for tree in _TREE.finditer(merged)][output::n_outputs]
    return _written(merged, bodies, 1)


def _written(head: str, bodies: Sequence[str], n_outputs: int) -> str:
    objective = "regression" if n_outputs == 1 else f"multiclass num_class:{n_outputs}"
    trees = [f"Tree={number}\n{body}" for number, body in enumerate(bodies)]
    return (
        f"tree\nversion=v4\nnum_class={n_outputs}\nnum_tree_per_iteration={n_outputs}\n"
        f"label_index=0\nmax_feature_idx={_head(head, 'max_feature_idx')}\n"
        f"objective={objective}\nfeature_names={_head(head, 'feature_names')}\n"
        f"feature_infos={_head(head, 'feature_infos')}\n"
        f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}\n\n"
        f"{''.join(trees)}{_END}"
    )


def _head(text: str, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {name} in the head of a LightGBM model text")
    return found[1]
