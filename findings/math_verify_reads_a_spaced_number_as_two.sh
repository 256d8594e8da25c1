#!/usr/bin/env bash
# math-verify 0.9.0: a LaTeX number whose thousands are set apart by a thin space is two numbers.
#
# One would guess: `$10\,000$` is ten thousand; LaTeX's `\,` only sets digits apart, and `$10{,}000$` is read so.
# What happens: it is read as 10 times 000, which is 0; `$12\,500$` becomes 512, the sum. The answer 10000 is then
# wrong for the reference `$10\,000$`, and 0 is right.
# Why it matters: much of the mathematics in reference answers is typeset with `\,`. A wrong score comes from the
# reference, whatever a model says, and all candidates seem equally bad on that prompt.
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
    (r"$10\,000$", "$10000$", False),
    (r"$10\,000$", "$0$", True),
    (r"$12\,500$", "$12500$", False),
    (r"$12\,500$", "$512$", True),
    (r"$10{,}000$", "$10000$", True),  # another way to set it, which is read
]

print("math-verify", version("math-verify"))
seen = []
for reference, answer, _ in PAIRS:
    is_right = verify(parse(reference), parse(answer))
    seen.append(is_right)
    print(f"reference {reference}, read as {parse(reference)[0]}, answer {answer}: {is_right}")
if seen != [expected for *_, expected in PAIRS]:
    sys.exit("CHANGED: a number with thin spaces is read in another way now")
print(r"OK: math-verify reads $10\,000$ as 0")
PY
venv/bin/python run.py
