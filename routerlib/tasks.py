"""Tell by rules what kind of task a prompt is."""

from __future__ import annotations

import re
import unicodedata

from routerlib.surface import both_ends

# Between Latin letters and scripts without spaces there is no word boundary for the rules.
_SCRIPT_CHANGE = re.compile(
    r"(?<=[㐀-鿿぀-ヿ가-힣฀-๿])(?=[a-z0-9])|(?<=[a-z0-9])(?=[㐀-鿿぀-ヿ가-힣฀-๿])"
)
_HEAD_CHARACTERS = 2_000
_TAIL_CHARACTERS = 1_000

# Rules read lower case. The first that matches decides, so the more particular ones stand first.
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (task, re.compile(pattern, re.MULTILINE))
    for task, pattern in (
        (
            "summarize",
            r"\b(?:summari[sz]e|summary|tl;?dr|zusammenfass\w*|fasse\b.{0,60}\bzusammen|résume[rz]?"
            r"|résumé|resum(?:e|ir|en|a)|riassum\w+)\b|要約|摘要|总结|概括|요약",
        ),
        (
            "translate",
            r"\b(?:translat(?:e|ion)|übersetz\w*|tradu(?:is|isez|ire|ce|cir|zca?)|traduz\w*)\b"
            r"|翻訳|翻译|訳して|번역",
        ),
        (
            "code",
            r"```|\b(?:python|javascript|typescript|java|c\+\+|c#|golang|bash|sql|html|css|regex)\b"
            r"|^\s*(?:def|class|import|from|select|function|const|public|#include)\s"
            r"|\b(?:write|implement|debug|fix|schreibe?|écris|escribe)\b.{0,60}"
            r"\b(?:code|function|script|program|unit tests?|funktion|fonction|función)\b"
            r"|\bselect\b.{1,80}\bfrom\b|代码|コード|関数|函数|โค้ด|코드",
        ),
        (
            "extract",
            r"\b(?:extract|extrahiere\w*|extra(?:is|yez|e|er)|find all|pull out)\b|抽出|提取|추출"
            r"|\b(?:which|what|return|copy|give)\b.{0,60}\b(?:e-?mail address|phone number|field)\b"
            r"|\bas json\b",
        ),
        (
            "classify",
            r"\b(?:classif\w+|categori[sz]e|label|sentiment|klassifizier\w*|clasifica\w*"
            r"|positive or negative|which (?:category|language)|is (?:this|the).{0,60}\bspam)\b"
            r"|分類|分类|분류|(?:^|\s)\(?a[.):]\s.{1,400}\s\(?b[.):]\s",
        ),
        (
            "math",
            r"\d\s*[-+*/×÷^]\s*\(?-?\d|\\frac|\\sum|\\int|\$\$|\b(?:solve|calculat\w+|compute"
            r"|evaluate"
            r"|simplify|equation|integral|derivative|prime|divisor|multiple|lcm|gcd|how many"
            r"|how much|percent\w*|product of|sum of|berechne|wie viele?|combien|calcule|cuántos"
            r"|calcula|fraction|rechne|times \d|plus \d|minus \d)\b"
            r"|計算|计算|いくつ|多少|계산|คำนวณ|เท่าไร",
        ),
        (
            "reasoning",
            r"\b(?:step[- ]by[- ]step|think carefully|reason(?:ing)?|prove|proof|deduce|infer|logic"
            r"|puzzle|riddle|therefore|suppose|assume that|if all|conclude|why does|why do|warum"
            r"|pourquoi|por qué|explain why|begründe\w*|beweise?)\b|なぜ|为什么|推理|証明|왜",
        ),
        (
            "chat",
            r"^\W*(?:hi|hello|hey|thanks?|thank you|good (?:morning|evening|night)|how are you"
            r"|hallo|guten|danke|bonjour|salut|merci|hola|gracias|ciao|こんにちは|你好|안녕)(?!\w)"
            r"|\b(?:tell me (?:a|about)|what do you think|recommend|chat with|your opinion)\b",
        ),
    )
)


def detect_task(text: str) -> str:
    """Guess the kind of task from the wording, in English and a few other languages.

    Parameters
    ----------
    text : str
        A prompt. Of a long one the first 2,000 and the last 1,000 characters are read.

    Returns
    -------
    str
        One of `routerlib.types.TASKS`; ``other`` when no rule matches.

    Examples
    --------
    >>> detect_task("Summarise the following report in one sentence: ...")
    'summarize'
    >>> detect_task("What is 17 * 23?"), detect_task("Hi there!"), detect_task("")
    ('math', 'chat', 'other')
    """
    seen = both_ends(text, _HEAD_CHARACTERS, _TAIL_CHARACTERS).lower()
    if not seen.isascii():
        seen = _SCRIPT_CHANGE.sub(" ", unicodedata.normalize("NFKC", seen))
    for task, pattern in _RULES:
        if pattern.search(seen):
            return task
    return "other"
