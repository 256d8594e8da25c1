"""Read a provider's answer unpacked and up to a limit, and only from where it was asked."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import cache
from typing import Any

from routerlib.gather.calls.large import LargeAnswers
from routerlib.gather.calls.replies import OverlongAnswer, SentElsewhere

# Far above the longest answer that a model gives: a million tokens are some four megabytes. An
# answer is held several times, at up to four bytes a letter, while it is parsed, judged and logged.
MOST_BYTES = 16 * 2**20
# Answers above this are read one after the other, so that their memory doesn't add up.
_LARGE_BYTES = 2**20
_PIECE_BYTES = 2**16
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
ACCEPTED = "gzip, deflate"
_ASKED_OF = "routerlib_asked_of"


class Reading:
    """What holds for all answers of a pool of connections: their length, and who may send them.

    `most_bytes`: of one answer, unpacked, in bytes.
    `large`: taken by whoever reads a large answer.
    """

    def __init__(self, most_bytes: int, large: LargeAnswers) -> None:
        self._most_bytes = most_bytes
        self._large = large

    @property
    def hooks(self) -> dict[str, list[Any]]:
        """What the HTTP client calls before each request and after each response's head."""
        return {"request": [self._stay], "response": [self._bound]}

    async def _stay(self, request: Any) -> None:
        """Refuse a redirect to another host, port or scheme, or one that drops the request."""
        origin = _origin(request.url)
        asked_of = request.extensions.setdefault(_ASKED_OF, origin)
        if origin != asked_of:
            raise SentElsewhere(
                f"{asked_of} sends requests on to {origin}, where nothing was sent; if that is the "
                "right place, write it into base_url"
            )
        if request.method != "POST":
            raise SentElsewhere(
                f"{asked_of} sends requests on to {request.url.path} in a way that drops them; "
                "write the right address into base_url"
            )

    async def _bound(self, response: Any) -> None:
        """Make a response raise OverlongAnswer once too much of its body has come."""
        named = ",".join(response.headers.get_list("content-encoding"))
        packed = [name for each in named.split(",") if (name := each.strip().lower())]
        packed = [name for name in packed if name != "identity"]
        if len(packed) > 1 or not set(packed) <= _PACKED:
            raise OverlongAnswer(
                f"the answer is packed as {', '.join(packed)}, which was not asked for"
            )
        if packed:
            del response.headers["content-encoding"]
        kind: Any = type(response.stream)
        response.stream = _bounded(kind)(response.stream, self, bool(packed))

    async def pieces(self, stream: Any, is_packed: bool) -> AsyncGenerator[bytes, None]:
        """Yield a body unpacked, in pieces, up to the limit."""
        n_bytes = 0
        unpack = _unpacker() if is_packed else _as_it_is
        async for raw in stream:
            for piece in unpack(raw):
                n_bytes += len(piece)
                if n_bytes > self._most_bytes:
                    raise OverlongAnswer(f"the answer is longer than {self._most_bytes:,} bytes")
                if n_bytes > _LARGE_BYTES:
                    await self._large.take()
                yield piece


def _origin(url: Any) -> str:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return f"{url.scheme}://{url.host}:{port}"


def _as_it_is(raw: bytes) -> Iterator[bytes]:
    yield raw


def _unpacker() -> Any:
    """Return a function that unpacks piece by piece: never more at once than is looked at."""
    state: dict[str, Any] = {"inflate": None}

    def unpack(raw: bytes) -> Iterator[bytes]:
        if state["inflate"] is None:
            state["inflate"] = _inflater(raw)
        while raw:
            inflate = state["inflate"]
            try:
                piece = inflate.decompress(raw, _PIECE_BYTES)
            except zlib.error as error:
                raise OverlongAnswer(f"the answer can't be unpacked: {error}") from error
            raw = inflate.unconsumed_tail
            if inflate.eof and inflate.unused_data:  # files of gzip may follow one another
                raw, state["inflate"] = inflate.unused_data, _inflater(inflate.unused_data)
            if piece:
                yield piece

    return unpack


def _inflater(raw: bytes) -> Any:
    """Return what unpacks gzip or zlib, or the bare deflate that some send in its place."""
    is_wrapped = raw[:2] == b"\x1f\x8b" or (raw[:1] == b"\x78" and len(raw) > 1)
    return zlib.decompressobj(47 if is_wrapped else -15)


@cache
def _bounded(kind: Any) -> Any:
    """Return a subclass of a class of streams; which HTTP library has it is the SDK's affair."""

    class Bounded(kind):
        def __init__(self, stream: Any, reading: Reading, is_packed: bool) -> None:
            self._bounded_stream = stream
            self._pieces = reading.pieces(stream, is_packed)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self._pieces:
                yield piece

        async def aclose(self) -> None:
            await self._pieces.aclose()
            await self._bounded_stream.aclose()

    return Bounded
