"""Measure what keeping to a deadline gives and costs, on prompts that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from routerlib.metrics.clusters import share_ends
from routerlib.metrics.intervals import Interval, paired_bootstrap
from routerlib.metrics.tails import widen_below_few
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import Haste, choose_arms
from routerlib.records.arrays import Arms, Floats
from routerlib.records.errors import RouterlibError
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import pandas as pd

_LEAST_PROMPTS = 20
_LEVEL = 0.9


class NoTimes(RouterlibError, ValueError):
    """Too few prompts tell what every candidate takes."""


def measure_deadlines(
    router: Router,
    test: Outcomes,
    caps_s: Sequence[float] | None = None,
    *,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """Measure quality, cost and latency of a router's choices, without a cap and with some.

    `test`: prompts that the router hasn't seen; those count on which each candidate's quality and
        latency are known.
    `caps_s`: seconds; None = what nine of ten calls of each candidate usually take, but for the
        slowest.
    Returns one row for each cap and for each candidate alone: means and the 90 % quantile of the
    seconds of what was chosen, with intervals over groups of prompts, and the share in time.
    """
    import pandas as pd

    seen = set(router.train_prompt_ids_).intersection(test.prompt_ids)
    if seen:
        raise ValueError(f"{len(seen)} of the prompts were trained on; give others")
    test = test.of_models(router.models_)
    if router.latencies_ is None or test.latency_s is None:
        raise NoTimes("nothing is known of how long calls took, so no deadline can be judged")
    known = np.isfinite(test.quality).all(axis=1) & np.isfinite(test.latency_s).all(axis=1)
    test = test.take(known)
    if len(test) < _LEAST_PROMPTS or test.latency_s is None:
        raise NoTimes(
            f"only {len(test)} held-out prompts tell quality and latency of every candidate, "
            f"{_LEAST_PROMPTS} are needed to judge a deadline"
        )
    if caps_s is None:
        usual = np.sort(router.latencies_.seconds[:, 1])
        caps_s = sorted({float(f"{each:.2g}") for each in usual[np.isfinite(usual)][:-1]})
    estimates = router.predict(test.prompts)
    ways: list[tuple[str, float, Arms]] = [
        ("no cap", np.inf, choose_arms(estimates, router.cost_weight_))
    ]
    for cap_s in caps_s:
        arms = choose_arms(estimates, router.cost_weight_, Haste(max_latency_s=cap_s))
        ways.append((f"cap {cap_s:g} s", cap_s, arms))
    everywhere = np.zeros(len(test), dtype=np.intp)
    ways += [(f"{name} alone", np.inf, everywhere + arm) for arm, name in enumerate(test.models)]
    rows = {}
    for name, cap_s, arms in ways:
        at = np.arange(len(test)), arms
        measured = _Measured(test.quality[at], test.cost_usd[at], test.latency_s[at], cap_s)
        found = measured.intervals(test.groups, n_bootstrap, random_state)
        rows[name] = {key: each for own, i in found.items() for key, each in i.columns(own).items()}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("chosen by")
    frame.attrs |= {"n": len(test), "n_groups": len(np.unique(test.groups))}
    return frame


class _Measured:
    """What was chosen on each prompt, shapes (n_prompts,)."""

    def __init__(self, quality: Floats, cost_usd: Floats, latency_s: Floats, cap_s: float) -> None:
        self._shares = {"quality": quality}
        if np.isfinite(cap_s):
            self._shares["in_time"] = (latency_s <= cap_s).astype(float)
        self._means = {**self._shares, "cost_usd": cost_usd}
        self._order = np.argsort(latency_s, kind="stable")
        self._sorted_s = latency_s[self._order]

    def intervals(
        self, groups: np.ndarray, n_bootstrap: int, random_state: int
    ) -> dict[str, Interval]:
        """Put intervals round all of it; a bootstrap of all in time would have no width."""
        drawn = paired_bootstrap(
            self.of, groups, n_bootstrap=n_bootstrap, random_state=random_state
        )
        n_groups = len(np.unique(groups))
        found = {}
        for name, each in drawn.items():
            wide = widen_below_few(each, n_groups, is_share=False)
            found[name] = wide._replace(low=max(wide.low, 0.0))  # no cost or time is below
        for name, values in self._shares.items():
            low, high = share_ends(values, groups)
            found[name] = Interval(drawn[name].value, low, high, drawn[name].se)
        return found

    def of(self, weights: Floats) -> dict[str, Floats]:
        """Return means and the quantile, by multiplicities of shape (n_replicates, n_prompts)."""
        total = weights.sum(axis=1)
        found = {name: weights @ each / total for name, each in self._means.items()}
        reached = weights[:, self._order].cumsum(axis=1) >= _LEVEL * total[:, None]
        found["latency_p90_s"] = self._sorted_s[reached.argmax(axis=1)]
        return found
