#!/usr/bin/env bash
# inspect-ai 0.3.285: `input_tokens` of a log is not the length of the prompt.
#
# One would guess: `input_tokens` is the server's `prompt_tokens`, and the cached tokens are a part of it, as in the
# usage of the server.
# What happens: cached tokens are subtracted first. A server that says 941 prompt tokens, 900 of them cached, leaves
# `input_tokens` 41 and `input_tokens_cache_read` 900; only `total_tokens` still holds all of them.
# Why it matters: input tokens times the list price, or tokens per prompt, are far too low for whoever reads the field
# alone; and whoever subtracts the cached part once more gets less than nothing.
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
from inspect_ai.solver import generate

USAGE = {
    "prompt_tokens": 941,
    "completion_tokens": 14,
    "total_tokens": 955,
    "prompt_tokens_details": {"cached_tokens": 900},
}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": "Blue."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "small"}
        body = json.dumps({**answer, "choices": [choice], "usage": USAGE}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
os.environ["LOCAL_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
print("inspect-ai", version("inspect-ai"))
task = Task(dataset=[Sample(input="Which colour has the sky?")], solver=generate())
(log,) = eval(task, model="openai-api/local/small", log_dir="logs", display="none")
usage = read_eval_log(log.location).samples[0].output.usage
print("the server said:", USAGE)
print("the log says:", usage.model_dump(exclude_none=True))
seen = (usage.input_tokens, usage.input_tokens_cache_read, usage.output_tokens, usage.total_tokens)
if seen != (41, 900, 14, 955):
    sys.exit("CHANGED: cached tokens are counted in another way now")
print("OK: inspect-ai logs 41 input tokens for a prompt of 941")
PY
venv/bin/python run.py
