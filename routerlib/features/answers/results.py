"""Find the result that an answer gives, in a form in which two answers can be compared."""

from __future__ import annotations

import re

from routerlib.records.brief import both_ends

# A result is short; of a long answer only the end can hold it.
_LAST_CHARACTERS = 4_000
_LONGEST_RESULT = 200
_FIELD = re.compile(
    r'"(?:final[_ ]?)?answer"\s*:\s*(?:"((?:[^"\\\n]|\\.){0,400})"|([^,}\n]{1,200}))'
)
_BOXED = re.compile(r"\\boxed\s*\{([^{}]{0,100}(?:\{[^{}]{0,100}\}[^{}]{0,100}){0,4})\}")
_MARK = re.compile(
    r"(?:\b(?:answer|antwort|réponse|respuesta|risposta|resposta|antwoord|result)\b"
    r"[*_` ]*(?:[:=：]|is\b|ist\b|est\b|es\b)|答案[是为：: ]+|####)[*_` ]*([^\n]{1,200})",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-−]?\$?\d[\d,]*(?:\.\d+)?")
_DECORATION = re.compile(r"[\s*_`$\"'“”„‘’«»\\{}]|\\(?:text|left|right|mathrm|,|;|!)")
_ALONE = re.compile(r"[-+]?\d+(?:\.\d+)?%?")


def result_of(answer: str) -> str:
    r"""Return the result that an answer gives, in bare form; empty where it gives none.

    The last ``"answer"`` field, ``\boxed{}`` or line marked as the answer counts; without one, the
    last line, if it is short.

    >>> result_of('{"reasoning": "2 + 2 = 4", "answer": "4"}'), result_of("So it is **Paris**.")
    ('4', 'soitisparis')
    >>> result_of(r"Hence $x=\boxed{1,204.50}$"), result_of("The answer is 7.")
    ('1204.5', '7')
    """
    end = answer[-_LAST_CHARACTERS:]
    found = _last(_FIELD, end) or _last(_BOXED, end) or _last(_MARK, end)
    if not found:
        lines = [line for line in end.splitlines() if line.strip("`*_ \t}")]
        found = lines[-1] if lines and len(lines[-1]) <= _LONGEST_RESULT else ""
    return bare(found)


def bare(text: str) -> str:
    """Reduce a result to what tells it from another one.

    >>> bare(" $1,200.0 "), bare("(C) Rome."), bare("[1,  2]")
    ('1200', '(c)rome', '[1,2]')
    """
    short = both_ends(text, _LONGEST_RESULT, 0)
    plain = _DECORATION.sub("", short).casefold().rstrip(".,;:!").replace("−", "-")
    joined = plain.replace(",", "")
    if _ALONE.fullmatch(joined):
        return f"{float(joined.rstrip('%')):g}" if len(joined) < 16 else joined
    return plain


def number_in(result: str) -> float:
    """Return the only number of a bare result; NaN where there is none, or several.

    >>> number_in("$18"), number_in("18dollars"), number_in("1or2")
    (18.0, 18.0, nan)
    """
    found = _NUMBER.findall(result)
    if len(found) != 1:
        return float("nan")
    digits = found[0].replace(",", "").replace("$", "").replace("−", "-")
    return float(digits) if len(digits) < 16 else float("nan")


def _last(pattern: re.Pattern[str], text: str) -> str:
    last = ""
    for found in pattern.finditer(text):
        groups = [group for group in found.groups() if group and group.strip(" .*_`")]
        last = groups[0] if groups else last
    return last
