"""Tell where the tokens of a text stand in the vocabulary: frequent, seldom, single signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routerlib.features.embedding import N_TOKENS

_UNCOMMON, _RARE = 0.25, 0.5

_RANKS = np.arange(N_TOKENS) / N_TOKENS
# What one token adds to the means.
_OF_TOKEN = np.column_stack(
    [np.log1p(np.arange(N_TOKENS)), _RANKS, _RANKS**2, _RANKS > _RARE, _RANKS > _UNCOMMON]
)

RARITY_NAMES: tuple[str, ...] = (
    "token_rarity",
    "mean_token_rank",
    "high_token_rank",
    "share_rare_tokens",
    "share_uncommon_tokens",
    "token_rank_spread",
)


def rarity_columns(token_ids: Sequence[np.ndarray]) -> np.ndarray:
    """Describe the ranks of the tokens of each text.

    A byte-pair tokenizer numbers its tokens in the order in which it merged them, the frequent
    ones first, and single characters last: a high number is a seldom word, or a digit, sign or
    letter of its own. A word that it doesn't know falls into pieces, some of them frequent.

    `token_ids`: tokens of each text, in [0, `N_TOKENS`).
    """
    rows = np.zeros((len(token_ids), len(RARITY_NAMES)))
    for row, ids in zip(rows, token_ids, strict=True):
        n_tokens = len(ids)
        if n_tokens:
            at = (9 * n_tokens) // 10
            log, rank, square, rare, uncommon = _OF_TOKEN[ids].sum(axis=0) / n_tokens
            high = np.partition(ids, at)[at] / N_TOKENS
            row[:] = log, rank, high, rare, uncommon, np.sqrt(max(square - rank * rank, 0.0))
    return rows
