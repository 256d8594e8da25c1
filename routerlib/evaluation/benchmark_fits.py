"""Fit routers on one part of the prompts, and keep what they estimate of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from routerlib.features.prompt_features import GROUPS, PLAIN
from routerlib.metrics.pairs import Floats
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts
from routerlib.records.canonical import tagged_hash
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router

if TYPE_CHECKING:
    from joblib import Memory

MakeRouter = Callable[[], Router]

# Enough for a median with its quartiles, and hardly any time beside the fit.
_N_TIMED = 50


@dataclass(frozen=True, eq=False)
class Fit:
    """What one router estimates of the prompts that it was not trained on, and its costs.

    `told`: where the known topics are told to it; None = not asked for.
    `fit_s`: processor seconds of the training.
    `decision_s` (n_timed,): processor seconds of single decisions (``router.route``), one
        prompt each. Other work on the machine lengthens them less than time on the wall.
    """

    detected: Estimates
    told: Estimates | None
    estimates_quality: bool
    fit_s: float
    decision_s: Floats


def usual_routers(random_state: int = 0) -> dict[str, MakeRouter]:
    """Return a maker of every kind of learned router, ours first, and of the topic table.

    Parameters
    ----------
    random_state : int, default=0
        Seed of each.

    Returns
    -------
    dict of str to callable
        Each returns a new, unfitted router.

    Examples
    --------
    >>> list(usual_routers())
    ['lightgbm', 'lightgbm plain', 'lightgbm best_model', 'mlp', 'linear', 'knn', 'topic table']
    """
    from routerlib.routers.baselines import TopicTable
    from routerlib.routers.lightgbm.router import LGBMRouter
    from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter

    return {
        "lightgbm": partial(LGBMRouter, random_state),
        "lightgbm plain": partial(LGBMRouter, random_state, groups=PLAIN),
        "lightgbm best_model": partial(LGBMRouter, random_state, objective="best_model"),
        "mlp": partial(MLPRouter, random_state=random_state),
        "linear": partial(LinearRouter, random_state=random_state),
        "knn": partial(KNNRouter, random_state=random_state),
        "topic table": partial(TopicTable, random_state),
    }


def without_each_group(random_state: int = 0) -> dict[str, MakeRouter]:
    """Return makers of the default router, and of it without each group of columns in turn.

    Parameters
    ----------
    random_state : int, default=0
        Seed of each.

    Returns
    -------
    dict of str to callable

    Examples
    --------
    >>> list(without_each_group())[:3]
    ['lightgbm', 'without surface', 'without task']
    """
    from routerlib.routers.lightgbm.router import LGBMRouter

    makes: dict[str, MakeRouter] = {"lightgbm": partial(LGBMRouter, random_state)}
    for group in GROUPS:
        rest = tuple(each for each in GROUPS if each != group)
        makes[f"without {group}"] = partial(LGBMRouter, random_state, groups=rest)
    return makes


def random_parts(
    outcomes: Outcomes, n_train: int, seeds: Sequence[int], n_left_out: int = 0
) -> list[Parts]:
    """Draw training prompts at random, one draw for each seed; all others are tested.

    Near-duplicates may stand on both sides, as in published evaluations of this kind; use
    `routerlib.outcomes.splits.folds` where they must not.
    """
    if not 0 < n_train <= n_train + n_left_out < len(outcomes):
        raise ValueError(
            f"training prompts and those left out must leave some of the {len(outcomes)} prompts "
            f"to test, got {n_train!r} and {n_left_out!r}"
        )
    orders = [np.random.default_rng(seed).permutation(len(outcomes)) for seed in seeds]
    return [Parts(order[:n_train], order[n_train + n_left_out :]) for order in orders]


def smaller_train(parts: Parts, n_train: int, random_state: int = 0) -> Parts:
    """Keep fewer training prompts and the same test prompts."""
    order = np.random.default_rng(random_state).permutation(len(parts.train))
    return Parts(parts.train[np.sort(order[:n_train])], parts.test)


def fit_parts(
    makes: Mapping[str, MakeRouter],
    outcomes: Outcomes,
    divided: Sequence[Parts],
    *,
    tell_topics: bool = False,
    memory: Memory | None = None,
    memory_key: str = "",
    progress: bool = False,
) -> dict[str, list[Fit]]:
    """Fit each router on the training prompts of each division."""
    fit = _fit if memory is None else memory.cache(_fit, ignore=["make", "outcomes"])
    data = (outcomes.data_hash, tagged_hash([list(outcomes.topics or ())]), memory_key)
    _ = outcomes.groups  # found here once, they are handed on to every part
    found: dict[str, list[Fit]] = {name: [] for name in makes}
    cells = tqdm(list(product(divided, makes)), disable=not progress, unit="fit")
    for parts, name in cells:
        cells.set_postfix_str(name)
        found[name].append(fit((name, *data), parts, tell_topics, makes[name], outcomes))
    return found


def _fit(
    key: tuple[str, ...], parts: Parts, tell_topics: bool, make: MakeRouter, outcomes: Outcomes
) -> Fit:
    """Fit one router on one part; `key` tells fits apart that are kept."""
    del key
    train, test = outcomes.take(parts.train), outcomes.take(parts.test)
    start = time.process_time()
    router = make().fit(train)
    fit_s = time.process_time() - start
    router.route(test.prompts[0])  # the first decision opens what later ones find open
    timed = [_decision_s(router, prompt) for prompt in test.prompts[:_N_TIMED]]
    return Fit(
        detected=router.predict(test.prompts),
        told=router.predict(test.prompts, topics=test.topics) if tell_topics else None,
        estimates_quality=getattr(router, "objective", "quality") == "quality",
        fit_s=fit_s,
        decision_s=np.array(timed),
    )


def _decision_s(router: Router, prompt: str) -> float:
    start = time.thread_time()
    router.route(prompt)
    return time.thread_time() - start
