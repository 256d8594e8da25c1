"""Call features and numbers what people call them."""

from __future__ import annotations

MEANING = "meaning of the prompt"
WORDING = "what its wording suggests"
SIMILAR = "what similar prompts did"
TOPIC = "what its topic suggests"
NETWORK = "what a small neural network expects"
ANY_PROMPT = "on any prompt"
KNOWN_TASK = "known task"

_FOLDED = {
    "embedding_": MEANING,
    "words_": WORDING,
    "neighbours_": SIMILAR,
    "topic_": TOPIC,
    "network_": NETWORK,
}
FOLDED = tuple(_FOLDED.values())
_READABLE = {
    "n_characters": "length in characters",
    "n_shots": "number of worked examples",
    "n_options": "number of answer options",
    "n_blanks": "number of blanks to fill",
    "n_unknowns": "number of unknowns, such as x",
    "n_calls": "number of function calls",
    "max_line_characters": "length of the longest line",
    "mean_sentence_words": "mean words in a sentence",
    "is_ending_with_question": "ends with a question mark",
    "is_beginning_with_imperative": "begins with an instruction",
    "share_upper": "share of capital letters",
    "compressibility": "compressed size (variety of the text)",
}


def number_text(value: float) -> str:
    """Write a number for people: three digits, thousands apart, no exponent where avoidable.

    Parameters
    ----------
    value : float
        Any finite number.

    Returns
    -------
    str
        Such as ``0.0796`` or ``1,060``.

    Examples
    --------
    >>> number_text(1058.3), number_text(0.07961)
    ('1,058', '0.0796')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e12 else f"{value:.3g}"


def readable_name(column: str) -> str:
    """Return what a feature column is called in front of people.

    Parameters
    ----------
    column : str
        Name of a column of `LGBMRouter.features`.

    Returns
    -------
    str
        One name for all columns of a folded group.

    Examples
    --------
    >>> [readable_name(name) for name in ("n_commas", "task_math", "embedding_07")]
    ['number of commas', 'task: math', 'meaning of the prompt']
    """
    for prefix, group in _FOLDED.items():
        if column.startswith(prefix):
            return group
    if column in _READABLE:
        return _READABLE[column]
    kind, _, rest = column.partition("_")
    words = rest.replace("_", " ")
    starts = {"n": "number of ", "share": "share of ", "mean": "mean ", "task": "task: "}
    return starts[kind] + words if kind in starts else column.replace("_", " ")
