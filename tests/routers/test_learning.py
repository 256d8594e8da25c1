"""What routers learn: more than rivals where there is a pattern, nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routerlib.features.learners.network import Labels, Network
from routerlib.features.prompt_columns import PLAIN
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.baselines import BestSingle, TopicTable
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter


def chosen_quality(router, world, rows) -> float:
    """Return the true mean quality of what a router chooses on some prompts of a world."""
    prompts = [world.outcomes.prompts[row] for row in rows]
    arms = router.predict(prompts).quality.argmax(axis=1)
    return float(world.expected_quality[rows, arms].mean())


@pytest.fixture(scope="module")
def skilled():
    """Return a world of six topics with three winners, 300 of its prompts to train on."""
    world = make_world(n_prompts=700, n_models=3, seed=11)
    return world, world.outcomes.take(range(300)), np.arange(300, 700)


@pytest.fixture(scope="module")
def router(skilled):
    return LGBMRouter(random_state=0).fit(skilled[1])


def test_it_chooses_at_least_as_well_as_its_rivals_where_topics_differ(skilled, router) -> None:
    world, train, rows = skilled
    ours = chosen_quality(router, world, rows)
    rivals = [KNNRouter(), LinearRouter(), LGBMRouter(groups=PLAIN), BestSingle()]
    for rival in rivals:
        assert ours > chosen_quality(rival.fit(train), world, rows) - 0.01, rival.name
    best = world.expected_quality[rows].max(axis=1).mean()
    single = world.expected_quality[rows].mean(axis=0).max()
    assert ours > single + 0.6 * (best - single)


def test_a_network_that_adds_to_good_estimates_errs_less_than_one_that_starts_anew() -> None:
    errors = np.mean([_errors_of_networks(seed) for seed in range(100, 104)], axis=0)
    added, anew, start = errors.tolist()

    assert added < 0.7 * anew
    assert added < start


def _errors_of_networks(seed: int) -> list[float]:
    """Return the errors of one that adds to good estimates, one that starts anew, and theirs."""
    rng = np.random.default_rng(seed)
    columns, start = rng.normal(size=(400, 20)), rng.normal(0, 1.5, (400, 2))
    truth = 1 / (1 + np.exp(-(start + 0.5 * columns[:, :1])))
    quality = (rng.random(truth.shape) < truth).astype(float)
    train, test = slice(300), slice(300, None)
    nothing = np.zeros((300, 0))

    anew = Network.fit(columns[train], Labels(quality[train], nothing), seed)
    added = Network.fit(columns[train], Labels(quality[train], nothing, start[train]), seed)

    expected = [
        added.predict(columns[test], start[test]),
        anew.predict(columns[test]),
        1 / (1 + np.exp(-start[test])),
    ]
    return [float(np.abs(each - truth[test]).mean()) for each in expected]


def test_networks_side_by_side_differ_and_repeat() -> None:
    rng = np.random.default_rng(0)
    columns, quality = rng.normal(size=(200, 6)), rng.integers(0, 2, (200, 3)).astype(float)
    quality[::7, 1] = np.nan
    labels = Labels(quality, np.zeros((200, 0)))

    one, again, other = (Network.fit(columns, labels, seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(one.first, again.first)
    assert not np.array_equal(one.first, other.first)
    blocks = np.split(one.first, 3, axis=1)
    assert np.abs(blocks[0] - blocks[1]).mean() > 0.1 * np.abs(blocks[0]).mean()
    means = one.predict(columns).mean(axis=0)
    np.testing.assert_allclose(means, np.nanmean(quality, axis=0), atol=0.05)


def test_a_told_topic_moves_the_network(skilled, router, tmp_path: Path) -> None:
    _, train, _ = skilled
    prompts, others = train.prompts[:20], train.topics[1:21]
    router.save(tmp_path / "router.pkl")
    again = load_router(tmp_path / "router.pkl")
    at = [name.startswith("network_quality") for name in router.feature_names_]

    detected, told = router.features(prompts)[:, at], router.features(prompts, others)[:, at]

    assert np.abs(detected - told).max() > 0.1
    np.testing.assert_array_equal(again.features(prompts, others)[:, at], told)


@pytest.mark.parametrize("make", [MLPRouter, TopicTable])
def test_routers_that_learn_topics_beat_the_best_single(skilled, make) -> None:
    world, train, rows = skilled
    gain = chosen_quality(make().fit(train), world, rows) - chosen_quality(
        BestSingle().fit(train), world, rows
    )
    assert gain > 0.1


@pytest.mark.parametrize("n_prompts", [50, 150])
def test_where_there_is_nothing_to_learn_it_keeps_to_the_best_single(n_prompts: int) -> None:
    losses = []
    for seed in range(4):
        world = make_world(n_prompts=n_prompts + 200, n_models=3, seed=seed, kind="nothing")
        train = world.outcomes.take(range(n_prompts))
        rows = np.arange(n_prompts, n_prompts + 200)
        single = train.models.index(train.best_single)
        kept = float(world.expected_quality[rows, single].mean())
        losses.append(kept - chosen_quality(LGBMRouter().fit(train), world, rows))
    assert np.mean(losses) < 0.01


def test_told_topics_help_where_prompts_say_nothing() -> None:
    rng = np.random.default_rng(0)
    topics = [("easy", "hard")[row % 2] for row in range(200)]
    chance = np.array([[0.9, 0.5] if topic == "easy" else [0.2, 0.8] for topic in topics])
    prompts = [f"{rng.integers(10**6)} {rng.integers(10**9)}" for _ in topics]
    quality = (rng.random((200, 2)) < chance).astype(float)
    router = LGBMRouter().fit(Outcomes(prompts, ["a", "b"], quality, topics=topics))
    estimates = router.predict(["12 34", "12 34"], topics=["easy", "hard"]).quality
    assert estimates.argmax(axis=1).tolist() == [0, 1]


def test_a_candidate_is_added_from_fifty_labels_and_nothing_else_changes(skilled) -> None:
    world, train, rows = skilled
    known = Outcomes(
        train.prompts, train.models[:2], train.quality[:, :2], train.cost_usd[:, :2], train.topics
    )
    new = train.take(range(50))
    newcomer = Outcomes(
        new.prompts, ["m2"], new.quality[:, 2:], new.cost_usd[:, 2:], new.topics, new.prompt_ids
    )
    router = LGBMRouter(random_state=0).fit(known)
    prompts = [world.outcomes.prompts[row] for row in rows]
    before, was = router.predict(prompts), router.router_hash_

    after = router.add_candidate(newcomer).predict(prompts)

    assert after.models == ("m0", "m1", "m2")
    np.testing.assert_array_equal(after.quality[:, :2], before.quality)
    np.testing.assert_array_equal(after.cost_usd[:, :2], before.cost_usd)
    assert abs(after.quality[:, 2].mean() - newcomer.quality.mean()) < 0.1
    ratio = after.cost_usd[:, 2].mean() / world.outcomes.cost_usd[rows, 2].mean()
    assert 0.8 < ratio < 1.25
    assert router.router_hash_ != was
    columns = router.features(prompts[:5])
    raw = router.contributions(columns, "m2").sum(axis=1)
    np.testing.assert_allclose(router.quality_scale("m2").quality(raw), after.quality[:5, 2])
    log_cost = router.contributions(columns, "m2", "cost").sum(axis=1)
    np.testing.assert_allclose(np.exp(log_cost), after.cost_usd[:5, 2])
    for target in ("quality", "cost"):
        at_once = router.contributions_all(columns, target)
        one_by_one = [router.contributions(columns, model, target) for model in after.models]
        np.testing.assert_array_equal(at_once, np.stack(one_by_one, axis=1))
    with pytest.raises(ValueError, match="candidate 'm2' is known already"):
        router.add_candidate(newcomer)


def test_an_added_candidate_learns_what_is_hard_from_the_others() -> None:
    world = make_world(n_prompts=500, n_models=4, seed=4, kind="price")
    train = world.outcomes.take(range(300))
    few = train.quality.copy()
    few[60:, 3] = np.nan
    router = LGBMRouter().fit(Outcomes(train.prompts, train.models, few, train.cost_usd))
    expected = router.predict(world.outcomes.prompts[300:]).quality[:, 3]
    truth = world.expected_quality[300:, 3]
    assert np.corrcoef(expected, truth)[0, 1] > 0.5
    blind = np.abs(np.nanmean(few[:, 3]) - truth).mean()
    assert np.abs(expected - truth).mean() < blind


def test_an_added_candidate_is_kept_in_the_file(skilled, tmp_path: Path) -> None:
    _, train, _ = skilled
    few = train.quality.copy()
    few[10:, 2] = np.nan
    router = LGBMRouter().fit(Outcomes(train.prompts, train.models, few, train.cost_usd))
    router.save(tmp_path / "router.pkl")
    again = load_router(tmp_path / "router.pkl")
    prompts = list(train.prompts[:20])
    np.testing.assert_array_equal(again.predict(prompts).quality, router.predict(prompts).quality)


@pytest.mark.parametrize("kind", ["skill", "price", "nothing"])
def test_intervals_of_expected_quality_hold_the_truth(kind) -> None:
    covered, widths = [], []
    for seed in range(2):
        world = make_world(n_prompts=450, n_models=3, seed=seed, kind=kind)
        router = LGBMRouter().fit(world.outcomes.take(range(250)))
        low, high = router.quality_interval(world.outcomes.prompts[250:], level=0.9)
        truth = world.expected_quality[250:]
        covered.append(((low <= truth) & (truth <= high)).mean())
        widths.append((high - low).mean())
    assert np.mean(covered) > 0.85
    assert np.mean(widths) < 0.6


def test_intervals_grow_with_the_level(router, skilled) -> None:
    prompts = list(skilled[1].prompts[:10])
    narrow, wide = (router.quality_interval(prompts, level=level) for level in (0.5, 0.95))
    assert (wide[0] <= narrow[0]).all()
    assert (wide[1] >= narrow[1]).all()
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 1"):
        router.quality_interval(prompts, level=1)


def test_the_nearest_prompts_are_found(router, skilled) -> None:
    _, train, _ = skilled
    rows, similarities = router.nearest(train.prompts[:5], k=3)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(similarities, axis=1) <= 0).all()
    np.testing.assert_array_equal(router.train_quality(rows[:, 0]), train.quality[:5])
    assert BestSingle().fit(train).nearest(["x"], 3)[0].shape == (1, 0)


def vowels(texts: list[str]) -> np.ndarray:
    return np.array([[text.count(vowel) for vowel in "aeiou"] for text in texts], dtype=float)


def test_a_router_with_a_function_as_encoder_needs_it_again(skilled, tmp_path: Path) -> None:
    _, train, _ = skilled
    few = train.take(range(80))
    path = tmp_path / "router.pkl"
    router = LGBMRouter(encoder=vowels).fit(few)
    router.save(path)
    prompts = list(few.prompts[:3])
    with pytest.raises(ValueError, match="with an encoder of its own; hand it over"):
        load_router(path).predict(prompts)
    again = load_router(path, encoder=vowels)
    np.testing.assert_array_equal(again.predict(prompts).quality, router.predict(prompts).quality)


def test_a_file_is_the_same_whatever_the_number_of_threads(skilled, tmp_path: Path) -> None:
    from threadpoolctl import threadpool_limits

    _, train, _ = skilled
    few = train.take(range(120))
    for n_threads in (1, 2):
        with threadpool_limits(limits=n_threads):
            LGBMRouter().fit(few).save(tmp_path / f"{n_threads}.pkl")
    assert (tmp_path / "1.pkl").read_bytes() == (tmp_path / "2.pkl").read_bytes()
