"""Tables of the command line: columns under each other, whole numbers whole, no exponents."""

from __future__ import annotations

import pandas as pd

from routerlib.records.text_table import text_table


def test_columns_stand_under_each_other_and_numbers_are_written_as_a_person_would() -> None:
    frame = pd.DataFrame(
        {
            "calls": [120.0, 7.0],
            "cost_usd": [0.0000149, None],
            "seconds": [21.0639, 1234.5],
            "is_on": [True, False],
            "note": ["", "slow"],
        },
        index=pd.Index(["small", "a longer name"], name="candidate"),
    )
    assert text_table(frame).splitlines() == [
        "candidate      calls   cost_usd  seconds  is_on  note",
        "small            120  0.0000149     21.1  yes",
        "a longer name      7          –     1234  no     slow",
    ]


def test_digits_are_kept_where_they_are_asked_for() -> None:
    assert text_table(pd.DataFrame({"x": [0.123456789]}), 6).splitlines() == [
        "       x",
        "0.123457",
    ]


def test_a_frame_without_rows_is_its_heads() -> None:
    assert text_table(pd.DataFrame(columns=["a", "b"])) == "a  b"
