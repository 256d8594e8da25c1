"""The report shows what deadlines cost, where calls told their seconds."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from routerlib.evaluation.deadlines import measure_deadlines
from routerlib.outcomes.worlds import make_world
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.pages.figures import deadlines_figure
from routerlib.show.plots.deadlines import quality_by_latency
from routerlib.show.tables.deadlines import shown


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    """The dearer of two is slow: under a deadline the other one answers."""
    outcomes, _ = make_world(240, 2, seed=3)
    seconds = np.tile([1.0, 9.0], (len(outcomes), 1))
    seconds += np.random.default_rng(3).uniform(0, 0.5, seconds.shape)
    train, test = replace(outcomes, latency_s=seconds).split(test_size=0.4)
    return measure_deadlines(LGBMRouter().fit(train), test, n_bootstrap=100)


def test_the_figure_names_each_way_and_its_seconds(measured: pd.DataFrame) -> None:
    figure = deadlines_figure(measured)
    assert "under deadlines" in figure.wide
    fast, slow = [name for name in measured.index if name.endswith(" alone")]
    assert measured.latency_p90_s[fast] < 2 < 9 < measured.latency_p90_s[slow]
    for name in measured.index:
        assert name in figure.alt
        assert name in figure.wide
    cap = next(name for name in measured.index if name.startswith("cap"))
    assert measured.latency_p90_s[cap] == measured.latency_p90_s[fast]
    assert measured.quality[cap] == measured.quality[fast]
    assert re.search(r"9\.\d", str(shown(measured)))


def test_labels_of_one_place_do_not_lie_on_each_other(measured: pd.DataFrame) -> None:
    import matplotlib.pyplot as plt

    ax = quality_by_latency(measured)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text() in measured.index]
    overlaps = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert len(boxes) == len(measured)
    assert overlaps == 0
    plt.close(ax.figure)
