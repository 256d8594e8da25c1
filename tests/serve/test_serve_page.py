"""The page on serving says what the server keeps to."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from routerlib.serve import fields, structure
from routerlib.serve.admission import Patience
from routerlib.serve.guard import Limits
from routerlib.serve.reloading import FileState

PAGE = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")
LIMITS, WAIT = Limits(), Patience()
MB = 1_000_000


@pytest.mark.parametrize(
    "row",
    [
        f"| {WAIT.most_waiting_per_client} of one client, {WAIT.most_waiting} in all | the one",
        f"| the head of a request | {WAIT.head_s:g} seconds |",
        f"| the body of a request | {LIMITS.body_s:g} seconds, {LIMITS.body_bytes // MB} MB,",
        f"| {structure.MOST_VALUES:,} values, {structure.MOST_DEPTH} levels, "
        f"{fields.MOST_MESSAGES:,} messages, {fields.MOST_PARTS:,} parts each, "
        f"{fields.MOST_FIELDS} fields an object |",
        f"| bodies above {LIMITS.small_bytes // 1024} kB of all requests under way | "
        f"{LIMITS.room_bytes // MB} MB | a wait of {LIMITS.room_s:g} seconds, then 503 |",
        f"| their texts, in memory | {LIMITS.text_bytes // MB} MB | the same |",
        f"| {LIMITS.most_requests_per_client} of one client, {LIMITS.most_requests:,} in all | 503",
        f"| an answer that its client doesn't read | {WAIT.unread_s:g} seconds |",
    ],
)
def test_each_limit_stands_there_as_it_is(row: str) -> None:
    assert row in PAGE


def test_each_state_of_the_router_file_stands_there() -> None:
    assert "".join(f"`{state}`, " for state in get_args(FileState)).rstrip(", ") in PAGE
