"""Say what a cascade is worth beside its router on held-out prompts, all calls paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from routerlib.evaluation.failed_calls import failures_counted
from routerlib.evaluation.routing import check_held_out, route_all
from routerlib.metrics.intervals import Interval, paired_bootstrap, widen_for_unseen
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats
from routerlib.records.canonical import plain_json
from routerlib.routers.cascades.cascade import Cascade, Replay

if TYPE_CHECKING:
    import pandas as pd

CascadeKind = Literal["pays", "costs", "not_shown", "is_the_router"]
# Fewer groups than this, and a bootstrap's interval is too narrow to claim anything by.
_FEW_GROUPS = 30


@dataclass(frozen=True)
class CascadeEvaluation:
    """What a cascade obtains and pays, beside its router and the best single model.

    Parameters
    ----------
    kind : str
        ``pays``, ``costs``: the difference in utility to the router excludes zero; ``not_shown``:
        it doesn't; ``is_the_router``: training showed no gain, so that nothing is asked twice.
    sentence : str
        The finding in words.
    cost_weight : float
        Operating point: quality given up per US dollar saved.
    n, n_groups, n_skipped : int
        Prompts measured, groups among them, and prompts skipped because a candidate has no answer,
        quality or cost there.
    measured : dict of str to Interval
        ``quality`` and ``cost_usd`` of the cascade; ``quality_gain``, ``cost_share`` and
        ``utility_gain`` to the router; ``quality_difference`` and ``saving`` to the best single;
        95 % intervals, paired, by group.
    paths : tuple of Path
        Who was asked in what order, the most frequent first.
    """

    kind: CascadeKind
    sentence: str
    cost_weight: float
    n: int
    n_groups: int
    n_skipped: int
    measured: Mapping[str, Interval]
    paths: tuple[Path, ...]

    @property
    def asked_again(self) -> float:
        """Share of prompts on which more than one candidate was asked."""
        return sum(path.n for path in self.paths if len(path.asked) > 1) / max(self.n, 1)

    def frame(self) -> pd.DataFrame:
        """Show what was asked in what order, and what asking on brought.

        Returns
        -------
        DataFrame
            A row for each order of asking: prompts, mean quality of the first answer, of the one
            given back, what that brought, and what the further calls cost, US dollars per 1,000
            prompts of that order.
        """
        return frame_of(self.paths)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values, as a router's file keeps it."""
        return dict(
            plain_json(
                {
                    "kind": self.kind,
                    "sentence": self.sentence,
                    "cost_weight": self.cost_weight,
                    "n": self.n,
                    "n_groups": self.n_groups,
                    "n_skipped": self.n_skipped,
                    "asked_again": self.asked_again,
                    "measured": {name: list(each) for name, each in self.measured.items()},
                    "paths": [path.__dict__ for path in self.paths],
                }
            )
        )


@dataclass(frozen=True)
class Path:
    """Prompts on which the same candidates were asked in the same order.

    `first_quality, given_quality`: means of the first answer, and of the one given back.
    `further_usd`: mean US dollars of the calls after the first.
    """

    asked: tuple[str, ...]
    n: int
    first_quality: float
    given_quality: float
    further_usd: float


def frame_of(paths: Sequence[Path]) -> pd.DataFrame:
    """Lay orders of asking out as rows, as of `CascadeEvaluation.frame`."""
    import pandas as pd

    rows = [
        {
            "asked": " > ".join(path.asked),
            "prompts": path.n,
            "first_quality": path.first_quality,
            "given_quality": path.given_quality,
            "brought": path.given_quality - path.first_quality,
            "further_usd_per_1000": 1000 * path.further_usd,
        }
        for path in paths
    ]
    return pd.DataFrame(rows).set_index("asked")


def evaluate_cascade(
    cascade: Cascade,
    test: Outcomes,
    test_failures_wrong: Outcomes | None = None,
    *,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> CascadeEvaluation:
    """Follow a cascade over held-out prompts, and compare it with its router.

    Parameters
    ----------
    cascade : Cascade
        Fitted; at its own operating point.
    test : Outcomes
        With `answers`; prompts that neither cascade nor router was trained on.
    test_failures_wrong : Outcomes or None, default=None
        The same prompts, with quality 0 where a call failed: such a call then counts as an empty
        answer that is wrong. None = prompts with a failed call are skipped.
    n_bootstrap : int, default=1000
        Replicates, whole groups of prompts at a time.
    random_state : int, default=0
        Seed of the replicates.

    Returns
    -------
    CascadeEvaluation
        Costs hold every call, those whose answers were not given back too.

    Raises
    ------
    ValueError
        If prompts were trained on, no answers were kept, or no prompt has every answer.

    Examples
    --------
    >>> import routerlib as rl
    >>> cascade = rl.load_router("data/router_model.pkl")  # doctest: +SKIP
    >>> evaluate_cascade(cascade, test).sentence  # doctest: +SKIP
    'The cascade pays beside the router: ...'
    """
    check_held_out(cascade, test)
    part = _complete(cascade, test, failures_counted(test, test_failures_wrong))
    replay = cascade.replay(part)
    arms = route_all(cascade.router, part).arms
    rows, best = np.arange(len(part)), part.models.index(cascade.best_single_)
    columns = {
        "quality": replay.quality,
        "cost_usd": replay.cost_usd,
        "router_quality": part.quality[rows, arms],
        "router_usd": part.cost_usd[rows, arms],
        "best_quality": part.quality[:, best],
        "best_usd": part.cost_usd[:, best],
    }
    measured = _measured(columns, part, cascade.cost_weight_, n_bootstrap, random_state)
    n_groups = len(np.unique(part.groups))
    kind = _kind(cascade, measured["utility_gain"], n_groups)
    paths = _paths(part, replay)
    again = sum(path.n for path in paths if len(path.asked) > 1) / len(part)
    return CascadeEvaluation(
        kind=kind,
        sentence=_sentence(kind, measured, len(part), again, cascade.boldness_.reason),
        cost_weight=cascade.cost_weight_,
        n=len(part),
        n_groups=n_groups,
        n_skipped=len(test) - len(part),
        measured=measured,
        paths=paths,
    )


def is_measurable(cascade: Cascade, test: Outcomes) -> bool:
    """Tell whether any prompt has an answer, a score and a cost of every candidate.

    Parameters
    ----------
    cascade : Cascade
        Any.
    test : Outcomes
        With or without answers.

    Returns
    -------
    bool
        Whether `evaluate_cascade` has something to measure by.
    """
    if test.answers is None or any(name not in test.models for name in cascade.models_):
        return False
    part = test.of_models(cascade.models_)
    return bool(len(_complete_rows(part, part)))


def _complete(cascade: Cascade, test: Outcomes, counted: Outcomes) -> Outcomes:
    """Return the prompts with every candidate's answer, quality and cost, in the router's order.

    `counted`: the same, failed calls as wrong answers.
    """
    part = counted.of_models(cascade.models_)
    if part.answers is None:
        raise ValueError(
            "these outcomes hold no answers, so that nobody can say what looking at them is "
            "worth; read them from a log that kept them, or give `answers`"
        )
    rows = _complete_rows(part, test.of_models(cascade.models_))
    if not len(rows):
        raise ValueError(
            f"none of {len(test)} held-out prompts has an answer, a score and a cost of every "
            f"candidate ({', '.join(cascade.models_)}); collect them all for some prompts"
        )
    return part.take(rows)


def _complete_rows(part: Outcomes, as_observed: Outcomes) -> np.ndarray:
    told = part.answers or ()
    is_there = np.array([[text is not None for text in row] for row in told], dtype=bool)
    is_there = is_there.reshape(part.quality.shape)
    has_failed = np.isnan(as_observed.quality)  # of whose answer nobody got anything
    is_known = np.isfinite(part.quality) & np.isfinite(part.cost_usd) & (is_there | has_failed)
    return np.flatnonzero(is_known.all(axis=1))


def _measured(
    columns: Mapping[str, Floats],
    part: Outcomes,
    cost_weight: float,
    n_bootstrap: int,
    random_state: int,
) -> dict[str, Interval]:
    def statistic(weights: Floats) -> dict[str, Floats]:
        totals = weights.sum(axis=1)
        mean = {name: weights @ values / totals for name, values in columns.items()}
        gain = mean["quality"] - mean["router_quality"]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = mean["cost_usd"] / mean["router_usd"]
            saving = 1 - mean["cost_usd"] / mean["best_usd"]
        return {
            "quality": mean["quality"],
            "cost_usd": mean["cost_usd"],
            "quality_gain": gain,
            "cost_share": share,
            "utility_gain": utility(gain, mean["cost_usd"] - mean["router_usd"], cost_weight),
            "quality_difference": mean["quality"] - mean["best_quality"],
            "saving": saving,
        }

    found = paired_bootstrap(
        statistic, part.groups, n_bootstrap=n_bootstrap, random_state=random_state
    )
    n_groups = len(np.unique(part.groups))
    for name in ("quality_gain", "quality_difference", "utility_gain"):
        found[name] = widen_for_unseen(found[name], n_groups)
    return found


def _kind(cascade: Cascade, gain: Interval, n_groups: int) -> CascadeKind:
    if cascade.boldness_.share == 0 or cascade.most_calls == 1:
        return "is_the_router"
    if n_groups < _FEW_GROUPS or np.isnan(gain.low):
        return "not_shown"
    if gain.low > 0:
        return "pays"
    return "costs" if gain.high < 0 else "not_shown"


def _paths(part: Outcomes, replay: Replay) -> tuple[Path, ...]:
    found: dict[tuple[str, ...], list[int]] = {}
    for row, asked in enumerate(replay.asked):
        found.setdefault(asked, []).append(row)
    paths = []
    for asked, rows in sorted(found.items(), key=lambda each: (-len(each[1]), each[0])):
        first = part.models.index(asked[0])
        own = part.cost_usd[rows, first]
        paths.append(
            Path(
                asked=asked,
                n=len(rows),
                first_quality=float(part.quality[rows, first].mean()),
                given_quality=float(replay.quality[rows].mean()),
                further_usd=float((replay.cost_usd[rows] - own).mean()),
            )
        )
    return tuple(paths)


_STARTS = {
    "pays": "The cascade pays beside the router",
    "costs": "The cascade loses against the router",
    "not_shown": "No difference between cascade and router is shown",
}


def _sentence(
    kind: CascadeKind, measured: Mapping[str, Interval], n: int, again: float, reason: str
) -> str:
    if kind == "is_the_router":
        return f"The cascade is the router, and asks nobody twice: {reason}."
    gain, share = measured["quality_gain"], measured["cost_share"]
    return (
        f"{_STARTS[kind]}: on {n} held-out prompts it asked {100 * again:.0f} % of them a second "
        f"time, quality is {100 * gain.value:+.1f} points ({100 * gain.low:+.1f} to "
        f"{100 * gain.high:+.1f}) at {100 * share.value:.0f} % ({100 * share.low:.0f} to "
        f"{100 * share.high:.0f}) of the router's cost, all calls paid."
    )
