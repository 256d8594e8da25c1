"""The verdict claims what the intervals carry, in words, and no more."""

import re

import numpy as np
import pytest

from routerlib.evaluation.planning import PromptColumns, guess_plan
from routerlib.evaluation.verdict import judge_by_intervals
from routerlib.metrics.intervals import Interval
from routerlib.metrics.sample_size import plan_sample_size

NAN = float("nan")
UNKNOWN = Interval(NAN, NAN, NAN, NAN)


def measured(difference, saving, gain, zero=(-0.09, -0.1, -0.08)):
    """Make intervals from (value, low, high) with a standard error that fits."""
    named = {
        "quality_difference": difference,
        "saving": saving,
        "gain_over_zero": gain,
        "zero_difference": zero,
    }
    return {
        name: UNKNOWN if ends is None else Interval(*ends, (ends[2] - ends[1]) / 3.92)
        for name, ends in named.items()
    }


def judged(*intervals, share=0.5, n=600, n_groups=600, margin=0.01):
    return judge_by_intervals(
        measured(*intervals),
        best_single="large",
        share_of_best_single=share,
        n=n,
        n_groups=n_groups,
        margin=margin,
    )


@pytest.mark.parametrize(
    ("difference", "saving", "gain", "kind"),
    [
        ((0.0, -0.008, 0.008), (0.4, 0.33, 0.48), (0.05, 0.03, 0.07), "pays"),
        ((0.05, 0.02, 0.08), (-0.1, -0.2, 0.0), (0.05, 0.02, 0.08), "pays"),
        ((-0.02, -0.03, -0.01), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08), "saves_at_a_price"),
        ((0.0, -0.02, 0.02), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08), "saves_at_a_price"),
        ((-0.05, -0.07, -0.03), (0.3, 0.27, 0.33), (0.0, -0.008, 0.008), "does_not_pay"),
        ((-0.05, -0.07, -0.03), (-0.1, -0.2, 0.0), (0.0, -0.07, 0.07), "does_not_pay"),
        ((0.0, -0.008, 0.008), (0.3, 0.27, 0.33), (0.01, -0.01, 0.03), "not_measurable"),
        ((0.0, -0.05, 0.05), (0.0, -0.1, 0.1), (0.0, -0.05, 0.05), "not_measurable"),
    ],
)
def test_the_kind_follows_from_the_intervals(difference, saving, gain, kind):
    assert judged(difference, saving, gain).kind == kind


@pytest.mark.parametrize(
    ("difference", "kind"),
    [
        ((0.05, 0.02, 0.08), "pays"),
        ((-0.01, -0.03, 0.005), "does_not_pay"),
        ((0.01, -0.01, 0.03), "not_measurable"),
    ],
)
def test_without_costs_only_quality_decides(difference, kind):
    verdict = judged(difference, None, None, None)
    assert verdict.kind == kind
    assert "nan" not in verdict.sentence
    assert verdict.numbers["saving"] is None


def test_a_router_that_always_calls_the_best_single_does_not_pay():
    same = (0.0, 0.0, 0.0)
    verdict = judged(same, same, same, share=1.0)
    assert verdict.kind == "does_not_pay"
    assert "use large alone (n = 600)" in verdict.sentence


def test_few_prompts_decide_nothing():
    clear = ((0.0, 0.0, 0.0), (0.4, 0.4, 0.4), (0.1, 0.1, 0.1))
    assert judged(*clear, n=29, n_groups=29).kind == "not_measurable"
    # A thousand copies of ten prompts are ten prompts.
    assert judged(*clear, n=1000, n_groups=10).kind == "not_measurable"


def test_without_what_was_seen_on_each_prompt_no_number_is_promised():
    verdict = judged((0.0, -0.04, 0.04), (0.3, 0.2, 0.4), (0.02, -0.02, 0.06), n=200)
    assert verdict.numbers["more_prompts_needed"] is None
    assert verdict.sentence.endswith("Label more prompts to tell.")


def test_where_no_prompt_has_all_answers_bounds_alone_are_told():
    open_ = measured((-0.07, -0.22, 0.03), (0.15, 0.09, 0.22), (0.0, -0.2, 0.15))
    verdict = judge_by_intervals(
        open_,
        best_single="large",
        share_of_best_single=0.5,
        n=120,
        n_groups=112,
        columns=PromptColumns(*[np.array([])] * 5),
    )
    assert verdict.kind == "not_measurable"
    assert verdict.advice == "Label more prompts of other kinds than these to tell."


@pytest.mark.parametrize(
    "intervals",
    [
        ((0.0, -0.008, 0.008), (0.4, 0.33, 0.48), (0.05, 0.03, 0.07)),
        ((-0.02, -0.03, -0.01), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08)),
        ((-0.05, -0.07, -0.03), (0.3, 0.27, 0.33), (0.0, -0.008, 0.008)),
        ((-0.05, -0.07, -0.03), (-0.1, -0.2, 0.0), (0.0, -0.07, 0.07)),
        ((0.0, -0.05, 0.05), (0.0, -0.1, 0.1), (0.0, -0.05, 0.05)),
    ],
)
def test_each_sentence_has_interval_and_n(intervals):
    sentence = judged(*intervals).sentence
    assert re.search(r"\[-?\d", sentence)
    assert "n = 600" in sentence
    assert "large" in sentence
    assert "-0 %" not in sentence


def test_an_uncertain_loss_is_called_uncertain():
    uncertain = judged((-0.005, -0.02, 0.01), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08))
    assert (
        "for 0.5 points [-1.0, 2.0] less quality, a loss that isn't certain" in uncertain.sentence
    )
    certain = judged((-0.02, -0.03, -0.01), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08))
    assert "certain" not in certain.sentence


def test_a_gain_in_quality_is_never_called_a_loss():
    verdict = judged((0.005, -0.02, 0.03), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08))
    assert verdict.kind == "saves_at_a_price"
    assert (
        "quality differs by +0.5 points [-2.0, +3.0], so a loss isn't excluded" in verdict.sentence
    )
    assert verdict.headline == "30 % cheaper; no loss seen, up to 2.0 points can't be excluded"
    dearer = judged((0.003, -0.005, 0.011), (-0.1, -0.2, 0.0), (-0.001, -0.009, 0.007)).sentence
    assert "costs 10 % [0, 20] more than always calling large" in dearer
    assert "gains 0.3 points [-0.5, 1.1] of quality" in dearer


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        ((-0.06, -0.08, -0.04), "does better (routing's advantage -6.0 points [-8.0, -4.0])"),
        ((0.0, -0.008, 0.008), "does about as well (routing's advantage 0.0 points [-0.8, 0.8])"),
        ((-0.06, -0.13, 0.001), "does about as well or better (routing's advantage -6.0"),
    ],
)
@pytest.mark.parametrize("saving", [(0.3, 0.27, 0.33), (-0.1, -0.2, 0.1)])
def test_mixing_is_said_to_do_as_well_only_where_it_does(gain, words, saving):
    verdict = judged((-0.05, -0.07, -0.03), saving, gain)
    assert verdict.kind == "does_not_pay"
    assert f"mixing models at random at that cost {words}" in verdict.sentence
    assert "saves -" not in verdict.sentence


def test_equal_quality_at_another_cost_is_not_called_the_same():
    same = (0.0, 0.0, 0.0)
    sentence = judged(same, (0.9, 0.9, 0.9), same).sentence
    assert "use large alone" not in sentence
    assert "saves 90 % [90, 90] of the cost" in sentence


def test_a_router_that_always_calls_the_best_single_does_not_pay_at_any_n():
    same = Interval(0.0, 0.0, 0.0, 0.0)
    measured = dict.fromkeys(
        ("quality_difference", "saving", "gain_over_zero", "zero_difference"), same
    )
    verdict = judge_by_intervals(
        measured, best_single="large", share_of_best_single=1.0, n=20, n_groups=20
    )
    assert verdict.kind == "does_not_pay"
    assert "use large alone" in verdict.sentence


@pytest.mark.parametrize("n", [0, 3, 600])
def test_a_router_that_fell_back_measured_nothing(n):
    same = (0.0, 0.0, 0.0) if n else None
    verdict = judge_by_intervals(
        measured(same, same, same, same),
        best_single="large",
        share_of_best_single=float(n > 0),
        n=n,
        n_groups=n,
        fallback="only 7 training prompts have every candidate observed, 20 are needed",
    )
    assert verdict.kind == "not_measurable"
    assert verdict.sentence.startswith(
        "Not measurable yet: the router keeps to always calling large, because only 7 training"
    )
    assert f"; {n} held-out prompts were looked at." in verdict.sentence
    assert "use large alone" not in verdict.sentence
    assert verdict.headline == "Not measurable yet: the router keeps to the best single model"
    assert verdict.numbers["prompts_needed"] == plan_sample_size(0.03, disagreement=0.2)
    missing = verdict.numbers["prompts_needed"] - n
    assert verdict.numbers["more_prompts_needed"] == pytest.approx(missing, rel=0.05)
    said = re.search(r"Label about (\d+) to (\d+) more prompts and train again", verdict.sentence)
    assert said is not None
    ends = [verdict.numbers[f"more_prompts_needed_{end}"] for end in ("low", "high")]
    assert [int(each) for each in said.groups()] == ends
    assert ends[0] < verdict.numbers["more_prompts_needed"] < ends[1]


def test_no_number_of_prompts_is_promised_where_the_planned_ones_were_not_enough():
    same = (0.0, 0.0, 0.0)
    verdict = judge_by_intervals(
        measured(same, same, same, same),
        best_single="large",
        share_of_best_single=1.0,
        n=5000,
        n_groups=5000,
        fallback="no gain over it could be shown",
    )
    assert verdict.numbers["more_prompts_needed"] is None
    assert verdict.sentence.endswith("Label more prompts and train again to tell.")


def test_the_margin_is_the_loss_that_training_was_allowed_by_default():
    losing = ((-0.005, -0.02, 0.01), (0.4, 0.33, 0.48), (0.05, 0.03, 0.07))
    assert judged(*losing, margin=0.03).kind == "pays"
    assert "a loss above 3 points is excluded" in judged(*losing, margin=0.03).sentence
    assert judged(*losing, margin=0.01).kind == "saves_at_a_price"


def test_a_gain_below_the_margin_is_a_finding_and_an_unknown_one_is_not():
    nothing = ((-0.05, -0.07, -0.03), (0.3, 0.27, 0.33))
    assert judged(*nothing, (0.0, -0.025, 0.025), margin=0.03).kind == "does_not_pay"
    assert judged(*nothing, (0.0, -0.04, 0.04), margin=0.03).kind == "not_measurable"


def test_a_loss_is_excluded_at_five_percent_on_its_one_side():
    # The low end of the 95 % interval lies at -3.1 points, that of the test at 5 % at -2.7.
    cheaper = ((-0.006, -0.031, 0.019), (0.4, 0.33, 0.48), (0.05, 0.03, 0.07))
    assert judged(*cheaper, margin=0.03).kind == "pays"


@pytest.mark.parametrize(
    ("intervals", "headline"),
    [
        (
            ((0.0, -0.017, 0.017), (0.15, 0.1, 0.2), (0.05, 0.03, 0.07)),
            "15 % cheaper; no loss seen, up to 1.7 points can't be excluded",
        ),
        (
            ((-0.005, -0.02, 0.01), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08)),
            "30 % cheaper; quality perhaps 0.5 points lower (95 %: at most 2.0)",
        ),
        (
            ((-0.02, -0.03, -0.01), (0.3, 0.27, 0.33), (0.06, 0.04, 0.08)),
            "30 % cheaper for 2.0 points less quality (1.0 to 3.0)",
        ),
        (
            ((0.0, -0.008, 0.008), (0.4, 0.33, 0.48), (0.05, 0.03, 0.07)),
            "Routing pays: 40 % cheaper; a loss above 1 point is excluded",
        ),
        (
            ((0.05, 0.02, 0.08), (-0.1, -0.2, 0.0), (0.05, 0.02, 0.08)),
            "Routing pays: 5.0 points more quality, at 110 % of the cost",
        ),
        (((0.05, 0.02, 0.08), None, None, None), "Routing pays: 5.0 points more quality"),
        (
            ((-0.05, -0.07, -0.03), (0.3, 0.27, 0.33), (0.0, -0.008, 0.008)),
            "Routing doesn't pay on these prompts",
        ),
        (
            ((0.0, -0.05, 0.05), (0.0, -0.1, 0.1), (0.0, -0.05, 0.05)),
            "Not measurable yet with 600 prompts",
        ),
    ],
)
def test_a_headline_has_at_most_twelve_words_and_hides_no_loss(intervals, headline):
    found = judged(*intervals).headline
    assert found == headline
    assert len(re.findall(r"[\w.'’]+", found)) <= 12


def test_where_groups_are_short_other_kinds_are_asked_for_and_not_just_more():
    open_ = ((0.0, -0.05, 0.05), (0.0, -0.1, 0.1), (0.0, -0.05, 0.05))
    few = judged(*open_, n=400, n_groups=12)
    assert few.headline == "Not measurable yet: 12 groups of prompts, 30 are needed"
    assert few.sentence.endswith(
        "To tell, label prompts of at least 18 more kinds (templates, documents, users) than these "
        f"12, since more of the same kinds tell little, and about {guess_plan(0.01).more(12)} more "
        "prompts in all (a difference of 1 points, if scores differ on 10 to 30 % of the prompts)."
    )
    grouped = judged(*open_, n=600, n_groups=40).sentence
    assert grouped.endswith("Label more prompts of other kinds than these to tell.")
    assert judged(*open_, n=600, n_groups=600).sentence.endswith("Label more prompts to tell.")


def test_too_few_prompts_to_begin_with_promise_no_verdict_soon():
    open_ = ((0.0, -0.05, 0.05), (0.0, -0.1, 0.1), (0.0, -0.05, 0.05))
    few = judged(*open_, n=25, n_groups=25)
    assert few.numbers["prompts_needed"] == guess_plan(0.01).n
    assert few.sentence.endswith(
        f"Label 5 more held-out prompts to begin with, and about {guess_plan(0.01).more(25)} in "
        "all to tell (a difference of 1 points, if scores differ on 10 to 30 % of the prompts)."
    )
