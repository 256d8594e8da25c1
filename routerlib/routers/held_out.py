"""Estimates of training prompts by routers that didn't learn from them."""

from __future__ import annotations

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
    is_drawn_together : bool
        Whether their differences were drawn together by the noise in them, so that the gains that
        they expect can be believed where little was seen.
    """

    estimates: Estimates
    folds: Arms
    is_drawn_together: bool = False
