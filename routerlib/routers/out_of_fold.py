"""Remember what routers that hadn't seen a prompt expected of it and chose for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from routerlib.records.arrays import Arms, Floats, pack_array, unpack_array

_MATRICES = ("quality", "cost_usd", "topic_quality", "topic_cost_usd")
_ARMS = ("chosen", "best")
# Places of a prompt that isn't among those.
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Per training prompt, what a router gave that was trained on the other folds alone.

    So a router that is trained on all prompts can be judged on all of them.

    `prompt_ids` (n_prompts,): whose they are.
    `fold` (n_prompts,): number of the fold, from 0; whole groups stand in one.
    `quality, cost_usd` (n_prompts, n_models): estimates, in the order of the router's models.
    `topic_quality, topic_cost_usd` (n_prompts, n_models): means of the prompt's topic; NaN where
        topics aren't known.
    `chosen` (n_folds, n_prompts): column that the router of each fold chooses at its operating
        point, also for prompts that it has seen; where it would keep to its best single model, at
        the point where training saw most promise, and where the router on all prompts would, all
        at the one point where their estimates expect most.
    `best` (n_folds,): column of the best single model of each of these routers.
    """

    prompt_ids: tuple[str, ...]
    fold: Arms
    quality: Floats
    cost_usd: Floats
    topic_quality: Floats
    topic_cost_usd: Floats
    chosen: Arms
    best: Arms

    def __len__(self) -> int:
        return len(self.prompt_ids)

    @property
    def n_folds(self) -> int:
        """Routers that were trained to be judged."""
        return len(self.best)

    @property
    def arms(self) -> Arms:
        """Column that the router chooses that hasn't seen the prompt, shape (n_prompts,)."""
        return self.chosen[self.fold, np.arange(len(self))]

    @property
    def best_arms(self) -> Arms:
        """Column of that router's best single model, shape (n_prompts,)."""
        return self.best[self.fold]

    def rows_of(self, prompt_ids: Sequence[str]) -> Arms:
        """Return where prompts stand, shape (len(prompt_ids),); `UNKNOWN` = not among them."""
        row_of = {prompt_id: row for row, prompt_id in enumerate(self.prompt_ids)}
        return np.array([row_of.get(each, UNKNOWN) for each in prompt_ids], dtype=np.intp)

    def to_state(self) -> dict[str, Any]:
        """Return everything as builtins."""
        arrays = {each: pack_array(getattr(self, each)) for each in _MATRICES}
        arms = {each: getattr(self, each).tolist() for each in ("fold", *_ARMS)}
        return {"prompt_ids": list(self.prompt_ids), **arms, **arrays}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_models: int) -> Self:
        """Rebuild from `to_state`; what no router could have given is refused."""
        ids = tuple(state["prompt_ids"])
        arms = {each: np.array(state[each], dtype=np.intp) for each in ("fold", *_ARMS)}
        matrices = {each: unpack_array(state[each]) for each in _MATRICES}
        n_folds = len(arms["best"])
        shapes = {
            "fold": (len(ids),),
            "chosen": (n_folds, len(ids)),
            "best": (n_folds,),
            **dict.fromkeys(_MATRICES, (len(ids), n_models)),
        }
        if any((arms | matrices)[each].shape != shape for each, shape in shapes.items()):
            raise ValueError(
                f"choices out of fold must be {n_folds} for each of {len(ids)} prompts"
            )
        ends = {"fold": n_folds, **dict.fromkeys(_ARMS, n_models)}
        if any(((arms[each] < 0) | (arms[each] >= end)).any() for each, end in ends.items()):
            raise ValueError(f"choices out of fold must be among {n_models} models")
        everything: dict[str, Any] = {**arms, **matrices}
        return cls(prompt_ids=ids, **everything)
