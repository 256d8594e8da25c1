#!/usr/bin/env bash
# llm 0.36: the column `resolved_model` is NULL though the server says which model answered.
#
# One would guess: `model` is what was asked for, and `resolved_model` what answered; NULL means that both are the same
# or that the server didn't say.
# What happens: for models of extra-openai-models.yaml (llm's own OpenAI plugin) it is NULL whatever the server says. The
# name that it gave is only inside the text of `response_json`.
# Why it matters: a change of the model behind an alias is what shifts a study's numbers over time. Grouped by that
# column, answers of two models look like those of one.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile llm==0.36 openai==3.57.0
export HOME="$folder" LLM_USER_PATH="$folder/home" OPENAI_API_KEY=none

cat > server.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": "Once upon a time."}
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"] + "-2026-05-01",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
Path("port.new").write_text(str(server.server_port))
Path("port.new").rename("port")
server.serve_forever()
PY
venv/bin/python server.py &
server=$!
for _ in $(seq 300); do [ -f port ] && break; sleep 0.1; done

mkdir home
cat > home/extra-openai-models.yaml <<YAML
- {model_id: small, model_name: small, api_base: "http://127.0.0.1:$(cat port)/v1", can_stream: false}
YAML
venv/bin/llm -m small "Tell me a tale."

cat > look.py <<'PY'
import json
import sqlite3
import sys
from importlib.metadata import version

print("llm", version("llm"))
log = sqlite3.connect("home/logs.db")
((model, resolved, response),) = log.execute(
    "select model, resolved_model, response_json from turns"
)
answered = json.loads(response)["model"]
print(f"model: {model}, resolved_model: {resolved}, in response_json: {answered}")
if (model, resolved, answered) != ("small", None, "small-2026-05-01"):
    sys.exit("CHANGED: the model that answered is logged in another way now")
print("OK: llm logs resolved_model NULL where small-2026-05-01 answered")
PY
venv/bin/python look.py
