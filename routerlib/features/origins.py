"""Lead a prompt's columns back to what people can read: its words, counts, topic and neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from routerlib.features.columns import count_names
from routerlib.features.encoders import resolve_encoder
from routerlib.features.learners.pulls import Pull
from routerlib.features.learners.stack import NeighboursLearner, TopicLearner
from routerlib.features.names import ENCODED, SIMILAR, TOPIC, WORDS, readable_name
from routerlib.features.prompt_columns import PromptColumns
from routerlib.features.text_space import Place
from routerlib.weights.embedding import Encoded, encode, words_of_tokens


class Origins(NamedTuple):
    """What moves some columns of one prompt away from those of the usual prompt.

    `columns` (n_nodes,): the columns: directions, and what simpler learners estimate.
    `usual` (n_nodes,): what they are for the usual prompt.
    `parts` (n_nodes, n_sources): what moves them, in the order of `source_names`.
    `tokens` (n_nodes, n_tokens): the part of the words, token by token.
    `neighbours` (n_neighbours,): rows of the training prompts that have a say.
    `similar` (n_nodes, n_neighbours): the part of each.
    `topic`: the one that the prompt is estimated by; None where topics have no names.
    """

    columns: np.ndarray
    usual: np.ndarray
    parts: np.ndarray
    tokens: np.ndarray
    neighbours: np.ndarray
    similar: np.ndarray
    topic: str | None


def _node_columns(features: PromptColumns) -> np.ndarray:
    """Return the columns that are led back: neither counts, nor where a conversation stands."""
    every = np.arange(features.n_counts, features.n_features_out_)
    return np.setdiff1d(every, features.conversation_at)


def source_names(features: PromptColumns) -> list[str]:
    """Return what people call the sources: of the counts, then of words and the like."""
    return [*map(readable_name, count_names(features.groups)), WORDS, ENCODED, TOPIC, SIMILAR]


def origins(
    features: PromptColumns, texts: list[str], topics: Sequence[str] | None
) -> Iterator[Origins]:
    """Yield what moves the columns of each prompt.

    Directions and the ridge regression are linear in words and counts, so theirs is exact, as is
    that of neighbours and of topics with a name; clusters and the network are led back by
    integrated gradients.

    `texts` (length n_texts): prompts.
    `topics` (length n_texts): told ones; None = detected.
    """
    encoded = encode(texts, resolve_encoder(features.encoder))
    places = features.locate(texts, topics)[1]
    columns = _node_columns(features)
    for row in range(len(texts)):
        told = None if topics is None else [topics[row]]
        place = places.take(np.array([row]))
        pulls = features.simpler_.pulls(place, told)
        nodes = _nodes(features, place, pulls)
        slopes = np.vstack([pull.slopes for pull in nodes])
        count_slopes = np.vstack([pull.count_slopes for pull in nodes])
        spread = features.space_.spread(_of_one(encoded, row), place.counts[0], slopes)
        words = spread.tokens.sum(axis=0) + spread.unread
        topic = np.concatenate([pull.topic for pull in nodes])
        similar = np.concatenate([pull.similar for pull in nodes])
        counts = spread.counts.T + count_slopes * place.counts[0]
        yield Origins(
            columns,
            np.concatenate([pull.usual for pull in nodes]),
            np.column_stack([counts, words, spread.encoder, topic, similar]),
            spread.tokens.T,
            *_neighbours(features, place, columns),
            _likely_topic(features, place, told),
        )


def word_parts(text: str, by_token: np.ndarray) -> dict[str, float]:
    """Add up what tokens do by the word that they stand in, the strongest first.

    `by_token` (n_tokens,): of the text.
    """
    found: dict[str, float] = {}
    for word, part in zip(words_of_tokens(text), by_token.tolist(), strict=True):
        found[word] = found.get(word, 0.0) + part
    return dict(sorted(found.items(), key=lambda each: -abs(each[1])))


def _likely_topic(features: PromptColumns, place: Place, told: list[str] | None) -> str | None:
    learner = features.simpler_.learners.get("topic")
    if not isinstance(learner, TopicLearner) or not learner.classifier.has_names:
        return None
    at = int(learner.classifier.probabilities(place.coordinates, told)[0].argmax())
    return learner.classifier.topics[at]


def _neighbours(
    features: PromptColumns, place: Place, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the training prompts that have a say, and what each adds to every node."""
    learner = features.simpler_.learners.get("neighbours")
    if not isinstance(learner, NeighboursLearner):
        return np.zeros(0, dtype=int), np.zeros((len(columns), 0))
    rows, shares = learner.shares(place)
    first = int(np.searchsorted(columns, features.starts()["neighbours"]))
    added = np.zeros((len(columns), len(rows)))
    added[first : first + shares.shape[1]] = shares.T
    return rows, added


def _of_one(encoded: Encoded, row: int) -> Encoded:
    neural = None if encoded.neural is None else encoded.neural[row : row + 1]
    return Encoded([encoded.token_ids[row]], encoded.vectors[row : row + 1], neural)


def _nodes(features: PromptColumns, place: Place, pulls: dict[str, Pull]) -> list[Pull]:
    """Return the pulls of the directions that are columns, and of the simpler learners."""
    n_directions = features.n_directions_ if "embedding" in features.groups else 0
    sizes = place.coordinates.shape[1], place.counts.shape[1]
    own = Pull.nothing(np.zeros(n_directions), *sizes)
    own.slopes[:, :n_directions] = np.eye(n_directions)
    return [own, *pulls.values()]
