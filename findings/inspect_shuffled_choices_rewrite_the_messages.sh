#!/usr/bin/env bash
# inspect-ai 0.3.285: with `multiple_choice(shuffle=...)` the log's messages are not what was asked and answered.
#
# One would guess: a sample's `messages` and `output` are the conversation, with the options in the order that was sent.
# What happens: the solver shuffles the options, asks, and afterwards puts the first order back in the messages and
# rewrites the letter of the model's answer to fit. Only the sample's model event keeps what went over the wire.
# Why it matters: who studies the bias towards a letter, asks the logged prompt of another model, or joins the event's
# prompt with the sample's target, gets a pair of question and answer that never happened.
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
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from random import Random
from threading import Thread

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice

wire = []  # what was asked and answered


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = asked["messages"][-1]["content"]
        said = "ANSWER: " + re.search(r"(\w)\) red", text)[1]
        wire.append((options(text), said))
        message = {"role": "assistant", "content": said}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "small"}
        body = json.dumps({**answer, "choices": choices}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def options(text):
    return " ".join(re.findall(r"^\w\) \w+$", text, re.M))


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
os.environ["LOCAL_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
print("inspect-ai", version("inspect-ai"))
sample = Sample(input="Which is a colour?", choices=["red", "seven", "run", "soft"], target="A")
task = Task(dataset=[sample], solver=multiple_choice(shuffle=Random(3)), scorer=choice())
(log,) = eval(task, model="openai-api/local/small", log_dir="logs", display="none")
sample = read_eval_log(log.location).samples[0]
logged = (options(sample.messages[0].text), sample.messages[1].text)
print("asked and answered:", *wire)
print("in the log:", logged, "output:", sample.output.completion)
if wire != [("A) soft B) red C) run D) seven", "ANSWER: B")] or (
    (*logged, sample.output.completion)
    != ("A) red B) seven C) run D) soft", "ANSWER: A", "ANSWER: A")
):
    sys.exit("CHANGED: the log shows shuffled options in another way now")
print("OK: inspect-ai logs ANSWER: A where the model said ANSWER: B")
PY
venv/bin/python run.py
