"""Every prompt is tested once, by a router that hasn't seen its group; the router learns all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from routerlib.evaluation.between_folds import CrossTested
from routerlib.evaluation.compare import compare
from routerlib.evaluation.cross_fit import cross_evaluate
from routerlib.evaluation.evaluate import evaluate
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import choose_arms
from routerlib.routers.baselines import RandomRouter, TopicTable
from routerlib.routers.loading import load_router
from routerlib.routers.router import Router
from routerlib.routers.training.cross_trained import cross_fitted, cross_trained, divide_for_test
from routerlib.routers.training.train import at_operating_point
from routerlib.show.held_out import split_as_trained

MODELS = ("small", "large")
WORDS = "river stone market window garden letter engine copper planet harbour winter".split()  # noqa: SIM905


def prompts_of(n, rng):
    return [f"{' '.join(rng.choice(WORDS, 8))} {rng.integers(10**9)}" for _ in range(n)]


class Remembers(Router):
    """Estimate 1 for prompts of families that it has seen, and 0.5 for others."""

    name = "remembers"

    def _learn(self, outcomes):
        self.seen = {prompt.split()[0] for prompt in outcomes.prompts}

    def _estimate(self, prompts, topics=None):
        quality = np.where([prompt.split()[0] in self.seen for prompt in prompts], 1.0, 0.5)
        return np.column_stack([quality, quality]), np.tile([0.1, 1.0], (len(prompts), 1))


class ByLetter(Router):
    """Expect of a prompt what others of its first letter had."""

    name = "by letter"

    def _learn(self, outcomes):
        letters = np.array([prompt[0] for prompt in outcomes.prompts])
        self.means = {
            letter: np.nan_to_num(np.nanmean(outcomes.quality[letters == letter], axis=0))
            for letter in set(letters)
        }

    def _estimate(self, prompts, topics=None):
        quality = np.array([self.means.get(p[0], self.mean_quality_) for p in prompts])
        return quality, np.tile(self.mean_cost_usd_, (len(prompts), 1))


class ByNumber(Router):
    """Expect of a prompt what others that end in the same two digits had, which is by chance."""

    name = "by number"

    def _learn(self, outcomes):
        ends = self._ends(outcomes.prompts)
        seen = [outcomes.quality[ends == end] for end in range(100)]
        self.means = np.array([each.mean(axis=0) for each in seen])

    def _estimate(self, prompts, topics=None):
        return self.means[self._ends(prompts)], np.tile(self.mean_cost_usd_, (len(prompts), 1))

    @staticmethod
    def _ends(prompts):
        return np.array([int(prompt[-2:]) for prompt in prompts])


def letter_world(n, seed, chances=((0.85, 0.85), (0.3, 0.85)), usd=(0.1, 1.0)):
    """Draw prompts of a few letters, each with its chance to be right of both models."""
    rng = np.random.default_rng(seed)
    letter = rng.integers(len(chances), size=n)
    prompts = [
        f"{'abcdefgh'[at]}{text}" for at, text in zip(letter, prompts_of(n, rng), strict=True)
    ]
    expected = np.array(chances)[letter]
    quality = (rng.random((n, 2)) < expected).astype(float)
    return Outcomes(prompts, MODELS, quality, np.tile(usd, (n, 1))), expected


def trained(outcomes):
    return at_operating_point(ByLetter(), outcomes)


def chosen_by_hand(router, outcomes):
    """Return per prompt the quality of what its fold's router chose minus its best single's."""
    record, rows = router.out_of_fold_, np.arange(len(outcomes))
    return outcomes.quality[rows, record.arms] - outcomes.quality[rows, record.best_arms]


def test_no_prompt_is_tested_by_a_router_that_has_seen_its_group():
    rng = np.random.default_rng(0)
    family = np.repeat(np.arange(20), 4)
    prompts = [f"family{at} {text}" for at, text in zip(family, prompts_of(80, rng), strict=True)]
    quality = rng.integers(0, 2, (80, 2)).astype(float)
    ids = [f"template {at}" for at in family]
    outcomes = Outcomes(prompts, MODELS, quality, np.tile([0.1, 1.0], (80, 1)), group_ids=ids)
    router = cross_trained(outcomes, Remembers().fit)
    assert (router.out_of_fold_.quality == 0.5).all()
    assert router.out_of_fold_.n_folds == 5
    assert router.train_prompt_ids_ == tuple(outcomes.prompt_ids)
    assert (router.predict(outcomes.prompts).quality == 1).all()


def test_the_difference_is_that_of_choices_out_of_fold():
    outcomes, _ = letter_world(300, seed=1, chances=((0.95, 0.7), (0.3, 0.85)))
    router, evaluation = cross_evaluate(outcomes, fit_router=trained, n_bootstrap=100)
    by_hand = chosen_by_hand(router, outcomes)
    assert evaluation.operating["quality_difference"].value == pytest.approx(by_hand.mean())
    assert evaluation.n == 300
    assert evaluation.verdict.kind == "pays"
    assert (
        "Tested on all 300 prompts by routers trained on 4/5 of them; the router in use is "
        "trained on all."
    ) in evaluation.verdict.notes
    assert evaluation.verdict.numbers["n_folds"] == 5
    assert evaluation.as_dict()["crossed"]["n_prompts"] == 300


def test_it_is_the_router_that_training_on_all_prompts_gives():
    outcomes, _ = letter_world(120, seed=2)
    router = cross_trained(outcomes, TopicTable().fit)
    assert router.router_hash_ == TopicTable().fit(outcomes).router_hash_


def test_a_saved_router_is_judged_as_before_it_was_saved(tmp_path):
    outcomes, _ = letter_world(90, seed=3)
    router = cross_trained(outcomes, TopicTable().fit, n_folds=3)
    before = evaluate(router, outcomes, n_bootstrap=50)
    router.save(tmp_path / "router.pkl")
    again = evaluate(load_router(tmp_path / "router.pkl"), outcomes, n_bootstrap=50)
    assert again.as_dict() == before.as_dict()


def test_what_no_router_could_have_chosen_is_refused():
    outcomes, _ = letter_world(60, seed=3)
    record = cross_trained(outcomes, TopicTable().fit).out_of_fold_
    state = record.to_state()
    assert type(record).from_state(state, 2).to_state() == state
    with pytest.raises(ValueError, match="must be among 2 models"):
        type(record).from_state(state | {"best": [0, 1, 2, 0, 0]}, 2)
    with pytest.raises(ValueError, match="must be 5 for each of 60"):
        type(record).from_state(state | {"fold": state["fold"][:-1]}, 2)


def test_prompts_that_were_learnt_without_folds_are_refused_all_the_same():
    outcomes, _ = letter_world(90, seed=4)
    with pytest.raises(ValueError, match="was not trained on"):
        evaluate(trained(outcomes), outcomes)


def test_new_prompts_are_tested_by_the_router_itself_beside_those_of_the_folds():
    outcomes, _ = letter_world(300, seed=5)
    old, new = outcomes.take(range(200)), outcomes.take(range(200, 300))
    router = cross_trained(old, trained)
    found = evaluate(router, outcomes, n_bootstrap=50)
    assert found.crossed is not None
    assert found.crossed.n_prompts == 200
    assert found.n == 300
    alone = evaluate(router, new, n_bootstrap=50)
    assert alone.crossed is None
    assert (
        alone.operating["quality_difference"]
        == evaluate(trained(old), new, n_bootstrap=50).operating["quality_difference"]
    )


def test_a_router_without_estimates_is_refused():
    outcomes, _ = letter_world(60, seed=6)
    with pytest.raises(ValueError, match="estimates no quality"):
        cross_trained(outcomes, RandomRouter().fit)


def test_best_single_is_chosen_by_other_prompts_than_those_it_is_compared_on():
    # Both models are equally good: whichever looks better on all prompts was lucky on them.
    differences = []
    for seed in range(40):
        outcomes, _ = letter_world(60, seed, chances=((0.5, 0.5),), usd=(1.0, 1.0))
        record = cross_trained(outcomes, TopicTable().fit).out_of_fold_
        best = outcomes.quality[np.arange(60), record.best_arms].mean()
        differences.append(best - 0.5)
    # The lucky one of two would be 4.1 points over its truth on average, with a spread of 5.6.
    assert abs(np.mean(differences)) < 0.025


def test_a_missing_cell_that_nobody_would_choose_costs_nothing():
    outcomes, _ = letter_world(400, seed=7, chances=((0.9, 0.85), (0.2, 0.85)))
    quality = outcomes.quality.copy()
    is_cut = np.array([prompt[0] == "b" for prompt in outcomes.prompts])
    is_cut &= np.random.default_rng(0).random(400) < 0.5
    quality[is_cut, 0] = np.nan  # the small model, where the large one is called
    cut = Outcomes(outcomes.prompts, MODELS, quality, outcomes.cost_usd)
    whole, less = (
        cross_evaluate(each, fit_router=trained, n_bootstrap=200).evaluation
        for each in (outcomes, cut)
    )
    assert less.n < 400
    assert less.verdict.numbers["n"] == 400
    ends = ("quality_difference_low", "quality_difference_high")
    width, full = (
        each.verdict.numbers[ends[1]] - each.verdict.numbers[ends[0]] for each in (less, whole)
    )
    assert width == pytest.approx(full, rel=0.15)
    assert "Tested on all 400 prompts" in less.verdict.sentence


def test_folds_that_choose_alike_bring_no_further_spread():
    outcomes, _ = letter_world(400, seed=8, chances=((0.9, 0.6), (0.2, 0.9)))
    evaluation = cross_evaluate(outcomes, fit_router=trained, n_bootstrap=100).evaluation
    assert evaluation.crossed is not None
    assert evaluation.crossed.spread["quality_difference"] == 0


def test_folds_that_choose_differently_widen_the_interval():
    chances = ((0.7, 0.75), (0.75, 0.7), (0.6, 0.7), (0.7, 0.6), (0.7, 0.7), (0.65, 0.7))
    outcomes, _ = letter_world(150, seed=9, chances=chances)
    router, evaluation = cross_evaluate(outcomes, fit_router=ByLetter().fit, n_bootstrap=100)
    found = evaluation.operating["quality_difference"]
    by_hand = chosen_by_hand(router, outcomes)
    naive = by_hand.std(ddof=1) / np.sqrt(150)
    assert evaluation.crossed.spread["quality_difference"] > 0.3 * naive
    assert found.se > 1.04 * naive
    assert found.high - found.low > 2 * 1.96 * 1.04 * naive


def test_intervals_hold_the_truth_of_the_router_that_is_trained_on_all():
    chances = ((0.7, 0.8), (0.85, 0.7), (0.6, 0.75), (0.8, 0.6), (0.75, 0.75), (0.5, 0.7))
    covered = 0
    for seed in range(40):
        outcomes, _ = letter_world(150, seed, chances)
        router, evaluation = cross_evaluate(outcomes, fit_router=ByLetter().fit, n_bootstrap=100)
        new, expected = letter_world(1000, 1000 + seed, chances)
        arms = router.predict(new.prompts).quality.argmax(axis=1)
        best = new.models.index(router.best_single_)
        truth = (expected[np.arange(1000), arms] - expected[:, best]).mean()
        low, high = evaluation.operating["quality_difference"][1:3]
        covered += low <= truth <= high
    assert covered >= 36  # 93 % of 40, less what chance takes


def test_where_nothing_is_gained_that_is_told():
    # Were each fold's router tried at a cost weight of its own, these would differ as chance wills.
    said = []
    for seed in (14, 15, 16):
        outcomes, _ = letter_world(1500, seed, chances=((0.5, 0.8),))
        router, evaluation = cross_evaluate(
            outcomes, fit_router=lambda few: at_operating_point(ByNumber(), few), n_bootstrap=100
        )
        assert router.fallback_ is not None
        said.append(evaluation.verdict.kind)
        own = choose_arms(router.predict(outcomes.prompts), router.training_["tried_cost_weight"])
        assert (router.out_of_fold_.chosen == own).mean() > 0.7
    assert said.count("does_not_pay") >= 2


def test_who_was_tested_is_told():
    told = CrossTested(10, 90, {}).told(120)
    assert told == (
        "Tested on 90 prompts by routers trained on 9/10 of them; the router in use is trained "
        "on all, and tested itself on 30 more."
    )


def test_few_prompts_are_dealt_into_folds_and_many_are_held_out():
    small, _ = letter_world(200, seed=10)
    dealt = divide_for_test(small)
    assert (dealt.n_folds, len(dealt.train), len(dealt.test)) == (5, 200, 200)
    held = divide_for_test(small, n_folds=0, test_size=0.25)
    assert (held.n_folds, len(held.train), len(held.test)) == (0, 150, 50)
    large, _ = letter_world(1000, seed=10)
    assert divide_for_test(large).n_folds == 0
    assert divide_for_test(large, n_folds=3).n_folds == 3
    with pytest.raises(ValueError, match="2 or more, or 0"):
        divide_for_test(small, n_folds=1)


def test_a_candidate_that_some_fold_could_not_learn_is_no_reason_to_fail():
    outcomes, _ = letter_world(60, seed=11)
    quality = outcomes.quality.copy()
    quality[1:, 0] = np.nan
    rare = Outcomes(outcomes.prompts, MODELS, quality, outcomes.cost_usd)
    assert divide_for_test(rare).n_folds == 0


def test_a_router_tested_out_of_fold_may_be_judged_on_all_prompts_it_knows():
    outcomes, _ = letter_world(120, seed=12)
    old = outcomes.take(range(100))
    train, test = split_as_trained(outcomes, cross_trained(old, TopicTable().fit))
    assert len(train) == 100
    assert len(test) == 120


def test_rivals_are_tested_in_the_same_folds():
    outcomes = make_world(n_prompts=90, n_models=2).outcomes
    router = cross_trained(outcomes, TopicTable().fit, n_folds=3)
    table = compare({"router": router}, outcomes, train=outcomes, n_bootstrap=50)
    assert table.loc["nearest neighbours", "n"] == 90
    evaluation = evaluate(router, outcomes, n_bootstrap=50)
    assert table.loc["router", "quality"] == pytest.approx(evaluation.operating["quality"].value)
    assert table.loc["best single", "quality_difference"] == 0


def test_a_rival_chooses_for_no_prompt_of_a_family_that_it_has_seen():
    family = np.repeat(np.arange(20), 4)
    rng = np.random.default_rng(0)
    prompts = [f"family{at} {text}" for at, text in zip(family, prompts_of(80, rng), strict=True)]
    quality = rng.integers(0, 2, (80, 2)).astype(float)
    outcomes = Outcomes(prompts, MODELS, quality, np.tile([0.1, 1.0], (80, 1)))
    rival = cross_fitted(Remembers(), outcomes, family % 4)
    assert (rival.out_of_fold_.quality == 0.5).all()
    assert (rival.predict(outcomes.prompts).quality == 1).all()


def test_where_labels_were_bought_prompts_are_held_out_that_buying_left_alone():
    outcomes, _ = letter_world(100, seed=13)
    inclusion = np.ones((100, 2))
    inclusion[:60, 0] = 0.5
    bought = replace(outcomes, inclusion=inclusion)
    assert divide_for_test(bought).n_folds == 0
