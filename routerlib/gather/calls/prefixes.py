"""What providers have cached of a conversation, by what each candidate was sent lately.

Providers keep what they worked out for the beginning of a request, for minutes, and charge less for
it when another request begins in the same way. Which part counts is a rule of the provider
(`CacheRule`); what was sent when is in the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from routerlib.records.call import CacheRule, CandidateModel
from routerlib.records.canonical import canonical_json
from routerlib.records.messages import n_characters

_MOST_KEPT = 50_000


class Beginning(NamedTuple):
    """A beginning of requests that a candidate was sent.

    `n_tokens`: as its provider counted them, or in proportion where only a whole request was.
    `sent_at_s`: when last, seconds since 1970.
    `is_whole`: whether it was a whole request, not the beginning of a longer one alone.
    """

    n_tokens: int
    sent_at_s: float
    is_whole: bool


class Prefixes:
    """Beginnings of requests by candidate; those that no provider has any more are forgotten.

    `lifetime_s`: seconds after which nobody has anything cached.

    >>> hello = [{"role": "user", "content": "Hello " * 2000}]
    >>> prefixes = Prefixes(lifetime_s=300)
    >>> prefixes.add("small", hello, None, n_tokens=2005, sent_at_s=0.0)
    >>> more = [*hello, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "?"}]
    >>> found = prefixes.longest("small", more, None)
    >>> cached_tokens(CacheRule(), found, now_s=10.0), cached_tokens(CacheRule(), found, 400.0)
    (1920, 0)
    """

    def __init__(self, lifetime_s: float) -> None:
        self._lifetime_s = lifetime_s
        self._known: dict[tuple[str, bytes], Beginning] = {}

    def add(
        self,
        candidate: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Any,
        n_tokens: int,
        sent_at_s: float,
    ) -> None:
        """Take note of a request that was answered, of so many input tokens."""
        digests = list(_digests(messages, tools))
        characters = _running_characters(messages, tools)
        for at, digest in enumerate(digests):
            is_whole = at == len(digests) - 1
            share = characters[at] / max(characters[-1], 1)
            told = Beginning(round(share * n_tokens), sent_at_s, is_whole)
            known = self._known.pop((candidate, digest), None)
            if known is not None:  # a count of a provider goes before a share of one
                n_known = known.n_tokens if known.is_whole and not is_whole else told.n_tokens
                told = Beginning(
                    n_known, max(sent_at_s, known.sent_at_s), is_whole or known.is_whole
                )
            self._known[candidate, digest] = told
        self._forget(sent_at_s)

    def longest(
        self, candidate: str, messages: Sequence[Mapping[str, Any]], tools: Any
    ) -> list[Beginning]:
        """Return the beginnings of a request that a candidate was sent, the longest first."""
        return self.longest_of([candidate], messages, tools)[candidate]

    def longest_of(
        self, candidates: Iterable[str], messages: Sequence[Mapping[str, Any]], tools: Any
    ) -> dict[str, list[Beginning]]:
        """Return for each candidate what `longest` does; the request is read through once."""
        digests = list(_digests(messages, tools))[::-1]
        found = {name: [self._known.get((name, each)) for each in digests] for name in candidates}
        return {name: [each for each in known if each] for name, known in found.items()}

    def _forget(self, now_s: float) -> None:
        oldest = now_s - self._lifetime_s
        if len(self._known) > _MOST_KEPT:
            kept = {key: each for key, each in self._known.items() if each.sent_at_s >= oldest}
            self._known = dict(list(kept.items())[-_MOST_KEPT // 2 :])


def cached_tokens(rule: CacheRule, found: Sequence[Beginning], now_s: float) -> int:
    """Return the tokens that a provider has cached of a request, by its rule.

    `found`: beginnings of it that the candidate was sent, the longest first.
    """
    for each in found:
        is_kept = each.is_whole or rule.block_tokens is not None
        if is_kept and now_s - each.sent_at_s <= rule.lifetime_s:
            return cacheable_tokens(rule, each.n_tokens)
    return 0


def cacheable_tokens(rule: CacheRule, n_tokens: int) -> int:
    """Return how many of the tokens that requests share a provider keeps.

    >>> cacheable_tokens(CacheRule(), 1023), cacheable_tokens(CacheRule(), 1300)
    (0, 1280)
    """
    if n_tokens < rule.least_tokens:
        return 0
    if rule.block_tokens is None:
        return n_tokens
    further = n_tokens - rule.least_tokens
    return rule.least_tokens + further // rule.block_tokens * rule.block_tokens


def saved_usd_per_token(candidate: CandidateModel) -> float:
    """Return the US dollars that a cached input token costs less."""
    price = candidate.price
    cached = price.cached_input_usd_per_mtok
    return 0.0 if cached is None else max(price.input_usd_per_mtok - cached, 0.0) / 1e6


def _digests(messages: Sequence[Mapping[str, Any]], tools: Any) -> Iterator[bytes]:
    """Yield what tells each beginning of a request from others; tools stand before it."""
    digest = hashlib.blake2b(canonical_json(tools).encode(), digest_size=16)
    for message in messages:
        digest.update(canonical_json(dict(message)).encode())
        yield digest.digest()


def _running_characters(messages: Sequence[Mapping[str, Any]], tools: Any) -> list[int]:
    running = len(canonical_json(tools)) if tools else 0
    found = []
    for message in messages:
        running += n_characters(message)
        found.append(running)
    return found
