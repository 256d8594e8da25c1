#!/usr/bin/env bash
# inspect-ai 0.3.285: a sample that was declared invalid is still a part of the log's results.
#
# One would guess: after `invalidate_samples` the mean score of the log is that of the valid samples, at the latest when
# the metrics are computed again.
# What happens: the sample gets a note and the header says `invalidated: true`; the mean and the number of scored
# samples stay as they were, and `recompute_metrics` counts the invalid sample too.
# Why it matters: the results of the log and the mean over its valid samples differ. Whoever takes `log.results` takes a
# number that a person has already found to be wrong.
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
from inspect_ai.log import (
    ProvenanceData,
    invalidate_samples,
    read_eval_log,
    recompute_metrics,
    write_eval_log,
)
from inspect_ai.scorer import exact
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
    return "4" if "2 + 2" in asked else "5"


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
os.environ["LOCAL_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
print("inspect-ai", version("inspect-ai"))
samples = [
    Sample(id="good", input="What is 2 + 2?", target="4"),
    Sample(id="misprinted", input="What is 2 + 3?", target="6"),
]
task = Task(dataset=samples, solver=generate(), scorer=exact())
(log,) = eval(task, model="openai-api/local/small", log_dir="logs", display="none")
log = read_eval_log(log.location)
(uuid,) = (sample.uuid for sample in log.samples if sample.id == "misprinted")
who = ProvenanceData(author="reviewer", reason="the reference is wrong")
log = invalidate_samples(log, [uuid], who)
recompute_metrics(log)
write_eval_log(log, "logs/reviewed.eval")

log = read_eval_log("logs/reviewed.eval")
(score,) = log.results.scores
marked = [sample.id for sample in log.samples if sample.invalidation]
seen = (log.invalidated, marked, score.metrics["mean"].value, score.scored_samples)
print("invalidated: %s, samples with a note: %s, mean: %s, scored samples: %s" % seen)
if seen != (True, ["misprinted"], 0.5, 2):
    sys.exit("CHANGED: an invalid sample is counted in another way now")
print("OK: inspect-ai keeps the mean at 0.5 with the wrong sample marked invalid")
PY
venv/bin/python run.py
