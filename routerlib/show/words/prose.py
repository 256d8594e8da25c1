"""Text that was computed, shown as prose, and what the abbreviations in it mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from routerlib.features.names import ANY_PROMPT, ENCODED, SIMILAR, TOPIC, WHOLE, WORDS
from routerlib.show.words.numbers import unbroken

_MEASURES = {
    "AIQ": "average improvement in quality: the mean quality over all costs from the cheapest "
    "candidate model to the dearest",
    "PGR": "performance gap recovered: how far from the cheapest candidate model (0) to the best "
    "single one (1) quality has come",
    "APGR": "average performance gap recovered: how far from the cheapest candidate model (0) to "
    "the best single one (1), the mean over all shares of prompts that may go to the best",
    "CPT": "call-performance threshold: the smallest share of prompts that has to go to the best "
    "single model to recover that much of the gap between it and the cheapest",
    "ECE": "expected calibration error: how far expected and observed quality lie apart, on "
    "average over groups of like estimates",
    "Brier": "Brier score: the mean square of expected minus observed quality; 0 is perfect",
}
_REASONS = {
    WORDS: "which words and parts of words it has, through the text embedding and the simple "
    "models that read it",
    ENCODED: "where the prompt lies among others by the neural encoder that was chosen",
    TOPIC: "the mean score of the topics that the prompt seems to belong to",
    SIMILAR: "the scores that the most similar training prompts got",
    WHOLE: "what can't be put down to a single feature of the prompt",
    ANY_PROMPT: "what is expected before anything of the prompt is looked at",
}
_WORDS = _MEASURES | _REASONS


# Both colours are given, so that it reads alike on a light and on a dark page.
_CAUTION_STYLE = (
    "color:#5c3700;background:#fdf1dc;border-left:4px solid #b26a00;padding:.4rem .7rem"
)


class Caution(str):
    """A sentence that nobody should overlook; it shows in colour.

    >>> '<p class="caution" style=' in say(Caution("This is the sample."))._repr_html_()
    True
    >>> print(Caution("This is the sample."))
    This is the sample.
    """


@dataclass(frozen=True)
class Prose:
    """Text that was computed; it shows itself, and everything in it is escaped.

    Parameters
    ----------
    sentences : tuple of str
        A paragraph each.
    bullets : tuple of str, default=()
        A list below them.
    """

    sentences: tuple[str, ...]
    bullets: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Render as paragraphs and a list."""
        paragraphs = "".join(map(_paragraph, self.sentences))
        items = "".join(f"<li>{escape(unbroken(text))}</li>" for text in self.bullets)
        return untypeset(paragraphs + (f"<ul>{items}</ul>" if items else ""))

    def __str__(self) -> str:
        """Show as plain text."""
        return "\n".join([*self.sentences, *(f"- {text}" for text in self.bullets)])


def say(*sentences: object) -> Prose:
    """Show computed sentences.

    Parameters
    ----------
    *sentences : object
        Anything whose text reads as a sentence; empty ones are left out.

    Returns
    -------
    Prose

    Examples
    --------
    >>> print(say("Routing pays.", "", "See <b>."))
    Routing pays.
    See <b>.
    >>> say("See <b>.")._repr_html_()
    '<div class="tex2jax_ignore mathjax_ignore"><p>See &lt;b&gt;.</p></div>'
    """
    texts = (each if isinstance(each, Caution) else str(each) for each in sentences)
    return Prose(tuple(text for text in texts if text))


def _paragraph(text: str) -> str:
    shape = f' class="caution" style="{_CAUTION_STYLE}"' if isinstance(text, Caution) else ""
    return f"<p{shape}>{escape(unbroken(text))}</p>"


def untypeset(html: str) -> str:
    """Keep notebooks from reading dollars as mathematics.

    >>> untypeset("<p>$5 or $6</p>")
    '<div class="tex2jax_ignore mathjax_ignore"><p>$5 or $6</p></div>'
    """
    return f'<div class="tex2jax_ignore mathjax_ignore">{html}</div>'


def explain_words(*texts: str) -> tuple[str, ...]:
    """Explain each abbreviation and each reason that occurs in some texts.

    >>> explain_words("ECE", "quality", "ECE, by luck")
    ('ECE: expected calibration error: how far expected and observed quality lie apart, on average
     over groups of like estimates',)
    """
    return tuple(
        f"{word}: {meaning}"
        for word, meaning in _WORDS.items()
        if any(re.search(rf"\b{re.escape(word)}\b", text) for text in texts)
    )
