"""A judge that errs is corrected by a person's scores of a random part; without, it is said."""

import numpy as np
import pytest

from routerlib.evaluation.audited import agreement
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.pseudo_outcomes import augmented, corrected, tuned
from routerlib.outcomes.audit import Audit
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.router import Router
from routerlib.show.tables.audits import audit_table

NAN = float("nan")
MODELS = ("small", "large")
# Large is right on 81.5 %, small on 71 % of easy prompts, which are half, and on 20 % of others.
TRUTH = np.array([[0.71, 0.815], [0.2, 0.815]])


class Easy(Router):
    """Send what begins with "a" to the small model, as it was told."""

    def _learn(self, outcomes):
        pass

    def _estimate(self, prompts, topics=None):
        is_easy = np.array([prompt.startswith("a") for prompt in prompts])
        return np.where(is_easy[:, None], [0.9, 0.8], [0.1, 0.8]), np.tile(
            [0.1, 1.0], (len(prompts), 1)
        )


def world(n, n_drawn, *, seed=0, forgives=0.35, family=1):
    """Draw what a judge says who forgives the small model wrong answers, and an audit of it."""
    rng = np.random.default_rng(seed)
    is_easy = np.repeat(np.arange(n // family) % 2 == 0, family)
    words = [" ".join(f"w{word}" for word in rng.integers(10**9, size=5)) for _ in range(n)]
    prompts = [f"{'a' if easy else 'b'} {word}" for easy, word in zip(is_easy, words, strict=True)]
    luck = np.repeat(rng.random((n // family, 2)), family, axis=0)
    luck = np.where(rng.random((n, 2)) < 0.5, luck, rng.random((n, 2)))
    right = (luck < TRUTH[np.where(is_easy, 0, 1)]).astype(float)
    judged = right.copy()
    judged[(right[:, 0] == 0) & (rng.random(n) < forgives), 0] = 1.0
    families = [f"f{row // family}" for row in range(n)] if family > 1 else None
    outcomes = Outcomes(prompts, MODELS, judged, np.tile([0.1, 1.0], (n, 1)), group_ids=families)
    is_drawn = np.zeros(n, dtype=bool)
    is_drawn[rng.choice(n, n_drawn, replace=False)] = True
    scored = np.where(is_drawn[:, None], right, NAN)
    probability = np.full(n, n_drawn / n)
    return outcomes, Audit(outcomes.prompt_ids, MODELS, scored, is_drawn, probability), right


@pytest.fixture(scope="module")
def router():
    found = Easy()
    found.fit(world(300, 1, seed=99)[0])
    return found


def test_the_formula_moves_a_judges_mean_by_the_mean_error_that_a_person_saw():
    judged = np.array([1.0, 1.0, 0.0, 1.0])
    scored = np.array([1.0, 0.0, NAN, NAN])
    half = np.full(4, 0.5)
    # The judge says 3/4; of the two that were drawn, one is wrong: each error counts twice.
    assert augmented(scored, judged, half).mean() == pytest.approx(3 / 4 - 1 / 2)
    # Trusted not at all, only the person speaks.
    assert corrected(judged, scored, half, np.arange(4)).alone.value == pytest.approx(0.5)


def test_a_judge_who_tells_nothing_is_not_trusted():
    scored = np.array([1.0, 0.0, 1.0, 0.0, NAN])
    useless = tuned(scored, np.array([1.0, 1.0, 0.0, 0.0, 1.0]), np.full(5, 0.8))
    assert useless.weight == 0
    assert useless.predicted == pytest.approx(np.full(5, 0.5))
    assert tuned(scored, np.array([0.9, 0.1, 0.9, 0.1, 0.9]), np.full(5, 0.8)).weight == 1


@pytest.mark.parametrize("family", [1, 4])
def test_the_corrected_difference_covers_the_truth_and_is_narrower_than_by_hand_alone(family):
    n, truth = 600, -0.5 * (0.815 - 0.71)
    covered, values, widths, alone, judged = [], [], [], [], []
    for seed in range(150):
        outcomes, audit, _ = world(n, 120, seed=seed, family=family)
        is_easy = np.array([prompt.startswith("a") for prompt in outcomes.prompts])
        shares = np.where(is_easy[:, None], [1.0, -1.0], [0.0, 0.0])
        groups = np.arange(n) // family
        told = np.where(audit.is_drawn, (audit.quality * shares).sum(axis=1), NAN)
        found = corrected((outcomes.quality * shares).sum(axis=1), told, audit.probability, groups)
        covered.append(found.interval.low <= truth <= found.interval.high)
        values.append(found.interval.value)
        widths.append(found.interval.high - found.interval.low)
        alone.append(found.alone.high - found.alone.low)
        judged.append(found.judged)
    assert np.mean(covered) >= 0.93
    assert np.mean(values) == pytest.approx(truth, abs=0.01)
    assert np.mean(judged) > truth + 0.04
    assert np.mean(widths) < 0.85 * np.mean(alone)


def test_a_judge_who_forgives_says_that_routing_pays_and_a_person_that_it_loses(router):
    outcomes, audit, right = world(1500, 200)
    by_judge = evaluate(router, outcomes, n_bootstrap=100)
    assert by_judge.verdict.kind == "pays"
    assert "by this judge, whom no person has checked" in by_judge.verdict.sentence
    assert by_judge.audited is None
    found = evaluate(router, outcomes, audit=audit, n_bootstrap=100)
    assert found.verdict.kind == "saves_at_a_price"
    assert "by this judge" not in found.verdict.sentence
    assert "a person's scores of 200 of 1500 held-out prompts" in found.verdict.sentence
    assert found.verdict.numbers["quality_difference"] == pytest.approx(-0.053, abs=0.03)
    assert found.verdict.numbers["quality_difference_by_judge"] > -0.02
    assert found.operating["quality_difference"] == by_judge.operating["quality_difference"]
    small = found.audited.quality["small"]
    assert small.interval.low < right[:, 0].mean() < small.interval.high < small.judged
    assert found.as_dict()["audited"]["quality"]["small"]["weight"] == small.weight
    shown = audit_table(found)
    assert [row[0] for row in shown.rows] == ["small", "large", "router"]
    agreed = found.audited.agreement["small"]
    assert f"{agreed.n_forgiven} of {agreed.n_wrong}" in shown.rows[0]
    assert 0.2 < agreed.n_forgiven / agreed.n_wrong < 0.5
    assert found.audited.agreement["large"].kappa == 1
    assert audit_table(by_judge) is None


def test_too_few_scores_of_a_person_leave_the_verdict_to_the_judge(router):
    outcomes, audit, _ = world(1500, 20)
    found = evaluate(router, outcomes, audit=audit, n_bootstrap=50)
    assert found.verdict.kind == "pays"
    assert "with 20 independent held-out prompts, and 30 are needed" in found.verdict.sentence


def test_an_answer_that_the_person_left_out_counts_at_its_worst(router):
    outcomes, audit, _ = world(1500, 200)
    whole = evaluate(router, outcomes, audit=audit, n_bootstrap=50).audited
    quality = audit.quality.copy()
    quality[np.flatnonzero(audit.is_drawn)[:20]] = NAN
    part = Audit(audit.prompt_ids, MODELS, quality, audit.is_drawn, audit.probability)
    found = evaluate(router, outcomes, audit=part, n_bootstrap=50)
    assert found.audited.n_blank == 40
    assert "40 answers without a score at their worst" in found.verdict.sentence
    assert found.audited.difference.interval.low < whole.difference.interval.low - 0.02
    assert found.audited.difference.interval.high > whole.difference.interval.high + 0.02


def test_the_best_single_model_is_the_one_that_a_person_finds_best(router):
    rng = np.random.default_rng(3)
    right = np.column_stack([rng.random(900) < 0.5, rng.random(900) < 0.75]).astype(float)
    judged = np.column_stack([np.maximum(right[:, 0], rng.random(900) < 0.9), right[:, 1]])
    prompts = [f"a {' '.join(map(str, rng.integers(10**9, size=4)))}" for _ in range(900)]
    outcomes = Outcomes(prompts, MODELS, judged, np.tile([0.1, 1.0], (900, 1)))
    fooled = Easy()
    fooled.fit(outcomes.take(range(300)))
    assert fooled.best_single_ == "small"
    test = outcomes.take(range(300, 900))
    scored = np.where(np.arange(600)[:, None] < 150, right[300:], NAN)
    assert evaluate(fooled, test, n_bootstrap=50).verdict.kind == "does_not_pay"
    found = evaluate(fooled, test, audit=Audit.of_random(test, scored), n_bootstrap=50)
    assert found.audited.best_single == "large"
    assert found.audited.difference.interval.high < 0
    assert "always calling large" in found.verdict.sentence


def test_missing_cells_are_bounded_after_the_correction_too(router):
    outcomes, audit, right = world(1500, 200)
    judged = outcomes.quality.copy()
    judged[:45, 0] = NAN
    holed = Outcomes(outcomes.prompts, MODELS, judged, outcomes.cost_usd)
    quality = np.where(np.isnan(judged), NAN, audit.quality)
    part = Audit(audit.prompt_ids, MODELS, quality, audit.is_drawn, audit.probability)
    found = evaluate(router, holed, audit=part, n_bootstrap=50)
    ends = found.missing.bounds["large"]["quality_difference"]
    assert ends.low < -0.053 < ends.high
    assert (
        ends.value
        < evaluate(router, holed, n_bootstrap=50)
        .missing.bounds["large"]["quality_difference"]
        .value
    )
    # Known to have failed, they are wrong by the person too, and nothing is unknown any more.
    failed = Outcomes(outcomes.prompts, MODELS, np.nan_to_num(judged), outcomes.cost_usd)
    known = evaluate(router, holed, failed, audit=part, n_bootstrap=50).missing
    assert known.bounds["large"]["quality_difference"].high < ends.high
    assert right[:45, 0].mean() > 0


def test_agreement_counts_what_was_forgiven_and_what_was_blamed():
    judged = np.array([1.0, 1.0, 1.0, 0.0, 0.0, NAN])
    scored = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    found = agreement(judged, scored)
    assert (found.n, found.n_forgiven, found.n_blamed, found.n_wrong) == (5, 1, 1, 2)
    # 3 of 5 the same; by chance 3/5 * 3/5 + 2/5 * 2/5 = 13/25.
    assert found.kappa == pytest.approx((15 / 25 - 13 / 25) / (12 / 25))
    assert np.isnan(agreement(np.ones(3), np.ones(3)).kappa)
    assert agreement(np.array([NAN]), np.array([1.0])).n == 0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"quality": np.full((2, 2), 1.5)}, "must lie in"),
        ({"quality": np.ones((3, 2))}, "must have shape"),
        ({"probability": np.array([0.5, 0.0])}, "could not be drawn"),
        ({"is_drawn": np.array([True, False])}, "was not drawn at random"),
        ({"is_drawn": np.array([True])}, "one entry per prompt"),
    ],
)
def test_an_audit_that_cannot_be_one_is_refused(changes, match):
    given = {
        "prompt_ids": ["p", "q"],
        "models": MODELS,
        "quality": np.ones((2, 2)),
        "is_drawn": np.array([True, True]),
        "probability": np.array([0.5, 0.5]),
    }
    with pytest.raises(ValueError, match=match):
        Audit(**{**given, **changes})
    with pytest.raises(ValueError, match="no score of a person"):
        Audit.of_random(Outcomes(["p"], ["small"], [[1.0]]), np.array([[NAN]]))
