"""Learn which LLM to call for which prompt, and say honestly whether it pays.

Names are imported on first use, so that ``import routerlib`` stays quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "types": ("CandidateModel", "Decision", "Estimates", "Price", "Prompt"),
    "log": ("CallLog",),
    "outcomes": ("Outcomes",),
    "features": ("PromptFeatures",),
    "routers": (
        "BestSingle",
        "KNNRouter",
        "LGBMRouter",
        "LinearRouter",
        "MLPRouter",
        "RandomRouter",
        "RuleRouter",
        "TopicTable",
        "load_router",
    ),
    "policies": ("CostWeight", "MeanBudget", "QualityFloor", "Threshold"),
    "exploration": ("EpsilonGreedy", "Greedy", "Thompson", "UpperConfidence"),
    "budget_pacer": ("BudgetPacer",),
    "bandit": ("VowpalBandit",),
    "sample_size": ("plan_sample_size",),
    "training": ("at_certified_point", "at_operating_point", "train_router"),
    "benchmark": ("benchmark",),
    "evaluation": ("compare", "evaluate"),
    "learning_curve": ("learning_curve",),
    "noise": ("noise_ceiling", "repeats_from_log"),
    "split_comparison": ("compare_splits",),
    "logged": ("LoggedChoices",),
    "off_policy": ("estimate_value",),
    "retraining": ("retrain",),
    "drift": ("measure_drift",),
    "buying": ("buy_labels",),
    "explain": ("explain", "explain_margin", "similar_prompts"),
    "candidates": ("load_candidates",),
    "prompts": ("load_prompts",),
    "prompt_report": ("check_prompts",),
    "importers": ("import_log",),
    "collect": ("collect",),
    "judges": ("judge_log",),
    "llm_judge": ("compare_with_llm", "judge_with_llm"),
    "inference": ("ask",),
    "playground": ("playground",),
    "workspace": ("Workspace",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'routerlib' has no attribute {name!r}")
    value = getattr(import_module(f"routerlib.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keep ``rl.explain`` the function when the module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
