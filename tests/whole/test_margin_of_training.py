"""The loss that training is allowed is the margin of the verdict on its router."""

import json
from pathlib import Path

import pytest

import routerlib as rl
from routerlib.cli import main

SAMPLE = Path(__file__).parents[2] / "data/sample_logs.db"


def test_the_loss_allowed_is_in_the_router_file_and_in_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "router.pkl"
    arguments = ["train", "--log", str(SAMPLE), "--model", str(model)]
    assert main([*arguments, "--max-quality-loss", "0.01"]) == 0, capsys.readouterr().err
    assert rl.load_router(model).training_["max_quality_loss"] == 0.01
    described = json.loads(model.with_suffix(".json").read_text())
    text = json.dumps(described)
    assert '"margin": 0.01' in text
    told = capsys.readouterr().out.splitlines()
    # The finding, its numbers, what they stand on; then what to do, each thing once.
    (found,) = (place for place, line in enumerate(told) if line.startswith("Not measurable yet"))
    assert told[found + 1].startswith("  always ")
    steps = [place for place, line in enumerate(told) if line.startswith("to tell (")]
    assert steps == list(range(steps[0], len(told) - 1))
    assert not any("Label about" in line or "max_tokens" in line for line in told[: steps[0]])
    assert told[-1].startswith("next: ")
