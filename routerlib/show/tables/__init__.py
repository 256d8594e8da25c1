"""Tables for readers: units in the heads, intervals in the cells."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "deadlines": ["deadlines_table"],
        "evaluation": ["comparison_table", "noise_table", "power_table", "splits_table"],
        "log": [
            "candidates_table",
            "example_answers",
            "last_decisions",
            "log_summary",
            "prompts_by_task",
            "statuses",
        ],
        "rendering": ["Table", "table"],
        "retraining": ["calibration_table", "drift_table", "gain_table"],
        "routing": [
            "cheapest_sufficient",
            "estimates_table",
            "seen_and_unseen",
            "similar_table",
            "where_each_wins",
        ],
    },
)
