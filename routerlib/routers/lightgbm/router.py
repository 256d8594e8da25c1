"""LGBMRouter: boosted trees, blended with simpler learners, estimate quality and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Self

import numpy as np

from routerlib.features.encoders import EncoderChoice
from routerlib.features.inputs import log_cost_usd
from routerlib.features.learners.folds import folds_of
from routerlib.features.learners.log_odds import TopicShift
from routerlib.features.prompt_columns import GROUPS, PromptColumns
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.canonical import tagged_hash
from routerlib.records.decision import Estimates, Latencies
from routerlib.routers.held_out import HeldOut
from routerlib.routers.lightgbm.addition import Addition, mean_log
from routerlib.routers.lightgbm.binned import BinnedRows, RowsOf
from routerlib.routers.lightgbm.blend import Blend
from routerlib.routers.lightgbm.boosters import train_classifier
from routerlib.routers.lightgbm.boosting import boost
from routerlib.routers.lightgbm.contributions import ExplainedRouter, Objective
from routerlib.routers.lightgbm.fit_blend import begin_out_of_fold, fit_blend
from routerlib.routers.lightgbm.labels import best_labels, have_few_labels
from routerlib.routers.lightgbm.latency_trees import LatencyTrees
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import read_trees
from routerlib.routers.lightgbm.trees import N_BAGS, CostTrees, QualityTrees
from routerlib.routers.usual_latencies import UsualLatencies


class LGBMRouter(ExplainedRouter):
    """Estimate quality and cost of every candidate model by boosted trees and simpler learners.

    The trees (LightGBM, soft labels, strongly regularised) see the columns of `PromptFeatures`:
    surface, task, meaning, and out-of-fold estimates of a ridge regression, nearest neighbours,
    topic means and a small network. The log-odds of all of them are blended, from coarse to fine:
    how good a candidate is, how hard the prompt, who differs on it; `Blend` tells how far each step
    is believed, and why noise is worth little. Topics are those of the log: told
    to `predict`, or detected by a classifier learnt from the log. Trees of log cost are scaled to
    what was paid, out of fold.

    A candidate with few labels beside well-known ones, or added later, is estimated from what is
    expected of the others (`Addition`).

    Parameters
    ----------
    random_state : int, default=0
        Seed; the same outcomes and seed give the same file, byte for byte.
    objective : {"quality", "best_model"}, default="quality"
        ``best_model`` is the classic baseline: one classifier of the label "best candidate"
        (ties go to the cheaper); its class probability stands in for quality.
    n_components : int, default=16
        Columns of the embedding.
    groups : sequence of str, default=GROUPS
        Groups of columns, as of `PromptFeatures`.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`. A saved router keeps a name; a
        function must be handed over again: ``load_router(path, encoder=...)``.

    Attributes
    ----------
    feature_names_ : tuple of str
        Columns of `features`.

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
        n_components: int = 16,
        groups: Sequence[str] = GROUPS,
        encoder: EncoderChoice = None,
    ) -> None:
        if objective not in ("quality", "best_model"):
            raise ValueError(f"objective must be 'quality' or 'best_model', got {objective!r}")
        self.random_state = random_state
        self.objective = objective
        self.n_components = n_components
        self.groups = tuple(groups)
        self.encoder = encoder

    def quality_interval(
        self, prompts: Sequence[str], topics: Sequence[str] | None = None, level: float = 0.9
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return an interval of expected quality (not of a single outcome).

        Its width is how far the blended learners disagree, and how far they were off together on
        topics of the training prompts, out of fold. It holds the truth as often as it says only on
        prompts like those of the training, and on average over them: it knows nothing of a
        prompt unlike all of them.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Known topics.
        level : float, default=0.9
            Wanted coverage, in (0, 1).

        Returns
        -------
        tuple (low, high) of ndarray of shape (n_prompts, n_models)
            In [0, 1]; NaN for a candidate that has no estimate of its own.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie in (0, 1), got {level!r}")
        self._check_fitted()
        shape = (len(prompts), len(self.models_))
        low, high = np.full(shape, np.nan), np.full(shape, np.nan)
        if self.objective == "quality" and len(prompts):
            parts = self._parts(self.features(prompts, topics))
            is_told = self._features.are_known(topics, len(prompts))
            for blend, rows in ((self._blend, ~is_told), (self._told_blend, is_told)):
                kept = [part[rows] for part in parts]
                final, width = blend.final(kept), blend.half_width(kept, level)
                low[np.ix_(rows, np.array(self._main))] = blend.quality(final - width)
                high[np.ix_(rows, np.array(self._main))] = blend.quality(final + width)
        return low, high

    def add_candidate(self, outcomes: Outcomes) -> Self:
        """Add candidate models from few labelled prompts; nothing else is asked or changed.

        Estimates of the candidates that are there already stay the same. Choose the operating
        point anew afterwards if the newcomer matters for it.

        Parameters
        ----------
        outcomes : Outcomes
            Of the new candidates alone; about 50 prompts, known or new ones.

        Returns
        -------
        LGBMRouter
            This router.

        Raises
        ------
        ValueError
            If a candidate is known already or was never observed, or the router can't add any.
        """
        self._check_fitted()
        known = [model for model in outcomes.models if model in self.models_]
        if known:
            raise ValueError(f"candidate {known[0]!r} is known already; fit the router anew")
        if self.objective != "quality":
            raise ValueError("objective='best_model' can't add a candidate; fit the router anew")
        if not np.isfinite(outcomes.quality).any(axis=0).all():
            raise ValueError("each new candidate needs at least one observed quality")
        self.__dict__.pop("_learnt_hash", None)
        self.held_out_ = None
        columns = self.features(outcomes.prompts, outcomes.topics)
        common = self._blend.final(self._parts(columns)).mean(axis=1)
        log_cost = mean_log(self._cost.cost_usd(columns))
        n_known = len(self.models_)
        for at in range(len(outcomes.models)):
            addition = self._addition(common, log_cost, outcomes, at)
            self._additions[n_known + at] = addition
            seen = np.isfinite(outcomes.quality[:, at])
            others = self._blend.quality(self._blend.final(self._parts(columns[seen]))).mean()
            above = addition.quality(common[seen]).mean() - others
            usual = np.clip(self.mean_quality_[self._main].mean() + above, 0, 1)
            self.mean_quality_ = np.append(self.mean_quality_, usual)
        self.mean_cost_usd_ = np.append(self.mean_cost_usd_, outcomes.mean_cost_usd)
        if self.latencies_ is not None:
            more = UsualLatencies.of(outcomes)
            self.latencies_ = self.latencies_.and_of(more, len(outcomes.models))
        self.models_ = (*self.models_, *outcomes.models)
        self.best_single_ = self.models_[int(np.argmax(self.mean_quality_))]
        new = dict.fromkeys([*self.train_prompt_ids_, *outcomes.prompt_ids])
        self.train_prompt_ids_ = tuple(new)
        self.data_hash_ = tagged_hash([self.data_hash_, outcomes.data_hash])
        return self

    def _learn(self, outcomes: Outcomes) -> None:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):  # sums, and so the file, don't depend on threads
            self._learn_all(outcomes)

    def _learn_all(self, outcomes: Outcomes) -> None:
        self.held_out_ = None
        self._latency_trees = None
        if self.latencies_ is not None:
            folds = folds_of(outcomes, self.random_state)
            self._latency_trees = LatencyTrees.fit(outcomes, folds, self.random_state)
        few = have_few_labels(outcomes.quality)
        if self.objective == "best_model":
            few[:] = False
        self._main = [int(arm) for arm in np.flatnonzero(~few)]
        main = outcomes.of_models([outcomes.models[arm] for arm in self._main])
        folds = folds_of(main, self.random_state)
        self._features = PromptColumns(
            groups=self.groups,
            n_components=self.n_components,
            encoder=self.encoder,
            random_state=self.random_state,
        )
        columns = self._features.learn(list(main.prompts), main, folds)
        rows, seed = RowsOf(columns.detected), self.random_state
        cost = CostTrees.begin_out_of_fold(rows, main.cost_usd, folds, main.groups, seed)
        self._additions: dict[int, Addition] = {}
        self._topic_shift = TopicShift({})
        if self.objective == "best_model":
            self._cost, _ = cost.fitted(boost(cost.wanted))
            self._learn_best_model(columns.detected, outcomes)
            return
        trees = QualityTrees.begin_out_of_fold(columns, rows, main.quality, folds, seed)
        boosters = boost(chain(cost.wanted, trees.wanted))  # none waits where cost ends
        self._cost, held_out_usd = cost.fitted(boosters)
        self._trees, raw = trees.fitted(boosters)
        parts = {"trees": raw.detected, **self._simpler_parts(columns.detected)}
        told = {"trees": raw.told, **self._simpler_parts(columns.told)}
        known = (main.quality, folds, main.groups, self._features.labels_)
        blended = begin_out_of_fold(parts, *known)
        self._blend, self._told_blend = fit_blend(parts, *known), fit_blend(told, *known)
        if main.topics is not None and "topic" not in self._features.starts():
            expected = self._blend.quality(self._blend.final(list(parts.values())))
            self._topic_shift = TopicShift.fit(main.topics, main.quality - expected)
        common = self._blend.final(list(parts.values())).mean(axis=1)
        log_cost = mean_log(self._cost.cost_usd(columns.detected))
        for arm in map(int, np.flatnonzero(few)):
            self._additions[arm] = self._addition(common, log_cost, outcomes, arm)
        estimates = self._held_out(blended(), held_out_usd, outcomes, folds)
        self.held_out_ = HeldOut(estimates, folds, is_drawn_together=True)

    def _held_out(
        self, final: np.ndarray, known_usd: np.ndarray, outcomes: Outcomes, folds: np.ndarray
    ) -> Estimates:
        """Return what is expected of training prompts from the other folds.

        `final` (n_prompts, n_main): final log-odds, out of fold.
        `known_usd` (n_prompts, n_main): US dollars, out of fold.
        """
        quality, cost_usd = (np.full(outcomes.quality.shape, np.nan) for _ in range(2))
        quality[:, self._main], cost_usd[:, self._main] = self._blend.quality(final), known_usd
        common, log_cost = final.mean(axis=1), mean_log(known_usd)
        for arm in self._additions:
            for fold in np.unique(folds):
                out = folds == fold
                others = outcomes.take(~out)
                if not np.isfinite(others.quality[:, arm]).any():
                    quality[out, arm] = self._blend.pooled
                    continue
                addition = self._addition(common[~out], log_cost[~out], others, arm)
                quality[out, arm] = addition.quality(common[out])
                cost_usd[out, arm] = addition.cost_usd(log_cost[out])
        return Estimates(self.models_, quality, cost_usd)

    def _addition(
        self, common: np.ndarray, common_log_cost: np.ndarray, outcomes: Outcomes, arm: int
    ) -> Addition:
        pooled = self._blend.pooled
        log_cost = log_cost_usd(outcomes.cost_usd)[:, arm]
        return Addition.fit(common, outcomes.quality[:, arm], pooled, common_log_cost, log_cost)

    def _learn_best_model(self, columns: np.ndarray, outcomes: Outcomes) -> None:
        from sklearn.preprocessing import LabelEncoder

        rows, names = best_labels(outcomes)
        encoder = LabelEncoder().fit(names)
        self._classes = [self.models_.index(name) for name in encoder.classes_]
        text = None
        if len(self._classes) > 1:
            labels = encoder.transform(names)
            booster = train_classifier(BinnedRows(columns[rows]), labels, self.random_state)
            text = booster.model_to_string()
        self._open_classifier(text, columns.shape[1])

    def _open_classifier(self, text: str | None, n_columns: int) -> None:
        """Take up the trees of ``objective="best_model"``; None: one candidate is always best."""
        self._classifier_text, self._classifier = text, None
        if text is not None:
            sound = read_trees(text, n_columns, len(self._classes))
            self._classifier = Scorer(sound, len(self._classes))

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._estimate_from(self._features.columns(texts, topics), topics)

    def _expect(self, texts: list[str], topics: Sequence[str] | None) -> Estimates:
        columns = self._features.columns(texts, topics)
        latency = self._latency(texts, columns)
        return Estimates(self.models_, *self._estimate_from(columns, topics), latency=latency)

    def _estimate_from(
        self, columns: np.ndarray, topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.objective == "best_model":
            quality = np.zeros((len(columns), len(self.models_)))
            quality[:, self._classes] = (
                1.0 if self._classifier is None else self._classifier.probabilities(columns)
            )
            return quality, self._cost.cost_usd(columns)
        known_cost = self._cost.cost_usd(columns)
        if not self._additions:  # trees estimate all
            return self._expected(self._parts(columns), topics), known_cost
        cost_usd = np.full((len(columns), len(self.models_)), np.nan)
        cost_usd[:, self._main] = known_cost
        for arm, addition in self._additions.items():
            cost_usd[:, arm] = addition.cost_usd(mean_log(known_cost))
        return self._expected(self._parts(columns), topics), cost_usd

    def _expected(self, parts: list[np.ndarray], topics: Sequence[str] | None) -> np.ndarray:
        final = self._blend.final(parts)
        quality = self._spread_out(final)
        if topics is not None and (is_told := self._features.are_known(topics, len(final))).any():
            told = self._told_blend.final(parts)[is_told]
            quality[np.ix_(is_told, np.array(self._main))] = self._told_blend.quality(told)
            final[is_told] = told
            for arm, addition in self._additions.items():
                quality[:, arm] = addition.quality(final.mean(axis=1))
        if topics is not None and self._topic_shift.shifts:
            shifts = self._topic_shift.rows(topics, len(self._main))
            quality[:, self._main] = np.clip(quality[:, self._main] + shifts, 0, 1)
        return quality

    def _latency(self, texts: list[str], columns: np.ndarray | None = None) -> Latencies | None:
        if self.latencies_ is None or self._latency_trees is None:
            return super()._latency(texts)
        if columns is None or "surface" not in self.groups:
            return self._latency_trees.expected(surface_features(texts), self.latencies_)
        surface = columns[:, : len(SURFACE_NAMES)]  # the first ones, as of `count_columns`
        return self._latency_trees.expected(surface, self.latencies_)

    def _description(self) -> dict[str, Any]:
        return {
            **super()._description(),
            "objective": self.objective,
            "encoder": self._features.to_state()["encoder"],
            "features": list(self.feature_names_),
            "approximated": self._features.approximated(len(self.train_prompt_ids_)),
        }

    def _parameters(self) -> dict[str, Any]:
        return {
            "random_state": self.random_state,
            "objective": self.objective,
            "n_components": self.n_components,
            "groups": list(self.groups),
        }

    def _learned(self) -> dict[str, Any]:
        learned: dict[str, Any] = {
            "features": self._features.to_state(),
            "main": self._main,
            "cost": self._cost.to_state(),
        }
        if self._latency_trees is not None:
            learned["latency"] = self._latency_trees.to_state()
        if self.objective == "best_model":
            text = self._classifier_text
            return {**learned, "classes": self._classes, "classifier": text}
        return {
            **learned,
            "quality": self._trees.text,
            "n_boosters": self._trees.n_boosters,
            "blend": self._blend.to_state(),
            "told_blend": self._told_blend.to_state(),
            "topic_shift": self._topic_shift.to_state(),
            "additions": {str(arm): each.to_state() for arm, each in self._additions.items()},
        }

    def _restore(self, learned: Mapping[str, Any]) -> None:
        self._features = PromptColumns.from_state(learned["features"], self.encoder)
        self.encoder = self._features.encoder
        n_columns = self._features.n_features_out_
        self._main = learned["main"]
        self._cost = CostTrees.from_state(learned["cost"], n_columns, len(self._main))
        self._additions, self._topic_shift = {}, TopicShift({})
        known = learned.get("latency")  # files of older versions have none
        self._latency_trees = known and LatencyTrees.from_state(known, len(self.models_))
        if self.objective == "best_model":
            self._classes = learned["classes"]
            self._open_classifier(learned["classifier"], n_columns)
            return
        boosters = learned.get("n_boosters", N_BAGS)  # older files say nothing of it
        self._trees = QualityTrees(learned["quality"], n_columns, len(self._main), boosters)
        self._blend = Blend.from_state(learned["blend"])
        self._told_blend = Blend.from_state(learned["told_blend"])
        self._topic_shift = TopicShift.from_state(learned["topic_shift"])
        self._additions = {
            int(arm): Addition.from_state(state) for arm, state in learned["additions"].items()
        }
