#!/usr/bin/env bash
# litellm 1.110.2: a finish reason that it does not know is handed on as "stop".
#
# One would guess: a word outside its list is passed through, or becomes something that says "unknown".
# What happens: `finish_reason` is "stop", as for an answer that came to its end. The server's word is only in the
# choice's `provider_specific_fields` as `native_finish_reason`, and a warning passes by on the console.
# Why it matters: servers have words of their own for answers that were cut short, refused or broken off. Those that
# litellm has not heard of look whole in its answer and in its log, and are judged as such.
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
            "choices": [{"index": 0, "message": message, "finish_reason": "out_of_budget"}],
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



answer = litellm.completion(model="openai/gpt-4o-mini", messages=question, api_base=base)
choice = answer.choices[0]
kept = logged(1)["response"]["choices"][0]
print("the server said: out_of_budget")
print("the answer says:", choice.finish_reason, choice.provider_specific_fields)
print("the log says:", kept["finish_reason"], kept["provider_specific_fields"])
native = {"native_finish_reason": "out_of_budget"}
if [choice.finish_reason, kept["finish_reason"]] != ["stop"] * 2 or (
    choice.provider_specific_fields != native
):
    sys.exit("CHANGED: an unknown finish reason is handed on in another way now")
print("OK: litellm says stop where the server said out_of_budget")
PY
venv/bin/python run.py
