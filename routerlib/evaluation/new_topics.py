"""Ask of a gain whether it is one on topics that training hasn't seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from routerlib.evaluation.clauses import GAINS
from routerlib.evaluation.evaluate import Evaluation
from routerlib.evaluation.unseen import compare_splits
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.router import Router

# Draws of prompts behind the interval on new topics.
_N_DRAWS = 400


def recalled_of_new_topics(evaluation: Evaluation, metadata: Mapping[str, Any]) -> Evaluation:
    """Say of a gain what its router's training found of new topics, without training again.

    `metadata`: of the router's file, which holds its test.
    """
    told = ((metadata.get("test") or {}).get("verdict") or {}).get("numbers") or {}
    found = [told.get(f"topics_held_out_difference{end}") for end in ("", "_low", "_high")]
    if evaluation.verdict.kind not in GAINS or None in found:
        return evaluation
    import pandas as pd

    names = [f"quality_difference{end}" for end in ("", "_low", "_high")]
    splits = pd.DataFrame([found], index=["leave topics out"], columns=names)
    return evaluation.with_topics_held_out(splits)


def asked_of_new_topics(
    evaluation: Evaluation, outcomes: Outcomes, fit_router: Callable[[Outcomes], Router]
) -> Evaluation:
    """Ask of a gain whether the same training has it on topics that it hasn't seen, too.

    Nothing is asked where no gain is claimed, or labels were bought: by topic these are no sample.

    `outcomes`: all prompts. `fit_router`: trains as the evaluated router was.
    """
    if evaluation.verdict.kind not in GAINS or outcomes.inclusion is not None:
        return evaluation
    table = compare_splits(fit_router, outcomes, ways=("topic",), n_bootstrap=_N_DRAWS)
    return evaluation.with_topics_held_out(table)
