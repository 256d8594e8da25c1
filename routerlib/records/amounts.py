"""Refuse numbers that are no amount, or no share of something."""

from __future__ import annotations

import math


def check_amount(name: str, value: float) -> None:
    """Raise ValueError unless a number is finite and at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and at least 0, got {value!r}")


def check_share(name: str, value: float) -> None:
    """Raise ValueError unless a number lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
