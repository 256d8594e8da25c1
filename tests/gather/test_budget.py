"""A budget is a hard cap, and a worst case really is one."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlib.gather.calls.budget import Budget, expected_cost_usd, worst_cost_usd
from routerlib.records.call import CandidateModel, Price, Usage
from routerlib.records.prompt import Prompt

CAPPED = CandidateModel(
    "small", "m", "custom", None, None, Price(3, 15), parameters={"max_tokens": 10}
)


@given(
    cap_usd=st.floats(0, 1),
    attempts=st.lists(st.tuples(st.floats(0, 0.3), st.floats(0, 1)), max_size=60),
    seed=st.integers(0, 99),
)
def test_spent_and_reserved_never_exceed_the_cap(
    cap_usd: float, attempts: list[tuple[float, float]], seed: int
) -> None:
    budget, chance = Budget(cap_usd), random.Random(seed)
    under_way: list[tuple[float, float]] = []
    for worst_usd, share in attempts:
        if budget.reserve(worst_usd):
            under_way.append((worst_usd, share * worst_usd))
        assert budget.spent_usd + budget.reserved_usd <= cap_usd
        if under_way and chance.random() < 0.5:
            budget.settle(*under_way.pop(chance.randrange(len(under_way))))
    for each in under_way:
        budget.settle(*each)
    assert budget.reserved_usd == 0, "sums of money don't drift"
    assert budget.spent_usd <= cap_usd


def test_at_any_concurrency_the_money_is_used_and_the_cap_holds() -> None:
    async def spend() -> tuple[float, float, int]:
        budget, chance, n_made, highest = Budget(1.0), random.Random(3), 0, 0.0

        async def attempt() -> None:
            nonlocal n_made, highest
            if not await budget.reserve_when_free(0.1):
                return
            n_made += 1
            highest = max(highest, budget.spent_usd + budget.reserved_usd)
            await asyncio.sleep(chance.random() * 0.002)
            budget.settle(0.1, 0.01 * chance.random())

        await asyncio.gather(*(attempt() for _ in range(500)))
        return highest, budget.spent_usd, n_made

    highest, spent_usd, n_made = asyncio.run(spend())
    assert highest <= 1.0
    assert 0.9 < spent_usd <= 1.0, "it stops only when the next worst case no longer fits"
    assert n_made > 150


@given(st.text(min_size=1).filter(lambda text: text.strip()))
def test_the_worst_case_has_a_token_for_every_byte(text: str) -> None:
    prompt = Prompt.from_text(text)
    n_bytes = len(text.encode("utf-8", "replace"))
    assert worst_cost_usd(CAPPED, prompt) >= CAPPED.price.cost_usd(Usage(n_bytes, 10))
    assert expected_cost_usd(CAPPED, prompt) <= worst_cost_usd(CAPPED, prompt)


def test_without_a_cap_on_answers_there_is_no_worst_case_unless_they_are_free() -> None:
    prompt = Prompt.from_text("Hi")
    uncapped = CandidateModel("small", "m", "custom", None, None, Price(1, 2))
    assert worst_cost_usd(uncapped, prompt) == math.inf
    free = CandidateModel("free", "m", "custom", None, None, Price(0, 0))
    assert worst_cost_usd(free, prompt) == 0
    assert not Budget(100).reserve(math.inf)
    assert Budget(None).reserve(math.inf)


def test_the_higher_of_two_caps_and_a_dear_cache_count() -> None:
    prompt = Prompt.from_text("Hi")
    both = CandidateModel(
        "both", "m", "custom", None, None, Price(1, 2),
        parameters={"max_tokens": 10, "max_completion_tokens": 1_000},
    )  # fmt: skip
    assert worst_cost_usd(both, prompt) > 1_000 * 2 / 1e6
    cached = CandidateModel(
        "cached", "m", "custom", None, None, Price(1, 0, cached_input_usd_per_mtok=5)
    )
    assert worst_cost_usd(cached, prompt) >= 128 * 5 / 1e6


@pytest.mark.parametrize("cap_usd", [-1, math.nan, math.inf])
def test_a_cap_must_be_an_amount(cap_usd: float) -> None:
    with pytest.raises(ValueError, match="budget_usd must be at least 0"):
        Budget(cap_usd)
