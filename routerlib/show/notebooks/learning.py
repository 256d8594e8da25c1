"""Figures, tables and sentences of the two notebooks about learning on the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import estimate_value
from routerlib.evaluation.replay.replay import mean_interval
from routerlib.show.plots.drawing import upright_intervals
from routerlib.show.plots.style import ROUTER_BLACK, axes_or_new, candidate_styles, finish
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.prose import Prose

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from routerlib.evaluation.drift import Drift
    from routerlib.evaluation.duel import Comparison
    from routerlib.evaluation.replay.traffic import Year
    from routerlib.log.choices import LoggedChoices


def value_frame(policies: Mapping[str, Any], logged: LoggedChoices, year: Year) -> pd.DataFrame:
    """Value policies on a log by each method, beside the truth that a replay knows.

    Parameters
    ----------
    policies : mapping of str to policy
        Without chance of their own.
    logged : LoggedChoices
        The log of `year`, with estimates.
    year : Year
        All outcomes, for the truth.

    Returns
    -------
    DataFrame, index policy and method
        quality with quality_low and quality_high; method ``truth`` and ``agreeing rows`` (the mean
        where the log happened to choose the same, without weights) have no interval.
    """
    import pandas as pd

    rows = []
    every = np.arange(len(logged))
    for name, policy in policies.items():
        arms = policy.choose(logged.estimates).arms
        rows.append((name, "truth", float(year.quality[every, arms].mean()), np.nan, np.nan))
        same = arms == logged.arms
        rows.append((name, "agreeing rows", float(logged.quality[same].mean()), np.nan, np.nan))
        for method in ("ips", "snips", "dr"):
            try:
                found = estimate_value(policy, logged, method).quality
            except ThinOverlap:
                continue
            rows.append((name, method, found.value, found.low, found.high))
    names = ["policy", "method", "quality", "quality_low", "quality_high"]
    return pd.DataFrame(rows, columns=names).set_index(["policy", "method"])


def values_plot(values: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw estimated values with intervals beside the truth.

    Parameters
    ----------
    values : DataFrame
        As of `value_frame`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.4, 4.2))
    policies = list(dict.fromkeys(values.index.get_level_values("policy")))
    methods = [name for name in ("agreeing rows", "ips", "snips", "dr") if _has(values, name)]
    styles = candidate_styles(methods)
    for number, method in enumerate(methods):
        known = values.xs(method, level="method")
        at = [policies.index(name) + (number - 1.5) * 0.15 for name in known.index]
        ends = known[["quality", "quality_low", "quality_high"]]
        look = styles[method]
        upright_intervals(ax, at, ends, look.color, look.marker, method)
    truth = values.xs("truth", level="method").quality
    ax.hlines(
        truth, np.arange(len(truth)) - 0.4, np.arange(len(truth)) + 0.4, ROUTER_BLACK, label="truth"
    )
    ax.set_xticks(range(len(policies)), policies)
    ax.legend(fontsize="small")
    finish(
        ax,
        "What other policies are worth, by the log and in truth",
        "policy that is valued",
        "mean quality (0-1)",
        "95 % intervals; lines: what the replay knows",
    )
    return ax


def regret_plot(weeks: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the regret that each policy piles up through the year, mean over seeds.

    Parameters
    ----------
    weeks : DataFrame
        As of `routerlib.evaluation.replay.replay.replay`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.6, 4.6))
    names = [name for name in dict.fromkeys(weeks.policy) if name != "oracle"]
    styles = candidate_styles(names)
    for name in names:
        per_seed = weeks[weeks.policy == name].pivot_table(
            index="week", columns="seed", values="regret"
        )
        line = per_seed.fillna(0).cumsum().mean(axis=1)
        ax.plot(line.index, line, color=styles[name].color, label=name)
    ax.legend(fontsize="small")
    n_seeds = weeks.seed.nunique()
    finish(
        ax,
        "Regret through a year in which candidates change",
        "week of the year",
        "regret so far (utility under the oracle's)",
        f"mean of {n_seeds} replayed years",
    )
    return ax


def regret_table(summary: pd.DataFrame) -> Table:
    """Show what each policy had of the year, and what it saved against never retraining.

    Parameters
    ----------
    summary : DataFrame
        As of `routerlib.evaluation.replay.replay.summarise`.

    Returns
    -------
    Table
    """
    return table(
        summary.rename(
            columns={
                "regret_saved": "regret saved",
                "regret_saved_low": "regret saved_low",
                "regret_saved_high": "regret saved_high",
            }
        ),
        "Means per prompt; saved against a router that is never retrained, 95 % over years",
    )


def labels_plot(runs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what is missing to all labels, by the money spent, for each strategy.

    Parameters
    ----------
    runs : DataFrame
        As of `routerlib.gather.labels.replayed.replay_purchases`, several seeds.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.2, 4.4))
    names = list(dict.fromkeys(runs.strategy))
    styles = candidate_styles(names)
    for name in names:
        by_share = runs[runs.strategy == name].groupby("share").short
        ends = [mean_interval(values) for _, values in by_share]
        shares = [share for share, _ in by_share]
        color = styles[name].color
        line = [each.value for each in ends]
        ax.plot(shares, line, color=color, marker=styles[name].marker, label=name)
        ax.fill_between(
            shares, [e.low for e in ends], [e.high for e in ends], color=color, alpha=0.12
        )
    ax.axhline(0, color=ROUTER_BLACK, linewidth=0.8)
    ax.legend(fontsize="small")
    finish(
        ax,
        "What is missing to the router that all labels give",
        "share of the cost of all labels",
        "mean utility missing",
        f"{runs.seed.nunique()} seeds; bands are 95 % intervals of the mean",
    )
    return ax


def labels_table(runs: pd.DataFrame) -> Table:
    """Show each strategy's mean shortfall over all budgets, against random.

    Parameters
    ----------
    runs : DataFrame
        As of `replay_purchases`, with ``random`` among the strategies.

    Returns
    -------
    Table
    """
    return table(_label_gains(runs), "Mean over budgets; 95 % intervals over seeds, in pairs")


def active_lessons(
    runs: pd.DataFrame, comparison: Comparison, drift: Drift, served: Prose
) -> Prose:
    """Say what the notebook about labels and replacement has taught.

    Parameters
    ----------
    runs : DataFrame
        As of `routerlib.gather.labels.replayed.replay_purchases`.
    comparison : Comparison
        Of challenger and champion.
    drift : Drift
        What has changed.
    served : Prose
        As of `routerlib.show.notebooks.served.served_findings`.

    Returns
    -------
    Prose
    """
    gains = _label_gains(runs).drop("random")
    best = str(gains["better than random"].idxmax())
    row = gains.loc[best]
    shown = "shown to be" if row["better than random_low"] > 0 else "not shown to be"
    gained = comparison.utility
    return Prose(
        (),
        (
            *served.sentences,
            f"Buying labels by {best} is {shown} better than random here: "
            f"{row['better than random']:+.3f} [{row['better than random_low']:+.3f}, "
            f"{row['better than random_high']:+.3f}] utility at equal money, "
            f"{runs.seed.nunique()} seeds.",
            f"A router trained on more prompts gains {gained.value:+.3f} [{gained.low:+.3f}, "
            f"{gained.high:+.3f}] utility on {comparison.n} prompts that neither has seen.",
            drift.sentence,
        ),
    )


def off_policy_lessons(values: pd.DataFrame, summary: pd.DataFrame) -> Prose:
    """Say what the notebook about off-policy values and exploration has taught.

    Parameters
    ----------
    values : DataFrame
        As of `value_frame`.
    summary : DataFrame
        As of `routerlib.evaluation.replay.replay.summarise`.

    Returns
    -------
    Prose
    """
    robust = values.xs("dr", level="method")
    truth = values.xs("truth", level="method").quality[robust.index]
    inside = int(((robust.quality_low <= truth) & (truth <= robust.quality_high)).sum())
    bounds = ["oracle", "best single", "never retrained"]
    best = summary.drop(index=[name for name in bounds if name in summary.index]).iloc[0]
    return Prose(
        (),
        (
            f"{inside} of {len(robust)} doubly robust intervals hold the truth of the replay.",
            f"Least regret has {best.name}: {best.regret:.3f} a prompt, against "
            f"{summary.regret['never retrained']:.3f} of a router that is never retrained.",
            f"It saves {best.regret_saved:.3f} [{best.regret_saved_low:.3f}, "
            f"{best.regret_saved_high:.3f}] utility a prompt (95 % over replayed years).",
        ),
    )


def _label_gains(runs: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    area = runs.groupby(["strategy", "seed"]).short.mean().unstack("strategy")
    rows = {}
    for name in dict.fromkeys(runs.strategy):
        better = mean_interval(area["random"] - area[name])
        rows[name] = {
            "missing to all labels": area[name].mean(),
            "better than random": better.value,
            "better than random_low": better.low,
            "better than random_high": better.high,
        }
    frame = pd.DataFrame(rows).T
    frame.index.name = "strategy"
    return frame


def _has(values: pd.DataFrame, method: str) -> bool:
    return method in values.index.get_level_values("method")
