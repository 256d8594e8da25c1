from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from routerlib.log.call_log import CallLog
from routerlib.outcomes.near_duplicates import grouped_folds, near_duplicate_groups
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.prompt import Prompt


def _logged(log: CallLog) -> list[Prompt]:
    """Log two prompts x two candidates; the small one is cut off on the second prompt."""
    prompts = [Prompt.from_text(f"prompt {i}", task="math", judge="numeric") for i in range(2)]
    log.add_prompts(prompts)
    for name, price in (("small", Price(1, 1)), ("large", Price(10, 10))):
        candidate = CandidateModel(name, name, "custom", "http://x", None, price)
        log.add_prices([candidate])
        for i, prompt in enumerate(prompts):
            status = "truncated" if name == "small" and i == 1 else "ok"
            scores = [Score("numeric", float(name == "large"))] if status == "ok" else []
            call = Call(prompt.prompt_id, name, candidate.params_hash, status, "x", Usage(60, 40))
            log.add_call(call, scores=scores)
    return prompts


def test_a_log_becomes_a_matrix_with_the_cheapest_candidate_first(log: CallLog) -> None:
    prompts = _logged(log)
    outcomes = Outcomes.from_log(log)
    assert outcomes.models == ("small", "large")
    assert outcomes.prompts == tuple(prompt.text for prompt in prompts)
    assert outcomes.topics == ("math", "math")
    np.testing.assert_array_equal(outcomes.quality, [[0, 1], [np.nan, 1]])
    np.testing.assert_allclose(outcomes.cost_usd, [[1e-4, 1e-3], [1e-4, 1e-3]])


def test_a_failure_counts_as_wrong_only_when_asked_for(log: CallLog) -> None:
    _logged(log)
    np.testing.assert_array_equal(
        Outcomes.from_log(log, failures="wrong").quality, [[0, 1], [0, 1]]
    )


def test_a_cell_that_failed_first_and_was_answered_later_counts_by_its_answer(log: CallLog) -> None:
    prompts = _logged(log)
    small = CandidateModel("small", "small", "custom", "http://x", None, Price(1, 1))
    call = Call(prompts[1].prompt_id, "small", small.params_hash, "ok", "x", Usage(60, 40))
    log.add_call(call, scores=[Score("numeric", 1.0)])
    assert Outcomes.from_log(log, failures="wrong").quality[1, 0] == 1


def test_quality_is_the_mean_over_judges_unless_one_is_named(log: CallLog) -> None:
    _logged(log)
    log.add_scores(1, [Score("person", 1.0)])
    assert Outcomes.from_log(log).quality[0, 0] == 0.5
    assert Outcomes.from_log(log, judge="person").quality[0, 0] == 1.0


def test_a_candidate_counts_by_the_way_it_was_asked_most(log: CallLog) -> None:
    prompts = _logged(log)
    call = Call(prompts[0].prompt_id, "large", "b2:other", "ok", "x", Usage(1, 1))
    log.add_call(call, scores=[Score("numeric", 0.0)])
    log.add_call(Call(prompts[0].prompt_id, "small", "b2:other", "error"))
    np.testing.assert_array_equal(Outcomes.from_log(log).quality, [[0, 1], [np.nan, 1]])


def test_a_candidate_asked_once_in_passing_is_left_out_unless_named(
    log: CallLog, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = [Prompt.from_text(f"prompt {i}") for i in range(20)]
    log.add_prompts(prompts)
    for prompt in prompts:
        call = Call(prompt.prompt_id, "small", "b2:x", "ok", "x", Usage(1, 1))
        log.add_call(call, scores=[Score("person", 1.0)])
    once = Call(prompts[0].prompt_id, "passing", "b2:x", "ok", "x", Usage(1, 1))
    log.add_call(once, scores=[Score("person", 1.0)])
    assert Outcomes.from_log(log).models == ("small",)
    assert "left out 'passing': scored on 1 prompt only" in caplog.text
    assert Outcomes.from_log(log, models=["small", "passing"]).models == ("small", "passing")


def test_new_prices_need_no_new_calls(log: CallLog) -> None:
    _logged(log)
    prices = {"small": Price(2, 2), "large": Price(3, 3)}
    np.testing.assert_allclose(Outcomes.from_log(log, prices=prices).cost_usd[0], [2e-4, 3e-4])


def test_costs_are_unknown_where_no_price_is_logged(log: CallLog) -> None:
    prompt = Prompt.from_text("hi")
    log.add_prompts([prompt])
    call = Call(prompt.prompt_id, "small", "b2:x", "ok", "x", Usage(1, 1))
    log.add_call(call, scores=[Score("person", 1.0)])
    outcomes = Outcomes.from_log(log)
    assert outcomes.quality.tolist() == [[1.0]]
    assert np.isnan(outcomes.cost_usd).all()


def test_an_unscored_log_is_refused(log: CallLog) -> None:
    with pytest.raises(ValueError, match="no scored answer yet"):
        Outcomes.from_log(log)


def test_an_unknown_candidate_is_refused(log: CallLog) -> None:
    _logged(log)
    with pytest.raises(ValueError, match="no scored answer of 'huge'"):
        Outcomes.from_log(log, models=["huge"])


def test_a_frame_becomes_outcomes() -> None:
    frame = pd.DataFrame({"q": ["a", "b"], "m1": [0, 1], "m2": [1, 1], "c1": 0.1, "c2": 0.2})
    outcomes = Outcomes.from_frame(frame, prompt="q", quality=["m1", "m2"], cost_usd=["c1", "c2"])
    assert outcomes.best_single == "m2"
    assert outcomes.mean_cost_usd.tolist() == pytest.approx([0.1, 0.2])
    with pytest.raises(ValueError, match="no column 'nope'"):
        Outcomes.from_frame(frame, prompt="nope", quality=["m1"])


@pytest.mark.parametrize("bad", [1.7, -0.1, np.inf])
def test_quality_outside_its_range_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"quality must lie in \[0, 1\]"):
        Outcomes(["a"], ["m"], [[bad]])


def test_a_wrong_shape_and_a_name_twice_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n_prompts, n_models\) = \(1, 2\)"):
        Outcomes(["a"], ["m", "n"], [[1.0]])
    with pytest.raises(ValueError, match="'m' twice"):
        Outcomes(["a"], ["m", "m"], [[1.0, 1.0]])


def test_a_split_keeps_near_duplicates_together_and_loses_nothing() -> None:
    numbers = np.random.default_rng(0).integers(10**9, 10**10, size=(20, 4))
    stories = [f"Add up {' and '.join(map(str, row))}" for row in numbers.tolist()]
    prompts = [story + ending for story in stories for ending in ("", ".", "?")]
    outcomes = Outcomes(prompts, ["m"], np.ones((60, 1)), prompt_ids=list(map(str, range(60))))
    train, test = outcomes.split(test_size=0.3, random_state=1)
    assert sorted(train.prompt_ids + test.prompt_ids, key=int) == list(map(str, range(60)))
    assert not set(outcomes.groups[list(map(int, train.prompt_ids))]) & set(
        outcomes.groups[list(map(int, test.prompt_ids))]
    ), "one group on both sides"


def test_a_split_is_near_its_size_and_repeatable(outcomes: Outcomes) -> None:
    first = outcomes.split(0.3, random_state=3)[1]
    assert first.prompt_ids == outcomes.split(0.3, random_state=3)[1].prompt_ids
    assert first.prompt_ids != outcomes.split(0.3, random_state=4)[1].prompt_ids
    assert len(first) == 18


def test_large_groups_of_copies_do_not_gather_on_the_test_side() -> None:
    prompts = [f"one and the same question{'.' * (i % 3)}" for i in range(30)]
    prompts += [f"{i * 7919 % 1000} {i * 104729 % 7777} {i}" for i in range(70)]
    outcomes = Outcomes(prompts, ["m"], np.ones((100, 1)))
    assert np.bincount(outcomes.groups).max() == 30
    sizes = [len(outcomes.split(0.2, random_state=seed)[1]) for seed in range(10)]
    assert sizes == [20] * 10


def test_copies_of_one_prompt_can_not_be_split() -> None:
    outcomes = Outcomes(["the same"] * 5, ["m"], np.ones((5, 1)))
    with pytest.raises(ValueError, match="collect more distinct prompts"):
        outcomes.split()


def test_the_hash_tells_data_apart(outcomes: Outcomes) -> None:
    assert outcomes.data_hash == outcomes.take(range(60)).data_hash
    assert outcomes.data_hash != outcomes.take(range(59)).data_hash


def test_complete_keeps_the_prompts_that_all_candidates_answered() -> None:
    outcomes = Outcomes(["a", "b"], ["m", "n"], [[1, np.nan], [0, 1]])
    assert outcomes.complete().prompts == ("b",)


def test_taking_nothing_leaves_the_candidates() -> None:
    nothing = Outcomes(["a", "b"], ["m"], [[1.0], [0.0]]).take([])
    assert (len(nothing), nothing.models) == (0, ("m",))


def test_near_duplicates_are_found_through_case_and_spaces() -> None:
    prompts = ["What is the capital of Peru?", "what is   the capital of PERU?", "Sum 2 and 3", ""]
    assert near_duplicate_groups(prompts).tolist() == [0, 0, 1, 2]


def test_folds_are_even_and_never_split_a_group() -> None:
    groups = np.repeat(np.arange(20), 3)
    folds = grouped_folds(groups, 5, random_state=0)
    assert np.bincount(folds).tolist() == [12] * 5
    assert all(len(set(folds[groups == group])) == 1 for group in range(20))
    with pytest.raises(ValueError, match="20 groups"):
        grouped_folds(groups, 21)


def test_candidates_are_compared_on_the_prompts_that_all_of_them_answered() -> None:
    # The large model failed on the 20 hard prompts, where the small one is wrong too.
    quality = np.ones((60, 2))
    quality[40:] = [0, np.nan]
    quality[:10, 1] = 0
    cost_usd = np.tile([1.0, 3.0], (60, 1))
    cost_usd[40:, 0] = 10
    outcomes = Outcomes([f"p{i}" for i in range(60)], ["small", "large"], quality, cost_usd)
    assert outcomes.mean_quality.tolist() == [40 / 60, 0.75]
    assert outcomes.compared().quality.tolist() == [1, 0.75]
    assert (outcomes.best_single, outcomes.cheapest) == ("small", "small")
    # With fewer than 30 such prompts, or half of all, every observed cell counts.
    for rows in ([*range(29), *range(40, 50)], [*range(30), *range(40, 60), *range(40, 60)]):
        few = outcomes.take(rows)
        assert few.compared().quality.tolist() == few.mean_quality.tolist()


def test_costs_known_only_elsewhere_are_still_compared() -> None:
    quality = np.ones((60, 2))
    quality[40:, 1] = np.nan
    cost_usd = np.tile([1.0, 3.0], (60, 1))
    cost_usd[:40, 0] = np.nan
    outcomes = Outcomes([f"p{i}" for i in range(60)], ["small", "large"], quality, cost_usd)
    assert outcomes.compared().cost_usd.tolist() == [1, 3]


def test_some_candidates_keep_their_order_and_the_groups_that_are_known() -> None:
    prompts = ["What is two plus two?", "what is two plus two ?", "Name a colour."]
    outcomes = Outcomes(prompts, ["a", "b", "c"], np.arange(9).reshape(3, 3) / 10)
    groups = outcomes.groups
    chosen = outcomes.of_models(["c", "a"])
    assert chosen.models == ("c", "a")
    assert chosen.quality.tolist() == [[0.2, 0.0], [0.5, 0.3], [0.8, 0.6]]
    assert chosen.groups is groups
    assert chosen.take([2, 0]).groups.tolist() == groups[[2, 0]].tolist()
    assert outcomes.of_models(["a", "b", "c"]) is outcomes
    with pytest.raises(ValueError, match="models must be among a, b, c, got 'd'"):
        outcomes.of_models(["a", "d"])


def _three_families() -> Outcomes:
    prompts = ["cook rice", "boil an egg", "tax law", "Tax  law", "play chess"]
    names = ["kitchen", "kitchen", "law", None, None]
    return Outcomes(prompts, ["m"], [[1], [0], [1], [0], [1]], group_ids=names)


def test_prompts_of_one_named_group_or_of_one_text_are_one_group() -> None:
    assert _three_families().groups.tolist() == [0, 0, 1, 1, 2]


def test_a_near_duplicate_joins_two_named_groups() -> None:
    outcomes = Outcomes(
        ["tax law", "cook rice", "Tax law", "boil an egg"],
        ["m"],
        [[1]] * 4,
        group_ids=["a", "a", "b", "b"],
    )
    assert outcomes.groups.tolist() == [0, 0, 0, 0]


def test_a_named_group_is_never_on_both_sides_of_a_split() -> None:
    texts = [f"{word} {number}" for number in range(10) for word in ("alpha", "omega", "zeta")]
    outcomes = Outcomes(
        texts, ["m"], [[1]] * 30, group_ids=[str(number) for number in range(10) for _ in "abc"]
    )
    train, test = outcomes.split()
    assert not set(train.group_ids or ()) & set(test.group_ids or ())
    assert len(train) + len(test) == 30


def test_groups_and_inclusion_go_where_their_prompts_and_candidates_go() -> None:
    outcomes = Outcomes(
        ["a?", "b?", "c?"],
        ["small", "large"],
        [[0, 1], [np.nan, 1], [1, 1]],
        group_ids=["x", None, "z"],
        inclusion=[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]],
    )
    complete = outcomes.complete().of_models(["large"])
    assert complete.group_ids == ("x", "z")
    assert complete.inclusion is not None
    assert complete.inclusion.tolist() == [[0.2], [0.6]]
    rest = outcomes.without([outcomes.prompt_ids[0]])
    assert rest.group_ids == (None, "z")


@pytest.mark.parametrize("bad", [0.0, 1.1, np.nan])
def test_an_inclusion_that_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"inclusion must lie in \(0, 1\]"):
        Outcomes(["a"], ["m"], [[1]], inclusion=[[bad]])


def test_the_hash_knows_groups_only_where_there_are_any() -> None:
    plain = Outcomes(["a", "b"], ["m"], [[1], [0]])
    empty = Outcomes(["a", "b"], ["m"], [[1], [0]], group_ids=[None, ""])
    named = Outcomes(["a", "b"], ["m"], [[1], [0]], group_ids=["x", "x"])
    weighted = Outcomes(["a", "b"], ["m"], [[1], [0]], inclusion=[[0.5], [0.5]])
    assert plain.data_hash == empty.data_hash
    assert len({plain.data_hash, named.data_hash, weighted.data_hash}) == 3


def test_a_frame_names_groups_and_its_empty_cells_name_none() -> None:
    frame = pd.DataFrame({"prompt": ["a", "b", "c"], "m": [1, 0, 1], "doc": ["x", np.nan, "x"]})
    outcomes = Outcomes.from_frame(frame, quality=["m"], group="doc")
    assert outcomes.group_ids == ("x", None, "x")
    with pytest.raises(ValueError, match="no column 'user'"):
        Outcomes.from_frame(frame, quality=["m"], group="user")


def test_the_group_of_a_logged_prompt_is_its_field_of_that_name(log: CallLog) -> None:
    fields = [{"group": "invoice"}, {"group": 7}, {"group": ""}, {"page": 1}, None]
    prompts = [
        Prompt.from_text(text, judge="numeric", reference=1, extra=extra)
        for text, extra in zip(["rice?", "eggs?", "tax?", "law?", "chess?"], fields, strict=True)
    ]
    log.add_prompts(prompts)
    small = CandidateModel("small", "small", "custom", "http://x", None, Price(1, 1))
    for prompt in prompts:
        call = Call(prompt.prompt_id, "small", small.params_hash, "ok", "1", Usage(60, 40))
        log.add_call(call, scores=[Score("numeric", 1.0)])
    assert Outcomes.from_log(log).group_ids == ("invoice", "7", None, None, None)


def test_a_log_whose_prompts_name_no_group_has_none(log: CallLog) -> None:
    _logged(log)
    assert Outcomes.from_log(log).group_ids is None


def test_a_matrix_is_copied_unless_nobody_can_write_to_it() -> None:
    def quality_of(matrix: np.ndarray) -> np.ndarray:
        return Outcomes(["a?", "b?"], ["small", "large"], matrix).quality

    matrix = np.array([[0.0, 1.0], [1.0, 0.5]])
    assert not np.shares_memory(quality_of(matrix), matrix)
    seen = matrix.view()
    seen.setflags(write=False)
    assert not np.shares_memory(quality_of(seen), matrix), "the matrix itself can be written to"
    matrix.setflags(write=False)
    assert quality_of(matrix) is matrix
    by_column = np.asfortranarray(matrix)
    by_column.setflags(write=False)
    assert quality_of(by_column).flags.c_contiguous
    assert replace(Outcomes(["a?", "b?"], ["small", "large"], matrix)).quality is matrix
