"""Arrays of routers lie row by row, before saving and after loading.

Products of matrices add up in another order where an array lies column by column; whether that
shows in the last digits depends on the processor. So these tests look at the arrays, not at sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cascading import N_LEARNT, telling_cascade, telling_outcomes

import routerlib as rl
from routerlib.features.learners.neighbours import Neighbours
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.baselines import BestSingle, RandomRouter, TopicTable
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.clusters import ClusterTable
from routerlib.routers.factors import LowRankRouter, MFRouter, OneFactorRouter
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter
from routerlib.routers.untuned import UntunedLGBMRouter

ROLES = {"cheapest": "tiny", "cheap": "small", "coder": "small", "strongest": "large"}
NEW = ["What is 31 times 417, item 99?", "Tell me something nice about the sea.", ""]
WORLDS = ["topics", "no topics", "one prompt"]


def letters(texts: list[str]) -> np.ndarray:
    """Encode by three counts of letters, column by column."""
    counted = [[text.count("a") + 1, text.count("e"), len(text)] for text in texts]
    return np.asfortranarray(np.array(counted, dtype=float).reshape(-1, 3))


def make_routers() -> dict[str, Router]:
    return {
        "lightgbm": LGBMRouter(),
        "lightgbm surface": LGBMRouter(groups=("surface", "embedding")),
        "lightgbm encoder": LGBMRouter(encoder=letters),
        "best_model": LGBMRouter(objective="best_model"),
        "knn": KNNRouter(n_neighbors=7),
        "knn encoder": KNNRouter(encoder=letters),
        "linear": LinearRouter(),
        "linear encoder": LinearRouter(encoder=letters),
        "mlp": MLPRouter(),
        "mlp encoder": MLPRouter(encoder=letters),
        "one_factor": OneFactorRouter(),
        "low_rank": LowRankRouter(),
        "mf": MFRouter(),
        "cluster_table": ClusterTable(),
        "cluster_table encoder": ClusterTable(encoder=letters),
        "lightgbm_untuned": UntunedLGBMRouter(),
        "topic_table": TopicTable(),
        "best_single": BestSingle(),
        "random": RandomRouter(),
        "rules": RuleRouter(ROLES),
    }


def world(outcomes: Outcomes, name: str) -> Outcomes:
    """Return outcomes that were given column by column, with gaps and a candidate of few labels."""
    quality, cost_usd = outcomes.quality.copy(), outcomes.cost_usd.copy()
    quality[10:, 1] = np.nan
    quality[3::5, 2] = np.nan
    cost_usd[:20, 0] = np.nan
    given = Outcomes(
        outcomes.prompts,
        outcomes.models,
        np.asfortranarray(quality),
        np.asfortranarray(cost_usd),
        topics=None if name == "no topics" else outcomes.topics,
    )
    return given.take([0]) if name == "one prompt" else given


def arrays_of(value: object, where: str, seen: set[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every array that an object holds, however deep, with the path to it."""
    if id(value) in seen or isinstance(value, type):
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from arrays_of(item, f"{where}[{key!r}]", seen)
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from arrays_of(item, f"{where}[{at}]", seen)
    else:
        for name, item in getattr(value, "__dict__", {}).items():
            yield from arrays_of(item, f"{where}.{name}", seen)


def all_arrays(router: Router) -> dict[str, np.ndarray]:
    return dict(arrays_of(router, "router", set()))


def not_in_rows(arrays: dict[str, np.ndarray]) -> list[str]:
    """Return paths of arrays whose strides aren't those of a new array of their shape."""
    return [
        path
        for path, array in arrays.items()
        if not array.flags.c_contiguous
        or array.strides != np.empty(array.shape, dtype=array.dtype).strides
    ]


def test_every_kind_of_router_is_looked_at() -> None:
    public = [getattr(rl, name) for name in rl.__all__]
    kinds = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Router)}

    looked_at = {type(router) for router in make_routers().values()}
    assert looked_at | {Cascade} == kinds  # which has a test of its own: it learns from answers


def test_all_arrays_of_a_cascade_lie_row_by_row_as_learnt_and_as_loaded(tmp_path: Path) -> None:
    cascade = telling_cascade()
    cascade.save(tmp_path / "router.pkl")
    again = load_router(tmp_path / "router.pkl")
    assert isinstance(again, Cascade)
    new = telling_outcomes().take(range(N_LEARNT, N_LEARNT + 20))
    before, after = cascade.replay(new), again.replay(new)
    assert not_in_rows(all_arrays(cascade)) == []
    assert not_in_rows(all_arrays(again)) == []
    assert before.asked == after.asked
    np.testing.assert_array_equal(before.quality, after.quality)
    np.testing.assert_array_equal(before.cost_usd, after.cost_usd)


@pytest.mark.parametrize("kind", make_routers())
@pytest.mark.parametrize("name", WORLDS)
def test_all_arrays_lie_row_by_row_as_learnt_and_as_loaded(
    outcomes: Outcomes, kind: str, name: str, tmp_path: Path
) -> None:
    router = make_routers()[kind].fit(world(outcomes, name))
    router.save(tmp_path / "router.pkl")
    encoder = letters if "encoder" in kind else None
    again = load_router(tmp_path / "router.pkl", encoder=encoder)
    before, after = router.predict(NEW), again.predict(NEW)  # what prediction keeps counts too
    learnt, loaded = all_arrays(router), all_arrays(again)

    assert not_in_rows(learnt) == []
    assert not_in_rows(loaded) == []
    only_learning = (".labels_", ".held_out_")  # what choosing an operating point needs
    assert {path for path in learnt if not any(name in path for name in only_learning)} == set(
        loaded
    )
    for path, array in loaded.items():
        assert array.dtype == learnt[path].dtype, path
        np.testing.assert_array_equal(array, learnt[path], err_msg=path)
    np.testing.assert_array_equal(before.quality, after.quality)
    np.testing.assert_array_equal(before.cost_usd, after.cost_usd)


@pytest.mark.parametrize("kind", ["lightgbm", "knn", "topic_table"])
def test_the_walk_reaches_arrays_that_lie_deep(outcomes: Outcomes, kind: str) -> None:
    router = make_routers()[kind].fit(outcomes)
    paths = all_arrays(router)

    assert any(path.endswith("['vectors']") for path in paths)
    assert any(path.endswith(".space_.index.terms") for path in paths)
    assert "router.topic_means_.quality" in paths


def test_a_candidate_added_later_keeps_arrays_row_by_row(outcomes: Outcomes) -> None:
    router = LGBMRouter().fit(outcomes)
    quality = np.asfortranarray(outcomes.quality[:, [2]])
    router.add_candidate(Outcomes(outcomes.prompts, ["new"], quality))

    assert not_in_rows(all_arrays(router)) == []


def test_outcomes_lie_row_by_row_however_they_were_given() -> None:
    quality = np.array([[0.0, 1.0], [0.5, 1.0], [1.0, 0.0]])
    frame = pd.DataFrame(
        {"prompt": ["a", "b", "c"], "small": quality[:, 0], "large": quality[:, 1]}
    )
    given = [
        Outcomes(["a", "b", "c"], ["small", "large"], np.asfortranarray(quality), quality[::-1]),
        Outcomes.from_frame(frame, quality=["small", "large"], cost_usd=["small", "large"]),
    ]

    for outcomes in given:
        np.testing.assert_array_equal(outcomes.quality, quality)
        for part in (outcomes, outcomes.take([2, 0])):
            assert part.quality.flags.c_contiguous
            assert part.cost_usd.flags.c_contiguous


def test_data_given_column_by_column_makes_the_same_file(
    outcomes: Outcomes, tmp_path: Path
) -> None:
    columns = Outcomes(
        outcomes.prompts,
        outcomes.models,
        np.asfortranarray(outcomes.quality),
        np.asfortranarray(outcomes.cost_usd),
        topics=outcomes.topics,
    )
    LGBMRouter().fit(outcomes).save(tmp_path / "rows.pkl")
    LGBMRouter().fit(columns).save(tmp_path / "columns.pkl")

    assert (tmp_path / "rows.pkl").read_bytes() == (tmp_path / "columns.pkl").read_bytes()


def test_neighbours_remember_row_by_row() -> None:
    targets = np.asfortranarray([[0.0, 1.0], [1.0, 0.0], [0.5, np.nan]])
    near = Neighbours.fit(np.asfortranarray(np.eye(3)), targets)

    np.testing.assert_array_equal(near.targets, targets)
    assert near.vectors.flags.c_contiguous
    assert near.targets.flags.c_contiguous
