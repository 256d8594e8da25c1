"""Vowpal Wabbit's contextual bandit: the well-kept baseline that learns online."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.features.tasks import detect_task
from routerlib.policies.exploration import draw
from routerlib.policies.policies import Choices
from routerlib.policies.utility import utility
from routerlib.records.prompt import check_names

if TYPE_CHECKING:
    from routerlib.records.arrays import Floats

_WORD = re.compile(r"[a-z]+|\d+")
_MAX_WORDS = 60


class VowpalBandit:
    """Learn online, one prompt at a time, which candidate model to choose.

    A contextual bandit with action-dependent features (``cb_explore_adf``): the prompt's words,
    task and length are shared, the candidate's name is the action, and their pairs are features.
    It sees only the outcome of the candidate that was chosen, reweighed by its propensity
    (doubly robust), and gives its own probabilities. It needs no retraining and keeps no log.

    Parameters
    ----------
    models : sequence of str, length n_models
        Candidate models.
    cost_weight : float, default=0
        Quality given up per US dollar saved, at least 0.
    epsilon : float, default=0.05
        Share of prompts that explore evenly, in (0, 1].
    learning_rate : float, default=0.5
        Of the online regression.
    random_state : int, default=0
        Seed.

    Raises
    ------
    ImportError
        If Vowpal Wabbit isn't installed.

    Examples
    --------
    >>> bandit = VowpalBandit(["small", "large"])
    >>> choices = bandit.choose(["What is 2 + 2?"])
    >>> bandit.update(["What is 2 + 2?"], choices, quality=np.array([1.0]))
    >>> bandit.probabilities(["What is 2 + 2?"]).sum().round(6).item()
    1.0
    """

    def __init__(
        self,
        models: Sequence[str],
        cost_weight: float = 0.0,
        *,
        epsilon: float = 0.05,
        learning_rate: float = 0.5,
        random_state: int = 0,
    ) -> None:
        check_names(models, "candidate model")
        if not 0 < epsilon <= 1:
            raise ValueError(f"epsilon must lie in (0, 1], got {epsilon!r}")
        self.models = tuple(models)
        self.cost_weight = cost_weight
        self._rng = np.random.default_rng(random_state)
        self._workspace = _workspace(epsilon, learning_rate, random_state)

    def probabilities(
        self, prompts: Sequence[str], available: Sequence[bool] | None = None
    ) -> Floats:
        """Return the probability of each candidate model, as Vowpal Wabbit gives it.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        available : sequence of bool, length n_models, or None, default=None
            Which candidates may be chosen; None = all.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            Each row sums to 1; 0 where not available.
        """
        is_open = np.ones(len(self.models), bool) if available is None else np.asarray(available)
        arms = np.flatnonzero(is_open)
        rows = np.zeros((len(prompts), len(self.models)))
        for row, prompt in enumerate(prompts):
            # Single precision: made to sum to one again before anything is drawn from it.
            given = np.array(self._workspace.predict(self._example(prompt, arms)), dtype=float)
            rows[row, arms] = given / given.sum()
        return rows

    def choose(self, prompts: Sequence[str], available: Sequence[bool] | None = None) -> Choices:
        """Draw one candidate for each prompt from `probabilities`.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            What is asked.
        available : sequence of bool, length n_models, optional
            Which candidate models may be chosen; default all.

        Returns
        -------
        Choices
            The candidate model of each prompt, with its probability.
        """
        return draw(self.probabilities(prompts, available), self._rng)

    def update(
        self,
        prompts: Sequence[str],
        choices: Choices,
        quality: Floats,
        cost_usd: Floats | None = None,
        available: Sequence[bool] | None = None,
    ) -> None:
        """Learn from the outcomes of what was chosen.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        choices : Choices
            What was chosen, with the propensities.
        quality : ndarray of shape (n_prompts,)
            Of the chosen candidates, in [0, 1]; NaN = no verdict, nothing is learnt.
        cost_usd : ndarray of shape (n_prompts,) or None, default=None
            US dollars paid; None = not weighed.
        available : sequence of bool, length n_models, or None, default=None
            Which candidates could be chosen.
        """
        is_open = np.ones(len(self.models), bool) if available is None else np.asarray(available)
        arms = np.flatnonzero(is_open)
        paid = np.zeros(len(prompts)) if cost_usd is None else cost_usd
        for row in np.flatnonzero(np.isfinite(quality)):
            loss = 1 - utility(quality[row], paid[row], self.cost_weight)
            label = (int(choices.arms[row]), float(loss), float(choices.propensities[row]))
            self._workspace.learn(self._example(prompts[int(row)], arms, label))

    def _example(
        self, prompt: str, arms: np.ndarray, label: tuple[int, float, float] | None = None
    ) -> list[str]:
        words = _WORD.findall(prompt.lower())[:_MAX_WORDS]
        length = np.log1p(len(prompt))
        shared = f"shared |w {' '.join(words)} |t task_{detect_task(prompt)} length:{length:.3f}"
        lines = [shared]
        for number, arm in enumerate(arms):
            known = ""
            if label is not None and label[0] == arm:
                known = f"{number}:{label[1]:.6f}:{label[2]:.6f} "
            lines.append(f"{known}|m m{arm}")
        return lines


def _workspace(epsilon: float, learning_rate: float, random_state: int) -> Any:
    try:
        from vowpalwabbit import Workspace
    except ImportError as error:
        raise ImportError(
            "the bandit baseline needs Vowpal Wabbit: pip install 'routerlib[bandit]'"
        ) from error
    return Workspace(
        f"--cb_explore_adf --cb_type dr --epsilon {epsilon} -q wm -q tm "
        f"--learning_rate {learning_rate} --power_t 0 -b 18 "
        f"--random_seed {random_state + 1} --quiet"
    )
