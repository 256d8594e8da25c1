"""Train a router, choosing its operating point on training prompts only."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict
from typing import TypeVar

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import sweep_cost_weights
from routerlib.records.amounts import check_amount
from routerlib.records.canonical import plain_json
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.cross_fitting import cross_fit
from routerlib.routers.held_out_errors import HeldOutErrors
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.router import Router
from routerlib.routers.training.certification import certified_operating_point, starts_of
from routerlib.routers.training.certified_cascades import way_of
from routerlib.routers.training.operating_points import (
    MIN_PROMPTS,
    QUALITY_MARGIN,
    OperatingPoint,
    choose_cost_weight,
    kept_to_best_single,
    too_few,
)

# Cost weights that are tested for a certificate; the more there are, the nearer to the limit.
_N_CERTIFIED_WEIGHTS = 24

AnyRouter = TypeVar("AnyRouter", bound=Router)


def train_router(
    train: Outcomes,
    *,
    random_state: int = 0,
    cost_weight: float | None = None,
    max_quality_loss: float = QUALITY_MARGIN,
    certify: tuple[float, float] | None = None,
) -> LGBMRouter:
    """Train an LGBMRouter, with its operating point chosen out of fold or certified.

    Parameters
    ----------
    train : Outcomes
        Training prompts; test prompts must not be among them.
    random_state : int, default=0
        Seed of everything random.
    cost_weight : float or None, default=None
        Operating point, at least 0; None = chosen by `choose_cost_weight`.
    max_quality_loss : float, default=0.03
        Mean quality that the chosen operating point may give up, in [0, 1]: as much as all of the
        cost is worth, half of it for half; the verdict counts as little as the same quality.
    certify : tuple (epsilon, delta) of float or None, default=None
        Take the cheapest cost weight of which can be promised, with confidence ``1 - delta``, that
        it loses at most ``epsilon`` of mean quality and is cheaper than the best single model; see
        `at_certified_point`. A part of the training prompts is then not trained on. Not with
        `cost_weight`; `max_quality_loss` plays no part.

    Returns
    -------
    LGBMRouter
        With ``cost_weight_``, ``fallback_`` and ``training_`` (the out-of-fold summary).

    Raises
    ------
    ValueError
        If a candidate was never observed, or a parameter is out of range.

    Examples
    --------
    >>> train = Outcomes([f"Add {i} and {i + 1}" for i in range(8)], ["small", "large"],
    ...                  quality=[[0, 1]] * 8, cost_usd=[[0.001, 0.01]] * 8)
    >>> train_router(train).fallback_
    'only 8 training prompts have every candidate observed, 20 are needed'
    """
    if cost_weight is not None and certify is not None:
        raise ValueError("give cost_weight or certify, not both: a given weight isn't certified")
    if cost_weight is not None:
        check_amount("cost_weight", cost_weight)
    router = LGBMRouter(random_state=random_state)
    if certify is not None:
        epsilon, delta = certify
        return at_certified_point(
            router, train, epsilon=epsilon, delta=delta, random_state=random_state
        )
    if cost_weight is None:
        return at_operating_point(
            router, train, random_state=random_state, max_quality_loss=max_quality_loss
        )
    return router.fit(train).stand_at(cost_weight, training={"cost_weight_is": "given"})


def at_operating_point(
    router: AnyRouter,
    train: Outcomes,
    *,
    random_state: int = 0,
    max_quality_loss: float = QUALITY_MARGIN,
) -> AnyRouter:
    """Fit any router, with its operating point chosen out of fold as `train_router` does.

    Parameters
    ----------
    router : Router
        Any that estimates quality; it is fitted anew.
    train : Outcomes
        Training prompts; test prompts must not be among them.
    random_state : int, default=0
        Seed of the folds.
    max_quality_loss : float, default=0.03
        Mean quality that the chosen operating point may give up, in [0, 1]: as much as all of the
        cost is worth, half of it for half; the verdict counts as little as the same quality.

    Returns
    -------
    Router
        The same router, fitted on all training prompts, with ``cost_weight_``, ``fallback_`` and
        ``training_``.

    Raises
    ------
    ValueError
        If the router only chooses and estimates nothing, or a candidate was never observed.

    Examples
    --------
    >>> from routerlib.routers.rivals import KNNRouter
    >>> train = Outcomes([f"Add {i} and {i + 1}" for i in range(8)], ["small", "large"],
    ...                  quality=[[0, 1]] * 8, cost_usd=[[0.001, 0.01]] * 8)
    >>> at_operating_point(KNNRouter(), train).fallback_
    'only 8 training prompts have every candidate observed, 20 are needed'
    """
    router.fit(train)
    _check_estimates(router, train)
    point, router.held_out_errors_ = _cross_fitted_point(
        router, train, random_state, max_quality_loss
    )
    how = {
        "cost_weight_is": "chosen out of fold",
        "max_quality_loss": float(max_quality_loss),
        **plain_json(asdict(point)),
    }
    return router.stand_at(point.cost_weight, point.fallback, how)


def at_certified_point(
    router: AnyRouter,
    train: Outcomes,
    *,
    epsilon: float,
    delta: float,
    calibration_size: float = 0.3,
    random_state: int = 0,
) -> AnyRouter:
    """Fit any router on a part of the prompts, and certify its cost weight on the rest.

    The calibration prompts play no part in fitting, so the certificate is about the very router
    that comes back; a router fitted on everything, with a cost weight checked by
    cross-validation, would be another one. See `Certificate` for what is
    promised. Without a certificate the router keeps to the best single model, and says so.

    Of a `Cascade` it is a promise about the answer that is given back and all calls together:
    cascade and router inside are fitted on the one part, and followed over the logged answers of
    the other.

    Parameters
    ----------
    router : Router
        Any that estimates quality, or a `Cascade` around one; it is fitted anew.
    train : Outcomes
        Training prompts; test prompts must not be among them. With `answers` for a cascade.
    epsilon : float
        Mean quality that may be lost against the best single model, in [0, 1).
    delta : float
        Probability with which the promise may fail, in (0, 1).
    calibration_size : float, default=0.3
        Share of the prompts to certify on, in (0, 1).
    random_state : int, default=0
        Seed of the division.

    Returns
    -------
    Router
        The same router, with ``cost_weight_``, ``fallback_`` and ``training_``. Its
        ``train_prompt_ids_`` hold the calibration prompts too, last, because they have chosen
        the cost weight.

    Raises
    ------
    ValueError
        If a number is out of range, the prompts can't be divided, or the router estimates nothing.

    Examples
    --------
    >>> from routerlib.routers.rivals import KNNRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> train = make_world(n_prompts=120, n_models=2, kind="nothing").outcomes
    >>> router = at_certified_point(KNNRouter(), train, epsilon=0.02, delta=0.1)
    >>> router.fallback_
    'no cost weight could be certified to lose at most 2 points of quality and to cost less with
     90 % confidence on 36 calibration prompts'
    """
    fitting, calibration = train.split(calibration_size, random_state)
    if isinstance(router, Cascade):
        router.router.fit(fitting)
    router.fit(fitting)
    _check_estimates(router, fitting)
    own = router.predict(fitting.prompts)
    estimates = router.predict(calibration.prompts)
    router.held_out_errors_ = HeldOutErrors.of(
        estimates.quality, calibration.quality, calibration.groups
    )
    cost_weights = sweep_cost_weights(own, _N_CERTIFIED_WEIGHTS)
    certificate = certified_operating_point(
        estimates,
        calibration,
        epsilon=epsilon,
        delta=delta,
        best_single=router.best_single_,
        cost_weights=cost_weights,
        starts=starts_of(own, router.best_single_, cost_weights),
        way=way_of(router, calibration) if isinstance(router, Cascade) else None,
    )
    how = {
        "cost_weight_is": "certified" if certificate.is_certified else "not certified",
        "n_fitting": len(fitting),
        **plain_json(asdict(certificate)),
        "certificate": certificate.sentence,
    }
    return router.stand_at(
        certificate.cost_weight or 0.0,
        None if certificate.is_certified else certificate.shortage,
        how,
        chosen_on=calibration.prompt_ids,
    )


def _check_estimates(router: Router, train: Outcomes) -> None:
    if np.isnan(router.predict(train.prompts[:1]).quality).any():
        raise ValueError(
            f"a {type(router).__name__} estimates no quality, so a cost weight changes nothing; "
            "fit it with fit(train)"
        )


def _cross_fitted_point(
    router: Router, train: Outcomes, random_state: int, max_quality_loss: float
) -> tuple[OperatingPoint, HeldOutErrors | None]:
    n_complete = int(np.isfinite(train.quality).all(axis=1).sum())
    if n_complete < MIN_PROMPTS:
        return kept_to_best_single(train, n_complete, too_few(n_complete)), None
    if len(np.unique(train.groups)) < 2:
        reason = "all training prompts are of one group, so none can be estimated from others"
        return kept_to_best_single(train, n_complete, reason), None
    held_out = router.held_out_
    if held_out is None:
        held_out = cross_fit(lambda: copy(router), train, random_state=random_state)
    errors = HeldOutErrors.of(held_out.estimates.quality, train.quality, train.groups)
    return choose_cost_weight(held_out, train, max_quality_loss), errors
