"""Say what a router is worth on held-out prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from routerlib.evaluation.audited import Audited, Auditor
from routerlib.evaluation.bands import CurveBand, curve_band
from routerlib.evaluation.between_folds import CrossTested, held
from routerlib.evaluation.bounds import Lacking, MissingCells
from routerlib.evaluation.calibrated import Calibration, calibration_of
from routerlib.evaluation.clauses import with_topics_held_out
from routerlib.evaluation.contenders import (
    Contender,
    TestedPrompts,
    arms_contender,
    baseline_contenders,
    estimates_contender,
)
from routerlib.evaluation.failed_calls import failures_counted
from routerlib.evaluation.fallback import (
    HeldOut,
    clustering_of,
    judge_router,
    without_fallback,
)
from routerlib.evaluation.own_scores import own_scores
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.routing import (
    Routed,
    TrainMeans,
    check_held_out,
    means_on_train,
    route_unseen,
    topic_table_of,
)
from routerlib.evaluation.verdict import Verdict
from routerlib.features.tasks import detect_task
from routerlib.metrics.clusters import Clustering
from routerlib.metrics.intervals import Interval
from routerlib.metrics.pairs import is_complete
from routerlib.outcomes.audit import Audit
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.arrays import Arms, Floats
from routerlib.records.canonical import plain_json
from routerlib.records.decision import Estimates
from routerlib.records.shown import shown_html
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import pandas as pd

# Cost weights among which the one for equal quality is looked for.
_N_EQUAL_QUALITY_WEIGHTS = 200
# Metrics of a first look.
_SHOWN = ("quality", "cost_share", "quality_difference", "gap_closed")
# Contenders that are no baselines: the router, where it expects no loss, and without fallback.
_ROUTER, _EQUAL, _TRIED = "router", "equal quality", "without fallback"


class CostQuality(NamedTuple):
    """Points of mean cost and mean quality.

    `cost_usd` (n_points,): mean US dollars per prompt; NaN = unknown.
    `quality` (n_points,): mean quality in [0, 1].
    """

    cost_usd: Floats
    quality: Floats


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What one router is worth on held-out prompts.

    Parameters
    ----------
    name : str
        How tables and figures call the router.
    models : tuple of str
        Candidate models, in the order of ``singles``.
    strong, weak : str
        Best single and cheapest candidate model, both chosen on train.
    cost_weight : float
        Operating point, chosen on train: quality given up per US dollar saved.
    n, n_groups, n_skipped : int
        Prompts measured, groups of near-duplicates among them, and prompts skipped because some
        candidate model has no quality or cost there, other than because it wasn't bought or, where
        failed calls are known, failed.
    clustering : dict of str to Clustering
        How much prompts of one group are alike, and the design effect: in the router's
        ``quality``, and in its ``quality_difference`` to best single.
    curve : CostQuality
        The router as its cost weight sweeps, sorted by cost.
    band : CurveBand
        The same points by cost weight, with 95 % bands round quality, and round difference to
        best single and saving, that hold at all cost weights at once: pick any after looking.
    singles : CostQuality
        Always calling one candidate model; in the order of ``models``.
    operating : dict of str to Interval
        At the operating point: ``quality``, ``cost_usd``, ``cost_share`` of best single,
        ``saving``, ``quality_difference`` to best single, ``gain_over_zero``,
        ``zero_difference``, ``AIQ``, ``cost_at_equal_quality``, ``quality_at_equal_cost``,
        ``regret``, ``gap_closed``, ``PGR``, ``APGR``, ``CPT50``, ``CPT80``; 95 % intervals.
    baselines : dict of str to dict of str to Interval
        The same for best single, random, zero router (at the router's cost), topic table (where
        topics are known) and oracle.
    leads : dict of str to dict of str to Interval
        Per baseline, each metric of the router minus that of the baseline, paired.
    equal_quality : dict of str to Interval or None
        The same at the largest cost weight where the router *expects* no less quality than from
        best single. Chosen by its estimates alone, not by what was observed on these prompts;
        None when it estimates no quality or cost.
    saving_with_bill : float
        Correlation, over the draws of prompts, of the saving with the mean cost of best single:
        what joins their intervals to one in dollars. 0 where either doesn't vary or is unknown.
    routed_shares : dict of str to float
        Share of prompts per candidate model.
    routed_by_task : dict of str to dict of str to float
        The same per task, and ``n``, the number of prompts of the task.
    calibration : Calibration or None
        None when the router estimates nothing.
    crossed : CrossTested or None
        Prompts that routers of other folds were tested on in this one's place; None where all were
        held out from this very router.
    missing : MissingCells or None
        Held-out prompts that lack a quality or a cost, and what they could change; None when
        nothing is missing.
    scored : dict of str to Interval
        Failed calls left out: ``quality`` where the router's own choice has a score, on ``n``
        prompts, and ``quality_difference`` where the best single model has one too, on
        ``n_difference``.
    failures : dict of str to Interval or None
        The same when failed calls count as wrong; None when not asked for.
    audited : Audited or None
        What a person's random set corrects of all above, which is by the judge; None = no set.
    verdict : Verdict
        Whether routing pays.
    """

    name: str
    models: tuple[str, ...]
    strong: str
    weak: str
    cost_weight: float
    n: int
    n_groups: int
    n_skipped: int
    clustering: Mapping[str, Clustering]
    curve: CostQuality
    band: CurveBand
    singles: CostQuality
    operating: Mapping[str, Interval]
    baselines: Mapping[str, Mapping[str, Interval]]
    leads: Mapping[str, Mapping[str, Interval]]
    equal_quality: Mapping[str, Interval] | None
    saving_with_bill: float
    routed_shares: Mapping[str, float]
    routed_by_task: Mapping[str, Mapping[str, float]]
    calibration: Calibration | None
    crossed: CrossTested | None
    missing: MissingCells | None
    scored: Mapping[str, Any]
    failures: Mapping[str, Any] | None
    audited: Audited | None
    verdict: Verdict

    def __repr__(self) -> str:
        return f"Evaluation({self.name!r}, {self.n} prompts: {self.verdict.sentence})"

    def _repr_html_(self) -> str:
        rows = [
            {"router": name} | {each: measured[each].told for each in _SHOWN if each in measured}
            for name, measured in {self.name: self.operating, **self.baselines}.items()
        ]
        return shown_html(self.verdict.sentence, rows)

    def with_topics_held_out(self, splits: pd.DataFrame) -> Evaluation:
        """Add to the verdict what the same training does on topics it hasn't seen, if worse.

        Parameters
        ----------
        splits : DataFrame
            From `routerlib.evaluation.unseen.compare_splits`, of the same way of training.

        Returns
        -------
        Evaluation
            With the same numbers, and another verdict where topics held out disagree with it.
        """
        return replace(self, verdict=with_topics_held_out(self.verdict, splits))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain builtins for JSON: NaN becomes None, arrays lists."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


def evaluate(
    router: Router,
    test: Outcomes,
    test_failures_wrong: Outcomes | None = None,
    *,
    audit: Audit | None = None,
    n_bootstrap: int = 1000,
    random_state: int = 0,
    use_topics: bool = False,
    name: str | None = None,
    smallest_effect: float | None = None,
) -> Evaluation:
    """Say what one router is worth on held-out prompts, and whether routing pays.

    Parameters
    ----------
    router : Router
        Fitted; its ``cost_weight_`` is the operating point.
    test : Outcomes
        Prompts that it was not trained on, or for which it has choices out of fold
        (`routerlib.evaluation.cross_fit.cross_evaluate`). What wasn't bought (``inclusion`` below
        1) is made up for by what the router expects and by the weight of what was bought.
    test_failures_wrong : Outcomes, optional
        The same prompts with failed calls as quality 0: so they count in every number of the test.
    audit : Audit, optional
        A person's scores of prompts that were drawn at random: the verdict is corrected by it.
    n_bootstrap : int, default=1000
        Replicates of the bootstrap; prompts are drawn in groups of near-duplicates.
    random_state : int, default=0
        Its seed.
    use_topics : bool, default=False
        Tell the router the known task labels.
    name : str, optional
        How tables and figures call the router; default its own name.
    smallest_effect : float, optional
        Smallest gain in mean quality that matters, in (0, 1], which an open verdict plans for.

    Returns
    -------
    Evaluation
        Curve, operating point, verdict, calibration, what was routed where.

    Raises
    ------
    ValueError
        If the router knows other candidate models or was trained on some of `test`.

    Examples
    --------
    >>> from routerlib.routers.baselines import BestSingle
    >>> from routerlib.outcomes.worlds import make_world
    >>> train, test = make_world(n_prompts=150, kind="nothing").outcomes.split(random_state=0)
    >>> evaluation = evaluate(BestSingle().fit(train), test, n_bootstrap=50)
    >>> evaluation.verdict.kind, evaluation.routed_shares["m2"]
    ('does_not_pay', 1.0)
    """
    counted_wrong = [] if test_failures_wrong is None else [test_failures_wrong]
    for outcomes in (test, *counted_wrong):
        check_held_out(router, outcomes)
    bootstrap = _Bootstrap(n_bootstrap, random_state)
    train = means_on_train(router, test)
    whole, *wrong = route_unseen(router, [test, *counted_wrong], use_topics=use_topics)
    counted = failures_counted(test, test_failures_wrong)
    tested = TestedPrompts.of(counted, train.strong, train.weak, whole.best, whole.estimates)
    routed = whole.take(tested.kept)
    contenders = _contenders(router, tested, train, routed)
    weight = float(router.cost_weight_)
    weighed, draws = weight if tested.has_costs else 0.0, bootstrap._asdict()
    measured = measure(tested, contenders, **draws, cost_weight=weighed)
    baselines = [each for each in contenders if each not in (_ROUTER, _EQUAL, _TRIED)]
    # Where failed calls are known, only the rest is unknown, and what a failed call cost.
    everything = (counted_wrong[0], wrong[0]) if wrong else (test, whole)
    auditor = Auditor.of(audit, test, everything[0], tested, train, bootstrap)
    held_out = HeldOut(tested, everything[0], Lacking.of(test, counted), auditor, bootstrap)
    crossed = CrossTested.of(router, test, tested, train)
    # Always the best single model: that was not learnt on any fold.
    of_folds = None if getattr(router, "fallback_", None) is not None else crossed
    in_use = held_out.tried(measured, _ROUTER, routed, everything[1], of_folds)
    without, let_loose = (without_fallback(router, each) for each in (routed, everything[1]))
    tried = let_loose and without and held_out.tried(measured, _TRIED, without, let_loose, crossed)
    return Evaluation(
        name=name or str(getattr(router, "name", type(router).__name__)),
        models=tuple(test.models),
        strong=train.strong,
        weak=train.weak,
        cost_weight=weight,
        n=len(tested),
        n_groups=measured.n_groups,
        n_skipped=tested.n_skipped,
        clustering=clustering_of(tested, routed.arms),
        curve=_curve(contenders[_ROUTER]),
        band=curve_band(tested, contenders[_ROUTER], **bootstrap._asdict()),
        singles=_means(tested.cost_usd, tested.quality),
        operating=held(measured.intervals(_ROUTER), of_folds),
        baselines={each: measured.intervals(each) for each in baselines},
        leads={each: measured.differences(_ROUTER, each) for each in baselines},
        equal_quality=measured.intervals(_EQUAL) if _EQUAL in contenders else None,
        saving_with_bill=measured.correlation((_ROUTER, "saving"), ("best single", "cost_usd")),
        routed_shares=_shares(routed.arms, test.models),
        routed_by_task=_shares_by_task(tested.outcomes, routed.arms),
        calibration=calibration_of(whole.estimates.quality, test, **bootstrap._asdict()),
        crossed=crossed,
        missing=in_use.missing,
        scored=own_scores(test, whole, train, of_folds, bootstrap),
        failures=own_scores(*everything, train, of_folds, bootstrap) if wrong else None,
        audited=in_use.audited,
        verdict=auditor.told(
            judge_router(router, tested, in_use, tried, crossed, smallest_effect), in_use.audited
        ),
    )


class _Bootstrap(NamedTuple):
    """How often to draw, and the seed."""

    n_bootstrap: int
    random_state: int


def _contenders(
    router: Router, tested: TestedPrompts, train: TrainMeans, routed: Routed
) -> dict[str, Contender]:
    """Lay the router beside the baselines, and beside itself where it expects no loss."""
    ours = estimates_contender(tested, routed.estimates, routed.arms)
    baselines = baseline_contenders(
        tested,
        train.quality,
        train.cost_usd,
        ours.cost_usd,
        topic_table_of(router, tested.outcomes),
        float(router.cost_weight_),
    )
    equal = _equal_quality_arms(routed.estimates, tested.strong)
    further = {} if equal is None else {_EQUAL: arms_contender(tested, equal)}
    tried = without_fallback(router, routed)
    if tried is not None:
        further[_TRIED] = arms_contender(tested, tried.arms)
    return {_ROUTER: ours, **baselines, **further}


def _plain(value: Any) -> Any:
    if isinstance(value, Verdict):  # what is found in a few words, then all of it
        fields = {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
        return {"headline": value.headline, "sentence": value.sentence, **fields}
    if isinstance(value, MissingCells | Audited):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return plain_json(value)


def _means(cost_usd: Floats, quality: Floats) -> CostQuality:
    n = np.float64(len(quality))
    with np.errstate(invalid="ignore"):
        return CostQuality(cost_usd.sum(axis=0) / n, quality.sum(axis=0) / n)


def _curve(contender: Contender) -> CostQuality:
    """Return the means along its cost weights, sorted by cost."""
    points = _means(contender.curve_cost_usd, contender.curve_quality)
    order = np.lexsort((points.quality, points.cost_usd))
    return CostQuality(points.cost_usd[order], points.quality[order])


def _equal_quality_arms(estimates: Estimates, strong: int) -> Arms | None:
    """Choose as cheaply as expected quality allows, without looking at observed quality."""
    quality, cost = estimates.quality, estimates.cost_usd
    if not len(quality) or not is_complete(quality, cost).all():
        return None
    floor = quality[:, strong].mean()
    kept = np.full(len(quality), strong)
    for cost_weight in sweep_cost_weights(estimates, _N_EQUAL_QUALITY_WEIGHTS):
        arms = choose_arms(estimates, cost_weight)
        if quality[np.arange(len(arms)), arms].mean() < floor:
            break
        kept = arms
    return kept


def _shares(arms: Arms, models: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(arms, minlength=len(models))
    return {name: float(counts[arm]) / max(len(arms), 1) for arm, name in enumerate(models)}


def _shares_by_task(outcomes: Outcomes, arms: Arms) -> dict[str, dict[str, float]]:
    tasks = np.array(outcomes.topics or [detect_task(prompt) for prompt in outcomes.prompts])
    return {
        str(task): {
            **_shares(arms[tasks == task], outcomes.models),
            "n": int((tasks == task).sum()),
        }
        for task in np.unique(tasks)
    }
