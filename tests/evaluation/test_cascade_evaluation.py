"""What a cascade is worth is told beside its router, all calls paid, by intervals alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cascading import N_LEARNT, SURE, UNSURE, telling_cascade, telling_outcomes

from routerlib.evaluation.cascade_verdict import together
from routerlib.evaluation.cascade_worth import evaluate_cascade
from routerlib.evaluation.retraining import as_cascade_of
from routerlib.evaluation.verdict import Verdict
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.canonical import plain_json
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.rivals import KNNRouter


def held_out() -> Outcomes:
    everything = telling_outcomes()
    return everything.take(range(N_LEARNT, len(everything)))


def test_a_cascade_that_sees_what_is_wrong_pays_beside_its_router() -> None:
    found = evaluate_cascade(telling_cascade(), held_out(), n_bootstrap=200)
    assert found.kind == "pays"
    assert found.measured["utility_gain"].low > 0
    assert found.sentence.startswith("The cascade pays beside the router: on 120 held-out prompts")


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("does_not_pay", "The cascade pays, routing alone doesn't: "),
        ("not_measurable", "The cascade pays, routing alone doesn't: "),
        ("pays", "Routing pays, and the cascade pays beyond it: "),
    ],
)
def test_one_sentence_tells_of_cascade_and_router_together(kind: Any, start: str) -> None:
    found = evaluate_cascade(telling_cascade(), held_out(), n_bootstrap=200)
    routing = Verdict(kind, "as it is", {"n": 120.0}, best_single="large")
    finding = together(found, routing)
    saving = found.measured["saving"]
    assert (finding.kind, finding.is_of_cascade) == ("pays", True)
    assert finding.headline == f"{start}{100 * saving.value:.0f} % cheaper"
    assert len(finding.headline.split()) <= 12
    assert finding.sentence.startswith(f"{start}against always large it saves ")
    assert f"[{100 * saving.low:.0f}, {100 * saving.high:.0f}] of the cost" in finding.sentence
    assert finding.sentence.endswith(found.sentence)


def test_a_cascade_that_shows_nothing_leaves_the_verdict_as_it_is() -> None:
    found = evaluate_cascade(telling_cascade(), held_out().take(range(20)), n_bootstrap=50)
    routing = Verdict("does_not_pay", "No.", {"n": 20.0}, best_single="large")
    finding = together(found, routing)
    assert finding[:2] == ("does_not_pay", routing.headline)
    assert finding.sentence == found.sentence
    loses = replace(found, kind="costs")
    assert together(loses, routing).headline == (
        "The cascade loses against its router; routing alone doesn't pay either"
    )
    assert together(loses, replace(routing, kind="pays")).kind == "pays"


def test_costs_hold_every_call_and_paths_say_what_asking_on_brought() -> None:
    test = held_out()
    found = evaluate_cascade(telling_cascade(), test, n_bootstrap=50)
    asked = telling_cascade().replay(test).asked
    n_both, n_large = (asked.count(each) for each in (("small", "large"), ("large",)))
    table = found.frame()
    both = table.loc["small > large"]
    assert (both.prompts, both.first_quality, both.given_quality) == (n_both, 0.0, 1.0)
    assert both.further_usd_per_1000 == pytest.approx(2.0)
    assert found.asked_again == pytest.approx(n_both / 120)
    n_small = 120 - n_large
    assert found.measured["cost_usd"].value == pytest.approx(
        (1e-4 * n_small + 2e-3 * (n_both + n_large)) / 120
    )
    assert n_both > 40
    assert table.prompts.sum() == found.n == 120


def test_failed_calls_are_wrong_answers_that_say_nothing_and_are_paid() -> None:
    test = held_out()
    has_failed = (np.arange(len(test)) < 30)[:, None] & np.array([True, False])
    failed = replace(
        test,
        quality=np.where(has_failed, np.nan, test.quality),
        answers=[[None if lost else text for lost, text in zip(*row, strict=True)]
                 for row in zip(has_failed, test.answers, strict=True)],
    )  # fmt: skip
    wrong = replace(failed, quality=np.where(has_failed, 0.0, test.quality))
    cascade = telling_cascade()
    skipped = evaluate_cascade(cascade, failed, n_bootstrap=50)
    counted = evaluate_cascade(cascade, failed, wrong, n_bootstrap=50)
    assert (skipped.n, skipped.n_skipped) == (90, 30)
    assert (counted.n, counted.n_skipped) == (120, 0)
    best = counted.measured["quality"].value - counted.measured["quality_difference"].value
    assert best == pytest.approx(1.0)  # the large model never failed
    replayed = cascade.replay(wrong)
    assert counted.measured["quality"].value == pytest.approx(replayed.quality.mean())
    assert counted.measured["cost_usd"].value == pytest.approx(replayed.cost_usd.mean())


def test_answers_that_show_nothing_leave_the_router() -> None:
    everything = telling_outcomes()
    silent = replace(everything, answers=[["Answer: 4", "Answer: 4"]] * len(everything))
    router = telling_cascade().router
    cascade = Cascade(router).fit(silent.take(range(N_LEARNT)))
    found = evaluate_cascade(cascade, silent.take(range(N_LEARNT, 360)), n_bootstrap=50)
    assert found.kind == "is_the_router"
    assert found.measured["quality_gain"].value == 0.0
    assert found.measured["cost_share"].value == 1.0
    assert found.sentence.startswith("The cascade is the router, and asks nobody twice: ")


def test_few_prompts_claim_nothing() -> None:
    found = evaluate_cascade(telling_cascade(), held_out().take(range(20)), n_bootstrap=50)
    assert found.kind == "not_shown"


def test_prompts_that_lack_an_answer_are_skipped_and_counted() -> None:
    test = held_out()
    answers = [list(row) for row in test.answers or ()]
    answers[0][1] = None
    quality = test.quality.copy()
    quality[1, 0] = np.nan
    found = evaluate_cascade(
        telling_cascade(), replace(test, answers=answers, quality=quality), n_bootstrap=50
    )
    assert (found.n, found.n_skipped) == (118, 2)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (None, "hold no answers"),
        ([[UNSURE, None]] * 120, "none of 120 held-out prompts has an answer"),
    ],
)
def test_without_answers_it_says_so(answers: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_cascade(telling_cascade(), replace(held_out(), answers=answers))


def test_prompts_that_were_learnt_from_are_refused() -> None:
    with pytest.raises(ValueError, match="not trained on"):
        evaluate_cascade(telling_cascade(), telling_outcomes())


def test_it_can_be_kept_in_a_routers_file() -> None:
    told = evaluate_cascade(telling_cascade(), held_out(), n_bootstrap=50).as_dict()
    assert plain_json(told) == told
    assert told["paths"][0]["asked"] in (["small"], ["small", "large"])
    assert SURE not in str(told)


def test_a_retrained_cascade_is_a_cascade_again_and_another_router_stays_one() -> None:
    outcomes = telling_outcomes()
    challenger = KNNRouter().fit(outcomes.take(range(300)))
    renewed = as_cascade_of(telling_cascade(), challenger, outcomes)
    assert isinstance(renewed, Cascade)
    assert renewed.router is challenger
    assert set(renewed.train_prompt_ids_) == set(outcomes.prompt_ids[:300])
    assert renewed.boldness_.share > 0
    assert as_cascade_of(telling_cascade().router, challenger, outcomes) is challenger
