"""Estimates of what calls cost, and a cap on what they may."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

from routerlib.log.spending import Ledger
from routerlib.records.call import CandidateModel, Usage
from routerlib.records.canonical import canonical_json
from routerlib.records.messages import attachments, said
from routerlib.records.prompt import Prompt

_BYTES_PER_TOKEN_EXPECTED = 4  # of English
_FORMAT_TOKENS_PER_MESSAGE = 8
# Worst case: a byte-level tokenizer never makes more tokens than the text has bytes in UTF-8.
# Chat formats add marks to each message, and some a system message of their own (the longest
# seen has about 70 tokens).
_FORMAT_TOKENS_PER_MESSAGE_WORST = 16
_FORMAT_TOKENS_PER_REQUEST_WORST = 128
# The dearest count of an image seen: gpt-4o-mini's 2,833, and 5,667 for each of eight tiles.
_TOKENS_PER_IMAGE_WORST = 50_000
# Of an answer of which nothing is known: a quarter of what it may have, and no more than this.
GUESSED_OUTPUT_TOKENS, GUESSED_SHARE_OF_CAP = 512, 0.25
# Sent under a budget where a candidate names no cap: long answers fit, endless ones don't.
OUTPUT_CAP_UNDER_BUDGET = 4096

# Money is added up in whole picodollars: sums of floats would drift, and "nothing is reserved"
# or "not above the cap" must be exact.
_UNITS_PER_USD = 10**12
_HOUR_S = 3600  # what a cache keeps so long may be dearer
_SECONDS_BETWEEN_LOOKS = 0.2  # at what other runs have settled


def expected_cost_usd(
    candidate: CandidateModel, prompt: Prompt, output_tokens: float | None = None
) -> float:
    """Estimate the cost of one call, US dollars.

    `output_tokens`: expected output tokens; None = a quarter of the candidate's cap, at most 512,
        and 512 where it has none.
    """
    if output_tokens is None:
        cap = candidate.output_cap
        share = math.inf if cap is None else GUESSED_SHARE_OF_CAP * cap
        output_tokens = min(share, GUESSED_OUTPUT_TOKENS)
    texts = _texts(candidate, prompt)
    n_input = sum(map(_n_bytes, texts)) // _BYTES_PER_TOKEN_EXPECTED
    usage = Usage(n_input + _FORMAT_TOKENS_PER_MESSAGE * len(texts), int(output_tokens))
    return candidate.price.cost_usd(usage)


def worst_cost_usd(candidate: CandidateModel, prompt: Prompt) -> float:
    """Bound the cost of one attempt from above.

    A token for each byte of messages, system prompt and parameters (tools and schemas are input
    too), the marks of a chat format, and output, with reasoning, up to the cap that is sent.
    """
    price, cap = candidate.price, candidate.output_cap
    if cap is None:
        if price.output_usd_per_mtok:
            return math.inf
        cap = 0
    kinds = [kind for kind, _ in attachments(prompt.messages)]
    if price.input_usd_per_mtok and ("file" in kinds or "audio" in kinds):
        return math.inf  # as long as anybody likes
    texts = _texts(candidate, prompt)
    n_input = (
        _TOKENS_PER_IMAGE_WORST * len(kinds)
        + sum(map(_n_bytes, texts))
        + _n_bytes(canonical_json(dict(candidate.parameters)))
        + _FORMAT_TOKENS_PER_MESSAGE_WORST * len(texts)
        + _FORMAT_TOKENS_PER_REQUEST_WORST
    )
    usage = Usage(n_input, cap)
    # A cache that is dearer than plain input (some charge for filling it) counts in full.
    read = Usage(n_input, cap, cached_input_tokens=n_input)
    n_hour = n_input if candidate.cache and candidate.cache.lifetime_s >= _HOUR_S else 0
    written = Usage(n_input, cap, cache_write_tokens=n_input, cache_write_1h_tokens=n_hour)
    return max(map(price.cost_usd, (usage, read, written)))


def capped(candidate: CandidateModel) -> CandidateModel:
    """Return the candidate with a cap on its output, so that a call has a worst case."""
    if candidate.output_cap is not None:
        return candidate
    parameters = {**candidate.parameters, cap_name(candidate): OUTPUT_CAP_UNDER_BUDGET}
    return replace(candidate, parameters=parameters)


def cap_name(candidate: CandidateModel) -> str:
    """Return how a candidate's provider calls the cap on its output."""
    # OpenAI's reasoning models refuse the older name; other servers may know only that.
    return "max_completion_tokens" if candidate.provider == "openai" else "max_tokens"


def _texts(candidate: CandidateModel, prompt: Prompt) -> list[str]:
    system = [candidate.system] if candidate.system else []
    return [*system, *map(said, prompt.messages)]


def _n_bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


class Budget:
    """Hold spending under a cap: the worst case is reserved before an attempt, settled after it.

    ``spent_usd + reserved_usd`` never exceeds the cap, as long as no attempt costs more than its
    worst case. Not for several threads: use it inside one event loop.

    `cap_usd`: US dollars; None = no cap.
    """

    def __init__(self, cap_usd: float | None) -> None:
        if cap_usd is not None and not (math.isfinite(cap_usd) and cap_usd >= 0):
            raise ValueError(f"budget_usd must be at least 0, got {cap_usd!r}")
        self.cap_usd = cap_usd
        self._cap = None if cap_usd is None else math.floor(_exact(cap_usd) * _UNITS_PER_USD)
        self._spent = 0
        self._reserved = 0
        self._settled = asyncio.Event()

    @property
    def spent_usd(self) -> float:
        """US dollars spent, attempts of unknown outcome at their worst case."""
        return _usd(self._spent)

    @property
    def reserved_usd(self) -> float:
        """US dollars that attempts under way may still cost."""
        return _usd(self._reserved)

    @property
    def left_usd(self) -> float:
        """US dollars under the cap that are not spent; infinite without one."""
        return math.inf if self._cap is None else _usd(self._cap - self._spent)

    def reserve(self, worst_usd: float) -> bool:
        """Reserve the worst case of an attempt; False when it does not fit under the cap now."""
        if self._cap is None:
            return True
        if not math.isfinite(worst_usd):
            return False
        fits = self._spent + self._reserved + _units(worst_usd) <= self._cap
        if fits:
            self._reserved += _units(worst_usd)
        return fits

    async def reserve_when_free(self, worst_usd: float) -> bool:
        """Reserve the worst case, waiting for attempts under way that may leave room for it."""
        while not self.reserve(worst_usd):
            if self._spent + _units(worst_usd) > (self._cap or 0):
                return False
            self._settled.clear()
            await self._settled.wait()
        return True

    def settle(self, worst_usd: float, cost_usd: float) -> None:
        """Replace a reservation by what the attempt cost."""
        if self._cap is not None:
            self._reserved -= _units(worst_usd)
        if math.isfinite(cost_usd):
            self._spent += _units(cost_usd)
        self._settled.set()


class SharedBudget(Budget):
    """Hold the spending of all runs that share a ledger under one cap.

    `ledger`: where each of them writes what it reserves and spends.
    """

    def __init__(self, cap_usd: float, ledger: Ledger) -> None:
        super().__init__(cap_usd)
        self._ledger = ledger
        self._most = (self._cap or 0) - _units(ledger.before)

    @property
    def left_usd(self) -> float:
        """US dollars under the cap that no run has spent; below 0 where that cost more."""
        return _usd(self._most - self._ledger.standing().spent)

    def reserve(self, worst_usd: float) -> bool:
        """Reserve the worst case of an attempt; False when it does not fit under the cap now."""
        if not math.isfinite(worst_usd) or not self._ledger.reserve(_units(worst_usd), self._most):
            return False
        self._reserved += _units(worst_usd)
        return True

    async def reserve_when_free(self, worst_usd: float) -> bool:
        """Reserve the worst case, waiting for attempts of any run that may leave room for it."""
        while not self.reserve(worst_usd):
            if not math.isfinite(worst_usd):
                return False
            if self._ledger.standing().spent + _units(worst_usd) > self._most:
                return False
            self._settled.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), _SECONDS_BETWEEN_LOOKS)
        return True

    def settle(self, worst_usd: float, cost_usd: float) -> None:
        """Replace a reservation by what the attempt cost."""
        spent = _units(cost_usd) if math.isfinite(cost_usd) else _units(worst_usd)
        self._ledger.settle(_units(worst_usd), spent)
        super().settle(worst_usd, cost_usd)


def _units(usd: float) -> int:
    return math.ceil(_exact(usd) * _UNITS_PER_USD)


def _exact(usd: float) -> Fraction:
    """Return an amount as it is written, so that 0.1 is a tenth, whatever its size."""
    return Fraction(repr(float(usd)))


def _usd(units: int) -> float:
    try:
        return units / _UNITS_PER_USD
    except OverflowError:
        return math.inf
