"""`make bench` says what it runs, runs all of it, and never passes over what failed."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer

from routerlib.cli import app
from routerlib.evaluation.benchmark_fits import usual_routers
from routerlib.features.prompt_columns import GROUPS
from routerlib.features.reading import Read, read_here
from routerlib.log.dataset import LogDataset
from routerlib.outcomes.worlds import make_world
from routerlib.routers.training.train import train_router

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_GROUPS = ("log", "audit", "models")  # of commands
# What the scripts share, and what runs them.
_NO_BENCHMARK = {
    "bench",
    "builds",
    "drawn",
    "earlier_build",  # needs a checkout of one
    "fake_candidate",
    "large_log",
    "losses",
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


def test_every_study_of_promises_has_a_row_and_every_row_a_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    promises = script("promises")
    studies = {name for subject in promises.SUBJECTS for name in promises.studies_of(subject)}
    lines = (BENCHMARKS.parent / "docs" / "promises.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]  # after head and rule
    asked = set()
    for row in rows:
        cells = row.strip("|").split(" | ")
        assert len(cells) == 5, row
        program, script_name, *names = shlex.split(cells[-1].strip(" `"))
        assert (program, script_name) == ("python", "benchmarks/promises.py"), row
        assert names, row
        asked |= set(names)
    assert not asked - studies - set(promises.SUBJECTS), "rows ask for what there isn't"
    assert not {name for name in studies if not {name, name.split(".")[0]} & asked}


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("bought", "share"),
        ("chosen", "price_100"),
        ("cross_fit", "two_150"),
        ("deadlines", "alone_300"),
        ("cascades", "worth 0.3"),
        ("estimates", "planned_10"),
        ("estimates", "seconds_100"),
        ("exploration", "epsilon"),
        ("figures", "learning"),
        ("figures", "models templates"),
        ("figures", "ratios 120"),
        ("figures", "reliability alone"),
        ("figures", "steps 20"),
        ("judges", "honest"),
        ("noise", "families"),
        ("planner", "half_60"),
    ],
)
def test_promises_can_be_drawn(subject: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    study = script("promises").studies_of(subject)[f"{subject}.{name}"]
    assert set(study.draw(1)) >= set(study.claims)


def test_a_mean_of_nothing_but_zeros_is_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    claims = importlib.import_module("claims.study")
    share, mean = claims.Claim("lost", at_most=0.1), claims.Claim("gain", -0.002, is_share=False)
    assert claims.measured(share, [0.0] * 40).high == pytest.approx(0.0881, abs=1e-4)
    assert claims.measured(mean, [0.0] * 40)[1:4] == (0, 0, 0)


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


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("drawn")
    few = {name: module.rival_makes()[name] for name in ("linear", "topic table")}
    monkeypatch.setattr(module, "rival_makes", lambda: few)
    return module


def test_texts_are_read_once_and_as_ever(
    drawn: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(texts: list[str], *rest: object) -> Read:
        asked.extend(texts)
        return read_here(texts, *rest)

    monkeypatch.setattr(drawn, "read_here", counted)
    texts = [*make_world(n_prompts=30).outcomes.prompts, "", "Ä emoji 🙂 " * 400]
    reader = drawn.Reader()
    for wanted in (texts[:20], texts[::-1], texts[5:6] * 2):
        found, expected = reader(wanted, GROUPS, None), read_here(wanted, GROUPS, None)
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_array_equal(found.encoded.vectors, expected.encoded.vectors)
        for ids, known in zip(found.encoded.token_ids, expected.encoded.token_ids, strict=True):
            np.testing.assert_array_equal(ids, known)
    assert sorted(asked) == sorted(set(texts))


def test_what_a_draw_shares_changes_nothing(drawn: ModuleType) -> None:
    outcomes = make_world(n_prompts=162).outcomes
    parts = drawn.drawn_parts(outcomes, 60, seed=1, n_tested=40)
    found = drawn.fit_draw(outcomes, parts, ("", ""), None)
    train, test = outcomes.take(parts.train), outcomes.take(parts.test)
    makes = usual_routers()
    for name, fit in found.fits.items():
        expected = makes[name]().fit(train).predict(test.prompts)
        np.testing.assert_array_equal(fit.detected.quality, expected.quality)
        np.testing.assert_array_equal(fit.detected.cost_usd, expected.cost_usd)
    router = train_router(train)
    at = np.arange(len(test))
    arms = [test.models.index(router.route(prompt).model) for prompt in test.prompts]
    best = test.quality[:, test.models.index(router.best_single_)]
    assert found.operated.gain == pytest.approx((test.quality[at, arms] - best).mean())
    assert found.operated.is_kept == (router.fallback_ is not None)


def test_full_size_tests_every_prompt_once_and_no_copy_of_a_training_prompt(
    drawn: ModuleType,
) -> None:
    outcomes = make_world(n_prompts=162).outcomes
    parts = [drawn.full_parts(outcomes, fold, 1000) for fold in range(drawn.N_FOLDS)]
    tested = np.concatenate([each.test for each in parts])
    assert sorted(tested) == list(range(len(outcomes)))
    for each in parts:
        assert not np.isin(outcomes.groups[each.test], outcomes.groups[each.train]).any()
    assert len(drawn.full_parts(outcomes, 0, 7).test) == 7


def test_small_samples_print_all_sizes_and_go_on_where_they_stopped(
    drawn: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    samples = script("small_samples")
    outcomes = make_world(n_prompts=140, seed=3).outcomes
    monkeypatch.setattr(samples, "READERS", {"made": lambda: outcomes, "gone": lambda: None})
    monkeypatch.setattr(samples, "N_BOOTSTRAP", 50)
    monkeypatch.setattr(drawn, "codes_of_families", lambda: ("a", "b"))
    command = ["small_samples.py", "--sizes", "60,500,full", "--cache", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*command, "--draws", "1"])
    samples.main()
    first = capsys.readouterr().out
    assert "made, 60: 60 training prompts, 1 draws" in first
    assert "made, full: 112 training prompts, 1 draws, 28 tests in all" in first
    assert "made, 500" not in first  # the table has fewer
    assert "of 12 comparisons lost" in first  # three rivals, two metrics, two sizes
    assert "| made, 60 (1 draws) |" in first.partition("\nall: ")[2]

    def not_again(*_: object) -> None:
        raise AssertionError("it was kept")

    monkeypatch.setattr(drawn, "at_operating_point", not_again)
    samples.main()
    assert capsys.readouterr().out == first


def test_losses_that_chance_explains_are_none(drawn: ModuleType) -> None:
    samples = script("small_samples")
    ps = [0.001, 0.02, 0.03, 0.9]
    losses = [samples.Loss("made, 50", f"rival {p}", "quality", -0.01, p) for p in ps]
    assert samples.lost_by_holm(losses) == losses[:1]  # 0.02 is above a third of 5 %
    assert "1 of 4 comparisons lost" in samples.said_of_losses("made", losses)


def test_the_log_loss_of_a_prompt_is_the_mean_over_the_candidates_that_were_observed() -> None:
    losses = script("losses")
    expected = np.array([[0.5, 0.8], [0.9, 0.3]])
    found = losses.log_losses(expected, np.array([[1.0, 0.0], [0.25, np.nan]]))
    second = -(0.25 * np.log(0.9) + 0.75 * np.log(0.1))
    assert found == pytest.approx([(np.log(2) - np.log(0.2)) / 2, second])
    # Two groups, each whole: every draw is one of them twice or each once.
    told = losses.with_interval(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    assert told == "+2.00000 [+1.00000, +3.00000]"


def test_every_command_that_opens_a_log_is_measured_or_says_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    reading = script("log_reading")
    told = [*reading.COMMANDS.values(), *reading.FURTHER.values(), reading.SEALING]
    words = [re.findall(r"'([a-z]+)'", each.removeprefix("command(")) for each in told]
    measured = {" ".join(each[: 2 if each[0] in _GROUPS else 1]) for each in words if each}
    opening = set(_opening_a_log(typer.main.get_command(app)))
    assert {"inspect", "log sql", "audit draw", "serve"} < opening
    assert measured | set(reading.NOT_MEASURED) >= opening
    assert not measured & set(reading.NOT_MEASURED)
    assert set(reading.NOT_MEASURED) <= opening


def test_a_made_log_is_sealed_whole_before_its_dataset_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    reading = script("log_reading")
    reading.make_log(tmp_path / "logs.db", 40)
    reading.measure(reading.HERE, tmp_path / "logs.db", tmp_path / "sealed", reading.SEALING)
    assert LogDataset(tmp_path / "sealed", tail=[]).sql("select * from calls").shape[0] == 40


def _opening_a_log(command: Any, *names: str) -> Iterator[str]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _opening_a_log(each, *names, name)
    if any("--log" in each.opts for each in command.params) and names != ("init",):
        yield " ".join(names)
