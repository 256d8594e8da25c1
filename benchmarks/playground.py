"""Print how long the playground takes to follow one change of prompt or slider.

Run ``OMP_NUM_THREADS=1 python benchmarks/playground.py``; protocol: results/playground.md.
"""

from __future__ import annotations

import time

import numpy as np
from speed import make_outcomes, make_prompts

from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.widget import html as pictures
from routerlib.show.widget.controller import PlaygroundController

N_CHANGES = 300


def main() -> None:
    """Print the table for three and for nine candidates."""
    print("candidates  policy       p50 ms  p95 ms  max ms  first ms")
    for n_models in (3, 9):
        outcomes = make_outcomes(n_models)
        controller = PlaygroundController(LGBMRouter().fit(outcomes), [], outcomes=outcomes)
        for kind in controller.kinds:
            controller.choose_kind(kind)
            first, *later = [change(controller, text) for text in make_prompts(N_CHANGES, seed=3)]
            numbers = [*np.percentile(later, [50, 95, 100]), first]
            shown = "  ".join(f"{value:6.1f}" for value in numbers)
            print(f"{n_models:10}  {kind:11}  {shown}")


def change(controller: PlaygroundController, text: str) -> float:
    """Type another prompt at another place of the slider; return the milliseconds until drawn."""
    setting = controller.settings[len(text) % len(controller.settings)]
    start = time.perf_counter()
    controller.set(prompt=text, **{setting.kind: setting.value})
    pictures.result(controller)
    pictures.meaning(controller)
    pictures.costs(controller, controller.router.models_)
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
