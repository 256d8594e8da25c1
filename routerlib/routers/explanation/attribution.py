"""Take a router's estimates apart into what people can read of the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from routerlib.features.names import ANY_PROMPT, FOLDED, SIMILAR, TOPIC, WORDS, readable_name
from routerlib.features.origins import word_parts
from routerlib.records.arrays import Floats
from routerlib.routers.lightgbm.reasons import Reasons
from routerlib.routers.lightgbm.router import LGBMRouter

Target = Literal["quality", "cost"]

_NO_MOVE = 1e-9


class Folded(NamedTuple):
    """Contributions to the estimates of some prompts, one column per readable feature.

    `values` (n_prompts, n_features): with ``base`` they add up to the raw estimate: log-odds
        before the pull to the candidate's mean, or the log of expected US dollars.
    `base` (n_prompts,): what is expected of the usual prompt.
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
    `words`: the part of the words, word by word.
    `similar`: the part of similar prompts, by their rows in training.
    `topic`: the one that the prompt is estimated by; None = topics have no names.
    """

    parts: dict[str, float]
    values: dict[str, float]
    words: dict[str, float]
    similar: dict[int, float]
    topic: str | None


def check_explainable(router: LGBMRouter, prompts: Sequence[str]) -> None:
    """Raise ValueError, with the way out, unless there are trees and prompts to explain."""
    if not isinstance(router, LGBMRouter):
        raise ValueError(
            f"only an LGBMRouter can be explained by SHAP, got {type(router).__name__}; "
            "its decisions carry their reason in words (Decision.reason)"
        )
    if isinstance(prompts, str) or len(prompts) == 0:
        raise ValueError(f"prompts must be a list with at least one text, got {prompts!r}")


def folded(
    router: LGBMRouter, prompts: Sequence[str], models: Sequence[str], target: Target
) -> list[Folded]:
    """Return contributions to the estimates of some candidate models, by readable feature."""
    first = router.features(prompts[:1])
    for model in models:
        router.contributions(first, model, target)  # refuses what it can't
    reasons, columns = router.reasons(prompts, None, target), router.features(prompts)
    return [_folded(router, reasons, columns, model, target) for model in models]


def _folded(
    router: LGBMRouter, reasons: Reasons, columns: Floats, model: str, target: Target
) -> Folded:
    arm = router.models_.index(model)
    speaks = np.abs(np.nan_to_num(reasons.values)).max(axis=(0, 1)) > 0
    kept = [at for at, name in enumerate(reasons.names) if name not in FOLDED or speaks[at]]
    names = tuple(reasons.names[at] for at in kept)
    data = np.full((len(columns), len(names)), np.nan)
    for position, column in enumerate(_shown_columns(router.feature_names_, names, model, target)):
        if column is not None:
            data[:, position] = columns[:, column]
    return Folded(reasons.values[:, arm][:, kept], reasons.base[:, arm], data, names)


def quality_parts(
    router: LGBMRouter, prompt: str, task: str | None, models: Sequence[str]
) -> list[Attribution]:
    """Split models' expected quality on one prompt into parts that add up exactly.

    Each contribution is multiplied by the mean slope of the calibration between the usual prompt
    and this one. All models take no longer than one.
    """
    topics = None if task is None else [task]
    reasons, columns = router.reasons([prompt], topics), router.features([prompt], topics)
    return [_quality_parts(router, prompt, reasons, columns, model) for model in models]


def _quality_parts(
    router: LGBMRouter, prompt: str, reasons: Reasons, columns: Floats, model: str
) -> Attribution:
    values, base, data, names = _folded(router, reasons, columns, model, "quality")
    arm = router.models_.index(model)
    scale = router.quality_scale(model)
    start, end = (float(scale.quality(np.array(raw))) for raw in (base[0], base[0] + values.sum()))
    total = float(values.sum())
    slope = (end - start) / total if abs(total) > _NO_MOVE else 0.0
    parts = dict(zip(names, (float(value) for value in values[0] * slope), strict=True))
    parts[ANY_PROMPT] = end - sum(parts.values())
    similar = zip(reasons.neighbours[0].tolist(), reasons.similar[0][arm] * slope, strict=True)
    return Attribution(
        parts,
        dict(zip(names, (float(value) for value in data[0]), strict=True)),
        word_parts(prompt, reasons.tokens[0][arm] * slope),
        {row: float(part) for row, part in similar},
        reasons.topics[0],
    )


def _shown_columns(
    columns: Sequence[str], names: Sequence[str], model: str, target: Target
) -> list[int | None]:
    """Choose the column whose value stands for each readable feature."""
    stands_for = {
        **dict.fromkeys(FOLDED),
        WORDS: f"words_{target}_{model}",
        SIMILAR: f"neighbours_quality_{model}",
        TOPIC: f"topic_quality_{model}",
    }
    first = {readable_name(column): column for column in reversed(columns)}
    wanted = [stands_for.get(name, first.get(name)) for name in names]
    return [columns.index(column) if column in columns else None for column in wanted]
