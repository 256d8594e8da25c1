"""Cascades: look at the answer, ask on where that pays, and be the router where it doesn't."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from routerlib.evaluation.compare import compare
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_answer_world
from routerlib.policies.utility import choose_arms
from routerlib.routers import artifact
from routerlib.routers.artifact import ArtifactError
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter

RIGHT, WRONG = "We have 3 + 4 = 7.\nAnswer: 7", "We have 3 + 4 = 9.\nAnswer: 9"
# A call of the dear model costs about a tenth of what it is to get from 0 to 1.
WEIGHT = 200.0

ODD_ANSWERS = {
    "empty": "",
    "none": None,
    "a megabyte": "x" * 1_000_000,
    "brackets": "(" * 100_000,
    "thoughts": "<think>hm</think>\nAnswer: 7",
    "cut off in its thoughts": "<think>3 + 4 = 7, so the answer",
    "another language": "答案是 7。" * 50,
    "from right to left": "الجواب هو 7",
    "no text at all": "\x00\x01\ud800 \u2028\ufeff",
    "one line of a table": "| 7 |",
}


@pytest.fixture(scope="module")
def telling() -> tuple[Outcomes, Outcomes]:
    """Return train and test of a world in which every wrong answer shows that it is wrong."""
    return make_answer_world(n_prompts=400, seed=1).outcomes.split(random_state=0)


@pytest.fixture(scope="module")
def cascade(telling: tuple[Outcomes, Outcomes]) -> Cascade:
    train, _ = telling
    return Cascade(KNNRouter().fit(train)).fit(train)


def test_a_wrong_answer_leads_on_and_a_right_one_stands(cascade: Cascade) -> None:
    prompt = "Please explain the comet orbit?"
    first = cascade.start(prompt, cost_weight=WEIGHT)
    assert (first.model, first.stop) == ("m0", False)
    on = cascade.after(prompt, {"m0": WRONG}, cost_weight=WEIGHT)
    assert (on.model, on.stop, on.asked) == ("m1", False, ("m0",))
    stays = cascade.after(prompt, {"m0": RIGHT}, cost_weight=WEIGHT)
    assert (stays.model, stays.stop) == ("m0", True)
    assert stays.judged["m0"] > 0.8 > 0.2 > on.judged["m0"]


def test_who_cannot_answer_is_not_asked(cascade: Cascade) -> None:
    first = cascade.start("Why?", cost_weight=WEIGHT, among=["m1"])
    assert (first.model, set(first.estimates)) == ("m1", {"m1"})
    stays = cascade.after("Why?", {"m0": WRONG}, cost_weight=WEIGHT, among=["m0"])
    assert (stays.model, stays.stop) == ("m0", True)


def test_the_answer_believed_best_is_given_back_and_not_the_last(cascade: Cascade) -> None:
    step = cascade.after("Why?", {"m0": RIGHT, "m1": WRONG}, cost_weight=WEIGHT)
    assert (step.model, step.stop) == ("m0", True)


def test_the_dear_one_is_never_asked_where_its_price_is_too_high(cascade: Cascade) -> None:
    step = cascade.after("Why?", {"m0": WRONG}, cost_weight=1e9)
    assert (step.model, step.stop) == ("m0", True)


def test_replay_pays_for_every_call_and_is_what_the_steps_say(
    cascade: Cascade, telling: tuple[Outcomes, Outcomes]
) -> None:
    test = telling[1].take(range(12))
    replay = cascade.replay(test, cost_weight=WEIGHT)
    for row, prompt in enumerate(test.prompts):
        step, said = cascade.start(prompt, cost_weight=WEIGHT), {}
        while not step.stop:
            said[step.model] = test.answers[row][test.models.index(step.model)]
            step = cascade.after(prompt, said, cost_weight=WEIGHT)
        arms = [test.models.index(name) for name in said]
        assert replay.asked[row] == tuple(said)
        assert replay.given[row] == step.model
        assert replay.cost_usd[row] == pytest.approx(test.cost_usd[row, arms].sum())
        assert replay.quality[row] == test.quality[row, test.models.index(step.model)]
    assert replay.n_calls.max() == 2


def test_where_answers_tell_the_cascade_beats_the_router(
    cascade: Cascade, telling: tuple[Outcomes, Outcomes]
) -> None:
    table = compare({"router": cascade.router, "cascade": cascade}, telling[1], n_bootstrap=100)
    assert cascade.boldness_.share > 0
    assert table.loc["cascade", "AIQ_vs_first_low"] > 0
    assert table.loc["cascade", "APGR_vs_first_low"] > 0


def test_where_answers_tell_nothing_the_cascade_is_the_router() -> None:
    train, test = make_answer_world(n_prompts=400, seed=2, tell=0.0).outcomes.split(random_state=0)
    router = KNNRouter().fit(train)
    silent = Cascade(router).fit(train)
    assert silent.boldness_.share == 0
    estimates = router.predict(test.prompts)
    for weight in (0.0, WEIGHT, 1e6):
        replay = silent.replay(test, cost_weight=weight)
        arms = choose_arms(estimates, weight)
        assert replay.given == [test.models[arm] for arm in arms]
        assert (replay.n_calls == 1).all()
    table = compare({"router": router, "cascade": silent}, test, n_bootstrap=20)
    for metric in ("quality", "cost_usd", "AIQ"):
        assert table.loc["cascade", metric] == table.loc["router", metric]


def test_where_the_router_finds_no_point_the_cascade_may(
    telling: tuple[Outcomes, Outcomes],
) -> None:
    train, test = telling
    router = KNNRouter().fit(train).stand_at(0.0, fallback="no gain was seen")
    cascade = Cascade(router).fit(train)
    assert cascade.fallback_ is None
    assert cascade.cost_weight_ > 0
    replay = cascade.replay(test)
    best = test.models.index(router.best_single_)
    assert replay.cost_usd.mean() < test.cost_usd[:, best].mean()
    assert replay.quality.mean() > test.quality[:, best].mean() - 0.03
    promised = KNNRouter().fit(train)
    promised.stand_at(0.0, "nothing could be certified", {"cost_weight_is": "not certified"})
    kept = Cascade(promised).fit(train)
    assert set(kept.replay(test).given) == {router.best_single_}
    step = kept.start("Why?")
    assert step.model == router.best_single_
    assert kept.after("Why?", {step.model: WRONG}).stop


def test_a_saved_cascade_decides_the_same(
    cascade: Cascade, telling: tuple[Outcomes, Outcomes], tmp_path: Path
) -> None:
    cascade.save(tmp_path / "router_model.pkl")
    loaded = load_router(tmp_path / "router_model.pkl")
    assert isinstance(loaded, Cascade)
    assert loaded.router_hash_ == cascade.router_hash_
    kept, again = (each.replay(telling[1], cost_weight=WEIGHT) for each in (cascade, loaded))
    assert kept.asked == again.asked
    assert kept.given == again.given
    step = loaded.after("Why?", {"m0": WRONG}, cost_weight=WEIGHT)
    assert step == cascade.after("Why?", {"m0": WRONG}, cost_weight=WEIGHT)


def test_the_same_answers_give_the_same_file(telling: tuple[Outcomes, Outcomes]) -> None:
    train = telling[0].take(range(150))
    states = [Cascade(KNNRouter().fit(train)).fit(train).to_state() for _ in range(2)]
    assert states[0] == states[1]


def test_few_answers_leave_the_router_as_it_is() -> None:
    train = make_answer_world(n_prompts=25, seed=3).outcomes
    few = Cascade(KNNRouter().fit(train)).fit(train)
    assert few.boldness_.share == 0
    assert "too few" in few.boldness_.reason
    train = make_answer_world(n_prompts=56, seed=3).outcomes
    assert (
        Cascade(KNNRouter().fit(train))
        .fit(train)
        .boldness_.reason.endswith(
            "have every answer and its score; at least 60 prompts in 15 groups are needed"
        )
    )
    assert few.judgement_.judge("Why?", {"m0": WRONG})["m0"] == pytest.approx(
        few.router.predict(["Why?"]).quality[0, 0], abs=1e-6
    )


def test_a_cascade_around_a_certified_router_keeps_the_promise_by_being_the_router(
    telling: tuple[Outcomes, Outcomes],
) -> None:
    train, test = telling
    promised = KNNRouter().fit(train)
    promised.stand_at(WEIGHT, training={"cost_weight_is": "certified", "certificate": "At most."})
    kept = Cascade(promised).fit(train)
    assert (kept.boldness_.share, kept.boldness_.gain > 0) == (0.0, True)
    assert "certificate" in kept.boldness_.reason
    assert kept.replay(test).given == [each.model for each in promised.route(test.prompts)]
    assert kept.replay(test).n_calls.max() == 1


@pytest.mark.parametrize(
    "answer",
    [*ODD_ANSWERS.values()],
    ids=[*ODD_ANSWERS],
)
def test_any_answer_can_be_judged(cascade: Cascade, answer: str | None) -> None:
    step = cascade.after("What is 3 + 4?", {"m0": answer}, cost_weight=WEIGHT)
    assert 0 <= step.judged["m0"] <= 1
    (first, *_) = cascade.judgement_.explain("What is 3 + 4?", {"m0": answer}, "m0")
    assert np.isfinite(first.points)


def test_odd_answers_can_be_learnt_from_and_followed(telling: tuple[Outcomes, Outcomes]) -> None:
    train, test = telling
    odd = list(ODD_ANSWERS.values())
    spoilt = [[text, row[1]] for text, row in zip(odd, train.answers or (), strict=False)]
    spoilt += [list(row) for row in train.answers or ()][len(odd) :]
    cascade = Cascade(KNNRouter().fit(train)).fit(replace(train, answers=spoilt))
    assert cascade.judgement_.n_answers_ == train.quality.size - 1, "None is no answer"
    assert cascade.boldness_.share > 0
    part = replace(test.take(range(len(odd))), answers=[[text, RIGHT] for text in odd])
    replay = cascade.replay(part, cost_weight=WEIGHT)
    assert np.isfinite(replay.quality).all()
    assert set(replay.given) <= {"m0", "m1"}


def test_an_answer_that_says_nothing_or_is_cut_off_is_believed_less(cascade: Cascade) -> None:
    def judged(answer: str | None) -> float:
        return cascade.judgement_.judge("What is 3 + 4?", {"m0": answer})["m0"]

    for poor in ("", None, RIGHT[:9]):
        assert judged(poor) < judged(RIGHT)


def test_thoughts_are_no_part_of_the_answer_that_is_judged(cascade: Cascade) -> None:
    thought = "<think>3 + 4 = 9? No, 3 + 4 = 8. I am not sure.</think>\n"
    judge = cascade.judgement_.judge
    plain, thinking = (judge("Why?", {"m0": text})["m0"] for text in (RIGHT, thought + RIGHT))
    assert thinking == pytest.approx(plain, abs=1e-9)


def test_a_log_whose_answers_were_not_kept_says_so(telling: tuple[Outcomes, Outcomes]) -> None:
    train = replace(telling[0], answers=None)
    with pytest.raises(ValueError, match="hold no answers"):
        Cascade(KNNRouter().fit(train)).fit(train)


def test_log_probabilities_of_one_candidate_alone_are_read(cascade: Cascade) -> None:
    step = cascade.after(
        "Why?",
        {"m0": RIGHT, "m1": RIGHT},
        cost_weight=WEIGHT,
        logprobs={"m0": {"mean": -0.1, "least": -2.0}},
    )
    assert step.stop


def test_what_cannot_be_is_refused(cascade: Cascade, telling: tuple[Outcomes, Outcomes]) -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        cascade.after("Why?", {})
    with pytest.raises(ValueError, match="answers must be of m0, m1, got 'gpt'"):
        cascade.after("Why?", {"gpt": RIGHT})
    with pytest.raises(ValueError, match="must be text or None, got 7"):
        cascade.after("Why?", {"m0": 7})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="hold no answers"):
        cascade.replay(replace(telling[1], answers=None))
    with pytest.raises(ValueError, match="isn't fitted"):
        Cascade(cascade.router).start("Why?")
    with pytest.raises(ValueError, match="most_calls must be a whole number"):
        Cascade(cascade.router, most_calls=0)
    with pytest.raises(ValueError, match="cost_weight must be finite"):
        cascade.start("Why?", cost_weight=-1.0)
    with pytest.raises(ValueError, match="was not trained on"):
        compare({"cascade": cascade}, telling[0])


def test_at_most_so_many_are_asked() -> None:
    train, test = make_answer_world(n_prompts=300, n_models=3, seed=4).outcomes.split()
    router = KNNRouter().fit(train)
    one = Cascade(router, most_calls=1).fit(train)
    assert (one.replay(test, cost_weight=1.0).n_calls == 1).all()
    two = Cascade(router, most_calls=2).fit(train)
    assert two.replay(test, cost_weight=1.0).n_calls.max() == 2


def test_unknown_costs_leave_the_router_as_it_is() -> None:
    known = make_answer_world(n_prompts=120, seed=5).outcomes
    train = replace(known, cost_usd=np.full((120, 2), np.nan))
    unknown = Cascade(KNNRouter().fit(train)).fit(train)
    assert "costs are unknown" in unknown.boldness_.reason
    assert unknown.start("Why?").model == unknown.router.route("Why?").model


def test_a_judgement_is_explained_in_words(cascade: Cascade) -> None:
    reasons = cascade.judgement_.explain("Why?", {"m0": WRONG}, "m0")
    assert reasons[0].words == "a sum in it is wrong"
    assert reasons[0].points < -30
    with pytest.raises(ValueError, match="model must be one of m0, got 'm1'"):
        cascade.judgement_.explain("Why?", {"m0": WRONG}, "m1")


def test_a_wrong_answer_lowers_what_is_expected_of_others_where_they_share_a_cause() -> None:
    world = make_answer_world(n_prompts=500, seed=7, kind="price").outcomes
    hard = np.random.default_rng(0).random(len(world)) < 0.4
    shared = replace(world, quality=np.where(hard[:, None], 0.0, world.quality))
    judged_alike = [[WRONG if good == 0 else RIGHT for good in row] for row in shared.quality]
    train = replace(shared, answers=judged_alike)
    cascade = Cascade(KNNRouter().fit(train)).fit(train)
    assert (cascade.evidence_.pull[[0, 1], [1, 0]] > 0.1).all()
    free = make_answer_world(n_prompts=500, seed=8).outcomes
    apart = Cascade(KNNRouter().fit(free)).fit(free)
    assert cascade.evidence_.pull[0, 1] > 2 * apart.evidence_.pull[0, 1]


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("judgement", "models", [1, 2]),
        ("evidence", "pull", b"\x00" * 64),
        ("boldness", "share", "much"),
    ],
)
def test_a_file_that_can_not_judge_an_answer_is_refused_when_it_is_opened(
    cascade: Cascade, tmp_path: Path, part: str, name: str, value: object
) -> None:
    path = tmp_path / "router.pkl"
    cascade.save(path)
    held = artifact.load(path)
    state = copy.deepcopy(dict(held.state))
    assert name in state["learned"][part]
    state["learned"][part][name] = value
    artifact.save(state, path, {})
    with pytest.raises(ArtifactError, match="altered, damaged or of another version"):
        load_router(path)
