"""Estimates of what calls cost, and a cap on what they may."""

from __future__ import annotations

from dataclasses import dataclass

from routerlib.types import Call, CandidateModel, Prompt, Usage

# Byte-level tokenizers make about four bytes of English a token; two is a safe lower bound for
# text that models are asked in, and a few tokens a message go to the chat format.
_BYTES_PER_TOKEN_EXPECTED = 4
_BYTES_PER_TOKEN_WORST = 2
_FORMAT_TOKENS_PER_MESSAGE = 8
_OUTPUT_TOKENS_WITHOUT_CAP = 4096


def expected_cost_usd(
    candidate: CandidateModel, prompt: Prompt, output_tokens: float | None = None
) -> float:
    """Estimate the cost of one call, US dollars.

    Parameters
    ----------
    candidate : CandidateModel
        Whom to ask.
    prompt : Prompt
        What to ask.
    output_tokens : float or None, default=None
        Expected output tokens; None = half the candidate's cap.

    Returns
    -------
    float
        US dollars.
    """
    if output_tokens is None:
        output_tokens = _output_cap(candidate) / 2
    usage = Usage(_input_tokens(candidate, prompt, _BYTES_PER_TOKEN_EXPECTED), int(output_tokens))
    return candidate.price.cost_usd(usage)


def worst_cost_usd(candidate: CandidateModel, prompt: Prompt) -> float:
    """Bound the cost of one call from above, US dollars: long tokens, and output to the cap."""
    usage = Usage(_input_tokens(candidate, prompt, _BYTES_PER_TOKEN_WORST), _output_cap(candidate))
    return candidate.price.cost_usd(usage)


def _output_cap(candidate: CandidateModel) -> int:
    cap = candidate.max_output_tokens
    return _OUTPUT_TOKENS_WITHOUT_CAP if cap is None else cap


def _input_tokens(candidate: CandidateModel, prompt: Prompt, bytes_per_token: int) -> int:
    texts = [message["content"] for message in prompt.messages]
    if candidate.system:
        texts.append(candidate.system)
    n_bytes = sum(len(text.encode(errors="replace")) for text in texts)
    return n_bytes // bytes_per_token + _FORMAT_TOKENS_PER_MESSAGE * len(texts)


@dataclass
class Budget:
    """Hold spending under a cap: the worst case is reserved before a call, settled after it.

    Not for several threads: use it inside one event loop.

    Parameters
    ----------
    cap_usd : float or None
        US dollars; None = no cap.

    Raises
    ------
    ValueError
        If the cap is negative.

    Examples
    --------
    >>> budget = Budget(1.0)
    >>> budget.reserve(0.7), budget.reserve(0.7)
    (True, False)
    >>> budget.settle(0.7, 0.2)
    >>> budget.reserve(0.7), budget.spent_usd
    (True, 0.2)
    """

    cap_usd: float | None
    spent_usd: float = 0.0
    reserved_usd: float = 0.0

    def __post_init__(self) -> None:
        if self.cap_usd is not None and not self.cap_usd >= 0:
            raise ValueError(f"budget_usd must be at least 0, got {self.cap_usd!r}")

    def reserve(self, worst_usd: float) -> bool:
        """Reserve the worst case of a call; False when it no longer fits under the cap."""
        fits = self.cap_usd is None or (
            self.spent_usd + self.reserved_usd + worst_usd <= self.cap_usd
        )
        if fits:
            self.reserved_usd += worst_usd
        return fits

    def settle(self, worst_usd: float, cost_usd: float) -> None:
        """Replace a reservation by what the call cost."""
        self.reserved_usd = max(0.0, self.reserved_usd - worst_usd)
        self.spent_usd += cost_usd


def charged_usd(candidate: CandidateModel, call: Call, worst_usd: float) -> float:
    """Return what a call must be counted at: the worst case where the truth is unknown.

    Parameters
    ----------
    candidate : CandidateModel
        Who was asked.
    call : Call
        What came of it.
    worst_usd : float
        What was reserved for it, US dollars.

    Returns
    -------
    float
        US dollars: by its tokens; nothing if the provider refused the request, or it was never
        made; else the worst case.
    """
    if call.usage is not None:
        return candidate.price.cost_usd(call.usage)
    is_turned_away = call.status == "error" and (call.error_type or "").startswith(
        ("http_", "unavailable")
    )
    return 0.0 if is_turned_away else worst_usd
