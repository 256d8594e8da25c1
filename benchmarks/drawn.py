"""Train every family on one draw of training prompts, their texts read once for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from joblib import Memory, Parallel, delayed
from source_hash import source_hash

from routerlib.evaluation.benchmark_fits import Fit, MakeRouter, usual_routers
from routerlib.features.encoders import EncoderChoice
from routerlib.features.prompt_columns import PLAIN
from routerlib.features.reading import Read, read_by, read_here
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, folds
from routerlib.policies.utility import choose_arms
from routerlib.records.decision import Estimates
from routerlib.routers.training.train import at_operating_point
from routerlib.weights.embedding import Encoded

OURS = "lightgbm"
# Other settings of ours, no rivals.
_LEFT_OUT = (OURS, "lightgbm plain", "lightgbm best_model")
# So many grouped folds: each trains on 80 % of a table, as much as it has.
N_FOLDS = 5


class Operated(NamedTuple):
    """What `train_router` makes of one draw, against the best single model.

    Attributes
    ----------
    gain, cost : float
        Mean quality above it, and share of its cost.
    is_kept : bool
        Whether the router keeps to it.
    """

    gain: float
    cost: float
    is_kept: bool


class Drawn(NamedTuple):
    """What all families make of one draw.

    Attributes
    ----------
    fits : dict of str to Fit
        By family, ours first. Their ``fit_s`` are processor seconds of the training and of all
        estimates, without the reading of texts; single decisions aren't timed.
    operated : Operated
        Our router at its operating point: the same fit.
    """

    fits: dict[str, Fit]
    operated: Operated


class Reader:
    """Reads each text once, however many routers ask for it; gives what `read_here` does."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._read: list[Read] = []

    def __call__(self, texts: list[str], groups: Sequence[str], encoder: EncoderChoice) -> Read:
        """Read texts, those not yet known for good."""
        if encoder is not None or not {"surface", "task"} <= set(groups):
            return read_here(texts, groups, encoder)
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            encoded, counts = read_here(new, PLAIN, None)
            for at, text in enumerate(new):
                self._rows[text] = len(self._read)
                self._read.append(Read(encoded.take(slice(at, at + 1)), counts[at : at + 1]))
        known = [self._read[self._rows[text]] for text in texts]
        return Read(
            Encoded(
                [each.encoded.token_ids[0] for each in known],
                np.concatenate([each.encoded.vectors for each in known]),
            ),
            np.concatenate([each.counts for each in known]),
        )


def drawn_parts(outcomes: Outcomes, size: int, seed: int, n_tested: int) -> Parts:
    """Draw training prompts, and prompts to test that repeat none of them."""
    order = np.random.default_rng([seed, size]).permutation(len(outcomes))
    train, rest = order[:size], order[size:]
    fresh = rest[~np.isin(outcomes.groups[rest], outcomes.groups[train])]
    return Parts(np.sort(train), np.sort(fresh[:n_tested]))


def full_parts(outcomes: Outcomes, fold: int, n_tested: int) -> Parts:
    """Train on four of five folds, near-duplicates together, and test prompts of the last one."""
    train, test = folds(outcomes.groups, N_FOLDS)[fold]
    order = np.random.default_rng(fold).permutation(len(test))
    return Parts(train, np.sort(test[order[:n_tested]]))


def fit_draws(
    outcomes: Outcomes, divided: Sequence[Parts], cache_folder: str | None, n_jobs: int
) -> Iterator[Drawn]:
    """Yield what all families make of each draw, in order, as soon as it is known."""
    _ = outcomes.groups  # found here once, they are handed on
    codes = codes_of_families() if cache_folder else ("", "")
    work = (delayed(fit_draw)(outcomes, parts, codes, cache_folder) for parts in divided)
    yield from Parallel(n_jobs=n_jobs, return_as="generator")(work)


def codes_of_families() -> tuple[str, str]:
    """Hash the code of our router, and that of the others: they change at different times."""
    rivals = {make.func.__module__ for make in rival_makes().values() if isinstance(make, partial)}
    return source_hash("routerlib.routers.training.train"), source_hash(*sorted(rivals))


def rival_makes() -> dict[str, MakeRouter]:
    """Return makers of the other families."""
    makes = usual_routers(all_families=True)
    return {name: make for name, make in makes.items() if name not in _LEFT_OUT}


def fit_draw(
    outcomes: Outcomes, parts: Parts, codes: tuple[str, str], cache_folder: str | None
) -> Drawn:
    """Fit our router and all others on one draw, or take them from the cache."""
    memory = Memory(cache_folder, verbose=0)
    train = memory.cache(_trained, ignore=["outcomes"])
    fit = memory.cache(_fitted, ignore=["make", "outcomes"])
    data, (our_code, rival_code) = outcomes.data_hash, codes
    with read_by(_reader()):
        ours, operated = train((data, our_code), parts, outcomes)
        others = {
            name: fit((name, data, rival_code), parts, make, outcomes)
            for name, make in rival_makes().items()
        }
    return Drawn({OURS: ours, **others}, operated)


@cache
def _reader() -> Reader:
    """Return the reader of this process."""
    return Reader()


def _trained(key: tuple[str, ...], parts: Parts, outcomes: Outcomes) -> tuple[Fit, Operated]:
    """Train on one draw as `train_router` does, and test. `key`: of data and code."""
    del key
    train, test = _parts_of(outcomes, parts)
    start = time.process_time()
    router = at_operating_point(usual_routers()[OURS](), train)
    estimates = router.predict(test.prompts)
    seconds = time.process_time() - start
    best = outcomes.models.index(router.best_single_)
    arms = np.full(len(test), best)
    if router.fallback_ is None:
        arms = choose_arms(estimates, router.cost_weight_)
    at = np.arange(len(test))
    operated = Operated(
        float(np.nanmean(test.quality[at, arms] - test.quality[:, best])),
        float(np.nanmean(test.cost_usd[at, arms]) / test.cost_usd[:, best].mean()),
        router.fallback_ is not None,
    )
    return _fit_of(estimates, seconds), operated


def _fitted(key: tuple[str, ...], parts: Parts, make: MakeRouter, outcomes: Outcomes) -> Fit:
    """Fit another family on one draw; `key`: its name, data and code."""
    del key
    train, test = _parts_of(outcomes, parts)
    start = time.process_time()
    estimates = make().fit(train).predict(test.prompts)
    return _fit_of(estimates, time.process_time() - start)


def _parts_of(outcomes: Outcomes, parts: Parts) -> tuple[Outcomes, Outcomes]:
    train, test = outcomes.take(parts.train), outcomes.take(parts.test)
    _reader()([*train.prompts, *test.prompts], PLAIN, None)  # so that it is in nobody's seconds
    return train, test


def _fit_of(estimates: Estimates, seconds: float) -> Fit:
    return Fit(
        detected=estimates,
        told=None,
        estimates_quality=True,
        fit_s=seconds,
        decision_s=np.zeros(0),
    )
