"""Measure what the index of all results shows, on held-out prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from routerlib.evaluation.cascade_verdict import Finding, together
from routerlib.evaluation.cascade_worth import CascadeEvaluation, evaluate_cascade, is_measurable
from routerlib.evaluation.clauses import with_draw
from routerlib.evaluation.compare import compare
from routerlib.evaluation.evaluate import Evaluation, evaluate
from routerlib.evaluation.failed_calls import failures_counted
from routerlib.log.audits import read_audit
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import MOST_TESTED
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.router import Router
from routerlib.show.held_out import failures_as_wrong, split_as_trained, unseen_by

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log.call_log import CallLog


@dataclass(frozen=True)
class Findings:
    """What the index shows, all of it measured on held-out prompts.

    `router`: who sees the prompt alone. `whole`: the cascade that it stands in; None = in none.
    `counted`: the prompts of `test`, failed calls as wrong answers.
    """

    router: Router
    test: Outcomes
    counted: Outcomes
    evaluation: Evaluation
    comparison: pd.DataFrame
    cascade: CascadeEvaluation | None = None
    whole: Router | None = None

    @property
    def paid(self) -> CascadeEvaluation | None:
        """What the cascade is worth, where the finding is about it."""
        return self.cascade if self.cascade and self.finding.is_of_cascade else None

    @property
    def tested_by(self) -> str:
        """Who was tested on prompts that are training data too, to stand after the held-out ones'.

        "" where none is.
        """
        crossed = self.evaluation.crossed
        if crossed is None:
            return ""
        same = "the same prompts"
        if crossed.n_prompts < len(self.test):
            same = f"{crossed.n_prompts} of these are training data"
        return f"; {same}, each tested by a router that hadn't seen it"

    @property
    def finding(self) -> Finding:
        """What is said first: of the router, or of the cascade that it stands in."""
        verdict = self.evaluation.verdict
        if self.cascade is None:
            return Finding(verdict.kind, verdict.headline, verdict.sentence)
        return together(self.cascade, verdict)


def find(
    log: CallLog,
    router: Router,
    *,
    judge: str | None = None,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> Findings:
    """Measure a router on the prompts of a log that it has not seen.

    `judge`: count only this judge's scores; None = the mean over judges.
    """
    outcomes = Outcomes.from_log(log, judge=judge, models=list(router.models_))
    n_unseen = len(unseen_by(router, outcomes.prompt_ids))
    train, test = split_as_trained(outcomes, router)
    del outcomes  # of millions of prompts a part is tested
    wrong = failures_as_wrong(log, test, judge)
    counted = failures_counted(test, wrong)
    alone, cascade, ways = router, None, {"router": router}
    if isinstance(router, Cascade):
        alone = router.router
        ways = {"router": alone}
        if is_measurable(router, test):
            ways["cascade"] = router
            cascade = evaluate_cascade(
                router, test, wrong, n_bootstrap=n_bootstrap, random_state=random_state
            )
    evaluation = evaluate(
        alone,
        test,
        wrong,
        audit=read_audit(log),
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )
    if n_unseen > MOST_TESTED:
        verdict = with_draw(evaluation.verdict, len(test), n_unseen)
        evaluation = replace(evaluation, verdict=verdict)
    return Findings(
        router=alone,
        test=test,
        counted=counted,
        cascade=cascade,
        whole=None if alone is router else router,
        evaluation=evaluation,
        comparison=compare(
            ways,
            counted,
            train=train if len(train) else None,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        ),
    )
