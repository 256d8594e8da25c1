"""Take a router's estimates apart: SHAP values of its trees, folded into readable features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from routerlib.features.names import (
    ANY_PROMPT,
    MEANING,
    NETWORK,
    SIMILAR,
    TOPIC,
    WORDING,
    readable_name,
)
from routerlib.records.arrays import Floats
from routerlib.routers.lightgbm.router import LGBMRouter

Target = Literal["quality", "cost"]

_NO_MOVE = 1e-9


class Folded(NamedTuple):
    """SHAP values of some prompts, one column per readable feature.

    `values` (n_prompts, n_features): with ``base`` they add up to the raw estimate: log-odds
        before the pull to the candidate's mean, or the log of expected US dollars.
    `base` (n_prompts,): what is expected before the prompt is read.
    `data` (n_prompts, n_features): the features' own values; NaN where a folded one has no
        single value.
    `names` (length n_features): as people call them.
    """

    values: Floats
    base: Floats
    data: Floats
    names: tuple[str, ...]


class Attribution(NamedTuple):
    """Expected quality of one candidate model on one prompt, feature by feature.

    `values`: the features' own values; NaN where there is no single one.
    """

    parts: dict[str, float]
    values: dict[str, float]


def check_explainable(router: LGBMRouter, prompts: Sequence[str]) -> None:
    """Raise ValueError, with the way out, unless there are trees and prompts to explain."""
    if not isinstance(router, LGBMRouter):
        raise ValueError(
            f"only an LGBMRouter can be explained by SHAP, got {type(router).__name__}; "
            "its decisions carry their reason in words (Decision.reason)"
        )
    if isinstance(prompts, str) or len(prompts) == 0:
        raise ValueError(f"prompts must be a list with at least one text, got {prompts!r}")


def folded(router: LGBMRouter, columns: Floats, model: str, target: Target) -> Folded:
    """Return SHAP values of one candidate model's estimate, folded into readable features.

    `columns` (n_prompts, n_columns): from ``router.features(prompts)``.
    """
    return _folded(router, columns, router.contributions(columns, model, target), model, target)


def _folded(router: LGBMRouter, columns: Floats, raw: Floats, model: str, target: Target) -> Folded:
    readable = [readable_name(name) for name in router.feature_names_]
    names = tuple(dict.fromkeys(readable))
    belongs = np.array([[name == group for group in names] for name in readable], dtype=float)
    data = np.full((len(columns), len(names)), np.nan)
    for position, column in enumerate(_shown_columns(router.feature_names_, names, model, target)):
        if column is not None:
            data[:, position] = columns[:, column]
    return Folded(raw[:, :-1] @ belongs, raw[:, -1], data, names)


def quality_parts(router: LGBMRouter, columns: Floats, models: Sequence[str]) -> list[Attribution]:
    """Split models' expected quality on one prompt into parts that add up exactly.

    Each SHAP value is multiplied by the mean slope of the calibration between the average prompt
    and this one. All models take no longer than one.

    `columns` (1, n_columns): from ``router.features([prompt])``.
    """
    raw = router.contributions_all(columns)
    arms = [router.models_.index(model) for model in models]
    return [
        _quality_parts(router, model, _folded(router, columns, raw[:, arm], model, "quality"))
        for model, arm in zip(models, arms, strict=True)
    ]


def _quality_parts(router: LGBMRouter, model: str, folded: Folded) -> Attribution:
    values, base, data, names = folded
    scale = router.quality_scale(model)
    start, end = (float(scale.quality(np.array(raw))) for raw in (base[0], base[0] + values.sum()))
    total = float(values.sum())
    slope = (end - start) / total if abs(total) > _NO_MOVE else 0.0
    parts = dict(zip(names, (float(value) for value in values[0] * slope), strict=True))
    parts[ANY_PROMPT] = end - sum(parts.values())
    return Attribution(parts, dict(zip(names, (float(value) for value in data[0]), strict=True)))


def _shown_columns(
    columns: Sequence[str], names: Sequence[str], model: str, target: Target
) -> list[int | None]:
    """Choose the column whose value stands for each readable feature."""
    stands_for = {
        MEANING: None,
        WORDING: f"words_{target}_{model}",
        SIMILAR: f"neighbours_quality_{model}",
        TOPIC: f"topic_quality_{model}",
        NETWORK: f"network_quality_{model}",
    }
    first = {readable_name(column): column for column in reversed(columns)}
    wanted = [stands_for.get(name, first[name]) for name in names]
    return [columns.index(column) if column in columns else None for column in wanted]
