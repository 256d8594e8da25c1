"""Print what it saves to count providers' caches in a world of agents whose truth is known.

Run ``python benchmarks/agents.py [n_trajectories]``. Protocol: results/agents.md.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np

from routerlib.gather.calls.prefixes import Beginning, cached_tokens, saved_usd_per_token
from routerlib.policies.input_costs import InputCost, InputCosts
from routerlib.policies.policies import CostWeight
from routerlib.policies.utility import Haste
from routerlib.records.call import CacheRule, CandidateModel, Price, Usage
from routerlib.records.decision import Estimates, Latencies

N_STEPS = 20
RULE = CacheRule(lifetime_s=300)
# Input ten times as dear, cached input a tenth of it; the better, the dearer and the slower.
MODELS = [
    CandidateModel(name, name, "custom", None, None, Price(usd, 4 * usd, usd / 10), cache=RULE)
    for name, usd in (("small", 0.3), ("middle", 1.0), ("large", 3.0))
]
NAMES = tuple(each.name for each in MODELS)
SKILL = np.array([-0.6, 0.7, 1.8])
SECONDS_PER_KTOK, SECONDS_PER_OUTPUT_KTOK = np.array([0.05, 0.1, 0.2]), np.array([4.0, 9.0, 16.0])
SPREAD, Z90 = 0.35, 1.2815515655446004
WEIGHTS = np.concatenate([[0.0], np.geomspace(0.3, 300, 25)])
CAP_S = 4.0
N_RESAMPLES = 2000


class World(NamedTuple):
    """Trajectories, each of 20 steps.

    `quality, latency_s` (n_trajectories, n_steps, n_models): what would come of each call.
    `chance` (same shape): the true probability that a step succeeds, which a router estimates.
    `prefix, fresh, output` (n_trajectories, n_steps): tokens of the request before, new ones, and
        of the answer. `waited_s`: seconds since the step before.
    """

    chance: np.ndarray
    quality: np.ndarray
    latency_s: np.ndarray
    prefix: np.ndarray
    fresh: np.ndarray
    output: np.ndarray
    waited_s: np.ndarray


def make_world(n: int, seed: int) -> World:
    """Draw trajectories: a long system prompt, tool results of all sizes, now and then a pause."""
    rng = np.random.default_rng(seed)
    shape = (n, N_STEPS)
    hardness = rng.normal(0, 0.8, (n, 1)) + rng.normal(0, 1.2, shape)
    chance = 1 / (1 + np.exp(hardness[..., None] - SKILL - 0.5))
    quality = (rng.random(chance.shape) < chance).astype(float)
    fresh = rng.lognormal(6.2, 0.9, shape).round() + np.where(np.arange(N_STEPS) == 0, 3000, 0)
    output = rng.lognormal(4.8, 0.6, shape).round()
    prefix = np.cumsum(fresh + output, axis=1) - fresh - output
    waited_s = np.where(rng.random(shape) < 0.08, 900.0, rng.exponential(20, shape))
    typical = expected_s(prefix + fresh, output)
    latency_s = typical * rng.lognormal(0, SPREAD, typical.shape)
    return World(chance, quality, latency_s, prefix, fresh, output, waited_s)


def expected_s(n_input: np.ndarray, n_output: np.ndarray) -> np.ndarray:
    """Return the median seconds of each candidate, one axis more than the tokens."""
    return n_input[..., None] / 1e3 * SECONDS_PER_KTOK + n_output[..., None] / 1e3 * (
        SECONDS_PER_OUTPUT_KTOK
    )


class Ran(NamedTuple):
    """Means of each trajectory's calls, shape (n_trajectories,); seconds of every call."""

    quality: np.ndarray
    cost_usd: np.ndarray
    latency_s: np.ndarray
    switches: np.ndarray


def run(world: World, way: str, weight: float, haste: Haste = Haste()) -> Ran:  # noqa: B008
    """Let one way to choose go through every trajectory, and bill each call by the cache rule.

    `way`: ``aware`` counts what is cached, ``blind`` doesn't, ``stays`` keeps the first choice.
    """
    n = len(world.chance)
    quality, cost, seconds = (np.zeros((n, N_STEPS)) for _ in range(3))
    chosen = np.zeros((n, N_STEPS), dtype=int)
    for row in range(n):
        sent: dict[str, Beginning] = {}
        now_s = 0.0
        for step in range(N_STEPS):
            now_s += float(world.waited_s[row, step])
            n_input = int(world.prefix[row, step] + world.fresh[row, step])
            cached = [cached_tokens(RULE, [sent[m]] if m in sent else [], now_s) for m in NAMES]
            arm = int(chosen[row, 0])
            if step == 0 or way != "stays":
                arm = choose(world, (row, step), n_input, cached, way, weight, haste)
            chosen[row, step] = arm
            usage = Usage(n_input, int(world.output[row, step]), cached[arm])
            cost[row, step] = MODELS[arm].price.cost_usd(usage)
            quality[row, step] = world.quality[row, step, arm]
            seconds[row, step] = world.latency_s[row, step, arm]
            sent[NAMES[arm]] = Beginning(n_input, now_s, is_whole=True)
    switches = (np.diff(chosen, axis=1) != 0).mean(axis=1)
    return Ran(quality.mean(axis=1), cost.mean(axis=1), seconds, switches)


def choose(
    world: World,
    at: tuple[int, int],
    n_input: int,
    cached: list[int],
    way: str,
    weight: float,
    haste: Haste,
) -> int:
    """Choose by true chances and typical output; only what is cached is known to one way alone."""
    typical_output = 150.0
    n_output = np.array([[typical_output]])
    median_s = expected_s(np.array([[float(n_input)]]), n_output)[0]
    # Of the answer's length a router knows the distribution alone: both spreads count.
    spread = np.hypot(SPREAD, 0.5)
    latency = Latencies(
        median_s * np.exp(spread**2 / 2), median_s * np.exp(Z90 * spread), median_s, median_s
    )
    output_usd = np.array([[m.price.output_usd_per_mtok * typical_output / 1e6 for m in MODELS]])
    inputs, full_usd = {}, []
    for model, known in zip(MODELS, cached, strict=True):
        usd = n_input * model.price.input_usd_per_mtok / 1e6
        full_usd.append(usd)
        saved = known * saved_usd_per_token(model) if way == "aware" else 0.0
        inputs[model.name] = InputCost(usd, saved, known)
    estimates = Estimates(
        NAMES, world.chance[at][None], output_usd + np.array([full_usd]), latency=latency
    )
    return int(InputCosts(CostWeight(weight, haste), inputs).choose(estimates).arms[0])


def cost_at(quality: np.ndarray, cost_usd: np.ndarray, wanted: float) -> float:
    """Return the least cost at which mixtures of some runs reach a quality; NaN = they don't.

    `quality, cost_usd` (n_weights,): means of each run.
    """
    found = np.inf
    for i in range(len(quality)):
        if quality[i] >= wanted:
            found = min(found, cost_usd[i])
        for j in range(len(quality)):
            if quality[i] < wanted < quality[j]:
                share = (wanted - quality[i]) / (quality[j] - quality[i])
                found = min(found, (1 - share) * cost_usd[i] + share * cost_usd[j])
    return found if np.isfinite(found) else np.nan


def main(n: int) -> None:
    """Print costs at equal quality, then latency at its cap."""
    world = make_world(n, seed=0)
    rows = np.random.default_rng(1).integers(0, n, (N_RESAMPLES, n))
    runs = {way: [run(world, way, w) for w in WEIGHTS] for way in ("blind", "aware", "stays")}
    grids = {
        way: np.array([[each.quality, each.cost_usd] for each in found])
        for way, found in runs.items()
    }
    single = {name: one_model(world, arm) for arm, name in enumerate(NAMES)}
    print(
        f"{n} trajectories of {N_STEPS} steps; alone, quality and US dollars of 1000 steps: "
        + (", ".join(f"{name} {q:.3f} ${1000 * c:.2f}" for name, (q, c) in single.items()))
    )
    low, high = single["small"][0], single["large"][0]
    print("\nquality  way     $ of 1000 steps  cost / blind's [95 %]   switches")
    for share in (0.5, 0.7, 0.9):
        wanted = low + share * (high - low)
        costs = {way: at_quality(grid, wanted) for way, grid in grids.items()}
        draws = {way: resampled(grid, rows[:300], wanted) for way, grid in grids.items()}
        for way, found in runs.items():
            ratio = draws[way] / draws["blind"]
            ends = np.nanquantile(ratio, [0.025, 0.975])
            near = min(found, key=lambda each: abs(each.quality.mean() - wanted))
            print(
                f"{wanted:.3f}    {way:<6}  {1000 * costs[way]:>8.3f}         "
                f"{costs[way] / costs['blind']:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]    "
                f"{near.switches.mean():.2f}"
            )
    print(f"\nlatency  p90 s of the calls [95 %]   quality   $ of 1000 steps   (cap {CAP_S:g} s)")
    for name, haste in (("free", Haste()), ("capped", Haste(max_latency_s=CAP_S))):
        found = run(world, "aware", 1.0, haste)
        p90 = [np.quantile(found.latency_s[each], 0.9) for each in rows]
        ends = np.quantile(p90, [0.025, 0.975])
        print(
            f"{name:<7}  {np.quantile(found.latency_s, 0.9):.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"
            f"             {found.quality.mean():.3f}     {1000 * found.cost_usd.mean():.3f}"
        )


def one_model(world: World, arm: int) -> tuple[float, float]:
    """Return quality and cost of a candidate that is always asked, with its cache."""
    only = world._replace(chance=np.eye(len(MODELS))[arm] * np.ones_like(world.chance))
    found = run(only, "stays", 0.0)
    return float(found.quality.mean()), float(found.cost_usd.mean())


def at_quality(grid: np.ndarray, wanted: float) -> float:
    """Return the cost at a quality; `grid` (n_weights, 2, n_trajectories)."""
    means = grid.mean(axis=2)
    return cost_at(means[:, 0], means[:, 1], wanted)


def resampled(grid: np.ndarray, rows: np.ndarray, wanted: float) -> np.ndarray:
    """Return the same of resampled trajectories, shape (n_resamples,)."""
    return np.array([at_quality(grid[:, :, each], wanted) for each in rows])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
