"""The verdict claims what the intervals carry, in words, and no more."""

import re

import pytest

from routerlib.intervals import Interval
from routerlib.verdict import decide

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


def judged(*intervals, share=0.5, n=600, n_groups=600):
    return decide(
        measured(*intervals),
        best_single="large",
        share_of_best_single=share,
        n=n,
        n_groups=n_groups,
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


def test_the_number_of_further_prompts_follows_from_the_standard_error():
    # A gain of 2 points with an interval of +-4 has se 2.04: n * (2.8 * 2.04 / 2)^2 - n.
    verdict = judged((0.0, -0.04, 0.04), (0.3, 0.2, 0.4), (0.02, -0.02, 0.06), n=200)
    assert verdict.numbers["more_prompts_needed"] == pytest.approx(200 * (2.857**2 - 1), rel=0.03)
    assert "Label about 1400 more prompts to tell." in verdict.sentence


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
