"""A random share of prompts is kept apart for evaluation, the same whoever asks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from routerlib.outcomes.evaluation_share import in_evaluation_share
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world

IDS = [f"b2:{number}" for number in range(2000)]


def test_about_a_fifth_is_kept_and_a_larger_share_holds_a_smaller_one() -> None:
    kept = in_evaluation_share(np.arange(2000), IDS)
    assert 0.17 < kept.mean() < 0.23
    assert in_evaluation_share(np.arange(2000), IDS, 0.4)[kept].all()
    assert not in_evaluation_share(np.arange(2000), IDS, 0.0).any()


def test_a_group_is_kept_as_a_whole_in_any_order() -> None:
    groups = np.arange(2000) // 4
    kept = in_evaluation_share(groups, IDS)
    assert (kept.reshape(-1, 4).min(axis=1) == kept.reshape(-1, 4).max(axis=1)).all()
    turned = in_evaluation_share(groups[::-1], IDS[::-1])
    np.testing.assert_array_equal(turned[::-1], kept)


def test_another_process_keeps_the_same() -> None:
    code = (
        "import numpy as np; from routerlib.outcomes.evaluation_share import in_evaluation_share;"
        "kept = in_evaluation_share(np.arange(50), [f'b2:{i}' for i in range(50)]);"
        "print(kept.nonzero()[0].tolist())"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = in_evaluation_share(np.arange(50), IDS[:50]).nonzero()[0].tolist()
    assert seen.stdout.strip() == str(ours)


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 1.5"):
        in_evaluation_share(np.arange(2), IDS[:2], 1.5)


def test_a_split_of_bought_labels_tests_on_what_buying_left_alone() -> None:
    full = make_world(n_prompts=300, seed=1).outcomes
    kept = in_evaluation_share(full.groups, full.prompt_ids)
    chances = np.where(kept[:, None], 1.0, 0.5) * np.ones(full.quality.shape)
    known = Outcomes(full.prompts, full.models, full.quality, full.cost_usd, inclusion=chances)
    for seed in (0, 1):
        train, test = known.split(0.3, seed)
        assert set(test.prompt_ids) == set(np.array(full.prompt_ids)[kept])
        assert len(train) + len(test) == 300
    assert len(full.split(0.3)[1]) == 90  # nothing was bought: drawn as ever
    few = known.take(range(60))
    assert len(few.split(0.3)[1]) == 18  # too few are kept to be a test of their own
