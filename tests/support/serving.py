"""A served router on loopback for tests, with a provider behind it that misbehaves on command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import CandidateModel, Price
from routerlib.routers.rivals import KNNRouter
from routerlib.serve import make_app
from routerlib.serve.admission import Patience
from routerlib.serve.background import in_background

NOBODY = "http://127.0.0.1:9/v1"
ROLES = {"small": ("cheapest", "cheap"), "large": ("coder", "strongest")}


def candidate(name: str, url: str, **fields: Any) -> CandidateModel:
    """A candidate at a base URL; rules know small and large."""
    usd = {"small": 1.0, "middle": 2.0}.get(name, 3.0)
    known = {
        "model": f"provider-{name}",
        "provider": "custom",
        "base_url": url,
        "api_key_env": None,
        "price": Price(usd, 2 * usd),
        "max_attempts": 1,
        "roles": ROLES.get(name, ()),
    }
    return CandidateModel(name=name, **{**known, **fields})


@contextmanager
def serving(
    candidates: list[CandidateModel],
    log_path: Path,
    model_path: Path | None = None,
    *,
    patience: Patience | None = None,
    **how: Any,
) -> Iterator[httpx.Client]:
    """Serve in a thread, as `routerlib serve` does, until the block ends."""
    with (
        CallLog(log_path) as log,
        in_background(make_app(model_path, candidates, log, **how), patience) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def wait_until(is_true: Any, complaint: str, timeout_s: float = 60.0) -> None:
    """Poll until something is true."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def rows(log_path: Path, query: str, *values: Any) -> list[tuple]:
    """Read rows of a log."""
    with CallLog(log_path, read_only=True) as log:
        return log.lookup(query, *values)


def save_router(path: Path, models: tuple[str, ...] = ("small", "large")) -> KNNRouter:
    """Write a router that expects quality 0.9 of the first model and 0.6 of the others."""
    n_prompts = 12
    quality = np.full((n_prompts, len(models)), 0.6)
    quality[:, 0] = 0.9
    cost_usd = np.tile(np.arange(1, len(models) + 1) * 1e-3, (n_prompts, 1))
    prompts = [f"prompt number {i}" for i in range(n_prompts)]
    router = KNNRouter().fit(Outcomes(prompts, list(models), quality, cost_usd))
    router.save(path)
    return router
