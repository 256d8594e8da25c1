"""Tell what happened in a log of served traffic: who decided, and how good the answers were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import OffPolicyValue, estimate_value
from routerlib.evaluation.replay.replay import mean_interval
from routerlib.log import choices as logged
from routerlib.log.choices import NOT_DRAWN, LoggedChoices
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.training.train import train_router
from routerlib.show.plots.drawing import Row, interval_rows
from routerlib.show.plots.style import ROUTER_BLACK, axes_or_new, candidate_styles, finish
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.prose import Prose, say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from routerlib.log.call_log import CallLog

RULES, ROUTER = "rules", "router"
_EVERY = 10**9
# A choice with less probability than this was left to chance: another one was preferred.
_PREFERRED = 0.5


def decisions_of(log: CallLog) -> pd.DataFrame:
    """Read every decision of a log in order, with who made it and what came of it.

    Parameters
    ----------
    log : CallLog
        Of served traffic.

    Returns
    -------
    DataFrame
        Columns of `logged.recent`, with ``decided_by`` (rules estimate nothing, a router does;
        else why nobody drew the choice) and ``is_preferred``: whether its probability was over
        one half, so that it was what the decider held for best.

    Raises
    ------
    ValueError
        If the log holds no decision.
    """
    frame = logged.recent(log, _EVERY)
    if frame.empty:
        raise ValueError(
            f"the log {log.path} holds no decision; answer prompts with routerlib serve first"
        )
    by_estimates = (frame.estimates == "{}").map({True: RULES, False: ROUTER})
    return frame.assign(
        decided_by=frame.router_hash.map(NOT_DRAWN).fillna(by_estimates),
        is_preferred=frame.propensity > _PREFERRED,
    )


def served_plot(decisions: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw who was asked, decision by decision, and where somebody else took over deciding.

    Parameters
    ----------
    decisions : DataFrame
        As of `decisions_of`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.6, 2.8))
    models = sorted(set(decisions.candidate))
    styles = candidate_styles(models)
    for row, name in enumerate(models):
        for is_preferred, height in ((True, row + 0.15), (False, row - 0.15)):
            here = (decisions.candidate == name) & (decisions.is_preferred == is_preferred)
            at = np.flatnonzero(here) + 1
            ax.plot(at, np.full(len(at), height), "|", color=styles[name].color, markersize=9)
    changes = _changes(decisions)
    for at in changes:
        ax.axvline(at + 0.5, color=ROUTER_BLACK, linewidth=1)
    ax.set_yticks(range(len(models)), models)
    ax.set_ylim(-0.6, len(models) - 0.4)
    title = f"All {len(decisions)} choices were made by the {decisions.decided_by.iloc[0]}"
    if len(changes):
        before, after = decisions.decided_by.iloc[[changes[0] - 1, changes[0]]]
        title = f"The {before} decided {changes[0]} times, then the {after} took over"
    note = "a stroke is a decision; the lower line of each candidate model was left to chance"
    finish(ax, title, "number of the decision", "asked", note, grid=False)
    return ax


def served_table(decisions: pd.DataFrame) -> Table:
    """Show how often whom chose whom, and what that came to.

    Parameters
    ----------
    decisions : DataFrame
        As of `decisions_of`.

    Returns
    -------
    Table
        Means; quality with its 95 % interval over the answers that have a score.
    """
    import pandas as pd

    rows = []
    for (who, candidate), part in decisions.groupby(["decided_by", "candidate"], sort=False):
        quality = _mean_quality(part)
        rows.append(
            {
                "decided by": who,
                "candidate": candidate,
                "decisions": len(part),
                "with a score": int(part.quality.notna().sum()),
                "quality": quality.value,
                "quality_low": quality.low,
                "quality_high": quality.high,
                "cost_usd": part.cost_usd.mean(),
            }
        )
    frame = pd.DataFrame(rows).set_index("decided by")
    return table(frame, "Answers as served; 95 % intervals over answers with a score")


def value_before(
    log: CallLog, decisions: pd.DataFrame, *, test_size: float = 0.6, random_state: int = 0
) -> OffPolicyValue | str:
    """Value a router on the decisions of rules alone, as before it went live.

    A router is trained on a part of the prompts that rules decided, and valued doubly robust on
    the others.

    Parameters
    ----------
    log : CallLog
        Of served traffic.
    decisions : DataFrame
        As of `decisions_of`.
    test_size : float, default=0.6
        Share of those prompts that value, in (0, 1).
    random_state : int, default=0
        Seed of split, training and cross-fitting.

    Returns
    -------
    OffPolicyValue or str
        The value, or in words why this log can't tell.
    """
    by_rules = set(decisions.prompt_id[decisions.decided_by == RULES])
    if not by_rules:
        return "no decision of this log was made by rules"
    outcomes = Outcomes.from_log(log)
    known = outcomes.take([row for row, name in enumerate(outcomes.prompt_ids) if name in by_rules])
    train, _ = known.split(test_size=test_size, random_state=random_state)
    of_rules = LoggedChoices.from_log(log).of_prompts(by_rules)
    try:
        router = train_router(train, cost_weight=0, random_state=random_state)
        return estimate_value(router, of_rules, random_state=random_state)
    except ThinOverlap as refusal:
        return str(refusal)


def served_values(decisions: pd.DataFrame, before: OffPolicyValue | str) -> pd.DataFrame:
    """Put what was served beside what the log said of the router beforehand.

    Parameters
    ----------
    decisions : DataFrame
        As of `decisions_of`.
    before : OffPolicyValue or str
        As of `value_before`; words give no row.

    Returns
    -------
    DataFrame, index what
        n, quality with quality_low and quality_high (95 %). Choices left to chance are part of
        what was served. Where every prompt had the same chance, the rows without them are as
        good as those of a decider that leaves nothing to chance.
    """
    import pandas as pd

    rows = {}
    for who, part in decisions.groupby("decided_by", sort=False):
        for what, of in ((f"{who}, as served", part), (f"{who}, own choices", _own(part))):
            if of.quality.notna().any():
                rows[what] = (of.quality.count(), *_mean_quality(of)[:3])
    if isinstance(before, OffPolicyValue):
        rows["router, valued before"] = (before.n, *before.quality[:3])
    names = ["n", "quality", "quality_low", "quality_high"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    return frame.sort_index(key=_in_order).rename_axis("what")


def served_values_plot(values: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what each way to decide was worth, with intervals.

    Parameters
    ----------
    values : DataFrame
        As of `served_values`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.4, 0.9 + 0.45 * len(values)))
    rows = [
        Row(
            f"{what}\n(n = {row['n']:.0f})",
            row["quality"],
            row["quality_low"],
            row["quality_high"],
            marker="D" if str(what).endswith("before") else "o",
        )
        for what, row in values.to_dict("index").items()
    ]
    interval_rows(ax, rows)
    ax.set_xlim(0, 1)
    note = "95 % intervals; diamond: doubly robust, from the decisions of rules alone"
    finish(ax, "What each way to decide was worth", "mean quality (0-1)", "", note)
    return ax


def served_findings(decisions: pd.DataFrame, before: OffPolicyValue | str) -> Prose:
    """Say what the log told of the router beforehand, and what came.

    Parameters
    ----------
    decisions : DataFrame
        As of `decisions_of`.
    before : OffPolicyValue or str
        As of `value_before`.

    Returns
    -------
    Prose
    """
    told = before.sentence if isinstance(before, OffPolicyValue) else before
    live = decisions[decisions.decided_by == ROUTER]
    own = _own(live)
    if not own.quality.notna().any():
        return say(told, "No answer that the router chose itself has a score yet.")
    mean = _mean_quality(own)
    return say(
        f"Before a router went live, the log of the rules said: {told}",
        f"Live, {len(own)} of {len(live)} choices were the router's own: mean quality "
        f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}], {own.quality.count()} scored.",
    )


def _own(decisions: pd.DataFrame) -> pd.DataFrame:
    return decisions[decisions.is_preferred]


def _mean_quality(decisions: pd.DataFrame) -> Interval:
    """Put an interval round the mean score; its ends stay where a quality can lie."""
    mean = mean_interval(decisions.quality.dropna())
    return mean._replace(low=float(np.clip(mean.low, 0, 1)), high=float(np.clip(mean.high, 0, 1)))


def _changes(decisions: pd.DataFrame) -> np.ndarray:
    """Return after how many decisions another kind of decider took over."""
    who = decisions.decided_by.to_numpy()
    return np.flatnonzero(who[1:] != who[:-1]) + 1


def _in_order(names: pd.Index) -> pd.Index:
    """Sort rules first, then the router: valued before, own choices, as served."""
    ends = ("valued before", "own choices", "as served")
    rank = {end: number for number, end in enumerate(ends)}
    return names.map(lambda name: (name.split(", ")[0] != RULES, rank[name.split(", ")[-1]]))
