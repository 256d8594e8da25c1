#!/usr/bin/env bash
# inspect-ai 0.3.285: `role_usage` parts the grader's tokens from the model's only when they are two models.
#
# One would guess: `sample.role_usage` has an entry for the grader whenever a model graded, and `model_usage` of the
# evaluated model is what answering took.
# What happens: without a grader of its own, `model_graded_qa` asks the evaluated model. Then `role_usage` is empty, and
# the grader's calls (which are the longer ones) are added to the `model_usage` of the model, with no role.
# Why it matters: tokens per answer and cost per answer of a self-graded log come out twice too high or more, and
# nothing near the number says so. The grader is told apart only by the span in which its event lies.
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
from inspect_ai.scorer import model_graded_qa
from inspect_ai.solver import generate


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
    return "GRADE: C" if "GRADE" in asked else "Cherry"


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
os.environ["LOCAL_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
print("inspect-ai", version("inspect-ai"))
task = Task(
    dataset=[Sample(input="Name a red fruit.", target="a fruit that is red")],
    solver=generate(),
    scorer=model_graded_qa(),
)


def usages(**options):
    """Return tokens by model and tokens by role of the one sample."""
    (log,) = eval(task, model="openai-api/local/small", log_dir="logs", display="none", **options)
    sample = read_eval_log(log.location).samples[0]
    by_model = {name: usage.total_tokens for name, usage in sample.model_usage.items()}
    return by_model, {name: usage.total_tokens for name, usage in sample.role_usage.items()}


alone = usages()
apart = usages(model_roles={"grader": "openai-api/local/judge"})
print("each call took 8 tokens")
print("the model grades itself: model_usage %s, role_usage %s" % alone)
print("another model grades: model_usage %s, role_usage %s" % apart)
if alone != ({"openai-api/local/small": 16}, {}) or apart != (
    {"openai-api/local/small": 8, "openai-api/local/judge": 8},
    {"grader": 8},
):
    sys.exit("CHANGED: a grader's tokens are logged in another way now")
print("OK: inspect-ai logs no role_usage for a model that grades itself")
PY
venv/bin/python run.py
