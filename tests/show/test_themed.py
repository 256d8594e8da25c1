"""Figures in notebooks and pages are drawn for the dark as well as for the light."""

import base64
import io
import re
from html import unescape
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from browsing import visiting
from matplotlib.colors import to_rgb

from routerlib.outcomes.outcomes import Outcomes
from routerlib.show import plots
from routerlib.show.pages.notebook import style
from routerlib.show.plots.style import _COLORS, DEEP, candidate_styles
from routerlib.show.plots.themed import _INKS, ThemedFigure

plt.switch_backend("agg")

HOSTILE = 'large" onerror="alert(1)<script>'


@pytest.fixture
def shown():
    outcomes = Outcomes(
        ["a", "b", "c"], ["small", HOSTILE], [[0, 1], [1, 1], [0, 1]], None, ["x", "y", "z"]
    )
    yield plots.task_heatmap(outcomes).figure._repr_html_()
    plt.close("all")


def drawing_of(html):
    return base64.b64decode(re.search(r"base64,([^\"]+)", html)[1]).decode()


def luminance(color):
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
    return sum(part * c for part, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_figure_says_what_it_shows_whatever_a_name_tries(shown):
    (alt,) = re.findall(r'alt="([^"]*)">$', shown)
    assert unescape(alt) == (
        f"{HOSTILE} is best or tied on 3 of 3 tasks (red frames) "
        "(across: candidate model; upwards: task)"
    )
    texts = "".join(ElementTree.fromstring(drawing_of(shown)).itertext())
    assert HOSTILE in texts


def test_its_black_and_white_are_variables_and_its_letters_are_large_enough(shown):
    rules, drawn = drawing_of(shown).split("</style>")
    assert "prefers-color-scheme:dark" in rules
    assert "var(--ink)" in drawn
    assert not [ink.drawn for ink in _INKS if ink.drawn in drawn]
    points = [float(size) for size in re.findall(r"font(?:-size)?: (?:[\w ]* )?([\d.]+)px", drawn)]
    assert min(points) * 96 / 72 >= 11
    assert 'style="max-width:none"' in shown  # a narrow screen would make them smaller


def test_hatched_bars_change_with_the_page_too():
    fig, ax = plt.subplots(FigureClass=ThemedFigure)
    ax.bar([0], [1], color="#332288", hatch="//", edgecolor="white")
    drawn = drawing_of(fig._repr_html_()).split("</style>")[1]
    assert not re.search("#332288|#ffffff", drawn)
    assert "var(--indigo)" in drawn
    plt.close(fig)


def test_candidates_are_told_from_the_ground_in_the_dark_too():
    darkened = {ink.drawn: ink.dark for ink in _INKS}
    for ground in ("#111111", re.findall(r"--paper: (#\w+)", style())[1]):
        for color in _COLORS:
            assert contrast(darkened.get(color.lower(), color), ground) >= 3, (color, ground)


def test_what_is_too_deep_for_the_dark_is_called_by_name_in_pages():
    assert {ink.drawn: ink.name for ink in _INKS}.items() >= DEEP.items()
    styles = candidate_styles([f"m{number}" for number in range(9)]).values()
    told = {style.color: style.css for style in styles}
    assert told["#882255"] == "var(--plum, #882255)"
    assert told["#0072B2"] == "#0072B2"
    assert len(set(told.values())) == 9


def test_pages_say_in_light_in_the_dark_and_on_paper_what_the_inks_are():
    for ink in _INKS:
        assert len(re.findall(rf"--{ink.name}: #", style())) == 3


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_a_figure_is_dark_where_what_it_stands_in_is(browser, tmp_path, shown, scheme, is_dark):
    # As JupyterLab does it: its theme decides, not what the machine prefers.
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><body style='color-scheme:{scheme}'>{shown}")
    with visiting(browser, page.as_uri()) as visit:
        seen = plt.imread(io.BytesIO(visit.page.locator("img").screenshot()))[..., :3].mean(axis=2)
    margin = seen[2:-2, 2:40]  # paper with the letters of tasks on it
    assert (np.median(margin) < 0.1) == is_dark
    assert (np.median(seen[:, 2]) > 0.9) != is_dark
