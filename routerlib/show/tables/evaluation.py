"""Tables of what an evaluation found, and the few numbers that a reader in a hurry needs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.evaluation.noise import TooFewRepeats, noise_ceiling
from routerlib.evaluation.repeats import repeats_from_log
from routerlib.metrics.sample_size import plan_sample_size, sd_of
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.numbers import percent, points
from routerlib.show.words.prose import Prose, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.log.call_log import CallLog

_MARGINS = (0.005, 0.01, 0.02, 0.05)
# Differences in quality that are none but for rounding.
_NO_SPREAD = 1e-9
_ALIKE = "–: no prompt differs, so nothing tells how much a difference would vary"


def comparison_table(comparison: pd.DataFrame) -> Table:
    """Show the columns of a comparison that matter most, with their intervals.

    Parameters
    ----------
    comparison : DataFrame
        From `routerlib.evaluation.compare.compare`.

    Returns
    -------
    Table
        Differences are each row minus the first, on the same prompts; none for the first itself.
    """
    columns = (
        "quality",
        "cost_usd",
        "cost_share",
        "quality_difference",
        "gain_over_zero",
        "AIQ",
        "AIQ_vs_first",
        "APGR",
        "gap_closed",
    )
    count = comparison.attrs.get("n", "the same")
    shown = comparison.copy()
    shown.loc[shown.index[:1], shown.columns.str.contains("_vs_first")] = np.nan
    caption = f"Ways to choose, on {count} held-out prompts, with 95 % intervals; differences are "
    caption += f"a row minus {comparison.index[0]}"
    n_taught, n_train = (comparison.attrs.get(name, 0) for name in ("n_taught", "n_train"))
    if n_taught < n_train:
        caption += f"; nearest neighbours and the classifier learnt from {n_taught:,} of "
        caption += f"{n_train:,} training prompts"
    return table(shown, caption, columns=columns)


def splits_table(comparison: pd.DataFrame) -> Table:
    """Show what one way of training is worth by each way of holding prompts out.

    Parameters
    ----------
    comparison : DataFrame
        From `routerlib.evaluation.unseen.compare_splits`.

    Returns
    -------
    Table
    """
    columns = ("n_train", "n_test", "quality_difference", "AIQ", "APGR", "AIQ_vs_topic_table")
    known = [name for name in columns if name in comparison]
    return table(comparison, "The same way of training, by what was held out", columns=known)


def power_table(evaluation: Evaluation) -> Table:
    """Show how many held-out prompts would tell differences of several sizes.

    Parameters
    ----------
    evaluation : Evaluation
        Of any router; the spread of its paired differences is taken from it.

    Returns
    -------
    Table
        Prompts for a 95 % interval that excludes 0 with 80 % power, if the true difference is as
        large as the margin; a dash where no prompt differs, since that tells nothing of it.
    """
    import pandas as pd

    compared = {
        "quality against best single": evaluation.operating["quality_difference"],
        "quality against random mixing": evaluation.operating["gain_over_zero"],
    }
    if "topic table" in evaluation.leads:
        compared["quality against the topic table"] = evaluation.leads["topic table"]["quality"]
    rows, is_alike = [], False
    for name, interval in compared.items():
        sd = sd_of(interval, evaluation.n)
        if np.isfinite(sd):
            is_told = sd > _NO_SPREAD
            rows.append(
                {"what is compared": name, "n now": evaluation.n}
                | {
                    f"n to tell {100 * margin:g} points": (
                        plan_sample_size(margin, sd=sd) if is_told else None
                    )
                    for margin in _MARGINS
                }
            )
            is_alike |= not is_told
    caption = "Held-out prompts needed to tell a difference (95 % interval, 80 % power)"
    # Numbers stay whole beside what is unknown.
    shown = table(pd.DataFrame(rows, dtype=object), caption)
    return replace(shown, notes=(*shown.notes, _ALIKE)) if is_alike else shown


def noise_table(log: CallLog, models: Sequence[str]) -> Table | Prose:
    """Show how much of the gap to the oracle is luck, or say why it can't be told.

    Parameters
    ----------
    log : CallLog
        The log; it tells where prompts were asked repeatedly.
    models : sequence of str
        Candidate models, such as ``outcomes.models``.

    Returns
    -------
    Table or Prose
        A table of yardsticks where there are repeats, else the reason.
    """
    import pandas as pd

    try:
        ceiling = noise_ceiling(repeats_from_log(log, models))
    except TooFewRepeats as error:
        return say(
            f"How much of the gap to the oracle is luck can't be told from this log: {error}."
        )
    rows = [
        {"yardstick": name} | interval.columns("quality")
        for name, interval in ceiling.values.items()
    ]
    return table(pd.DataFrame(rows), ceiling.sentence)


class KeyNumber(NamedTuple):
    """One number for people in a hurry."""

    value: str
    name: str
    interval: str


def key_numbers(evaluation: Evaluation) -> list[KeyNumber]:
    """Pick the few numbers that the verdict rests on: the very ones of its sentence."""
    verdict = evaluation.verdict
    numbers = verdict.numbers
    if verdict.fallback is not None:
        return [*_of_best_single(evaluation), _sample(numbers, " of some candidate model")]
    found = [*_saving(numbers, verdict.best_single)]
    named = [
        ("quality_difference", f"quality against always {verdict.best_single}"),
        ("gain_over_zero", "quality against mixing at random for the same money"),
    ]
    if numbers.get("holds_on_complete_only"):
        _, name = named.pop(0)
        bounds = (numbers["quality_difference_at_worst"], numbers["quality_difference_at_best"])
        low, high = (points(end) for end in bounds if end is not None)
        note = f"on all {numbers['n_held_out']:.0f}, with what is missing at its worst and best"
        found.append(KeyNumber(f"{low} to {high} points", name, note))
    for key, name in named:
        value, *ends = (numbers.get(f"{key}{end}") for end in ("", "_low", "_high"))
        if value is not None:
            told = _bracket(*(points(end) for end in ends if end is not None))
            found.append(KeyNumber(f"{points(value)} points", name, told))
    how = "that counts within its bounds"
    if failed := numbers.get("n_failed"):
        how = "failed calls count as wrong"
        how += "" if failed == numbers["n_skipped"] else ", the rest within its bounds"
    return [*found, _sample(numbers, f"; {how}")]


def told_in_brief(evaluation: Evaluation) -> list[str]:
    """Write an evaluation for a terminal: the finding, its numbers, and what they stand on.

    What to label stands in `routerlib.evaluation.next_steps.next_steps`.
    """
    verdict, numbers = evaluation.verdict, key_numbers(evaluation)
    # Where a router keeps to the best single model the numbers don't say why.
    said = verdict.finding if verdict.fallback is not None else f"{verdict.headline}."
    width = max(len(each.value) for each in numbers)
    told = [
        f"  {each.value.ljust(width)}  {each.name}{f' ({each.interval})' if each.interval else ''}"
        for each in numbers
    ]
    return [said, *told, *(f"- {note}" for note in (verdict.tried, *verdict.notes) if note)]


def _saving(numbers: Mapping[str, float | None], best_single: str) -> list[KeyNumber]:
    """Say what is saved, or how many times as much it costs."""
    value, low, high = (numbers.get(f"saving{end}") for end in ("", "_low", "_high"))
    if value is None:
        return []
    ends = [] if low is None or high is None else [low, high]
    if value <= -1:
        told = [f"{1 - end:.1f}" for end in reversed(ends)]
        return [KeyNumber(f"{1 - value:.1f} times", f"the cost of always {best_single}", _to(told))]
    sign, way = (1, "cheaper") if value >= 0 else (-1, "dearer")
    told = [percent(end) for end in sorted(sign * end for end in ends)]
    return [KeyNumber(f"{percent(sign * value)} {way}", f"than always {best_single}", _to(told))]


def _sample(numbers: Mapping[str, float | None], counted: str) -> KeyNumber:
    """Say how many prompts the sentence is about, and what becomes of those that lack something."""
    n, n_all = numbers.get("n") or 0, numbers.get("n_held_out")
    note = ""
    if n_all is not None:
        n_lacking = numbers["n_skipped"] or 0
        lacking = f"{n_lacking:.0f} lack a score or a cost{counted}"
        note = lacking if n == n_all else f"{n_all - n:.0f} lack a score or a cost, besides"
    return KeyNumber(f"{n:.0f}", "held-out prompts", note)


def _of_best_single(evaluation: Evaluation) -> list[KeyNumber]:
    found = [
        KeyNumber(
            f"always {evaluation.strong}",
            "the router is the best single model itself, so there is no difference to measure",
            "",
        )
    ]
    quality, n = evaluation.scored["quality"], evaluation.scored["n"]
    if math.isfinite(quality.value):
        value, *ends = (f"{part:.3f}" for part in quality[:3])
        where = f"; on the {n} where it is scored" if evaluation.missing else ""
        name = f"quality of {evaluation.strong} (0-1)"
        found.append(KeyNumber(value, name, _bracket(*ends) + where))
    return found


def _to(ends: Sequence[str]) -> str:
    return _bracket(*ends) if ends else ""


def _bracket(low: str, high: str) -> str:
    return f"95 % interval {low.removesuffix(' %')} to {high}"
