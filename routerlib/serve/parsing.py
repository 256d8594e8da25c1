"""Read the JSON of requests: large ones in a thread, one after the other, and in one copy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from routerlib.records.canonical import read_json

# For smaller ones handing over to a thread would take longer than reading.
_SMALL_BYTES = 2**16
# One thread, so that what several large bodies take meanwhile doesn't add up.
_reader = ThreadPoolExecutor(1, "large-json")


class ParsedRoute(APIRoute):
    """An address whose requests are read by `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def parsed(request: Request) -> Response:
            return await handle(_ParsedRequest(request.scope, request.receive))

        return parsed


class _ParsedRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        if len(body) <= _SMALL_BYTES:
            return read_json(body)
        return await asyncio.get_running_loop().run_in_executor(_reader, read_json, body)
