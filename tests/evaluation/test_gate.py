"""A daily gate promotes what is shown to be no worse, and remembers what it has spent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from routerlib.evaluation.duel import weigh
from routerlib.evaluation.retraining import Retraining, retrain
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.files import sha256_of
from routerlib.routers import archive
from routerlib.routers.baselines import BestSingle
from routerlib.routers.loading import load_router
from routerlib.routers.promotions import Promotions, PromotionsError, anchor_of

NAMES = ("good", "twin", "poor")
N_FIRST = 100


def table(n: int, seed: int = 0) -> Outcomes:
    """Return prompts of which "good" and "twin" answer 80 %, "poor" 60 %, none like another."""
    rng = np.random.default_rng(seed)
    texts = [f"{word:016x}" for word in rng.integers(2**62, size=n)]
    right = rng.random((n, 3)) < np.array([0.8, 0.8, 0.6])
    return Outcomes(texts, NAMES, right.astype(float))


def always(name: str, taught: Outcomes) -> BestSingle:
    """Return a router that was taught and chooses one candidate whatever comes."""
    quality = np.full(taught.quality.shape, 0.5)
    quality[:, NAMES.index(name)] = 1.0
    told = Outcomes(taught.prompts, NAMES, quality, prompt_ids=taught.prompt_ids)
    return BestSingle().fit(told)


@pytest.fixture
def trains(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Say what every challenger is from now on."""
    monkeypatch.setattr("routerlib.evaluation.retraining._drift", lambda *_: None)

    def become(name: str) -> None:
        monkeypatch.setattr(
            "routerlib.evaluation.gate.train_router", lambda taught, **_: always(name, taught)
        )

    return become


def after(outcomes: Outcomes, n: int, path: Path, **options: Any) -> Retraining:
    """Retrain on the first n prompts, as a log of them."""
    log: Any = SimpleNamespace(outcomes=lambda **_: outcomes.take(range(n)))
    return retrain(log, path, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router_model.pkl"


def test_a_challenger_stands_by_until_what_comes_in_has_shown_it(
    trains: Callable[[str], None], path: Path
) -> None:
    outcomes = table(700, seed=2)
    always("poor", outcomes.take(range(N_FIRST))).save(path)
    trains("good")
    first = after(outcomes, N_FIRST + 100, path)
    assert first.verdict == "kept"
    assert first.evidence is not None
    assert first.evidence.needed == pytest.approx(40)
    assert "The new router stands by and is tested on what comes in" in first.sentence
    assert "prompts would show a gain of 5 points" in first.sentence
    later = after(outcomes, N_FIRST + 250, path)
    assert later.verdict == "replaced"
    assert later.challenger == first.challenger
    assert later.evidence is not None
    assert (later.evidence.n_tests, later.evidence.e_value >= 40) == (1, True)
    # All 150 that came in since the first look have judged it, beside the 40 held out at first.
    assert later.comparison is not None
    assert later.comparison.n == 190
    assert load_router(path).best_single_ == "good"


def test_each_prompt_judges_one_challenger_only(trains: Callable[[str], None], path: Path) -> None:
    outcomes = table(900)
    always("good", outcomes.take(range(N_FIRST))).save(path)
    trains("poor")
    after(outcomes, N_FIRST + 100, path)
    aside = after(outcomes, N_FIRST + 300, path)
    assert "it is set aside for one that knows more" in aside.sentence
    spent = set(Promotions.of(path).used)
    assert len(spent) == 240
    trains("twin")
    next_one = after(outcomes, N_FIRST + 350, path)
    known = Promotions.of(path)
    assert known.n_tests == 2
    assert next_one.comparison is not None
    assert next_one.comparison.n == len(known.tested()) == 44  # 40 % of the 110 left
    assert not spent & set(known.tested())


def test_of_very_many_new_prompts_so_many_as_suffice_are_held_out(
    monkeypatch: pytest.MonkeyPatch, trains: Callable[[str], None], path: Path
) -> None:
    outcomes = table(N_FIRST + 400)
    is_lacking = np.arange(len(outcomes)) >= N_FIRST + 200
    quality = np.where(is_lacking[:, None] & (np.arange(3) == 2), np.nan, outcomes.quality)
    outcomes = replace(outcomes, quality=quality)  # every candidate has answered 200 new prompts
    always("good", outcomes.take(range(N_FIRST))).save(path)
    monkeypatch.setattr("routerlib.evaluation.gate.MOST_TESTED", 50)
    trains("poor")
    done = after(outcomes, len(outcomes), path)
    tested = Promotions.of(path).tested()
    assert len(tested) == 100  # a quarter of all, as many as hold about 50 that can be compared
    assert done.n_train == len(outcomes) - len(tested)
    assert done.comparison is not None
    assert 35 <= done.comparison.n <= 65


def test_too_few_prompts_train_no_challenger(trains: Callable[[str], None], path: Path) -> None:
    outcomes = table(160)
    always("good", outcomes.take(range(N_FIRST))).save(path)
    trains("twin")
    few = after(outcomes, 160, path)
    assert "60 new prompts have judged no router yet, about 100 are needed" in few.sentence
    assert Promotions.of(path).n_tests == 0


def test_what_was_spent_is_known_after_a_restart_and_a_person_begins_anew(
    trains: Callable[[str], None], path: Path
) -> None:
    outcomes = table(900)
    always("good", outcomes.take(range(N_FIRST))).save(path)
    trains("twin")
    after(outcomes, N_FIRST + 100, path)
    known = Promotions.of(path)
    assert (known.n_tests, len(known.batches)) == (1, 1)
    assert known == Promotions.of(path)
    archive.install(always("poor", outcomes.take(range(N_FIRST))), path)
    begun = Promotions.of(path)
    assert (begun.n_tests, begun.batches, begun.in_use) == (0, (), sha256_of(path))
    assert anchor_of(path).best_single_ == "poor"


def test_identical_choices_keep_and_spend_nothing(
    trains: Callable[[str], None], path: Path
) -> None:
    outcomes = table(400)
    always("good", outcomes.take(range(N_FIRST))).save(path)
    trains("good")
    done = after(outcomes, 400, path, margin=0.5)
    assert done.verdict == "kept"
    assert done.sentence.startswith(
        "Kept: both choose the same on all 120 prompts compared. The new router, trained on the "
    )
    stands = "keeps to ", "operates at cost weight "
    assert f"{done.n_train} prompts left for training, " in done.sentence
    assert any(each in done.sentence for each in stands)
    assert done.sentence.endswith(
        "`routerlib train` learns from all prompts and tests out of fold, so it may "
        "come to another."
    )
    assert Promotions.of(path).n_tests == 0


def test_small_losses_never_add_up_against_the_anchor(
    trains: Callable[[str], None], path: Path
) -> None:
    outcomes = table(700)
    learnt = outcomes.take(range(N_FIRST))
    always("good", learnt).save(path)
    known = Promotions.of(path)
    # As if the gate had come, by promotions within the margin each, to a poor router.
    always("poor", learnt).save(path)
    Promotions(in_use=sha256_of(path), n_tests=known.n_tests).save(path)
    trains("poor")
    lost = np.array(outcomes.quality)
    lost[:, 1] = np.minimum(1.0, lost[:, 2] + 0.1)  # "twin" is a little better than "poor" now
    little = Outcomes(outcomes.prompts, NAMES, lost)
    trains("twin")
    done = after(little, 700, path)
    assert done.evidence is not None
    assert done.evidence.e_value > done.evidence.needed > done.evidence.against_anchor
    assert done.verdict == "kept"
    assert load_router(path).best_single_ == "poor"


def test_rare_large_losses_do_not_pass_unseen() -> None:
    outcomes = table(130)
    quality = np.ones((130, 3))
    tied = Outcomes(outcomes.prompts, NAMES, quality)
    new, old = (always(name, table(40, seed=1)) for name in ("twin", "good"))
    found = weigh(new, old, [tied], margin=0.02, cost_weight=0.0, largest_cost_usd=0.0)
    # No loss was seen: a loss of all on 1 of 40 prompts would hide so with a chance of 4 %.
    assert 1 < found.e_value < 40
    assert not found.is_same


def test_a_loss_in_copies_counts_once() -> None:
    outcomes = table(100)
    object.__setattr__(outcomes, "_groups", np.arange(100) // 10)
    new, old = (always(name, table(40, seed=1)) for name in ("good", "poor"))
    options: dict[str, Any] = {"margin": 0.02, "cost_weight": 0.0, "largest_cost_usd": 0.0}
    grouped = weigh(new, old, [outcomes], **options)
    alone = weigh(new, old, [table(100)], **options)
    assert grouped.e_value < 5 < 40 < alone.e_value


def test_a_damaged_record_is_told_and_not_forgotten(
    trains: Callable[[str], None], path: Path
) -> None:
    outcomes = table(300)
    always("good", outcomes.take(range(N_FIRST))).save(path)
    trains("twin")
    after(outcomes, 300, path)
    record = path.parent / "models" / "promotions.json"
    assert json.loads(record.read_text())["n_tests"] == 1
    record.write_text('{"format": 1, "in_use": 3}')
    with pytest.raises(PromotionsError, match="delete it to begin anew from the router in use"):
        after(outcomes, 300, path)
    assert record.read_text() == '{"format": 1, "in_use": 3}'


def test_a_challenger_whose_file_is_gone_is_replaced_by_another(
    trains: Callable[[str], None], path: Path
) -> None:
    outcomes = table(700)
    always("good", outcomes.take(range(N_FIRST))).save(path)
    trains("twin")
    after(outcomes, 200, path)
    (path.parent / "models" / "challenger.pkl").unlink()
    done = after(outcomes, 500, path)
    assert done.evidence is not None
    assert done.evidence.n_tests == 2
    assert done.comparison is not None
    assert done.comparison.n == 144  # 40 % of the 360 that have judged none


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_a_margin_that_allows_all_or_less_than_nothing_is_refused(
    margin: float, path: Path
) -> None:
    with pytest.raises(ValueError, match="margin must be at least 0 and under 1"):
        after(table(50), 50, path, margin=margin)
