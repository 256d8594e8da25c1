"""Read the public tables of real outcomes that lie beside the checkout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from routerlib.outcomes.outcomes import Outcomes

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
# Input and output price, US dollars per million tokens.
_PAIR = {"mixtral-8x7b": (0.24, 0.24), "gpt-4-1106": (10.0, 30.0)}
_NINE_USD = {
    "gemma-2-9b-it": 0.1,
    "llama-3.3-nemotron-super-49b-v1": 0.9,
    "llama-3.1-nemotron-51b-instruct": 0.9,
    "llama3-chatqa-1.5-70b": 0.9,
}
_OTHER_USD = 0.2
_REASONING = {
    "Qwen2-7B-Instruct": (0.2, 0.2),
    "claude-3-5-haiku-20241022": (0.8, 4.0),
    "Meta-Llama-3.1-70B-Instruct": (0.6, 0.6),
    "gpt-4o-2024-05-13": (5.0, 15.0),
    "gemini-1.5-pro": (1.25, 5.0),
    "claude-3-5-sonnet-20240620": (3.0, 15.0),
}
_MMLU_PRO = {
    "Meta-Llama-3_1-70B": (0.6, 0.6),
    "Qwen1.5-110B": (1.2, 1.2),
    "jamba-1.5-large": (2.0, 8.0),
    "Qwen1.5-72B-Chat": (0.9, 0.9),
    "Yi-34B": (0.8, 0.8),
    "c4ai-command-r-v01": (0.5, 1.5),
    "Meta-Llama-3-8B": (0.1, 0.1),
    "Mistral-7B-Instruct-v0.2": (0.2, 0.2),
}


def read_pair() -> Outcomes | None:
    """Return the pair of models, or None where the table isn't there."""
    frame = _read("routellm_mmlu.parquet")
    return None if frame is None else _with_costs(frame, _PAIR, n_output=100)


def read_nine() -> Outcomes | None:
    """Return the nine models, or None where the table isn't there."""
    frame = _read("llmrouter_9models.parquet")
    if frame is None:
        return None
    names = [name for name in frame.columns if name not in ("prompt", "topic", "metric")]
    prices = {name: (_NINE_USD.get(name, _OTHER_USD),) * 2 for name in names}
    return _with_costs(frame, prices, n_output=200)


def read_reasoning() -> Outcomes | None:
    """Return six models on reasoning problems, or None where the table isn't there."""
    frame = _read("reasoning_6models_answers.parquet")
    if frame is None:
        return None
    answers = frame[[f"answer:{name}" for name in _REASONING]].fillna("")
    n_output = answers.apply(lambda column: column.str.len()).to_numpy(float) / 4
    outcomes = _with_costs(frame, _REASONING, n_output=n_output)
    return replace(outcomes, answers=answers.values.tolist())


def read_mmlu_pro() -> Outcomes | None:
    """Return eight models on MMLU-Pro, or None where the table isn't there."""
    frame = _read("mmlu_pro_8models.parquet")
    if frame is None:
        return None
    answers = frame[[f"chars:{name}" for name in _MMLU_PRO]].to_numpy(float)
    return _with_costs(frame, _MMLU_PRO, n_output=answers / 4)


READERS = {
    "pair": read_pair,
    "nine": read_nine,
    "reasoning": read_reasoning,
    "mmlu-pro": read_mmlu_pro,
}


def _read(file_name: str) -> pd.DataFrame | None:
    path = FOLDER / file_name
    if path.is_file():
        return pd.read_parquet(path)
    print(f"skipped: no {file_name} in ../shared/data beside the checkout")
    return None


def _with_costs(
    frame: pd.DataFrame, prices: dict[str, tuple[float, float]], n_output: int | np.ndarray
) -> Outcomes:
    """Return outcomes that cost price x (characters / 4 input + output tokens).

    `n_output` (n_prompts, n_models): output tokens, or the same number for all.
    """
    n_input = frame["prompt"].str.len().to_numpy()[:, np.newaxis] / 4
    price_in, price_out = np.array(list(prices.values())).T
    return Outcomes(
        prompts=frame["prompt"].tolist(),
        models=list(prices),
        quality=frame[list(prices)].to_numpy(float),
        cost_usd=(n_input * price_in + n_output * price_out) / 1e6,
        topics=frame["topic"].tolist(),
    )
