#!/usr/bin/env bash
# math-verify 0.9.0: a number in scientific notation is cut at its exponent.
#
# One would guess: `2e6` is read as two million, as Python, JSON and calculators write it.
# What happens: the digits before the `e` are the number, so `2e6` equals 2, `1.5e-3` equals 1.5, and neither equals
# the number that was meant. Nothing is raised and nothing is left unread.
# Why it matters: a model that answers `2e6` to "how many?" is scored wrong, and one that is off by six powers of ten
# may be scored right. A score of such an answer in a log says nothing about the answer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile math-verify==0.9.0 latex2sympy2_extended==1.11.0 antlr4-python3-runtime==4.13.2
export HOME="$folder"

cat > run.py <<'PY'
import sys
from importlib.metadata import version

from math_verify import parse, verify

PAIRS = [  # reference, answer, what math-verify 0.9.0 says
    ("2000000", "2e6", False),
    ("2", "The answer is 2e6", True),
    ("0.0015", "1.5e-3", False),
    ("1.5", "1.5e-3", True),
    ("2000000", "2,000,000", True),  # another way to write it, which is read
]

print("math-verify", version("math-verify"))
seen = []
for reference, answer, _ in PAIRS:
    is_right = verify(parse(reference), parse(answer))
    seen.append(is_right)
    print(f"reference {reference!r}, answer {answer!r}, read as {parse(answer)}: {is_right}")
if seen != [expected for *_, expected in PAIRS]:
    sys.exit("CHANGED: exponents are read in another way now")
print("OK: math-verify reads 2e6 as 2")
PY
venv/bin/python run.py
