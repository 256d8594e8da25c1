#!/usr/bin/env bash
# inspect-ai 0.3.285: tokens of a try that broke are missing from the sample that was tried again.
#
# One would guess: the samples' `model_usage` add up to the log's `stats.model_usage`, which is what was paid.
# What happens: with `retry_on_error` only the last try's tokens are in the sample; the log's stats hold all. The first
# try's model calls lie, as events, under the sample's `error_retries`.
# Why it matters: a cost by sample is too low just where things went wrong, and a check that compares the two sums fails
# on a log that is whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile inspect-ai==0.3.285 openai==3.57.0
export HOME="$folder" LOCAL_API_KEY=none

cat > run.py <<'PY'
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log
from inspect_ai.scorer import exact
from inspect_ai.solver import solver


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": said(asked["messages"][-1]["content"])}
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def said(asked):
    return "4"


@solver
def breaks_once():
    """Ask, and fail the first time after the answer came."""
    tries = []

    async def solve(state, generate):
        state = await generate(state)
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the sandbox went away")
        return state

    return solve


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
os.environ["LOCAL_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
print("inspect-ai", version("inspect-ai"))
task = Task(
    dataset=[Sample(input="What is 2 + 2?", target="4")], solver=breaks_once(), scorer=exact()
)
model = "openai-api/local/small"
(log,) = eval(task, model=model, log_dir="logs", display="none", retry_on_error=1)
log = read_eval_log(log.location)
sample = log.samples[0]
(broken,) = sample.error_retries
events = [event for event in broken.events if event.event == "model"]
seen = (
    log.status,
    log.stats.model_usage[model].total_tokens,
    sample.model_usage[model].total_tokens,
    [event.output.usage.total_tokens for event in events],
)
print("status %s; tokens: stats %s, the sample %s, the broken try's events %s" % seen)
if seen != ("success", 16, 8, [8]):
    sys.exit("CHANGED: tokens of a broken try are logged in another way now")
print("OK: inspect-ai logs 8 tokens in the sample and 16 in the stats")
PY
venv/bin/python run.py
