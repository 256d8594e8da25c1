"""Lead contributions of columns back to the words, counts, topic and neighbours of a prompt."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.features.origins import Origins

# How much of what TreeSHAP gives a column is left to the prompt as a whole where the column's own
# sources cancel each other: with this share no part becomes more than twice what is dealt out.
_DOUBT = 0.3


class Reasons(NamedTuple):
    """Estimates of candidate models, taken apart into what people can read.

    Attributes
    ----------
    names : tuple of str, length n_reasons
        As people call them.
    values : ndarray of shape (n_prompts, n_models, n_reasons)
        With ``base`` they add up to the log-odds that `quality_scale` turns into expected quality,
        or to the log of expected US dollars.
    base : ndarray of shape (n_prompts, n_models)
        Of the usual prompt.
    tokens : tuple of ndarray, length n_prompts
        Each of shape (n_models, n_tokens): the part of the words, token by token.
    neighbours : tuple of ndarray of int, length n_prompts
        Rows of the training prompts that have a say on each.
    similar : tuple of ndarray, length n_prompts
        Each of shape (n_models, n_neighbours): the part of what similar prompts did, one by one.
    topics : tuple of (str or None), length n_prompts
        The log's topic that a prompt is estimated by; None where topics have no names.
    """

    names: tuple[str, ...]
    values: np.ndarray
    base: np.ndarray
    tokens: tuple[np.ndarray, ...]
    neighbours: tuple[np.ndarray, ...]
    similar: tuple[np.ndarray, ...]
    topics: tuple[str | None, ...]


class Led(NamedTuple):
    """What the sources of one prompt's columns add to every candidate.

    `sources` (n_models, n_sources), `whole` (n_models,), `tokens` (n_models, n_tokens), `similar`
        (n_models, n_neighbours).
    """

    sources: np.ndarray
    whole: np.ndarray
    tokens: np.ndarray
    similar: np.ndarray


def lead_back(contributed: np.ndarray, blended: np.ndarray, origin: Origins) -> Led:
    """Deal contributions of columns to what moves the columns; what can't be dealt stays whole.

    Of the blend it is known what a unit of a column adds, so its part is dealt exactly. What
    TreeSHAP gives a column is dealt in proportion to what moves the column (the rescale rule of
    A. Shrikumar, P. Greenside, A. Kundaje, ICML 2017). Where sources cancel, and a small move
    would be made of large parts, part of it is kept back, as by the epsilon rule (S. Bach and
    others, PLoS ONE 10, 2015).

    `contributed` (n_models, n_nodes): to every candidate, of each column of `origin`.
    `blended` (n_models, n_nodes): what a unit of each column adds by the blend.

    >>> nobody = np.zeros(0, dtype=int), np.zeros((1, 0))
    >>> parts, tokens = np.array([[3.0, 1.0]]), np.array([[3.0]])
    >>> origin = Origins(np.array([0]), np.zeros(1), parts, tokens, *nobody, None)
    >>> lead_back(np.array([[2.0]]), np.array([[0.25]]), origin).sources
    array([[1.5, 0.5]])
    """
    moved = origin.parts.sum(axis=1)
    cancelled = np.abs(origin.parts).sum(axis=1) - np.abs(moved)
    total = moved**2 + (_DOUBT * cancelled) ** 2
    kept = np.where(total > 0, moved, 0.0) / np.where(total > 0, total, 1.0)
    factors = blended + (contributed - blended * moved) * kept
    sources = factors @ origin.parts
    whole = contributed.sum(axis=1) - sources.sum(axis=1)
    return Led(sources, whole, factors @ origin.tokens, factors @ origin.similar)
