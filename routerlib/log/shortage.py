"""What a log lacks to teach a router."""

from __future__ import annotations

from pathlib import Path

from routerlib.log.dataset import open_log

# With fewer scored prompts a third held out says nothing, and one candidate leaves no choice.
MIN_CANDIDATES = 2
MIN_SCORED_PROMPTS = 60


def shortage_of(path: Path) -> str:
    """Say what a log lacks to teach a router; empty when nothing."""
    if not path.exists():
        return "it does not exist yet"
    with open_log(path) as log:
        n_scored = log.summary()["scored"]
    n_taught = int((n_scored >= MIN_SCORED_PROMPTS).sum())
    if n_taught >= MIN_CANDIDATES:
        return ""
    held = ", ".join(f"{name} {int(number)}" for name, number in n_scored.items())
    return (
        f"it has {n_taught} candidate models with at least {MIN_SCORED_PROMPTS} scored answers "
        f"({held or 'none has any'}), and {MIN_CANDIDATES} are needed; ask more prompts, or judge "
        "what is not scored yet (`routerlib judge`)"
    )
