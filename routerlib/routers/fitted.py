"""What every fitted router holds: its means, its operating point, its identity and its file."""

from __future__ import annotations

import hashlib
from abc import ABC
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from routerlib.records.amounts import check_amount
from routerlib.records.canonical import tagged_hash
from routerlib.routers import artifact
from routerlib.routers.held_out import HeldOut
from routerlib.routers.held_out_errors import HeldOutErrors
from routerlib.routers.out_of_fold import OutOfFold
from routerlib.routers.topic_table import TopicMeans
from routerlib.routers.usual_latencies import UsualLatencies


class Fitted(ABC):
    """Hold what was learnt and where the router stands; see `Router` for the attributes."""

    name: ClassVar[str]
    models_: tuple[str, ...]
    best_single_: str
    mean_quality_: np.ndarray
    mean_cost_usd_: np.ndarray
    topic_means_: TopicMeans | None = None
    train_prompt_ids_: tuple[str, ...]
    data_hash_: str
    cost_weight_: float
    fallback_: str | None
    training_: dict[str, Any]
    held_out_: HeldOut | None = None
    held_out_errors_: HeldOutErrors | None = None
    out_of_fold_: OutOfFold | None = None
    latencies_: UsualLatencies | None = None

    def stand_at(
        self,
        cost_weight: float,
        fallback: str | None = None,
        training: Mapping[str, Any] | None = None,
        *,
        chosen_on: Sequence[str] = (),
    ) -> Self:
        """Place the router at an operating point, which `route` keeps to.

        Nothing is learnt; another cost weight or fallback is another ``router_hash_``, since it
        decides otherwise.

        Parameters
        ----------
        cost_weight : float
            Quality given up per US dollar saved, at least 0.
        fallback : str or None, default=None
            Why to keep to the best single model, in words; None = choose by the estimates.
        training : mapping or None, default=None
            How the point was chosen, as JSON values; None = not told.
        chosen_on : sequence of str, default=()
            Identifiers of prompts that chose the point and weren't trained on; they join
            ``train_prompt_ids_``, so that nobody evaluates on them.

        Returns
        -------
        Router
            This object.

        Raises
        ------
        ValueError
            If the router isn't fitted, or the cost weight is negative or not finite.

        Examples
        --------
        >>> from routerlib.outcomes.outcomes import Outcomes
        >>> from routerlib.routers.baselines import BestSingle
        >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]],
        ...                     cost_usd=[[0.001, 0.01]] * 2)
        >>> router = BestSingle().fit(outcomes)
        >>> router.stand_at(100.0).route("c").model
        'small'
        >>> router.stand_at(100.0, fallback="no gain was seen").route("c").reason
        'keeps to large: no gain was seen'
        """
        self._check_fitted()
        check_amount("cost_weight", cost_weight)
        self.cost_weight_ = float(cost_weight)
        self.fallback_ = fallback
        self.training_ = dict(training or {})
        if chosen_on:
            self.train_prompt_ids_ = (*self.train_prompt_ids_, *chosen_on)
            self.__dict__.pop("_learnt_hash", None)
        return self

    @property
    def router_hash_(self) -> str:
        """Tagged hash of all that decides: what was learnt, cost weight and fallback.

        It is made from the content, never read from a file; so a file of an older version, whose
        description says a hash without the operating point, has one as well.
        """
        return _identity(self._learnt_hash, repr(float(self.cost_weight_)), self.fallback_)

    @cached_property
    def _learnt_hash(self) -> str:
        """Tagged hash of what was learnt, wherever the router stands."""
        state = self.to_state()
        for name in ("cost_weight", "fallback", "training", "held_out_errors", "out_of_fold"):
            del state[name]
        if state["latencies"] is None:  # so it stays the hash that older versions logged
            del state["latencies"]
        return tagged_hash(_hashable(state))

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
        """Write the router to a file that is safe to open, and its description beside it.

        Parameters
        ----------
        path : str or Path
            Such as ``data/router_model.pkl``; ``router_model.json`` is written beside it.
        metadata : mapping or None, default=None
            JSON values to add to the description.
        """
        self._check_fitted()
        artifact.save(self.to_state(), path, {**self._description(), **(metadata or {})})

    def to_state(self) -> dict[str, Any]:
        """Return the fitted router as plain builtins."""
        self._check_fitted()
        return {
            "kind": self.name,
            "models": list(self.models_),
            "best_single": self.best_single_,
            "mean_quality": [float(value) for value in self.mean_quality_],
            "mean_cost_usd": [float(value) for value in self.mean_cost_usd_],
            "topic_means": None if self.topic_means_ is None else self.topic_means_.to_state(),
            "train_prompt_ids": list(self.train_prompt_ids_),
            "data_hash": self.data_hash_,
            "cost_weight": float(self.cost_weight_),
            "fallback": self.fallback_,
            "training": self.training_,
            "held_out_errors": self.held_out_errors_ and self.held_out_errors_.to_state(),
            "out_of_fold": None if self.out_of_fold_ is None else self.out_of_fold_.to_state(),
            "latencies": None if self.latencies_ is None else self.latencies_.to_state(),
            "parameters": self._parameters(),
            "learned": self._learned(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], encoder: Any = None) -> Self:
        """Rebuild a fitted router from `to_state`; an encoder of one's own is given again."""
        router = cls(**state["parameters"])
        if encoder is not None:
            if not hasattr(router, "encoder"):
                raise ValueError(f"a {cls.__name__} has no neural encoder; leave encoder out")
            router.encoder = encoder
        router.models_ = tuple(state["models"])
        router.best_single_ = state["best_single"]
        router.mean_quality_ = np.array(state["mean_quality"], dtype=float)
        router.mean_cost_usd_ = np.array(state["mean_cost_usd"], dtype=float)
        known = state.get("topic_means")  # files of older versions have none
        router.topic_means_ = (
            None if known is None else TopicMeans.from_state(known, router.models_)
        )
        errors = state.get("held_out_errors")  # files of older versions have none
        router.held_out_errors_ = (
            None if errors is None else HeldOutErrors.from_state(errors, len(router.models_))
        )
        chosen = state.get("out_of_fold")  # files of older versions have none
        router.out_of_fold_ = (
            None if chosen is None else OutOfFold.from_state(chosen, len(router.models_))
        )
        seconds = state.get("latencies")  # files of older versions have none
        router.latencies_ = (
            None if seconds is None else UsualLatencies.from_state(seconds, len(router.models_))
        )
        router.train_prompt_ids_ = tuple(state["train_prompt_ids"])
        router.data_hash_ = state["data_hash"]
        router.stand_at(state["cost_weight"], state["fallback"], state["training"])
        router._restore(state["learned"])
        return router

    def _check_fitted(self) -> None:
        if not hasattr(self, "models_"):
            raise ValueError(f"this {type(self).__name__} isn't fitted; call fit(outcomes) first")

    def _description(self) -> dict[str, Any]:
        return {
            "kind": self.name,
            "router_hash": self.router_hash_,
            "candidates": list(self.models_),
            "best_single": self.best_single_,
            "data_hash": self.data_hash_,
            "n_train_prompts": len(self.train_prompt_ids_),
            "cost_weight": float(self.cost_weight_),
            "fallback": self.fallback_,
            "training": self.training_,
            "features": [],
        }

    def _parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments as builtins."""
        return {}

    def _learned(self) -> dict[str, Any]:
        """Return what was learnt beyond the common attributes, as builtins."""
        return {}

    def _restore(self, learned: Mapping[str, Any]) -> None:
        """Take back what `_learned` returned; nothing by default."""
        del learned


@lru_cache(maxsize=64)  # each decision says it
def _identity(learnt_hash: str, cost_weight: str, fallback: str | None) -> str:
    return tagged_hash([learnt_hash, float(cost_weight), fallback])


def _hashable(value: Any) -> Any:
    if isinstance(value, bytes):
        return hashlib.blake2b(value, digest_size=16).hexdigest()
    if isinstance(value, dict):
        return {key: _hashable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hashable(item) for item in value]
    return value
