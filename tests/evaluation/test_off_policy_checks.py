"""Off-policy values allow for missing verdicts, time and conversations, or are refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from logged_worlds import make_log

import routerlib as rl
from routerlib.evaluation.off_policy.feedback import Feedback, ends_of, ripe
from routerlib.evaluation.off_policy.targets import ThinOverlap, unseen
from routerlib.evaluation.off_policy.value import estimate_difference, estimate_value
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.worlds import make_world
from routerlib.policies.exploration import Greedy
from routerlib.records.call import Call, Score
from routerlib.records.decision import CONVERSATION, Decision, Estimates
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle

NAN = float("nan")


def silenced(logged: LoggedChoices, if_right: float, if_wrong: float, seed: int = 0):
    """Let right and wrong answers get a verdict with different probabilities."""
    chances = np.where(logged.quality == 1, if_right, if_wrong)
    is_heard = np.random.default_rng(seed).random(len(logged)) < chances
    return replace(logged, quality=np.where(is_heard, logged.quality, NAN))


def test_feedback_that_depends_on_quality_is_refused_with_its_rates() -> None:
    logged = silenced(make_log(n_prompts=600, epsilon=0.8), if_right=0.3, if_wrong=0.95)
    match = r"Verdicts on \d+ % of 600 decisions \(m0 \d+ %, m1 \d+ %, m2 \d+ %; where the estimate"
    with pytest.raises(ThinOverlap, match=match):
        estimate_value(Greedy(), logged, "snips")


def test_a_few_missing_verdicts_widen_the_interval_to_where_the_truth_is() -> None:
    found, alone = [], []
    for seed in range(12):
        logged = silenced(make_log(n_prompts=500, epsilon=0.8, seed=seed), 0.85, 1.0, seed)
        heard = logged.take(~np.isnan(logged.quality))
        try:
            value = estimate_value(Greedy(), logged, "snips")
        except ThinOverlap:
            continue
        found.append(value.quality.low <= 0.9 <= value.quality.high)
        alone.append(heard.quality.mean())
        assert value.n == len(heard)
        assert "counts as wrong at the low end" in value.sentence
        assert "% of 500 decisions (m0" in value.sentence
        assert "on the earlier half" in value.sentence
    assert len(found) >= 8
    assert np.mean(found) >= 0.9


def test_verdicts_that_others_of_their_kind_would_have_are_weighed_where_one_says_so() -> None:
    values = []
    for seed in range(6):
        logged = make_log(n_prompts=500, epsilon=1.0, seed=seed)
        # The first candidate is asked for a verdict less often, and nothing else matters.
        chance = np.where(logged.arms == 0, 0.3, 0.7)
        is_heard = np.random.default_rng(seed).random(500) < chance
        some = replace(logged, quality=np.where(is_heard, logged.quality, NAN))
        values.append(estimate_value(Greedy(), some, silent="like others"))
        with pytest.raises(ThinOverlap, match='silent="like others"'):
            estimate_value(Greedy(), some)
    assert np.mean([each.quality.low <= 0.9 <= each.quality.high for each in values]) >= 0.8
    assert np.mean([each.quality.value for each in values]) == pytest.approx(0.9, abs=0.06)
    assert "taken as like others" in values[0].sentence
    with pytest.raises(ValueError, match="silent must be one of worst, like others"):
        estimate_value(Greedy(), some, silent="no")  # type: ignore[arg-type]


def test_rates_are_counted_by_arm_and_by_estimate() -> None:
    logged = make_log(n_prompts=90, epsilon=1.0)
    quality = np.where(logged.arms == 1, NAN, logged.quality)
    told = Feedback.of(replace(logged, quality=quality))
    assert told.by_arm == {"m0": 1.0, "m1": 0.0, "m2": 1.0}
    assert told.rate == pytest.approx((logged.arms != 1).mean())
    assert set(told.by_estimate) <= {"low", "middle", "high"}
    assert Feedback.of(replace(logged, estimates=None)).by_estimate == {}


def test_the_latest_decisions_are_left_out_where_verdicts_are_still_coming_in() -> None:
    logged = make_log(n_prompts=500, epsilon=0.8)
    quality = logged.quality.copy()
    quality[460:] = NAN
    open_ = replace(logged, quality=quality)
    kept = ripe(open_)
    assert len(kept) == 450
    assert kept.left_out["verdicts are still coming in"] == 50
    assert len(ripe(logged)) == 500
    assert not np.isnan(estimate_value(Greedy(), open_, "snips").quality.value)


def test_a_world_that_has_changed_is_refused_and_its_later_half_valued() -> None:
    logged = make_log(n_prompts=1200, epsilon=0.9)
    later = np.arange(1200) >= 600
    fallen = np.where(later & (np.random.default_rng(0).random(1200) < 0.6), 0.0, logged.quality)
    with pytest.raises(
        ThinOverlap, match=r"the world has changed within the log.*later half|later"
    ):
        estimate_value(Greedy(), replace(logged, quality=fallen), "snips")
    value = estimate_value(Greedy(), replace(logged, quality=fallen).take(later), "snips").quality
    assert value.low <= 0.36 <= value.high


def test_missing_verdicts_make_a_difference_of_routers_as_bad_as_it_can_be() -> None:
    outcomes = make_world(n_prompts=200, n_models=3, seed=9).outcomes
    routers = [BestSingle().fit(outcomes.of_models([name])) for name in ("m1", "m2")]
    logged = make_log(n_prompts=400, epsilon=1.0)
    whole = estimate_difference(*routers, logged)
    some = silenced(logged, 0.9, 0.9)
    part = estimate_difference(*routers, some)
    assert part.low < whole.low
    assert part.high > whole.high
    assert part.high - part.low > 0.15 + whole.high - whole.low


def test_a_few_unknown_costs_widen_a_difference_and_do_not_prevent_it() -> None:
    outcomes = make_world(n_prompts=200, n_models=3, seed=9).outcomes
    routers = [BestSingle().fit(outcomes.of_models([name])) for name in ("m1", "m2")]
    logged = make_log(n_prompts=400, epsilon=1.0)
    costs = np.where(logged.arms == 1, 0.001, 0.002) * np.linspace(0.5, 1.5, 400)
    known = replace(logged, cost_usd=costs)
    some = replace(logged, cost_usd=np.where(np.arange(400) % 20 == 0, NAN, costs))
    whole, part = (estimate_difference(*routers, each, cost_weight=50.0) for each in (known, some))
    assert part.low < whole.low < whole.value < whole.high < part.high
    assert part.value == pytest.approx(whole.value, abs=0.01)
    assert part.high - part.low < 0.05 + whole.high - whole.low
    none = replace(logged, cost_usd=np.where(logged.arms == 1, NAN, costs))
    with pytest.raises(ThinOverlap, match=r"no logged cost of m1 is known.*name its price"):
        estimate_difference(*routers, none, cost_weight=50.0)
    assert estimate_difference(*routers, none) == estimate_difference(*routers, logged)


def answer(log: rl.CallLog, text: str, decision: Decision, score: float | None) -> int:
    prompt = Prompt.from_text(text)
    log.add_prompts([prompt])
    decision_id = log.add_decision(prompt.prompt_id, decision)
    call = Call(prompt.prompt_id, decision.model, "h", "ok", "x", decision_id=decision_id)
    log.add_call(call, scores=[] if score is None else [Score("exact", score)])
    return decision_id


def drawn(model: str) -> Decision:
    known = {name: {"quality": 0.5, "cost_usd": 1.0} for name in ("small", "large")}
    return Decision(model, 0.5, 1.0, 0.5, "drawn", 0.0, known, "b2:router")


def stays(model: str, before: int) -> Decision:
    reason = f"the conversation stays with {model}, which answered under decision {before}; afresh"
    return Decision(model, 0.5, 1.0, 1.0, reason, 0.0, {}, CONVERSATION)


def test_a_conversation_is_one_decision_with_all_its_turns(log: rl.CallLog) -> None:
    first = answer(log, "one", drawn("small"), 1.0)
    second = answer(log, "two", stays("small", first), 0.0)
    answer(log, "three", stays("small", second), None)
    answer(log, "alone", drawn("large"), 1.0)
    silent = answer(log, "silent", drawn("large"), None)
    answer(log, "silent no more", stays("large", silent), 0.5)
    answer(log, "nothing", drawn("small"), None)
    answer(log, "from elsewhere", stays("small", 999), 1.0)
    logged = LoggedChoices.from_log(log)
    assert logged.quality.tolist() == [0.5, 1.0, 0.5]
    assert logged.unheard == pytest.approx([1 / 3, 0.0, 1 / 2])
    assert dict(logged.left_out) == {
        "no verdict on the answer": 1,
        "the turn stayed with its conversation's model": 1,
    }
    everything = logged.everything
    assert list(everything.prompts) == ["one", "alone", "silent", "nothing"]
    ends = ends_of(everything)
    assert ends.lowest == pytest.approx([1 / 3, 1.0, 1 / 4, 0.0])
    assert ends.highest == pytest.approx([2 / 3, 1.0, 3 / 4, 1.0])
    some = logged.of_prompts([Prompt.from_text("alone").prompt_id])
    assert (len(some), some.unscored is not None and len(some.unscored)) == (1, 0)


def talks(seed: int, n: int = 900, chance: float = 0.5) -> LoggedChoices:
    """Log conversations of two drawn turns; the small model's first answer spoils the second.

    Both are as good in the first turn (0.8); the second is right in 0.8 after the large model, in
    0.2 after the small one, whoever answers then. The estimates know of the small one's price only.
    """
    rng = np.random.default_rng(seed)
    arms = (rng.random((n, 2)) >= chance).astype(int)
    right = np.column_stack([np.full(n, 0.8), np.where(arms[:, 0] == 0, 0.2, 0.8)])
    quality = (rng.random((n, 2)) < right).astype(float)
    propensity = np.where(arms == 0, chance, 1 - chance)
    texts = [f"Conversation {row} turn {turn}" for row in range(n) for turn in range(2)]
    estimates = Estimates(("small", "large"), np.tile([0.9, 0.8], (2 * n, 1)), np.ones((2 * n, 2)))
    return LoggedChoices(
        prompts=texts,
        prompt_ids=texts,
        models=("small", "large"),
        arms=arms.ravel(),
        propensities=propensity.ravel(),
        quality=quality.ravel(),
        cost_usd=np.where(arms == 0, 1.0, 3.0).ravel(),
        estimates=estimates,
        conversations=np.repeat(np.arange(n), 2),
    )


@pytest.mark.parametrize("method", ["dr", "snips", "ips"])
def test_what_later_turns_are_worth_rests_on_the_choices_before_them(method: Any) -> None:
    # Always the small model: 0.8 in the first turn, 0.2 in the second; two dollars in all.
    values = [estimate_value(Greedy(), talks(seed), method) for seed in range(6)]
    assert np.mean([each.quality.low <= 0.5 <= each.quality.high for each in values]) >= 0.8
    assert np.mean([each.quality.value for each in values]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([each.cost_usd.value for each in values]) == pytest.approx(2.0, rel=0.1)
    assert (values[0].n, values[0].n_decisions) == (900, 1800)
    assert "conversations of 1800 drawn decisions in all" in values[0].sentence
    # Turn by turn it seems as good as the log's mixture of earlier choices makes it.
    alone = estimate_value(Greedy(), replace(talks(0), conversations=None), method).quality
    assert alone.low > 0.55


def test_conversations_that_hardly_ever_went_as_the_target_would_are_refused() -> None:
    with pytest.raises(ThinOverlap, match=r"400 conversations of 800 drawn decisions"):
        estimate_value(Greedy(), talks(0, n=400, chance=0.1), "snips")


def test_one_turn_that_the_router_was_trained_on_leaves_out_the_conversation() -> None:
    logged = talks(0, n=4)
    router = SimpleNamespace(train_prompt_ids_=["Conversation 1 turn 1"])
    kept = unseen(logged, router)  # type: ignore[arg-type]
    assert kept.conversations is not None
    assert kept.conversations.tolist() == [0, 0, 2, 2, 3, 3]


def test_a_log_tells_which_drawn_decisions_are_of_one_conversation(log: rl.CallLog) -> None:
    hello: dict[str, Any] = {"role": "user", "content": "Hello"}
    more: dict[str, Any] = {"role": "user", "content": "And then?"}

    def asked(messages: tuple[dict[str, Any], ...], response: str) -> None:
        prompt = Prompt(messages)
        log.add_prompts([prompt])
        decision_id = log.add_decision(prompt.prompt_id, drawn("small"))
        call = Call(prompt.prompt_id, "small", "h", "ok", response, decision_id=decision_id)
        log.add_call(call, scores=[Score("exact", 1.0)])

    def said(text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}

    asked((hello,), "Good day")
    asked((hello,), "Hi")  # another conversation that begins with the same words
    asked((hello, said("Hi"), more), "Bye")
    asked((hello, said("Good day"), more), "Farewell")
    asked((hello, said("Hi"), more, said("Bye"), more), "Well")
    asked((hello, said("What nobody logged"), more), "So")
    found = LoggedChoices.from_log(log)
    assert found.conversations is not None
    assert found.conversations.tolist() == [1, 2, 2, 1, 2, 6]
