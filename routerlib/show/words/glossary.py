"""Explain words of a page where they stand: at a touch, under the pointer, and in print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from routerlib.show.words.numbers import unbroken

TERMS: Mapping[str, str] = {
    "points": "Hundredths of quality: 100 points = always right.",
    "95 % interval": "Where the true value lies in 95 of 100 such measurements. Where it holds 0, "
    "chance alone may have made the difference.",
    "held-out prompts": "Prompts that the tested router had not learnt from.",
    "mixing": "Sending each prompt to a model by the throw of a die, so often that it costs the "
    "same. A router that does no better knows nothing of the prompts.",
    "zero router": "Mixing at the router's own cost, the candidate models in the best shares that "
    "training prompts name: what can be had without a look at the prompt.",
    "topic table": "What was best on the training prompts of each known topic.",
    "oracle": "The best observed answer to each prompt, the cheapest among equals: an upper bound.",
    "best single": "The candidate model with the highest mean quality on the training prompts.",
    "cost weight": "Quality that is given up per US dollar saved.",
    "runner-up": "The candidate model that would have been chosen next.",
    "band": "Where the whole curve lies with 95 % probability, at all cost weights at once.",
    "groups": "Prompts of one template, document, conversation or user: they tell little more than "
    "one of them does.",
}
_TERM = re.compile(r"\b(" + "|".join(map(re.escape, TERMS)) + r")\b")


def term_id(term: str) -> str:
    """Return the address of a term's meaning in a page.

    >>> term_id("95 % interval")
    'term-95-interval'
    """
    return "term-" + "-".join(re.findall(r"\w+", term))


def glossed(text: str) -> str:
    """Return a text as HTML in which the first use of each term opens its meaning.

    >>> glossed("2 points < 3 points")
    '2 <button type="button" class="term" popovertarget="term-points"
     title="Hundredths of quality: 100 points = always right.">points</button> &lt; 3 points'
    """
    seen: set[str] = set()

    def opened(match: re.Match[str]) -> str:
        term = match[1]
        if term in seen:
            return term
        seen.add(term)
        title = escape(TERMS[term], quote=True)
        return (
            f'<button type="button" class="term" popovertarget="{term_id(term)}" '
            f'title="{title}">{term}</button>'
        )

    return _TERM.sub(opened, escape(unbroken(text)))
