#!/usr/bin/env bash
# rouge-score 0.1.2: a text in Cyrillic or Japanese scores 0 against itself.
#
# One would guess: the ROUGE of a copy is 1 in every language, since it counts words in common.
# What happens: the default tokenizer keeps only a-z and 0-9 and throws all other signs away. No word is left of such a
# text, so a perfect copy scores 0; and two sentences that share nothing but a number score 1.
# Why it matters: a log of multilingual tasks holds zeros (or ones) that look like the model's failures. lm-eval and
# other harnesses take their ROUGE from this package.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile rouge-score==0.1.2
export HOME="$folder"

cat > run.py <<'PY'
import sys
from importlib.metadata import version

from rouge_score.rouge_scorer import RougeScorer

PAIRS = [  # reference, answer, F-measure of ROUGE-L by rouge-score 0.1.2
    ("Moscow is the capital.", "Moscow is the capital.", 1.0),
    ("Москва является столицей.", "Москва является столицей.", 0.0),
    ("首都は東京です。", "首都は東京です。", 0.0),
    ("Цена: 5 рублей", "Температура ниже 5 градусов", 1.0),
]

print("rouge-score", version("rouge-score"))
scorer = RougeScorer(["rougeL"])
seen = []
for reference, answer, _ in PAIRS:
    score = float(scorer.score(reference, answer)["rougeL"].fmeasure)
    seen.append(score)
    print(f"reference {reference!r}, answer {answer!r}: {score}")
if seen != [expected for *_, expected in PAIRS]:
    sys.exit("CHANGED: texts outside a-z are scored in another way now")
print("OK: rouge-score gives a copy in Cyrillic 0.0")
PY
venv/bin/python run.py
