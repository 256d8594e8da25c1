"""Write one request's decision and calls through the writer that all requests share."""

from __future__ import annotations

import asyncio

from routerlib.log.call_log import CallLog
from routerlib.log.writer import LogWriter
from routerlib.records.call import Call
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt


class WriterRecording:
    """Write one request's decision and calls through the shared writer."""

    def __init__(self, writer: LogWriter, run_id: int) -> None:
        self._writer = writer
        self._run_id = run_id
        self._decision: asyncio.Future[int] | None = None

    async def add_decision(self, prompt: Prompt, decision: Decision) -> int:
        """Store a decision and its prompt and return the decision's number."""

        def write(log: CallLog) -> int:
            log.add_prompts([prompt])
            return log.add_decision(prompt.prompt_id, decision, self._run_id)

        self._decision = asyncio.wrap_future(self._writer.submit(write))
        return await self._decision

    async def add_call(self, call: Call) -> int:
        """Store a call and return its number."""
        return await asyncio.wrap_future(
            self._writer.submit(lambda log: log.add_call(call, self._run_id))
        )

    async def decision_id(self) -> int:
        """Return the decision's number once it is stored."""
        assert self._decision is not None, "the decision is recorded before a candidate is asked"
        return await asyncio.shield(self._decision)
