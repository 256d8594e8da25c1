#!/usr/bin/env bash
# reasoning-gym 0.1.25: a wrong number that contains the right one scores high, a right sentence scores low.
#
# One would guess: `score_answer` of an arithmetic task is 1 for the right number and 0 for another one.
# What happens: many tasks inherit a rule that looks for the reference as text in the answer and gives
# len(reference) / len(answer). For the reference 292, the wrong 2920 gets 0.75, and the right
# "She counted 292 legs in all." gets 0.11.
# Why it matters: scores between 0 and 1 in a log of these tasks are shares of signs, not of rightness. A threshold of
# 0.5, or a mean over prompts, prefers curt wrong answers to right ones in a sentence.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile reasoning-gym==0.1.25
export HOME="$folder"

cat > run.py <<'PY'
import sys
from importlib.metadata import version

import reasoning_gym

print("reasoning-gym", version("reasoning-gym"))
legs = reasoning_gym.create_dataset("leg_counting", seed=1, size=1)
entry = legs[0]
right = entry["answer"]
answers = [right, right + "0", f"She counted {right} legs in all.", "7"]
seen = [round(legs.score_answer(answer, entry), 2) for answer in answers]
print("reference:", repr(right))
for answer, score in zip(answers, seen):
    print(f"answer {answer!r}: {score}")
if (right, seen) != ("292", [1.0, 0.75, 0.11, 0.0]):
    sys.exit("CHANGED: answers of leg_counting are scored in another way now")
print("OK: reasoning-gym gives the wrong 2920 a score of 0.75, the right sentence 0.11")
PY
venv/bin/python run.py
