"""`make bench` says what it runs, runs all of it, and never passes over what failed."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from routerlib.outcomes.worlds import make_world

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# What the scripts share, and what runs them.
_NO_BENCHMARK = {
    "bench",
    "builds",
    "fake_candidate",
    "large_log",
    "outcome_tables",
    "parts",
    "processes",
    "source_hash",
    "wire_faults",
}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return script("bench")


def test_every_script_is_run(bench: ModuleType) -> None:
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")} - _NO_BENCHMARK
    assert {Path(shlex.split(run.full)[0]).stem for run in bench.RUNS} == scripts


def test_the_quick_variants_take_half_an_hour_at_most(bench: ModuleType) -> None:
    assert sum(run.quick_minutes for run in bench.RUNS) <= 30


def test_the_readme_begins_with_a_table_of_what_is_run(bench: ModuleType) -> None:
    text = (BENCHMARKS / "README.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    expected = [
        (
            run.full,
            run.answers,
            f"{run.quick_minutes:g} min" if run.quick else "not run",
            f"{run.full_minutes:g} min",
        )
        for run in bench.RUNS
    ]
    assert rows[: len(expected)] == expected


def test_what_fails_is_named_and_the_rest_still_runs(
    bench: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "breaks.py").write_text("raise SystemExit(3)")
    (tmp_path / "works.py").write_text("import sys; print('ran with', sys.argv[1:])")
    monkeypatch.setattr(bench, "HERE", tmp_path)
    runs = [("breaks.py", 1, "Does it break?"), ("works.py --quick", 2, "Does it work?")]
    assert bench.run_all(runs) == 1
    out, err = capfd.readouterr()
    assert "2 benchmarks, about 3 minutes" in out
    assert "[1/2] breaks.py: Does it break? About 1 min." in out
    assert "ran with ['--quick']" in out
    assert err.strip() == "failed: breaks.py (exit code 3)"
    assert bench.run_all(runs[1:]) == 0


def test_larger_trainings_contain_smaller_ones_and_are_tested_on_the_same_prompts() -> None:
    parts, outcomes = script("parts"), make_world(n_prompts=162).outcomes
    sizes = (60, 20)
    (large,), (small,) = (parts.random_parts(outcomes, n, [3], n_left_out=60 - n) for n in sizes)
    assert small.test.tolist() == large.test.tolist()
    assert small.train.tolist() == large.train[:20].tolist()
    thinned, thinner = parts.smaller_train(large, 30), parts.smaller_train(large, 10)
    assert set(thinner.train) < set(thinned.train) < set(large.train)
    with pytest.raises(ValueError, match="must leave some of the 162 prompts"):
        parts.random_parts(outcomes, 160, [0], n_left_out=2)


def test_repeats_of_promises_are_kept_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    promises = script("promises")
    claims = importlib.import_module("claims.study")
    tossed: list[int] = []

    def toss(seed: int) -> dict[str, float]:
        tossed.append(seed)
        return {"heads": float(seed % 2)}

    coin = claims.Study("a coin", toss, {"heads": claims.Claim("heads", at_least=0.5)}, 4, 6)
    studies, file = {"coin.fair": coin}, tmp_path / "draws.jsonl"
    promises.measure(studies, promises.Draws(file), full=False, n_jobs=1, minutes=1)
    assert tossed == [0, 1, 2, 3]
    kept = promises.Draws(file)
    promises.measure(studies, kept, full=True, n_jobs=1, minutes=1)
    assert tossed == [0, 1, 2, 3, 4, 5]
    assert promises.told("coin.fair", coin, kept.of("coin.fair"))
    assert not promises.told("coin.fair", coin, {})  # what was never drawn is no promise kept
    monkeypatch.setattr(promises, "_code", lambda: "of another library")
    assert promises.Draws(file).of("coin.fair") == {}


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("bought", "share"),
        ("cross_fit", "two_150"),
        ("estimates", "planned_10"),
        ("judges", "honest"),
        ("planner", "half_60"),
    ],
)
def test_promises_can_be_drawn(subject: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    study = script("promises").studies_of(subject)[f"{subject}.{name}"]
    assert set(study.draw(1)) >= set(study.claims)


def test_repeats_of_promises_end_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    promises = script("promises")
    claims = importlib.import_module("claims.study")
    studies = {
        name: claims.Study(name, lambda seed: {"seen": 1.0}, {}, 10**9, 10**9) for name in "ab"
    }
    draws = promises.Draws(None)
    promises.measure(studies, draws, full=False, n_jobs=1, minutes=1 / 60)
    assert draws.of("a")
    assert draws.of("b")
