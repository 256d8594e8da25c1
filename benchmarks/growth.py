"""Print what a prompt costs in a training, and in a decision, as the prompts become many.

Run ``python benchmarks/growth.py [--sizes 5600,20000] [--only groups,neighbours,fit]``; with
``--chains`` prompts are chains of words of the public tables instead of words drawn from a few.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from outcome_tables import read_nine, read_pair

from routerlib.features.learners.neighbours import Neighbours
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.lightgbm.router import LGBMRouter

N_DIMENSIONS, N_TOPICS, N_ASKED = 128, 57, 1000
N_NEIGHBORS, TEMPERATURE = 80, 0.1
MOST_WORDS = 150
MS = 1000


WorldOf = Callable[[int], Outcomes]


def main() -> None:
    """Print one row for each number of prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="5600,20000")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to measure")
    parser.add_argument("--chains", action="store_true", help="prompts of many words")
    given = parser.parse_args()
    world_of = chains if given.chains else made
    wanted = {name: PARTS[name] for name in given.only.split(",")}
    for n_prompts in map(int, given.sizes.split(",")):
        row: dict[str, Any] = {"prompts": n_prompts}
        for part in wanted.values():
            row |= part(n_prompts, world_of)
        row["peak GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(pd.DataFrame([row]).round(3).to_string(index=False), flush=True)


def seconds_of(work: Callable[[], Any]) -> float:
    """Return the processor seconds of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def made(n_prompts: int) -> Outcomes:
    """Make prompts of a few words, and two models."""
    return make_world(n_prompts, n_models=2).outcomes


def chains(n_prompts: int) -> Outcomes:
    """Make prompts whose words follow one another as in the public tables, topic by topic."""
    tables = [table for table in (read_nine(), read_pair()) if table is not None]
    if not tables:
        raise SystemExit("the public tables aren't there; leave --chains out")
    followers: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    known: dict[str, list[list[str]]] = defaultdict(list)
    for table in tables:
        for topic, prompt in zip(table.topics or (), table.prompts, strict=True):
            words = prompt.split(" ")[:MOST_WORDS]
            known[topic].append(words)
            for word, after in pairwise(words):
                followers[topic][word].append(after)
    rng = random.Random(0)
    topics = rng.choices(list(known), [len(each) for each in known.values()], k=n_prompts)
    prompts = []
    for topic in topics:
        words = rng.choice(known[topic])[:1]
        for _ in range(len(rng.choice(known[topic])) - 1):
            words.append(rng.choice(followers[topic][words[-1]] or known[topic][0]))
        prompts.append(" ".join(words))
    like = make_world(n_prompts, n_models=2).outcomes
    return replace(like, prompts=tuple(prompts), topics=tuple(topics), prompt_ids=None)


def groups(n_prompts: int, world_of: WorldOf) -> dict[str, float]:
    """Measure the groups of near-duplicates."""
    made(MS).groups  # noqa: B018  # what is imported and read once is not the prompts' cost
    world = world_of(n_prompts)
    return {"groups, ms a prompt": seconds_of(lambda: world.groups) / n_prompts * MS}


def fit(n_prompts: int, world_of: WorldOf) -> dict[str, float]:
    """Measure one fit of the default router; groups are known."""
    world = world_of(n_prompts)
    world.groups  # noqa: B018  # found once, whoever trains
    router = LGBMRouter()
    took = seconds_of(lambda: router.fit(world))
    alone = [seconds_of(lambda each=each: router.route(each)) for each in world.prompts[:200]]
    return {"fit, ms a prompt": took / n_prompts * MS, "route, p50 ms": np.median(alone) * MS}


def neighbours(n_prompts: int, _: WorldOf) -> dict[str, float]:
    """Measure the nearest neighbours on made vectors: topics, families in them, and chance."""
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((N_TOPICS, N_DIMENSIONS)) * np.linspace(1.5, 0.2, N_DIMENSIONS)
    families = rng.standard_normal((n_prompts // 40, N_DIMENSIONS)) * 0.5
    vectors = topics[rng.integers(len(topics), size=n_prompts)].astype(np.float32)
    vectors += families[rng.integers(len(families), size=n_prompts)]
    vectors += rng.standard_normal(vectors.shape) * 0.3
    targets = (rng.random((n_prompts, 2)) < 0.6).astype(float)
    found: list[Neighbours] = []
    took = seconds_of(
        lambda: found.append(Neighbours.fit(vectors, targets, N_NEIGHBORS, TEMPERATURE))
    )
    near, asked = found[0], vectors[rng.choice(n_prompts, N_ASKED, replace=False)] + 0.05
    exact = Neighbours(near.vectors, near.targets, N_NEIGHBORS, TEMPERATURE)
    some = asked[:100]
    pairs = zip(
        near.nearest(some, N_NEIGHBORS).rows, exact.nearest(some, N_NEIGHBORS).rows, strict=True
    )
    alone = [seconds_of(lambda each=each: near.predict(each[np.newaxis])) for each in asked[:300]]
    before = [seconds_of(lambda each=each: exact.predict(each[np.newaxis])) for each in asked[:40]]
    return {
        "neighbours: fit, ms a prompt": took / n_prompts * MS,
        "many, ms": seconds_of(lambda: near.predict(asked)) / N_ASKED * MS,
        "one, p50 ms": np.median(alone) * MS,
        "all looked at, p50 ms": np.median(before) * MS,
        "recall": float(np.mean([np.isin(*pair).mean() for pair in pairs])),
    }


PARTS: dict[str, Callable[[int, WorldOf], dict[str, float]]] = {
    "groups": groups,
    "neighbours": neighbours,
    "fit": fit,
}

if __name__ == "__main__":
    main()
