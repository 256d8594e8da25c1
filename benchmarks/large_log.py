"""Make a log of any size: calls of ten candidates with answers, scores, prompts and decisions.

Of the calls to each prompt one was drawn by a router, each candidate's as probably.

Run ``python benchmarks/large_log.py PATH --calls 1000000 [--answer-characters 600]``.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from routerlib.log.call_log import CallLog
from routerlib.log.rows import insertion, prompt_row
from routerlib.records.call import CandidateModel, Price
from routerlib.records.prompt import TASKS, Prompt

N_CANDIDATES = 10
# Rows between two commits, of long answers fewer.
ROWS_AT_ONCE = 20_000
# Share of calls that fail, and of answers that are judged.
SHARE_FAILED = 0.02
SHARE_SCORED = 0.9
SENTENCE = (
    "please explain how many river bridges the old city has and which number is larger than "
    "seventeen when the garden path crosses the market square before noon"
)
WORDS = SENTENCE.split()
CALL = (
    "insert into calls (prompt_id, candidate, params_hash, repeat, status, finish_reason, "
    "response, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, latency_s, "
    "attempts, error_type, decision_id, run_id, created_at) "
    "values (?, ?, ?, 0, ?, ?, ?, ?, 0, ?, 0, ?, 1, ?, ?, 1, ?)"
)
DECISION = (
    "insert into decisions (decision_id, prompt_id, router_hash, candidate, propensity, "
    "cost_weight, estimates, reason, run_id, created_at) "
    "values (?, ?, 'b2:a-made-router', ?, ?, 1.0, ?, 'drawn by chance', 1, ?)"
)
SCORE = "insert into scores (call_id, judge, score, created_at) values (?, 'exact_match', ?, ?)"


def main() -> None:
    """Make one log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--answer-characters", type=int, default=600)
    parser.add_argument("--days", type=int, default=30, help="days that the calls spread over")
    given = parser.parse_args()
    make_log(given.path, given.calls, given.answer_characters, given.days)
    print(f"{given.path}: {given.calls:,} calls, {given.path.stat().st_size / 1e9:.2f} GB")


def make_log(path: Path, n_calls: int, answer_characters: int = 600, n_days: int = 30) -> None:
    """Write a new log with `n_calls` calls, ten to a prompt, spread evenly over days."""
    if path.exists():
        sys.exit(f"{path} is there already; name a new file")
    candidates = [
        CandidateModel(f"model-{arm}", f"m{arm}", "custom", "http://x", None, Price(arm + 1, 4))
        for arm in range(N_CANDIDATES)
    ]
    with CallLog(path) as log:
        log.start_run("collect", {})
        log.add_prices(candidates)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma synchronous = off")
        rng = np.random.default_rng(0)
        for start in range(0, n_calls, ROWS_AT_ONCE):
            count = min(ROWS_AT_ONCE, n_calls - start)
            connection.execute("begin")
            write_block(connection, start, count, answer_characters, n_days * start // n_calls, rng)
            connection.execute("commit")
        connection.execute("pragma wal_checkpoint(truncate)")


def write_block(
    connection: sqlite3.Connection,
    start: int,
    count: int,
    answer_characters: int,
    day: int,
    rng: np.random.Generator,
) -> None:
    """Write `count` calls, with the prompts that they ask and the scores that they got."""
    created_at = f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}T12:00:00.000Z"
    first = start // N_CANDIDATES
    prompts = list(make_prompts(first, -(-count // N_CANDIDATES), rng))
    for prompt in prompts:
        row = {**prompt_row(prompt), "created_at": created_at}
        connection.execute(insertion("prompts", row), row)
    drawn = rng.integers(0, N_CANDIDATES, len(prompts)).tolist()
    connection.executemany(
        DECISION,
        (
            (
                first + 1 + row,
                prompt.prompt_id,
                f"model-{drawn[row]}",
                1 / N_CANDIDATES,
                json.dumps(made_estimates(rng)),
                created_at,
            )
            for row, prompt in enumerate(prompts)
        ),
    )
    filler = " ".join(rng.choice(WORDS, 1 + answer_characters // 4))
    is_ok = rng.random(count) >= SHARE_FAILED
    is_scored = is_ok & (rng.random(count) < SHARE_SCORED)
    tokens = rng.integers(20, 400, (count, 2)).tolist()
    seconds = rng.lognormal(0, 0.5, count).round(3).tolist()
    connection.executemany(
        CALL,
        (
            (
                prompts[index // N_CANDIDATES].prompt_id,
                f"model-{index % N_CANDIDATES}",
                "b2:0123456789abcdef",
                "ok" if is_ok[index] else "error",
                "stop" if is_ok[index] else None,
                f"{start + index} {filler}"[:answer_characters] if is_ok[index] else None,
                tokens[index][0],
                tokens[index][1],
                seconds[index],
                None if is_ok[index] else "RateLimitError",
                first + 1 + index // N_CANDIDATES
                if index % N_CANDIDATES == drawn[index // N_CANDIDATES]
                else None,
                created_at,
            )
            for index in range(count)
        ),
    )
    score = rng.integers(0, 2, count).astype(float).tolist()
    connection.executemany(
        SCORE,
        (
            (start + 1 + index, score[index], created_at)
            for index in np.flatnonzero(is_scored).tolist()
        ),
    )


def made_estimates(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Make up what a router expected of each candidate."""
    quality, cost_usd = rng.random((2, N_CANDIDATES)).round(4).tolist()
    return {
        f"model-{arm}": {"quality": quality[arm], "cost_usd": cost_usd[arm] / 1000}
        for arm in range(N_CANDIDATES)
    }


def make_prompts(start: int, count: int, rng: np.random.Generator) -> Iterator[Prompt]:
    """Make distinct prompts of about 200 characters."""
    for number in range(start, start + count):
        text = f"{' '.join(rng.choice(WORDS, 36))} {number}?"
        yield Prompt.from_text(text, task=TASKS[number % len(TASKS)], source="made")


if __name__ == "__main__":
    main()
