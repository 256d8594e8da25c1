"""Tables of a retraining: what was gained, what has changed, which routers are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerlib.features.names import number_text
from routerlib.show.tables.rendering import Table, table

if TYPE_CHECKING:
    from routerlib.evaluation.drift import Drift
    from routerlib.evaluation.duel import Comparison
    from routerlib.routers.archive import Kept

_N_FEATURES = 8


def gain_table(comparison: Comparison) -> Table:
    """Show what the challenger gained, with intervals.

    Parameters
    ----------
    comparison : Comparison
        Of two routers.

    Returns
    -------
    Table
    """
    import pandas as pd

    rows = {
        "utility": comparison.utility,
        "quality": comparison.quality,
        "cost (US dollars per 1000 prompts)": comparison.cost_usd,
    }
    scale = {name: 1000 if name.startswith("cost") else 1 for name in rows}
    frame = pd.DataFrame(
        {
            "new router minus the one in use": list(rows),
            "difference": [each.value * scale[name] for name, each in rows.items()],
            "difference_low": [each.low * scale[name] for name, each in rows.items()],
            "difference_high": [each.high * scale[name] for name, each in rows.items()],
        }
    )
    how = "all outcomes observed" if comparison.how == "observed" else "from logged propensities"
    return table(
        frame,
        f"{comparison.n} prompts in {comparison.n_groups} groups, {how}, "
        f"cost weight {comparison.cost_weight:.4g}, 95 % intervals",
    )


def drift_table(drift: Drift, n_features: int = _N_FEATURES) -> Table:
    """Show the features that have shifted most.

    Parameters
    ----------
    drift : Drift
        What has changed.
    n_features : int, default=8
        Rows at most.

    Returns
    -------
    Table
    """
    frame = drift.features.head(n_features).rename(
        columns={
            "psi": "stability index",
            "p_value": "chance of it, at any look, without a shift",
            "before": "mean in training",
            "now": "mean now",
            "is_shifted": "has shifted",
        }
    )
    return table(frame, f"{drift.n_now} recent prompts against {drift.n_before} training prompts")


def calibration_table(drift: Drift) -> Table:
    """Show whether recent outcomes are what was estimated.

    Parameters
    ----------
    drift : Drift
        What has changed.

    Returns
    -------
    Table
    """
    frame = drift.calibration.drop(columns="is_misjudged").rename(
        columns={
            "expected": "estimated quality",
            "observed": "observed quality",
            "error": "observed - estimated",
            "error_low": "observed - estimated_low",
            "error_high": "observed - estimated_high",
            "n": "scored prompts",
            "n_since": "of these told of",
            "to_do": "what to do",
        }
    )
    return table(
        frame,
        "Estimates against outcomes since training; the bounds hold at every look, however often",
    )


def models_table(kept: list[Kept]) -> Table:
    """List archived routers, the newest first."""
    import pandas as pd

    rows = [
        {
            "name": each.name,
            "in use": each.is_in_use,
            "operating point": _operating_point(each),
            "created (UTC)": str(each.metadata.get("created", ""))[:19].replace("T", " "),
            "training prompts": each.metadata.get("n_train_prompts"),
            "gain when it came": _gain(each),
        }
        for each in reversed(kept)
    ]
    columns = ["name", "in use", "operating point", "created (UTC)", "training prompts"]
    columns.append("gain when it came")
    return table(pd.DataFrame(rows, columns=columns), "Archived routers, newest first")


def _operating_point(kept: Kept) -> str:
    """Say where a router stands; nothing of a description that doesn't say it."""
    told = kept.metadata
    if told.get("fallback") is not None:
        return f"keeps to {told['best_single']}"
    weight = told.get("cost_weight")
    return "" if weight is None else f"cost weight {number_text(weight)}"


def _gain(kept: Kept) -> str:
    compared = (kept.metadata.get("retraining") or {}).get("comparison")
    if not compared:
        return "not compared"
    value, low, high, _ = compared["utility"]
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}], n = {compared['n']}"
