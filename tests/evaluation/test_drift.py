"""Drift is told at any of many looks where it is, and not where it isn't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from routerlib.evaluation.drift import measure_drift, since_training
from routerlib.evaluation.misjudged import Misjudged, _design_effect, judge_estimates
from routerlib.evaluation.shifted import drawn_rows, share_drawn
from routerlib.outcomes.families import families_of
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.decision import Estimates
from routerlib.routers.held_out_errors import HeldOutErrors
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.train import at_certified_point, at_operating_point, train_router

N_TRAIN = 450


def knowing(errors: HeldOutErrors, quality: float) -> Any:
    """Return a router of one candidate that expects one quality of every prompt."""
    return SimpleNamespace(
        models_=("m",),
        held_out_errors_=errors,
        predict=lambda texts: Estimates(
            ("m",), np.full((len(texts), 1), quality), np.zeros((len(texts), 1))
        ),
    )


def errors_of(observed: float, n: int = N_TRAIN, expected: float = 0.8) -> HeldOutErrors:
    """Measure errors of estimates that are all alike; a share of `observed` answers was right."""
    right = (np.arange(n) < observed * n).astype(float)[:, None]
    found = HeldOutErrors.of(np.full((n, 1), expected), right, np.arange(n))
    assert found is not None
    return found


def answered(quality: list[float]) -> Outcomes:
    """Return prompts, none like another, in order."""
    words = np.random.default_rng(0).integers(2**62, size=len(quality))
    return Outcomes([f"{word:016x}" for word in words], ["m"], np.array(quality)[:, None])


def judged(quality: list[float], errors: HeldOutErrors) -> Misjudged:
    return judge_estimates(knowing(errors, 0.8), answered(quality), 0.05)["m"]


def repeated(n: int, share: float) -> list[float]:
    """Return n qualities, the same share of each ten right."""
    return [float(number % 10 < round(10 * share)) for number in range(n)]


# -- one candidate ---


def test_what_was_seen_out_of_fold_is_expected_and_no_change() -> None:
    # Estimates said 0.8 and 0.7 was seen at training time: 0.7 later is no change.
    found = judged(repeated(1000, 0.7), errors_of(0.7))
    assert found.to_do == "nothing"
    assert found.expected == pytest.approx(0.7, abs=1e-9)
    assert found.error.low < 0 < found.error.high
    assert judged(repeated(1000, 0.7), errors_of(0.8)).to_do == "retrain"


def test_fewer_training_prompts_make_the_expectation_less_sure() -> None:
    many, few = (judged(repeated(600, 0.7), errors_of(0.8, n)) for n in (2000, 60))
    assert many.to_do == "retrain"
    assert few.to_do == "nothing"
    assert few.error.low < many.error.low < many.error.value


def test_an_error_never_means_a_quality_outside_0_and_1() -> None:
    for share in (0.0, 1.0):
        found = judged([share] * 40, errors_of(0.9))
        assert 0 <= found.expected <= 1
        assert found.error.value == pytest.approx(found.observed - found.expected)
        assert found.expected + found.error.low >= -1e-12
        assert found.expected + found.error.high <= 1 + 1e-12
        assert found.error.low <= found.error.value <= found.error.high


def test_a_late_fall_is_told_with_the_answers_since() -> None:
    found = judged([*repeated(1500, 0.8), *repeated(600, 0.6)], errors_of(0.8))
    assert found.to_do == "retrain"
    assert (found.n, found.n_since) == (2100, 600)
    assert found.error.value == pytest.approx(-0.2, abs=0.02)
    assert found.error.high < 0


def test_a_candidate_that_is_better_asks_for_recalibration_only() -> None:
    found = judged(repeated(800, 1.0), errors_of(0.8))
    assert found.to_do == "recalibrate"
    assert found.error.low > 0


def test_copies_of_a_prompt_are_one_piece_of_evidence() -> None:
    fallen = repeated(400, 0.6)
    assert judged(fallen, errors_of(0.8, 2000)).to_do == "retrain"
    copies = Outcomes([f"copy {n // 40}" * 5 for n in range(400)], ["m"], np.array([fallen]).T)
    grouped = replace(copies)
    object.__setattr__(grouped, "_groups", np.arange(400) // 40)
    wide = judge_estimates(knowing(errors_of(0.8, 2000), 0.8), grouped, 0.05)["m"]
    narrow = judged(fallen, errors_of(0.8, 2000))
    assert wide.error.high - wide.error.low > 1.5 * (narrow.error.high - narrow.error.low)


def test_few_answers_ask_for_more() -> None:
    assert judged(repeated(20, 0.0), errors_of(0.8)).to_do == "judge more"


def test_drawn_in_estimates_are_no_drift_when_other_prompts_come() -> None:
    # Half of the prompts are easy (0.9 right, estimated 0.8), half hard (0.5, estimated 0.6).
    n = 2000
    is_easy = np.arange(n) % 2 == 0
    right = np.where(is_easy, np.arange(n) % 20 < 18, np.arange(n) % 20 < 10).astype(float)
    estimated = np.where(is_easy, 0.8, 0.6)
    found = HeldOutErrors.of(estimated[:, None], right[:, None], np.arange(n))
    assert found is not None
    hard = judge_estimates(knowing(found, 0.6), answered(repeated(600, 0.5)), 0.05)["m"]
    assert hard.expected == pytest.approx(0.5, abs=0.01)
    assert hard.to_do == "nothing"


# -- a router, its file and its log ---


@pytest.fixture(scope="module")
def trained() -> tuple[KNNRouter, Outcomes]:
    outcomes = make_world(N_TRAIN + 600, n_models=2, seed=3).outcomes
    return at_operating_point(KNNRouter(), outcomes.take(range(N_TRAIN))), outcomes


def test_a_router_file_keeps_the_errors_and_its_hash_leaves_them_out(
    trained: tuple[KNNRouter, Outcomes], tmp_path: Path
) -> None:
    router, outcomes = trained
    router.save(tmp_path / "router.pkl")
    back = load_router(tmp_path / "router.pkl")
    assert router.held_out_errors_ is not None
    assert back.held_out_errors_ is not None
    assert back.held_out_errors_.to_state() == router.held_out_errors_.to_state()
    assert back.held_out_errors_.n.tolist() == [N_TRAIN, N_TRAIN]
    bare = KNNRouter().fit(outcomes.take(range(N_TRAIN)))
    assert bare.held_out_errors_ is None
    bare.stand_at(router.cost_weight_, router.fallback_)
    assert bare.router_hash_ == back.router_hash_


def test_a_file_of_before_opens_and_drift_says_what_it_lacks(
    trained: tuple[KNNRouter, Outcomes],
) -> None:
    router, outcomes = trained
    state = router.to_state()
    del state["held_out_errors"]
    old = KNNRouter.from_state(state)
    assert old.held_out_errors_ is None
    found, known = measure_drift(old, outcomes), measure_drift(router, outcomes)
    assert "The router keeps no errors out of fold" in found.sentence
    assert "keeps no errors" not in known.sentence
    assert found.calibration.error_low["m0"] < known.calibration.error_low["m0"]


@pytest.mark.parametrize("odd", [[-1.0, 0.1], [0.0, 0.1], [float("nan"), 0.1], [0.1], [[0.1, 0.1]]])
def test_altered_errors_are_refused(trained: tuple[KNNRouter, Outcomes], odd: Any) -> None:
    state = trained[0].to_state()
    state["held_out_errors"]["variance"] = odd
    with pytest.raises(ValueError, match="held-out errors must"):
        KNNRouter.from_state(state)


def test_a_certificate_measures_errors_on_its_calibration_prompts() -> None:
    train = make_world(200, n_models=2, seed=1).outcomes
    router = at_certified_point(KNNRouter(), train, epsilon=0.05, delta=0.1)
    assert router.held_out_errors_ is not None
    assert router.held_out_errors_.n.tolist() == [60, 60]
    assert train_router(train.take(range(30)), cost_weight=1.0).held_out_errors_ is None


def test_nothing_changes_for_thirty_looks(trained: tuple[KNNRouter, Outcomes]) -> None:
    router, outcomes = trained
    looks = (measure_drift(router, outcomes.take(range(n))) for n in range(470, 1051, 20))
    assert not [look.sentence for look in looks if look.reasons]


def test_other_topics_are_no_drift_of_a_candidate(trained: tuple[KNNRouter, Outcomes]) -> None:
    router, outcomes = trained
    assert outcomes.topics is not None
    is_kept = np.isin(outcomes.topics, ["law", "music"]) | (np.arange(len(outcomes)) < N_TRAIN)
    found = measure_drift(router, outcomes.take(is_kept))
    assert not found.calibration.is_misjudged.any()


def test_changed_prompts_are_a_reason_until_the_estimates_are_shown_to_hold() -> None:
    world = make_world(3000, n_models=2, kind="nothing", seed=5).outcomes
    longer = [*world.prompts[:1000], *(f"{text} Thanks, {text}" for text in world.prompts[1000:])]
    changed = Outcomes(longer, world.models, world.quality, world.cost_usd)
    router = at_operating_point(KNNRouter(), changed.take(range(1000)))
    early = measure_drift(router, changed.take(range(1100)))
    assert early.to_do == "retrain"
    assert "prompts have changed in" in early.sentence
    late = measure_drift(router, changed)
    assert late.to_do == "nothing"
    assert "Prompts have changed in" in late.sentence
    assert "and the estimates hold for them" in late.sentence


def test_prompts_held_out_of_training_are_no_news(trained: tuple[KNNRouter, Outcomes]) -> None:
    _, outcomes = trained
    learnt, _ = outcomes.take(range(N_TRAIN)).split(0.3, 0)
    router = KNNRouter().fit(learnt)
    at_once = since_training(router, outcomes.take(range(N_TRAIN)))
    assert measure_drift(router, at_once).to_do == "wait"
    told = measure_drift(router, learnt).sentence
    counts = f"0 recent prompts against {len(learnt)} training prompts"
    assert told == f"Nothing with a score has come in since training ({counts})."
    later = since_training(router, outcomes)
    assert 600 <= measure_drift(router, later).n_now < 620


def test_topics_in_the_order_of_a_file_are_no_change(trained: tuple[KNNRouter, Outcomes]) -> None:
    _, outcomes = trained
    assert outcomes.topics is not None
    ordered = outcomes.take(np.argsort(outcomes.topics, kind="stable"))
    learnt, _ = ordered.split(0.5, 0)
    assert measure_drift(KNNRouter().fit(learnt), ordered).to_do == "nothing"


def test_too_few_prompts_are_told_with_what_is_lacking(
    trained: tuple[KNNRouter, Outcomes],
) -> None:
    router, outcomes = trained
    told = measure_drift(router, outcomes.take(range(N_TRAIN + 1))).sentence
    assert f"1 recent prompt against {N_TRAIN} training prompts" in told
    assert told.endswith("ask again once 29 more prompts came in and were judged.")
    few = KNNRouter().fit(outcomes.take(range(20)))
    told = measure_drift(few, outcomes.take(range(120))).sentence
    assert told.endswith("the router has to learn from 30 at least, so train it again.")


# -- many prompts ---


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> int:
    """Have near-duplicates looked for among 80 prompts at most."""
    monkeypatch.setattr("routerlib.evaluation.shifted.MOST_GROUPED", 80)
    return 80


def test_of_many_prompts_a_part_is_drawn_for_features_and_near_duplicates_which_is_told(
    trained: tuple[KNNRouter, Outcomes], few_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    router, outcomes = trained
    outcomes = outcomes.take(range(N_TRAIN + 300))
    outcomes = Outcomes(  # nobody has looked for groups yet
        outcomes.prompts, outcomes.models, outcomes.quality, outcomes.cost_usd
    )
    asked: list[int] = []

    def counting(prompts: Any) -> Any:
        asked.append(len(prompts))
        return families_of(prompts)

    monkeypatch.setattr("routerlib.outcomes.outcomes.families_of", counting)
    found = measure_drift(router, outcomes)
    assert max(asked) < 1.5 * few_at_once
    assert found.n_now == 300
    assert found.calibration.n.max() == 300
    assert "drawn at random" in found.sentence
    assert found.to_do == "nothing"


def test_answers_count_all_where_a_part_is_drawn(
    trained: tuple[KNNRouter, Outcomes], few_at_once: int
) -> None:
    router, outcomes = trained
    outcomes = outcomes.take(range(N_TRAIN + 300))
    worse = outcomes.quality.copy()
    worse[N_TRAIN:] = np.clip(worse[N_TRAIN:] - 0.5, 0, 1)
    found = measure_drift(router, replace(outcomes, quality=worse))
    assert set(found.calibration.to_do) == {"retrain"}
    assert (found.calibration.n == 300).all()


def test_estimates_are_asked_for_some_prompts_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    whole = judged(repeated(100, 0.8), errors_of(0.8))
    router = knowing(errors_of(0.8), 0.8)
    predict = router.predict
    router.predict = lambda texts: asked.append(len(texts)) or predict(texts)
    monkeypatch.setattr("routerlib.evaluation.misjudged.MOST_AT_ONCE", 40)
    assert judge_estimates(router, answered(repeated(100, 0.8)), 0.05)["m"] == whole
    assert asked == [40, 40, 20]


def test_a_draw_is_the_same_until_the_prompts_have_doubled(few_at_once: int) -> None:
    outcomes = answered([1.0] * 700)
    at_320, at_639, at_640 = (
        {outcomes.prompt_ids[row] for row in drawn_rows(outcomes, share_drawn(n)) if row < 320}
        for n in (320, 639, 640)
    )
    assert at_320 == at_639
    assert at_640 < at_320


def test_a_draw_finds_by_how_much_near_duplicates_err_together() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(4_000), 3)
    errors = np.repeat(rng.normal(size=4_000), 3)
    drawn = np.sort(rng.permutation(12_000)[:3_000])
    assert _design_effect(errors, groups, 12_000) == pytest.approx(3.0)
    assert _design_effect(errors[drawn], groups[drawn], 12_000) == pytest.approx(3.0, rel=0.1)
