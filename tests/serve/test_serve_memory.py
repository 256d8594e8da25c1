"""A served router takes the memory that serving needs, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.lightgbm.router import LGBMRouter, Objective

# More than 130 MB together, and a second to import.
LEARNERS = ("pandas", "pyarrow", "scipy", "sklearn", "lightgbm", "duckdb", "matplotlib")


@pytest.mark.parametrize("objective", ["quality", "best_model"])
def test_a_saved_router_is_served_without_the_learners(
    outcomes: Outcomes, tmp_path: Path, objective: Objective
) -> None:
    router = LGBMRouter(objective=objective).fit(outcomes)
    router.save(tmp_path / "router.pkl")
    code = (
        "import sys, routerlib as rl; import routerlib.serve.app, routerlib.serve.listening\n"
        "from routerlib.serve.choosing import decide, read_exploration\n"
        "router = rl.load_router('router.pkl')\n"
        "prompt = rl.Prompt.from_text('What is 3 + 4?')\n"
        "decide(router, prompt, 5.0, read_exploration('epsilon-greedy'))\n"
        "print(decide(router, prompt, None, None).model)\n"
        f"print(*{set(LEARNERS)} & set(sys.modules))"
    )
    served = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert served.stdout == f"{router.route('What is 3 + 4?').model}\n\n"
