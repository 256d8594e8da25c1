"""Compare ways of training routers, each trained and tested on the same parts of the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.benchmark_fits import (
    BASELINES,
    BENCHMARKED,
    Fit,
    HeldOut,
    MakeRouter,
    estimates_of,
    fit_parts,
)
from routerlib.evaluation.curve_metrics import CURVE_METRICS
from routerlib.metrics.intervals import (
    Interval,
    cluster_weights,
    percentile_interval,
    widen_for_unseen,
)
from routerlib.metrics.tails import interval_between
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, Rows, folds
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates

if TYPE_CHECKING:
    import pandas as pd

_N_FOLDS = 5
_EXACT_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Benchmark:
    """What ways of training are worth on prompts that their routers haven't seen.

    Parameters
    ----------
    outcomes : Outcomes
        All prompts.
    divided : sequence of Parts
        Rows that were trained and tested on.
    fits : mapping of str to sequence of Fit
        Per router one for each division.
    is_told : bool
        Whether topics were told; False = detected.
    n_measured : int
        Different prompts among those tested that every candidate model answered.
    n_groups : int
        Groups of near-duplicates among them.
    values : mapping of str to mapping of str to ndarray of shape (n_parts,)
        Per router and baseline each metric of `BENCHMARKED` on each part.
    replicates : mapping of str to mapping of str to ndarray of shape (2, n_bootstrap)
        Means over the parts on resampled prompts; metrics of a curve as what they lie between
        (`routerlib.evaluation.curve_metrics`), the others twice.
    """

    outcomes: Outcomes
    divided: Sequence[Parts]
    fits: Mapping[str, Sequence[Fit]]
    is_told: bool
    n_measured: int
    n_groups: int
    values: Mapping[str, Mapping[str, Floats]]
    replicates: Mapping[str, Mapping[str, Floats]]

    def table(self) -> pd.DataFrame:
        """Return each metric's mean over the parts.

        Returns
        -------
        DataFrame
            Index ``router``, baselines last; per metric of `BENCHMARKED` its mean, ``_sd`` over the
            parts (no interval: parts share prompts), and ``_low`` and ``_high``, a 95 % interval
            over resampled prompts. NaN = undefined, such as the ECE of who estimates nothing.
        """
        return self._frame(
            {
                name: {
                    metric: _interval(
                        metric, float(parts.mean()), self.replicates[name][metric], self.n_groups
                    )
                    for metric, parts in values.items()
                }
                for name, values in self.values.items()
            },
            {
                name: {f"{metric}_sd": _sd(parts) for metric, parts in values.items()}
                for name, values in self.values.items()
            },
        )

    def differences(self, ours: str) -> pd.DataFrame:
        """Return each metric of one router minus that of every other row.

        Parameters
        ----------
        ours : str
            Name of a router or baseline.

        Returns
        -------
        DataFrame
            Index ``router``, the others; per metric the difference, with ``_low`` and ``_high``,
            a 95 % interval, paired on the same resampled prompts.

        Raises
        ------
        ValueError
            If there is no such row.
        """
        if ours not in self.values:
            raise ValueError(f"expected one of {', '.join(self.values)}, got {ours!r}")
        others = [name for name in self.values if name != ours]
        return self._frame({name: difference(self, ours, self, name) for name in others}, {})

    def costs(self) -> pd.DataFrame:
        """Return what each router takes: training, and one decision.

        Returns
        -------
        DataFrame
            Index ``router``; ``fit_s`` (mean over the parts) and ``decision_ms`` (median of all
            timed decisions, with their quartiles as ``_low`` and ``_high``), both in time of the
            processor.
        """
        import pandas as pd

        rows = {}
        for name, fits in self.fits.items():
            low, median, high = np.percentile(
                1e3 * np.concatenate([fit.decision_s for fit in fits]), [25, 50, 75]
            )
            rows[name] = {
                "fit_s": float(np.mean([fit.fit_s for fit in fits])),
                "decision_ms": median,
                "decision_ms_low": low,
                "decision_ms_high": high,
            }
        return pd.DataFrame(rows).T.rename_axis("router")

    def held_out(self, router: str) -> tuple[Rows, Estimates]:
        """Return what a router expected of every tested prompt, each by a fit without it.

        Parameters
        ----------
        router : str
            Name of a router.

        Returns
        -------
        tuple (rows, estimates)
            Rows of the outcomes, part after part, and their estimates. A prompt that
            several parts test stands there several times.
        """
        found = [estimates_of(fit, self.is_told, router) for fit in self.fits[router]]
        return np.concatenate([parts.test for parts in self.divided]), Estimates(
            tuple(self.outcomes.models),
            np.concatenate([each.quality for each in found]),
            np.concatenate([each.cost_usd for each in found]),
        )

    def _frame(
        self,
        intervals: Mapping[str, Mapping[str, Interval]],
        further: Mapping[str, Mapping[str, float]],
    ) -> pd.DataFrame:
        import pandas as pd

        rows = {
            name: {
                **{
                    column: value
                    for metric, interval in found.items()
                    for column, value in interval.columns(metric).items()
                },
                **further.get(name, {}),
            }
            for name, found in intervals.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("router")


def benchmark(
    makes: Mapping[str, MakeRouter],
    outcomes: Outcomes,
    divided: Sequence[Parts] | None = None,
    *,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> Benchmark:
    """Train routers on parts of the prompts, and compare them on the others.

    Choices are those at cost weight 0, where every router seeks quality alone; what follows the
    curve is measured on tested prompts that didn't choose what is mixed there.
    What baselines need is chosen on the training prompts of each part.

    Parameters
    ----------
    makes : mapping of str to callable
        Makers of unfitted routers by name, at least one; see
        `routerlib.evaluation.benchmark_fits.usual_routers`.
    outcomes : Outcomes
        All prompts; those that some candidate model didn't answer are trained on and not tested.
    divided : sequence of Parts or None, default=None
        Rows to train and to test on; None = five folds, near-duplicates in the same one.
    n_bootstrap : int, default=1000
        Replicates of the bootstrap. A group of near-duplicates is drawn for all parts at once, so
        that parts which share prompts don't pass for independent ones.
    random_state : int, default=0
        Seed of folds and bootstrap.

    Returns
    -------
    Benchmark
        Topics are detected by the routers; `measure_fits` measures told ones.

    Examples
    --------
    >>> from routerlib.routers.rivals import KNNRouter, LinearRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=150).outcomes
    >>> found = benchmark({"knn": KNNRouter, "linear": LinearRouter}, outcomes, n_bootstrap=100)
    >>> found.table().index.tolist()
    ['knn', 'linear', 'best single', 'random', 'zero router', 'oracle']
    >>> found.differences("knn").loc["random", "AIQ_low"] > 0
    np.True_
    """
    if divided is None:
        divided = folds(outcomes.groups, _N_FOLDS, random_state)
    fits = fit_parts(makes, outcomes, divided)
    return measure_fits(fits, outcomes, divided, n_bootstrap=n_bootstrap, random_state=random_state)


def measure_fits(
    fits: Mapping[str, Sequence[Fit]],
    outcomes: Outcomes,
    divided: Sequence[Parts],
    *,
    is_told: bool = False,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> Benchmark:
    """Measure routers that were fitted on parts of the prompts."""
    taken = [name for name in fits if name in BASELINES]
    if taken:
        raise ValueError(f"{taken[0]!r} stands in every table anyway; give the router another name")
    held_out = [
        HeldOut.of({name: each[at] for name, each in fits.items()}, outcomes, parts, is_told)
        for at, parts in enumerate(divided)
    ]
    once = _over_parts(held_out, np.ones((1, len(outcomes))))
    blocks = [
        _over_parts(held_out, weights).mean(axis=3)
        for weights in cluster_weights(outcomes.groups, n_bootstrap, random_state)
    ]
    drawn = np.concatenate(blocks, axis=3) if blocks else np.zeros((*once.shape[:3], 0))
    names = [*fits, *BASELINES]
    measured = np.unique(np.concatenate([part.rows for part in held_out]))
    return Benchmark(
        outcomes,
        divided,
        fits,
        is_told,
        len(measured),
        len(np.unique(outcomes.groups[measured])),
        {
            name: dict(zip(BENCHMARKED, once[0, at, :, :, 0], strict=True))
            for at, name in enumerate(names)
        },
        {
            name: dict(zip(BENCHMARKED, drawn[1:, at].swapaxes(0, 1), strict=True))
            for at, name in enumerate(names)
        },
    )


def difference(
    benchmark: Benchmark, router: str, to_benchmark: Benchmark, to: str
) -> dict[str, Interval]:
    """Return each metric of a row minus that of another, also of another training."""
    for our_parts, their_parts in zip(benchmark.divided, to_benchmark.divided, strict=True):
        if not np.array_equal(our_parts.test, their_parts.test):
            raise ValueError(
                "a difference needs the same test prompts on both sides, got others; keep "
                "`Parts.test` and change `Parts.train` alone"
            )
    found: dict[str, Interval] = {}
    for metric in BENCHMARKED:
        ours, other = benchmark.values[router][metric], to_benchmark.values[to][metric]
        apart = benchmark.replicates[router][metric] - to_benchmark.replicates[to][metric]
        # Sums in another order differ by 1e-16; the same choices must differ by 0.
        value = round(float((ours - other).mean()), _EXACT_DIGITS) + 0.0
        drawn = np.sort(np.round(apart, _EXACT_DIGITS) + 0.0, axis=0)
        found[metric] = _interval(metric, value, drawn, benchmark.n_groups)
    if found["quality"].se > 0:
        found["quality"] = widen_for_unseen(found["quality"], benchmark.n_groups)
    return found


def _interval(metric: str, value: float, drawn: Floats, n_groups: int) -> Interval:
    """Return the interval of a mean over the parts; `drawn` has shape (2, n_bootstrap)."""
    if metric in CURVE_METRICS:
        return interval_between(value, drawn[0], drawn[1], n_groups)
    return percentile_interval(value, drawn[0])


def _over_parts(parts: Sequence[HeldOut], weights: Floats) -> Floats:
    """Return all metrics of each part, shape (3, n_lines, n_metrics, n_parts, n_replicates)."""
    return np.stack([part.measure(weights[:, part.rows]) for part in parts], axis=3)


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
