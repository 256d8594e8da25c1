"""Tell by rules what kind of task a prompt is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import NamedTuple

from routerlib.records.brief import both_ends

# Between Latin letters and scripts without spaces there is no word boundary for the rules.
_SCRIPT_CHANGE = re.compile(
    r"(?<=[㐀-鿿぀-ヿ가-힣฀-๿])(?=[a-z0-9])|(?<=[a-z0-9])(?=[㐀-鿿぀-ヿ가-힣฀-๿])"
)
_SPACELESS = re.compile(r"[㐀-鿿぀-ヿ가-힣฀-๿]")
_HEAD_CHARACTERS = 2_000
_TAIL_CHARACTERS = 1_000

_RUN = re.compile(r"\w+")
# The same for a plain text: what stands between words becomes spaces.
_PLAIN_RUNS = bytes(
    code if chr(code).isalnum() or chr(code) == "_" else ord(" ") for code in range(128)
).ljust(256)


class _Phrases(NamedTuple):
    """A pattern, and texts of which one must be there for it to match: they are found faster."""

    needed: tuple[str, ...]
    pattern: re.Pattern[str]


class _Rule(NamedTuple):
    """What tells a task: a whole word, a mark anywhere, or a phrase."""

    task: str
    words: frozenset[str]
    marks: tuple[str, ...]
    phrases: tuple[_Phrases, ...]


def _rule(task: str, words: str, marks: str, phrases: dict[str, tuple[str, ...]]) -> _Rule:
    return _Rule(
        task,
        frozenset(words.split()),
        tuple(marks.split()),
        tuple(
            _Phrases(needed, re.compile(pattern, re.MULTILINE))
            for pattern, needed in phrases.items()
        ),
    )


# Rules read lower case. The first that matches decides, so the more particular ones stand first.
_RULES: tuple[_Rule, ...] = (
    _rule(
        "summarize",
        """summarise summarize summary tldr résume résumer résumez résumé resume resumir resumen
        resuma""",
        "要約 摘要 总结 概括 요약",
        {
            r"\b(?:tl;dr|zusammenfass\w*|fasse\b.{0,60}\bzusammen|riassum\w+)\b": (
                *("tl;dr", "zusammen", "riassum"),
            ),
        },
    ),
    _rule(
        "translate",
        """translate translation traduis traduisez traduire traduce traducir""",
        "翻訳 翻译 訳して 번역",
        {r"\b(?:übersetz|traduz)": ("übersetz", "traduz")},
    ),
    _rule(
        "code",
        "python javascript typescript java golang bash sql html css regex",
        "``` 代码 コード 関数 函数 โค้ด 코드",
        {
            r"\b(?:c\+\+|c#)\b": ("c++", "c#"),
            r"^\s*(?:def|class|import|from|select|function|const|public|#include)\s": (
                *("def", "class", "import", "from", "select", "function", "const", "public"),
                "#include",
            ),
            r"\b(?:write|implement|debug|fix|schreibe?|écris|escribe)\b.{0,60}"
            r"\b(?:code|function|script|program|unit tests?|funktion|fonction|función)\b": (
                *("code", "function", "script", "program", "unit test", "funktion", "fonction"),
                "función",
            ),
            r"\bselect\b.{1,80}\bfrom\b": ("select",),
        },
    ),
    _rule(
        "extract",
        "extract extrais extrayez extrae extraer",
        "抽出 提取 추출",
        {
            r"\b(?:extrahiere|(?:find all|pull out|as json)\b)": (
                *("extrahiere", "find all", "pull out", "as json"),
            ),
            r"\b(?:which|what|return|copy|give)\b.{0,60}"
            r"\b(?:e-?mail address|phone number|field)\b": (
                *("mail address", "phone number", "field"),
            ),
        },
    ),
    _rule(
        "classify",
        "categorise categorize label sentiment",
        "分類 分类 분류",
        {
            r"\b(?:classif\w+|klassifizier\w*|clasifica\w*|positive or negative"
            r"|which (?:category|language)|is (?:this|the).{0,60}\bspam)\b": (
                *("classif", "klassifizier", "clasifica", "positive or negative"),
                *("which category", "which language", "spam"),
            ),
            r"(?:^|\s)\(?a[.):]\s.{1,400}\s\(?b[.):]\s": ("b.", "b)", "b:"),
        },
    ),
    _rule(
        "math",
        """solve compute evaluate simplify equation integral derivative prime divisor multiple lcm
        gcd berechne combien calcule cuántos calcula fraction rechne""",
        r"\frac \sum \int $$ 計算 计算 いくつ 多少 계산 คำนวณ เท่าไร",
        {
            r"\d\s*[-+*/×÷^]\s*\(?-?\d": tuple("-+*/×÷^"),
            r"\b(?:calculat\w+|how many|how much|percent\w*|product of|sum of|wie viele?"
            r"|times \d|plus \d|minus \d)\b": (
                *("calculat", "how m", "percent", "product of", "sum of", "wie viel"),
                *("times ", "plus ", "minus "),
            ),
        },
    ),
    _rule(
        "reasoning",
        """reason reasoning prove proof deduce infer logic puzzle riddle therefore suppose conclude
        warum pourquoi beweis beweise""",
        "なぜ 为什么 推理 証明 왜",
        {
            r"\b(?:step[- ]by[- ]step|think carefully|assume that|if all|why does|why do"
            r"|por qué|explain why|begründe\w*)\b": (
                *("step-by", "step by", "think carefully", "assume that", "if all", "why do"),
                *("por qué", "explain why", "begründe"),
            ),
        },
    ),
    _rule(
        "chat",
        "recommend",
        "",
        {
            r"^\W*(?:hi|hello|hey|thanks?|thank you|good (?:morning|evening|night)|how are you"
            r"|hallo|guten|danke|bonjour|salut|merci|hola|gracias|ciao"
            r"|こんにちは|你好|안녕)(?!\w)": (
                *("hi", "hello", "hey", "thank", "good ", "how are", "hallo", "guten", "danke"),
                *("bonjour", "salut", "merci", "hola", "gracias", "ciao", "こんにちは", "你好"),
                "안녕",
            ),
            r"\b(?:tell me (?:a|about)|what do you think|chat with|your opinion)\b": (
                *("tell me a", "what do you think", "chat with", "your opinion"),
            ),
        },
    ),
)


class _Check(NamedTuple):
    """One way for a plain text to have a task: a word of a rule, a mark, or a phrase."""

    task: str
    words: frozenset[str]
    needed: tuple[str, ...]
    pattern: re.Pattern[str] | None


def _checks() -> Iterator[_Check]:
    """Yield what of the rules can match a text in ASCII, in the order in which they decide."""
    nothing = frozenset[str]()
    for rule in _RULES:
        yield _Check(rule.task, rule.words, (), None)
        for mark in filter(str.isascii, rule.marks):
            yield _Check(rule.task, nothing, (mark,), None)
        for phrases in rule.phrases:
            needed = tuple(filter(str.isascii, phrases.needed))
            yield _Check(rule.task, nothing, needed, phrases.pattern)


_CHECKS = tuple(_checks())
# Letters by which a word of the text shows what is needed: part of it, fewer than three all of it.
_LETTERS = re.compile(r"[a-z]+")
_STEMS = [
    {max(_LETTERS.findall(text), key=len, default="") for text in check.needed} for check in _CHECKS
]
# Checks, a bit each, that words don't rule out.
_ALWAYS = sum(1 << at for at, stems in enumerate(_STEMS) if "" in stems)
_ANY_STEM = re.compile("|".join(sorted(stem for stem in set().union(*_STEMS) if len(stem) > 2)))
_WHOLE = frozenset[str]().union(*_STEMS, *(check.words for check in _CHECKS))
_LONGEST_REMEMBERED, _MOST_REMEMBERED = 24, 32_768


class _Reasons(dict[str, int]):
    """The checks that each word gives a reason for, a bit each, found out when first asked for."""

    def __missing__(self, word: str) -> int:
        reasons = 0
        if word in _WHOLE or _ANY_STEM.search(word):
            for at, (check, stems) in enumerate(zip(_CHECKS, _STEMS, strict=True)):
                is_held = any(len(stem) > 2 and stem in word for stem in stems)
                reasons |= (is_held or word in stems or word in check.words) << at
        if len(word) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[word] = reasons
        return reasons


_REASONS = _Reasons()


def detect_task(text: str) -> str:
    """Guess the kind of task from the wording, in English and a few other languages."""
    seen = _seen(text)
    return _task_of_plain(seen) if seen.isascii() else _task(seen)


def _seen(text: str) -> str:
    """Return what of a text the rules read."""
    seen = both_ends(text, _HEAD_CHARACTERS, _TAIL_CHARACTERS).lower()
    if seen.isascii():
        return seen
    seen = unicodedata.normalize("NFKC", seen)
    return _SCRIPT_CHANGE.sub(" ", seen) if _SPACELESS.search(seen) else seen


def _task(seen: str) -> str:
    """Return what the rules say of a text in any script."""
    words = set(_RUN.findall(seen))
    for rule in _RULES:
        if _matches(rule, seen, words):
            return rule.task
    return "other"


def _task_of_plain(seen: str) -> str:
    """Return what the rules say of a text in ASCII: its words tell which checks to make."""
    words = seen.encode().translate(_PLAIN_RUNS).decode().split()
    reasons = reduce(or_, set(map(_REASONS.__getitem__, words)), _ALWAYS)
    while reasons:
        check = _CHECKS[(reasons & -reasons).bit_length() - 1]
        if _passes(check, seen):
            return check.task
        reasons &= reasons - 1
    return "other"


def _passes(check: _Check, seen: str) -> bool:
    """Tell whether a text passes a check that one of its words gives a reason for."""
    if check.words:
        return True
    for text in check.needed:  # a loop, as a generator would cost more than what it looks for
        if text in seen:
            return check.pattern is None or check.pattern.search(seen) is not None
    return False


def _matches(rule: _Rule, seen: str, words: set[str]) -> bool:
    if not rule.words.isdisjoint(words):
        return True
    for mark in rule.marks:  # loops, as a generator would cost more than what it looks for
        if mark in seen:
            return True
    for phrases in rule.phrases:
        for text in phrases.needed:
            if text in seen:
                if phrases.pattern.search(seen) is not None:
                    return True
                break
    return False
