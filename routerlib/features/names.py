"""Call features and numbers what people call them."""

from __future__ import annotations

from functools import cache

WORDS = "its words"
ENCODED = "what it means to the neural encoder"
TOPIC = "its topic"
SIMILAR = "what similar prompts did"
WHOLE = "the prompt as a whole"
ANY_PROMPT = "on any prompt"
KNOWN_TASK = "known task"

_FOLDED = {
    "embedding_": WORDS,
    "words_": WORDS,
    "neighbours_": SIMILAR,
    "topic_": TOPIC,
    "network_": WHOLE,
}
FOLDED = (WORDS, ENCODED, TOPIC, SIMILAR, WHOLE)
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
    "vocabulary": "variety of the words",
    "word_length_spread": "spread of the words' lengths",
    "token_rarity": "kinds of tokens: words, or digits and signs",
    "mean_token_rank": "mean number of its tokens in the vocabulary",
    "high_token_rank": "high numbers of its tokens in the vocabulary",
    "token_rank_spread": "spread of its tokens over the vocabulary",
    "share_rare_tokens": "share of tokens late in the vocabulary",
    "share_uncommon_tokens": "share of tokens beyond a quarter of the vocabulary",
    "n_first_person": "number of words such as I and my",
    "n_pointers": "number of words such as this and those",
    "n_truth_words": "number of words such as true and false",
    "n_quantifiers": "number of words such as all and none",
    "n_conditionals": "number of words such as if and would",
    "n_single_capitals": "number of single capital letters",
    "n_large_numbers": "number of numbers from 10 on",
    "question_characters": "length of the question before its options",
    "mean_option_characters": "mean length of the answer options",
    "longest_option_characters": "length of the longest answer option",
    "option_length_spread": "spread of the answer options' lengths",
    "last_option_length": "length of the last answer option beside the others",
    "option_overlap": "words that the answer options share",
    "n_question_words_in_options": "words that question and options share",
    "share_options_with_digits": "share of answer options with digits",
    "share_options_formulas": "share of answer options that are short, without capitals",
    "share_options_capitalized": "share of answer options with a capital first",
    "share_options_sentences": "share of answer options that end like a sentence",
    "conversation_turns": "turns of the conversation",
    "conversation_steps": "steps of this turn",
    "conversation_characters": "length of the conversation in characters",
    "conversation_tools": "number of different tools used",
    "conversation_calls": "number of calls of tools",
    "conversation_failures": "number of results that failed",
    "conversation_images": "images in the conversation",
    "conversation_files": "files in the conversation",
    "conversation_audios": "sounds in the conversation",
    "result_is_last": "a tool's result comes last",
    "result_characters": "length of the last result in characters",
    "result_is_json": "the last result is JSON",
    "result_is_failed": "the last result failed",
    "messages_system": "messages of whoever set up the conversation",
    "messages_assistant": "answers in the conversation",
    "messages_tool": "results of tools in the conversation",
    "tools_offered": "tools on offer",
    "offered_to_read": "tools on offer that read",
    "offered_to_write": "tools on offer that write",
    "offered_to_run": "tools on offer that run something",
    "context_tokens": "tokens of the conversation so far",
    "steps_before": "steps before this one, of the last five",
    "incumbent_steps": "steps of whoever answered last, of the last five",
    "incumbent_cut_off": "answers of whoever answered last that were cut off",
    "incumbent_empty": "answers of whoever answered last that were empty",
    "incumbent_failed": "calls of whoever answered last that failed",
    "share_options_beginning_alike": "share of answer options that begin alike",
}


def number_text(value: float) -> str:
    """Write a number for people: three digits, thousands apart, no exponent where avoidable.

    >>> number_text(1058.3), number_text(0.07961)
    ('1,058', '0.0796')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e12 else f"{value:.3g}"


@cache
def readable_name(column: str) -> str:
    """Return what a feature column is called in front of people."""
    for prefix, group in _FOLDED.items():
        if column.startswith(prefix):
            return group
    if column in _READABLE:
        return _READABLE[column]
    kind, _, rest = column.partition("_")
    words = rest.replace("_", " ")
    starts = {"n": "number of ", "share": "share of ", "mean": "mean ", "task": "task: "}
    return starts[kind] + words if kind in starts else column.replace("_", " ")
