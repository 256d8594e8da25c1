"""What repeats tell of luck agrees with worlds whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from routerlib.evaluation.noise import noise_ceiling
from routerlib.evaluation.repeats import Repeats, repeats_from_log
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt

MODELS = ("a", "b", "c")


def drawn(
    n_prompts: int, n_repeats: int, topic_sd: float, prompt_sd: float, seed: int = 0
) -> tuple[Repeats, np.ndarray]:
    """Return repeats, and the true expected quality of shape (n_prompts, n_models)."""
    rng = np.random.default_rng(seed)
    plain = make_world(n_prompts=n_prompts, seed=seed).outcomes
    topics = np.unique(plain.topics, return_inverse=True)[1]
    of_topic = rng.normal(0, topic_sd, (topics.max() + 1, 3))[topics]
    truth = np.clip(0.5 + of_topic + rng.normal(0, prompt_sd, (n_prompts, 3)), 0.02, 0.98)
    quality = (rng.random((n_prompts, 3, n_repeats)) < truth[:, :, None]).astype(float)
    return Repeats(tuple(plain.prompts), MODELS, quality, tuple(plain.topics or ())), truth


def best_by_topic(truth: np.ndarray, topics: tuple[str, ...]) -> float:
    """Return what is expected of the truly best model of each topic."""
    numbers = np.unique(topics, return_inverse=True)[1]
    best = [truth[numbers == each].mean(axis=0).max() for each in range(numbers.max() + 1)]
    return float(np.average(best, weights=np.bincount(numbers)))


@pytest.mark.parametrize(("topic_sd", "prompt_sd"), [(0.2, 0.0), (0.1, 0.25), (0.0, 0.0)])
@pytest.mark.parametrize("n_repeats", [2, 5])
def test_the_best_expected_quality_lies_between_the_two_ends(
    topic_sd: float, prompt_sd: float, n_repeats: int
) -> None:
    repeats, truth = drawn(1200, n_repeats, topic_sd, prompt_sd)
    ceiling = noise_ceiling(repeats, n_bootstrap=100)
    low = ceiling.values["prompt oracle, at least"]
    high = ceiling.values["prompt oracle, at most"]
    expected = truth.max(axis=1).mean()
    # Six worlds are looked at, so each end may be three standard errors off.
    assert low.value - 3 * low.se <= expected <= high.value + 3 * high.se
    lucky = (1 - (1 - truth).prod(axis=1)).mean()  # at least one of three coins is heads
    found = ceiling.values["lucky oracle"]
    assert found.value == pytest.approx(lucky, abs=3 * found.se)
    best = truth.mean(axis=0).max()
    share = (lucky - expected) / (lucky - best)
    assert ceiling.parts["noise"][0].low - 0.05 <= share <= ceiling.parts["noise"][1].high + 0.05
    of_topic = best_by_topic(truth, repeats.topics)
    share = (of_topic - best) / (lucky - best)
    assert ceiling.parts["topic"][0].low - 0.05 <= share <= ceiling.parts["topic"][1].high + 0.05
    topic, prompt, noise = (ceiling.parts[name] for name in ("topic", "prompt", "noise"))
    assert topic[0].value + prompt[1].value + noise[0].value == pytest.approx(1)
    assert topic[1].value + prompt[0].value + noise[1].value >= 1 - 1e-9


def test_more_repeats_bring_the_ends_together() -> None:
    widths = []
    for n_repeats in (2, 8):
        ceiling = noise_ceiling(drawn(600, n_repeats, 0.1, 0.2)[0], n_bootstrap=10)
        widths.append(ceiling.parts["noise"][1].value - ceiling.parts["noise"][0].value)
    assert widths[1] < widths[0] / 2


def test_variance_parts_land_on_the_truth() -> None:
    repeats, truth = drawn(4000, 4, 0.15, 0.12, seed=1)
    ceiling = noise_ceiling(repeats, n_bootstrap=10)
    best = MODELS.index(ceiling.best_single)
    for model, found in ceiling.variance.iterrows():
        arm = MODELS.index(str(model))
        noise = (truth * (1 - truth))[:, [arm, best]].sum(axis=1).mean()
        difference = truth[:, arm] - truth[:, best]
        topics = np.unique(repeats.topics, return_inverse=True)[1]
        of_topic = (np.bincount(topics, difference) / np.bincount(topics))[topics]
        assert found.noise == pytest.approx(noise, rel=0.05)
        assert found.prompt == pytest.approx((difference - of_topic).var(), rel=0.15)
        assert found.topic == pytest.approx(of_topic.var(), abs=0.004)


def test_answers_that_never_change_hold_no_luck() -> None:
    repeats, _ = drawn(60, 1, 0.2, 0.1)
    same = np.repeat(repeats.quality, 3, axis=2)
    ceiling = noise_ceiling(Repeats(repeats.prompts, MODELS, same, repeats.topics), n_bootstrap=10)
    assert [end[:3] for end in ceiling.parts["noise"]] == [(0, 0, 0)] * 2
    assert "0 % is luck of single answers" in ceiling.sentence


def test_models_that_are_all_alike_leave_no_gap() -> None:
    ones = Repeats(
        tuple(f"{word} kite" for word in "abcdefghijkl"), MODELS, np.ones((12, 3, 2)), ("x",) * 12
    )
    assert "there is no gap to take apart" in noise_ceiling(ones, n_bootstrap=10).sentence


def test_single_answers_can_not_tell() -> None:
    repeats, _ = drawn(60, 1, 0.2, 0.1)
    with pytest.raises(ValueError, match="needs 10 prompts with 2 scored repeats of every model"):
        noise_ceiling(repeats)


def test_prompts_asked_less_often_are_left_out() -> None:
    repeats, _ = drawn(40, 3, 0.2, 0.1)
    quality = repeats.quality.copy()
    quality[:5, 1, 1:] = np.nan  # five prompts asked once
    quality[5, 0, 0] = np.nan  # and one asked twice, of three times
    kept = Repeats(repeats.prompts, MODELS, quality, repeats.topics).complete()
    assert kept.quality.shape == (34, 3, 3)
    assert np.isfinite(kept.quality).all()


def test_a_log_gives_its_repeats_apart_while_outcomes_average_them(log: CallLog) -> None:
    prompt = Prompt.from_text("What is 2 + 2?", task="math")
    log.add_prompts([prompt])
    for repeat, score in enumerate([1.0, 0.0, 1.0]):
        call = Call(
            prompt.prompt_id, "small", "p", "ok", response="4", usage=Usage(3, 1), repeat=repeat
        )
        log.add_call(call, scores=[Score("exact", score)])
    repeats = repeats_from_log(log)
    assert repeats.quality.tolist() == [[[1, 0, 1]]]
    assert (repeats.models, repeats.topics) == (("small",), ("math",))
    assert Outcomes.from_log(log).quality[0, 0] == pytest.approx(2 / 3)


def test_prompts_of_a_named_group_are_drawn_together(log: CallLog) -> None:
    rng = np.random.default_rng(0)
    prompts = make_world(60, seed=2).outcomes.prompts
    quality = np.repeat(rng.integers(0, 2, (12, 2, 1)), 5, axis=0) * np.ones((1, 1, 3))
    alone = Repeats(prompts, ("small", "large"), quality, ("one",) * 60)
    named = replace(alone, group_ids=tuple(f"g{row // 5}" for row in range(60)))
    narrow, wide = (
        noise_ceiling(each, n_bootstrap=300).values["best single"] for each in (alone, named)
    )
    assert wide.se > 1.6 * narrow.se
    for number, text in enumerate(("Say hello", "Count sheep")):
        prompt = Prompt.from_text(text, extra={"group": "me"} if number else None)
        log.add_prompts([prompt])
        for repeat in (0, 1):
            call = Call(prompt.prompt_id, "small", "b2:x", "ok", "5", repeat=repeat)
            log.add_call(call, scores=[Score("numeric", 1.0)])
    assert repeats_from_log(log).group_ids == (None, "me")


def test_a_prompt_is_no_witness_for_its_own_group() -> None:
    """Two groups of a topic, in each another model is right: the other group chooses wrongly."""
    quality = np.zeros((20, 2, 2))
    quality[:10, 0], quality[10:, 1] = 1.0, 1.0
    words = np.random.default_rng(0).integers(10**9, size=(20, 6)).astype(str)
    prompts = tuple(" ".join(each) for each in words)
    groups = tuple(f"g{row // 10}" for row in range(20))
    ceiling = noise_ceiling(Repeats(prompts, ("a", "b"), quality, ("x",) * 20, groups))
    assert ceiling.values["topic oracle"].value == 0
    assert ceiling.parts["topic"][0].value == 0
