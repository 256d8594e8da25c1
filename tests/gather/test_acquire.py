"""Labels are bought where they change decisions, with the probability of each choice kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fault_server import fault_server

import routerlib as rl
from routerlib.cli import main
from routerlib.evaluation.off_policy.posterior import Design, Posterior
from routerlib.gather.labels.buy import buy_labels, kept_for_evaluation
from routerlib.gather.labels.strategies import STRATEGIES, Buyer, Strategy, expected_gain
from routerlib.gather.prompts.files import load_prompts
from routerlib.log.call_log import CallLog
from routerlib.log.choices import LoggedChoices
from routerlib.log.snapshot import LogTable
from routerlib.outcomes.worlds import make_world
from routerlib.records.call import Call, CandidateModel, Score, Usage
from routerlib.records.prompt import Prompt

POOL = make_world(n_prompts=150, n_models=3, seed=2).outcomes


def half_known(seed: int = 0) -> rl.Outcomes:
    known = np.random.default_rng(seed).random(POOL.quality.shape) < 0.3
    quality = np.where(known, POOL.quality, np.nan)
    return rl.Outcomes(POOL.prompts, POOL.models, quality, POOL.cost_usd)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_unknown_cells_alone_are_bought_once_each_within_the_budget(strategy: Strategy) -> None:
    table = half_known()
    budget = 0.2 * float(POOL.cost_usd.sum())
    bought = Buyer(table, np.array(POOL.cost_usd), strategy).choose(budget)
    cells = {(cell.row, cell.arm) for cell in bought}
    assert len(cells) == len(bought) > 10
    assert all(np.isnan(table.quality[cell]) for cell in cells)
    assert sum(POOL.cost_usd[cell] for cell in cells) <= budget
    assert all(0 < cell.propensity <= 1 for cell in bought)


def test_the_same_seed_buys_the_same_and_all_are_bought_when_money_is_no_matter() -> None:
    first, second = (Buyer(half_known(), np.array(POOL.cost_usd)).choose(1e-3) for _ in range(2))
    assert first == second
    everything = Buyer(half_known(), np.array(POOL.cost_usd), "close calls").choose(1e9)
    assert len(everything) == np.isnan(half_known().quality).sum()


def test_cells_are_drawn_as_often_as_their_propensity_says() -> None:
    table = rl.Outcomes(["a", "b"], ["m", "n"], np.full((2, 2), np.nan))
    usd = np.array([[1.0, 2.0], [4.0, 8.0]])
    buyer = Buyer(table, usd, "cheap first")
    first = [buyer.choose(8.0)[0] for _ in range(2000)]
    for row, arm in np.ndindex(2, 2):
        drawn = [cell for cell in first if (cell.row, cell.arm) == (row, arm)]
        propensity = 0.9 * (1 / usd[row, arm]) / (1 / usd).sum() + 0.1 / 4
        assert drawn[0].propensity == pytest.approx(propensity)
        assert len(drawn) / 2000 == pytest.approx(propensity, abs=0.03)


def test_closed_cells_are_never_bought() -> None:
    is_open = np.zeros(POOL.quality.shape, dtype=bool)
    is_open[:5, 1] = True
    bought = Buyer(half_known(), np.array(POOL.cost_usd), is_open=is_open).choose(1e9)
    assert {cell.arm for cell in bought} == {1}
    assert {cell.row for cell in bought} <= set(range(5))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cells_are_bought_as_often_as_their_chances_say(strategy: Strategy) -> None:
    pool = POOL.take(range(40))
    known = np.where(np.arange(40)[:, None] < 8, pool.quality, np.nan)
    table = rl.Outcomes(pool.prompts, pool.models, known)
    often, chances = np.zeros(known.shape), np.zeros(known.shape)
    for seed in range(80):
        buyer = Buyer(table, np.ones(known.shape), strategy, random_state=seed)
        for cell in buyer.choose(30):
            often[cell.row, cell.arm] += 1 / 80
        chances += buyer.chances / 80
    is_open = np.isnan(known)
    assert chances[is_open].sum() == pytest.approx(30, rel=0.1)
    wide = chances[is_open] > np.median(chances[is_open])
    for part in (wide, ~wide):
        if part.any():
            assert often[is_open][part].mean() == pytest.approx(
                chances[is_open][part].mean(), abs=0.04
            )


def test_what_a_cell_turned_out_to_be_does_not_change_its_chance_afterwards() -> None:
    chances = []
    for quality in (0.0, 1.0):
        known = np.where(np.arange(150)[:, None] < 20, POOL.quality, np.nan)
        known[30, 1] = quality
        buyer = Buyer(rl.Outcomes(POOL.prompts, POOL.models, known), np.ones(known.shape))
        buyer.strategy = "close calls"
        buyer.choose(40)
        chances.append(buyer.chances[30, 1])
    assert chances[0] == pytest.approx(chances[1], rel=0.1)


def test_all_that_money_can_buy_was_certain_to_be_bought() -> None:
    buyer = Buyer(half_known(), np.array(POOL.cost_usd), "close calls")
    buyer.choose(1e9)
    assert (buyer.chances == 1).all()


def test_the_gain_of_knowing_agrees_with_a_million_draws() -> None:
    steps = np.random.default_rng(0).normal(0, 0.2, 1_000_000)
    simulated = np.maximum(0.0, steps - 0.1).mean()
    assert expected_gain(np.array(0.1), np.array(0.2)) == pytest.approx(simulated, rel=0.02)


def test_a_posterior_says_how_much_one_more_outcome_moves_it() -> None:
    columns = Design.fit(POOL.prompts, 4).columns(POOL.prompts)
    posterior = Posterior(columns.shape[1], 1)
    posterior.update(columns[:50], np.zeros(50, int), POOL.quality[:50, 0])
    said = posterior.changes(columns[100:103], columns[60:61], 0)[:, 0]
    before = posterior.sds(columns[100:103])[:, 0]
    posterior.update(columns[60:61], np.zeros(1, int), np.ones(1))
    after = posterior.sds(columns[100:103])[:, 0]
    np.testing.assert_allclose(said, np.sqrt(before**2 - after**2), rtol=1e-6)


def test_close_calls_buy_candidates_that_are_in_doubt() -> None:
    quality = np.full((150, 3), np.nan)
    rng = np.random.default_rng(0)
    quality[:60] = rng.random((60, 3)) < [0.02, 0.75, 0.8]
    table = rl.Outcomes(POOL.prompts, POOL.models, quality, np.ones((150, 3)))
    bought = Buyer(table, np.ones((150, 3)), "close calls").choose(60)
    counts = np.bincount([cell.arm for cell in bought], minlength=3)
    assert counts[0] < 0.5 * counts[1:].min()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_with_a_single_candidate_any_cell_is_as_good_as_another(strategy: Strategy) -> None:
    quality = np.full((3, 1), np.nan)
    table = rl.Outcomes(
        ["What is 2 + 2?", "Name a river.", "Say it in French: house"], ["m"], quality
    )
    buyer = Buyer(table, np.full((3, 1), 0.1), strategy)
    assert [cell.propensity for cell in buyer.choose(0.35)] == pytest.approx([1 / 3, 1 / 2, 1])


def test_close_calls_reach_more_with_the_same_money_than_random() -> None:
    gains = []
    for seed in range(6):
        world = make_world(n_prompts=500, n_models=4, seed=seed)
        pool, rest = world.outcomes.take(range(250)), np.arange(250, 500)
        columns = Design.fit(pool.prompts).columns([world.outcomes.prompts[i] for i in rest])
        reached = {}
        for strategy in ("random", "close calls"):
            start = np.full(pool.quality.shape, np.nan)
            start[:15] = pool.quality[:15]
            buyer = Buyer(
                rl.Outcomes(pool.prompts, pool.models, start),
                np.array(pool.cost_usd),
                strategy,  # type: ignore[arg-type]
                random_state=seed,
            )
            for _ in range(4):
                for cell in buyer.choose(0.05 * float(pool.cost_usd.sum())):
                    buyer.learn(cell.row, cell.arm, float(pool.quality[cell.row, cell.arm]))
            arms = buyer.posterior().means(columns).argmax(axis=1)
            reached[strategy] = world.expected_quality[rest, arms].mean()
        gains.append(reached["close calls"] - reached["random"])
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(len(gains))


def test_what_cannot_be_bought_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy must be one of random"):
        Buyer(POOL, np.array(POOL.cost_usd), "magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give local models a nominal price"):
        Buyer(POOL, np.zeros(POOL.quality.shape))
    assert Buyer(half_known(), np.array(POOL.cost_usd)).choose(0.0) == []


# -- live ---


def files(folder: Path, url: str, n_prompts: int = 12) -> list[str]:
    prompts = folder / "prompts.jsonl"
    lines = [
        {"prompt": f"What is 2 + 2, {i}?", "task": "math", "reference": 4, "judge": "numeric"}
        for i in range(n_prompts)
    ]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    candidates = folder / "candidates.yaml"
    candidates.write_text(
        "".join(
            f"- name: {name}\n  model: {name}\n  base_url: {url}\n"
            f"  price: {{input_usd_per_mtok: {usd}, output_usd_per_mtok: {usd}}}\n"
            "  parameters: {max_tokens: 16}\n"
            for name, usd in (("small", 1), ("large", 10))
        )
    )
    return ["--prompts", str(prompts), "--candidates", str(candidates)]


def test_labels_are_bought_live_with_their_propensities_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_path = tmp_path / "logs.db"
    with fault_server() as server:
        given = ["acquire", *files(tmp_path, server.url), "--log", str(log_path)]
        assert main([*given, "--budget-usd", "0.002", "--batches", "2"]) == 0
    assert "cells chosen by close calls" in capsys.readouterr().out
    with rl.CallLog(log_path) as log:
        runs = log.sql("select parameters from runs where kind = 'acquire'")
        cells = [cell for text in runs.parameters for cell in json.loads(text)["cells"]]
        calls = log.sql("select prompt_id, candidate from calls")
        assert len(cells) >= len(calls) > 2
        # The budget, held at the worst case, may stop a batch before its last cells.
        assert {(p, c) for p, c, _ in cells} >= set(map(tuple, calls.to_numpy()))
        assert all(0 < propensity <= 1 for _, _, propensity in cells)
        assert int(log.summary().scored.sum()) == len(calls)
        with pytest.raises(ValueError, match="holds no scored decision"):
            LoggedChoices.from_log(log)


def many_files(folder: Path, url: str) -> list[str]:
    """Write 60 prompts that have little in common."""
    given = files(folder, url)
    lines = [
        {"prompt": text, "task": "math", "reference": 4, "judge": "numeric"}
        for text in make_world(n_prompts=60, seed=5).outcomes.prompts
    ]
    Path(given[1]).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return given


def test_buying_leaves_a_share_alone_and_the_log_knows_every_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_path = tmp_path / "logs.db"
    with fault_server() as server:
        given = [*many_files(tmp_path, server.url), "--log", str(log_path)]
        assert main(["acquire", *given, "--budget-usd", "0.012"]) == 0
        said = capsys.readouterr().out
        with rl.CallLog(log_path) as log:
            prompts = load_prompts(tmp_path / "prompts.jsonl")
            kept = {
                prompt.prompt_id
                for prompt, is_kept in zip(prompts, kept_for_evaluation(log, prompts), strict=True)
                if is_kept
            }
            asked = set(log.sql("select distinct prompt_id from calls").prompt_id)
            outcomes = rl.Outcomes.from_log(log, models=["small", "large"])
        assert 5 <= len(kept) <= 20
        assert asked
        assert not asked & kept
        assert f"{len(kept)} of 60 prompts ({len(kept) / 60:.0%}) are kept for evaluation" in said
        assert f"{len(kept)} of them lack an answer" in said
        assert outcomes.inclusion is not None
        assert (outcomes.inclusion < 1).mean() > 0.5
        assert main(["collect", *given, "--only-evaluation"]) == 0
        assert main(["acquire", *given, "--budget-usd", "0.001", "--evaluation-share", "0"]) == 0
    said = capsys.readouterr().out
    assert f"{len(kept)} of 60 prompts are kept for evaluation" in said
    assert "lack an answer" not in said  # what was kept once stays kept
    with rl.CallLog(log_path) as log:
        outcomes = rl.Outcomes.from_log(log)
    assert outcomes.inclusion is not None
    is_kept = np.isin(outcomes.prompt_ids, list(kept))
    assert is_kept.sum() == len(kept)
    assert (outcomes.inclusion[is_kept] == 1).all()
    assert np.isfinite(outcomes.quality[is_kept]).all()


def test_a_dry_run_asks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_path = tmp_path / "logs.db"
    with fault_server() as server:
        given = files(tmp_path, server.url)
        assert (
            main(["acquire", *given, "--log", str(log_path), "--budget-usd", "1", "--dry-run"]) == 0
        )
        assert not server.requests
    assert "24 cells chosen by close calls" in capsys.readouterr().out


def test_nothing_bought_is_said_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fault_server() as server:
        given = ["acquire", *files(tmp_path, server.url, 3), "--log", str(tmp_path / "logs.db")]
        assert main([*given, "--budget-usd", "0"]) == 0
        assert "budget is too small for any of 6 open cells" in capsys.readouterr().out
        assert main([*given, "--budget-usd", "1", "--batches", "1"]) == 0
        assert "6 cells chosen by close calls" in capsys.readouterr().out
        assert main([*given, "--budget-usd", "1"]) == 0
    said = capsys.readouterr().out
    assert "nothing to buy: every candidate has been asked" in said
    assert "next:" not in said


def test_without_a_judge_nothing_is_bought(tmp_path: Path, log: rl.CallLog) -> None:
    log.add_prompts([rl.Prompt.from_text("Hello")])
    assert main(["acquire", "--log", str(log.path), "--budget-usd", "1"]) == 1


def test_a_purchase_looks_once_at_what_calls_took_and_at_no_scores_of_other_prompts(
    log: CallLog, candidates: list[CandidateModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [
        Prompt.from_text(text, judge="match", reference="yes")
        for text in make_world(n_prompts=60, seed=5).outcomes.prompts
    ]
    log.add_prompts(prompts)
    for prompt in prompts:
        call = Call(prompt.prompt_id, "small", candidates[0].params_hash, "ok", "no", Usage(9, 9))
        log.add_call(call, scores=[Score("match", 0.0)])
    looked: list[tuple[object, ...]] = []
    read: set[str] = set()
    lookup, found = CallLog.lookup, LogTable.found

    def noted(log: CallLog, query: str, *values: object) -> list[tuple]:
        looked.extend([values] if "total(output_tokens)" in query else [])
        return lookup(log, query, *values)

    def of_some(table: LogTable, columns: Mapping[str, str], *asked: Any) -> pa.Table:
        rows = found(table, columns, *asked)
        read.update(rows["prompt_id"].to_pylist() if "prompt_id" in columns else ())
        return rows

    monkeypatch.setattr(CallLog, "lookup", noted)
    monkeypatch.setattr(LogTable, "found", of_some)
    bought = buy_labels(log, candidates, 1.0, prompts=prompts[:30], dry_run=True)
    assert bought.cells
    assert {name for _, name, _ in bought.cells} == {"large"}
    assert looked[0] == (-1, 60)
    assert set(looked[1:]) <= {(60, 60)}
    assert read
    assert read <= {prompt.prompt_id for prompt in prompts[:30]}
