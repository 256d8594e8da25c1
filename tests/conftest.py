"""Nouns that several tests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import screenshots_folder, started_browser
from fault_server import FaultServer, fault_server
from hypothesis import settings

from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import CandidateModel, Price

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from routerlib.routers.lightgbm.router import LGBMRouter


# Machines are shared: examples are drawn alike everywhere, and none fails for being slow.
settings.register_profile("shared", deadline=None, derandomize=True, database=None)
settings.load_profile("shared")

# What made the files that importers are tested on: scripts for other environments.
collect_ignore = ["data"]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CallLog]:
    with CallLog(tmp_path / "logs.db") as opened:
        yield opened


@pytest.fixture
def candidates() -> list[CandidateModel]:
    """Return two candidates with round prices; the endpoint is filled in by whoever serves it."""
    return [
        CandidateModel("small", "small-1", "custom", "http://127.0.0.1:9/v1", None, Price(1, 2)),
        CandidateModel("large", "large-1", "custom", "http://127.0.0.1:9/v1", None, Price(10, 20)),
    ]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve answers and faults on loopback, as a provider does."""
    with fault_server() as running:
        yield running


@pytest.fixture
def provider(server: FaultServer) -> FaultServer:
    """Return what stands behind `routerlib serve` in tests of that server."""
    return server


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """Return where a log may be made."""
    return tmp_path / "logs.db"


@pytest.fixture
def trio(server: FaultServer) -> list[CandidateModel]:
    """Return three candidates that the server answers for, without retries."""
    return [
        CandidateModel(name, name, "custom", server.url, None, Price(1, 2), max_attempts=1)
        for name in ("tiny", "small", "large")
    ]


@pytest.fixture(scope="session")
def outcomes() -> Outcomes:
    """Return 60 prompts x 3 models: arithmetic needs the large model, small talk does not."""
    rng = np.random.default_rng(0)
    topics = ["math" if i % 2 else "chat" for i in range(60)]
    words = ["river", "moon", "paper", "chair", "cloud", "stone", "apple", "glass", "train", "sea"]
    prompts = [
        f"What is {rng.integers(10, 99)} times {rng.integers(100, 999)}, item {i}?"
        if topic == "math"
        else f"Tell me something nice about the {words[i % 10]} and the {words[(i * 7) % 9]}, {i}."
        for i, topic in enumerate(topics)
    ]
    chance = np.array([[0.1, 0.5, 0.9] if topic == "math" else [0.8, 0.9, 0.9] for topic in topics])
    quality = (rng.random(chance.shape) < chance).astype(float)
    cost_usd = np.tile([0.0001, 0.0003, 0.001], (60, 1))
    return Outcomes(prompts, ["tiny", "small", "large"], quality, cost_usd, topics=topics)


@pytest.fixture(scope="session")
def router_state(outcomes: Outcomes) -> dict[str, Any]:
    """Return what a router has learnt from all outcomes, trained once for all tests."""
    from routerlib.routers.lightgbm.router import LGBMRouter  # which many tests don't need

    return LGBMRouter().fit(outcomes).to_state()


@pytest.fixture
def fitted(router_state: dict[str, Any]) -> LGBMRouter:
    """Return that router, one of its own for each test."""
    from routerlib.routers.lightgbm.router import LGBMRouter

    return LGBMRouter.from_state(router_state)


# Of a module, not of the session: while Playwright runs, `asyncio.run` of other tests would fail.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a headless Chromium; skipped where there is none, unless the machine must have it."""
    with started_browser() as running:
        yield running


@pytest.fixture(scope="session")
def hostile_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a log in which every text tries to run a script."""
    import hostile  # reports import much, and most tests need none

    folder = tmp_path_factory.mktemp("hostile")
    with hostile.make_log(folder) as opened:
        return hostile.make_index(opened)


@pytest.fixture(scope="session")
def hostile_notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a notebook in which every output does."""
    import hostile

    return hostile.make_notebook(tmp_path_factory.mktemp("notebook"))


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the folder in which browser tests leave pictures for people to look at."""
    folder = screenshots_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    pictures = sorted(screenshots_folder().glob("*.png"))
    if pictures and terminalreporter.stats.get("passed"):
        terminalreporter.write_line(f"{len(pictures)} screenshots in {pictures[0].parent}")
