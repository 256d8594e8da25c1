"""Explain what drives a router's estimates, why one candidate won, and what it was seen to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from routerlib.routers.explanation.attribution import Folded, Target, check_explainable, folded
from routerlib.routers.lightgbm.router import LGBMRouter

if TYPE_CHECKING:
    import shap


# What the values of `explain` are measured in; stands in ``Explanation.output_names``.
SCALES: Mapping[str, str] = {
    "quality": "log-odds of a right answer, before the pull to its mean",
    "cost": "log of the expected cost in US dollars",
}


def explain(
    router: LGBMRouter,
    prompts: str | Iterable[str],
    *,
    model: str | None = None,
    target: Target = "quality",
) -> shap.Explanation:
    """Attribute a candidate model's estimates to readable features of the prompts.

    Exact TreeSHAP by LightGBM itself, of which what the simpler learners and the embedding
    contribute is led back to what moves them: exactly where they are linear, by integrated
    gradients where they aren't. So there are counts, "its words", "its topic" and "what similar
    prompts did"; what no single feature does is "the prompt as a whole". Sums stay exact.

    Parameters
    ----------
    router : LGBMRouter
        Fitted.
    prompts : str, or iterable of str, length n_prompts
        Best held-out ones; a list, a Series and the like, or one text.
    model : str, optional
        Candidate model whose estimate is explained; default the best single one.
    target : {"quality", "cost"}, default="quality"
        Which estimate.

    Returns
    -------
    shap.Explanation
        ``values`` of shape (n_prompts, n_features) and ``base_values``, which add up to the raw
        estimate of the scale named in ``output_names``: log-odds for quality (which
        `LGBMRouter.quality_scale` then pulls a little towards the candidate's mean), the log of
        expected US dollars for cost. ``data`` holds the features' own values (for words,
        topic and similar prompts the estimate that they give for this model; NaN for the whole).

    Raises
    ------
    ValueError
        If the router isn't an `LGBMRouter`, there is no prompt, or the model is unknown.

    Examples
    --------
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
    >>> router = LGBMRouter(random_state=0).fit(outcomes)
    >>> explanation = explain(router, outcomes.prompts[:5], model="m1")
    >>> explanation.values.shape[0], explanation.output_names
    (5, 'log-odds of a right answer, before the pull to its mean')
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    check_explainable(router, texts)
    model = router.best_single_ if model is None else model
    return _explanation(folded(router, texts, [model], target)[0], target)


def explain_all(
    router: LGBMRouter, prompts: Iterable[str], *, target: Target = "quality"
) -> dict[str, shap.Explanation]:
    """Return what `explain` finds of each candidate model, in about the time of one."""
    texts = list(prompts)
    check_explainable(router, texts)
    found = folded(router, texts, router.models_, target)
    return {
        model: _explanation(each, target) for model, each in zip(router.models_, found, strict=True)
    }


def _explanation(found: Folded, target: Target) -> shap.Explanation:
    with warnings.catch_warnings():
        # shap's own import still calls a matplotlib function that will be renamed.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap
    return shap.Explanation(
        values=found.values,
        base_values=found.base,
        data=found.data,
        feature_names=list(found.names),
        output_names=SCALES[target],
    )
