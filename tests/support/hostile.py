"""A log, a report and a notebook full of what strangers may write."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pandas as pd

from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.prompt import Prompt
from routerlib.routers import artifact
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.pages import index as report
from routerlib.show.pages.findings import find
from routerlib.show.pages.notebook import to_html
from routerlib.show.tables.rendering import table
from routerlib.show.words.prose import say

HOSTILE = (
    "<script>document.title='run';alert(1)</script></script>{{7*7}}{% raw %}"
    "<img src=x onerror=\"document.title='run';alert(2)\">[click](javascript:alert(3))"
    "\u2028</style></textarea>-->'\"&amp;"
)
# Names of candidates stand in heads, labels, figures and the page's data.
MODELS = (
    "small <b></script><script>alert(4)</script>",
    "large {{7*7}}<img src=x onerror=alert(5)>",
)
TOPICS = ("math", "<script>alert(6)</script>")
PAGE = "03 <script>alert(7)</script>.html"


def make_log(folder: Path) -> CallLog:
    """Write a log in which every text that a stranger could write is hostile."""
    log = CallLog(folder / "logs.db")
    candidates = [
        CandidateModel(name, "m", "custom", "http://127.0.0.1:9/v1", None, Price(price, price))
        for name, price in zip(MODELS, (1, 10), strict=True)
    ]
    log.add_prices(candidates)
    for number in range(140):
        is_hard = number % 2 == 0
        text = f"Prove theorem {number} of {number * 31} {HOSTILE}" if is_hard else f"Hi {number}!"
        prompt = Prompt.from_text(text, topic=TOPICS[not is_hard])
        log.add_prompts([prompt])
        for name in MODELS:
            is_right = name != MODELS[0] or not is_hard
            call = Call(prompt.prompt_id, name, "h", "ok", HOSTILE, Usage(100, 10))
            if number == 3:
                failed = Call(prompt.prompt_id, name, "h", "error", error_type=HOSTILE)
                log.add_call(failed)
                continue
            log.add_call(call, scores=[Score("exact", float(is_right))])
    return log


def make_index(log: CallLog, name: str = "index.html") -> Path:
    """Train on a log, save the router beside it, and write the report."""
    folder = log.path.parent
    router = LGBMRouter().fit(Outcomes.from_log(log).split()[0])
    router.save(folder / "router_model.pkl")
    return report.write_index(
        folder / name,
        find(log, router, n_bootstrap=50),
        log,
        log_origin=f"From {HOSTILE}",
        metadata=artifact.load(folder / "router_model.pkl").metadata,
        notebooks=["03_evaluate.html", PAGE],
    )


def make_notebook(folder: Path) -> Path:
    """Write the page of a notebook in which every output shows what a stranger wrote."""
    frame = pd.DataFrame({HOSTILE: [HOSTILE, "b", "c"], "n": [3, 1, 2]})
    shown = {"text/html": frame._repr_html_(), "text/plain": HOSTILE}
    own = {"text/html": table(frame, HOSTILE)._repr_html_(), "text/plain": HOSTILE}
    prose = {"text/html": say(HOSTILE)._repr_html_(), "text/plain": HOSTILE}
    outputs = [
        nbformat.v4.new_output("stream", text=HOSTILE),
        nbformat.v4.new_output("display_data", data={"text/plain": HOSTILE}),
        nbformat.v4.new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[HOSTILE]),
        *(nbformat.v4.new_output("display_data", data=data) for data in (shown, own, prose)),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# A question"),
        nbformat.v4.new_code_cell(f"text = {HOSTILE!r}", outputs=outputs),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "n.ipynb")
    return to_html(folder / "n.ipynb", folder / "n.html")
