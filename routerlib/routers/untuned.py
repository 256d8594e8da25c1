"""UntunedLGBMRouter: what LightGBM does with an embedding when nothing is tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.learners.stack import QualityLearner
from routerlib.features.text_space import Place
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import merge_models, read_trees
from routerlib.routers.rivals import LearnerRouter

# As many main directions as the embedding group of `PromptFeatures` has by default.
_DIMENSIONS = 32
# What makes a file the same each time, and nothing else: all that decides quality is LightGBM's.
_SAME_EACH_TIME: dict[str, Any] = {
    "objective": "regression",
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


class UntunedTrees:
    """One booster per candidate, kept and asked as one model."""

    def __init__(self, text: str, n_columns: int, n_models: int) -> None:
        self.text = text
        self.n_columns = n_columns
        self.n_models = n_models
        self._scorer = Scorer(read_trees(text, n_columns, n_models), n_models)

    @classmethod
    def fit(cls, place: Place, quality: np.ndarray, random_state: int) -> Self:
        """Train on quality of shape (n_prompts, n_models), NaN = not observed."""
        import lightgbm as lgb

        columns = place.coordinates[:, :_DIMENSIONS].astype(float)
        settings = {**_SAME_EACH_TIME, "seed": random_state}
        texts = []
        for observed in quality.T:
            seen = np.isfinite(observed)
            table = lgb.Dataset(columns[seen], label=observed[seen], params=settings)
            texts.append([lgb.train(settings, table).model_to_string()])
        return cls(merge_models(texts), columns.shape[1], quality.shape[1])

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models)."""
        return self._scorer.raw(place.coordinates[:, : self.n_columns])

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"text": self.text, "n_columns": self.n_columns, "n_models": self.n_models}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(state["text"], state["n_columns"], state["n_models"])


class UntunedLGBMRouter(LearnerRouter):
    """Estimate by one booster per candidate on the embedding, at LightGBM's default settings.

    What anybody would try first: 100 trees of 31 leaves at a learning rate of 0.1, squared error,
    on the 32 main directions of `PromptFeatures`. It shows what tuning, simpler learners and
    shrinking add in `LGBMRouter`.

    Parameters
    ----------
    random_state : int, default=0
        Seed of training.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    References
    ----------
    G. Ke et al., LightGBM: a highly efficient gradient boosting decision tree, NeurIPS 2017.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law", "tax forms"] * 20,
    ...                     ["small", "large"], quality=[[1, 0], [1, 0], [0, 1], [0, 1]] * 20)
    >>> UntunedLGBMRouter().fit(outcomes).route("tax law").model
    'large'
    """

    name = "lightgbm_untuned"
    _learner = UntunedTrees

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        return UntunedTrees.fit(place, outcomes.quality, self.random_state)
