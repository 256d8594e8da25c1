"""Stop reading a provider's answer that has no end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from routerlib.gather.calls.replies import OverlongAnswer

# Far above the longest answer that a model gives: a million tokens are some four megabytes.
MOST_BYTES = 64 * 2**20


async def refuse_overlong(response: Any) -> None:
    """Make a response raise OverlongAnswer once more than `MOST_BYTES` of its body have come."""
    kind: Any = type(response.stream)
    response.stream = _counted(kind)(response.stream)


@cache
def _counted(kind: Any) -> Any:
    """Return a subclass of a class of streams; which HTTP library has it is the SDK's affair."""

    class Counted(kind):
        def __init__(self, stream: Any) -> None:
            self._counted_stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            n_bytes = 0
            async for piece in self._counted_stream:
                n_bytes += len(piece)
                if n_bytes > MOST_BYTES:
                    raise OverlongAnswer(f"the answer is longer than {MOST_BYTES:,} bytes")
                yield piece

        async def aclose(self) -> None:
            await self._counted_stream.aclose()

    return Counted
