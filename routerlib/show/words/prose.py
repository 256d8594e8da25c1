"""Text that was computed, shown as prose."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


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
        paragraphs = "".join(f"<p>{escape(text)}</p>" for text in self.sentences)
        items = "".join(f"<li>{escape(text)}</li>" for text in self.bullets)
        return paragraphs + (f"<ul>{items}</ul>" if items else "")

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
    '<p>See &lt;b&gt;.</p>'
    """
    return Prose(tuple(str(sentence) for sentence in sentences if str(sentence)))
