"""Every router by one name: the learned ones, the rules before data, the baselines."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from routerlib import artifact
from routerlib.artifact import ArtifactError
from routerlib.embedding import encode
from routerlib.lightgbm_router import LGBMRouter
from routerlib.outcomes import Outcomes
from routerlib.router import Choosing, Router, choose_arms
from routerlib.rule_router import RuleRouter
from routerlib.text_learners import Neighbours
from routerlib.types import Decision

__all__ = [
    "BestSingle",
    "KNNRouter",
    "LGBMRouter",
    "RandomRouter",
    "Router",
    "RuleRouter",
    "choose_arms",
    "load_router",
]


class KNNRouter(Router):
    """Estimate by the mean of the training prompts that are nearest in meaning.

    Parameters
    ----------
    n_neighbors : int, default=40
        Prompts that have a say, at least 1; all where there are fewer.
    temperature : float, default=0.1
        Neighbours are weighed by ``exp(cosine / temperature)``; above 0.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law"], ["small", "large"],
    ...                     quality=[[1, 0], [1, 0], [0, 1]])
    >>> KNNRouter(n_neighbors=2).fit(outcomes).route("fry an egg").model
    'small'
    """

    name = "knn"

    def __init__(self, n_neighbors: int = 40, temperature: float = 0.1) -> None:
        if n_neighbors < 1:
            raise ValueError(f"n_neighbors must be at least 1, got {n_neighbors!r}")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature!r}")
        self.n_neighbors = n_neighbors
        self.temperature = temperature

    def _learn(self, outcomes: Outcomes) -> None:
        targets = np.hstack([outcomes.quality, outcomes.cost_usd])
        self._neighbours = Neighbours.fit(
            encode(outcomes.prompts), targets, self.n_neighbors, self.temperature
        )

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        expected = self._neighbours.predict(encode(texts))
        n_models = len(self.models_)
        is_unknown = np.isnan(self.mean_cost_usd_)
        return expected[:, :n_models], np.where(is_unknown, np.nan, expected[:, n_models:])

    def _parameters(self) -> dict[str, Any]:
        return {"n_neighbors": self.n_neighbors, "temperature": self.temperature}

    def _learned(self) -> dict[str, Any]:
        return self._neighbours.to_state()

    def _restore(self, learned: Mapping[str, Any]) -> None:
        self._neighbours = Neighbours.from_state(learned)


class BestSingle(Router):
    """Expect of every prompt what the training prompts had on average.

    At cost weight 0 it always chooses the best single candidate model.

    Examples
    --------
    >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]])
    >>> BestSingle().fit(outcomes).route("c").model
    'large'
    """

    name = "best_single"

    def _learn(self, outcomes: Outcomes) -> None:
        """Nothing beyond the means."""

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        return (
            np.tile(self.mean_quality_, (len(texts), 1)),
            np.tile(self.mean_cost_usd_, (len(texts), 1)),
        )


class RandomRouter(Router):
    """Choose by chance: the baseline that shows what routing without knowledge does.

    `route` chooses every candidate with equal propensity, whatever the cost weight; the seed and
    the text decide, so that the same prompt always goes to the same one. `predict` gives NaN for
    quality, because chance estimates nothing, and mean costs.

    Parameters
    ----------
    random_state : int, default=0
        Seed.

    Examples
    --------
    >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]])
    >>> RandomRouter(random_state=0).fit(outcomes).route("c").propensity
    0.5
    """

    name = "random"

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def route(
        self,
        prompt: str,
        *,
        cost_weight: float | None = None,
        policy: Choosing | None = None,
        task: str | None = None,
    ) -> Decision:
        """Choose a candidate model for one prompt by chance.

        Parameters
        ----------
        prompt : str
            The text.
        cost_weight : float or None, default=None
            Recorded, but changes nothing.
        policy : None
            Not accepted: chance estimates nothing that a policy could weigh.
        task : str or None, default=None
            Changes nothing.

        Returns
        -------
        Decision
            With NaN for expected quality and cost.

        Raises
        ------
        ValueError
            If the router isn't fitted, or a policy is given.
        """
        if policy is not None:
            raise ValueError("RandomRouter gives no estimates for a policy; leave policy out")
        draws = self.draws([prompt])
        return Decision(
            model=self.models_[int(np.argmax(draws[0]))],
            expected_quality=float("nan"),
            expected_cost_usd=float("nan"),
            propensity=1 / len(self.models_),
            reason="chosen by chance",
            cost_weight=self.cost_weight_ if cost_weight is None else cost_weight,
            router_hash=self.router_hash_,
        )

    def draws(self, prompts: Sequence[str]) -> np.ndarray:
        """Draw uniform random numbers; the candidate with the largest is chosen.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            In [0, 1), the same for the same seed and text.
        """
        self._check_fitted()
        seeds = [zlib.crc32(text.encode("utf-8", "replace")) for text in prompts]
        rows = [
            np.random.default_rng([self.random_state, seed]).random(len(self.models_))
            for seed in seeds
        ]
        return np.array(rows).reshape(len(rows), len(self.models_))

    @property
    def chooses_by_estimates(self) -> bool:
        """Whether `route` weighs its own estimates: never, there are none."""
        return False

    def _learn(self, outcomes: Outcomes) -> None:
        """Nothing beyond the means."""

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        cost_usd = np.tile(self.mean_cost_usd_, (len(texts), 1))
        return np.full(cost_usd.shape, np.nan), cost_usd

    def _parameters(self) -> dict[str, Any]:
        return {"random_state": self.random_state}


_ROUTERS: dict[str, type[Router]] = {
    router.name: router for router in (LGBMRouter, KNNRouter, BestSingle, RandomRouter, RuleRouter)
}


def load_router(path: str | Path) -> Router:
    """Open a router file without running anything in it.

    Parameters
    ----------
    path : str or Path
        A file that `Router.save` wrote.

    Returns
    -------
    Router
        It estimates exactly as the saved one did.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArtifactError
        If it is truncated, altered, hostile, no router, or of another version.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "router_model.pkl"
    >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]])
    >>> BestSingle().fit(outcomes).save(path)
    >>> load_router(path).models_
    ('small', 'large')
    """
    state = artifact.load(path).state
    kind = state.get("kind")
    if kind not in _ROUTERS:
        raise ArtifactError(
            f"{str(path)!r} holds a router of kind {kind!r}, this routerlib knows "
            f"{', '.join(_ROUTERS)}; install the routerlib that wrote it"
        )
    try:
        router: Any = _ROUTERS[kind].from_state(state)
    except Exception as error:  # content of a foreign file may be wrong in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise ArtifactError(
            f"{str(path)!r} is altered, damaged or of another version ({reason}); "
            "train the router again"
        ) from error
    return router
