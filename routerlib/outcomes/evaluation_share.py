"""Keep a random share of prompts apart for evaluation, the same one whoever asks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routerlib.records.amounts import check_share

# Share of groups that the buying of labels leaves alone unless told otherwise.
EVALUATION_SHARE = 0.2
# With fewer groups an interval is too narrow to be believed, so they aren't a test of their own.
LEAST_GROUPS = 30


def in_evaluation_share(
    groups: NDArray, prompt_ids: Sequence[str], share: float = EVALUATION_SHARE
) -> NDArray[np.bool_]:
    """Tell which prompts are kept for evaluation: whole groups, drawn by a hash.

    A hash of the group's first identifier in the order of texts draws it, so the same prompts are
    kept in every process and every later run; a larger share holds a smaller one.

    Parameters
    ----------
    groups : ndarray of shape (n_prompts,)
        As of `Outcomes.groups`.
    prompt_ids : sequence of str
        Identifiers, length n_prompts.
    share : float, default=0.2
        Expected share of groups, in [0, 1].

    Returns
    -------
    ndarray of bool, shape (n_prompts,)

    Raises
    ------
    ValueError
        If the share is out of range.

    Examples
    --------
    >>> ids = [f"b2:{i}" for i in range(1000)]
    >>> kept = in_evaluation_share(np.arange(1000), ids)
    >>> int(kept.sum()), bool(in_evaluation_share(np.arange(1000), ids, 0.5)[kept].all())
    (205, True)
    """
    check_share("the evaluation share", share)
    first: dict[object, str] = {}
    for group, prompt_id in zip(groups, prompt_ids, strict=True):
        first[group] = min(first.get(group, prompt_id), prompt_id)
    kept = {group for group, prompt_id in first.items() if _place(prompt_id) < share}
    return np.array([group in kept for group in groups], dtype=bool)


def left_alone(
    groups: NDArray, prompt_ids: Sequence[str], inclusion: NDArray | None
) -> NDArray[np.bool_] | None:
    """Tell which prompts are tested where labels were bought; None = any may be.

    `inclusion` (n_prompts, n_models): as of `Outcomes`; below 1 somewhere = labels were bought.
    """
    if inclusion is None or (inclusion == 1).all():
        return None
    kept = in_evaluation_share(groups, prompt_ids)
    return kept if len(np.unique(groups[kept])) >= LEAST_GROUPS else None


def _place(prompt_id: str) -> float:
    """Return where in [0, 1) a hash puts an identifier."""
    digest = hashlib.blake2b(f"evaluation:{prompt_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
