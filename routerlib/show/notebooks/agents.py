"""Figures, tables and sentences of the notebook on an agent's steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import (
    OffPolicyValue,
    estimate_difference,
    estimate_value,
)
from routerlib.gather.agents.agent import work_on
from routerlib.gather.agents.tasks import ANSWER, AgentTask
from routerlib.gather.agents.trajectories import DUES, read_steps
from routerlib.log.choices import LoggedChoices
from routerlib.metrics.clusters import wilson
from routerlib.metrics.intervals import Interval, paired_bootstrap
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import FEEDBACK
from routerlib.routers.baselines import BestSingle
from routerlib.routers.training.train import train_router
from routerlib.show.plots.drawing import Row, interval_rows
from routerlib.show.plots.style import BASELINE_GREY, axes_or_new, candidate_styles, finish
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.numbers import percent
from routerlib.show.words.prose import Prose, say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from routerlib.log.call_log import CallLog

_DECIDED = 0.0


def work_through(tasks: Sequence[AgentTask], url: str) -> None:
    """Let an agent do tasks through a served router; a bar shows how far it is.

    Parameters
    ----------
    tasks : sequence of AgentTask
        As of `make_tasks`.
    url : str
        Where the server answers.
    """
    from tqdm.auto import tqdm

    with tqdm(total=len(tasks), desc="tasks", leave=False) as bar:
        for n_steps, taken in enumerate(work_on(tasks, url), start=1):
            bar.update(taken.task - bar.n)
            bar.set_postfix(steps=n_steps)


def agent_steps(log: CallLog) -> pd.DataFrame:
    """Read the steps of an agent's trajectories.

    Parameters
    ----------
    log : CallLog
        Of the server that answered the agent.

    Returns
    -------
    DataFrame
        One row a step: task, number, question, due, tool, argument, is_right, model, decision_id.

    Raises
    ------
    ValueError
        If there is none.
    """
    import pandas as pd

    steps = read_steps(log)
    if not steps:
        raise ValueError(f"the log {log.path} holds no scored step of an agent; set n_tasks")
    rows = [{**asdict(each), **asdict(each.step)} for each in steps]
    return pd.DataFrame(rows).drop(columns="step")


def describe_steps(steps: pd.DataFrame) -> str:
    """Say how many steps of how many tasks there are, and how often each model took one.

    Parameters
    ----------
    steps : DataFrame
        As of `agent_steps`.

    Returns
    -------
    str
    """
    counts = steps.model.value_counts().sort_index()
    by_model = ", ".join(f"{model} took {n}" for model, n in counts.items())
    return f"{steps.task.nunique()} tasks in {len(steps)} steps: {by_model}."


def trajectory_table(steps: pd.DataFrame) -> Table:
    """Show the longest trajectory that reached its goal, or the longest of all.

    Parameters
    ----------
    steps : DataFrame
        As of `agent_steps`.

    Returns
    -------
    Table
    """
    lengths = steps.groupby("task").size()
    done = _done(steps)
    chosen = lengths[done].idxmax() if done.any() else lengths.idxmax()
    shown = steps[steps.task == chosen].set_index("number").rename_axis("step")
    frame = shown.assign(right=shown.is_right.map({True: "yes", False: "no"}))
    columns = ["model", "tool", "argument", "right", "decision_id"]
    return table(frame[columns], shown.question.iloc[0])


def due_frame(steps: pd.DataFrame, random_state: int = 0) -> pd.DataFrame:
    """Measure how often each candidate model's step led on, by what was due.

    Parameters
    ----------
    steps : DataFrame
        As of `agent_steps`.
    random_state : int, default=0
        Seed of the bootstrap over tasks.

    Returns
    -------
    DataFrame, index due and model
        n, quality with quality_low and quality_high (95 %, whole tasks drawn together, and no
        narrower than Wilson's of so many tasks).
    """
    import pandas as pd

    rows = {}
    for (due, model), part in steps.groupby(["due", "model"]):
        rows[due, model] = (len(part), *_share(part, random_state))
    names = ["n", "quality", "quality_low", "quality_high"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["due", "model"])
    return frame.sort_index(level="due", key=lambda due: due.map(DUES.index), sort_remaining=True)


def due_plot(due: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how often each candidate model's step led on, by what was due.

    Parameters
    ----------
    due : DataFrame
        As of `due_frame`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.4, 1.2 + 0.45 * len(due)))
    styles = candidate_styles(sorted(set(due.index.get_level_values("model"))))
    rows = [
        Row(
            f"{what}:\n{model} (n = {row['n']:.0f})",
            row["quality"],
            row["quality_low"],
            row["quality_high"],
            styles[model].color,
            styles[model].marker,
        )
        for (what, model), row in zip(due.index, due.to_dict("records"), strict=True)
    ]
    interval_rows(ax, rows)
    ax.set_xlim(-0.02, 1.02)
    note = "95 % intervals, tasks drawn whole"
    finish(ax, "Which model is enough for which step", "share of steps that lead on", "", note)
    return ax


@dataclass(frozen=True)
class AgentValues:
    """What routing steps was worth on conversations that it hadn't seen.

    Parameters
    ----------
    best_single : str
        The candidate model whose steps led on most often in training.
    router, single : OffPolicyValue
        Of routing, and of always asking that one.
    difference : Interval
        Quality of routing minus that of always asking that one, doubly robust.
    """

    best_single: str
    router: OffPolicyValue
    single: OffPolicyValue
    difference: Interval

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.difference.value == self.difference.low == self.difference.high == 0:
            return (
                f"The router keeps to {self.best_single} on all {self.router.n} steps that it "
                "hadn't seen: so far the log shows no gain by another choice."
            )
        low, high = 100 * self.difference.low, 100 * self.difference.high
        value = f"{100 * self.difference.value:+.1f} points [{low:.1f}, {high:.1f}]"
        saved = 1 - self.router.cost_usd.value / self.single.cost_usd.value
        cost = f"at {percent(abs(saved))} {'less' if saved >= 0 else 'more'} cost"
        if self.difference.low > _DECIDED:
            word = "Routing steps pays"
        elif self.difference.high < _DECIDED:
            word = "Routing steps does harm"
        else:
            word = "Whether routing steps pays isn't measurable yet"
        return (
            f"{word}: {value} of quality per step against always asking {self.best_single}, {cost} "
            f"({self.router.n} steps that the router hadn't seen)."
        )


def agent_values(
    log: CallLog, *, test_size: float = 0.5, random_state: int = 0
) -> AgentValues | str:
    """Train a router on the steps of some conversations, and value it on those of the others.

    Parameters
    ----------
    log : CallLog
        Of the agent's calls, each model drawn by chance, each step with a score.
    test_size : float, default=0.5
        Share of the steps that value, in (0, 1); whole conversations on either side.
    random_state : int, default=0
        Seed of split, training and cross-fitting.

    Returns
    -------
    AgentValues or str
        Or in words why this log can't tell.
    """
    try:
        outcomes = Outcomes.from_log(log, judge=FEEDBACK)
        logged = LoggedChoices.from_log(log, judge=FEEDBACK)
        train, test = outcomes.split(test_size=test_size, random_state=random_state)
        router = train_router(train, random_state=random_state)
        single = BestSingle().fit(train)
        held_out = _single_steps(logged.of_prompts(set(test.prompt_ids)))
        return AgentValues(
            train.best_single,
            estimate_value(router, held_out, random_state=random_state),
            estimate_value(single, held_out, random_state=random_state),
            estimate_difference(router, single, held_out, random_state=random_state),
        )
    except (ThinOverlap, ValueError) as refusal:
        return f"This log can't tell yet: {refusal}."


def agent_values_plot(values: AgentValues | str, ax: Axes | None = None) -> Axes | Prose:
    """Draw what routing steps and always asking one model were worth.

    Parameters
    ----------
    values : AgentValues or str
        As of `agent_values`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes or Prose
        In words where the log can't tell.
    """
    if isinstance(values, str):
        return say(values)
    ax = axes_or_new(ax, (7.4, 2.4))
    rows = [
        Row("a router of steps", *values.router.quality[:3]),
        Row(f"always {values.best_single}", *values.single.quality[:3], BASELINE_GREY),
    ]
    interval_rows(ax, rows)
    ax.set_xlim(-0.02, 1.02)
    note = f"doubly robust on {values.router.n} steps of conversations that weren't learned from"
    finish(ax, "What routing steps is worth", "share of steps that lead on", "", note)
    return ax


def _single_steps(logged: LoggedChoices) -> LoggedChoices:
    """Take each step for itself, as the score of a step does; a conversation's go together."""
    if logged.conversations is None:
        return logged
    return replace(
        logged, conversations=None, prompt_ids=[str(each) for each in logged.conversations]
    )


def agent_lessons(steps: pd.DataFrame, due: pd.DataFrame, values: AgentValues | str) -> Prose:
    """Say what the agent's trajectories told.

    Parameters
    ----------
    steps : DataFrame
        As of `agent_steps`.
    due : DataFrame
        As of `due_frame`.
    values : AgentValues or str
        As of `agent_values`.

    Returns
    -------
    Prose
    """
    done = _done(steps)
    best = due.reset_index().sort_values("quality").groupby("due", sort=False).last()
    by_tool = [
        f"where {what} was due, {row['model']} led on most often "
        f"({percent(row['quality'])} of {row['n']:.0f})"
        for what, row in best.loc[[each for each in DUES if each in best.index]].iterrows()
    ]
    return say(
        f"{done.sum()} of {len(done)} tasks ended with the right answer, in {len(steps)} steps; "
        f"{'; '.join(by_tool)}.",
        values if isinstance(values, str) else values.sentence,
        "The score is of each step. A wrong step also costs the steps after it, which such a value "
        "of single steps leaves out.",
    )


def _done(steps: pd.DataFrame) -> pd.Series:
    last = steps.groupby("task").last()
    return (last.tool == ANSWER) & last.is_right


def _share(part: pd.DataFrame, random_state: int) -> tuple[float, float, float]:
    """Return a share with its interval: of whole tasks drawn, at least that of as many tasks."""
    right = part.is_right.to_numpy(dtype=float)
    found = paired_bootstrap(
        lambda weights: {"share": (weights @ right) / np.maximum(weights.sum(axis=1), 1)},
        part.task.to_numpy(),
        random_state=random_state,
    )["share"]
    low, high = wilson(found.value, part.task.nunique())
    return found.value, float(np.fmin(found.low, low)), float(np.fmax(found.high, high))
