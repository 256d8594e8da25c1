#!/usr/bin/env bash
# litellm 1.110.2: tokens and cost of a stream without usage are litellm's own guess, and the log doesn't say so.
#
# One would guess: tokens that the server didn't report are missing (None) in the log, and so is the cost.
# What happens: without `stream_options={"include_usage": True}` the payload for loggers holds a count that litellm made
# of the texts with a tokenizer of its own, in the same fields, with a cost to fit: 13 and 2 tokens for a call that the
# server counts as 7 and 1. Version 1.108.7 logged zeros and a cost of 0.0 for the very same call.
# Why it matters: estimates, zeros and reported counts stand in one column. Costs of a streamed candidate are then not
# those of the bill, and they shift when litellm is updated though nothing else has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile litellm==1.110.2 openai==3.57.0
export HOME="$folder" OPENAI_API_KEY=none LITELLM_LOCAL_MODEL_COST_MAP=True

cat > run.py <<'PY'
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

import litellm
from litellm.integrations.custom_logger import CustomLogger


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        choices = [
            {"index": 0, "delta": {"role": "assistant", "content": "Blue."}, "finish_reason": None},
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        ]
        chunks = [{"choices": [choice]} for choice in choices]
        if asked.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
            chunks.append({"choices": [], "usage": usage})
        base = {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": asked["model"],
        }
        lines = [json.dumps({**base, **chunk}) for chunk in chunks] + ["[DONE]"]
        body = "".join(f"data: {line}\n\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Keeper(CustomLogger):
    payloads = []

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.payloads.append(kwargs["standard_logging_object"])


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
question = [{"role": "user", "content": "Which colour has the sky?"}]
print("litellm", version("litellm"))
litellm.callbacks = [Keeper()]

def logged(count):
    """Wait until the logger, which has a thread of its own, was told of so many calls."""
    for _ in range(300):
        if len(Keeper.payloads) >= count:
            return Keeper.payloads[count - 1]
        time.sleep(0.1)
    sys.exit("CHANGED: the logger was not told of the call")



seen = []
for options in ({}, {"stream_options": {"include_usage": True}}):
    for _ in litellm.completion(
        model="openai/gpt-4o-mini", messages=question, api_base=base, stream=True, **options
    ):
        pass
    payload = logged(len(seen) + 1)
    text = payload["response"]["choices"][0]["message"]["content"]
    fields = ("status", "prompt_tokens", "completion_tokens", "response_cost")
    seen.append([payload[field] for field in fields])
    print(f"asked with {options}: text {text!r},", dict(zip(fields, seen[-1])))
guessed, reported = seen
if guessed[:3] != ["success", 13, 2] or reported[:3] != ["success", 7, 1] or (
    not guessed[3] > reported[3] > 0
):
    sys.exit("CHANGED: a stream without usage is logged in another way now")
print("OK: litellm logs 13 and 2 tokens for a stream of 7 and 1, with a cost to fit")
PY
venv/bin/python run.py
