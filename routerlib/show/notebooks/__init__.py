"""What notebooks call beside the front door, and how they are run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    "routerlib",
    submod_attrs={
        "evaluation.benchmark_fits": ["usual_routers", "without_each_group"],
        "evaluation.off_policy.value": ["why_no_value"],
        "evaluation.replay.replay": ["replay", "summarise", "usual_players"],
        "evaluation.replay.traffic": ["explore", "make_year"],
        "evaluation.duel": ["compare_observed"],
        "gather.labels.replayed": ["replay_splits"],
        "outcomes.splits": ["folds"],
        "show.notebooks.benchmarks": [
            "benchmark_lessons",
            "benchmark_table",
            "costs_table",
            "curves_plot",
            "groups_table",
            "leads_table",
            "main_metric",
            "memory_table",
            "reliability_plot",
        ],
        "show.notebooks.learning": [
            "active_lessons",
            "labels_plot",
            "labels_table",
            "off_policy_lessons",
            "regret_plot",
            "regret_table",
            "value_frame",
            "values_plot",
        ],
        "show.notebooks.served": [
            "decisions_of",
            "served_findings",
            "served_plot",
            "served_table",
            "served_values",
            "served_values_plot",
            "value_before",
        ],
        "show.held_out": ["failures_as_wrong", "split_as_trained"],
        "routers.training.cross_trained": ["divide_for_test", "train_for_test"],
    },
)
