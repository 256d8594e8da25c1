"""Where candidates are reached: one client each, with its pace and what it has taught."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from routerlib.gather.calls.adapting import Adaptation
from routerlib.gather.calls.large import LargeAnswers
from routerlib.gather.calls.pacing import Pace
from routerlib.gather.calls.reading import ACCEPTED, Reading
from routerlib.gather.candidates.keys import Redactor, api_key
from routerlib.gather.candidates.places import Places
from routerlib.records.call import CandidateModel

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_NO_KEY_NEEDED = "none"
# Making a pool of connections takes longer than many an answer, so candidates share them; a pool
# looks through all it holds at each request, so not all share one.
_CANDIDATES_PER_POOL = 16
# Hosts of Azure take a key in a header of their own.
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


@dataclass(frozen=True)
class Endpoint:
    """One candidate's connections, and what is known of its server.

    `timeout_s`: seconds that one attempt may take once it is sent.
    `places`: those of a server that runs here; None = the server sees to that itself.
    """

    client: AsyncOpenAI
    pace: Pace
    redact: Redactor
    adaptation: Adaptation
    timeout_s: float
    places: Places | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until an attempt may be sent, and its clock may start; hold that until it ends."""
        async with self.pace.turn():
            if self.places is None:
                yield
                return
            async with self.places.place():
                yield


class ConnectionPools:
    """Open clients as they are needed, over pools of connections that several share.

    `most_bytes`: of one answer, unpacked, in bytes.
    `large`: taken by whoever reads a large answer.
    """

    def __init__(self, stopping: asyncio.Event, most_bytes: int, large: LargeAnswers) -> None:
        self._open: dict[str, Endpoint] = {}
        self._http: dict[tuple[bool, int], Any] = {}
        self._starting = asyncio.Lock()
        self._stopping = stopping
        self._reading = Reading(most_bytes, large)

    async def close(self) -> None:
        """Close every connection."""
        for client in self._http.values():
            await client.aclose()
        self._http.clear()
        self._open.clear()

    async def endpoint(self, candidate: CandidateModel) -> Endpoint:
        """Return the candidate's endpoint; the server of a local model is started first."""
        async with self._starting:
            if candidate.name not in self._open:
                self._open[candidate.name] = await self._endpoint(candidate)
            return self._open[candidate.name]

    async def _endpoint(self, candidate: CandidateModel) -> Endpoint:
        key = api_key(candidate)
        redact = Redactor(key)
        base_url, timeout_s, places = str(candidate.base_url), candidate.timeout_s, None
        if candidate.provider == "local":
            from routerlib.gather.candidates import local_pool

            base_url = await asyncio.to_thread(local_pool.base_url, candidate.model)
            places = local_pool.places(candidate.model)
            timeout_s *= local_pool.SLOTS  # so many calls share the seconds of its one thread
        return Endpoint(
            self._open_client(base_url, timeout_s, key),
            Pace(candidate.requests_per_minute, self._stopping),
            redact,
            Adaptation(candidate.name, redact),
            timeout_s,
            places,
        )

    def _open_client(self, base_url: str, timeout_s: float, key: str | None) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        parts = urlsplit(base_url)
        host = parts.hostname or ""
        return AsyncOpenAI(
            base_url=urlunsplit(parts._replace(query="", fragment="")),
            default_query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            default_headers={"api-key": key} if key and host.endswith(_AZURE) else None,
            api_key=key or _NO_KEY_NEEDED,
            timeout=timeout_s,
            max_retries=0,  # the one retry loop is that of `Clients`
            http_client=self._http_client(host),
        )

    def _http_client(self, host: str) -> Any:
        """Return the pool of connections of one more candidate."""
        from openai import DefaultAsyncHttpxClient

        # Loopback must not go through a proxy that the environment names for the world outside.
        pool = trusts_env, _ = (not _is_loopback(host), len(self._open) // _CANDIDATES_PER_POOL)
        if pool not in self._http:
            self._http[pool] = DefaultAsyncHttpxClient(
                trust_env=trusts_env,
                event_hooks=self._reading.hooks,
                headers={"accept-encoding": ACCEPTED},
            )
        return self._http[pool]


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
