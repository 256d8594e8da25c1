"""Run the loop for real: serve by rules, ask, score, train, see the router taken up, ask again.

Run ``python benchmarks/loop.py --folder loop``; protocol: results/loop.md. Two local models answer,
so no key is needed. What was asked, answered, decided and scored is in ``loop/logs.db`` afterwards.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from openai import OpenAI
from processes import start_server

from routerlib.gather.judges import judge
from routerlib.gather.prompts.files import load_prompts
from routerlib.log.call_log import CallLog
from routerlib.records.prompt import Prompt

HERE = Path(__file__).parent
PHASES = """
select
    iif(decisions.router_hash = ?, 'rules', 'router') as phase,
    calls.candidate,
    count(*),
    avg(score),
    avg(output_tokens),
    min(propensity)
from decisions join calls using (decision_id)
left join scores on scores.call_id = calls.call_id
group by phase, calls.candidate order by phase desc, calls.candidate
"""


@dataclass(frozen=True)
class Told:
    """What one answer came to."""

    model: str
    score: float


def main() -> None:
    """Run it and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="for log and router; a temporary one if none")
    parser.add_argument("--before", type=int, default=150, help="prompts that rules decide")
    parser.add_argument("--after", type=int, default=50, help="prompts that the router decides")
    parser.add_argument("--explore", default="epsilon-greedy:0.5")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument(
        "--learn", choices=("train", "retrain"), default="retrain", help="the command to learn with"
    )
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=not options.folder)
    log_path, model_path = folder / "logs.db", folder / "router_model.pkl"
    prompts = choose_prompts(options.before + options.after, options.random_state)
    server, url = start_server(
        *("--candidates", str(write_candidates(folder)), "--log", str(log_path)),
        *("--model", str(model_path), "--explore", options.explore),
    )
    try:
        rules = health(url)
        print(f"who decides: {rules['router']}")
        show("rules", ask_all(url, prompts[: options.before]))
        learn(options.learn, log_path, model_path)
        wait_for_another(url, rules["router_hash"])
        print(f"who decides: {health(url)['router']}, without a restart")
        show("router", ask_all(url, prompts[options.before :]))
    finally:
        server.terminate()
        _, told = server.communicate(timeout=120)
    print(told.strip())
    show_log(log_path, rules["router_hash"])


def choose_prompts(n_prompts: int, random_state: int) -> list[Prompt]:
    """Draw prompts of the workload that ships, which names a judge for each."""
    known = load_prompts(HERE.parent / "data" / "prompts.jsonl")
    order = np.random.default_rng(random_state).permutation(len(known))
    return [known[i] for i in order[:n_prompts]]


def write_candidates(folder: Path) -> Path:
    """Write the two smaller models of the embedded pool."""
    pool = HERE.parent / "routerlib/gather/candidates/pools/local.yaml"
    entries = yaml.safe_load(pool.read_text(encoding="utf-8"))[:2]
    path = folder / "candidates.yaml"
    path.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return path


def ask_all(url: str, prompts: list[Prompt]) -> list[Told]:
    """Send prompts with the OpenAI SDK, two at once, and score each answer over HTTP."""
    with (
        OpenAI(base_url=f"{url}/v1", api_key="none", timeout=600) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        return list(pool.map(lambda prompt: ask(client, url, prompt), prompts))


def ask(client: OpenAI, url: str, prompt: Prompt) -> Told:
    """Ask, judge, and tell the server."""
    messages = [dict(message) for message in prompt.messages]
    answer = client.chat.completions.create(model="router", messages=messages)  # type: ignore
    text = answer.choices[0].message.content or ""
    verdict = judge(prompt, text)
    if verdict.is_scored and answer.choices[0].finish_reason == "stop":
        decision_id = (answer.model_extra or {})["routerlib"]["decision_id"]
        post(f"{url}/feedback", {"decision_id": decision_id, "score": verdict.score})
        return Told(answer.model, verdict.score)
    return Told(answer.model, float("nan"))


def post(url: str, body: dict) -> None:
    """Send JSON, and expect success."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()


def health(url: str) -> dict[str, str]:
    """Ask the server who decides."""
    with urllib.request.urlopen(f"{url}/health", timeout=60) as response:
        return json.load(response)


def learn(command: str, log_path: Path, model_path: Path) -> None:
    """Let the command line make a router from the log as it is now."""
    entry = "from routerlib.cli import entry; entry()"
    page = ["--report", str(model_path.with_name("retraining.html"))]
    done = subprocess.run(
        [
            *(sys.executable, "-c", entry, command),
            *("--log", str(log_path), "--model", str(model_path)),
            *(page if command == "retrain" else ()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"$ routerlib {command}\n{done.stdout.strip()}\n{done.stderr.strip()}".strip())
    done.check_returncode()


def wait_for_another(url: str, router_hash: str) -> None:
    """Wait until another router decides."""
    deadline = time.monotonic() + 60
    while health(url)["router_hash"] == router_hash:
        if time.monotonic() > deadline:
            raise RuntimeError("the new router was never taken up")
        time.sleep(0.2)


def show(who: str, told: list[Told]) -> None:
    """Print how well the answers of one phase were scored, with a bootstrap interval."""
    scores = np.array([each.score for each in told if np.isfinite(each.score)])
    draws = np.random.default_rng(0).choice(scores, (2000, len(scores))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    print(
        f"{who}: {len(told)} asked, {len(scores)} scored, mean {scores.mean():.3f} "
        f"(95 % {low:.3f} to {high:.3f})",
        flush=True,
    )


def show_log(log_path: Path, rules_hash: str) -> None:
    """Print what the log says of both phases."""
    print("phase   candidate            calls  quality  output tokens  least propensity")
    with CallLog(log_path, read_only=True) as log:
        for phase, name, n, quality, tokens, propensity in log.lookup(PHASES, rules_hash):
            shown = "      -" if quality is None else f"{quality:>7.3f}"
            tokens = 0.0 if tokens is None else tokens
            print(f"{phase:<7} {name:<20} {n:>5}  {shown}  {tokens:>13.1f}  {propensity:>16.2f}")


if __name__ == "__main__":
    main()
