"""Very many prompts are estimated part by part, to the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.outcomes.worlds import make_world
from routerlib.records.decision import Estimates
from routerlib.records.progress import shown_by
from routerlib.routers import in_parts
from routerlib.routers.lightgbm.router import LGBMRouter


@pytest.mark.parametrize("has_times", [True, False])
def test_estimates_are_those_of_all_prompts_at_once(
    has_times: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = make_world(n_prompts=200, n_models=2, seed=3).outcomes
    if has_times:
        object.__setattr__(outcomes, "latency_s", 1 + outcomes.quality)
    router = LGBMRouter().fit(outcomes.take(range(120)))
    prompts = outcomes.prompts[120:]
    whole = router.predict(prompts)
    assert (whole.latency is not None) == has_times
    monkeypatch.setattr(in_parts, "MOST_AT_ONCE", 32)
    sizes: list[int | None] = []

    def shower(items, what, total):
        sizes.append(total)
        return iter(items)

    with shown_by(shower):
        parts = router.predict(prompts)
    assert 3 in sizes
    assert parts.models == whole.models
    np.testing.assert_allclose(parts.quality, whole.quality, rtol=1e-6)
    np.testing.assert_allclose(parts.cost_usd, whole.cost_usd, rtol=1e-6)
    if whole.latency is not None and parts.latency is not None:
        for ours, theirs in zip(parts.latency.arrays, whole.latency.arrays, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_topics_go_with_their_prompts_and_so_do_spreads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_parts, "MOST_AT_ONCE", 2)

    def expect(texts: list[str], topics: list[str]) -> Estimates:
        values = np.array(
            [[float(text + topic)] for text, topic in zip(texts, topics, strict=True)]
        )
        return Estimates(("m",), values, values + 1, values + 2)

    found = in_parts.expect_in_parts(expect, ["1", "2", "3"], ["4", "5", "6"])
    assert found.quality.ravel().tolist() == [14, 25, 36]
    assert found.quality_sd is not None
    assert found.quality_sd.ravel().tolist() == [16, 27, 38]
    assert found.latency is None
