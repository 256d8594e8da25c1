"""Tokens of one call, and the price that makes them money."""

from __future__ import annotations

import math
from dataclasses import dataclass

_TOKENS_PER_PRICE_UNIT = 1_000_000


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, as the provider counted them.

    Parameters
    ----------
    input_tokens, output_tokens : int
        Tokens, at least 0. Output includes reasoning tokens.
    cached_input_tokens, reasoning_tokens : int, default=0
        Tokens, at least 0; parts of the two numbers above.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Price:
    """What a candidate model charges, in US dollars per million tokens.

    Parameters
    ----------
    input_usd_per_mtok, output_usd_per_mtok : float
        US dollars per million tokens, at least 0.
    cached_input_usd_per_mtok : float or None, default=None
        Price of input tokens served from the provider's cache; None = the input price.
    source : str, default="candidates.yaml"
        Where the price comes from.
    as_of : str or None, default=None
        ISO date for which it was valid.

    Examples
    --------
    >>> Price(0.15, 0.60).cost_usd(Usage(input_tokens=1_000_000, output_tokens=500_000))
    0.45
    """

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    source: str = "candidates.yaml"
    as_of: str | None = None

    def __post_init__(self) -> None:
        for name in ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and at least 0, got {value!r}")

    def cost_usd(self, usage: Usage) -> float:
        """Return the US dollars that this usage costs."""
        cached_price = self.cached_input_usd_per_mtok
        if cached_price is None:
            cached_price = self.input_usd_per_mtok
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        micro_usd = (
            (usage.input_tokens - cached) * self.input_usd_per_mtok
            + cached * cached_price
            + usage.output_tokens * self.output_usd_per_mtok
        )
        return micro_usd / _TOKENS_PER_PRICE_UNIT
