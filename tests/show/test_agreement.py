"""All that a report says of one router is of the same decisions, prompts and contrast."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from typer.testing import CliRunner

from routerlib.cli import app
from routerlib.evaluation.compare import compare
from routerlib.evaluation.cross_fit import CrossEvaluation, cross_evaluate
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.failed_calls import failures_counted
from routerlib.evaluation.repricing import HeldOutDecisions
from routerlib.evaluation.routing import route_unseen
from routerlib.log.call_log import CallLog
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt
from routerlib.records.text_table import UNKNOWN
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.pages.findings import Findings
from routerlib.show.pages.index import write_report
from routerlib.show.plots.evaluation import cost_quality
from routerlib.show.tables import decisions
from routerlib.show.tables.evaluation import key_numbers
from routerlib.show.tables.money import Monthly, monthly
from routerlib.show.words.sentences import counted_apart

SIGNED = r"[+-]?\d+\.\d"


def trained(outcomes: Outcomes) -> LGBMRouter:
    router = LGBMRouter().fit(outcomes)
    router.stand_at(300.0)
    return router


@pytest.fixture(scope="module")
def some_missing(outcomes: Outcomes) -> Outcomes:
    quality = outcomes.quality.copy()
    quality[:6, 0] = np.nan
    return Outcomes(
        outcomes.prompts, outcomes.models, quality, outcomes.cost_usd, topics=outcomes.topics
    )


@pytest.fixture(scope="module")
def crossed(some_missing: Outcomes) -> CrossEvaluation:
    return cross_evaluate(some_missing, fit_router=trained, n_bootstrap=50)


def test_tiles_are_the_numbers_of_the_sentence(crossed: CrossEvaluation) -> None:
    verdict = crossed.evaluation.verdict
    tiles = {tile.name: tile for tile in key_numbers(crossed.evaluation)}
    difference = tiles[f"quality against always {verdict.best_single}"]
    said = re.search(rf"quality differs by ({SIGNED}) points \[({SIGNED}), ({SIGNED})\]",
                     verdict.sentence)  # fmt: skip
    assert said is not None, verdict.sentence
    shown = re.findall(SIGNED, difference.value + difference.interval)
    assert [float(each) for each in shown] == [float(each) for each in said.groups()]
    n = tiles["held-out prompts"]
    assert (n.value, verdict.numbers["n"]) == ("60", 60)
    assert n.interval == "6 lack a score or a cost; that counts within its bounds"
    assert "n = 60" in verdict.sentence


def test_shares_examples_and_suppositions_are_of_the_decisions_that_were_tested(
    crossed: CrossEvaluation, some_missing: Outcomes
) -> None:
    router, evaluation = crossed
    complete = some_missing.complete()
    tested = [complete.models[arm] for arm in route_unseen(router, [complete])[0].arms]
    in_use = [router.route(prompt).model for prompt in complete.prompts]
    assert tested != in_use  # or this would prove nothing
    decided = decisions.decide_all(router, complete)
    assert [each.decision.model for each in decided] == tested
    for model, share in evaluation.routed_shares.items():
        assert share == pytest.approx(tested.count(model) / len(tested))
    held_out = HeldOutDecisions.of(router, some_missing)
    assert held_out is not None
    assert "intervals hold for all at once" in decisions.what_if_table(held_out).caption
    found = held_out.at()
    assert found.shares == pytest.approx(dict(evaluation.routed_shares))
    for name in ("quality", "cost_usd", "saving", "quality_difference"):
        assert getattr(found, name) == pytest.approx(evaluation.operating[name].value)
    for each, model in zip(decided, in_use, strict=True):
        assert (each.margin is None) == (each.decision.model != model)
        assert each.why.endswith(f"calls {model}") == (each.decision.model != model)


def test_examples_with_a_reason_come_first_and_the_page_says_who_was_tested(
    crossed: CrossEvaluation, some_missing: Outcomes
) -> None:
    router, evaluation = crossed
    decided = decisions.decide_all(router, some_missing.complete())
    with_reason = dict.fromkeys(router.models_, 0)
    for each in decided:
        with_reason[each.decision.model] += each.margin is not None
    assert with_reason["large"] >= 3  # or this would prove nothing
    table = decisions.examples_table(decided, router.models_, len(decided))
    for model, n in with_reason.items():
        told = [row[2] != UNKNOWN for row in table.rows if row[1] == model]
        assert sum(told) == min(n, 3)
        assert told == sorted(told, reverse=True)
    assert table.caption == (
        "Those that go to each candidate by the router in use too come first, of 54 held-out "
        "prompts"
    )
    findings = Findings(router, some_missing, some_missing, evaluation, pd.DataFrame())
    assert findings.tested_by == "; the same prompts, each tested by a router that hadn't seen it"


def test_numbers_of_fewer_prompts_than_the_headlines_say_so_and_what_they_would_be(
    crossed: CrossEvaluation, some_missing: Outcomes
) -> None:
    told = counted_apart(crossed.evaluation)
    assert re.match(
        rf"The headline counts all 60 held-out prompts \({SIGNED} points\), what is", told
    )
    assert "of 54 leaves out the 6 on which something is" in told
    said = re.search(rf"against always large is ({SIGNED}) points .* a saving of (\d+) %", told)
    assert said is not None, told
    start = HeldOutDecisions.of(crossed.router, some_missing)
    assert start is not None
    assert float(said[1]) == pytest.approx(100 * start.at().quality_difference, abs=0.05)
    assert float(said[2]) == pytest.approx(100 * start.at().saving, abs=0.5)
    figure = cost_quality(crossed.evaluation)
    headline = 100 * (crossed.evaluation.verdict.numbers["quality_difference"] or 0)
    assert f"n = 54 held-out prompts: {said[1]} points; headline, n = 60: {headline:+.1f}" in {
        text.get_text() for text in figure.figure.findobj(Text)
    }


def test_headline_figure_suppositions_and_tables_count_a_failed_call_alike(
    crossed: CrossEvaluation, some_missing: Outcomes
) -> None:
    router, quality = crossed.router, some_missing.quality.copy()
    to_small = route_unseen(router, [some_missing])[0].arms == 0
    failed = np.flatnonzero(to_small)  # the router's own choice failed: it must lose by it
    cost_usd = some_missing.cost_usd.copy()
    quality[:6, 0], quality[failed, 0], cost_usd[failed, 0] = 1.0, np.nan, np.nan

    def made(quality: np.ndarray) -> Outcomes:
        return Outcomes(
            some_missing.prompts,
            some_missing.models,
            quality,
            cost_usd,
            topics=some_missing.topics,
        )

    test, wrong = made(quality), made(np.nan_to_num(quality))
    found = evaluate(router, test, wrong, n_bootstrap=50)
    numbers, counted = found.verdict.numbers, failures_counted(test, wrong)
    rows, columns = np.arange(60), route_unseen(router, [counted])[0]
    best = np.full(60, 1) if columns.best is None else columns.best
    expected = wrong.quality[rows, columns.arms] - wrong.quality[rows, best]
    assert numbers["n"] == found.n == 60
    assert numbers["n_failed"] == numbers["n_skipped"] == len(failed) > 0
    assert numbers["quality_difference"] == pytest.approx(expected.mean())
    assert found.operating["quality_difference"].value == pytest.approx(expected.mean())
    start = HeldOutDecisions.of(router, counted)
    assert start is not None
    assert start.at().quality_difference == pytest.approx(expected.mean())
    table = compare({"router": router}, counted, n_bootstrap=20)
    assert table.loc["router", "quality_difference"] == pytest.approx(expected.mean())
    assert np.nanmean(cost_usd[:, 0]) == pytest.approx(counted.cost_usd[failed[0], 0])
    left_out = evaluate(router, test, n_bootstrap=50)
    assert left_out.operating["quality_difference"].value > expected.mean()
    assert counted_apart(found) == ""
    assert f"no score of {test.models[0]} on {len(failed)}" in found.verdict.sentence
    assert "; a failed call counts as a wrong answer." in found.verdict.sentence
    *_, n = key_numbers(found)
    assert n.interval == f"{len(failed)} lack a score or a cost; failed calls count as wrong"


def test_numbers_of_the_headlines_own_prompts_need_no_such_sentence(outcomes: Outcomes) -> None:
    assert (
        counted_apart(cross_evaluate(outcomes, fit_router=trained, n_bootstrap=20).evaluation) == ""
    )


def test_dollars_a_month_are_the_share_of_the_verdict(crossed: CrossEvaluation) -> None:
    found = monthly(crossed.evaluation)
    assert found is not None
    assert found.saved_usd is not None
    saving = crossed.evaluation.verdict.numbers["saving"]
    assert found.saved_usd.value == pytest.approx((saving or 0) * found.bill_usd)
    assert found.saved_usd.low < found.saved_usd.value < found.saved_usd.high


def test_dollars_of_a_router_that_is_dearer_or_falls_back_are_no_saving(
    outcomes: Outcomes,
) -> None:
    dearer = Monthly("large", 0.001, Interval(-0.0005, -0.0007, -0.0003, 0.0001))
    assert dearer.told(10_000) == (
        "costs $5.00 [$3.00, $7.00] a month more than the $10.00 that always calling large costs"
    )
    train, test = outcomes.split()
    router = LGBMRouter().fit(train)
    router.stand_at(0.0, fallback="no gain could be shown")
    found = monthly(evaluate(router, test, n_bootstrap=20))
    assert found is not None
    assert found.saved_usd is None
    assert found.told().startswith("saves nothing of the $")
    free = Outcomes(test.prompts, test.models, test.quality)
    assert monthly(evaluate(router, free, n_bootstrap=20)) is None


def test_the_first_screen_is_short_and_the_rest_folds(hostile_index: Path) -> None:
    page = hostile_index.read_text()
    (headline,) = re.findall(r'<p class="headline">([^<]*)</p>', page)
    assert len(re.findall(r"[\w.]+", headline)) <= 12
    first = page[page.index("<main>") : page.index('<details class="fold"')]
    assert first.count("Not measurable yet") <= 1
    words = re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", first, flags=re.S))
    assert len(words.split()) < 250
    assert len(re.findall(r"<li><div class=\"share\">", first)) <= 3


def test_a_report_counts_the_judge_that_the_router_was_trained_by(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "logs.db")
    for number in range(40):
        prompt = Prompt.from_text(f"What is {number} plus {number * number}?")
        log.add_prompts([prompt])
        for model, score in (("small", number % 2), ("large", 1)):
            call = Call(prompt.prompt_id, model, "h", "ok", "1", given_cost_usd=0.001)
            scores = [Score("strict", float(score)), Score("mild", 1.0)]
            log.add_call(call, scores=scores)
    outcomes = Outcomes.from_log(log, judge="strict")
    LGBMRouter().fit(outcomes.split()[0]).save(tmp_path / "r.pkl", {"judge": "strict"})
    path = tmp_path / "index.html"
    write_report(path, log, tmp_path / "r.pkl", n_bootstrap=20)
    page = path.read_text()
    assert "<dt>Judge</dt><dd>strict</dd>" in page
    again = tmp_path / "again" / path.name  # pages link to the prompts beside them by name
    again.parent.mkdir()
    write_report(again, log, tmp_path / "r.pkl", judge="strict", n_bootstrap=20)
    assert again.read_text() == page
    run = CliRunner().invoke(
        app,
        ["report", "--log", str(log.path), "--model", str(tmp_path / "r.pkl"), "--out", str(path)],
    )
    assert run.exit_code == 0, run.output
    assert "counting the judge strict only, as the router's training did" in run.output
    assert "is the mean of judges" not in run.output
