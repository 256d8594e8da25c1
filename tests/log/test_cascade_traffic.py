"""What a cascade asked after an answer that looked bad describes hard prompts, not a candidate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from routerlib.log.call_log import CallLog
from routerlib.log.candidates_seen import told_of_steps, told_of_ways
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.decision import AFTER_DECISION, STEP, Decision
from routerlib.records.prompt import Prompt

# No word of a prompt tells whether it is hard; the small model fails on the hard ones, which its
# answers show, and the large one is right on few of them.
N_PROMPTS, P_HARD, EXPLORED = 1500, 0.5, 0.3
LARGE = {False: 0.95, True: 0.4}
TRUE_LARGE = P_HARD * LARGE[True] + (1 - P_HARD) * LARGE[False]
TRUE_SMALL = 1 - P_HARD


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallLog]:
    """A log of served traffic: the first call is drawn, and a bad small answer leads on."""
    rng = np.random.default_rng(3)
    with CallLog(tmp_path_factory.mktemp("served") / "logs.db") as log:
        prices = {"small": Price(0.1, 0.1), "large": Price(2.0, 2.0)}
        log.add_prices(
            [CandidateModel(name, name, "custom", None, None, prices[name]) for name in prices]
        )
        with log.transaction():
            for number in range(N_PROMPTS):
                is_hard = bool(rng.random() < P_HARD)
                right = {"small": not is_hard, "large": bool(rng.random() < LARGE[is_hard])}
                prompt = Prompt.from_text(f"Question {number}?")
                log.add_prompts([prompt])
                explores = rng.random() < EXPLORED
                first = str(rng.choice(["small", "large"])) if explores else "small"
                chance = 1 - EXPLORED / 2 if first == "small" else EXPLORED / 2
                decision = asked(log, prompt, first, chance, right[first])
                if first == "small" and is_hard:
                    asked(log, prompt, "large", 1.0, right["large"], after=decision)
        yield log


def asked(
    log: CallLog, prompt: Prompt, model: str, chance: float, right: bool, after: int | None = None
) -> int:
    estimates = {name: {"quality": 0.6, "cost_usd": 1e-4} for name in ("small", "large")}
    reason = "" if after is None else f"{AFTER_DECISION}{after}: it looks bad"
    router_hash = "b2:router" if after is None else STEP
    decision = Decision(model, 0.6, 1e-4, chance, reason, 0.0, estimates, router_hash)
    number = log.add_decision(prompt.prompt_id, decision)
    call = Call(prompt.prompt_id, model, "b2:h", "ok", "4", Usage(9, 9), decision_id=number)
    log.add_call(call, scores=[Score("exact", float(right))])
    return number


def test_labels_of_further_steps_are_biased_and_left_out(served: CallLog) -> None:
    (naive,) = served.lookup(
        "select avg(score) from scores join calls using (call_id) where candidate = 'large'"
    )[0]
    outcomes = Outcomes.from_log(served, models=["small", "large"])
    n_large = int(np.isfinite(outcomes.quality[:, 1]).sum())
    error = (TRUE_LARGE * (1 - TRUE_LARGE) / n_large) ** 0.5
    small, large = outcomes.mean_quality
    assert naive < TRUE_LARGE - 0.1, "taken as it comes, the large model looks worse than it is"
    assert large == pytest.approx(TRUE_LARGE, abs=3 * error)
    assert abs(naive - TRUE_LARGE) > 3 * error
    assert small == pytest.approx(TRUE_SMALL, abs=0.05)
    assert n_large == pytest.approx(N_PROMPTS * EXPLORED / 2, rel=0.2)


def test_no_pair_of_answers_is_there_because_the_first_one_looked_bad(served: CallLog) -> None:
    outcomes = Outcomes.from_log(served, models=["small", "large"])
    assert not np.isfinite(outcomes.quality).all(axis=1).any()
    # An answer that was collected, and not asked for after another one, counts as ever.
    prompt_id = outcomes.prompt_ids[0]
    served.add_call(Call(prompt_id, "large", "b2:h", "ok", "4"), scores=[Score("exact", 1.0)])
    again = Outcomes.from_log(served, models=["small", "large"])
    assert np.isfinite(again.quality[0, 1])


def test_what_a_cascade_asked_on_for_in_another_way_chooses_no_way(tmp_path: Path) -> None:
    with CallLog(tmp_path / "logs.db") as log:
        prompts = [Prompt.from_text(text) for text in ("a?", "b?")]
        log.add_prompts(prompts)
        for prompt in prompts:
            number = asked(log, prompt, "small", 1.0, False)
            asked(log, prompt, "large", 1.0, True, after=number)
        collected = Call(prompts[0].prompt_id, "large", "b2:collected", "ok", "4")
        log.add_call(collected, scores=[Score("exact", 1.0)])
        assert told_of_ways(log) == [], "one way of the calls that count"
        earlier = Call(prompts[0].prompt_id, "large", "b2:earlier", "ok", "4")
        log.add_call(earlier, scores=[Score("exact", 0.0)])
        (told,) = told_of_ways(log)
        assert "large was asked in 2 ways" in told
        assert "(1 prompt), 1 call of others (1 scored) are left out" in told


def test_off_policy_values_are_of_first_steps_with_their_propensities(served: CallLog) -> None:
    choices = LoggedChoices.from_log(served)
    assert len(choices) == N_PROMPTS
    is_large = choices.arms == choices.models.index("large")
    weighted = (choices.quality * is_large / choices.propensities).sum()
    value = weighted / (is_large / choices.propensities).sum()
    assert value == pytest.approx(TRUE_LARGE, abs=0.1)


def test_it_is_said_what_is_left_out_and_what_is_missing(served: CallLog, tmp_path: Path) -> None:
    (line,) = told_of_steps(served)
    assert "that a cascade asked for after another one, which describe hard prompts only" in line
    with CallLog(tmp_path / "feedback.db") as log:
        assert told_of_steps(log) == []
        prompt = Prompt.from_text("Why?")
        log.add_prompts([prompt])
        first = Decision("small", 0.5, 1e-4, 1.0, "", 0.0, {}, "b2:router")
        number = log.add_decision(prompt.prompt_id, first)
        log.add_call(Call(prompt.prompt_id, "small", "b2:h", "ok", "?", decision_id=number))
        asked(log, prompt, "large", 1.0, True, after=number)
        further, silent = told_of_steps(log)
    assert further.startswith("left out: 1 answer (1 scored)")
    assert silent.startswith("1 answer after which a cascade asked on has no score")
