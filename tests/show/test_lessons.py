"""Tables and sentences for readers are computed, readable, and escaped."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from routerlib.cli import app
from routerlib.evaluation.evaluate import evaluate
from routerlib.features.names import FOLDED
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, CandidateModel, Score, Usage
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle
from routerlib.routers.explanation import why as reasons
from routerlib.routers.explanation.explain import explain
from routerlib.routers.explanation.similar import similar_prompts
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter
from routerlib.show import words
from routerlib.show.tables import log as log_tables
from routerlib.show.tables import routing
from routerlib.show.tables.evaluation import key_numbers, told_in_brief
from routerlib.show.tables.rendering import table


@pytest.fixture(scope="module")
def router(outcomes: Outcomes) -> Router:
    return LGBMRouter().fit(outcomes.split()[0])


@pytest.fixture
def full_log(log: CallLog, candidates: list[CandidateModel]) -> CallLog:
    """Two prompts: on the first the two candidates differ, on the second one call fails."""
    log.add_prices(candidates)
    for text, small, large in (("Easy?", 1.0, 1.0), ("Hard?", 0.0, 1.0)):
        prompt = Prompt.from_text(text, task="math", reference=7, judge="numeric")
        log.add_prompts([prompt])
        for name, score in (("small", small), ("large", large)):
            call = Call(prompt.prompt_id, name, "h", "ok", f"{name} <b>", Usage(1000, 1000))
            log.add_call(call, scores=[Score("numeric", score)])
    timeout = Call(prompt.prompt_id, "large", "h", "timeout", repeat=1, error_type="timeout")
    log.add_call(timeout)
    return log


def test_interval_stands_small_beside_its_value() -> None:
    frame = pd.DataFrame({"cost_share": [0.5], "cost_share_low": [0.4], "cost_share_high": [0.6]})
    assert str(table(frame)).splitlines()[1].strip() == "50 % [40, 60]"
    shown = pd.DataFrame({"a": ["x"], "n": [1], "quality": [0.5]})
    shown = shown.assign(quality_low=0.4, quality_high=0.6)
    small = '0.500 <small style="white-space:nowrap">[0.400, 0.600]</small>'
    assert small in table(shown)._repr_html_()


def test_unknown_is_a_dash_and_never_zero() -> None:
    frame = pd.DataFrame({"quality": [np.nan], "quality_low": [np.nan], "quality_high": [np.nan]})
    assert str(table(frame)).splitlines()[1].strip() == "–"


def test_columns_come_in_the_order_asked_for() -> None:
    frame = pd.DataFrame({"a": [1], "b": [2], "c": [3]}, index=pd.Index(["x"], name="name"))
    assert str(table(frame, columns=["c", "a"])) == "name  c  a\nx     3  1"


def test_whatever_a_cell_holds_is_escaped() -> None:
    html = table(pd.DataFrame({"<i>": ["<script>"]}), caption="<u>")._repr_html_()
    assert not any(tag in html for tag in ("<i>", "<script>", "<u>"))


def test_computed_prose_is_escaped() -> None:
    assert words.Prose(("<b>",), ("<i>",))._repr_html_() == (
        '<div class="tex2jax_ignore mathjax_ignore">'
        "<p>&lt;b&gt;</p><ul><li>&lt;i&gt;</li></ul></div>"
    )


def test_dollars_are_no_mathematics_intervals_stay_whole_and_texts_flush_left() -> None:
    said = words.Prose(("It costs $1 to $2, 3.0 points [1.0, 2.0].",))._repr_html_()
    frame = pd.DataFrame({"prompt": ["$5 or $6?"], "x": [0.5], "x_low": [0.1], "x_high": [0.9]})
    shown = table(frame, "cost $1 to $2")._repr_html_()
    for html in (said, shown):
        assert html.startswith('<div class="tex2jax_ignore mathjax_ignore">')
        assert html.endswith("</div>")
    assert "[1.0,\u00a02.0]" in said
    assert '<small style="white-space:nowrap">[0.1, 0.9]</small>' in shown
    assert '<th scope="row" style="text-align:left">$5 or $6?</th>' in shown


def test_words_without_blanks_are_broken_where_a_table_needs_the_room() -> None:
    reference = '{"label":"A & B","labels":["A","B"],"x":"' + 40 * "y" + '"}'
    shown = table(pd.DataFrame({"reference": [reference], "answer": ["a,b"]}))._repr_html_()
    cell = shown.partition("<tbody>")[2].partition("</th>")[0]
    assert unescape(re.sub("<[^>]*>", "", cell)) == reference
    words = unescape(re.sub("<tr><th[^>]*>", "", cell).replace("<wbr>", " ")).split()
    assert max(map(len, words)) <= 26
    assert "a,b</td>" in shown


def test_a_share_that_is_told_in_words_leaves_its_column_flush_right() -> None:
    shown = table(pd.DataFrame({"gap_closed": [0.2, -3.0]}))
    assert shown.rows == (("20 %",), ("lower than best single",))
    assert shown.is_number == (True,)


def test_examples_begin_with_the_prompt_on_which_candidates_differ(full_log: CallLog) -> None:
    rows = log_tables.example_answers(full_log, n_prompts=1).rows
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("Hard?", "small", "0"),
        ("Hard?", "large", "1"),
    ]


def test_failed_calls_are_listed_by_type_and_the_others_are_not(full_log: CallLog) -> None:
    assert log_tables.statuses(full_log).rows == (("large", "timeout", "timeout", "1"),)


def test_log_summary_leaves_out_failures_that_never_happened(full_log: CallLog) -> None:
    shown = log_tables.log_summary(full_log)
    assert "timeout" in shown.heads
    assert "refused" not in shown.heads
    # 2 calls x 1000 input and 1000 output tokens at 1 and 2 US dollars per million.
    small = dict(zip(shown.heads, shown.rows[0], strict=True))
    assert small["cost in all (US dollars)"] == "0.006"


def test_decisions_are_listed_with_the_calls_that_followed(
    full_log: CallLog, router: Router
) -> None:
    (prompt, *_) = full_log.prompts()
    decision = router.route(prompt.text)
    number = full_log.add_decision(prompt.prompt_id, decision)
    call_id = full_log.add_call(
        Call(prompt.prompt_id, decision.model, "h", "ok", "7", decision_id=number)
    )
    full_log.add_scores(call_id, [Score("person", 1.0), Score("numeric", 0.0)])
    assert log_tables.last_decisions(full_log).rows == (
        ("Easy?", decision.model, "1", "ok", "7", "1"),
    )


def test_cheapest_sufficient_model_is_counted_by_hand() -> None:
    quality = [[1, 1], [0, 1], [0, 0], [np.nan, 1]]
    outcomes = Outcomes(list("abcd"), ["small", "large"], quality, [[1, 2]] * 4)
    assert routing.cheapest_sufficient(outcomes).rows == (
        ("small", "1", "33 %"),
        ("large", "1", "33 %"),
        ("none of them", "1", "33 %"),
    )


def test_prompt_worth_explaining_is_the_first_that_leaves_the_best_single(
    outcomes: Outcomes, fitted: LGBMRouter
) -> None:
    best = BestSingle().fit(outcomes)
    assert words.telling_prompt(best, ["a?", "b?"]) == "a?"
    router = fitted.stand_at(500.0)
    telling = words.telling_prompt(router, outcomes.prompts)
    assert router.route(telling).model != router.best_single_


def test_lessons_begin_with_the_verdict(outcomes: Outcomes, router: Router) -> None:
    evaluation = evaluate(router, outcomes.split()[1], n_bootstrap=20)
    bullets = words.evaluate_lessons(evaluation).bullets
    assert bullets[0] == evaluation.verdict.sentence
    assert len(bullets) == 3


def test_router_without_trees_gives_its_own_reason(outcomes: Outcomes) -> None:
    router = BestSingle().fit(outcomes)
    decision = router.route("Hello?")
    assert reasons.why(router, "Hello?", decision) == decision.reason


def test_cost_weight_is_put_into_words(router: Router) -> None:
    router.stand_at(100.0)
    assert "saves 0.1 US dollars or more per 1000 prompts" in words.describe_router(router)
    router.stand_at(0.0)
    assert "cost plays no part but among equals" in words.describe_router(router)


def test_router_that_keeps_to_the_best_single_says_so(fitted: LGBMRouter) -> None:
    router = fitted.stand_at(0.0, fallback="no gain could be shown")
    why = reasons.why(router, "Hello?", router.route("Hello?"))
    assert "no gain could be shown" in why
    assert "points" not in why
    assert "points" in reasons.why(router, "Hello?", router.route("Hello?", cost_weight=0.0))


def test_playground_lessons_tell_what_the_router_really_does(outcomes: Outcomes) -> None:
    train, test = outcomes.split()
    router = LGBMRouter().fit(train)
    assert len(words.playground_lessons(router, test).bullets) == 3
    assert "is its own cost weight" in str(words.playground_lessons(router, test))
    router.stand_at(500.0)
    asked = [router.route(prompt).model for prompt in test.prompts]
    share = asked.count(router.best_single_) / len(asked)
    said = str(words.playground_lessons(router, test))
    assert f"saves 0.02 US dollars or more per 1000 prompts: then {100 * share:.0f} % go" in said
    assert "500" not in said  # the bare number means nothing to a reader
    router.stand_at(0.0, fallback="no gain could be shown")
    assert (
        "As it stands, it sends 100 % there: no gain could be shown."
        in words.playground_lessons(router, test).bullets
    )


def test_playground_lessons_of_rules_follow_the_rules(outcomes: Outcomes) -> None:
    roles = dict.fromkeys(("cheapest", "cheap", "coder"), "tiny") | {"strongest": "large"}
    router = RuleRouter(roles).fit(outcomes.split()[0])
    router.best_single_ = "large"
    test = Outcomes(["What is 3 * 4?", "Hi!"], outcomes.models, np.ones((2, 3)))
    assert "50 % of 2 held-out prompts go to large" in str(words.playground_lessons(router, test))


def test_groups_of_prompts_show_who_wins_there_and_where_they_go(outcomes: Outcomes) -> None:
    train, test = outcomes.split()
    shown = routing.where_each_wins(BestSingle().fit(train), test)
    kinds = [row[1] for row in shown.rows]
    assert set(kinds) == {"task", "length", "code"}
    for kind in set(kinds):
        assert sum(int(row[2]) for row in shown.rows if row[1] == kind) == len(test)
    math = next(row for row in shown.rows if row[0] == "math")
    part = test.take([topic == "math" for topic in test.topics or ()])
    assert math[3:6] == tuple(f"{quality:.2f}" for quality in part.mean_quality)
    assert math[6:] == (part.best_single, f"{train.best_single} (100 %)")


def test_a_tie_for_the_best_observed_quality_is_said() -> None:
    quality = [[0.0, 0.0, 0.0], [0.501, 0.502, 0.1]]
    prompts = ["What is 3 * 4?", "Say hi to all of them!"]
    outcomes = Outcomes(
        prompts, ["a", "b", "c"], quality, np.full((2, 3), [1e-6, 2e-6, 3e-6]), topics=["x", "y"]
    )
    rows = routing.where_each_wins(BestSingle().fit(outcomes), outcomes).rows
    assert [row[6] for row in rows if row[1] == "task"] == ["a (3 tied)", "b (2 tied)"]


def test_similar_prompts_stand_in_a_table_with_what_happened(
    router: LGBMRouter, outcomes: Outcomes
) -> None:
    evidence = similar_prompts(router, outcomes.prompts[0], outcomes, k=2)
    shown = routing.similar_table(evidence)
    assert shown.caption == evidence.sentence
    assert [row[0] for row in shown.rows] == [each.text for each in evidence.similar]
    assert shown.heads[2:] == ("quality of tiny", "quality of small", "quality of large")


def test_key_numbers_are_those_of_the_verdict(outcomes: Outcomes) -> None:
    train, test = outcomes.split()
    evaluation = evaluate(BestSingle().fit(train), test, n_bootstrap=50)
    saving, difference, gain, n = key_numbers(evaluation)
    assert saving[:2] == ("0 % cheaper", "than always large")
    assert (difference.value, difference.interval) == ("+0.0 points", "95 % interval +0.0 to +0.0")
    assert gain.name == "quality against mixing at random for the same money"
    assert n.value == str(evaluation.n)
    free = Outcomes(test.prompts, test.models, test.quality)
    without_costs = evaluate(BestSingle().fit(train), free, n_bootstrap=50)
    assert key_numbers(without_costs)[0].name.startswith("quality against")


def test_a_terminal_is_told_the_finding_its_numbers_and_what_they_stand_on(
    outcomes: Outcomes,
) -> None:
    train, test = outcomes.split()
    evaluation = evaluate(BestSingle().fit(train), test, n_bootstrap=50)
    said, saving, *_, last = told_in_brief(evaluation)
    assert said == "Routing doesn't pay on these prompts."
    assert saving.split("  ")[1:] == ["0 % cheaper", "than always large (95 % interval 0 to 0 %)"]
    assert last == f"- {evaluation.verdict.notes[-1]}"
    kept = evaluate(BestSingle().fit(train).stand_at(0.0, "nothing was gained"), test)
    said, *others = told_in_brief(kept)
    assert said.startswith("Not measurable yet: the router keeps to always calling large, because")
    # What to label is told once, by the steps that the log allows.
    assert kept.verdict.advice
    assert kept.verdict.advice not in " ".join([said, *others])
    assert kept.verdict.sentence.endswith(kept.verdict.advice)


def test_features_that_sum_up_a_view_of_the_prompt_are_explained(
    router: LGBMRouter, outcomes: Outcomes
) -> None:
    explanations = {"large": explain(router, outcomes.prompts[:5], model="large")}
    bullets = words.describe_features(explanations).bullets
    assert [line.split(":")[0] for line in bullets] == [
        name for name in FOLDED if name in explanations["large"].feature_names
    ]
    assert len(bullets) > 1
    assert words.describe_features({}).bullets == ()


def test_no_table_of_a_router_has_two_columns_of_one_name(outcomes: Outcomes) -> None:
    train, test = outcomes.split()
    router = BestSingle().fit(train)
    for shown in (
        routing.seen_and_unseen(router, train, test),
        routing.where_each_wins(router, test),
    ):
        assert len(set(shown.heads)) == len(shown.heads)


def test_estimates_of_a_router_that_keeps_to_the_best_single_are_told_apart(
    outcomes: Outcomes, fitted: LGBMRouter
) -> None:
    router = fitted
    assert reasons.by_estimates(router, "Hello?") is None  # it decides by them, so `why` tells
    assert reasons.by_estimates(BestSingle().fit(outcomes), "Hello?") is None
    router.stand_at(0.0, fallback="no gain could be shown")
    said = reasons.by_estimates(router, "Hello?")
    assert said is not None
    assert said.startswith("Its estimates alone: ")
    assert router.best_single_ in said
    assert "points" in said
    assert "keeps to" not in said


def test_explain_says_a_reason_once(fitted: LGBMRouter, tmp_path: Path) -> None:
    router = fitted.stand_at(0.0, fallback="no gain could be shown")
    router.save(tmp_path / "router.pkl")
    run = CliRunner().invoke(app, ["explain", "Hello?", "--model", str(tmp_path / "router.pkl")])
    assert run.exit_code == 0, run.output
    assert run.output.count("no gain could be shown") == 1
    assert "Its estimates alone: " in run.output


def test_lessons_of_a_router_that_fell_back_show_no_difference_of_zero(
    outcomes: Outcomes,
) -> None:
    train, test = outcomes.split()
    router = LGBMRouter().fit(train)
    router.stand_at(0.0, fallback="no gain could be shown")
    evaluation = evaluate(router, test, test, n_bootstrap=20)
    lessons = str(words.evaluate_lessons(evaluation))
    assert "Not measurable yet: the router keeps to always calling large" in lessons
    assert "All prompts go to large: 100 %" in lessons
    assert "If a failed call" not in lessons
    cards = key_numbers(evaluation)
    assert [card.value for card in cards][::2] == ["always large", str(evaluation.n)]
    assert not any("points" in card.value or "cheaper" in card.value for card in cards)
    row = routing.operating_table(evaluation).rows[0]
    assert row[0] == "as it stands: the best single model itself (large)"
    assert list(row[3:]) == ["–"] * len(row[3:])


def test_a_certificate_of_another_router_says_where_the_saved_one_stands() -> None:
    outcomes = Outcomes(["a", "b"], ["cheap", "dear"], [[0.7, 0.9]] * 2, [[1e-6, 1e-4]] * 2)
    told = "Not certified, so it keeps to dear: nothing could be shown."
    how = {"certificate": told, "quality_difference": None}
    tried = BestSingle().fit(outcomes).stand_at(0.0, "nothing could be shown", how)
    saved = BestSingle().fit(outcomes).stand_at(10_000.0)
    assert words.describe_certificate(tried) == told == words.describe_certificate(tried, tried)
    assert words.describe_certificate(tried, saved) == (
        f"Of another router, fitted for this promise and not saved: {told} The saved router "
        "stands at cost weight 10,000, of which nothing is promised."
    )
    saved.stand_at(0.0, "no gain was seen")
    assert "The saved router keeps to dear" in words.describe_certificate(tried, saved)
