"""One page about a retraining: the decision first, then what it rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.records.files import write_atomically
from routerlib.routers.archive import kept_models
from routerlib.show.pages.notebook import style, templates_folder
from routerlib.show.tables.retraining import (
    calibration_table,
    drift_table,
    gain_table,
    models_table,
)

if TYPE_CHECKING:
    from routerlib.evaluation.retraining import Retraining

_BADGES = {
    "installed": ("First router installed", "good"),
    "replaced": ("Replaced by a better or equal router", "good"),
    "kept": ("The router in use was kept", "warn"),
    "not yet": ("Not yet retrained", "warn"),
}


def write_retraining_report(
    path: str | Path, retraining: Retraining, model_path: str | Path
) -> Path:
    """Write the page of one retraining; it opens with no network."""
    from jinja2 import Environment, FileSystemLoader

    badge, tone = _BADGES[retraining.verdict]
    drift = retraining.drift
    told = None if drift is None or drift.to_do == "wait" else drift
    folder = FileSystemLoader(templates_folder())
    page = Environment(loader=folder, autoescape=True).get_template("retraining.html.j2")
    html = page.render(
        style=style(),
        badge=badge,
        tone=tone,
        sentence=" ".join(filter(None, [retraining.sentence, retraining.left_out])),
        comparison=retraining.comparison and gain_table(retraining.comparison),
        drift=drift and drift.sentence,
        features=told and drift_table(told),
        calibration=told and calibration_table(told),
        models=models_table(kept_models(model_path)),
    )
    write_atomically(path, html.encode())
    return Path(path)
