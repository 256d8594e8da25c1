"""Every router by one name: the learned ones, the rules before data, the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from routerlib.features.encoders import EncoderChoice
from routerlib.routers import artifact
from routerlib.routers.artifact import ArtifactError
from routerlib.routers.baselines import BestSingle, RandomRouter, TopicTable
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.clusters import ClusterTable
from routerlib.routers.factors import LowRankRouter, MFRouter, OneFactorRouter
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.rivals import KNNRouter, LinearRouter, MLPRouter
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter
from routerlib.routers.untuned import UntunedLGBMRouter

# Prompts that a router must be able to estimate as soon as it is loaded.
_TRIED = ("", "How much is 2 + 3?", "Summarise in one line: the sea is wide, and blue.")
_ANSWERED = "2 + 3 = 5, so the answer is 5."
_ROUTERS: dict[str, type[Router]] = {
    router.name: router
    for router in (
        *(LGBMRouter, KNNRouter, LinearRouter, MLPRouter),
        *(OneFactorRouter, LowRankRouter, MFRouter, ClusterTable, UntunedLGBMRouter),
        *(BestSingle, RandomRouter, TopicTable, RuleRouter),
    )
}


def load_router(path: str | Path, *, encoder: EncoderChoice = None) -> Router:
    """Open a router file without running anything in it.

    Parameters
    ----------
    path : str or Path
        A file that `Router.save` wrote.
    encoder : str, callable or None, default=None
        The neural encoder, for a router that was trained with a function of your own.

    Returns
    -------
    Router
        It estimates exactly as the saved one did.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArtifactError
        If it is truncated, altered, hostile, no router, or of another version.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "router_model.pkl"
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]])
    >>> BestSingle().fit(outcomes).save(path)
    >>> load_router(path).models_
    ('small', 'large')
    """
    state = artifact.load(path).state
    try:
        router = opened(state, encoder)
        _try(router)
    except _UnknownKindError as error:
        raise ArtifactError(f"{str(path)!r} holds {error}") from error
    except Exception as error:  # content of a foreign file may be wrong in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise ArtifactError(
            f"{str(path)!r} is altered, damaged or of another version ({reason}); "
            "train the router again"
        ) from error
    return router


class _UnknownKindError(ValueError):
    """A router that this routerlib doesn't know."""


def opened(state: Mapping[str, Any], encoder: EncoderChoice = None) -> Router:
    """Rebuild a router from `Router.to_state`; a cascade holds another one."""
    kind = state.get("kind")
    if kind == Cascade.name:
        return Cascade.from_parts(state, opened(state["learned"]["router"], encoder))
    if not isinstance(kind, str) or kind not in _ROUTERS:
        raise _UnknownKindError(
            f"a router of kind {str(kind)[:40]!r}, this routerlib knows "
            f"{', '.join([*_ROUTERS, Cascade.name])}; install the routerlib that wrote it"
        )
    return _ROUTERS[kind].from_state(state, encoder)


def _try(router: Router) -> None:
    """Estimate a little, so that a router which can't is refused here and not when it is asked.

    One with a neural encoder is left alone: its weights may take long, or not be there yet.
    """
    encoder = getattr(router, "encoder", None)
    if not (isinstance(encoder, str) or callable(encoder)):
        with np.errstate(all="ignore"):
            router.predict(_TRIED)
            if isinstance(router, Cascade):
                _try_judging(router)


def _try_judging(cascade: Cascade) -> None:
    """Judge one answer, and choose who is asked next; judge those of all candidates."""
    for asked in (cascade.models_[:1], cascade.models_):
        judged = cascade.after(_TRIED[1], dict.fromkeys(asked, _ANSWERED)).judged
        if not all(0 <= each <= 1 for each in judged.values()):
            raise ValueError(f"answers are judged by probabilities, got {judged}")
