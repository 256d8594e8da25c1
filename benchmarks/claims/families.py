"""Ask what families that nobody named do to verdicts, intervals and certificates."""

from __future__ import annotations

from functools import partial

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.contenders import TestedPrompts, arms_contender
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.routing import route_all
from routerlib.outcomes.families import families_of
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.train import at_certified_point, at_operating_point

_SMALL = (
    "river stone market window garden letter engine copper planet harbour winter lesson bridge "
    "candle forest ladder mirror needle orange pencil rocket silver tunnel violet wagon anchor"
)
_LARGE = (
    f"{_SMALL} simmer garlic butter whisk recipe pepper roast basil vinegar contract clause tenant "
    "verdict statute appeal witness tribunal compost seedling trellis mulch tulip orchard weeds "
    "shovel hedge comet orbit telescope galaxy nebula eclipse meteor quasar mast rudder tide keel "
    "buoy starboard regatta chord violin tempo melody rhythm opera trumpet octave choir drummer "
    "please explain how the old new best worst first last many some with without under over near "
    "before after during because although whether which while into onto about around between kind"
)
_VOCABULARIES = {"small": _SMALL.split(), "large": _LARGE.split()}
_N_WORDS, _PER_FAMILY = 14, 5
# Nothing in a prompt tells which model is right: no router gains on a family it hasn't seen.
_MODELS = ("cheap", "middle", "dear")
_EXPECTED, _USD = np.array([0.60, 0.62, 0.66]), np.array([1e-4, 3e-4, 1e-3])
# A prompt's answer is as good as that to its family's others, but for so many.
_OWN = 0.1
_EPSILON, _DELTA = 0.03, 0.1
_FEW = {
    "quality": Claim("the interval of quality holds the truth", at_least=0.93),
    "quality_difference": Claim("the interval of the difference holds the truth", at_least=0.93),
}
_GAINS = ("pays", "saves_at_a_price")


def prompts_of(
    n_families: int, rng: np.random.Generator, words: list[str], n_redrawn: int = 1
) -> tuple[list[str], np.ndarray]:
    """Write families of five prompts, in each of which words were redrawn; tell the families."""
    prompts = []
    for _ in range(n_families):
        first = rng.choice(words, _N_WORDS)
        for _ in range(_PER_FAMILY):
            own = first.copy()
            own[rng.choice(_N_WORDS, n_redrawn, replace=False)] = rng.choice(words, n_redrawn)
            prompts.append(f"{' '.join(own)}?")
    return prompts, np.repeat(np.arange(n_families), _PER_FAMILY)


def _world(n_families: int, rng: np.random.Generator) -> tuple[list[str], Floats]:
    prompts, family_of = prompts_of(n_families, rng, _VOCABULARIES["large"])
    of_family = (rng.random((n_families, len(_MODELS))) < _EXPECTED)[family_of]
    own = rng.random(of_family.shape) < _EXPECTED
    quality = np.where(rng.random(of_family.shape) < _OWN, own, of_family)
    order = rng.permutation(len(prompts))
    return [prompts[row] for row in order], quality[order].astype(float)


def judged(seed: int, n_families: int = 200) -> dict[str, float]:
    """Split, train, judge and certify as a user does, and look the truth up."""
    rng = np.random.default_rng(seed)
    prompts, quality = _world(n_families, rng)
    outcomes = Outcomes(prompts, _MODELS, quality, np.tile(_USD, (len(prompts), 1)))
    train, test = outcomes.split(0.3, random_state=seed)
    router = at_operating_point(KNNRouter(), train)
    found = evaluate(router, test, n_bootstrap=300)
    best = _MODELS.index(router.best_single_)
    difference = found.operating["quality_difference"]
    real = _EXPECTED[route_all(router, test).arms].mean() - _EXPECTED[best]
    return {
        "claims": float(found.verdict.kind in _GAINS),
        "covers": float(difference.low - 1e-9 <= real <= difference.high + 1e-9),
        "violated": _violated(train, rng),
    }


def _violated(train: Outcomes, rng: np.random.Generator) -> float:
    router = at_certified_point(KNNRouter(), train, epsilon=_EPSILON, delta=_DELTA)
    if router.training_["cost_weight_is"] != "certified":
        return 0.0
    new, quality = _world(200, rng)
    fresh = Outcomes(new, _MODELS, quality, np.tile(_USD, (len(new), 1)))
    lost = _EXPECTED.max() - _EXPECTED[route_all(router, fresh).arms].mean()
    return float(lost > _EPSILON)


def recognised(vocabulary: str, n_redrawn: int, seed: int) -> dict[str, float]:
    """Ask which pairs of prompts are joined."""
    rng = np.random.default_rng(seed)
    prompts, family_of = prompts_of(200, rng, _VOCABULARIES[vocabulary], n_redrawn)
    groups = families_of(prompts).groups
    together, same = np.equal.outer(groups, groups), np.equal.outer(family_of, family_of)
    pair = np.triu(np.ones_like(same), 1)
    return {
        "found": float(together[same & pair].mean()),
        "wrong": float((together & ~same).any(axis=1).mean()),
    }


def few(n_groups: int, share_own: float, seed: int) -> dict[str, float]:
    """Measure a fixed router on few groups of unequal size whose answers are alike."""
    rng = np.random.default_rng([seed, n_groups])
    sizes = np.maximum(2, rng.lognormal(2.0, 0.8, n_groups).round()).astype(int)
    group_of = np.repeat(np.arange(n_groups), sizes)
    n = len(group_of)
    of_group, own = (rng.random((k, len(_MODELS))) < _EXPECTED for k in (n_groups, n))
    quality = np.where(rng.random((n, len(_MODELS))) < share_own, own, of_group[group_of])
    words = rng.integers(10**9, size=(n, 6)).astype(str)
    outcomes = Outcomes(
        [" ".join(each) for each in words],
        _MODELS,
        quality.astype(float),
        np.tile(_USD, (n, 1)),
        group_ids=[f"g{group}" for group in group_of],
    )
    best = int(_EXPECTED.argmax())
    tested = TestedPrompts.of(outcomes, _MODELS[best], _MODELS[0])
    arms = rng.integers(0, 2, n) * best  # the cheap or the dear one, whatever the prompt
    measured = measure(
        tested, {"router": arms_contender(tested, arms)}, n_bootstrap=300, random_state=seed
    )
    found = measured.intervals("router")
    truth = {"quality": _EXPECTED[arms].mean()}
    truth["quality_difference"] = truth["quality"] - _EXPECTED[best]
    return {
        name: float(found[name].low <= value <= found[name].high) for name, value in truth.items()
    }


_RECOGNISED = {
    "found": Claim("pairs of a family that are joined", at_least=0.99),
    "wrong": Claim("prompts that are joined with another family's", at_most=0.01),
}

STUDIES = {
    "hidden": Study(
        "200 families of five prompts that differ in one word of fourteen, answered alike; no "
        "router gains on a new family. 30 % held out, a router of neighbours",
        judged,
        {
            "claims": Claim("a gain is claimed where none is", at_most=0.05),
            "covers": Claim("the interval of the difference holds the truth", at_least=0.93),
            "violated": Claim("a certified point loses more than epsilon", at_most=_DELTA),
        },
        n_quick=60,
        n_full=300,
    ),
    **{
        f"recognised {name} {n}": Study(
            f"200 families of five prompts of fourteen words out of {len(words)}, {n} redrawn each",
            partial(recognised, name, n),
            # With three words redrawn twice, fewer than four of five words are left.
            _RECOGNISED if n == 1 else {"wrong": _RECOGNISED["wrong"]},
            n_quick=10,
            n_full=50,
        )
        for name, words in _VOCABULARIES.items()
        for n in (1, 2)
    },
    **{
        f"few {n_groups} {share_own:g}": Study(
            f"{n_groups} named groups of 2 to some 40 prompts; a share of {share_own:g} of "
            "the answers is a prompt's own",
            partial(few, n_groups, share_own),
            _FEW,
            n_quick=100,
            n_full=500,
        )
        for n_groups in (8, 15, 25)
        for share_own in (0.1, 0.5)
    },
}
