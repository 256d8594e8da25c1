"""Estimates of training prompts by routers that didn't learn from them."""

from __future__ import annotations

import math
from typing import NamedTuple

from routerlib.records.arrays import Arms
from routerlib.records.decision import Estimates


class HeldOut(NamedTuple):
    """What was expected of each training prompt without it and those like it.

    Attributes
    ----------
    estimates : Estimates
        Of all training prompts.
    folds : ndarray of shape (n_prompts,)
        Prompts of one fold were estimated from those of all others.
    gain_sd : float
        How far the mean gain that such estimates expect of their choices is off, as a standard
        deviation of mean quality; infinite where that isn't known, so that it isn't believed.
    """

    estimates: Estimates
    folds: Arms
    gain_sd: float = math.inf
