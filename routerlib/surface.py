"""Count what can be seen on the surface of a prompt: length, code, math, structure, language."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence

import numpy as np

# A longer prompt is read at both ends only, so that a pasted book costs milliseconds.
_HEAD_CHARACTERS = 16_000
_TAIL_CHARACTERS = 4_000
_COMPRESSED_CHARACTERS = 2_000
_LONG_WORD = 6
_FEWEST_OPTIONS = 3

# One column each: the number of matches. Every pattern is linear in the length of the text.
_PATTERN_COUNTS: dict[str, re.Pattern[str]] = {
    "n_question_marks": re.compile(r"[?？؟]"),
    "n_exclamation_marks": re.compile(r"[!！]"),
    "n_commas": re.compile(r"[,、，]"),
    "n_colons": re.compile(r"[:：]"),
    "n_quotes": re.compile(r"[\"“”„«»「」]"),
    "n_brackets": re.compile(r"[(\[{]"),
    "n_numbers": re.compile(r"\d[\d.,]*"),
    "n_decimals": re.compile(r"\d\.\d"),
    "n_long_numbers": re.compile(r"\d{4,}"),
    "n_operators": re.compile(r"[-+*/^×÷·](?=\s*[\d(a-zA-Z])"),
    "n_equals": re.compile(r"[=<>≤≥≠≈]"),
    "n_currency": re.compile(r"[$€£¥]\s?\d"),
    "n_fractions": re.compile(r"\d\s?/\s?\d"),
    "n_unknowns": re.compile(r"\b[a-zA-Z](?=\s?[=^+*/])|\d[xyzn]\b"),
    "n_latex": re.compile(r"\\[a-zA-Z(\[]|\$\$"),
    "n_code_fences": re.compile(r"```|~~~"),
    "n_inline_code": re.compile(r"`[^`\n]+`"),
    "n_code_symbols": re.compile(r"[;{}]|->|=>|==|!=|&&|\|\||::"),
    "n_calls": re.compile(r"\w\("),
    "n_identifiers": re.compile(r"[a-z0-9]_[a-z0-9]|[a-z][A-Z]"),
    "n_indented_lines": re.compile(r"\n(?: {2}|\t)"),
    "n_json_keys": re.compile(r"[\"']\w+[\"']\s?:"),
    "n_html_tags": re.compile(r"</?[a-zA-Z][^<>\n]{0,80}>"),
    "n_emails": re.compile(r"\w@[\w-]{1,64}\.\w"),
    "n_urls": re.compile(r"https?://|www\."),
    "n_dates": re.compile(r"\d{4}-\d\d-\d\d|\d[/.]\d{1,2}[/.]\d\d|\d:\d\d"),
    "n_list_items": re.compile(r"^[ \t]{0,8}(?:[-*•]|\d{1,2}[.)])\s", re.MULTILINE),
    "n_options": re.compile(r"(?:^|\s)\(?[A-H][.):](?=\s|$)", re.MULTILINE),
    "n_table_rows": re.compile(r"^[ \t]{0,8}\|[^\n]{0,2000}\|[ \t]*$", re.MULTILINE),
    "n_blanks": re.compile(r"_{3,}|\.{4,}"),
    "n_shots": re.compile(
        r"^(?:[QA]|[Qq]uestion|[Aa]nswer|[Ii]nput|[Oo]utput|[Ee]xample|[Uu]ser|[Aa]ssistant)"
        r"\s?\d{0,3}:",
        re.MULTILINE,
    ),
}

_OF_ONE_CHARACTER = (
    *("n_question_marks", "n_exclamation_marks", "n_commas", "n_colons", "n_quotes"),
    *("n_brackets", "n_equals"),
)
_DIGITS = "0123456789"

# A pattern can only match a text that has a character of each of these: looking for them costs
# less. A digit of any script counts as 0.
_NEEDED: dict[str, tuple[frozenset[str], ...]] = {
    name: tuple(map(frozenset, needed))
    for name, needed in {
        "n_numbers": (_DIGITS,),
        "n_decimals": (_DIGITS, "."),
        "n_long_numbers": (_DIGITS,),
        "n_operators": ("-+*/^×÷·",),
        "n_currency": (_DIGITS, "$€£¥"),
        "n_fractions": (_DIGITS, "/"),
        "n_unknowns": ("=^+*/" + _DIGITS,),
        "n_latex": ("\\$",),
        "n_code_fences": ("`~",),
        "n_inline_code": ("`",),
        "n_code_symbols": (";{}>=&|:",),
        "n_calls": ("(",),
        "n_identifiers": ("_ABCDEFGHIJKLMNOPQRSTUVWXYZ",),
        "n_indented_lines": ("\n", " \t"),
        "n_json_keys": ("\"'", ":"),
        "n_html_tags": ("<", ">"),
        "n_emails": ("@", "."),
        "n_urls": (":.", "/w"),
        "n_dates": (_DIGITS, "-/.:"),
        "n_list_items": ("-*•" + _DIGITS,),
        "n_options": ("ABCDEFGH", ".):"),
        "n_table_rows": ("|",),
        "n_blanks": ("_.",),
        "n_shots": (":",),
    }.items()
}

# One column each: the number of words, in lower case, that stand in the list.
_WORD_COUNTS: dict[str, str] = {
    "n_math_words": """sum product multiply divide divided divides divisor multiple equation solve
        fraction prime factor factors integral derivative matrix probability triangle angle
        remainder average total many much calculate compute percent difference""",
    "n_code_keywords": """def class return import function const var elif lambda static void print
        printf println struct async await null none true false select from where join""",
    "n_code_words": """python javascript typescript java rust golang html css bash regex code script
        function method compile debug bug api algorithm sql program""",
    "n_question_words": """what who whom whose when where why how which was wer wann warum wie
        welche welcher welches quel quelle qui pourquoi comment qué quién cuándo dónde cómo
        cuál""",
    "n_imperatives": """write explain list give find describe summarize summarise translate classify
        extract convert create generate compare answer solve calculate compute name repeat return
        rewrite complete choose identify determine evaluate reply respond show prove sort schreibe
        nenne erkläre übersetze écris donne traduis escribe explica traduce""",
    "n_negations": "not no never none cannot without except nicht kein keine pas sin",
    "n_comparatives": """more less fewer most least than larger smaller greater older taller best
        worst""",
    "n_logic_words": """if then all some every therefore because suppose assume conclude either
        implies step steps reason reasoning let""",
    "n_format_words": """json yaml csv table bullet bullets only exactly briefly uppercase lowercase
        format markdown word sentence""",
    "n_passage_words": """passage context text article paragraph document sentence story
        following""",
}

# Share of all words that stand in the list: the language, roughly.
_WORD_SHARES: dict[str, str] = {
    "share_english": "the of and to in is that it for are with as",
    "share_german": "der die das und ist ein eine nicht mit von den für",
    "share_french": "le la les des est une dans pour que du et",
    "share_spanish": "el los las una por con para que y es del",
}

# Share of all characters.
_SHARES: dict[str, re.Pattern[str]] = {
    "share_upper": re.compile(r"[A-ZÀ-ÖØ-Þ]"),
    "share_digits": re.compile(r"\d"),
    "share_spaces": re.compile(r"\s"),
    "share_punctuation": re.compile(r"[^\w\s]"),
}

# Share of all characters, looked for only in a text that isn't plain ASCII.
_FOREIGN_SHARES: dict[str, re.Pattern[str]] = {
    "share_accented": re.compile(r"[À-ɏ]"),
    "share_han": re.compile(r"[㐀-鿿豈-﫿]"),
    "share_kana": re.compile(r"[぀-ヿ]"),
    "share_hangul": re.compile(r"[가-힣]"),
    "share_cyrillic": re.compile(r"[Ѐ-ӿ]"),
    "share_arabic": re.compile(r"[؀-ۿ]"),
    "share_thai": re.compile(r"[฀-๿]"),
    "share_devanagari": re.compile(r"[ऀ-ॿ]"),
}

# Also looked for in such texts only: words of scripts that have no spaces between words.
_FOREIGN_COUNTS: dict[str, re.Pattern[str]] = {
    "n_foreign_math_words": re.compile(r"計算|计算|いくつ|多少|方程|合計|คำนวณ|เท่าไร|계산|몇"),
    "n_foreign_code_words": re.compile(
        r"代码|代碼|程序|コード|関数|函数|プログラム|โค้ด|โปรแกรม|코드|함수"
    ),
}

# Characters that no word of a plain text holds become spaces, letters become small.
_PLAIN_WORDS = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() else ord(" ") for code in range(128)
).ljust(256)
_WORD = re.compile(r"[^\W_㐀-鿿豈-﫿぀-ヿ฀-๿]+")
_SPACELESS = re.compile(r"[㐀-鿿豈-﫿぀-ヿ]|[฀-๿]{1,4}")
_PLAIN_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_SENTENCE_END = re.compile(r"[.!?؟।](?=\s|$)|[。！？]")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")

_SHAPE_NAMES = (
    "n_characters",
    "n_words",
    "n_lines",
    "n_sentences",
    "n_paragraphs",
    "mean_word_length",
    "mean_sentence_words",
    "max_line_characters",
    "share_unique_words",
    "is_ending_with_question",
    "is_beginning_with_imperative",
    "compressibility",
    "share_long_words",
    "readability",
    "is_multiple_choice",
)

SURFACE_NAMES: tuple[str, ...] = (
    *_SHAPE_NAMES,
    *_PATTERN_COUNTS,
    *_SHARES,
    *_FOREIGN_SHARES,
    *_FOREIGN_COUNTS,
    *_WORD_COUNTS,
    *_WORD_SHARES,
)

_LISTS = (*_WORD_COUNTS.values(), *_WORD_SHARES.values())
_COLUMNS_OF_WORD: dict[str, list[int]] = {
    word: [column for column, listed in enumerate(_LISTS) if word in listed.split()]
    for listed in _LISTS
    for word in listed.split()
}
# Patterns of one character each. In a plain text they are counted all at once: how often each
# character stands there, times which patterns it matches.
_CHARACTERS: dict[str, re.Pattern[str]] = {
    **{name: _PATTERN_COUNTS[name] for name in _OF_ONE_CHARACTER},
    **_SHARES,
}
_MATCHES = np.array(
    [
        [float(pattern.match(chr(code)) is not None) for pattern in _CHARACTERS.values()]
        for code in range(128)
    ]
)
_OPTIONS_AT = list(_PATTERN_COUNTS).index("n_options")
_IMPERATIVES = frozenset(_WORD_COUNTS["n_imperatives"].split())


def surface_features(texts: Sequence[str]) -> np.ndarray:
    """Describe each text by counts and shares that a reader could check by hand.

    Words of scripts without spaces are counted one a character (Chinese, Japanese) or
    one for four characters (Thai); full-width letters, digits and signs count as the plain ones.
    A text over 20,000 characters is read at both ends only; its length is still the true one.
    *readability* is LIX, words a sentence + percentage of words over six letters: it needs no
    dictionary of any language (C.-H. Björnsson, Läsbarhet, 1968).

    Parameters
    ----------
    texts : sequence of str
        Prompts; empty ones give zeros.

    Returns
    -------
    ndarray of shape (n_texts, n_surface_features)
        Counts at least 0 and shares in [0, 1], in the order of `SURFACE_NAMES`.

    Examples
    --------
    >>> row = dict(zip(SURFACE_NAMES, surface_features(["What is 17 * 23?"])[0], strict=True))
    >>> row["n_numbers"], row["n_operators"], row["n_question_marks"]
    (np.float64(2.0), np.float64(1.0), np.float64(1.0))
    """
    rows = [_describe(text) for text in texts]
    return np.array(rows, dtype=float).reshape(len(rows), len(SURFACE_NAMES))


def both_ends(text: str, head: int, tail: int) -> str:
    """Return the text, or its first and last characters when it is longer than both.

    Parameters
    ----------
    text : str
        Any text.
    head, tail : int
        Characters kept at the beginning and at the end.

    Returns
    -------
    str
        At most ``head + tail + 1`` characters.

    Examples
    --------
    >>> both_ends("abcdefgh", 3, 2).splitlines()
    ['abc', 'gh']
    """
    return text if len(text) <= head + tail else f"{text[:head]}\n{text[-tail:]}"


def _describe(text: str) -> list[float]:
    seen = both_ends(text, _HEAD_CHARACTERS, _TAIL_CHARACTERS)
    if not seen:
        return [0.0] * len(SURFACE_NAMES)
    is_plain = seen.isascii()
    if not is_plain:
        seen = unicodedata.normalize("NFKC", seen)
        is_plain = seen.isascii()
    words, n_words = _words(seen, is_plain)
    characters = _character_counts(seen, is_plain)
    counts = _pattern_counts(seen, characters)
    return [
        *_shape(text, seen, words, n_words),
        float(counts[_OPTIONS_AT] >= _FEWEST_OPTIONS),
        *counts,
        *(characters[name] / len(seen) for name in _SHARES),
        *_foreign_shares(seen),
        *_listed_words(words, n_words),
    ]


def _words(seen: str, is_plain: bool) -> tuple[list[str], int]:
    """Return the words in lower case, and how many words there are of any script."""
    if is_plain:
        words = seen.encode().translate(_PLAIN_WORDS).decode().split()
        return words, len(words)
    words = _WORD.findall(seen.lower())
    return words, len(words) + len(_SPACELESS.findall(seen))


def _character_counts(seen: str, is_plain: bool) -> dict[str, float]:
    if not is_plain:
        return {name: float(len(found.findall(seen))) for name, found in _CHARACTERS.items()}
    times = np.bincount(np.frombuffer(seen.encode(), dtype=np.uint8), minlength=128)
    return dict(zip(_CHARACTERS, (times @ _MATCHES).tolist(), strict=True))


def _pattern_counts(seen: str, characters: dict[str, float]) -> list[float]:
    present = set(seen)
    if characters["share_digits"]:
        present.add("0")
    counts = []
    for name, pattern in _PATTERN_COUNTS.items():
        if name in characters:
            counts.append(characters[name])
        elif any(map(present.isdisjoint, _NEEDED[name])):
            counts.append(0.0)
        else:
            counts.append(float(len(pattern.findall(seen))))
    return counts


def _shape(text: str, seen: str, words: list[str], n_words: int) -> list[float]:
    lines = seen.split("\n")
    sentence_end = _PLAIN_SENTENCE_END if seen.isascii() else _SENTENCE_END
    n_sentences = max(len(sentence_end.findall(seen)), 1)
    head = seen[:_COMPRESSED_CHARACTERS].encode("utf-8", "replace")
    share_long = sum(len(word) > _LONG_WORD for word in words) / max(n_words, 1)
    return [
        float(len(text)),
        float(n_words),
        float(len(lines)),
        float(n_sentences),
        float(len(_PARAGRAPH_END.findall(seen)) + 1 if len(lines) > 2 else 1),
        sum(map(len, words)) / max(len(words), 1),
        n_words / n_sentences,
        float(max(map(len, lines))),
        len(set(words)) / max(len(words), 1),
        float(seen.rstrip().endswith(("?", "？", "؟"))),
        float(bool(words) and words[0] in _IMPERATIVES),
        len(zlib.compress(head, 1)) / len(head),
        share_long,
        n_words / n_sentences + 100 * share_long,
    ]


def _foreign_shares(seen: str) -> list[float]:
    if seen.isascii():
        return [0.0] * (len(_FOREIGN_SHARES) + len(_FOREIGN_COUNTS))
    shares = [len(pattern.findall(seen)) / len(seen) for pattern in _FOREIGN_SHARES.values()]
    return [*shares, *(float(len(pattern.findall(seen))) for pattern in _FOREIGN_COUNTS.values())]


def _listed_words(words: list[str], n_words: int) -> list[float]:
    found = [0.0] * len(_LISTS)
    for word in words:
        for column in _COLUMNS_OF_WORD.get(word, ()):
            found[column] += 1
    for column in range(len(_WORD_COUNTS), len(_LISTS)):
        found[column] /= max(n_words, 1)
    return found
