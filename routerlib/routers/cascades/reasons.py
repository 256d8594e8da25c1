"""Say in words why an answer was judged as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.records.arrays import Floats

# What is told of a column: where its number is 0 or low, and where it is high.
_WORDS: Mapping[str, tuple[str, str]] = {
    "expected_of_this": ("the router expected little of it", "the router expected much of it"),
    "expected_of_all": ("the prompt is hard for everybody", "the prompt is easy for everybody"),
    "candidate_quality": ("who answered", "who answered"),
    "answer_over_usual": ("shorter than usual for this candidate", "longer than usual for it"),
    "agreement_others": ("no other answer is at hand", "other answers are at hand"),
    "agreement_same": ("no other answer has the same result", "another answer has the same result"),
    "agreement_different": ("no other answer differs", "another answer has a different result"),
    "agreement_best_same": ("nobody good agrees", "a good candidate agrees"),
    "agreement_best_different": ("nobody good disagrees", "a good candidate disagrees"),
    "answer_is_empty": ("it isn't empty", "it is empty"),
    "answer_characters": ("it is short", "it is long"),
    "answer_over_prompt": ("it is short for the prompt", "it is long for the prompt"),
    "answer_thought_characters": ("little was thought aloud", "much was thought aloud"),
    "answer_is_only_thought": ("it is more than a thought", "it is a thought only"),
    "answer_format_kept": ("the asked format isn't kept", "the asked format is kept"),
    "answer_hedges": ("it doesn't hedge", "it hedges"),
    "answer_turns": ("it doesn't change its mind", "it changes its mind"),
    "answer_refusals": ("it doesn't refuse", "it refuses"),
    "answer_repetition": ("it doesn't repeat itself", "it repeats itself"),
    "answer_equations": ("no sum to check", "sums that can be checked"),
    "answer_wrong_equations": ("no sum in it is wrong", "a sum in it is wrong"),
    "answer_result_characters": ("the result is short", "the result is long"),
    "answer_result_is_number": ("the result is no number", "the result is a number"),
    "answer_result_is_whole": ("the result is no whole number", "the result is a whole number"),
    "answer_result_size": ("the result is small", "the result is large"),
    "answer_result_follows": (
        "the result doesn't follow from the last line",
        "the result follows from the last line",
    ),
    "answer_result_in_prompt": ("the result isn't in the prompt", "the result is in the prompt"),
    "answer_result_mentions": ("the result is named once", "the result is named repeatedly"),
    "answer_numbers": ("few numbers", "many numbers"),
    "answer_numbers_used": (
        "it leaves numbers of the prompt unused",
        "it uses the prompt's numbers",
    ),
    "answer_numbers_new": ("few new numbers", "many new numbers"),
    "answer_words_of_prompt": ("few of its words are the prompt's", "its words are the prompt's"),
    "answer_is_closed": ("it breaks off", "it comes to an end"),
    "answer_script_differs": ("it is in the prompt's script", "it is in another script"),
    "answer_lines": ("few lines", "many lines"),
    "logprob_mean": ("its words were unsure", "its words were sure"),
    "logprob_least": ("one word was a guess", "no word was a guess"),
    "logprob_q10": ("some words were unsure", "hardly a word was unsure"),
    "logprob_q50": ("most words were unsure", "most words were sure"),
    "logprob_margin": ("other words were near", "other words were far"),
    "logprob_final_mean": ("its last line was unsure", "its last line was sure"),
    "logprob_final_least": ("a guess in its last line", "no guess in its last line"),
    "logprob_n_tokens": ("few tokens", "many tokens"),
}
_SAID = "what it says, and how answers like it were scored"
# Numbers of which 0 is the low side, whatever is usual; of the others the usual one divides.
_COUNTS = frozenset(
    (
        *("answer_is_empty", "answer_is_only_thought", "answer_format_kept", "answer_refusals"),
        *("answer_equations", "answer_wrong_equations", "answer_result_is_number"),
        *("answer_result_is_whole", "answer_result_follows", "answer_result_in_prompt"),
        *("answer_is_closed", "answer_hedges", "answer_turns", "answer_thought_characters"),
        *("agreement_others", "agreement_same", "agreement_different"),
        *("agreement_best_same", "agreement_best_different", "answer_over_usual"),
        "answer_script_differs",
    )
)


class Reason(NamedTuple):
    """One reason for a judgement.

    Attributes
    ----------
    words : str
        What it is, in words.
    points : float
        What it adds to the probability that the answer is good, in points of 100.
    """

    words: str
    points: float


def reasons_of(
    names: list[str], row: Floats, usual: Floats, contributions: Floats, odds: float
) -> list[Reason]:
    """Return the reasons for one judgement, the largest first.

    Each one's points are what the judgement would lose without it, so they needn't add up.

    `row, usual` (n_columns,): the answer's numbers, and the usual ones.
    `contributions` (n_columns,): what each adds to the log-odds.
    """
    added: dict[str, float] = {}
    for name, value, middle, part in zip(names, row, usual, contributions, strict=True):
        words = _told(name, float(value), float(middle))
        added[words] = added.get(words, 0.0) + float(part)
    now = float(sigmoid(np.array(odds)))
    reasons = [
        Reason(words, 100 * (now - float(sigmoid(np.array(odds - part)))))
        for words, part in added.items()
    ]
    return sorted(reasons, key=lambda reason: -abs(reason.points))


def _told(name: str, value: float, usual: float) -> str:
    if name not in _WORDS:
        return _SAID
    low, high = _WORDS[name]
    if np.isnan(value):
        return f"not known whether {high}"
    return high if value > (0 if name in _COUNTS else usual) else low
