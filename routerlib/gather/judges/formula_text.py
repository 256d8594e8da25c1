r"""Find the formula in a text and spell it as math-verify reads it without a slip."""

from __future__ import annotations

import re

from routerlib.gather.judges.spelling import boxed, plain
from routerlib.gather.judges.units import Unit, unit_at

_LONGEST = 300
_FORMULA_WORDS = r"sqrt|sin|cos|tan|log|exp|inf"
_WORD = re.compile(
    rf"(?<![^\W\d_])(?<!\\)(?!(?:{_FORMULA_WORDS})\b)(?:[^\W\d_]{{3,}}(?![\w^({{])|(?:is|be|so|of|it|we|as|es)\b)"
)
_DELIMITER = re.compile(r"\$|\\\(|\\\[|\\boxed")
_SEGMENT = re.compile(r"\$\$?([^$]+?)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_UNIT = re.compile(
    r"(?:[\s~]|\\[,;: ])*(?:(\\(?:text\w*|mathrm|mbox)\s*\{[^{}]*\}(?:\^\{?[23]\}?)?)"
    r"|((?:(?<=[\s~])[^\W\d_]{2,}|(?<=\$\s)[^\W\d_])(?:\^\{?[23]\}?)?))[\s.]*(\$?)$"
)
_COMMAND = re.compile(r"\\(?:begin|end|text\w*|mbox|mathrm|operatorname)\s*\{[^{}]*\}")
_NAME = re.compile(r"\s*[^\W\d_]\w*(?:\([^\W\d_]\))?\s*")

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5",
    "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_BY_VULGAR = re.compile("[" + "".join(_VULGAR) + "]")
# What math-verify reads as less than it is, or as something else, in the order of rewriting.
_MISREAD: tuple[tuple[str, str], ...] = (
    (r"(?<=\d)(?:\\[,;:! ]|~|\{,\})(?=\d{3}(?!\d))", ""),
    (r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]\+?(-?\d{1,3})(?![\w.])", r"(\1 \\cdot 10^{\2})"),
    (r"\s*\*\*\s*(-?\d+|[^\W\d_])", r"^{\1}"),
    (r"√\s*\(([^()]*)\)|√\s*(\d+|[^\W\d_])", r"\\sqrt{\1\2}"),
    (r"[·⋅∙]", r" \\cdot "),
    (
        r"(?<![\w.,}^/])(\d+)\s*\\[dt]?frac\{(\d+)\}\{(\d+)\}",
        r"(\1 + \\frac{\2}{\3})",
    ),
    (r"(?<![\w.,}^/])(\d+)\s+(\d+)/(\d+)(?![\d.])", r"(\1 + \\frac{\2}{\3})"),
)


def is_prose(text: str) -> bool:
    """Tell whether a text is words without a digit and without a formula."""
    has_formula = bool(re.search(r"\d", text) or _DELIMITER.search(text))
    return bool(_WORD.search(text)) and not has_formula


def last_formula(response: str) -> str:
    """Return the last formula between delimiters, an empty text where there is none."""
    return ([match[0] for match in _SEGMENT.finditer(response)] or [""])[-1]


def as_formula(text: str) -> str:
    """Mark a text as LaTeX where it is nothing but a formula; an empty text for a sentence."""
    text = text.strip()
    if _DELIMITER.search(text):
        return _without_misread(text)
    is_formula = len(text) <= _LONGEST and not _WORD.search(_blanked(text))
    return f"${_without_misread(text)}$" if is_formula else ""


def without_unit(formula: str) -> tuple[str, Unit | None]:
    """Take the unit off the end of a formula that is more than a unit; None = no known one."""
    match = _UNIT.search(formula)
    if match is None or not re.search(r"\w", formula[: match.start()]):
        return formula, None
    name = plain(match[1] or match[2])
    unit, end = unit_at(name, 0)
    if unit is None or end < len(name):
        unit = None
        if match[2]:  # letters that are no unit are variables
            return formula, None
    return formula[: match.start()] + match[3], unit


def formula_in(line: str) -> str:
    """Return the value of the last box or formula of a line, else what stands behind its words.

    Of an equation it is the right side, of one that is not solved, as 2x = 5, an empty text.
    """
    boxes = [content for _, _, content in boxed(line)]
    segments = [next(filter(None, match.groups())) for match in _SEGMENT.finditer(line)]
    words = list(_WORD.finditer(_blanked(line)))
    rest = line[words[-1].end() :] if words else line
    *lefts, part = (boxes or segments or [rest])[-1].split("=")
    part = part.strip(" .,;:?*`$")
    is_solved = all(_NAME.fullmatch(left) or not _letters(left) for left in lefts)
    is_formula = is_solved and len(part) <= _LONGEST and re.search(r"\w", _blanked(part))
    return f"${_without_misread(part)}$" if is_formula else ""


def _blanked(text: str) -> str:
    """Replace the words of LaTeX commands and of texts inside a formula by as many spaces."""
    return _COMMAND.sub(lambda match: " " * len(match[0]), text)


def _letters(text: str) -> str:
    return "".join(re.findall(r"[^\W\d_]", re.sub(r"\\[a-zA-Z]+", "", text)))


def _without_misread(formula: str) -> str:
    r"""Spell what math-verify misreads so that it doesn't: 10\,000, 1e3, 5², ½ and 1 1/2."""
    formula = _BY_VULGAR.sub(_written, formula)
    formula = re.sub(r"[⁰¹²³⁴-⁹⁺⁻]+", lambda run: f"^{{{run[0].translate(_RAISED)}}}", formula)
    for pattern, new in _MISREAD:
        formula = re.sub(pattern, new, formula)
    return formula


def _written(vulgar: re.Match[str]) -> str:
    top, bottom = _VULGAR[vulgar[0]].split("/")
    return rf"\frac{{{top}}}{{{bottom}}}"
