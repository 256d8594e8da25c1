"""Write the index of all results: the verdict first, then what it rests on."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib import artifact, log_tables, plots, story, summaries
from routerlib.evaluation import Evaluation, compare, evaluate
from routerlib.files import write_atomically
from routerlib.outcomes import Outcomes
from routerlib.pages import style, templates_folder
from routerlib.routers import Router, load_router
from routerlib.tables import Table, short, table
from routerlib.workspace import failures_as_wrong, split_as_trained

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log import CallLog

_N_EXPLAINED_PROMPTS = 200
_N_EXAMPLES_PER_MODEL = 3
# Held-out prompts among which examples are looked for.
_N_SEARCHED = 500
_CURVE_INCHES = (7.6, 4.8)
_IMPORTANCE_INCHES = (6.4, 4.0)
_N_FEATURES = 8

# How a kind of verdict is called on its badge; colour alone would not do.
_BADGES = {
    "pays": ("Routing pays", "good"),
    "saves_at_a_price": ("Saves cost at a price in quality", "warn"),
    "does_not_pay": ("Routing does not pay", "warn"),
    "not_measurable": ("Not measurable yet", "warn"),
}


@dataclass(frozen=True)
class Findings:
    """What the index shows, all of it measured on held-out prompts.

    Parameters
    ----------
    router : Router
        The router that is judged.
    test : Outcomes
        Prompts that it has not seen.
    evaluation : Evaluation
        What it is worth.
    comparison : DataFrame
        The same for other routers and baselines.
    """

    router: Router
    test: Outcomes
    evaluation: Evaluation
    comparison: pd.DataFrame


class Figure(NamedTuple):
    """A figure in the page.

    Attributes
    ----------
    source : str
        ``data:`` address of the picture.
    alt : str
        What it shows, for those who don't see it.
    """

    source: str
    alt: str


def find(
    log: CallLog, router: Router, *, n_bootstrap: int = 1000, random_state: int = 0
) -> Findings:
    """Measure a router on the prompts of a log that it has not seen.

    Parameters
    ----------
    log : CallLog
        A log with scored answers of the router's candidate models.
    router : Router
        Fitted.
    n_bootstrap : int, default=1000
        Resamples behind each interval.
    random_state : int, default=0
        Their seed.

    Returns
    -------
    Findings

    Raises
    ------
    ValueError
        If the log holds no prompt that the router has not seen.
    """
    outcomes = Outcomes.from_log(log, models=list(router.models_))
    train, test = split_as_trained(outcomes, router)
    wrong = failures_as_wrong(log, test)
    return Findings(
        router=router,
        test=test,
        evaluation=evaluate(
            router, test, wrong, n_bootstrap=n_bootstrap, random_state=random_state
        ),
        comparison=compare(
            {"router": router},
            test,
            train=train if len(train) else None,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        ),
    )


def write_report(
    path: str | Path,
    log: CallLog,
    router_path: str | Path,
    *,
    log_origin: str = "",
    notebooks: Sequence[str] | None = None,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> str:
    """Measure a saved router on a log, and write the index of all results.

    Parameters
    ----------
    path : str or Path
        Where the page goes, such as ``reports/index.html``.
    log : CallLog
        A log with scored answers of the router's candidate models.
    router_path : str or Path
        The router file.
    log_origin : str, default=""
        Which log that is, in one sentence.
    notebooks : Sequence of str or None, default=None
        File names of notebook pages to link to; None = those that lie beside the page.
    n_bootstrap : int, default=1000
        Resamples behind each interval.
    random_state : int, default=0
        Their seed.

    Returns
    -------
    str
        The verdict in one sentence.

    Raises
    ------
    ValueError
        If the router can't be judged on this log.
    """
    router = load_router(router_path)
    findings = find(log, router, n_bootstrap=n_bootstrap, random_state=random_state)
    if notebooks is None:
        notebooks = sorted(page.name for page in Path(path).parent.glob("[0-9]*.html"))
    write_index(
        path,
        findings,
        log,
        log_origin=log_origin,
        metadata=artifact.load(router_path).metadata,
        notebooks=notebooks,
    )
    return findings.evaluation.verdict.sentence


def write_index(
    path: str | Path,
    findings: Findings,
    log: CallLog,
    *,
    log_origin: str = "",
    metadata: Mapping[str, Any] | None = None,
    notebooks: Sequence[str] = (),
) -> Path:
    """Write one self-contained page: no script, no request, the same bytes for the same data.

    Parameters
    ----------
    path : str or Path
        Where the page goes, such as ``reports/index.html``.
    findings : Findings
        What was measured.
    log : CallLog
        The log behind it.
    log_origin : str, default=""
        Which log that is, in one sentence.
    metadata : mapping or None, default=None
        The router's description, from ``router_model.json``.
    notebooks : Sequence of str, default=()
        File names of notebook pages beside the index, to link to.

    Returns
    -------
    Path
        The page.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates_folder()), autoescape=True, undefined=StrictUndefined
    )
    evaluation = findings.evaluation
    badge, tone = _BADGES[evaluation.verdict.kind]
    page = environment.get_template("index.html.j2").render(
        style=style(),
        badge=badge,
        tone=tone,
        verdict=evaluation.verdict.sentence,
        log_origin=log_origin,
        evaluation=evaluation,
        curve=_figure(
            partial(plots.cost_quality, evaluation), _CURVE_INCHES, _curve_alt(evaluation)
        ),
        operating=summaries.operating_table(evaluation),
        comparison=summaries.comparison_table(findings.comparison),
        routed=summaries.routed_table(evaluation),
        failures=summaries.failure_sensitivity(evaluation),
        calls=log_tables.log_summary(log),
        statuses=log_tables.statuses(log),
        importances=_importances(findings),
        examples=_examples(findings),
        identity=_identity(findings, metadata or {}),
        prices=_prices(log),
        notebooks=list(notebooks),
    )
    write_atomically(path, page.encode())
    return Path(path)


def _figure(draw: Callable[..., Any], inches: tuple[float, float], alt: str) -> Figure:
    """Draw without a display, and without a clock or random name in the file."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=inches, layout="constrained")
    draw(ax=canvas.subplots())
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "routerlib"}):
        canvas.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    code = base64.b64encode(picture.getvalue()).decode()
    return Figure(f"data:image/svg+xml;base64,{code}", alt)


def _curve_alt(evaluation: Evaluation) -> str:
    quality, cost = evaluation.operating["quality"], evaluation.operating["cost_usd"]
    return (
        "Cost-quality curve of the router beside single candidate models and the oracle; at its "
        f"operating point quality {quality.value:.3f} for {1000 * cost.value:.3g} US dollars "
        "per 1000 prompts."
    )


def _importances(findings: Findings) -> list[tuple[str, Figure]]:
    """Draw what moves the estimated quality of each candidate model."""
    from routerlib.explain import explain

    if not story.is_explainable(findings.router):
        return []
    prompts = findings.test.prompts[:_N_EXPLAINED_PROMPTS]
    drawn = []
    for model in findings.router.models_:
        explanation = explain(findings.router, prompts, model=model)
        alt = f"Features by their mean influence on the estimated quality of {model}."
        draw = partial(plots.feature_importance, explanation, max_features=_N_FEATURES)
        drawn.append((model, _figure(draw, _IMPORTANCE_INCHES, alt)))
    return drawn


class Example(NamedTuple):
    """A held-out prompt, where it goes, why, and how good the answer was.

    Attributes
    ----------
    model : str
        The chosen candidate model.
    prompt, why : str
        The prompt, cut if long, and the reason in words.
    observed : str
        Quality of the chosen model's answer.
    """

    model: str
    prompt: str
    why: str
    observed: str


def _examples(findings: Findings) -> list[Example]:
    """Take the first few held-out prompts that go to each candidate model."""
    router, test = findings.router, findings.test
    by_model: dict[str, list[Example]] = {model: [] for model in test.models}
    for prompt, quality in islice(zip(test.prompts, test.quality, strict=True), _N_SEARCHED):
        decision = router.route(prompt)
        taken = by_model[decision.model]
        if len(taken) < _N_EXAMPLES_PER_MODEL:
            observed = quality[test.models.index(decision.model)]
            shown = "not known" if isnan(observed) else f"{observed:.2g}"
            why = story.why(router, prompt, decision)
            taken.append(Example(decision.model, short(prompt), why, shown))
    return [example for taken in by_model.values() for example in taken]


def _identity(findings: Findings, metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    router, test = findings.router, findings.test
    versions = metadata.get("versions", {})
    return [
        ("Router", f"{router.name}, identity {router.router_hash_}"),
        ("File", f"SHA-256 {metadata.get('sha256', 'not saved')}"),
        ("Made", str(metadata.get("created", "unknown"))),
        ("Training data", f"{len(router.train_prompt_ids_)} prompts, identity {router.data_hash_}"),
        ("Held-out data", f"{len(test)} prompts, identity {test.data_hash}"),
        ("Operating point", story.describe_router(router)),
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
            "as of": price.as_of,
        }
        for name, price in log.prices().items()
    ]
    return table(pd.DataFrame(rows), "Prices that turn tokens into cost")
