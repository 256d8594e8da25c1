"""Write the index of all results: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib.evaluation.cascade_verdict import Finding
from routerlib.evaluation.contenders import TestedPrompts
from routerlib.evaluation.deadlines import NoTimes, measure_deadlines
from routerlib.evaluation.new_topics import recalled_of_new_topics
from routerlib.evaluation.next_steps import next_steps, progress_of
from routerlib.evaluation.repricing import HeldOutDecisions
from routerlib.metrics.clusters import FEW_GROUPS
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.files import write_atomically
from routerlib.routers import artifact
from routerlib.routers.loading import load_router
from routerlib.routers.router import Router
from routerlib.show.pages.asked_twice import asked_twice
from routerlib.show.pages.belonging import mark_of, meta, pages_of, refuse_other
from routerlib.show.pages.figures import (
    Figure,
    curve_figure,
    deadlines_figure,
    importance_figures,
)
from routerlib.show.pages.findings import Findings, find
from routerlib.show.pages.notebook import policy, script, style, templates_folder
from routerlib.show.pages.prompts import Shown, prompts_page, write_prompts
from routerlib.show.plots.style import candidate_styles
from routerlib.show.tables import deadlines, routing
from routerlib.show.tables import log as log_tables
from routerlib.show.tables.audits import audit_table, order_table
from routerlib.show.tables.cascades import cascade_numbers
from routerlib.show.tables.decisions import (
    Decided,
    decide_all,
    examples_table,
    of_how_many,
    reasons,
    what_if_table,
)
from routerlib.show.tables.evaluation import KeyNumber, comparison_table, key_numbers
from routerlib.show.tables.money import PROMPTS_PER_MONTH, monthly
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.glossary import TERMS, glossed, term_id
from routerlib.show.words.numbers import unbroken
from routerlib.show.words.prose import Caution, explain_words
from routerlib.show.words.sentences import (
    FAILED_CALLS,
    counted_apart,
    describe_router,
    has_failed,
)

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# Scripts of the page; it runs these and no other.
_SCRIPTS = ("tables.js", "money.js", "whatif.js")

# The colour of a kind of verdict; its words stand beside it.
_TONES = {
    "pays": "good",
    "saves_at_a_price": "warn",
    "does_not_pay": "warn",
    "not_measurable": "warn",
}
_N_REASONS = 3
_N_BOOTSTRAP = 500
_WHOSE = (
    "Where prompts go is what was tested, by routers that hadn't seen them; reasons are those of "
    "the router in use, which has learnt from all of them."
)


def write_report(
    path: str | Path,
    log: CallLog,
    router_path: str | Path,
    *,
    judge: str | None = None,
    log_origin: str = "",
    notebooks: Sequence[str] | None = None,
    may_replace: bool = True,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> Finding:
    """Measure a saved router on a log, write the index of all results, and return the finding.

    `judge`: count only this judge's scores; None = as the router was trained: by one judge, or by
        the mean over judges.
    `notebooks`: file names of notebook pages to link to; None = those of the same log that lie
        beside the page.
    `may_replace`: whether the page may take the place of another log's.
    """
    mark = mark_of(log)
    if not may_replace:
        refuse_other(Path(path), mark, Path(router_path).name)
    router, metadata = load_router(router_path), artifact.load(router_path).metadata
    judge = judge or metadata.get("judge")
    findings = find(log, router, judge=judge, n_bootstrap=n_bootstrap, random_state=random_state)
    evaluation = recalled_of_new_topics(findings.evaluation, metadata)
    findings = replace(findings, evaluation=evaluation)
    if notebooks is None:
        notebooks = pages_of(Path(path).parent, mark)
    write_index(
        path,
        findings,
        log,
        log_origin=log_origin,
        metadata={**metadata, "judge": judge},
        notebooks=notebooks,
        router_file=Path(router_path).name,
    )
    return findings.finding


def write_index(
    path: str | Path,
    findings: Findings,
    log: CallLog,
    *,
    log_origin: str = "",
    metadata: Mapping[str, Any] | None = None,
    notebooks: Sequence[str] = (),
    router_file: str = "",
) -> Path:
    """Write one self-contained page, and the prompts' own beside it.

    No request, and the same bytes for the same data.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates_folder()), autoescape=True, undefined=StrictUndefined
    )
    scripts = [script(name) for name in _SCRIPTS]
    decided, apart = _decided(findings), counted_apart(findings.evaluation)
    page = environment.get_template("index.html.j2").render(
        style=style(),
        index_style=style("index.css"),
        policy=policy(scripts),
        scripts=[each.code for each in scripts],
        log_origin=log_origin,
        is_caution=isinstance(log_origin, Caution),
        log_mark=meta(mark_of(log), router_file),
        notebooks=list(notebooks),
        identity=_identity(findings, metadata or {}),
        cascade=asked_twice(
            findings.cascade, findings.finding, findings.whole, findings.test, metadata or {}
        ),
        what_if=_what_if(
            findings.router, findings.counted, apart, has_failed=has_failed(findings.evaluation)
        ),
        apart=apart,
        failed_calls=FAILED_CALLS,
        has_failed=has_failed(findings.evaluation),
        deadlines=_deadlines(findings),
        importances=importance_figures(findings.router, findings.test),
        glossed=glossed,
        unbroken=unbroken,
        terms=TERMS,
        term_id=term_id,
        prompts_per_month=PROMPTS_PER_MONTH,
        next_steps=next_steps(
            log, findings.test, findings.evaluation.verdict, judge=(metadata or {}).get("judge")
        ),
        progress=progress_of(findings.evaluation.verdict),
        is_early=(findings.evaluation.verdict.numbers.get("n_groups") or 0) < FEW_GROUPS,
        prompts_page=prompts_page(Path(path)).name,
        **_of_evaluation(findings),
        **_of_decisions(findings, decided),
        **_of_log(log, findings.test.models),
    )
    shown = Shown(findings.router, findings.test, decided, (metadata or {}).get("judge"))
    write_prompts(prompts_page(Path(path)), log, shown)
    write_atomically(path, page.encode())
    return Path(path)


def _of_evaluation(findings: Findings) -> dict[str, Any]:
    """Return what the page shows of the evaluation."""
    evaluation = findings.evaluation
    return {
        "headline": findings.finding.headline,
        "tone": _TONES[findings.finding.kind],
        "verdict": evaluation.verdict,
        "evaluation": evaluation,
        "curve": curve_figure(evaluation),
        "operating": routing.operating_table(evaluation),
        "comparison": comparison_table(findings.comparison),
        "routed": routing.routed_table(evaluation),
        "failures": routing.failure_sensitivity(evaluation),
        "audit": audit_table(evaluation),
        "tiles": _tiles(findings),
        "money": monthly(evaluation, findings.paid.measured["saving"] if findings.paid else None),
        "shares": evaluation.routed_shares,
        "unused": [name for name, share in evaluation.routed_shares.items() if not share],
        "looks": candidate_styles(evaluation.models),
    }


def _tiles(findings: Findings) -> list[KeyNumber]:
    evaluation = findings.evaluation
    if findings.paid is None:
        return key_numbers(evaluation)
    return cascade_numbers(findings.paid, evaluation.verdict.best_single or evaluation.strong)


def _decided(findings: Findings) -> list[Decided]:
    """Take the decisions that are shown one by one: on prompts with nothing missing, if any."""
    evaluation, test = findings.evaluation, findings.counted
    measured = TestedPrompts.of(test, evaluation.strong, evaluation.weak).outcomes
    return decide_all(findings.router, measured if len(measured) else test)


def _of_decisions(findings: Findings, decided: Sequence[Decided]) -> dict[str, Any]:
    """Return what the page shows of single decisions, with the words that need a meaning."""
    evaluation, test = findings.evaluation, findings.test
    told = reasons(decided, evaluation.routed_shares)
    examples = examples_table(decided, test.models, evaluation.n)
    whose = [_WHOSE] if evaluation.crossed is not None else []
    if len(decided) < evaluation.n:
        whose.append(
            f"Reasons and examples are of {of_how_many(decided, evaluation.n)}, since each takes "
            f"time to explain; shares are of all {evaluation.n}."
        )
    texts = [*(text for _, text in told), *(text for row in examples.rows for text in row[3:4])]
    return {
        "reasons": told,
        "n_reasons": _N_REASONS,
        "whose": " ".join(whose),
        "examples": examples,
        "meanings": explain_words(*texts),
    }


def _of_log(log: CallLog, models: Sequence[str]) -> dict[str, Any]:
    """Return what the page shows of the log."""
    return {
        "calls": log_tables.log_summary(log),
        "judging": log_tables.judging(log),
        "statuses": log_tables.statuses(log),
        "prices": _prices(log),
        "price_sentence": log.price_sentence(models=list(models)),
        "order": order_table(log),
    }


def _deadlines(findings: Findings) -> tuple[Figure, Table] | None:
    """Return what deadlines would cost, where calls told their seconds and prompts are new."""
    if findings.evaluation.crossed is not None:
        return None
    try:
        measured = measure_deadlines(findings.router, findings.test, n_bootstrap=_N_BOOTSTRAP)
    except NoTimes:
        return None
    return deadlines_figure(measured), deadlines.shown(measured)


class Supposition(NamedTuple):
    """What the page needs to ask "what if?" by itself, and what it shows without a script."""

    data: dict[str, Any]
    settings: Table
    note: str


def _what_if(router: Router, test: Outcomes, apart: str, *, has_failed: bool) -> Supposition | None:
    held_out = HeldOutDecisions.of(router, test)
    if held_out is None:
        return None
    note = f"Over {len(held_out)} held-out prompts with every quality and cost known"
    note += " once a failed call counts as a wrong answer" if has_failed else ""
    note += f" ({held_out.n_left_out} are left out)." if held_out.n_left_out else "."
    note += f" {apart}" if apart else ""
    if held_out.keeps_to_best:
        note += f" As it stands the router keeps to {router.best_single_}: {router.fallback_}."
        note += " Only where a cost weight is tried do its estimates choose. What the verdict says "
        note += (
            "of a trial without that is at the cost weight that training named, which is no row "
        )
        note += "of this table, and has what is missing within its bounds."
    return Supposition(held_out.as_dict(), what_if_table(held_out), note)


def _identity(findings: Findings, metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    router, test = findings.whole or findings.router, findings.test
    versions = metadata.get("versions", {})
    return [
        ("Router", f"{router.name}, identity {router.router_hash_}"),
        ("File", f"SHA-256 {metadata.get('sha256', 'not saved')}"),
        ("Made", str(metadata.get("created", "unknown"))),
        ("Training data", f"{len(router.train_prompt_ids_)} prompts, identity {router.data_hash_}"),
        ("Held-out data", f"{len(test)} prompts, identity {test.data_hash}{findings.tested_by}"),
        ("Judge", metadata.get("judge") or "the mean over all judges"),
        ("Operating point", describe_router(router)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def _prices(log: CallLog) -> Table:
    import pandas as pd

    rows = [
        {
            "candidate": name,
            "input (US dollars per million tokens)": price.input_usd_per_mtok,
            "output (US dollars per million tokens)": price.output_usd_per_mtok,
            "from": price.source,
            "as of": price.as_of or "not told",
        }
        for name, price in log.prices().items()
    ]
    return table(pd.DataFrame(rows), "Prices that turn tokens into cost")
