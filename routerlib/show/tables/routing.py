"""Summaries of outcomes, decisions and evaluations, as tables for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.evaluation.routing import route_all, route_unseen
from routerlib.metrics.intervals import Interval
from routerlib.show.tables.decisions import prompt_groups
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.numbers import percent, short

if TYPE_CHECKING:
    from routerlib.evaluation.bounds import MissingCells
    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.records.decision import Decision
    from routerlib.routers.explanation.similar import Evidence
    from routerlib.routers.router import Router


def cheapest_sufficient(outcomes: Outcomes) -> Table:
    """Count for how many prompts each candidate model is the cheapest that is good enough.

    Parameters
    ----------
    outcomes : Outcomes
        Only prompts with every candidate model observed count.

    Returns
    -------
    Table
        Good enough = quality of at least 0.5; the last row is where none is.

    Examples
    --------
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> quality, cost_usd = [[0, 1], [1, 1]], [[0.001, 0.002]] * 2
    >>> outcomes = Outcomes(["Add 2 and 3", "Hi"], ["small", "large"], quality, cost_usd)
    >>> print(cheapest_sufficient(outcomes))
    cheapest that is good enough  prompts  share of prompts
    small                               1              50 %
    large                               1              50 %
    none of them                        0               0 %
    """
    import pandas as pd

    complete = outcomes.complete()
    by_cost = np.argsort(complete.mean_cost_usd)
    is_enough = complete.quality[:, by_cost] >= 0.5
    first = np.where(is_enough.any(axis=1), is_enough.argmax(axis=1), len(by_cost))
    counts = np.bincount(first, minlength=len(by_cost) + 1)
    names = [complete.models[column] for column in by_cost] + ["none of them"]
    frame = pd.DataFrame(
        {"n": counts, "share": counts / max(len(complete), 1)},
        index=pd.Index(names, name="cheapest that is good enough"),
    )
    return table(frame, f"Over {len(complete)} prompts that every candidate model answered")


def estimates_table(prompt: str, decision: Decision) -> Table:
    """Show what the router expects of each candidate model on one prompt.

    Parameters
    ----------
    prompt : str
        What it was asked about.
    decision : Decision
        From `Router.route`.

    Returns
    -------
    Table

    Examples
    --------
    >>> from routerlib.records.decision import Decision
    >>> estimates = {"small": {"quality": 0.5, "cost_usd": 0.001}}
    >>> decision = Decision("small", 0.5, 0.001, 1.0, "the only one", 0.0, estimates)
    >>> print(estimates_table("Hi", decision))
    candidate model  expected quality (0‑1)  expected cost (US dollars per 1000 prompts)  chosen
    small                             0.500                                            1  yes
    """
    import pandas as pd

    frame = pd.DataFrame(
        {
            "expected_quality": [each["quality"] for each in decision.estimates.values()],
            "expected_cost_usd": [each["cost_usd"] for each in decision.estimates.values()],
            "chosen": [name == decision.model for name in decision.estimates],
        },
        index=pd.Index(list(decision.estimates), name="model"),
    )
    reason = decision.reason.removeprefix(f"keeps to {decision.model}: ")
    return table(frame, f"“{short(prompt)}” goes to {decision.model}: {reason}")


def where_each_wins(router: Router, test: Outcomes) -> Table:
    """Show by task, length and code which candidate model was best, and where the router sends it.

    Parameters
    ----------
    router : Router
        Fitted.
    test : Outcomes
        Held-out prompts.

    Returns
    -------
    Table
        Over prompts that every candidate model answered. Best observed = highest mean quality,
        the cheaper among those that are tied to two digits, which is said; with few prompts in a
        group it is a matter of luck.
    """
    import pandas as pd

    complete = test.complete()
    arms = route_unseen(router, [complete])[0].arms
    rows = []
    for group in prompt_groups(complete):
        part = complete.take(group.is_member)
        shares = np.bincount(arms[group.is_member], minlength=len(part.models)) / len(part)
        sent = int(shares.argmax())
        written = [f"{quality:.2f}" for quality in part.mean_quality]
        n_best = written.count(f"{part.mean_quality.max():.2f}")
        tied = f" ({n_best} tied)" if n_best > 1 else ""
        rows.append(
            {"group": group.name, "by": group.kind, "n": len(part)}
            | {
                f"quality of {name}": quality
                for name, quality in zip(part.models, written, strict=True)
            }
            | {"best observed": f"{part.best_single}{tied}"}
            | {"most go to": f"{part.models[sent]} ({percent(shares[sent])})"}
        )
    return table(pd.DataFrame(rows), "Observed quality by group, and where the router sends it")


def similar_table(evidence: Evidence) -> Table:
    """Show the training prompts nearest to a prompt, with what each candidate model did there.

    Parameters
    ----------
    evidence : Evidence
        From `routerlib.routers.explanation.similar.similar_prompts`.

    Returns
    -------
    Table
    """
    import pandas as pd

    rows = [
        {"similar prompt": short(each.text or each.prompt_id), "similarity": each.similarity}
        | {f"quality of {model}": value for model, value in each.quality.items()}
        for each in evidence.similar
    ]
    columns = ["similar prompt", "similarity", *(f"quality of {name}" for name in evidence.models)]
    return table(pd.DataFrame(rows, columns=columns), evidence.sentence)


def seen_and_unseen(router: Router, train: Outcomes, test: Outcomes) -> Table:
    """Compare what a router reaches on its training prompts and on held-out ones.

    Parameters
    ----------
    router : Router
        Fitted on `train`.
    train, test : Outcomes
        What it has seen and what not.

    Returns
    -------
    Table
        Mean quality of its choices and of always calling the best single, and the lead.
    """
    import pandas as pd

    rows = []
    for label, outcomes in (("seen in training", train), ("held out", test)):
        complete = outcomes.complete()
        own = route_all(router, complete)
        routed = own if label == "seen in training" else route_unseen(router, [complete])[0]
        arms = routed.arms
        chosen = complete.quality[np.arange(len(complete)), arms].mean()
        best = complete.quality[:, complete.models.index(router.best_single_)].mean()
        rows.append(
            {
                "which prompts": label,
                "n": len(complete),
                "quality of the router's choices": f"{chosen:.3f}",
                f"quality of always {router.best_single_}": f"{best:.3f}",
                "lead (points)": f"{100 * (chosen - best):+.1f}",
            }
        )
    return table(pd.DataFrame(rows), "The same router on prompts it has seen, and on new ones")


def failure_sensitivity(evaluation: Evaluation) -> Table:
    """Show whether the result depends on how failed calls are counted."""
    import pandas as pd

    left_out, wrong = evaluation.scored, evaluation.failures
    counted = [("failures left out", left_out)]
    if wrong is not None:
        counts = ("n", "n_difference")
        is_known = any(wrong[name] > left_out[name] for name in counts)
        known = "" if is_known else " (none of these is known to have failed)"
        counted.append((f"failure counts as wrong{known}", wrong))
    rows: list[dict[str, Any]] = [
        {
            "how failed calls count": label,
            "n": found["n"],
            **found["quality"].columns("quality"),
            "n of the difference": found["n_difference"],
            **found["quality_difference"].columns("quality_difference"),
        }
        for label, found in counted
    ]
    if evaluation.missing is not None:
        audited = evaluation.audited
        against = evaluation.strong if audited is None else audited.best_single
        rows += _missing_rows(evaluation.missing, against)
    return table(
        pd.DataFrame(rows),
        "Router's quality where its own choice is scored, and its difference where the best single "
        "model is too: with failed calls left out, as wrong, and with all that is missing",
    )


def _missing_rows(missing: MissingCells, strong: str) -> list[dict[str, Any]]:
    """Lay bounds and adjusted estimate of all held-out prompts out as rows."""
    counted = [("missing cells from worst to best", missing.bounds[strong]["quality_difference"])]
    if missing.adjusted is not None:
        counted.append(("missing cells like others of their kind", missing.adjusted))
    return [
        {
            "how failed calls count": label,
            "n": missing.lacking.n,
            **Interval(*[float("nan")] * 4).columns("quality"),
            "n of the difference": missing.lacking.n,
            **interval.columns("quality_difference"),
        }
        for label, interval in counted
    ]


def routed_table(evaluation: Evaluation) -> Table:
    """Show which share of each task goes to which candidate model."""
    import pandas as pd

    everything = {**evaluation.routed_shares, "n": evaluation.n}
    rows = [
        {"task": task, "n": shares["n"]}
        | {name: f"{percent(shares[name])}" for name in evaluation.models}
        for task, shares in {**evaluation.routed_by_task, "all": everything}.items()
    ]
    return table(pd.DataFrame(rows), "Share of held-out prompts sent to each candidate model")


_UNMEASURED = Interval(*[float("nan")] * 4)


def operating_table(evaluation: Evaluation) -> Table:
    """Show what the router reaches at its operating point, and where it expects no loss."""
    rows = [("at its operating point", evaluation.operating)]
    no_loss = "where it expects no loss of quality"
    if evaluation.verdict.fallback is not None:
        name = f"as it stands: the best single model itself ({evaluation.strong})"
        unmeasured = dict.fromkeys(
            ("cost_share", "quality_difference", "gain_over_zero"), _UNMEASURED
        )
        rows = [(name, {**evaluation.operating, **unmeasured})]
        no_loss = "if its estimates chose, where they expect no loss of quality"
    if evaluation.equal_quality is not None:
        rows.append((no_loss, evaluation.equal_quality))
    names = ("quality", "cost_usd", "cost_share", "quality_difference", "gain_over_zero")
    caption = f"The router on {evaluation.n} held-out prompts, with 95 % intervals"
    return _interval_table("router", rows, names, caption)


def _interval_table(
    label: str,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    names: Sequence[str],
    caption: str,
) -> Table:
    import pandas as pd

    records = [
        {label: name}
        | {column: value for key in names for column, value in measured[key].columns(key).items()}
        for name, measured in rows
    ]
    return table(pd.DataFrame(records), caption)
