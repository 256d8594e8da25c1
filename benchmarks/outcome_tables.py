"""Read the two public tables of real outcomes that lie beside the checkout."""

from __future__ import annotations

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


READERS = {"pair": read_pair, "nine": read_nine}


def _read(file_name: str) -> pd.DataFrame | None:
    path = FOLDER / file_name
    if path.is_file():
        return pd.read_parquet(path)
    print(f"skipped: no {file_name} in ../shared/data beside the checkout")
    return None


def _with_costs(
    frame: pd.DataFrame, prices: dict[str, tuple[float, float]], n_output: int
) -> Outcomes:
    """Return outcomes that cost price x (characters / 4 input + n_output output tokens)."""
    n_input = frame["prompt"].str.len().to_numpy() / 4
    cost_usd = np.column_stack(
        [
            (n_input * price_in + n_output * price_out) / 1e6
            for price_in, price_out in prices.values()
        ]
    )
    return Outcomes(
        prompts=frame["prompt"].tolist(),
        models=list(prices),
        quality=frame[list(prices)].to_numpy(float),
        cost_usd=cost_usd,
        topics=frame["topic"].tolist(),
    )
