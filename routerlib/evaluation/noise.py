"""Say how much of the gap to the oracle is luck: what repeated answers tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from routerlib.evaluation.repeats import MIN_REPEATS, Repeats
from routerlib.metrics.intervals import Interval, paired_bootstrap, within_possible
from routerlib.metrics.tails import widen_below_few
from routerlib.outcomes.families import families_of
from routerlib.outcomes.near_duplicates import joined
from routerlib.records.arrays import Floats
from routerlib.records.errors import RouterlibError

if TYPE_CHECKING:
    import pandas as pd

# With few prompts neither luck nor skill can be told.
_MIN_PROMPTS = 10


class TooFewRepeats(RouterlibError, ValueError):
    """Raised where repeats are too few to tell luck from skill."""


@dataclass(frozen=True, eq=False)
class NoiseCeiling:
    """The gap between best single and oracle, taken apart.

    Parameters
    ----------
    best_single : str
        Best single candidate model over these prompts.
    n_prompts, n_repeats : int
        Prompts with every model asked so many times.
    values : dict of str to Interval
        Mean qualities with 95 % intervals: ``best single``; ``topic oracle`` (best model of each
        topic, as the topic's other prompts choose it); ``prompt oracle, at least`` and ``prompt
        oracle, at most`` (best *expected* quality of each prompt lies between); ``lucky oracle``
        (best answer of each prompt, what tables call the oracle).
    parts : dict of str to tuple (low, high) of Interval
        Shares of the gap from best single to the lucky oracle: ``topic``, ``prompt``, ``noise``,
        each between two ends that have a 95 % interval each; NaN where there is no gap.
    variance : DataFrame
        Per other model the variance of its difference to the best single, in parts: ``topic``,
        ``prompt``, ``noise``; unbiased, so a part may come out a little below 0.
    """

    best_single: str
    n_prompts: int
    n_repeats: int
    values: Mapping[str, Interval]
    parts: Mapping[str, tuple[Interval, Interval]]
    variance: pd.DataFrame

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if np.isnan(self.parts["noise"][0].value):
            return (
                f"Over {self.n_prompts} prompts no answer was better than those of "
                f"{self.best_single}, so there is no gap to take apart."
            )
        noise, topic, prompt = (_share(self.parts[name]) for name in ("noise", "topic", "prompt"))
        return (
            f"Of the gap between always calling {self.best_single} and the oracle, {noise} is "
            f"luck of single answers, which no router can foresee; {topic} is topic and {prompt} "
            f"the prompt within its topic (95 % intervals included; {self.n_prompts} prompts, each "
            f"asked {self.n_repeats} times)."
        )


def noise_ceiling(
    repeats: Repeats, *, n_bootstrap: int = 1000, random_state: int = 0
) -> NoiseCeiling:
    """Split the gap between best single and oracle into topic, prompt and noise.

    The oracle of a table takes the best of single answers, and so is lucky: it would be far above
    any single model even if all were equally good. What a perfect router could reach is the mean
    of the best *expected* quality. With finitely many repeats that is only known between two
    ends: choosing by all repeats and counting the same ones is too high (luck again), choosing by
    all but one and counting the one left out is too low (chosen with less knowledge; among equals
    by the other prompts of the topic). What topics tell lies between two ends in the same way: the
    best model of each by all of its prompts, and by those of other groups alone.

    Parameters
    ----------
    repeats : Repeats
        At least two per cell; prompts with fewer are left out.
    n_bootstrap : int, default=1000
        Replicates; prompts of one family are drawn together.
    random_state : int, default=0
        Its seed.

    Returns
    -------
    NoiseCeiling

    Raises
    ------
    TooFewRepeats
        If fewer than ten prompts were asked twice or more.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> coins = rng.integers(0, 2, (60, 2, 4)).astype(float)  # two models that only toss coins
    >>> prompts = tuple(" ".join(rng.choice(list("abcdefghij"), 12)) for _ in range(60))
    >>> ceiling = noise_ceiling(Repeats(prompts, ("heads", "tails"), coins, ("coins",) * 60))
    >>> print(ceiling.sentence)
    Of the gap between always calling tails and the oracle, between 25 and 100 % is luck of single
     answers, ... (95 % intervals included; 60 prompts, each asked 4 times).
    """
    kept = repeats.complete()
    _check_enough(kept)
    means = kept.quality.mean(axis=2)
    best = int(means.mean(axis=0).argmax())
    topic_of = np.unique(np.array(kept.topics), return_inverse=True)[1]
    groups = joined(families_of(kept.prompts).groups, kept.group_ids)
    others = _mean_of_other_groups(means, topic_of, np.unique(groups, return_inverse=True)[1])
    by_topic = np.round(_means_of(means, topic_of)[topic_of], 9)  # else equals differ by rounding
    per_prompt = {
        "best single": means[:, best],
        "topic oracle": _taken(means, others.argmax(axis=1)),
        "prompt oracle, at least": _chosen_by_other_repeats(kept.quality, others),
        "prompt oracle, at most": means.max(axis=1),
        "lucky oracle": kept.quality.max(axis=1).mean(axis=1),
    }
    topic_at_most = _taken(means, by_topic.argmax(axis=1))

    def statistics(weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        values = {name: weights @ each / total for name, each in per_prompt.items()}
        return values | _parts(values, weights @ topic_at_most / total)

    measured = paired_bootstrap(
        statistics, groups, n_bootstrap=n_bootstrap, random_state=random_state
    )
    n_groups = len(np.unique(groups))
    wide = {
        name: within_possible("quality", widen_below_few(each, n_groups, is_share=True))
        for name, each in measured.items()
    }
    return NoiseCeiling(
        best_single=kept.models[best],
        n_prompts=len(kept.prompts),
        n_repeats=kept.quality.shape[2],
        values={name: wide[name] for name in per_prompt},
        parts={
            name: (wide[f"{name} low"], wide[f"{name} high"])
            for name in ("topic", "prompt", "noise")
        },
        variance=_variance(kept.quality, topic_of, best, kept.models),
    )


def _check_enough(kept: Repeats) -> None:
    n_prompts, n_models, n_repeats = kept.quality.shape
    if n_prompts < _MIN_PROMPTS or n_repeats < MIN_REPEATS or n_models < 1:
        raise TooFewRepeats(
            f"telling luck from skill needs {_MIN_PROMPTS} prompts with {MIN_REPEATS} scored "
            f"repeats of every model, got {n_prompts if n_repeats >= MIN_REPEATS else 0}; "
            "collect with repeats"
        )


def _taken(means: Floats, arms: NDArray[np.intp]) -> Floats:
    return np.take_along_axis(means, arms[:, None], axis=1)[:, 0]


def _sums_of(values: Floats, labels: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return sums and counts of the prompts with each label."""
    sums = np.zeros((labels.max() + 1, values.shape[1]))
    np.add.at(sums, labels, values)
    return sums, np.bincount(labels)[:, None].astype(np.float64)


def _means_of(values: Floats, labels: NDArray[np.intp]) -> Floats:
    sums, counts = _sums_of(values, labels)
    return np.asarray(sums / counts)


def _mean_of_other_groups(
    means: Floats, topic_of: NDArray[np.intp], group_of: NDArray[np.intp]
) -> Floats:
    """Return per prompt the models' means over the topic's prompts that aren't of its own group.

    Where a topic has but one group, those over all prompts of other groups.
    """
    pairs = np.unique(np.column_stack([topic_of, group_of]), axis=0, return_inverse=True)[1]
    own, n_own = (each[pairs.ravel()] for each in _sums_of(means, pairs.ravel()))
    topic, n_topic = (each[topic_of] for each in _sums_of(means, topic_of))
    group, n_group = (each[group_of] for each in _sums_of(means, group_of))
    n_others = n_topic - n_own
    of_all = (means.sum(axis=0) - group) / np.maximum(len(means) - n_group, 1)
    return np.where(n_others > 0, (topic - own) / np.maximum(n_others, 1), of_all)


def _chosen_by_other_repeats(quality: Floats, others: Floats) -> Floats:
    """Return per prompt what is obtained on a repeat when the other repeats choose."""
    n_repeats = quality.shape[2]
    of_others = (quality.sum(axis=2, keepdims=True) - quality) / (n_repeats - 1)
    # Among equals the topic decides; its means differ by at most 1.
    ranked = np.round(of_others, 9) + 1e-6 * others[:, :, None]
    arms = ranked.argmax(axis=1)[:, None, :]
    return np.take_along_axis(quality, arms, axis=1)[:, 0, :].mean(axis=1)


def _parts(values: Mapping[str, Floats], topic_at_most: Floats) -> dict[str, Floats]:
    """Return the two ends of each part of the gap, as shares of it."""
    single, lucky = values["best single"], values["lucky oracle"]
    gap = np.where(lucky > single, lucky - single, np.nan)
    known = np.maximum(values["topic oracle"] - single, 0.0)
    known_at_most = np.maximum(topic_at_most - single, known)
    # Knowing the prompt is worth no less than knowing its topic.
    low = np.maximum(values["prompt oracle, at least"], single + known)
    high = np.maximum(values["prompt oracle, at most"], single + known_at_most)
    return {
        "topic low": known / gap,
        "topic high": known_at_most / gap,
        "prompt low": np.maximum(low - single - known_at_most, 0.0) / gap,
        "prompt high": (high - single - known) / gap,
        "noise low": (lucky - high) / gap,
        "noise high": (lucky - low) / gap,
    }


def _variance(
    quality: Floats, topic_of: NDArray[np.intp], best: int, models: Sequence[str]
) -> pd.DataFrame:
    """Split the variance of differences to the best single, by the method of moments."""
    import pandas as pd

    rows = []
    for arm, model in enumerate(models):
        if arm == best:
            continue
        difference = quality[:, arm] - quality[:, best]
        n_repeats = difference.shape[1]
        noise = float(difference.var(axis=1, ddof=1).mean())
        means = difference.mean(axis=1)
        counts = np.bincount(topic_of)
        of_topic = np.bincount(topic_of, means) / counts
        n_free = max(len(means) - len(counts), 1)
        within = float(((means - of_topic[topic_of]) ** 2).sum() / n_free)
        total = float(means.var(ddof=1)) if len(means) > 1 else 0.0
        rows.append(
            {
                "model": model,
                "topic": total - within,
                "prompt": within - noise / n_repeats,
                "noise": noise,
            }
        )
    columns = ["model", "topic", "prompt", "noise"]
    return pd.DataFrame(rows, columns=columns).set_index("model")


def _share(ends: tuple[Interval, Interval]) -> str:
    low, high = (100 * end for end in (ends[0].low, ends[1].high))
    if np.isnan(low + high):
        return f"{100 * ends[0].value:.0f} to {100 * ends[1].value:.0f} %"
    return f"{low:.0f} %" if round(low) == round(high) else f"between {low:.0f} and {high:.0f} %"
