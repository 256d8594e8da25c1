"""Tables of an evaluation say what was compared, and how many prompts would tell more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routerlib.evaluation.compare import compare
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.unseen import compare_splits
from routerlib.log.call_log import CallLog
from routerlib.outcomes.worlds import make_world
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter
from routerlib.show.tables import evaluation


@pytest.fixture(scope="module")
def halves():
    return make_world(n_prompts=240, seed=2, kind="price").outcomes.split()


def test_the_first_row_has_no_distance_to_itself(halves):
    train, test = halves
    routers = {"knn": KNNRouter().fit(train), "single": BestSingle().fit(train)}
    shown = evaluation.comparison_table(compare(routers, test, n_bootstrap=30))
    column = shown.heads.index("AIQ, difference (points)")
    assert shown.rows[0][column] == "–"
    assert shown.rows[1][column].startswith(("-", "+"))
    assert "differences are a row minus knn" in shown.caption


def test_abbreviations_are_explained_once_under_their_table(halves):
    train, test = halves
    shown = evaluation.comparison_table(
        compare({"knn": KNNRouter().fit(train)}, test, n_bootstrap=30)
    )
    assert [line.split(":")[0] for line in shown.notes] == ["AIQ", "APGR"]
    page = shown._repr_html_()
    assert page.count("the mean quality over all costs") == 1
    assert page.endswith("may go to the best.</p></div>")
    assert str(shown).endswith(shown.notes[-1])


def test_power_falls_with_the_square_of_the_margin(halves):
    train, test = halves
    router = KNNRouter().fit(train)
    router.stand_at(500.0)
    shown = evaluation.power_table(evaluate(router, test, n_bootstrap=50))
    assert [row[0] for row in shown.rows] == [
        "quality against best single",
        "quality against random mixing",
        "quality against the topic table",
    ]
    half, one, two, five = (int(n) for n in shown.rows[0][2:])
    assert half > one > two > five
    assert half == pytest.approx(100 * five, rel=0.05)


def test_what_never_differs_tells_no_number_of_prompts(halves):
    train, test = halves
    shown = evaluation.power_table(evaluate(BestSingle().fit(train), test, n_bootstrap=20))
    assert shown.rows[0][0] == "quality against best single"
    assert shown.rows[0][2:] == ("–",) * 4
    assert shown.notes[-1].startswith("–: no prompt differs")


def test_splits_stand_side_by_side():
    table = compare_splits(KNNRouter().fit, make_world(n_prompts=120).outcomes, n_bootstrap=20)
    shown = evaluation.splits_table(table)
    assert [row[0] for row in shown.rows] == [
        "random",
        "leave topics out",
        "train before, test after",
    ]


def test_a_log_without_repeats_says_why_luck_can_not_be_told(log: CallLog):
    prompt = Prompt.from_text("What is 2 + 2?")
    log.add_prompts([prompt])
    call = Call(prompt.prompt_id, "small", "p", "ok", response="4", usage=Usage(3, 1))
    log.add_call(call, scores=[Score("exact", 1.0)])
    assert "can't be told from this log" in str(evaluation.noise_table(log, ["small"]))


def test_a_log_with_repeats_shows_the_yardsticks(tmp_path: Path):
    rng = np.random.default_rng(0)
    with CallLog(tmp_path / "repeats.db") as log:
        for text in make_world(n_prompts=12).outcomes.prompts:
            prompt = Prompt.from_text(text)
            log.add_prompts([prompt])
            for model in ("small", "large"):
                for repeat in range(2):
                    call = Call(
                        prompt.prompt_id, model, "p", "ok", response="?", repeat=repeat,
                        usage=Usage(3, 1),
                    )  # fmt: skip
                    log.add_call(call, scores=[Score("coin", float(rng.integers(2)))])
        shown = evaluation.noise_table(log, ["small", "large"])
    assert shown.rows[0][0] == "best single"
    assert "12 prompts, each asked 2 times" in shown.caption
