"""What a router of blended trees can say about its estimates: columns, trees, contributions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from routerlib.features.inputs import texts_of, topics_of
from routerlib.features.learners.log_odds import LogOddsScale, logits
from routerlib.features.learners.pulls import secants
from routerlib.features.names import WHOLE, readable_name
from routerlib.features.origins import Origins, origins, source_names
from routerlib.features.prompt_columns import PromptColumns
from routerlib.routers.lightgbm.addition import Addition
from routerlib.routers.lightgbm.blend import Blend, Steps
from routerlib.routers.lightgbm.fit_blend import PARTS
from routerlib.routers.lightgbm.reasons import Reasons, lead_back
from routerlib.routers.lightgbm.trees import CostTrees, QualityTrees
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import lightgbm as lgb


Objective = Literal["quality", "best_model"]
Target = Literal["quality", "cost"]


class ExplainedRouter(Router):
    """Explain the estimates of trees, blended with simpler learners; `LGBMRouter` learns them."""

    objective: Objective
    _features: PromptColumns
    _main: list[int]  # candidates with trees of their own
    _trees: QualityTrees
    _blend: Blend
    _cost: CostTrees
    _additions: dict[int, Addition]  # the other candidates

    def features(self, prompts: Sequence[str], topics: Sequence[str] | None = None) -> np.ndarray:
        """Return the numbers that the estimates are made of.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Known topics, length n_prompts.

        Returns
        -------
        ndarray of shape (n_prompts, n_features)
            In the order of `feature_names_`.
        """
        self._check_fitted()
        texts = texts_of(prompts)
        return self._features.columns(texts, topics_of(topics, len(texts)))

    def booster(self, model: str, target: Target = "quality") -> lgb.Booster:
        """Return the trees of one candidate model.

        Parameters
        ----------
        model : str
            Candidate name.
        target : {"quality", "cost"}, default="quality"
            Raw score: the sum of the candidate's boosters, of log-odds before blending or of log
            cost in US dollars before scaling.

        Returns
        -------
        lightgbm.Booster
            Its columns are those of `features`.

        Raises
        ------
        ValueError
            If the candidate is unknown, or has no trees.
        """
        arm = self._arm(model, target)
        if arm in self._additions:
            raise ValueError(
                f"{model!r} has no trees of its own: it is estimated from the other candidates"
            )
        at = self._main.index(arm)
        return self._trees.single(at) if target == "quality" else self._cost.single(at)

    def contributions(
        self, columns: np.ndarray, model: str, target: Target = "quality"
    ) -> np.ndarray:
        """Take a candidate's estimates apart, feature by feature.

        All candidates take no longer than one: for several use `contributions_all`.

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
            In the order of `feature_names_`, the base last. Rows add up to the log-odds that
            `quality_scale` turns into expected quality, or to the log of expected US dollars.

        Raises
        ------
        ValueError
            If the candidate is unknown, or its cost is.
        """
        arm = self._arm(model, target)
        return self.contributions_all(columns, target)[:, arm]

    def contributions_all(self, columns: np.ndarray, target: Target = "quality") -> np.ndarray:
        """Take the estimates of all candidates apart, feature by feature.

        TreeSHAP of the trees, plus what the blended simpler learners add to their own columns.

        Parameters
        ----------
        columns : ndarray of shape (n_prompts, n_features)
            From `features`.
        target : {"quality", "cost"}, default="quality"
            Which estimate.

        Returns
        -------
        ndarray of shape (n_prompts, n_models, n_features + 1)
            As of `contributions`, in the order of ``models_``; NaN where no cost was seen in
            training.

        Raises
        ------
        ValueError
            If the router has one booster for all candidates (``objective="best_model"``).
        """
        self._check_has_trees(target)
        values = np.full((len(columns), len(self.models_), columns.shape[1] + 1), np.nan)
        if target == "cost":
            own, arms = self._cost.contributions(columns), self._cost.arms
        else:
            own, arms = self._quality_contributions(columns), list(range(len(self._main)))
        values[:, [self._main[at] for at in arms]] = own
        for arm, addition in self._additions.items():
            common = own.mean(axis=1) if arms else np.nan
            values[:, arm] = common if target == "cost" else addition.scale.slope * common
            level = addition.log_cost if target == "cost" else addition.scale.offset
            values[:, arm, -1] += np.nan if level is None else level
        return values

    def reasons(
        self,
        prompts: Sequence[str],
        topics: Sequence[str] | None = None,
        target: Target = "quality",
    ) -> Reasons:
        """Take the estimates of all candidates apart into what people can read of the prompts.

        What simpler learners and directions contribute is led back to what moves them: words,
        counts, topic, similar prompts (`lead_back`).

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Known topics, length n_prompts.
        target : {"quality", "cost"}, default="quality"
            Which estimate.

        Returns
        -------
        Reasons
            Candidates in the order of ``models_``.

        Raises
        ------
        ValueError
            If the router has one booster for all candidates (``objective="best_model"``).

        Examples
        --------
        >>> from routerlib.outcomes.worlds import make_world
        >>> from routerlib.routers.lightgbm.router import LGBMRouter
        >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
        >>> reasons = LGBMRouter().fit(outcomes).reasons(outcomes.prompts[:2])
        >>> reasons.values.shape == (2, 2, len(reasons.names)), "its words" in reasons.names
        (True, True)
        """
        texts = texts_of(prompts)
        columns = self.features(texts, topics)
        raw = self.contributions_all(columns, target)
        base, led, read = raw[:, :, -1].copy(), [], []
        n_counts, stands = self._features.n_counts, self._features.conversation_at
        for row, origin in enumerate(origins(self._features, texts, topics)):
            contributed = raw[row][:, origin.columns]
            blended = np.zeros_like(contributed)
            if target == "quality":
                blended, constant = self._blended(columns[row], origin)
                contributed = contributed - constant
                base[row] += constant.sum(axis=1)
            led.append(lead_back(contributed, blended, origin))
            led[-1].sources[:, :n_counts] += raw[row][:, :n_counts]
            read.append(origin)
        return Reasons(
            (*source_names(self._features), *self._stand_names, WHOLE),
            np.array(
                [
                    np.column_stack([each.sources, own[:, stands], each.whole])
                    for each, own in zip(led, raw, strict=True)
                ]
            ),
            base,
            tuple(each.tokens for each in led),
            tuple(each.neighbours for each in read),
            tuple(each.similar for each in led),
            tuple(each.topic for each in read),
        )

    @property
    def _stand_names(self) -> list[str]:
        names = self._features.names()
        return [readable_name(names[at]) for at in self._features.conversation_at]

    def _blended(self, columns: np.ndarray, origin: Origins) -> tuple[np.ndarray, np.ndarray]:
        """Return what the blend adds for a unit of each column, and what it adds on any prompt.

        `columns` (n_features,): of one prompt.
        Returns two arrays of shape (n_models, n_nodes).
        """
        slopes, constant = (np.zeros((len(self._main), len(origin.columns))) for _ in range(2))
        for number, span in enumerate(self._blended_columns().values(), start=1):
            at = slice(*np.searchsorted(origin.columns, span))
            usual, here = origin.usual[at], columns[slice(*span)]
            mixing, started = self._blend.mixing(number), logits(usual)
            slopes[:, at] = mixing * secants(usual, here, started, logits(here))
            constant[:, at] = mixing * (started - self._blend.centres[number])
        return self._to_all(slopes), self._to_all(constant)

    def _to_all(self, own: np.ndarray) -> np.ndarray:
        """Return what holds for all candidates, given what holds for those with trees."""
        values = np.empty((len(self.models_), own.shape[1]))
        values[self._main] = own
        for arm, addition in self._additions.items():
            values[arm] = addition.scale.slope * own.mean(axis=0)
        return values

    def steps(self, prompts: Sequence[str], topics: Sequence[str] | None = None) -> Steps:
        """Take expected quality apart from coarse to fine: usual quality, difficulty, differences.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Known topics, length n_prompts.

        Returns
        -------
        Steps
            In quality (0.01 = one point of a hundred), candidates in the order of ``models_``.

        Raises
        ------
        ValueError
            If the router isn't fitted, or has one booster for all candidates.

        Examples
        --------
        >>> from routerlib.outcomes.worlds import make_world
        >>> from routerlib.routers.lightgbm.router import LGBMRouter
        >>> world = make_world(n_prompts=120, kind="price")
        >>> router = LGBMRouter().fit(world.outcomes)
        >>> steps = router.steps(["Why does a comet orbit?"])
        >>> total = steps.usual + steps.difficulty + steps.differences
        >>> bool(np.allclose(total, router.predict(["Why does a comet orbit?"]).quality))
        True
        """
        self._check_has_trees("quality")
        blend = self._blend
        parts = self._parts(self.features(prompts, topics))
        usual = blend.usual()
        level = self._spread_out(usual[np.newaxis])[0]
        at_difficulty = self._spread_out(usual + blend.difficulty(parts)[:, np.newaxis])
        return Steps(level, at_difficulty - level, self._expected(parts, topics) - at_difficulty)

    @abstractmethod
    def _expected(self, parts: list[np.ndarray], topics: Sequence[str] | None) -> np.ndarray:
        """Return expected quality, shape (n_prompts, n_models), of what `_parts` gives."""

    def _spread_out(self, final: np.ndarray) -> np.ndarray:
        """Return expected quality of all candidates, given final log-odds of the main ones."""
        if not self._additions:
            return self._blend.quality(final)
        quality = np.empty((len(final), len(self.models_)))
        quality[:, self._main] = self._blend.quality(final)
        for arm, addition in self._additions.items():
            quality[:, arm] = addition.quality(final.mean(axis=1))
        return quality

    def quality_scale(self, model: str) -> LogOddsScale:
        """Return how the sum of a candidate's contributions becomes expected quality."""
        arm = self._arm(model, "quality")
        if arm in self._additions:
            scale = self._additions[arm].scale
            return LogOddsScale(1.0, 0.0, scale.weight, scale.pooled)
        return self._blend.final_scale()

    def nearest(self, prompts: Sequence[str], k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Find the training prompts nearest in wording, meaning and surface.

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
        return self._features.nearest(texts_of(prompts), k)

    def train_quality(self, rows: np.ndarray) -> np.ndarray:
        """Return observed quality of training prompts, shape (n_rows, n_models), NaN = unknown."""
        self._check_fitted()
        known = np.full((len(rows), len(self.models_)), np.nan)
        near = self._features.neighbours
        if near is not None:
            known[:, self._main] = near.targets[np.asarray(rows, dtype=int)]
        return known

    @property
    def feature_names_(self) -> tuple[str, ...]:
        """Names of the columns of `features`."""
        self._check_fitted()
        return tuple(self._features.names())

    def _parts(self, columns: np.ndarray) -> list[np.ndarray]:
        """Return the log-odds that are blended, each of shape (n_prompts, n_main)."""
        return [self._trees.log_odds(columns), *self._simpler_parts(columns).values()]

    def _simpler_parts(self, columns: np.ndarray) -> dict[str, np.ndarray]:
        spans = self._blended_columns()
        blended = [columns[:, start:end] for start, end in spans.values()]
        found = logits(np.concatenate([columns[:, :0], *blended], axis=1))
        parts = found.reshape(len(columns), len(spans), len(self._main))
        return {name: parts[:, number] for number, name in enumerate(spans)}

    def _blended_columns(self) -> dict[str, tuple[int, int]]:
        """Return where the estimates of each blended simpler learner begin and end."""
        starts, n_main = self._features.starts(), len(self._main)
        return {name: (starts[name], starts[name] + n_main) for name in PARTS if name in starts}

    def _quality_contributions(self, columns: np.ndarray) -> np.ndarray:
        """Return those of candidates with trees, shape (n_prompts, n_main, n_features + 1)."""
        blend = self._blend
        values = blend.mixing(0) @ self._trees.contributions(columns)
        values[:, :, -1] += blend.levels
        for number, (start, end) in enumerate(self._blended_columns().values(), start=1):
            mixing, centre = blend.mixing(number), blend.centres[number]
            above = logits(columns[:, start:end]) - centre
            values[:, :, start:end] += mixing * above[:, np.newaxis]
            values[:, :, -1] += mixing @ centre
        return np.asarray(values)

    def _arm(self, model: str, target: Target) -> int:
        self._check_fitted()
        if model not in self.models_:
            raise ValueError(f"model must be one of {', '.join(self.models_)}, got {model!r}")
        self._check_has_trees(target)
        arm = self.models_.index(model)
        addition = self._additions.get(arm)
        is_costed = (
            self._main.index(arm) in self._cost.arms
            if addition is None
            else addition.log_cost is not None
        )
        if target == "cost" and not is_costed:
            raise ValueError(f"no cost of {model!r} was seen in training")
        return arm

    def _check_has_trees(self, target: Target) -> None:
        self._check_fitted()
        if target == "quality" and self.objective == "best_model":
            raise ValueError(
                "objective='best_model' has one booster for all candidates, "
                "not one each; use objective='quality'"
            )
