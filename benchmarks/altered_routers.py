"""Alter router files in many ways, and count what loading makes of them.

Run ``python benchmarks/altered_routers.py --files 3000``; seeded, on temporary files only. Half
are damaged: they must be refused, without their JSON too. The others are altered on purpose and
carry a right checksum: they must be refused, or estimate what a router can estimate. Each is
opened in a process of its own, whose time and memory are measured; one that ends it is counted.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from routerlib.outcomes.worlds import make_answer_world, make_world
from routerlib.routers import artifact
from routerlib.routers.artifact import ArtifactError
from routerlib.routers.baselines import BestSingle, RandomRouter, TopicTable
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.clusters import ClusterTable
from routerlib.routers.factors import LowRankRouter, MFRouter, OneFactorRouter
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter
from routerlib.routers.untuned import UntunedLGBMRouter

KINDS = (
    *(LGBMRouter, KNNRouter, LinearRouter, MLPRouter, TopicTable, BestSingle, RandomRouter),
    *(OneFactorRouter, LowRankRouter, MFRouter, ClusterTable, UntunedLGBMRouter),
)
PROMPTS = ["How much is 12 times 7?", "Tell me something nice about the sea.", "tax " * 50]
LONGEST_S = 30
MOST_BYTES = 4 * 2**30
# How a process of its own ends.
ENDS = {0: "refused", 1: "opened, estimates are possible", 2: "opened, estimates are refused"}
OTHER = "another error"
# What may be put in the place of any value.
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**62, -(2**62), 1e308, -1e308, float("nan"), float("inf")),
    *("", "x" * 10_000, b"", b"\x00" * 64, [], {}, [[]] * 50, {"": {}}, [2**40, 0], [0, 2**26]),
)


class Opened(NamedTuple):
    """How opening a file ended, what it took in seconds and in bytes."""

    end: str
    seconds: float
    n_bytes: int


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file as disks, editors and networks do."""
    found = bytearray(content)
    at, size = int(rng.integers(len(found))), int(rng.integers(1, 2000))
    match int(rng.integers(7)):
        case 0:
            found[at] ^= int(rng.integers(1, 256))
        case 1:
            for place in rng.integers(len(found), size=20):
                found[place] ^= int(rng.integers(1, 256))
        case 2:
            del found[at:]
        case 3:
            del found[at : at + size]
        case 4:
            found[at:at] = rng.bytes(size)
        case 5:
            found[at : at + size] = bytes(len(found[at : at + size]))
        case _:
            found[at:at] = found[at : at + size]
    return bytes(found)


def resealed_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file and put its checksum right, as somebody might who knows how."""
    bare = content[: content.rindex(b"\nsha256 ")]
    return artifact.sealed(damaged(bare, rng))


def resealed_values(content: bytes, rng: np.random.Generator) -> bytes:
    """Put odd values into a router's state, and write it as `Router.save` would."""
    read = pickle.loads(content)  # our own file
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(read["state"]))
        holder, key = places[int(rng.integers(len(places)))]
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = ODD[int(rng.integers(len(ODD)))]
    return artifact.packed(read)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a state where a value stands."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


WAYS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "damaged": damaged,
    "bytes altered, checksum right": resealed_bytes,
    "values altered, checksum right": resealed_values,
}

GOOD = {
    way: {"not altered", "refused", *(ENDS.values() if way != "damaged" else ())} for way in WAYS
}


def opened(path: Path) -> Opened:
    """Open a file in a process of its own, and ask what it opens."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(_open_and_estimate(path))
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - start
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        end = f"hangs for {LONGEST_S} s" if number == signal.SIGALRM else f"ends by signal {number}"
    else:
        end = ENDS.get(os.WEXITSTATUS(status), OTHER)
    return Opened(end, seconds, used.ru_maxrss * 1024)


def _open_and_estimate(path: Path) -> int:
    """Return the key of how it ended."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.alarm(LONGEST_S)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        router = load_router(path)
    except ArtifactError:
        return 0
    except BaseException:  # whatever else it is, it is counted
        return 3
    try:
        router.predict(PROMPTS)
        if isinstance(router, Cascade):
            for asked in (router.models_[:1], router.models_):
                router.after(PROMPTS[0], dict.fromkeys(asked, "Answer: 84"))
    except ValueError:
        return 2
    except BaseException:  # whatever else it is, it is counted
        return 3
    return 1


def make_files(folder: Path) -> None:
    """Train a small router of each kind."""
    outcomes = make_world(n_prompts=120, n_models=3, seed=1, kind="price").outcomes
    for make in KINDS:
        make().fit(outcomes).save(folder / f"{make.name}.pkl")
    told = make_answer_world(n_prompts=160, n_models=3, seed=1).outcomes
    Cascade(KNNRouter().fit(told)).fit(told).save(folder / f"{Cascade.name}.pkl")


def main() -> int:
    """Alter, open, count; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make_files(arguments.make)
        return 0
    counts: dict[str, Counter[str]] = {way: Counter() for way in WAYS}
    took: list[Opened] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Trained elsewhere: a process that has trained must not be forked.
        subprocess.run([sys.executable, __file__, "--make", name], check=True)
        names = [*(make.name for make in KINDS), Cascade.name]
        contents = [(folder / f"{name}.pkl").read_bytes() for name in names]
        for number in range(arguments.files):
            way = list(WAYS)[(0, 1, 0, 2)[number % 4]]
            content = contents[number // 4 % len(contents)]
            altered = WAYS[way](content, np.random.default_rng(number))
            (folder / "altered.pkl").write_bytes(altered)
            took.append(opened(folder / "altered.pkl"))
            end = "not altered" if altered == content else took[-1].end
            counts[way][end] += 1
            if end not in GOOD[way]:
                print(f"file {number}, {names[number // 4 % len(names)]}, {way}: {end}", flush=True)
    print(pd.DataFrame(counts).T.fillna(0).astype(int).to_string())
    print(f"longest: {max(each.seconds for each in took):.1f} s")
    print(f"most memory: {max(each.n_bytes for each in took) / 2**20:.0f} MB")
    bad = sum(n for way, each in counts.items() for end, n in each.items() if end not in GOOD[way])
    print(f"{bad} of {arguments.files} went wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
