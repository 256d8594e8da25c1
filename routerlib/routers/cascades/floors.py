"""Ask for as little money as keeps a floor of quality, looking at the answers on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.policies.policies import QualityFloor
from routerlib.records.arrays import Arms, Floats
from routerlib.routers.cascades.limits import Room
from routerlib.routers.cascades.lookahead import OUTER, Ahead

NOBODY = -1
_ROUNDING = 1e-12


def cheapest_way(
    ahead: Ahead,
    cost_usd: Floats,
    floor: QualityFloor,
    models: Sequence[str],
    further: int,
    room: Room | None = None,
    closed: Sequence[int] = (),
) -> Arms:
    """Return the candidate by which to keep the floor at the least expected cost, -1 = none.

    An answer stands that is believed at most `floor.max_loss` under whoever is believed best by
    now, or under the model that sets the floor. A cheap candidate that isn't good enough by what
    is expected of it may be asked all the same, where its answer is often enough judged so good
    that the dearer call is saved.

    `ahead`: of prompts with the same answers at hand.
    `further`: calls that may follow the next one.
    `closed`: columns of candidates that can't be asked, besides those at hand.
    """
    shut = [*ahead.held, *closed]
    is_open = np.ones(cost_usd.shape, dtype=bool) if room is None else room.fits()
    is_open[:, shut] = False
    named = None if floor.model is None else list(models).index(floor.model)
    bar = _yardstick(ahead.best, np.where(is_open, ahead.expected, 0.0), ahead.expected, named)
    bar = bar - floor.max_loss - _ROUNDING
    is_good = is_open & (ahead.expected >= bar[:, None])
    total, may_lead = cost_usd.copy(), np.zeros(cost_usd.shape, dtype=bool)
    if further > 0:
        then_open = _open_then(is_open, room)
        total += _going_on_usd(ahead, cost_usd, floor.max_loss, named, then_open)
        may_lead = is_open & (then_open & is_good[:, None, :]).any(axis=2)
    allowed = is_good | may_lead
    total = np.where(allowed, total, np.inf)
    arms = np.lexsort((-ahead.expected, total), axis=1)[:, 0]
    # Nobody who can be asked keeps it: then the best of them, unless an answer is at hand.
    best_left = np.where(is_open, ahead.expected, -np.inf).argmax(axis=1)
    arms = np.where(allowed.any(axis=1), arms, NOBODY if ahead.held else best_left)
    stands = bool(ahead.held) & (ahead.best >= bar)
    return np.where(stands | ~is_open.any(axis=1), NOBODY, arms)


def _yardstick(best: Floats, believed: Floats, expected: Floats, named: int | None) -> Floats:
    """Return what an answer is compared with: the best there can be, or the model that is named."""
    if named is not None:
        return expected[..., named]
    return np.asarray(np.maximum(best, believed.max(axis=-1)))


def _open_then(is_open: np.ndarray, room: Room | None) -> np.ndarray:
    """Return who can be asked after whom, shape (n_prompts, n_models, n_models)."""
    then = is_open[:, None, :] & is_open[:, :, None]
    if room is not None:
        then = then & room.fits_after()
    own = np.arange(is_open.shape[1])
    then[:, own, own] = False
    return then


def _going_on_usd(
    ahead: Ahead, cost_usd: Floats, max_loss: float, named: int | None, then_open: np.ndarray
) -> Floats:
    """Return the expected cost of the call after each next one, shape (n_prompts, n_models)."""
    best = np.maximum(ahead.best[:, None, None], sigmoid(ahead.seen))
    expected = sigmoid(ahead.then)
    own = np.arange(cost_usd.shape[1])
    expected[:, own, :, own] = np.moveaxis(sigmoid(ahead.seen), 1, 0)
    held = list(ahead.held)
    expected[..., held] = ahead.expected[:, None, None, held]
    believed = np.where(then_open[:, :, None, :], expected, 0.0)
    bar = _yardstick(best, believed, expected, named) - max_loss - _ROUNDING
    is_good = then_open[:, :, None, :] & (expected >= bar[..., None])
    next_usd = np.where(is_good, cost_usd[:, None, None, :], np.inf).min(axis=3)
    next_usd = np.where((best >= bar) | np.isinf(next_usd), 0.0, next_usd)
    return np.asarray(next_usd @ OUTER[1])
