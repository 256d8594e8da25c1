"""LGBMRouter: per candidate model, boosted trees estimate quality and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import lightgbm as lgb
import numpy as np

from routerlib.arrays import pack_array, unpack_array
from routerlib.boosting import (
    MIN_ROWS_FOR_TREES,
    log_cost_usd,
    raw_scores,
    train_classifier,
    train_cost,
    train_quality,
)
from routerlib.embedding import Encoded, encode
from routerlib.features import PromptFeatures, texts_of
from routerlib.model_text import open_booster
from routerlib.outcomes import Outcomes
from routerlib.router import Router
from routerlib.scaling import LogOddsScale, TopicShift, log_odds, shrunk_mean
from routerlib.splits import grouped_folds
from routerlib.text_learners import Neighbours, WordRegression

Objective = Literal["quality", "best_model"]

_MIN_ROWS_FOR_STACK = 40


class LGBMRouter(Router):
    """Estimate quality and cost by LightGBM, one booster each per candidate model.

    Quality boosters have soft labels (objective ``cross_entropy``) and strong regularisation.
    They see the prompt features and, from 40 prompts on, out-of-fold estimates of simpler
    learners: a ridge regression on the wording and a nearest-neighbour mean. Their log-odds are
    scaled by a slope and an offset fitted out of fold (Platt), so that a candidate whose quality
    can't be told from the prompt gets its mean. Cost boosters predict log cost and are scaled to
    the mean cost. A known topic shifts quality by the out-of-fold residual of that topic,
    shrunk by its number of prompts.

    Parameters
    ----------
    random_state : int, default=0
        Seed; the same outcomes and seed give the same file, byte for byte.
    objective : {"quality", "best_model"}, default="quality"
        ``best_model`` is the classic baseline: one classifier of the label "best candidate"
        (ties go to the cheaper); its class probability stands in for quality.
    n_components : int, default=32
        Columns of the embedding.
    is_stacked : bool, default=True
        Whether the simpler learners' estimates are features.

    Attributes
    ----------
    feature_names_ : tuple of str
        Columns of `features`.

    Notes
    -----
    With ``objective="quality"`` the raw score of a quality booster is the log-odds of a right
    answer before scaling; expected quality is ``w * sigmoid(slope * raw + offset) + (1 - w) *
    pooled mean`` with w = n / (n + 5) for n observed prompts.

    Examples
    --------
    >>> outcomes = Outcomes([f"Add {i} and {i + 1}" for i in range(8)], ["small", "large"],
    ...                     quality=[[0, 1]] * 8, cost_usd=[[0.001, 0.01]] * 8)
    >>> router = LGBMRouter(random_state=0).fit(outcomes)
    >>> router.route("Add 3 and 9").model, router.predict(["Add 3 and 9"]).cost_usd.round(4)
    ('large', array([[0.001, 0.01 ]]))
    """

    name = "lightgbm"

    def __init__(
        self,
        random_state: int = 0,
        objective: Objective = "quality",
        *,
        n_components: int = 32,
        is_stacked: bool = True,
    ) -> None:
        if objective not in ("quality", "best_model"):
            raise ValueError(f"objective must be 'quality' or 'best_model', got {objective!r}")
        self.random_state = random_state
        self.objective = objective
        self.n_components = n_components
        self.is_stacked = is_stacked

    def features(self, prompts: Sequence[str], topics: Sequence[str] | None = None) -> np.ndarray:
        """Return the numbers that the boosters see.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Not used: a known topic acts after the boosters.

        Returns
        -------
        ndarray of shape (n_prompts, n_features)
            In the order of `feature_names_`.
        """
        self._check_fitted()
        return self._columns(texts_of(prompts))

    def booster(self, model: str, target: Literal["quality", "cost"] = "quality") -> lgb.Booster:
        """Return the booster of one candidate model.

        Parameters
        ----------
        model : str
            Candidate name.
        target : {"quality", "cost"}, default="quality"
            Raw score: log-odds of quality before scaling, or log of cost in US dollars.

        Returns
        -------
        lightgbm.Booster
            Its columns are those of `features`.

        Raises
        ------
        ValueError
            If the candidate is unknown, or there is no such booster.
        """
        self._check_fitted()
        if model not in self.models_:
            raise ValueError(f"model must be one of {', '.join(self.models_)}, got {model!r}")
        if target == "quality" and self.objective == "best_model":
            raise ValueError(
                "objective='best_model' has one booster for all candidates, "
                "not one each; use objective='quality'"
            )
        boosters = self._quality if target == "quality" else self._cost
        booster = boosters[self.models_.index(model)]
        if booster is None:
            raise ValueError(f"no cost of {model!r} was seen in training")
        return booster

    def contributions(
        self,
        columns: np.ndarray,
        model: str,
        target: Literal["quality", "cost"] = "quality",
    ) -> np.ndarray:
        """Take a candidate's raw estimates apart by TreeSHAP.

        Parameters
        ----------
        columns : ndarray of shape (n_prompts, n_features)
            From `features`.
        model : str
            Candidate name.
        target : {"quality", "cost"}, default="quality"
            Which estimate.

        Returns
        -------
        ndarray of shape (n_prompts, n_features + 1)
            In the order of `feature_names_`, the base last. Rows add up to the raw score:
            log-odds of quality, or log US dollars, before scaling.

        Raises
        ------
        ValueError
            If the candidate is unknown, or there is no such booster.
        """
        booster = self.booster(model, target)
        return np.asarray(booster.predict(columns, pred_contrib=True, num_threads=1))

    def nearest(self, prompts: Sequence[str], k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Find the training prompts nearest in meaning.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Any texts.
        k : int, default=5
            How many for each; fewer when fewer were seen in training.

        Returns
        -------
        tuple of ndarray, both of shape (n_prompts, k)
            Indices into ``train_prompt_ids_``, the nearest first, and cosine similarities. Of
            shape (n_prompts, 0) when the router was trained on too few prompts to keep them.
        """
        self._check_fitted()
        texts = texts_of(prompts)
        if self._neighbours is None:
            return np.zeros((len(texts), 0), dtype=int), np.zeros((len(texts), 0))
        return self._neighbours.nearest(encode(texts), k)

    def train_quality(self, rows: np.ndarray) -> np.ndarray:
        """Return observed quality of training prompts, shape (n_rows, n_models), NaN = unknown."""
        self._check_fitted()
        if self._neighbours is None:
            return np.full((len(rows), len(self.models_)), np.nan)
        return self._neighbours.targets[np.asarray(rows, dtype=int)]

    def quality_scale(self, model: str) -> LogOddsScale:
        """Return how a candidate's raw score becomes expected quality."""
        self._check_fitted()
        return self._scales[self.models_.index(model)]

    def _learn(self, outcomes: Outcomes) -> None:
        encoded = encode(outcomes.prompts)
        self._features = PromptFeatures(n_components=self.n_components)
        self._features.fit_encoded(outcomes.prompts, encoded)
        folds = _folds(outcomes, self.random_state)
        columns = np.hstack(
            [
                self._features.transform_encoded(outcomes.prompts, encoded),
                self._learn_stack(outcomes, encoded, folds),
            ]
        )
        self._learn_cost(columns, outcomes.cost_usd)
        self._topic_shift = TopicShift({})
        if self.objective == "best_model":
            self._learn_best_model(columns, outcomes)
        else:
            self._learn_quality(columns, outcomes, folds)

    def _learn_stack(self, outcomes: Outcomes, encoded: Encoded, folds: np.ndarray) -> np.ndarray:
        """Fit the simpler learners; return their out-of-fold columns, shape (n_prompts, any)."""
        self._words: WordRegression | None = None
        self._neighbours: Neighbours | None = None
        if not self.is_stacked or len(outcomes) < _MIN_ROWS_FOR_STACK or folds.max() < 1:
            return np.zeros((len(outcomes), 0))
        has_cost = np.isfinite(outcomes.cost_usd).any(axis=0)
        log_cost = log_cost_usd(outcomes.cost_usd)[:, has_cost]
        self._costed = [int(arm) for arm in np.flatnonzero(has_cost)]
        targets = np.hstack([outcomes.quality, log_cost])
        self._words, word_columns = WordRegression.fit_out_of_fold(
            encoded, targets, folds, self.random_state
        )
        self._neighbours = Neighbours.fit(encoded, outcomes.quality)
        return np.hstack([word_columns, self._neighbours.predict_out_of_fold(folds)])

    def _learn_quality(self, columns: np.ndarray, outcomes: Outcomes, folds: np.ndarray) -> None:
        quality = outcomes.quality
        pooled = shrunk_mean(quality, 0.5)
        plain, seed = self._features.n_features_out_, self.random_state
        expected = np.full(quality.shape, np.nan)
        self._quality, self._scales = [], []
        for arm in range(quality.shape[1]):
            labels = quality[:, arm]
            is_seen = np.isfinite(labels)
            raw = self._raw_out_of_fold(columns[is_seen], labels[is_seen], folds[is_seen])
            scale = LogOddsScale.fit(raw, labels[is_seen], pooled)
            expected[is_seen, arm] = scale.quality(raw)
            self._scales.append(scale)
            self._quality.append(train_quality(columns[is_seen], labels[is_seen], plain, seed))
        if outcomes.topics is not None:
            self._topic_shift = TopicShift.fit(outcomes.topics, quality - expected)

    def _raw_out_of_fold(
        self, columns: np.ndarray, labels: np.ndarray, folds: np.ndarray
    ) -> np.ndarray:
        plain, seed = self._features.n_features_out_, self.random_state
        raw = np.full(len(labels), log_odds(shrunk_mean(labels, 0.5)))
        if len(labels) < MIN_ROWS_FOR_TREES:
            return raw
        for fold in np.unique(folds):
            is_held_out = folds == fold
            if not is_held_out.all():
                booster = train_quality(columns[~is_held_out], labels[~is_held_out], plain, seed)
                raw[is_held_out] = raw_scores(booster, columns[is_held_out])
        return raw

    def _learn_best_model(self, columns: np.ndarray, outcomes: Outcomes) -> None:
        from sklearn.preprocessing import LabelEncoder

        rows, names = _best_labels(outcomes)
        encoder = LabelEncoder().fit(names)
        self._classes = [self.models_.index(name) for name in encoder.classes_]
        self._quality, self._scales = [], []
        self._classifier: lgb.Booster | None = None
        if len(self._classes) > 1:
            self._classifier = train_classifier(
                columns[rows],
                encoder.transform(names),
                self._features.n_features_out_,
                self.random_state,
            )

    def _learn_cost(self, columns: np.ndarray, cost_usd: np.ndarray) -> None:
        logs = log_cost_usd(cost_usd)
        self._cost: list[lgb.Booster | None] = []
        self._smear = np.ones(cost_usd.shape[1])
        for arm, known in enumerate(np.isfinite(cost_usd).T):
            if not known.any():
                self._cost.append(None)
                continue
            booster = train_cost(columns[known], logs[known, arm], self.random_state)
            # exp(mean of logs) lies under the mean: scale to the mean that was paid.
            typical = np.exp(raw_scores(booster, columns[known])).mean()
            self._smear[arm] = cost_usd[known, arm].mean() / typical
            self._cost.append(booster)

    def _columns(self, texts: Sequence[str]) -> np.ndarray:
        encoded = encode(texts)
        columns = [self._features.transform_encoded(texts, encoded)]
        if self._words is not None and self._neighbours is not None:
            columns += [self._words.predict(encoded), self._neighbours.predict(encoded)]
        return np.hstack(columns)

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        columns = self._columns(texts)
        quality = self._expected_quality(columns)
        if topics is not None:
            quality = np.clip(quality + self._topic_shift.rows(topics, len(self.models_)), 0, 1)
        cost_usd = np.full(quality.shape, np.nan)
        for arm, booster in enumerate(self._cost):
            if booster is not None:
                cost_usd[:, arm] = np.exp(raw_scores(booster, columns)) * self._smear[arm]
        return quality, cost_usd

    def _expected_quality(self, columns: np.ndarray) -> np.ndarray:
        quality = np.zeros((len(columns), len(self.models_)))
        if self.objective == "best_model":
            shares = (
                1.0
                if self._classifier is None
                else self._classifier.predict(columns, num_threads=1)
            )
            quality[:, self._classes] = shares
            return quality
        for arm, booster in enumerate(self._quality):
            quality[:, arm] = self._scales[arm].quality(raw_scores(booster, columns))
        return quality

    @property
    def feature_names_(self) -> tuple[str, ...]:
        """Names of the columns of `features`."""
        self._check_fitted()
        names = [str(name) for name in self._features.get_feature_names_out()]
        if self._words is not None:
            names += [f"words_quality_{model}" for model in self.models_]
            names += [f"words_cost_{self.models_[arm]}" for arm in self._costed]
            names += [f"neighbours_quality_{model}" for model in self.models_]
        return tuple(names)

    def _description(self) -> dict[str, Any]:
        return {
            **super()._description(),
            "objective": self.objective,
            "features": list(self.feature_names_),
        }

    def _parameters(self) -> dict[str, Any]:
        return {
            "random_state": self.random_state,
            "objective": self.objective,
            "n_components": self.n_components,
            "is_stacked": self.is_stacked,
        }

    def _learned(self) -> dict[str, Any]:
        is_classic = self.objective == "best_model"
        classifier = self._classifier if is_classic else None
        return {
            "features": self._features.to_state(),
            "words": None if self._words is None else self._words.to_state(),
            "neighbours": None if self._neighbours is None else self._neighbours.to_state(),
            "costed": self._costed if self._words is not None else [],
            "quality": [booster.model_to_string() for booster in self._quality],
            "scales": [scale.to_state() for scale in self._scales],
            "classes": self._classes if is_classic else [],
            "classifier": None if classifier is None else classifier.model_to_string(),
            "cost": [b if b is None else b.model_to_string() for b in self._cost],
            "smear": pack_array(self._smear),
            "topic_shift": self._topic_shift.to_state(),
        }

    def _restore(self, learned: Mapping[str, Any]) -> None:
        words, neighbours = learned["words"], learned["neighbours"]
        classifier = learned["classifier"]
        self._features = PromptFeatures.from_state(learned["features"])
        self._words = None if words is None else WordRegression.from_state(words)
        self._neighbours = None if neighbours is None else Neighbours.from_state(neighbours)
        self._costed = learned["costed"]
        n_features = len(self.feature_names_)
        self._quality = [open_booster(text, n_features) for text in learned["quality"]]
        self._scales = [LogOddsScale(**scale) for scale in learned["scales"]]
        self._classes = learned["classes"]
        self._classifier = (
            None if classifier is None else open_booster(classifier, n_features, len(self._classes))
        )
        self._cost = [t if t is None else open_booster(t, n_features) for t in learned["cost"]]
        self._smear = unpack_array(learned["smear"])
        self._topic_shift = TopicShift.from_state(learned["topic_shift"])


def _folds(outcomes: Outcomes, random_state: int, n_folds: int = 5) -> np.ndarray:
    """Deal near-duplicate groups into folds; all zeros when there is one group only."""
    n_groups = len(np.unique(outcomes.groups))
    if n_groups < 2:
        return np.zeros(len(outcomes), dtype=int)
    return grouped_folds(outcomes.groups, min(n_folds, n_groups), random_state)


def _best_labels(outcomes: Outcomes) -> tuple[np.ndarray, list[str]]:
    """Return the rows that can be compared, and the best candidate's name on each."""
    n_seen = np.isfinite(outcomes.quality).sum(axis=1)
    rows = np.flatnonzero(n_seen == len(outcomes.models))
    if len(rows) == 0:
        rows = np.flatnonzero(n_seen == n_seen.max())
    quality = np.nan_to_num(outcomes.quality[rows], nan=-1.0)
    cost_usd = np.nan_to_num(outcomes.mean_cost_usd, nan=np.inf)
    best = np.lexsort((np.broadcast_to(cost_usd, quality.shape), -quality), axis=1)[:, 0]
    return rows, [outcomes.models[arm] for arm in best]
