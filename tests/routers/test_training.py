"""Training: the operating point is chosen out of fold, and only where it pays."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import choose_arms
from routerlib.records.decision import Estimates
from routerlib.routers.baselines import BestSingle, RandomRouter
from routerlib.routers.cross_fitting import cross_fit
from routerlib.routers.held_out import HeldOut
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.operating_points import choose_cost_weight
from routerlib.routers.training.train import at_operating_point, train_router

# 100 prompts, half of them easy: the small model is right there at a tenth of the cost.
EASY = np.arange(100) % 2 == 0
QUALITY = np.column_stack([EASY, np.ones(100)]).astype(float)
COST_USD = np.tile([0.1, 1.0], (100, 1))
WORDS = (
    "river moon paper chair cloud stone apple glass train candle window garden pepper tiger button "
    "velvet hammer island mirror lemon copper feather violin basket rocket walnut"
)
RNG = np.random.default_rng(0)
SUBJECTS = [" ".join(RNG.choice(WORDS.split(), 5, replace=False)) for _ in EASY]
HALF_EASY = Outcomes(
    [
        f"{'Poem on' if easy else 'Equation of'} {subject}"
        for easy, subject in zip(EASY, SUBJECTS, strict=True)
    ],
    ["small", "large"],
    QUALITY,
    COST_USD,
)


def estimates_of(quality: np.ndarray) -> Estimates:
    return Estimates(("small", "large"), quality, COST_USD)


def held(estimates: Estimates) -> HeldOut:
    return HeldOut(estimates, np.arange(len(estimates.quality)) % 5)


def test_cross_fitting_never_shows_a_prompt_or_its_copy() -> None:
    prompts = ["red apple pie", "Red  apple pie", "blue whale song", "green tea leaves"]
    outcomes = Outcomes(prompts, ["m"], quality=[[1], [1], [0], [0]])

    held_out = cross_fit(BestSingle, outcomes, n_folds=3)

    assert held_out.estimates.quality[:2].ravel().tolist() == [0, 0]


def test_cross_fitting_needs_two_distinct_prompts() -> None:
    with pytest.raises(ValueError, match="groups of distinct prompts"):
        cross_fit(BestSingle, Outcomes(["same", "same"], ["m"], quality=[[1], [0]]))


def test_good_estimates_save_without_loss() -> None:
    point = choose_cost_weight(held(estimates_of(0.1 + 0.8 * QUALITY)), HALF_EASY)

    assert point.fallback is None
    assert (point.quality, point.best_single_quality) == (1.0, 1.0)
    assert point.cost_usd == pytest.approx(0.55)
    assert point.gain_over_mixing == pytest.approx(0.25)


def test_of_cost_weights_that_are_nearly_as_sure_the_one_that_gives_up_least_is_chosen() -> None:
    # One hard prompt in fifty looks nearly easy: sending it to the small model too saves 2 % more.
    n = 1000
    easy = np.arange(n) % 2 == 0
    nearly = np.arange(n) % 50 == 1
    right = easy | (nearly & (np.arange(n) % 150 != 1))  # on 13 of those 20
    quality = np.column_stack([right, np.ones(n)]).astype(float)
    drawn = np.random.default_rng(0).choice(SUBJECTS, n)
    names = [f"{subject} {row}" for row, subject in enumerate(drawn)]
    outcomes = Outcomes(names, ["small", "large"], quality, np.tile([0.1, 1.0], (n, 1)))
    small = np.where(easy, 0.95, np.where(nearly, 0.7, 0.1))
    expected = np.column_stack([small, np.full(n, 0.95)])
    held_out = HeldOut(Estimates(("small", "large"), expected, outcomes.cost_usd), np.arange(n) % 5)

    point = choose_cost_weight(held_out, outcomes)

    assert (point.quality, point.cost_usd) == (1.0, pytest.approx(0.55))


def test_a_loss_that_can_not_be_excluded_is_not_risked() -> None:
    # Never a loss on 100 prompts: that excludes 3 points, but not half a point, and never 0.
    estimates = estimates_of(0.1 + 0.8 * QUALITY)
    for max_quality_loss in (0.005, 0.0):
        assert choose_cost_weight(held(estimates), HALF_EASY, max_quality_loss).fallback is not None


@pytest.mark.parametrize("n_prompts", [50, 100, 200])
@pytest.mark.parametrize("kind", ["nothing", "price"])
def test_an_operating_point_loses_no_more_than_noise_whatever_the_size(
    kind: Literal["nothing", "price"], n_prompts: int
) -> None:
    # Estimates are the truth and errors as large as the differences; the loss is the true one.
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(25):
        world = make_world(n_prompts=n_prompts, seed=int(rng.integers(1 << 30)), kind=kind)
        truth, cost_usd = world.expected_quality, world.outcomes.cost_usd
        guess = truth + rng.normal(0, 0.15, truth.shape)
        estimates = Estimates(world.outcomes.models, guess, cost_usd)
        point = choose_cost_weight(held(estimates), world.outcomes)
        best = world.outcomes.models.index(world.outcomes.best_single)
        arms = np.full(n_prompts, best)
        if point.fallback is None:
            arms = choose_arms(estimates, point.cost_weight)
        losses.append(truth[:, best].mean() - truth[np.arange(n_prompts), arms].mean())
    assert np.mean(losses) < 0.03


def test_prompts_that_repeat_each_other_prove_nothing_more() -> None:
    quality = np.tile([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0]], (25, 1))
    told = estimates_of(0.1 + 0.8 * quality)
    names, four = list(HALF_EASY.prompts), [f"document {i % 4}" for i in range(100)]
    alone = Outcomes(names, ["small", "large"], quality, COST_USD)
    together = Outcomes(names, ["small", "large"], quality, COST_USD, group_ids=four)

    assert choose_cost_weight(held(told), alone).fallback is None
    assert choose_cost_weight(held(told), together).fallback is not None


def test_estimates_that_tell_nothing_keep_to_the_best_single() -> None:
    noise = np.random.default_rng(0).random((100, 2)) * 0.05 + [0.5, 0.9]
    point = choose_cost_weight(held(estimates_of(noise)), HALF_EASY)

    assert point.cost_weight == 0
    assert point.fallback == "no gain over it could be shown on the training prompts"
    assert point.best_single == "large"


def told_with_errors(n_prompts: int, expected_gain: float, seed: int) -> tuple[HeldOut, Outcomes]:
    """Draw a world in which the small model is better on a third of the prompts, by 30 points."""
    rng = np.random.default_rng(seed)
    is_better = np.arange(n_prompts) % 3 == 0
    truth = np.column_stack([np.where(is_better, 0.8, 0.3), np.full(n_prompts, 0.5)])
    quality = (rng.random(truth.shape) < truth).astype(float)
    outcomes = Outcomes([f"p{i}" for i in range(n_prompts)], ["small", "large"], quality)
    guess = np.column_stack([np.where(is_better, 0.5 + 3 * expected_gain, 0.3), truth[:, 1]])
    unknown = np.full(guess.shape, np.nan)
    return held(Estimates(("small", "large"), guess, unknown)), outcomes


def test_a_gain_that_few_prompts_can_not_show_is_taken_from_estimates_that_are_believed() -> None:
    kept = {"seen alone": 0, "believed": 0}
    for seed in range(20):
        held_out, outcomes = told_with_errors(30, 0.1, seed)
        for name, given in (
            ("seen alone", held_out),
            ("believed", held_out._replace(is_drawn_together=True)),
        ):
            kept[name] += choose_cost_weight(given, outcomes).fallback is not None
    # The true gain is 10 points: expected rightly, and next to nothing on 30 prompts.
    assert kept["believed"] <= 1
    assert kept["seen alone"] >= 5


def test_an_expected_gain_that_was_not_seen_is_not_believed() -> None:
    # 30 points are expected where the chosen model is 30 points worse.
    _, outcomes = told_with_errors(200, 0.0, 0)
    is_worse = np.arange(200) % 3 != 0
    guess = np.column_stack([np.where(is_worse, 0.8, 0.3), np.full(200, 0.5)])
    estimates = Estimates(("small", "large"), guess, np.full(guess.shape, np.nan))

    point = choose_cost_weight(held(estimates)._replace(is_drawn_together=True), outcomes)

    assert point.fallback is not None


def test_no_operating_point_costs_more_than_the_best_single_without_a_gain() -> None:
    # The large model is a little worse, and its estimates say it is a little better on some.
    rng = np.random.default_rng(3)
    quality = (rng.random((100, 2)) < [0.7, 0.68]).astype(float)
    outcomes = Outcomes(list(HALF_EASY.prompts), ["small", "large"], quality, COST_USD)
    guess = np.column_stack([np.full(100, 0.7), 0.68 + 0.04 * EASY])
    held_out = HeldOut(Estimates(("small", "large"), guess, COST_USD), np.arange(100) % 5, True)

    point = choose_cost_weight(held_out, outcomes)

    arms = choose_arms(held_out.estimates, point.cost_weight)
    assert outcomes.best_single == "small"
    assert point.fallback is not None or (arms == 0).all()


@pytest.mark.parametrize(("gap", "is_sold"), [(0.02, True), (0.06, False)])
def test_a_gain_is_sold_only_for_a_saving_that_is_worth_more(gap: float, is_sold: bool) -> None:
    # The small model is better on two prompts of five, and worse by the gap on another two. Sending
    # it these too saves 56 % of the cost, which is worth 1.7 points, and gives up 0.8 or 2.4.
    kinds = np.array([0, 0, 1, 1, 2] * 80)
    small, large = np.array([0.9, 0.7, 0.1]), np.array([0.5, 0.7 + gap, 0.9])
    quality = np.column_stack([small[kinds], large[kinds]])
    cost_usd = np.tile([0.1, 1.0], (400, 1))
    names = [f"p{row}" for row in range(400)]
    outcomes = Outcomes(names, ["small", "large"], quality, cost_usd)

    point = choose_cost_weight(held(Estimates(("small", "large"), quality, cost_usd)), outcomes)

    assert point.cost_usd == pytest.approx(0.28 if is_sold else 0.64)
    assert point.quality > point.best_single_quality + 0.13


def test_mirrored_estimates_keep_to_the_best_single() -> None:
    assert (
        choose_cost_weight(held(estimates_of(0.9 - 0.8 * QUALITY)), HALF_EASY).fallback is not None
    )


def test_without_costs_only_quality_counts() -> None:
    quality = np.column_stack([EASY, ~EASY]).astype(float)
    unpriced = Outcomes(HALF_EASY.prompts, ["small", "large"], quality)
    nothing = np.full((100, 2), np.nan)

    skilled = choose_cost_weight(held(Estimates(("small", "large"), quality, nothing)), unpriced)
    blind = choose_cost_weight(held(Estimates(("small", "large"), 1 - quality, nothing)), unpriced)

    assert (skilled.cost_weight, skilled.fallback, skilled.quality) == (0, None, 1)
    assert blind.fallback is not None


@pytest.mark.parametrize("max_quality_loss", [-0.1, 1.5, float("nan")])
def test_a_loss_out_of_range_is_refused(max_quality_loss: float) -> None:
    with pytest.raises(ValueError, match=r"max_quality_loss must lie in \[0, 1\]"):
        choose_cost_weight(held(estimates_of(QUALITY)), HALF_EASY, max_quality_loss)


def test_training_learns_to_save_where_prompts_tell() -> None:
    router = train_router(HALF_EASY)

    assert router.fallback_ is None
    assert router.cost_weight_ > 0
    # New prompts of the same shape; poems are shorter, so a short equation would look like one.
    rng = np.random.default_rng(5)
    subjects = [" ".join(rng.choice(WORDS.split(), 5, replace=False)) for _ in range(40)]
    poems = [router.route(f"Poem on {subject}").model for subject in subjects]
    equations = [router.route(f"Equation of {subject}").model for subject in subjects]
    assert poems.count("small") > 0.9 * len(subjects)
    assert equations.count("large") > 0.9 * len(subjects)
    assert router.training_["cost_usd"] < 0.8 * router.training_["best_single_cost_usd"]


def test_where_nothing_can_be_learnt_the_best_single_is_kept() -> None:
    world = make_world(n_prompts=90, n_models=2, seed=1, kind="nothing").outcomes
    router = train_router(world)

    assert router.fallback_ is not None
    assert router.route(world.prompts[0]).model == world.best_single


@pytest.mark.parametrize("cost_weight", [-1.0, float("nan"), float("inf")])
def test_an_operating_point_has_a_finite_cost_weight_of_at_least_0(cost_weight: float) -> None:
    router = BestSingle().fit(HALF_EASY)
    with pytest.raises(ValueError, match="cost_weight must be finite and at least 0, got"):
        router.stand_at(cost_weight)
    with pytest.raises(ValueError, match="isn't fitted"):
        BestSingle().stand_at(0.0)
    assert router.cost_weight_ == 0.0


def test_prompts_that_chose_the_operating_point_count_as_seen() -> None:
    router = BestSingle().fit(HALF_EASY)
    before, ids = router.router_hash_, router.train_prompt_ids_
    assert router.stand_at(0.0, training={"why": "told"}).router_hash_ == before
    assert (router.train_prompt_ids_, router.training_) == (ids, {"why": "told"})
    assert router.stand_at(0.0, chosen_on=["b2:1"]).train_prompt_ids_ == (*ids, "b2:1")
    assert router.training_ == {}
    assert router.router_hash_ != before


def test_routers_that_decide_differently_are_told_apart(tmp_path: Path) -> None:
    router = BestSingle().fit(HALF_EASY)
    points = [(0.0, None), (313.0, None), (10_000.0, None), (313.0, "no gain"), (313.0, "too few")]
    found = {}
    for weight, fallback in points:
        router.stand_at(weight, fallback, {"n_prompts": 7}).save(tmp_path / "router.pkl")
        found[weight, fallback] = router.router_hash_
        assert load_router(tmp_path / "router.pkl").router_hash_ == router.router_hash_
    assert len(set(found.values())) == len(points)
    assert router.stand_at(313.0).router_hash_ == found[313.0, None]
    assert BestSingle().fit(HALF_EASY).stand_at(313).router_hash_ == found[313.0, None]


def test_the_operating_point_is_saved_with_the_router(tmp_path: Path) -> None:
    router = LGBMRouter().fit(HALF_EASY)
    router.stand_at(2.5, "because", {"n_prompts": 100})
    before = router.router_hash_
    router.save(tmp_path / "router.pkl")

    again = load_router(tmp_path / "router.pkl")

    assert (again.cost_weight_, again.fallback_) == (2.5, "because")
    assert again.training_ == {"n_prompts": 100}
    assert again.router_hash_ == before


def test_a_given_cost_weight_is_taken_as_it_is() -> None:
    router = train_router(HALF_EASY, cost_weight=0.7)

    assert (router.cost_weight_, router.fallback_) == (0.7, None)
    with pytest.raises(ValueError, match="cost_weight must be finite and at least 0, got -1"):
        train_router(HALF_EASY, cost_weight=-1)


def test_too_few_prompts_keep_to_the_best_single() -> None:
    router = train_router(HALF_EASY.take(range(6)))
    assert router.fallback_ == (
        "only 6 training prompts have every candidate observed, 20 are needed"
    )


def test_prompts_of_one_group_keep_to_the_best_single() -> None:
    n_prompts = 24
    alike = Outcomes(["the same again"] * n_prompts, ["small", "large"], [[0, 1]] * n_prompts)
    router = at_operating_point(KNNRouter(), alike)
    assert router.fallback_ == (
        "all training prompts are of one group, so none can be estimated from others"
    )


def test_any_router_operates_where_its_own_out_of_fold_estimates_pay() -> None:
    router = at_operating_point(KNNRouter(), HALF_EASY)

    point = choose_cost_weight(cross_fit(KNNRouter, HALF_EASY), HALF_EASY)
    assert (router.cost_weight_, router.fallback_) == (point.cost_weight, point.fallback)
    assert router.cost_weight_ > 0
    assert router.train_prompt_ids_ == HALF_EASY.prompt_ids
    assert router.training_["cost_weight_is"] == "chosen out of fold"
    assert router.training_["cost_usd"] < router.training_["best_single_cost_usd"]


def test_the_trained_router_is_one_at_its_operating_point() -> None:
    assert at_operating_point(LGBMRouter(), HALF_EASY).to_state() == (
        train_router(HALF_EASY).to_state()
    )


def test_a_router_without_estimates_has_no_operating_point_to_choose() -> None:
    with pytest.raises(ValueError, match="a RandomRouter estimates no quality"):
        at_operating_point(RandomRouter(), HALF_EASY)


def test_singles_are_compared_on_the_same_prompts_in_training() -> None:
    quality = QUALITY.copy()
    quality[:, 1] = 0.9
    quality[::2, 0] = 1
    quality[1::2, 0] = 0.95
    quality[80:] = [0.0, np.nan]
    partly = Outcomes(HALF_EASY.prompts, ["small", "large"], quality, COST_USD)
    router = BestSingle().fit(partly)

    assert router.best_single_ == "small"
    assert router.mean_quality_ == pytest.approx([0.975, 0.9])
    assert router.route("anything").model == "small"
    assert train_router(partly).training_["best_single"] == "small"
