"""Figures: one message each, the finding as the title."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "evaluation": [
            "cost_quality",
            "learning_curve",
            "noise_ceiling",
            "reliability",
        ],
        "explanation": ["margin", "waterfall"],
        "importance": ["beeswarm", "dependence", "feature_importance", "importance_by_model"],
        "outcomes": ["quality_by_model", "task_heatmap"],
        "shares": ["routed_shares"],
        "style": ["candidate_styles"],
    },
)
