"""Show the known prompts nearest to a new one, and what each candidate model did there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.canonical import plain_json
from routerlib.routers.lightgbm.router import LGBMRouter


@dataclass(frozen=True)
class SimilarPrompt:
    """One training prompt that is near in meaning.

    `similarity`: cosine of the two embeddings, in [-1, 1].
    `text`: the prompt; None = not in the outcomes given.
    `quality`: what was observed of each candidate model; NaN = not observed.
    """

    prompt_id: str
    similarity: float
    text: str | None
    quality: Mapping[str, float]


@dataclass(frozen=True)
class Evidence:
    """The training prompts nearest to a prompt, with their outcomes: what an estimate leans on.

    Parameters
    ----------
    prompt : str
        The prompt in question.
    models : tuple of str
        Candidate models.
    similar : tuple of SimilarPrompt
        The nearest first; empty when the router keeps no prompts.
    """

    prompt: str
    models: tuple[str, ...]
    similar: tuple[SimilarPrompt, ...]

    @property
    def mean_quality(self) -> dict[str, float]:
        """Mean observed quality of each candidate model over the similar prompts; NaN = none."""
        return {model: self._seen(model)[0] for model in self.models}

    @property
    def sentence(self) -> str:
        """What similar prompts did, in words."""
        if not self.similar:
            return "The router keeps no training prompts to compare with."
        low, high = self.similar[-1].similarity, self.similar[0].similarity
        seen = [(model, *self._seen(model)) for model in self.models]
        did = ", ".join(f"{model} {mean:.2f} (n = {n})" for model, mean, n in seen if n)
        return (
            f"On the {len(self.similar)} most similar training prompts (similarity {low:.2f} to "
            f"{high:.2f}) the mean quality was: {did or 'not observed'}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain builtins for JSON; NaN becomes None."""
        return {
            "prompt": self.prompt,
            "models": list(self.models),
            "similar": [
                {
                    "prompt_id": each.prompt_id,
                    "similarity": each.similarity,
                    "text": each.text,
                    "quality": plain_json(each.quality),
                }
                for each in self.similar
            ],
            "sentence": self.sentence,
        }

    def _seen(self, model: str) -> tuple[float, int]:
        known = [q for each in self.similar if not np.isnan(q := each.quality[model])]
        return (float(np.mean(known)) if known else float("nan"), len(known))


def similar_prompts(
    router: LGBMRouter, prompt: str, known: Outcomes | None = None, *, k: int = 5
) -> Evidence:
    """Find the training prompts nearest in meaning to a prompt, and their outcomes.

    Parameters
    ----------
    router : LGBMRouter
        Fitted.
    prompt : str
        Any text.
    known : Outcomes, optional
        Where texts come from, such as ``Outcomes.from_log(log)``: a router file holds only
        identifiers and outcomes of its training prompts.
    k : int, default=5
        How many.

    Returns
    -------
    Evidence
        The nearest first.

    Examples
    --------
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
    >>> router = LGBMRouter(random_state=0).fit(outcomes)
    >>> evidence = similar_prompts(router, outcomes.prompts[7], outcomes, k=3)
    >>> evidence.similar[0].text == outcomes.prompts[7], len(evidence.similar)
    (True, 3)
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k!r}")
    rows, similarities = router.nearest([prompt], k)
    texts = {} if known is None else dict(zip(known.prompt_ids, known.prompts, strict=True))
    quality = router.train_quality(rows[0])
    similar = []
    for place, row in enumerate(rows[0]):
        prompt_id = router.train_prompt_ids_[row]
        similar.append(
            SimilarPrompt(
                prompt_id=prompt_id,
                similarity=float(similarities[0, place]),
                text=texts.get(prompt_id),
                quality=dict(zip(router.models_, map(float, quality[place]), strict=True)),
            )
        )
    return Evidence(prompt, tuple(router.models_), tuple(similar))
