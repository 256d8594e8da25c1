"""Print what long conversations with tools cost: bytes of the log, and time of a decision.

Run ``python benchmarks/conversations.py [--steps 50] [--rounds 200]``. The conversations are made
up, seeded: a set-up, a question, then a call of a tool and its result at each step.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from large_log import WORDS

from routerlib.log.call_log import CallLog
from routerlib.log.rows import call_row, insertion, prompt_row
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, Usage
from routerlib.records.prompt import Prompt
from routerlib.records.situations import Situation, Step
from routerlib.routers.lightgbm.router import LGBMRouter

# Characters of a tool's result, of the set-up, and of the tools that are offered.
RESULTS = (400, 1600, 6400)
SETUP_CHARACTERS = 4_000
N_TOOLS = 20
_CHARACTERS = """
select (select sum(length(messages)) from prompts) + (select sum(length(extra)) from calls)
    + (select coalesce(sum(length(hash) + length(json)), 0) from pieces)
"""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=200, help="decisions of each kind")
    given = parser.parse_args()
    report_bytes(given.steps)
    report_decisions(given.rounds)


def report_bytes(n_steps: int) -> None:
    """Print the size of a log of one conversation, each step whole and with shared history."""
    print(f"one conversation of {n_steps} steps, {N_TOOLS} tools offered at each\n")
    print(
        "| characters of a result | history whole, MB of file | stored once | ratio | "
        "ratio of messages and tools alone | ratio of processor seconds of writing |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for n_characters in RESULTS:
        prompts = trajectory(n_steps, n_characters, np.random.default_rng(0))
        whole, shared = (measured(prompts, write) for write in (write_whole, write_shared))
        print(
            f"| {n_characters:,} | {whole.n_bytes / 1e6:.2f} | {shared.n_bytes / 1e6:.2f} | "
            f"{whole.n_bytes / shared.n_bytes:.1f} | "
            f"{whole.n_characters / shared.n_characters:.1f} | {shared.s / whole.s:.2f} |"
        )


def report_decisions(n_rounds: int) -> None:
    """Print what a decision takes, from messages to choice, of both kinds in turn."""
    rng = np.random.default_rng(2)
    situation = Situation.of(tools(rng), 20_000, [Step("small", "truncated")] * 5).kept()
    steps = [prompt for _ in range(4) for prompt in trajectory(25, 400, rng)]
    known = [Prompt(prompt.messages, extra=situation).text for prompt in steps]
    texts = known + [words(200, rng) for _ in known]
    quality = rng.integers(0, 2, (len(texts), 3)).astype(float)
    cost_usd = np.full(quality.shape, [0.001, 0.003, 0.01])
    outcomes = Outcomes(texts, ["small", "middle", "large"], quality, cost_usd)
    router = LGBMRouter(random_state=0).fit(outcomes)
    long = trajectory(25, 3_200, rng)[-1].messages
    seconds: dict[str, list[float]] = {"short prompt": [], "conversation": []}
    for _ in range(n_rounds):
        short = ({"role": "user", "content": words(200, rng)},)
        asked = (short, None), (long, situation)
        for name, (messages, extra) in zip(seconds, asked, strict=True):
            start = time.process_time()
            router.route(Prompt(tuple(messages), extra=extra).text)
            seconds[name].append(time.process_time() - start)
    n_characters = sum(len(str(each["content"])) for each in long)
    print(f"\nconversation: {len(long)} messages of {n_characters:,} characters\n")
    print("| decision on | processor ms p50 | p95 |\n| --- | --- | --- |")
    for name, taken in seconds.items():
        p50, p95 = np.quantile(taken, [0.5, 0.95]) * 1e3
        print(f"| {name} | {p50:.2f} | {p95:.2f} |")
    ratio = np.median(seconds["conversation"]) / np.median(seconds["short prompt"])
    print(f"\nratio of p50: {ratio:.2f}")


def trajectory(n_steps: int, n_characters: int, rng: np.random.Generator) -> list[Prompt]:
    """Make the prompts of a conversation, one for each step."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": words(SETUP_CHARACTERS, rng)},
        {"role": "user", "content": words(200, rng)},
    ]
    prompts = [Prompt(tuple(messages))]
    for step in range(n_steps - 1):
        function = {"name": "look_up", "arguments": f'{{"question": "{words(60, rng)}"}}'}
        called = {"id": f"call_{step}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "", "tool_calls": [called]})
        result = {"role": "tool", "tool_call_id": f"call_{step}"}
        messages.append({**result, "content": words(n_characters, rng)})
        prompts.append(Prompt(tuple(messages)))
    return prompts


def words(n_characters: int, rng: np.random.Generator) -> str:
    """Draw words that add up to about so many characters."""
    return " ".join(rng.choice(WORDS, max(1, n_characters // 5)))[:n_characters]


def tools(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Make the tools that are offered."""
    return [
        {"type": "function", "function": {"name": f"tool_{n}", "description": words(400, rng)}}
        for n in range(N_TOOLS)
    ]


def calls(prompts: Sequence[Prompt]) -> list[Call]:
    """Make the call of each step."""
    offered = tools(np.random.default_rng(1))
    extra = {"tools": offered, "tool_choice": "auto"}
    usage = Usage(1, 1)
    return [
        Call(prompt.prompt_id, "small", "b2:x", "ok", None, usage, 1.0, extra=extra)
        for prompt in prompts
    ]


def write_whole(log: CallLog, prompts: Sequence[Prompt]) -> None:
    """Write each step with all that was said before it, as logs up to version 4 did."""
    for prompt, call in zip(prompts, calls(prompts), strict=True):
        with log.transaction() as connection:
            for table, row in (("prompts", prompt_row(prompt)), ("calls", call_row(call, None))):
                connection.execute(insertion(table, row), row)


def write_shared(log: CallLog, prompts: Sequence[Prompt]) -> None:
    """Write each step as a log does."""
    for prompt, call in zip(prompts, calls(prompts), strict=True):
        with log.transaction():
            log.add_prompts([prompt])
            log.add_call(call)


class Written(NamedTuple):
    """What writing a log took: bytes beyond an empty one's, characters of messages and tools."""

    n_bytes: int
    n_characters: int
    s: float


def measured(prompts: Sequence[Prompt], write: Any) -> Written:
    """Write a log and look at it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs.db"
        with CallLog(path) as log:
            empty = n_bytes(path)
            start = time.process_time()
            write(log, prompts)
            seconds = time.process_time() - start
        with closing(sqlite3.connect(path)) as log:
            ((n_characters,),) = log.execute(_CHARACTERS).fetchall()
        return Written(n_bytes(path) - empty, n_characters, seconds)


def n_bytes(path: Path) -> int:
    """Return the bytes of a log, all of it in one file."""
    with closing(sqlite3.connect(path)) as log:
        log.execute("pragma wal_checkpoint(truncate)")
    return path.stat().st_size


if __name__ == "__main__":
    main()
