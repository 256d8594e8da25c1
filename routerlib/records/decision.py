"""What is expected of each candidate model, who was chosen, and with what probability."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from routerlib.records.shown import shown_html

if TYPE_CHECKING:
    import numpy as np

# Stand for the router's hash where no router chose: a person or a program named the model, or a
# turn of a conversation stays with the model that answered before. Such decisions are certain and
# say nothing of what the router would have done, so off-policy values leave them out.
CALLER = "caller"
CONVERSATION = "conversation"
# How the reason of such a turn names the decision it goes on from.
GOES_ON_FROM = re.compile(r"under decision (\d+)")
# A further step of a cascade: it rests on the answers before it, not on the prompt alone.
STEP = "cascade"
# How the reason of such a step begins; the number of the decision before it follows.
AFTER_DECISION = "after decision "


# What the fields of `Latencies` are called beside quality and cost in a decision's estimates.
LATENCY_NAMES = ("latency_s", "latency_p90_s", "first_token_s", "first_token_p95_s")


@dataclass(frozen=True)
class Latencies:
    """Seconds that each candidate model is expected to take on each prompt.

    Parameters
    ----------
    mean_s, p90_s : ndarray of shape (n_prompts, n_models)
        From the request to the end of the answer: the mean, and what nine of ten stay under.
        Seconds; NaN = unknown.
    first_token_s, first_token_p95_s : ndarray of shape (n_prompts, n_models)
        From the request to the first piece of a streamed answer: the mean, and what nineteen of
        twenty stay under. Seconds; NaN = unknown.

    Examples
    --------
    >>> import numpy as np
    >>> seconds = np.array([[1.0, 3.0]])
    >>> Latencies(seconds, 2 * seconds, seconds / 4, seconds / 2).of([1]).p90_s.tolist()
    [[6.0]]
    """

    mean_s: np.ndarray
    p90_s: np.ndarray
    first_token_s: np.ndarray
    first_token_p95_s: np.ndarray

    def of(self, columns: Sequence[int]) -> Latencies:
        """Return what is expected of some candidate models.

        Parameters
        ----------
        columns : sequence of int
            Which, in this order.

        Returns
        -------
        Latencies
            Of the same prompts.
        """
        return Latencies(*(each[:, columns] for each in self.arrays))

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All four, in the order of the parameters."""
        return self.mean_s, self.p90_s, self.first_token_s, self.first_token_p95_s


@dataclass(frozen=True, repr=False)
class Estimates:
    """What a router expects of each candidate model on each prompt.

    Parameters
    ----------
    models : tuple of str
        Candidate names, in column order.
    quality : ndarray of shape (n_prompts, n_models)
        Expected quality in [0, 1].
    cost_usd : ndarray of shape (n_prompts, n_models)
        Expected cost of one call, US dollars.
    quality_sd : ndarray of shape (n_prompts, n_models) or None, default=None
        Standard deviation of expected quality, at least 0; None = not known. Policies that
        explore by uncertainty need it.
    latency : Latencies or None, default=None
        Seconds that each is expected to take; None = not known.
    """

    models: tuple[str, ...]
    quality: np.ndarray
    cost_usd: np.ndarray
    quality_sd: np.ndarray | None = None
    latency: Latencies | None = None

    def __post_init__(self) -> None:
        shape = (len(self.quality), len(self.models))
        for each in self.latency.arrays if self.latency else ():
            if each.shape != shape:
                raise ValueError(f"latency must have shape {shape}, got {each.shape}")
        for name in ("quality", "cost_usd", "quality_sd"):
            given = getattr(self, name)
            if given is not None and given.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {given.shape}")

    def __len__(self) -> int:
        return len(self.quality)

    def among(self, models: Collection[str] | None) -> Estimates:
        """Return the columns of some candidate models.

        Parameters
        ----------
        models : collection of str or None
            Names; None = all.

        Returns
        -------
        Estimates
            In the same order.

        Raises
        ------
        ValueError
            If none of the names has a column.
        """
        if models is None or all(name in models for name in self.models):
            return self
        kept = [column for column, name in enumerate(self.models) if name in models]
        if not kept:
            raise ValueError(
                f"none of {', '.join(models)} is known; estimates are of {', '.join(self.models)}"
            )
        sd = None if self.quality_sd is None else self.quality_sd[:, kept]
        names = tuple(self.models[column] for column in kept)
        latency = None if self.latency is None else self.latency.of(kept)
        return Estimates(names, self.quality[:, kept], self.cost_usd[:, kept], sd, latency)

    def __repr__(self) -> str:
        return f"Estimates({len(self)} prompts x {len(self.models)} models)"

    def _repr_html_(self) -> str:
        named = list(enumerate(self.models))
        rows = [
            {"prompt": number}
            | {f"{name}, quality": float(self.quality[number, arm]) for arm, name in named}
            | {f"{name}, cost_usd": float(self.cost_usd[number, arm]) for arm, name in named}
            for number in range(len(self))
        ]
        return shown_html(f"{self!r}, expected", rows)


@dataclass(frozen=True, repr=False)
class Decision:
    """One routing decision, with all that is needed to explain and to value it later.

    Parameters
    ----------
    model : str
        The chosen candidate model.
    expected_quality, expected_cost_usd : float
        Its estimates; NaN when a rule decided, which estimates nothing.
    propensity : float
        Probability, in (0, 1], with which this model was chosen.
    reason : str
        Why, in words.
    cost_weight : float
        Quality given up per US dollar saved.
    estimates : dict of str to dict
        ``{model: {"quality": ..., "cost_usd": ...}}`` for every candidate model that it was
        between, and the seconds of `LATENCY_NAMES` where these are known; empty where a rule chose
        between all.
    router_hash : str
        Identity of the router that decided.
    """

    model: str
    expected_quality: float
    expected_cost_usd: float
    propensity: float
    reason: str
    cost_weight: float
    estimates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    router_hash: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.propensity <= 1:
            raise ValueError(f"propensity must lie in (0, 1], got {self.propensity!r}")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.model!r}, quality {self.expected_quality:.3g}, cost_usd "
            f"{self.expected_cost_usd:.3g}, propensity {self.propensity:.3g}: {self.reason})"
        )

    def _repr_html_(self) -> str:
        rows = [
            {
                "model": name,
                "expected quality": float(known["quality"]),
                "expected cost_usd": float(known["cost_usd"]),
                "chosen": "yes" if name == self.model else "",
            }
            for name, known in self.estimates.items()
        ]
        return shown_html(f"{self.model}: {self.reason}", rows)
