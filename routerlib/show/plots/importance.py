"""Draw what moves estimates over many prompts: importance, beeswarm, dependence, comparison."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from routerlib.show.plots.style import (
    BASELINE_GREY,
    ON_DEEP,
    ON_PALE,
    axes_or_new,
    escape_math,
    finish,
    short_label,
)

if TYPE_CHECKING:
    import shap
    from matplotlib.axes import Axes


_FOR = "#0072B2"
# More numbers than that run into each other on a phone.
_MAX_TICKS = 3
# From this share of the darkest cell on, white letters are the readable ones.
_DARK_SHARE = 0.72


def feature_importance(
    explanation: shap.Explanation, ax: Axes | None = None, *, max_features: int = 12
) -> Axes:
    """Draw how far each feature moves the estimate on average, with shap's bars.

    Parameters
    ----------
    explanation : shap.Explanation
        Of several prompts, from `routerlib.explain`.
    ax : Axes, optional
        Where to draw; default a new figure.
    max_features : int, default=12
        The most important ones; all others are one bar, the sum of theirs.

    Returns
    -------
    Axes
        One bar per feature, the longest on top.

    Examples
    --------
    >>> import routerlib as rl
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
    >>> router = rl.LGBMRouter(random_state=0).fit(outcomes)
    >>> ax = feature_importance(rl.explain(router, outcomes.prompts), max_features=3)
    >>> ax.get_yticklabels()[-1].get_text()
    'Sum of 127 other features'
    """
    rows = min(max_features + 1, explanation.values.shape[1])
    ax = axes_or_new(ax, (7.4, 1.7 + 0.36 * rows))
    with _shap_plots() as shap_plots:
        shap_plots.bar(explanation, max_display=max_features + 1, ax=ax, show=False)
    # shap writes each label twice, once behind the other.
    names = [label.get_text() for label in ax.get_yticklabels()[:rows]]
    label = f"mean absolute SHAP value\n({explanation.output_names})"
    note = f"n = {len(explanation.values)} prompts"
    _finish(ax, names, np.arange(rows, 0, -1), f"What counts most: {names[0]}", label, note)
    return ax


def beeswarm(
    explanation: shap.Explanation, ax: Axes | None = None, *, max_features: int = 10
) -> Axes:
    """Draw every prompt's SHAP value of the most important features, with shap's beeswarm.

    Parameters
    ----------
    explanation : shap.Explanation
        Of several prompts, from `routerlib.explain`.
    ax : Axes, optional
        Where to draw; default a new figure.
    max_features : int, default=10
        The most important ones; all others are one row, the sum of theirs.

    Returns
    -------
    Axes
        One row of dots per feature, coloured by its value; grey where it has none of its own.
    """
    rows = min(max_features + 1, explanation.values.shape[1])
    ax = axes_or_new(ax, (7.4, 1.7 + 0.4 * rows))
    with _shap_plots() as shap_plots:
        shap_plots.beeswarm(
            explanation,
            max_display=max_features + 1,
            ax=ax,
            show=False,
            plot_size=None,
            color_bar_label="value of the feature",
        )
    names = [label.get_text() for label in ax.get_yticklabels()]
    title = f"{names[-1].capitalize()} moves the estimate most"
    label = f"SHAP value\n({explanation.output_names})"
    note = f"n = {len(explanation.values)} prompts"
    _finish(ax, names, np.arange(rows), title, label, note)
    ax.locator_params(axis="x", nbins=_MAX_TICKS)
    _calm(ax.figure.axes[-1])  # the colour bar
    return ax


def dependence(
    explanation: shap.Explanation, feature: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how the SHAP value of one feature depends on its own value, with shap's scatter.

    Parameters
    ----------
    explanation : shap.Explanation
        Of several prompts, from `routerlib.explain`.
    feature : str, optional
        Name; default the most important one that has values of its own.
    ax : Axes, optional
        Where to draw, in a figure of pyplot's; default a new one.

    Returns
    -------
    Axes
        One dot per prompt, the mean of each fifth of the prompts as a line, and below in grey how
        many prompts have which value.

    Raises
    ------
    ValueError
        If the feature is unknown or has no value of its own.
    """
    column = _column(explanation, feature)
    name = str(explanation.feature_names[column])
    x = np.asarray(explanation.data, dtype=float)[:, column]
    y = np.asarray(explanation.values, dtype=float)[:, column]
    ax = axes_or_new(ax, (6.4, 4.0))
    with _shap_plots() as shap_plots:
        shap_plots.scatter(explanation[:, column], color=_FOR, x_jitter=0, ax=ax, show=False)
    places, means = _fifths(x, y)
    ax.plot(places, means, color="black", marker="D", markersize=5, label="mean of a fifth")
    ax.axhline(0, color=BASELINE_GREY, linewidth=0.8)
    title = f"{name.capitalize()}: {_trend(places, means)}"
    label = f"SHAP value\n({explanation.output_names})"
    finish(ax, title, escape_math(name), label, f"n = {len(x)} prompts, a dot each", grid=False)
    _calm(ax)
    ax.legend(loc="upper left", fontsize="small")
    return ax


@contextmanager
def _shap_plots() -> Iterator[ModuleType]:
    """Lend shap's plots, so that they draw the same each time and leave numpy's draws alone."""
    with warnings.catch_warnings():
        # shap's import calls what matplotlib will rename; a feature without values has no range.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        import shap

        before = np.random.get_state()  # noqa: NPY002 - shap spreads its dots by the global draws
        np.random.seed(0)  # noqa: NPY002
        try:
            yield shap.plots
        finally:
            np.random.set_state(before)  # noqa: NPY002


def _finish(
    ax: Axes, names: list[str], rows: np.ndarray, title: str, label: str, note: str
) -> None:
    """Put title, units and names that fit round what shap drew."""
    ax.set_yticks(rows, [short_label(name) for name in names])
    lines = [short_label(line) for line in label.splitlines()]
    finish(ax, title, "\n".join(lines), "", note, grid=False)
    _calm(ax)


def _calm(ax: Axes) -> None:
    """Give shap's letters the size and ink of all other figures."""
    ax.tick_params(labelsize="medium", labelcolor="black", color="black")
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(size="medium", color="black")
    ax.spines[:].set_color("black")


def importance_by_model(
    explanations: Mapping[str, shap.Explanation],
    ax: Axes | None = None,
    *,
    max_features: int = 8,
) -> Axes:
    """Draw how differently the same features count for different candidate models.

    Parameters
    ----------
    explanations : mapping of str to shap.Explanation
        By candidate model, of the same prompts and target.
    ax : Axes, optional
        Where to draw; default a new figure.
    max_features : int, default=8
        Those with the largest mean over candidate models.

    Returns
    -------
    Axes
        A table of mean absolute SHAP values, darker = more; the numbers stand in the cells.
    """
    models = list(explanations)
    first = explanations[models[0]]
    sizes = np.array([np.abs(each.values).mean(axis=0) for each in explanations.values()])
    top = np.argsort(-sizes.mean(axis=0), kind="stable")[:max_features]
    shown = sizes[:, top].T
    ax = axes_or_new(ax, (3.4 + 1.15 * len(models), 1.9 + 0.34 * len(top)))
    ax.imshow(shown, cmap="Blues", aspect="auto", vmin=0)
    for row, column in np.ndindex(shown.shape):
        is_deep = shown[row, column] > _DARK_SHARE * shown.max()
        color = ON_DEEP if is_deep else ON_PALE
        ax.text(column, row, f"{shown[row, column]:.3f}", ha="center", va="center", color=color)
    ax.set_xticks(range(len(models)), [escape_math(short_label(name)) for name in models])
    ax.tick_params(axis="x", labelrotation=0 if len(models) <= 4 else 35)
    names = [str(first.feature_names[column]) for column in top]
    ax.set_yticks(range(len(top)), [short_label(name) for name in names])
    spread = shown.max(axis=1) - shown.min(axis=1)
    title = f"Candidates differ most in: {names[int(np.argmax(spread))]}"
    if len(models) == 1:
        title = f"What counts most: {names[0]}"
    label = f"mean absolute SHAP value\n({first.output_names})"
    finish(ax, title, label, "", f"n = {len(first.values)} prompts", grid=False)
    return ax


def _top(explanation: shap.Explanation, max_features: int) -> list[int]:
    sizes = np.abs(explanation.values).mean(axis=0)
    return [int(column) for column in np.argsort(-sizes, kind="stable")[:max_features]]


def _column(explanation: shap.Explanation, feature: str | None) -> int:
    data = np.asarray(explanation.data, dtype=float)
    has_values = ~np.isnan(data).all(axis=0)
    names = [str(name) for name in explanation.feature_names]
    if feature is None:
        told = [c for c in _top(explanation, len(names)) if has_values[c] and np.ptp(data[:, c])]
        if not told:
            raise ValueError(
                f"no feature differs among these {len(data)} prompts, so that nothing can be drawn "
                "against one; explain more prompts"
            )
        return told[0]
    if feature not in names:
        raise ValueError(f"feature must be one of {', '.join(names)}, got {feature!r}")
    if not has_values[names.index(feature)]:
        raise ValueError(f"{feature!r} has no value of its own; choose a feature that has one")
    return names.index(feature)


def _fifths(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean x and y of five parts of equal size, in the order of x."""
    parts = np.array_split(np.argsort(x, kind="stable"), min(5, len(x)))
    return np.array([x[part].mean() for part in parts]), np.array(
        [y[part].mean() for part in parts]
    )


def _trend(places: np.ndarray, means: np.ndarray) -> str:
    """Say in words which way the estimate goes."""
    rise = np.diff(means)
    if (rise >= 0).all() and np.ptp(means):
        return "the higher, the higher the estimate"
    if (rise <= 0).all() and np.ptp(means):
        return "the higher, the lower the estimate"
    return "the effect goes both ways"
