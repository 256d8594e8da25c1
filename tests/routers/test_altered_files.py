"""A router file that was damaged or altered is refused, or estimates what a router can."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers import artifact
from routerlib.routers.artifact import ArtifactError
from routerlib.routers.baselines import BestSingle, RandomRouter, TopicTable
from routerlib.routers.clusters import ClusterTable
from routerlib.routers.factors import LowRankRouter, MFRouter, OneFactorRouter
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter
from routerlib.routers.router import Router
from routerlib.routers.untuned import UntunedLGBMRouter

PROMPTS = ["What is 3 times 4?", "Tell me about the sea.", ""]
Damage = Callable[[bytearray, int, int, np.random.Generator], None]


def flip(content: bytearray, at: int, size: int, rng: np.random.Generator) -> None:
    content[at] ^= int(rng.integers(1, 256))


def cut(content: bytearray, at: int, size: int, rng: np.random.Generator) -> None:
    del content[at:]


def leave_out(content: bytearray, at: int, size: int, rng: np.random.Generator) -> None:
    del content[at : at + size]


def add(content: bytearray, at: int, size: int, rng: np.random.Generator) -> None:
    content[at:at] = rng.bytes(size)


def repeat(content: bytearray, at: int, size: int, rng: np.random.Generator) -> None:
    content[at:at] = content[at : at + size]


def blank(content: bytearray, at: int, size: int, rng: np.random.Generator) -> None:
    size = min(size, len(content) - at)
    content[at : at + size] = b"\x01" * size


@pytest.fixture(scope="module")
def whole(outcomes: Outcomes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "router.pkl"
    LGBMRouter().fit(outcomes).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("damage", [flip, cut, leave_out, add, repeat, blank])
def test_50_damaged_files_are_refused_without_their_description(
    whole: bytes, damage: Damage, tmp_path: Path
) -> None:
    path = tmp_path / "router.pkl"
    for seed in range(50):
        rng = np.random.default_rng(seed)
        content = bytearray(whole)
        damage(content, int(rng.integers(len(whole))), int(rng.integers(1, 3000)), rng)
        assert content != whole
        path.write_bytes(content)
        with pytest.raises(ArtifactError) as caught:
            load_router(path)
        assert "\n" not in str(caught.value)


ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**62, 1e308, float("nan"), float("inf"), "", "x", b"", [], {}),
    *([[]] * 50, [2**40, 0], [0, 2**26]),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place of a state where a value stands."""
    found = []
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


@pytest.mark.parametrize(
    "make",
    [
        *(KNNRouter, LinearRouter, MLPRouter, TopicTable, BestSingle, RandomRouter),
        *(OneFactorRouter, LowRankRouter, MFRouter, ClusterTable, UntunedLGBMRouter),
    ],
)
def test_odd_values_under_a_right_checksum_are_refused_or_do_no_harm(
    outcomes: Outcomes, make: type[Router], tmp_path: Path
) -> None:
    path = tmp_path / "router.pkl"
    state = make().fit(outcomes).to_state()
    n_refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        altered = copy.deepcopy(state)
        found = places(altered)
        holder, key = found[int(rng.integers(len(found)))]
        holder[key] = ODD[int(rng.integers(len(ODD)))]
        content = {"magic": "routerlib router", "format": artifact.FORMAT, "state": altered}
        path.write_bytes(artifact.packed(content))
        try:
            router = load_router(path)
        except ArtifactError:
            n_refused += 1
            continue
        quality, cost_usd = router.predict(PROMPTS).quality, router.predict(PROMPTS).cost_usd
        assert np.isnan(quality).all() or ((quality >= -1e-9) & (quality <= 1 + 1e-9)).all()
        assert not (np.isinf(cost_usd) | (cost_usd < 0)).any()
    assert n_refused > 0


def test_an_encoder_that_is_none_is_refused(outcomes: Outcomes, tmp_path: Path) -> None:
    state = KNNRouter().fit(outcomes).to_state()
    state["learned"]["space"]["encoder"] = 7
    content = {"magic": "routerlib router", "format": artifact.FORMAT, "state": state}
    (tmp_path / "router.pkl").write_bytes(artifact.packed(content))
    with pytest.raises(ArtifactError, match="altered, damaged"):
        load_router(tmp_path / "router.pkl")


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("mean_quality_", 1.5, r"an expected quality outside \[0, 1\] \(1.5\)"),
        ("mean_quality_", -0.1, r"an expected quality outside \[0, 1\] \(-0.1\)"),
        ("mean_quality_", float("inf"), r"an expected quality outside \[0, 1\] \(inf\)"),
        ("mean_quality_", float("nan"), r"an expected quality outside \[0, 1\] \(nan\)"),
        ("mean_cost_usd_", -0.01, r"an expected cost that is negative or endless \(-0.01\)"),
        ("mean_cost_usd_", float("inf"), r"an expected cost that is negative or endless \(inf\)"),
    ],
)
def test_estimates_that_no_router_makes_are_refused(
    outcomes: Outcomes, attribute: str, value: float, message: str, tmp_path: Path
) -> None:
    router = BestSingle().fit(outcomes)
    altered = getattr(router, attribute).copy()
    altered[0] = value
    setattr(router, attribute, altered)
    with pytest.raises(ValueError, match=message):
        router.predict(PROMPTS)
    router.save(tmp_path / "router.pkl")
    with pytest.raises(ArtifactError, match=message):
        load_router(tmp_path / "router.pkl")
