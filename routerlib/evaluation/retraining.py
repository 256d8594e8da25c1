"""Train a challenger on the log as it is now, and replace the champion only for good reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from routerlib.evaluation.drift import Drift, measure_drift, since_training
from routerlib.evaluation.duel import MIN_COMPARED, Comparison
from routerlib.evaluation.gate import Evidence, Found, Gate, apart_from, now
from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.features.names import number_text
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.canonical import plain_json
from routerlib.records.files import sha256_of
from routerlib.routers import archive, artifact
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.loading import load_router
from routerlib.routers.promotions import Promotions, keep_challenger
from routerlib.routers.router import Router
from routerlib.routers.training.train import train_router

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

Verdict = Literal["installed", "replaced", "kept", "not yet"]

_MIN_TAUGHT = 40


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
        Scored prompts that the champion was not trained on, nor on any of their family.
    n_train : int
        Prompts that the challenger was trained on; 0 when none was trained.
    margin : float
        Utility that a challenger may be worse by.
    comparison : Comparison or None
        None when nothing was compared.
    evidence : Evidence or None
        That the challenger is no worse than the margin allows; None when nothing was weighed.
    drift : Drift or None
        None without a champion.
    champion, challenger : str
        Their hashes; empty where there is none.
    kept : str
        Name in the archive of the router that was put in use; empty when none was.
    n_related : int
        Further prompts that the champion was not trained on, but on others of their family: they
        are left out of the comparison.
    """

    verdict: Verdict
    sentence: str
    n_new: int
    n_train: int = 0
    margin: float = 0.0
    comparison: Comparison | None = None
    evidence: Evidence | None = None
    drift: Drift | None = None
    champion: str = ""
    challenger: str = ""
    kept: str = ""
    n_related: int = 0

    @property
    def left_out(self) -> str:
        """Say which new prompts tell nothing, and why; empty where there are none."""
        if not self.n_related:
            return ""
        return (
            f"{self.n_related} more prompts are new but of one family with some that the router in "
            "use was trained on (nearly the same, or of one make): they can't tell what it does "
            "on others, and were left out. New kinds of prompts count."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return verdict and comparison as plain builtins for JSON."""
        compared = None if self.comparison is None else asdict(self.comparison)
        weighed = None if self.evidence is None else asdict(self.evidence)
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "margin": self.margin,
            "n_train": self.n_train,
            "comparison": plain_json(compared),
            "evidence": plain_json(weighed),
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
    both are compared on the rest. Where that doesn't suffice, the challenger stands by, and each
    later call compares the two on what has come in since; a prompt judges one challenger only.

    Where every candidate was observed, a coin is bet on the challenger, prompt by prompt
    (`routerlib.metrics.sequences.log_e_values`): rare large losses are allowed for, and looking
    daily costs nothing. The challenger goes in use once the coin has grown so much, against the
    champion and against the anchor, that "worse by more than the margin" is refuted; how much is
    needed rises with each challenger, so that all of them since the anchor put a worse router in
    use with a probability of at most 5 %. The anchor is the router that a person put in use last:
    many small losses can't add up. Else, where decisions were logged with propensities, the
    interval of a doubly robust estimate, at the level that the look may spend, decides. Where
    both choose the same, nothing changes. What was spent is kept beside the archive. Of cascades
    the routers inside are compared; what is put in use is a cascade again.

    Parameters
    ----------
    log : CallLog
        The log.
    model_path : str or Path
        The router file in use; where there is none, the challenger is installed.
    margin : float, default=0.02
        Utility (in quality) that may be lost without calling it worse, in [0, 1): against the
        router in use, and altogether against the anchor.
    if_new : int, default=0
        Do nothing unless there are so many new scored prompts.
    keep : int, default=5
        Routers to keep in the archive.
    test_size : float, default=0.4
        Share of the new prompts on which to compare, in (0, 1); less where about 50,000 of them
        have an answer of every candidate all the same.
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
        If the log holds no scored answer, a number is out of range, or the record of earlier
        retrainings is damaged.

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
    if not 0 <= margin < 1:
        raise ValueError(f"margin must be at least 0 and under 1, got {margin!r}")
    judge = _judge_of(model_path)
    outcomes = Outcomes.from_log(log, judge=judge)
    if not Path(model_path).is_file():
        return _install_first(outcomes, model_path, if_new, keep, random_state)
    champion = load_router(model_path)
    # First, since it looks for groups among training and recent prompts apart, as on its own.
    drift = _drift(champion, outcomes)
    unseen = apart_from(outcomes, set(champion.train_prompt_ids_))
    n_new = len(unseen)
    n_related = len(set(outcomes.prompt_ids) - set(champion.train_prompt_ids_)) - n_new
    known: dict[str, Any] = {"drift": drift, "champion": champion.router_hash_, "margin": margin}
    known["n_related"] = n_related
    if n_new < if_new:
        return Retraining("not yet", _not_yet(n_new, if_new), n_new, **known)
    if n_new < MIN_COMPARED:
        sentence = (
            f"Kept: {n_new} new scored prompts, {MIN_COMPARED} that neither router has seen are "
            "needed to compare; collect or serve more."
        )
        return Retraining("kept", sentence, n_new, **known)
    promotions = Promotions.of(model_path)
    gate = Gate(log, outcomes, Path(model_path), champion, margin, cost_weight, random_state)
    challenger, promotions = gate.standing(promotions)
    if challenger is None:
        fresh = gate.fresh(promotions.used, champion)
        if test_size * len(fresh) < MIN_COMPARED - 1:
            return Retraining("kept", _too_few_fresh(len(fresh), test_size), n_new, **known)
        challenger, promotions = gate.another(promotions, fresh, test_size)
    known |= {
        "challenger": challenger.router_hash_,
        "n_train": len(challenger.train_prompt_ids_),
        "n_new": n_new,
    }
    try:
        found = gate.judge(challenger, promotions)
    except ThinOverlap as thin:
        return Retraining("kept", f"Kept: the two can't be compared; {thin}.", **known)
    done = Retraining(
        "replaced" if found.is_promoted else "kept",
        found.sentence(margin)
        + (_of_same(challenger) if found.is_same else "")
        + (_without_promise(champion) if found.is_promoted else ""),
        comparison=found.comparison,
        evidence=found.evidence,
        **known,
    )
    put_in_use = partial(as_cascade_of, champion, challenger, outcomes)
    return _carry_out(
        done, found, challenger, promotions, Path(model_path), keep, put_in_use, judge
    )


def _judge_of(model_path: str | Path) -> str | None:
    """Return the judge that the router in use learned from; None = all, or there is no router."""
    if not Path(model_path).is_file():
        return None
    found = artifact.load(model_path).metadata.get("judge")
    return None if found is None else str(found)


def as_cascade_of(champion: Router, challenger: Router, outcomes: Outcomes) -> Router:
    """Return a challenger in a cascade of its own, where the champion is one; else as it is.

    `outcomes`: with answers; those that the challenger was trained on are learnt from.
    """
    if not isinstance(champion, Cascade):
        return challenger
    taught = set(challenger.train_prompt_ids_)
    rows = [row for row, each in enumerate(outcomes.prompt_ids) if each in taught]
    cascade = Cascade(
        challenger, most_calls=champion.most_calls, random_state=champion.random_state
    )
    return cascade.fit(outcomes.take(rows))


def _carry_out(
    done: Retraining,
    found: Found,
    challenger: Router,
    promotions: Promotions,
    model_path: Path,
    keep: int,
    put_in_use: Callable[[], Router],
    judge: str | None,
) -> Retraining:
    """Put the challenger in use, let it stand by, or set it aside; and remember that."""
    decision = {**done.as_dict(), "when": now(), "challenger": done.challenger}
    if done.verdict == "replaced":
        chosen = put_in_use()
        told = {"retraining": done.as_dict(), "judge": judge}
        put = archive.install(chosen, model_path, told, keep=keep)
        settled = replace(promotions.settled(decision), in_use=sha256_of(model_path))
        settled.save(model_path)
        return replace(done, kept=put.name)
    if found.is_same and len(promotions.batches) == 1:
        return done  # nothing was spent: such a look can't put anything in use
    if found.is_same or found.is_set_aside:
        promotions.settled(decision).save(model_path)
        return done
    if found.comparison.how != "observed":
        promotions = replace(
            promotions, n_looked=found.comparison.n, n_tests=promotions.n_tests + 1
        )
    keep_challenger(challenger, model_path)
    promotions.save(model_path)
    return done


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
    Promotions.of(model_path)  # the first router is the anchor
    return replace(done, kept=put.name)


def _drift(champion: Router, outcomes: Outcomes) -> Drift | None:
    """Measure drift where the log still has the champion's candidates."""
    if not set(champion.models_) <= set(outcomes.models):
        return None
    return measure_drift(champion, since_training(champion, outcomes))


def _of_same(challenger: Router) -> str:
    """Say what a challenger does that chose as the champion, and who may find more."""
    stands = (
        f"operates at cost weight {number_text(challenger.cost_weight_)}"
        if challenger.fallback_ is None
        else f"keeps to {challenger.best_single_}: {challenger.fallback_}"
    )
    return (
        f" The new router, trained on the {len(challenger.train_prompt_ids_)} prompts left for "
        f"training, {stands}. `routerlib train` learns from all prompts and tests out of fold, "
        "so it may come to another."
    )


def _without_promise(champion: Router) -> str:
    """Say where the router that is replaced was certified: the one in its place promises nothing.

    The prompts that put it in use have been looked at, so none is left to certify it on.
    """
    if champion.training_.get("cost_weight_is") != "certified":
        return ""
    return (
        " The router before was certified, this one carries no certificate: a new one is made by "
        "`routerlib train --epsilon E --delta D`, on prompts set aside for it."
    )


def _not_yet(n_new: int, needed: int) -> str:
    return f"Not yet: {n_new} new scored prompts, {needed} are needed."


def _too_few_fresh(n_fresh: int, test_size: float) -> str:
    return (
        f"Kept: {n_fresh} new prompts have judged no router yet, about "
        f"{MIN_COMPARED / test_size:.0f} are needed to train another one and compare it; collect "
        "or serve more."
    )
