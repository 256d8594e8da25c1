r"""Bring the spellings of numbers in LaTeX, Markdown and Unicode into one plain spelling.

What comes out has digits 0 to 9, ``-`` for minus, ``.`` and ``,`` as they stood, ``a/b`` for a
fraction, ``x^n`` for a raised digit, and a narrow no-break space where a space joined digits.
"""

from __future__ import annotations

import re
import unicodedata

THIN = "\u202f"

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_SAME = {
    "-": "−﹣－‐‑➖",
    "–": "‒",  # between numbers it makes a range
    "+": "＋﹢➕",
    "/": "⁄∕／",
    "%": "％﹪٪",
    ".": "٫．",
    ",": "，",
    "'": "’ʼ‘٬＇",
    "=": "＝",
    "(": "（",
    ")": "）",
    ":": "：∶",
    "×": "✕✖⨯·⋅∙•",
    "µ": "μ",
    "≈": "≅≃∼",
    " ": "—―",  # a dash of a sentence, never a minus
    "≤": "⩽≦",
    "≥": "⩾≧",
    THIN: "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u205f\u3000",
}
_CHARACTERS = str.maketrans({old: new for new, olds in _SAME.items() for old in olds})
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉"
_LEVEL = str.maketrans(_RAISED + _LOWERED, "0123456789+-0123456789")
_VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞↉"

_BEFORE_FRACTION = re.compile(rf"(?<=\d)(?=[{_VULGAR}]|[{_RAISED}]+[/⁄][{_LOWERED}])")
_SMALL_FRACTION = re.compile(rf"[{_RAISED}]+[/⁄][{_LOWERED}]+")
_PRICE = "﹩"  # stands for an escaped dollar while those of formulas are taken off
# In the order in which they are read: an earlier one may make what a later one looks for.
_LATEX: tuple[tuple[str, str], ...] = (
    (r"\\!", ""),
    (r"(?<=\d)(?:\{?\\[,;:]\}?|\\thinspace\b|\\ |~|\\space\b)\s*(?=\d)", THIN),
    (r"(?<=\d)\{\s*([.,])\s*\}(?=\d)", r"\1"),
    (r"\\[,;:> ]|\\q?quad\b|\\(?:thin)?space\b|(?<!~)~(?!~)|\\\\$", " "),
    (r"\\(?:left|right|[Bb]ig[lr]?|(?:display|text)style|[Ll]arge|[Hh]uge|bf)(?![a-zA-Z])", ""),
    (r"\\(?:begin|end)\{(?:equation|align|gather)\*?\}|\\[()\[\]]|^\s*\\[\[\]]\s*$", " "),
    (r"\\(?:text\w*|math(?:rm|bf|it)|operatorname|mbox|rm)\s*\{([^{}]*)\}", r" \1 "),
    (r"\\(?:times|cdot|ast)(?![a-zA-Z])", "×"),
    (r"\\(?:approx|simeq|sim|cong)(?![a-zA-Z])", "≈"),
    (r"\\(?:to|rightarrow|Rightarrow|implies|therefore)(?![a-zA-Z])", "→"),
    (r"\\leq?(?:slant)?(?![a-zA-Z])", "≤"),
    (r"\\geq?(?:slant)?(?![a-zA-Z])", "≥"),
    (r"\\lt(?![a-zA-Z])", "<"),
    (r"\\gt(?![a-zA-Z])", ">"),
    (r"\\neq?(?![a-zA-Z])", "≠"),
    (r"\\pm(?![a-zA-Z])", "±"),
    (r"\\infty(?![a-zA-Z])", "∞"),
    (r"\\mu(?![a-zA-Z])", "µ"),
    (r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])", "°"),
    (r"\\(?:euro|texteuro)(?![a-zA-Z])(?:\{\})?", "€"),
    (r"\\(?:pounds|textsterling)(?![a-zA-Z])(?:\{\})?", "£"),
    (r"\^\s*\{\s*([-+]?\s*\d+)\s*\}|\^\s*\(\s*([-+]?\s*\d+)\s*\)", r"^\1\2"),
    (r"\\([%&])", r"\1"),
    (r"(?<=[\d.,])\\(?:overline|bar|dot)\s*\{?(\d+)\}?", r"(\1)"),
)
_MATH = (
    re.compile(r"\$\$(.+?)\$\$"),
    # A dollar that opens a formula has no space after it, one that closes none before it.
    re.compile(r"(?<![\\\w$])\$(?=[^\s$])([^$]*?[^\s\\$]|[^\s$])\$(?![\d$])"),
)
_FRACTION = re.compile(
    r"\\(?:[dtc]?frac|sfrac|nicefrac)\s*(?:\{\s*([^{}]*?)\s*\}|(\d))\s*(?:\{\s*([^{}]*?)\s*\}|(\d))"
)
_WHOLE = re.compile(rf"\d[\d.,'{THIN} ]*")
_GOES_ON = re.compile(
    r"\s*(?:[\^_!(]|[+*/×÷·]|-\s?[\w\\(]|\\(?:pi|cdot|times|sqrt|frac|pm)(?![a-zA-Z]))"
    r"|[^\W\d_](?![^\W\d_])"
)
_MARKDOWN: tuple[tuple[str, str], ...] = (
    (r"(?<=\d)\s?\*\*\s?(?=[-+]?\d)", "^"),
    (r"~~.*?~~", " "),
    (r"\*\*|__|`", ""),
    (r"(?<![\w)*])\*(?=[^\s*])([^*]*?[^\s*]|[^\s*])\*(?![\w(*])", r"\1"),
    (r"(?<!\w)_(?=[^\s_])([^_]*?)_(?!\w)", r"\1"),
    (r"^\s*(?:#{1,6}\s+|[*×]\s+)", ""),
    (r"[\"“„«]([^\"“”„«»]*)[\"”“»]|(?<![\w'])'([^']*)'(?!\w)", r"\1\2"),
)
_SIGNS: tuple[tuple[str, str], ...] = (
    (r"!=|=/=", "≠"),
    (r"<=(?!=)", "≤"),
    (r">=", "≥"),
    (r"=+>|[-]+>", "→"),
    (r"~=|=~", "≈"),
    (r":=|={2,}", "="),
    (r"\+\s?/?\s?-(?=\s?\d)", "±"),
)


def plain(text: str) -> str:
    r"""Return a text in plain spelling, on one line.

    >>> plain("$x = -\\frac{3}{4}$"), plain("**2½** km²"), plain("10³"), plain("٤٢")
    ('x = -3/4', '2 1/2 km^2', '10^3', '42')
    """
    text = _INVISIBLE.sub("", text)
    text = _BEFORE_FRACTION.sub(" ", text).replace(r"\$", _PRICE)
    text = _SMALL_FRACTION.sub(lambda small: small[0].translate(_LEVEL), text)
    text = "".join(_character(character) for character in text).translate(_CHARACTERS)
    text = re.sub(rf"[{_RAISED}]+", lambda raised: "^" + raised[0].translate(_LEVEL), text)
    text = _fractions(_rewritten(_without_dollars(text), _LATEX)).replace(_PRICE, "$")
    text = _rewritten(_rewritten(text, _MARKDOWN), _SIGNS)
    return re.sub(r"[ \t\r\n]+", " ", text).strip()


def boxed(text: str) -> list[tuple[int, int, str]]:
    r"""Return start, end and content of each ``\boxed{}`` of a text; braces may be nested.

    >>> boxed("So \\boxed{\\frac{1}{2}}.")
    [(3, 22, '\\frac{1}{2}')]
    """
    found = []
    for match in re.finditer(r"\\(?:boxed|fbox)\s*\{", text):
        depth = 1
        for i in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[i], 0)
            if not depth:
                found.append((match.start(), i + 1, text[match.end() : i]))
                break
    return found


def without_inner_boxes(text: str) -> str:
    r"""Write a box that is but a part of a formula, as in ``\boxed{5}^2``, with brackets."""
    for start, end, content in reversed(boxed(text)):
        if _GOES_ON.match(text, end) or re.search(r"[\w)}]$", text[:start]):
            text = f"{text[:start]}({content}){text[end:]}"
    return text


def _rewritten(text: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, new in rules:
        text = re.sub(pattern, new, text)
    return text


def _character(character: str) -> str:
    """Spell a digit of any script as 0 to 9, a vulgar or raised fraction with digits."""
    if character in _VULGAR:
        return unicodedata.normalize("NFKC", character)
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _without_dollars(text: str) -> str:
    for pattern in _MATH:
        text = pattern.sub(r"\1", text)
    return text


def _fractions(text: str) -> str:
    r"""Write ``\frac{a}{b}`` of two plain amounts as a/b, apart from a digit before it."""

    def written(match: re.Match[str]) -> str:
        top, bottom = match[1] or match[2] or "", match[3] or match[4] or ""
        before = text[: match.start()].rstrip()[-1:]
        sign = top[:1] if top[:1] in "-+" and not before.isdigit() else ""
        if not (_WHOLE.fullmatch(top[len(sign) :].strip()) and _WHOLE.fullmatch(bottom)):
            return match[0]
        return f"{' ' if before.isdigit() else ''}{sign}{top[len(sign) :].strip()}/{bottom}"

    return _FRACTION.sub(written, text)
