"""One line tells how far a collection has come: of all, of each, money, pace, time left."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter

import pytest

from routerlib.gather.collection import progress
from routerlib.gather.collection.progress import Progress, Standing, remaining_s


def test_time_left_comes_from_what_was_measured() -> None:
    half_done = Standing(10, n_done=4, started_s=0.0, expected_s=1.0)
    assert remaining_s([half_done], now_s=20.0) == 6 * 5.0


def test_candidates_that_wait_are_expected_to_differ_as_much_as_those_that_were_measured() -> None:
    measured = Standing(10, True, expected_s=1.0, n_done=5, started_s=10.0)
    waiting = Standing(10, True, expected_s=2.0)
    # Calls of the first take 3 s each where 1 s was expected: those of the second take 6 s.
    assert remaining_s([measured, waiting], now_s=25.0) == 60.0
    third = Standing(20, True, expected_s=2.0)  # 15, 60 and 120 s of work for two at a time
    assert remaining_s([measured, waiting, third], now_s=25.0) == 120.0
    fourth = Standing(20, True, expected_s=2.0)
    assert remaining_s([measured, waiting, third, fourth], now_s=25.0) == (15 + 60 + 240) / 2


def test_remote_candidates_are_asked_beside_each_other() -> None:
    both = [Standing(10, expected_s=1.0), Standing(30, expected_s=1.0)]
    assert remaining_s(both, now_s=0.0) == 30.0


def test_nothing_is_said_of_the_time_left_before_anything_is_known() -> None:
    assert math.isnan(remaining_s([Standing(10)], now_s=1.0))
    assert remaining_s([Standing(10, n_done=10, started_s=0.0)], now_s=1.0) == 0.0
    assert remaining_s([Standing(10, is_off=True)], now_s=1.0) == 0.0


def test_who_has_no_slot_yet_waits_for_one_and_truncated_is_not_failed() -> None:
    shown = Progress({"small": Standing(3, True), "large": Standing(3, True)}, is_shown=False)
    shown.start("small")
    statuses = Counter(ok=1, truncated=1)
    shown.show("small", 2, spent_usd=0.25, statuses=statuses)
    line = shown.line()
    assert re.fullmatch(
        r"2/6 calls  [\d.]+ calls/s  \$0\.2500 spent  1 truncated: small 2/3, "
        r"large waiting for a slot",
        line,
    )
    shown.switch_off("large")
    assert shown.line().endswith("large switched off at 0")


def test_a_terminal_gets_one_line_that_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    shown = Progress({f"a candidate of a long name {i}": Standing(5) for i in range(9)})
    shown.say("switched off one")
    shown.close()
    out, err = capsys.readouterr()
    assert out == ""
    first, line, end = err.split("\n")
    assert first.startswith("\rswitched off one")
    assert end == ""
    drawn = [each.removesuffix("\x1b[K") for each in line.split("\r") if each]
    assert drawn[0].startswith("0/45 calls")
    assert all(len(each) < 60 for each in drawn)


def test_a_notebook_that_is_watched_gets_one_widget_and_keeps_the_last_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_is_watched_notebook", lambda: True)
    shown = Progress({"<b>": Standing(2), "large": Standing(2)})
    shown.start("<b>")
    shown.show("<b>", 1, spent_usd=0.0, statuses=Counter(ok=1))
    shown.close()
    widget = shown._widget
    assert widget is not None
    assert "&lt;b&gt;" in widget.value
    assert "<b>" not in widget.value
    assert "waiting for a slot" in widget.value
    assert capsys.readouterr().out.splitlines()[-1].startswith("1/4 calls")
