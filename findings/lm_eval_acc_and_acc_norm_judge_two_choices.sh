#!/usr/bin/env bash
# lm-eval 0.4.13: `acc` and `acc_norm` of one logged sample may be the scores of two different answers.
#
# One would guess: a sample has one answer, the choice that the model found likeliest, and each metric scores that one.
# What happens: `acc` takes the choice of the highest log-probability, `acc_norm` that of the highest one per sign of the
# choice. Both stand in the same line: here acc 0 is for "no" and acc_norm 1 for the long sentence.
# Why it matters: a line of the log has no field for "the answer". Who joins `acc_norm` with the likeliest choice, or
# keeps both as scores of one call, scores a text that the metric never looked at.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile lm-eval==0.4.13 datasets==5.2.0
export HOME="$folder" HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 PYTHONWARNINGS=ignore

cat > rain.jsonl <<'JSON'
{"question": "Rain is", "choices": ["no", "water that falls from clouds in drops"], "label": 1}
JSON
cat > rain.yaml <<'YAML'
task: rain
dataset_path: json
dataset_kwargs: {data_files: {test: rain.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: label
doc_to_choice: "{{choices}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
YAML
cat > run.py <<'PY'
import sys
from importlib.metadata import version

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

LOG_PROBABILITIES = {" no": -6.0, " water that falls from clouds in drops": -7.5}


class Scripted(LM):
    def loglikelihood(self, requests):
        return [(LOG_PROBABILITIES[request.args[1]], False) for request in requests]

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError


print("lm-eval", version("lm-eval"))
tasks = TaskManager(include_path=".", include_defaults=False)
results = simple_evaluate(Scripted(), tasks=["rain"], task_manager=tasks, bootstrap_iters=0)
(sample,) = results["samples"]["rain"]
continuations = [request[1] for request in sample["arguments"]]
likelihoods = [likelihood for likelihood, _ in sample["filtered_resps"]]
likeliest = continuations[likelihoods.index(max(likelihoods))]
print("reference:", repr(sample["doc"]["choices"][sample["target"]]))
print("log-probabilities:", dict(zip(continuations, likelihoods)))
print(f"likeliest choice: {likeliest!r}; acc {sample['acc']}, acc_norm {sample['acc_norm']}")
if (likeliest, sample["acc"], sample["acc_norm"]) != (" no", 0.0, 1.0):
    sys.exit("CHANGED: the two metrics choose in another way now")
print("OK: lm-eval logs acc 0.0 for ' no' and acc_norm 1.0 for the other choice in one sample")
PY
venv/bin/python run.py
