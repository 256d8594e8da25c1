"""What users of scikit-learn rely on: parameters, a score, and an estimator that shows itself."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.decision import Estimates
from routerlib.records.shown import shown_html


class Estimator(ABC):
    """Give a router scikit-learn's methods; scikit-learn itself is only asked where it asks."""

    models_: tuple[str, ...]
    best_single_: str
    mean_quality_: np.ndarray
    mean_cost_usd_: np.ndarray
    train_prompt_ids_: tuple[str, ...]
    cost_weight_: float
    fallback_: str | None

    @abstractmethod
    def predict(self, prompts: Sequence[str]) -> Estimates:
        """Estimate quality and cost of every candidate on every prompt."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments, as scikit-learn asks for them.

        Parameters
        ----------
        deep : bool, default=True
            Makes no difference: a router holds no other estimator.

        Returns
        -------
        dict of str to object
            By name.

        Examples
        --------
        >>> from routerlib.routers.rivals import KNNRouter
        >>> KNNRouter(n_neighbors=5).get_params()["n_neighbors"]
        5
        """
        del deep
        return {name: getattr(self, name) for name in _parameter_names(type(self))}

    def set_params(self, **parameters: Any) -> Self:
        """Set some of the constructor's arguments; what was learnt is not touched.

        Parameters
        ----------
        **parameters : object
            By name; each is checked as the constructor does.

        Returns
        -------
        Router
            This object.

        Raises
        ------
        ValueError
            If a name is unknown, or a value is refused.

        Examples
        --------
        >>> from routerlib.routers.rivals import KNNRouter
        >>> KNNRouter().set_params(n_neighbors=5).n_neighbors
        5
        """
        known = self.get_params()
        for name in parameters:
            if name not in known:
                raise ValueError(
                    f"a {type(self).__name__} has no parameter {name!r}, it has "
                    f"{', '.join(known) or 'none'}"
                )
        checked = type(self)(**{**known, **parameters})
        for name in parameters:
            setattr(self, name, getattr(checked, name))
        return self

    def score(self, outcomes: Outcomes, y: None = None) -> float:
        """Return the mean utility of what is chosen: ``quality - cost_weight_ * cost_usd``.

        A quick figure without an interval, for model selection; `evaluate` says what it is worth.

        Parameters
        ----------
        outcomes : Outcomes
            Of the router's candidates. Prompts that it has learnt from are left out, and those on
            which some candidate has no quality (or, where cost is weighed, no cost).
        y : None
            Takes the place that scikit-learn gives to targets; outcomes hold them.

        Returns
        -------
        float
            At the operating point, or of the best single model where the router keeps to it.

        Raises
        ------
        ValueError
            If no prompt is left, or a candidate is missing.

        Examples
        --------
        >>> from routerlib.outcomes.worlds import make_world
        >>> from routerlib.routers.baselines import BestSingle
        >>> train, test = make_world(n_prompts=80, seed=1).outcomes.split()
        >>> 0 < BestSingle().fit(train).score(test) < 1
        True
        """
        del y
        left = outcomes.of_models(self.models_).without(self.train_prompt_ids_).complete()
        if self.cost_weight_:
            left = left.take(np.isfinite(left.cost_usd).all(axis=1))
        if not len(left):
            raise ValueError(
                f"no prompt is left to score on, of {len(outcomes)}: all were learnt from, or lack "
                "a quality or a cost; score on outcomes that were held out"
            )
        arms = np.full(len(left), self.models_.index(self.best_single_))
        if self.fallback_ is None:
            arms = choose_arms(self.predict(left.prompts), self.cost_weight_)
        rows = np.arange(len(left))
        weighed = self.cost_weight_ * left.cost_usd[rows, arms] if self.cost_weight_ else 0.0
        return float((left.quality[rows, arms] - weighed).mean())

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that there is no separate target."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    def __repr__(self) -> str:
        given = ", ".join(
            f"{name}={getattr(self, name)!r}"
            for name, default in _defaults(type(self)).items()
            if getattr(self, name) is not default and getattr(self, name) != default
        )
        return f"{type(self).__name__}({given})"

    def _repr_html_(self) -> str:
        if not hasattr(self, "models_"):
            return shown_html(f"{self!r}, not fitted")
        rows = [
            {
                "model": name,
                "quality": float(self.mean_quality_[arm]),
                "cost_usd": float(self.mean_cost_usd_[arm]),
                "best single": "yes" if name == self.best_single_ else "",
            }
            for arm, name in enumerate(self.models_)
        ]
        stands = f"cost weight {self.cost_weight_:.4g}"
        if self.fallback_ is not None:
            stands = f"keeps to {self.best_single_}: {self.fallback_}"
        learnt = f"learnt from {len(self.train_prompt_ids_)} prompts, means on them"
        return shown_html(f"{self!r}, {stands}; {learnt}", rows)


def _parameters_of(kind: type) -> list[inspect.Parameter]:
    initialise: Callable[..., None] = kind.__init__  # type: ignore[misc]
    if initialise is object.__init__:
        return []
    return list(inspect.signature(initialise).parameters.values())[1:]


def _parameter_names(kind: type) -> list[str]:
    return [each.name for each in _parameters_of(kind)]


def _defaults(kind: type) -> dict[str, Any]:
    return {each.name: each.default for each in _parameters_of(kind)}
