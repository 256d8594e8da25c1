"""Sentences that were computed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "lessons": [
            "collect_lessons",
            "describe_features",
            "examples_by_task",
            "explain_lessons",
            "playground_lessons",
            "telling_prompt",
        ],
        "prose": ["Prose", "say"],
        "sentences": [
            "describe_certificate",
            "describe_outcomes",
            "describe_router",
            "describe_split",
            "evaluate_lessons",
            "train_lessons",
        ],
    },
)
