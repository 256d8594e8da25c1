"""`routerlib train --cascade` leaves one file that cascades, and says what that is worth."""

from __future__ import annotations

from pathlib import Path

import pytest
from cascading import SURE, UNSURE, telling_outcomes

import routerlib as rl
from routerlib.cli import main
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt
from routerlib.routers import artifact

PROMPT = "Question 9: 555 of 333?"


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Log the world in which an answer shows whether it is right, and train on it."""
    folder = tmp_path_factory.mktemp("cascade")
    outcomes = telling_outcomes()
    prices = {"small": rl.Price(0.1, 0.1), "large": rl.Price(2.0, 2.0)}
    with rl.CallLog(folder / "logs.db") as log:
        log.add_prices(
            [rl.CandidateModel(name, name, "custom", None, None, prices[name]) for name in prices]
        )
        log.add_prompts(Prompt.from_text(text) for text in outcomes.prompts)
        for row, prompt_id in enumerate(outcomes.prompt_ids):
            for arm, name in enumerate(outcomes.models):
                text = (outcomes.answers or ())[row][arm]
                call = Call(prompt_id, name, "b2:h", "ok", text, Usage(500, 500))
                log.add_call(call, scores=[Score("exact", float(outcomes.quality[row, arm]))])
    told = ["train", "--cascade", "--log", str(folder / "logs.db")]
    assert main([*told, "--model", str(folder / "router.pkl"), "--cost-weight", "100"]) == 0
    return folder / "router.pkl"


def test_the_file_is_a_cascade_and_holds_what_it_is_worth(trained: Path) -> None:
    assert isinstance(rl.load_router(trained), rl.Cascade)
    found = artifact.load(trained).metadata["test"]["cascade"]
    assert found["kind"] == "pays"
    assert found["n"] + found["n_skipped"] == 108, "30 % of 360 prompts are held out"
    assert found["sentence"].startswith("The cascade pays beside the router: on 108 held-out")


@pytest.mark.parametrize(("answer", "said"), [(SURE, "give back small"), (UNSURE, "ask large")])
def test_route_tells_whether_an_answer_stands(
    trained: Path, answer: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["route", PROMPT, "--model", str(trained), "--answer", f"small={answer}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == said
    assert lines[1].strip().startswith("small: its answer is believed good by")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["route", PROMPT, "--answer", "small"], "--answer must be MODEL=TEXT"),
        (["route", PROMPT, "--answer", "tiny=4"], "answers must be of small, large, got 'tiny'"),
        (["train", "--cascade", "--cross-fit", "5"], "give --cascade or --cross-fit, not both"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    trained: Path, given: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "--model", str(trained)]) == 1
    assert complaint in capsys.readouterr().err


def test_a_plain_router_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from serving import save_router

    save_router(tmp_path / "plain.pkl")
    asked = ["route", PROMPT, "--model", str(tmp_path / "plain.pkl"), "--answer", "small=4"]
    assert main(asked) == 1
    assert "this router is 'knn'; train one with routerlib train --cascade" in (
        capsys.readouterr().err
    )


def test_report_and_command_line_say_one_finding_of_cascade_and_router(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = trained.with_name("index.html")
    told = ["report", "--log", str(trained.with_name("logs.db")), "--model", str(trained)]
    assert main([*told, "--out", str(page)]) == 0
    said, html = capsys.readouterr().out, page.read_text()
    start = "The cascade pays, routing alone doesn"
    assert start in said
    headline = html.split('<p class="headline">')[1].split("</p>")[0]
    assert headline.startswith(start)
    assert '<section class="verdict good"' in html
    tiles = html.split('aria-label="Key numbers"')[1].split("</ul>")[0]
    assert "against its router alone" in tiles
    assert "all calls paid" in tiles
    steps = html.split("What was asked twice, and what it brought")[1].split("</details>")[0]
    assert "Looking first beats routing from a price ratio of about" in steps
    assert "here a call of large costs 20 times one of small" in steps
    assert "<figure>" in steps
    rows = html.split("Beside other ways to choose")[1].split("</details>")[0]
    assert ">router<" in rows
    assert ">cascade<" in rows


def test_a_certificate_that_is_asked_for_is_the_cascade_s_own(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = trained.with_name("certified.pkl")
    told = ["train", "--cascade", "--log", str(trained.with_name("logs.db")), "--epsilon", "0.1"]
    assert main([*told, "--model", str(kept)]) == 0
    assert "the cascade is at most 10 points of quality below" in capsys.readouterr().out
    cascade = rl.load_router(kept)
    assert isinstance(cascade, rl.Cascade)
    assert cascade.training_["cost_weight_is"] == "certified"
    assert cascade.after(PROMPT, {"small": UNSURE}).model == "large"
    assert set(cascade.router.train_prompt_ids_) == set(cascade.train_prompt_ids_)
    assert "certificate" in cascade.router.training_, "the router inside has a point of its own"
