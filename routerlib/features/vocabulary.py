"""The marks and words that are looked for on the surface of a prompt."""

from __future__ import annotations

import re

# One column each: the number of matches. Every pattern is linear in the length of the text. Where a
# word begins is asked after its first character: searching for a character is ten times faster.
PATTERN_COUNTS: dict[str, re.Pattern[str]] = {
    "n_question_marks": re.compile(r"[?？؟]"),
    "n_exclamation_marks": re.compile(r"[!！]"),
    "n_commas": re.compile(r"[,、，]"),
    "n_colons": re.compile(r"[:：]"),
    "n_quotes": re.compile(r"[\"“”„«»「」]"),
    "n_brackets": re.compile(r"[(\[{]"),
    "n_percent_signs": re.compile(r"[%％]"),
    "n_numbers": re.compile(r"\d[\d.,]*"),
    "n_decimals": re.compile(r"\d\.\d"),
    "n_long_numbers": re.compile(r"\d\d{3,}"),
    "n_operators": re.compile(r"[-+*/^×÷·](?=\s*[\d(a-zA-Z])"),
    "n_equals": re.compile(r"[=<>≤≥≠≈]"),
    "n_currency": re.compile(r"[$€£¥]\s?\d"),
    "n_fractions": re.compile(r"\d\s?/\s?\d"),
    "n_unknowns": re.compile(
        r"[a-zA-Z\d](?:(?<=\d)[xyzn]\b|(?=\s?[=^+*/])(?<=[a-zA-Z])(?<!\w[a-zA-Z]))"
    ),
    "n_latex": re.compile(r"\\[a-zA-Z(\[]|\$\$"),
    "n_code_fences": re.compile(r"```|~~~"),
    "n_inline_code": re.compile(r"`[^`\n]+`"),
    "n_code_symbols": re.compile(
        r"[-;{}=!&|:](?:(?<=[;{}])|(?<=-)>|(?<==)[>=]|(?<=!)=|(?<=&)&|(?<=\|)\||(?<=:):)"
    ),
    "n_calls": re.compile(r"\w\("),
    "n_identifiers": re.compile(r"[a-z0-9](?:_[a-z0-9]|(?<=[a-z])[A-Z])"),
    "n_indented_lines": re.compile(r"\n(?: {2}|\t)"),
    "n_json_keys": re.compile(r"[\"']\w+[\"']\s?:"),
    "n_html_tags": re.compile(r"</?[a-zA-Z][^<>\n]{0,80}>"),
    "n_emails": re.compile(r"\w@[\w-]{1,64}\.\w"),
    "n_urls": re.compile(r"https?://|www\."),
    "n_dates": re.compile(r"\d(?:\d{3}-\d\d-\d\d|[/.]\d{1,2}[/.]\d\d|:\d\d)"),
    "n_list_items": re.compile(r"^[ \t]{0,8}(?:[-*•]|\d{1,2}[.)])\s", re.MULTILINE),
    "n_options": re.compile(r"(?:^|\s)\(?[A-H][.):](?=\s|$)", re.MULTILINE),
    "n_table_rows": re.compile(r"^[ \t]{0,8}\|[^\n]{0,2000}\|[ \t]*$", re.MULTILINE),
    "n_capital_words": re.compile(r"[A-Z](?<!\w[A-Z])[A-Z]+\b"),
    "n_names": re.compile(r"[A-Z](?<!\w[A-Z])[a-z]+ [A-Z][a-z]+"),
    "n_single_capitals": re.compile(r"[A-Z](?<!\w[A-Z])\b"),
    "n_roman_numerals": re.compile(
        r"[IVX](?<!\w[IVX])(?:(?<=I)(?:II?|V|X)|(?<=V)I{1,3}|(?<=X)II?)\b"
    ),
    "n_years": re.compile(r"[12](?<!\w[12])(?:(?<=1)\d|(?<=2)0)\d\d\b"),
    "n_units": re.compile(
        r"\d\s?(?:[kcm]?m|[km]?g|m?l|L|k?[NJVWA]|[kM]?Hz|h|s|ms|min|mol|hours?|minutes?|seconds?"
        r"|days?|weeks?|months?|years?|dollars|euros?|miles|feet|inches|degrees|percent)\b"
    ),
    "n_blanks": re.compile(r"[_.](?:(?<=_)_{2,}|(?<=\.)\.{3,})"),
    "n_shots": re.compile(
        r"^(?:[QA]|[Qq]uestion|[Aa]nswer|[Ii]nput|[Oo]utput|[Ee]xample|[Uu]ser|[Aa]ssistant)"
        r"\s?\d{0,3}:",
        re.MULTILINE,
    ),
}

OF_ONE_CHARACTER = (
    *("n_question_marks", "n_exclamation_marks", "n_commas", "n_colons", "n_quotes"),
    *("n_brackets", "n_equals", "n_percent_signs"),
)
# A pattern that begins with a common character can only match a text in which its hint, which
# begins with a seldom one, is found: looking for that costs a tenth.
HINTS: dict[str, re.Pattern[str]] = {
    "n_unknowns": re.compile(
        r"[=^+*/\d](?:(?<=\d)[xyzn]|(?<=[a-zA-Z][=^+*/])|(?<=[a-zA-Z]\s[=^+*/]))"
    ),
    "n_identifiers": re.compile(r"[A-Z_](?:(?<=_)|(?<=[a-z][A-Z]))"),
    "n_options": re.compile(r"[.):](?<=[A-H][.):])"),
    "n_calls": re.compile(r"\((?<=\w\()"),
    "n_urls": re.compile(r"[:.](?:(?<=:)//|(?<=www\.))"),
}
_DIGITS = "0123456789"
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# A pattern can only match a text that has a character of each of these: looking for them costs
# less. A digit of any script counts as 0.
NEEDED: dict[str, tuple[frozenset[str], ...]] = {
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
        "n_identifiers": ("_" + _CAPITALS,),
        "n_indented_lines": ("\n", " \t"),
        "n_json_keys": ("\"'", ":"),
        "n_html_tags": ("<", ">"),
        "n_emails": ("@", "."),
        "n_urls": (":.", "/w"),
        "n_dates": (_DIGITS, "-/.:"),
        "n_list_items": ("-*•" + _DIGITS,),
        "n_options": ("ABCDEFGH", ".):"),
        "n_table_rows": ("|",),
        "n_capital_words": (_CAPITALS,),
        "n_names": (_CAPITALS, " "),
        "n_single_capitals": (_CAPITALS,),
        "n_roman_numerals": ("IVX",),
        "n_years": (_DIGITS,),
        "n_units": (_DIGITS,),
        "n_blanks": ("_.",),
        "n_shots": (":",),
    }.items()
}

# One column each: the number of words, in lower case, that stand in the list.
WORD_COUNTS: dict[str, str] = {
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
    "n_truth_words": """true false correct incorrect right wrong valid invalid wahr falsch richtig
        vrai faux verdadero falso""",
    "n_quantifiers": """all none both neither each any every some alle keine beide tous aucun todos
        ninguno""",
    "n_person_words": """he she his her him hers man woman boy girl people person patient client
        customer student teacher er sie il elle él ella""",
    "n_first_person": "i me my mine we us our ich mich mein wir je moi mon nous yo mi nosotros",
    "n_definition_words": """called known term terms defined definition meaning means refers refer
        according""",
    "n_conditionals": """if unless would should could might may wenn würde sollte könnte si
        devrait""",
    "n_pointers": "this these that those such above below here there",
    "n_passage_words": """passage context text article paragraph document sentence story
        following""",
}

# Share of all words that stand in the list: the language, roughly.
WORD_SHARES: dict[str, str] = {
    "share_function_words": """the a an of and to in is that it for are with as on by at from be was
        were or which this these those its has have had but not if than then so such can may will
        would their his her he she they you your i we our who what when where how der die das und
        ist le la les et est el los y es""",
    "share_english": "the of and to in is that it for are with as",
    "share_german": "der die das und ist ein eine nicht mit von den für",
    "share_french": "le la les des est une dans pour que du et",
    "share_spanish": "el los las una por con para que y es del",
}

WORD_LISTS = (*WORD_COUNTS.values(), *WORD_SHARES.values())
# In which of the lists each word stands.
COLUMNS_OF_WORD: dict[str, list[int]] = {
    word: [column for column, listed in enumerate(WORD_LISTS) if word in listed.split()]
    for listed in WORD_LISTS
    for word in listed.split()
}

# Share of all characters.
SHARES: dict[str, re.Pattern[str]] = {
    "share_upper": re.compile(r"[A-ZÀ-ÖØ-Þ]"),
    "share_digits": re.compile(r"\d"),
    "share_spaces": re.compile(r"\s"),
    "share_punctuation": re.compile(r"[^\w\s]"),
}

# Share of all characters, looked for only in a text that isn't plain ASCII.
FOREIGN_SHARES: dict[str, re.Pattern[str]] = {
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
FOREIGN_COUNTS: dict[str, re.Pattern[str]] = {
    "n_foreign_math_words": re.compile(r"計算|计算|いくつ|多少|方程|合計|คำนวณ|เท่าไร|계산|몇"),
    "n_foreign_code_words": re.compile(
        r"代码|代碼|程序|コード|関数|函数|プログラム|โค้ด|โปรแกรม|코드|함수"
    ),
}
