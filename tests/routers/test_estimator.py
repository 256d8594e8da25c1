"""Routers are what users of scikit-learn rely on, and show themselves in a notebook."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate

import routerlib as rl
from routerlib.outcomes.worlds import make_world

ROLES = {"cheapest": "m0", "cheap": "m0", "coder": "m1", "strongest": "m1"}


@pytest.fixture(scope="module")
def world() -> rl.Outcomes:
    return make_world(n_prompts=120, n_models=2, seed=3).outcomes


def made() -> list[rl.BestSingle]:
    """Return one of every router, with an argument that isn't the usual one where it has any."""
    return [
        rl.BestSingle(),
        rl.RandomRouter(random_state=7),
        rl.TopicTable(random_state=7),
        rl.ClusterTable(random_state=7),
        rl.KNNRouter(n_neighbors=5),
        rl.LinearRouter(random_state=7),
        rl.MLPRouter(random_state=7),
        rl.MFRouter(random_state=7),
        rl.LowRankRouter(random_state=7),
        rl.OneFactorRouter(random_state=7),
        rl.LGBMRouter(random_state=7, objective="best_model"),
        rl.UntunedLGBMRouter(random_state=7),
        rl.RuleRouter(ROLES),
    ]


@pytest.mark.parametrize("router", made(), ids=lambda router: type(router).__name__)
def test_every_router_is_cloned_with_its_parameters_and_nothing_learnt(
    router: rl.BestSingle, world: rl.Outcomes
) -> None:
    twin = clone(router)
    assert type(twin) is type(router)
    assert twin.get_params() == router.get_params()
    assert twin.set_params(**router.get_params()).get_params() == router.get_params()


def test_parameters_are_checked_when_they_are_set() -> None:
    router = rl.KNNRouter().set_params(n_neighbors=3)
    assert router.n_neighbors == 3
    with pytest.raises(ValueError, match="n_neighbors must be at least 1, got 0"):
        router.set_params(n_neighbors=0)
    assert router.n_neighbors == 3
    with pytest.raises(ValueError, match="has no parameter 'k', it has n_neighbors, temperature"):
        router.set_params(k=3)


def test_the_score_is_the_mean_utility_of_the_choices() -> None:
    train = rl.Outcomes(["a", "b"], ["small", "large"], [[0, 1], [0, 1]], [[0.1, 0.5]] * 2)
    test = rl.Outcomes(
        ["c", "d", "e"], ["large", "small"], [[1, 0], [0.5, 0], [0, np.nan]], [[0.5, 0.1]] * 3
    )
    router = rl.BestSingle().fit(train)
    assert router.score(test) == 0.75, "the prompt that small has no quality on is left out"
    assert router.stand_at(0.5, fallback="none pays").score(test) == pytest.approx(0.75 - 0.25)
    with pytest.raises(ValueError, match="no prompt is left to score on, of 2: all were learnt"):
        router.score(train)


def test_a_cascade_has_no_score_by_its_first_choice(world: rl.Outcomes) -> None:
    cascade = rl.Cascade(rl.BestSingle().fit(world))
    assert repr(cascade) == "Cascade(router=BestSingle())"
    with pytest.raises(ValueError, match="has no score by its first choice"):
        cascade.score(world)


def test_routers_are_cross_validated_over_outcomes_by_group(world: rl.Outcomes) -> None:
    found = cross_validate(rl.KNNRouter(10), world, cv=GroupKFold(4), groups=world.groups)
    (train, test), *_ = GroupKFold(4).split(np.zeros(len(world)), groups=world.groups)
    by_hand = rl.KNNRouter(10).fit(world.take(train)).score(world.take(test))
    assert len(found["test_score"]) == 4
    assert found["test_score"][0] == by_hand
    assert np.isfinite(found["test_score"]).all()


def test_settings_are_searched_over_outcomes(world: rl.Outcomes) -> None:
    search = GridSearchCV(rl.KNNRouter(), {"n_neighbors": [3, 40]}, cv=GroupKFold(3))
    search.fit(world, groups=world.groups)
    assert search.best_params_["n_neighbors"] in (3, 40)
    assert search.best_estimator_.train_prompt_ids_ == world.prompt_ids
    assert "KNNRouter" in search._repr_html_()


def test_a_list_and_a_series_are_routed_each_like_a_text(world: rl.Outcomes) -> None:
    router = rl.KNNRouter(10).fit(world.take(range(80)))
    texts = list(world.prompts[80:84])
    each = [router.route(text) for text in texts]
    assert router.route(texts) == each
    assert router.route(pd.Series(texts, index=[9, 7, 5, 3])) == each
    assert router.route([]) == []
    blind = rl.RuleRouter(ROLES)
    assert [one.model for one in blind.route(texts)] == [blind.route(t).model for t in texts]
    with pytest.raises(ValueError, match="each prompt must be text, got nan at position 1"):
        router.route(pd.Series(["a", np.nan]))


def test_topics_may_be_a_series_with_an_index_of_its_own(world: rl.Outcomes) -> None:
    router = rl.TopicTable().fit(world.take(range(80)))
    rows = world.take(range(80, 90))
    told = pd.Series(list(rows.topics or ()), index=range(100, 110))
    same = router.predict(rows.prompts, rows.topics)
    assert (router.predict(pd.Series(rows.prompts), told).quality == same.quality).all()


def test_a_series_and_a_text_are_explained_like_a_list() -> None:
    outcomes = make_world(n_prompts=60, n_models=2).outcomes
    router = rl.LGBMRouter().fit(outcomes)
    texts = list(outcomes.prompts[:2])
    values = rl.explain(router, texts).values
    assert (rl.explain(router, pd.Series(texts, index=[5, 4])).values == values).all()
    assert np.allclose(rl.explain(router, texts[0]).values, values[:1])
    margin = rl.explain_margin(router, texts[0])
    assert repr(margin).startswith(f"MarginExplanation({margin.chosen!r} over {margin.other!r}: ")
    assert margin._repr_html_().count("<tr>") == 1 + min(len(margin.contributions), 20)


def test_what_is_shown_is_short_and_escaped(world: rl.Outcomes, tmp_path: Path) -> None:
    router = rl.KNNRouter(5)
    assert repr(router) == "KNNRouter(n_neighbors=5)"
    assert "not fitted" in router._repr_html_()
    named = replace(world, models=["<m>", "m1"])
    router.fit(named.take(range(80)))
    decision = router.route("Hi")
    log = rl.CallLog(tmp_path / "logs.db")
    for each in (router, named, decision, router.predict(["Hi"]), log):
        assert len(repr(each)) < 250
        html = each._repr_html_()
        assert "<m>" not in html
        assert html.startswith('<div class="tex2jax_ignore mathjax_ignore">')
    assert repr(router.predict(["Hi"])) == "Estimates(1 prompts x 2 models)"


def test_a_comparison_shows_eight_columns_and_holds_all(world: rl.Outcomes) -> None:
    train, test = world.split()
    near = rl.KNNRouter(10).fit(train)
    evaluation = rl.evaluate(near, test, n_bootstrap=20)
    assert repr(evaluation) == f"Evaluation('knn', {evaluation.n} prompts: " + (
        f"{evaluation.verdict.sentence})"
    )
    assert "best single" in evaluation._repr_html_()
    table = rl.compare({"near": near}, test, n_bootstrap=20)
    head, first, *_, last = repr(table).splitlines()
    assert head.split()[:3] == ["router", "quality", "cost_usd"]
    low, high = table.loc["near", ["quality_low", "quality_high"]]
    assert f"[{low:.3g}, {high:.3g}]" in first
    assert table._repr_html_().count("<th ") == 1 + 8
    assert last.startswith(f"8 of {table.shape[1]} columns: table.full shows them")
    assert {"AIQ", "CPT50", "quality_vs_first"} <= set(table.full.columns)
    assert type(table[["AIQ"]]) is pd.DataFrame, "what was chosen is shown as it is"
    assert type(table.full) is pd.DataFrame


def test_outcomes_go_to_a_frame_and_back() -> None:
    outcomes = rl.Outcomes(
        ["a?", "b?"], ["small", "large"], [[0, 1], [np.nan, 1]], [[0.1, 1], [0.1, np.nan]],
        topics=["x", "y"], group_ids=["g", None],
    )  # fmt: skip
    frame = outcomes.to_frame()
    assert frame.index.tolist() == list(outcomes.prompt_ids)
    costs = ["small_cost_usd", "large_cost_usd"]
    assert frame.columns.tolist() == ["prompt", "topic", "group", "small", "large", *costs]
    back = rl.Outcomes.from_frame(
        frame, quality=["small", "large"], cost_usd=costs, topic="topic", group="group"
    )
    assert back.data_hash == outcomes.data_hash
    assert back.topics == outcomes.topics


def test_rows_of_outcomes_are_outcomes(world: rl.Outcomes) -> None:
    assert world.shape == (120, 2)
    assert world[3].prompts == world[3:4].prompts == world[[3], ...].prompts == (world.prompts[3],)
    assert len(world[np.arange(120) < 7]) == 7
    with pytest.raises(IndexError):
        world[120]


def test_scikit_learn_and_pandas_are_not_imported_to_route() -> None:
    code = (
        "import sys; from routerlib.routers.rules import RuleRouter; "
        f"router = RuleRouter({ROLES!r}); router.route(['Hi'])[0]._repr_html_(); repr(router); "
        "print({'sklearn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
