"""What a log lacks to teach a router."""

from __future__ import annotations

from pathlib import Path

from routerlib.log.dataset import open_log

# One candidate leaves no choice.
MIN_CANDIDATES = 2
# With fewer scored prompts a sample shows more than a log that nobody named.
MIN_SCORED_PROMPTS = 60


def shortage_of(path: Path, n_prompts: int = 1) -> str:
    """Say what a log lacks to teach a router; empty when nothing.

    `n_prompts`: scored answers that each of two candidates needs. Commands set no limit, and so
        notebooks set none on a log that was named; what few prompts show is for the verdict.
    """
    if not path.exists():
        return "it does not exist yet"
    with open_log(path) as log:
        n_scored = log.summary()["scored"]
    n_taught = int((n_scored >= n_prompts).sum())
    if n_taught >= MIN_CANDIDATES:
        return ""
    held = ", ".join(f"{name} {int(number)}" for name, number in n_scored.items())
    return (
        f"it has {n_taught} candidate models with at least {n_prompts} scored answers "
        f"({held or 'none has any'}), and {MIN_CANDIDATES} are needed; ask more prompts, or judge "
        "what is not scored yet (`routerlib judge`)"
    )
