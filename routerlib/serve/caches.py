"""What a conversation costs each candidate, by what its provider has cached of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from routerlib.gather.calls.prefixes import (
    Beginning,
    Prefixes,
    cacheable_tokens,
    cached_tokens,
    saved_usd_per_token,
)
from routerlib.gather.candidates.abilities import likely_tokens
from routerlib.log.call_log import CallLog
from routerlib.policies.input_costs import InputCost
from routerlib.records.call import CandidateModel
from routerlib.records.prompt import Prompt

_LOOKED_THROUGH = 2_000
_SINCE = """
select call_id, candidate, input_tokens, created_at from calls
where call_id > ? and input_tokens is not null and status in ('ok', 'truncated')
    and origin is null
order by call_id
"""
_SENT = """
select messages, whole_calls.extra from whole_calls join whole_prompts using (prompt_id)
where call_id = ?
"""
_LAST = "select coalesce(max(call_id), 0) from calls"


class Caches:
    """Estimate what is cached, by the log alone: also of what another server has asked.

    A log's history may be long: it is read in a thread, which is one, so that no call is added
    twice, and one call after the other, so that whoever else reads the log waits for one at most.
    """

    def __init__(self, log: CallLog, candidates: Sequence[CandidateModel]) -> None:
        self._log = log
        self._candidates = {each.name: each for each in candidates if each.cache is not None}
        rules = [each.cache for each in candidates if each.cache is not None]
        self._lifetime_s = max((rule.lifetime_s for rule in rules), default=0.0)
        self._prefixes = Prefixes(self._lifetime_s)
        self._read_to: int | None = None
        self._thread = ThreadPoolExecutor(1, "caches")

    def close(self) -> None:
        """End: what is being read is read to its end, what waits is not."""
        self._thread.shutdown(cancel_futures=True)

    async def inputs_meanwhile(
        self, prompt: Prompt, parameters: Mapping[str, Any], incumbent: str | None = None
    ) -> dict[str, InputCost]:
        """Return what `inputs` does; others are served meanwhile."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.inputs, prompt, parameters, incumbent)

    def inputs(
        self,
        prompt: Prompt,
        parameters: Mapping[str, Any],
        incumbent: str | None = None,
        now_s: float | None = None,
    ) -> dict[str, InputCost]:
        """Return what the input costs each candidate whose provider's rule is known.

        `incumbent`: who answered the turn before. `now_s`: seconds since 1970; None = now.
        """
        if not self._candidates:
            return {}
        now_s = time.time() if now_s is None else now_s
        self._catch_up(now_s)
        tools = parameters.get("tools")
        found = self._prefixes.longest_of(self._candidates, prompt.messages, tools)
        shared = max((each[0].n_tokens for each in found.values() if each), default=0)
        before = found.get(incumbent or "") or []
        return {
            name: self._input(name, prompt, parameters, found[name], shared, before, now_s)
            for name in self._candidates
        }

    def _input(
        self,
        name: str,
        prompt: Prompt,
        parameters: Mapping[str, Any],
        found: Sequence[Beginning],
        shared: int,
        before: Sequence[Beginning],
        now_s: float,
    ) -> InputCost:
        candidate = self._candidates[name]
        rule, per_token = candidate.cache, saved_usd_per_token(candidate)
        assert rule is not None
        input_usd = candidate.price.input_usd_per_mtok / 1e6
        written_usd = (rule.write_factor - 1) * input_usd
        n_tokens = max(likely_tokens(candidate.model, prompt, parameters), shared)
        n_cached = min(cached_tokens(rule, found, now_s), n_tokens)
        could = cacheable_tokens(rule, before[0].n_tokens) if before else 0
        n_written = max(cacheable_tokens(rule, n_tokens) - n_cached, 0)
        return InputCost(
            full_usd=n_tokens * input_usd + n_written * written_usd,
            saved_usd=n_cached * per_token,
            cached_tokens=n_cached,
            lost_usd=max(could - n_cached, 0) * (per_token + written_usd),
        )

    def _catch_up(self, now_s: float) -> None:
        """Read the calls that were logged since the last time, and may still be cached."""
        if self._read_to is None:
            self._read_to = max(self._log.lookup(_LAST)[0][0] - _LOOKED_THROUGH, 0)
        for call_id, name, n_tokens, created_at in self._log.lookup(_SINCE, self._read_to):
            self._read_to = call_id
            told = datetime.fromisoformat(created_at).replace(tzinfo=UTC).timestamp()
            if name in self._candidates and now_s - told <= self._lifetime_s:
                messages, extra = self._log.lookup(_SENT, call_id)[0]
                tools = json.loads(extra or "{}").get("tools")
                self._prefixes.add(name, json.loads(messages), tools, n_tokens, told)


def told_of_switch(chosen: str, incumbent: str, inputs: Mapping[str, InputCost]) -> str:
    """Say what staying saves, or a switch costs, for the caches of providers; "" = nothing."""
    here = inputs.get(incumbent)
    if chosen != incumbent:
        lost_usd = inputs[chosen].lost_usd if chosen in inputs else 0.0
        told = f"; switching from {incumbent} costs ${lost_usd:.4g} for the lost cache"
        return told if lost_usd > 0 else ""
    others = {name: each.lost_usd for name, each in inputs.items() if name != incumbent}
    lost = [f"${usd:.4g} to {name}" for name, usd in others.items() if usd > 0]
    if not lost:
        return ""
    cached = f", which has {here.cached_tokens:,} tokens cached" if here else ""
    return f"; switching from {incumbent}{cached} would cost {', '.join(lost)} for the lost cache"
