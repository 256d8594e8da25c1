#!/usr/bin/env bash
# litellm 1.110.2: a custom logger whose arguments have other names than litellm's is never told of a call.
#
# One would guess: `log_success_event(self, kwargs, response, start, end)` overrides the method, as the four arguments
# come in a fixed order; or else there is an error.
# What happens: the method is called by keyword. With `response` in place of `response_obj` the call fails inside, the
# failure is kept back at debug level, and `completion` returns as if all were well.
# Why it matters: a log that was collected in this way is empty, and an evening of paid calls has left no line. A
# check of such a logger must look at the first line, not at the absence of errors.
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
        message = {"role": "assistant", "content": "Blue."}
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


class Named(CustomLogger):
    told = []

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.told.append(kwargs["model"])


class Shortened(CustomLogger):
    told = []

    def log_success_event(self, kwargs, response, start, end):
        self.told.append(kwargs["model"])


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
question = [{"role": "user", "content": "Which colour has the sky?"}]
print("litellm", version("litellm"))
litellm.callbacks = [Named(), Shortened()]
answer = litellm.completion(model="openai/gpt-4o-mini", messages=question, api_base=base)
for _ in range(300):
    if Named.told:
        break
    time.sleep(0.1)
time.sleep(2)  # the second logger is told after the first one
print("answer:", answer.choices[0].message.content)
print("logger with litellm's argument names:", Named.told)
print("logger with names of its own:", Shortened.told)
if (Named.told, Shortened.told) != (["gpt-4o-mini"], []):
    sys.exit("CHANGED: loggers are called in another way now")
print("OK: litellm told only the logger whose arguments have its names")
PY
venv/bin/python run.py
