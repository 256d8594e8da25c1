"""Train a challenger on the log as it is now, and replace the champion only for good reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from routerlib.evaluation.drift import Drift, measure_drift, since_training
from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import estimate_difference
from routerlib.evaluation.routing import route_all
from routerlib.log.choices import LoggedChoices
from routerlib.metrics.intervals import Interval, paired_bootstrap, widen_for_unseen
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import utility
from routerlib.records.canonical import plain_json
from routerlib.routers import archive
from routerlib.routers.loading import load_router
from routerlib.routers.router import Router
from routerlib.routers.training.train import train_router

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

Verdict = Literal["installed", "replaced", "kept", "not yet"]

# With fewer prompts that neither router saw the comparison says nothing.
_MIN_COMPARED = 40
_MIN_TAUGHT = 40


@dataclass(frozen=True)
class Comparison:
    """How a challenger did beside the champion, on prompts that neither was trained on.

    Parameters
    ----------
    how : str
        ``observed`` (every candidate's outcome is known there) or ``off-policy`` (only what was
        chosen is known, with its propensity).
    utility : Interval
        Challenger minus champion, mean per prompt, 95 %.
    quality, cost_usd : Interval
        The same for quality and US dollars; NaN where only utility was estimated.
    n, n_groups : int
        Prompts, and groups of near-duplicates.
    cost_weight : float
        Of the utility.
    """

    how: str
    utility: Interval
    quality: Interval
    cost_usd: Interval
    n: int
    n_groups: int
    cost_weight: float


@dataclass(frozen=True)
class Retraining:
    """What a retraining decided, and why.

    Parameters
    ----------
    verdict : str
        ``installed`` (there was no router), ``replaced``, ``kept`` or ``not yet``.
    sentence : str
        The decision in words, with its numbers.
    n_new : int
        Scored prompts that the champion was not trained on.
    n_train : int
        Prompts that the challenger was trained on; 0 when none was trained.
    margin : float
        Utility that a challenger may be worse by.
    comparison : Comparison or None
        None when nothing was compared.
    drift : Drift or None
        None without a champion.
    champion, challenger : str
        Their hashes; empty where there is none.
    kept : str
        Name in the archive of the router that was put in use; empty when none was.
    """

    verdict: Verdict
    sentence: str
    n_new: int
    n_train: int = 0
    margin: float = 0.0
    comparison: Comparison | None = None
    drift: Drift | None = None
    champion: str = ""
    challenger: str = ""
    kept: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return verdict and comparison as plain builtins for JSON."""
        compared = None if self.comparison is None else asdict(self.comparison)
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "margin": self.margin,
            "n_train": self.n_train,
            "comparison": plain_json(compared),
        }


def retrain(
    log: CallLog,
    model_path: str | Path,
    *,
    margin: float = 0.02,
    if_new: int = 0,
    keep: int = 5,
    test_size: float = 0.4,
    cost_weight: float | None = None,
    random_state: int = 0,
) -> Retraining:
    """Train a challenger on the log, compare it with the router in use, and replace that or not.

    The prompts that the champion has not seen, near-duplicates of what it has seen left out, are
    divided: the challenger learns from the champion's prompts and a part of the new ones, and
    both are compared on the rest. Where every candidate was observed there, differences are
    bootstrapped in pairs; else, where decisions were logged with propensities, they are estimated
    doubly robust. The challenger goes in use if the lower end of the 95 % interval of its gain in
    utility is not under ``-margin``.

    Parameters
    ----------
    log : CallLog
        The log.
    model_path : str or Path
        The router file in use; where there is none, the challenger is installed.
    margin : float, default=0.02
        Utility (in quality) that may be lost without calling it worse, at least 0.
    if_new : int, default=0
        Do nothing unless there are so many new scored prompts.
    keep : int, default=5
        Routers to keep in the archive.
    test_size : float, default=0.4
        Share of the new prompts on which to compare, in (0, 1).
    cost_weight : float or None, default=None
        Of the utility; None = the champion's operating point, or the challenger's where the
        champion weighs no cost.
    random_state : int, default=0
        Seed of split, training and bootstrap.

    Returns
    -------
    Retraining

    Raises
    ------
    ValueError
        If the log holds no scored answer, or a number is out of range.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> from routerlib.records.call import Call, Score
    >>> log = rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> for number in range(40):
    ...     prompt = rl.Prompt.from_text(f"What is {number} + {number}?")
    ...     _ = log.add_prompts([prompt])
    ...     for name, score in (("small", number % 2), ("large", 1)):
    ...         call = Call(prompt.prompt_id, name, "b2:x", "ok", "5")
    ...         _ = log.add_call(call, scores=[Score("person", score)])
    >>> retrain(log, log.path.with_name("router.pkl")).verdict
    'installed'
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0, got {margin!r}")
    outcomes = Outcomes.from_log(log)
    if not Path(model_path).is_file():
        return _install_first(outcomes, model_path, if_new, keep, random_state)
    champion = load_router(model_path)
    unseen = _unseen(outcomes, champion)
    drift = _drift(champion, outcomes)
    known: dict[str, Any] = {"drift": drift, "champion": champion.router_hash_, "margin": margin}
    n_new = len(unseen)
    if n_new < if_new:
        return Retraining("not yet", _not_yet(n_new, if_new), n_new, **known)
    if n_new < _MIN_COMPARED:
        sentence = (
            f"Kept: {n_new} new prompts, {_MIN_COMPARED} that neither router has seen are needed "
            "to compare; collect or serve more."
        )
        return Retraining("kept", sentence, n_new, **known)
    taught, held_out = _divide(outcomes, unseen, test_size, random_state)
    challenger = train_router(taught, random_state=random_state)
    weight = _cost_weight(champion, challenger) if cost_weight is None else cost_weight
    known |= {"challenger": challenger.router_hash_, "n_train": len(taught)}
    try:
        comparison = _compare(challenger, champion, held_out, log, weight, random_state)
    except ThinOverlap as thin:
        return Retraining("kept", f"Kept: the two can't be compared; {thin}.", n_new, **known)
    verdict: Verdict = "replaced" if comparison.utility.low >= -margin else "kept"
    done = Retraining(
        verdict, _sentence(verdict, comparison, margin), n_new, comparison=comparison, **known
    )
    if verdict == "kept":
        return done
    put = archive.install(challenger, model_path, {"retraining": done.as_dict()}, keep=keep)
    return replace(done, kept=put.name)


def compare_observed(
    challenger: Router,
    champion: Router,
    test: Outcomes,
    *,
    cost_weight: float = 0.0,
    random_state: int = 0,
) -> Comparison:
    """Compare two routers on prompts where every candidate was observed, in pairs.

    Parameters
    ----------
    challenger, champion : Router
        Fitted; at their operating points.
    test : Outcomes
        Prompts that neither was trained on; incomplete ones are left out.
    cost_weight : float, default=0
        Of the utility of both.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Comparison
        Intervals of challenger minus champion; groups of near-duplicates are drawn together.

    Raises
    ------
    ThinOverlap
        If there are fewer than 40 such prompts.

    Examples
    --------
    >>> from routerlib.routers.baselines import BestSingle
    >>> from routerlib.routers.rivals import KNNRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> train, test = make_world(n_prompts=400).outcomes.split(random_state=0)
    >>> found = compare_observed(KNNRouter().fit(train), BestSingle().fit(train), test)
    >>> found.how, found.utility.low > 0
    ('observed', True)
    """
    complete = test.complete()
    if cost_weight:
        complete = complete.take(np.isfinite(complete.cost_usd).all(axis=1))
    if len(complete) < _MIN_COMPARED:
        raise ThinOverlap(
            f"every candidate was observed on {len(complete)} of the prompts that neither router "
            f"has seen, {_MIN_COMPARED} are needed"
        )
    rows = np.arange(len(complete))
    new, old = (route_all(router, complete).arms for router in (challenger, champion))
    quality = complete.quality[rows, new] - complete.quality[rows, old]
    cost_usd = complete.cost_usd[rows, new] - complete.cost_usd[rows, old]
    differences = {"quality": quality, "cost_usd": cost_usd}
    differences["utility"] = utility(quality, cost_usd, cost_weight)
    measured = paired_bootstrap(
        lambda drawn: {
            name: drawn @ values / drawn.sum(axis=1) for name, values in differences.items()
        },
        complete.groups,
        random_state=random_state,
    )
    n_groups = len(np.unique(complete.groups))
    for name in ("quality", "utility"):
        measured[name] = widen_for_unseen(measured[name], n_groups)
    return Comparison(
        "observed", n=len(complete), n_groups=n_groups, cost_weight=cost_weight, **measured
    )


def _compare(
    challenger: Router,
    champion: Router,
    held_out: Outcomes,
    log: CallLog,
    cost_weight: float,
    random_state: int,
) -> Comparison:
    """Compare on complete prompts where there are enough, else on logged decisions."""
    settings: dict[str, Any] = {"cost_weight": cost_weight, "random_state": random_state}
    try:
        return compare_observed(challenger, champion, held_out, **settings)
    except ThinOverlap as too_few:
        try:
            logged = LoggedChoices.from_log(log)
        except ValueError:
            raise too_few from None
    ids = set(held_out.prompt_ids)
    logged = logged.take(np.array([key in ids for key in logged.prompt_ids], dtype=bool))
    if len(logged) < _MIN_COMPARED:
        raise ThinOverlap(
            f"{len(logged)} decisions were logged on the prompts that neither router has seen, "
            f"{_MIN_COMPARED} are needed"
        )
    gained = estimate_difference(challenger, champion, logged, **settings)
    unknown = Interval(np.nan, np.nan, np.nan, np.nan)
    n_groups = len(set(logged.prompt_ids))
    return Comparison("off-policy", gained, unknown, unknown, len(logged), n_groups, cost_weight)


def _unseen(outcomes: Outcomes, router: Router) -> np.ndarray:
    """Return the rows that are neither training prompts of a router nor nearly so."""
    seen = set(router.train_prompt_ids_)
    groups = outcomes.groups
    is_seen = np.array([key in seen for key in outcomes.prompt_ids], dtype=bool)
    return np.flatnonzero(~np.isin(groups, groups[is_seen]))


def _divide(
    outcomes: Outcomes, unseen: np.ndarray, test_size: float, random_state: int
) -> tuple[Outcomes, Outcomes]:
    """Hold a part of the new prompts out; everything else may be learnt from."""
    _, test = outcomes.take(unseen).split(test_size, random_state)
    return outcomes.without(test.prompt_ids), test


def _install_first(
    outcomes: Outcomes, model_path: str | Path, if_new: int, keep: int, random_state: int
) -> Retraining:
    """Train and install where there is no router yet; part of the prompts stays unseen."""
    n_new = len(outcomes)
    if n_new < max(if_new, _MIN_TAUGHT):
        return Retraining("not yet", _not_yet(n_new, max(if_new, _MIN_TAUGHT)), n_new)
    train, test = outcomes.split(0.3, random_state)
    router = train_router(train, random_state=random_state)
    sentence = (
        f"Installed the first router, trained on {len(train)} prompts; {len(test)} were held out "
        "for the next comparison."
    )
    done = Retraining(
        "installed", sentence, n_new, n_train=len(train), challenger=router.router_hash_
    )
    put = archive.install(router, model_path, {"retraining": done.as_dict()}, keep=keep)
    return replace(done, kept=put.name)


def _drift(champion: Router, outcomes: Outcomes) -> Drift | None:
    """Measure drift where the log still has the champion's candidates."""
    if not set(champion.models_) <= set(outcomes.models):
        return None
    return measure_drift(champion, since_training(champion, outcomes))


def _cost_weight(champion: Router, challenger: Router) -> float:
    return float(champion.cost_weight_ or challenger.cost_weight_)


def _not_yet(n_new: int, needed: int) -> str:
    return f"Not yet: {n_new} new scored prompts, {needed} are needed."


def _sentence(verdict: Verdict, comparison: Comparison, margin: float) -> str:
    gained = comparison.utility
    what = "Replaced" if verdict == "replaced" else "Kept"
    how = "" if comparison.how == "observed" else ", estimated from logged propensities"
    rule = "at least" if verdict == "replaced" else "not shown to be at least"
    return (
        f"{what}: on {comparison.n} prompts that neither was trained on the new router gains "
        f"{gained.value:+.3f} [{gained.low:+.3f}, {gained.high:+.3f}] utility a prompt{how}, "
        f"{rule} -{margin:g}."
    )
