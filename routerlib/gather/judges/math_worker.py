"""Compare formulas in a process of its own: one JSON question a line, one JSON answer a line.

Some formulas take for ever to work out, and a process can be ended where a thread cannot. Run
with ``python -m``; see `routerlib.gather.judges.math_process`.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from typing import Any

_MOST_BYTES = 4 << 30


def main() -> None:
    """Answer questions until the input ends."""
    answer = sys.stdout
    sys.stdout = sys.stderr  # whatever a dependency prints must not be taken for an answer
    _limit_memory()
    logging.disable(logging.ERROR)  # both parts warn of switched-off time limits on every call
    from math_verify import LatexExtractionConfig, parse, verify

    # Only whole formulas: other modes take a part of a text for all of it, or variables for units.
    latex = LatexExtractionConfig()
    latex = replace(latex, normalization_config=replace(latex.normalization_config, units=False))

    def read(text: str) -> list[Any]:
        return list(parse(text, [latex], fallback_mode="no_fallback", parsing_timeout=None))

    print(json.dumps("ready"), file=answer, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        golds = [found for text in question["golds"] if (found := read(text))]
        got = next((found for text in question["texts"] if (found := read(text))), [])
        reply = {
            "n_golds": len(golds),
            "got": str(got[0]) if got else None,
            "is_same": any(verify(gold, got, timeout_seconds=None) for gold in golds if got),
        }
        print(json.dumps(reply), file=answer, flush=True)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
