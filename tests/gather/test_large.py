"""Large answers are read, judged and logged one after the other."""

from __future__ import annotations

import asyncio

import pytest

from routerlib.gather.calls.large import LargeAnswers


def test_whoever_holds_a_large_answer_keeps_it_until_the_outermost_block_ends() -> None:
    seen: list[str] = []

    async def work(large: LargeAnswers, name: str) -> None:
        with large.kept():
            with large.kept():
                await large.take()
                await large.take()  # its own second piece
                seen.append(f"{name} read")
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(f"{name} logged")

    async def both() -> None:
        large = LargeAnswers()
        await asyncio.gather(work(large, "first"), work(large, "second"))

    asyncio.run(both())
    assert seen == ["first read", "first logged", "second read", "second logged"]


def test_one_that_fails_or_is_cancelled_lets_the_next_one_in() -> None:
    async def work(large: LargeAnswers, fault: BaseException) -> None:
        with large.kept():
            await large.take()
            raise fault

    async def one_after_the_other() -> None:
        large = LargeAnswers()
        for fault in (ValueError("broken"), asyncio.CancelledError()):
            with pytest.raises(type(fault)):
                await work(large, fault)
        async with asyncio.timeout(5):
            with large.kept():
                await large.take()

    asyncio.run(one_after_the_other())
