"""Learn which LLM to call for which prompt, and say honestly whether it pays.

Each public name is imported on first use, so that ``import routerlib`` stays quick. The names stand
twice: as imports for type checkers and editors, and by module for run time; a test compares both.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from routerlib.evaluation.benchmark import benchmark as benchmark
    from routerlib.evaluation.compare import compare as compare
    from routerlib.evaluation.cross_fit import cross_evaluate as cross_evaluate
    from routerlib.evaluation.drift import measure_drift as measure_drift
    from routerlib.evaluation.evaluate import evaluate as evaluate
    from routerlib.evaluation.learning_curve import learning_curve as learning_curve
    from routerlib.evaluation.noise import noise_ceiling as noise_ceiling
    from routerlib.evaluation.off_policy.value import estimate_value as estimate_value
    from routerlib.evaluation.repeats import repeats_from_log as repeats_from_log
    from routerlib.evaluation.retraining import retrain as retrain
    from routerlib.evaluation.unseen import compare_splits as compare_splits
    from routerlib.features.prompt_features import PromptFeatures as PromptFeatures
    from routerlib.gather.calls.ask import ask as ask
    from routerlib.gather.candidates.candidates import load_candidates as load_candidates
    from routerlib.gather.collection.collect import collect as collect
    from routerlib.gather.importers import import_log as import_log
    from routerlib.gather.judges import judge_log as judge_log
    from routerlib.gather.labels.audit import draw_audit as draw_audit
    from routerlib.gather.labels.audit import read_scores as read_scores
    from routerlib.gather.labels.buy import buy_labels as buy_labels
    from routerlib.gather.llm_judges.comparing import compare_with_llm as compare_with_llm
    from routerlib.gather.llm_judges.judging import judge_with_llm as judge_with_llm
    from routerlib.gather.prompts.checks import check_prompts as check_prompts
    from routerlib.gather.prompts.files import load_prompts as load_prompts
    from routerlib.log.audits import read_audit as read_audit
    from routerlib.log.call_log import CallLog as CallLog
    from routerlib.log.choices import LoggedChoices as LoggedChoices
    from routerlib.log.dataset import LogDataset as LogDataset
    from routerlib.log.schema import LogError as LogError
    from routerlib.metrics.sample_size import plan_sample_size as plan_sample_size
    from routerlib.outcomes.audit import Audit as Audit
    from routerlib.outcomes.outcomes import Outcomes as Outcomes
    from routerlib.policies.exploration import EpsilonGreedy as EpsilonGreedy
    from routerlib.policies.exploration import Greedy as Greedy
    from routerlib.policies.exploration import Thompson as Thompson
    from routerlib.policies.exploration import UpperConfidence as UpperConfidence
    from routerlib.policies.pacer import BudgetPacer as BudgetPacer
    from routerlib.policies.policies import CostWeight as CostWeight
    from routerlib.policies.policies import MeanBudget as MeanBudget
    from routerlib.policies.policies import QualityFloor as QualityFloor
    from routerlib.policies.policies import Threshold as Threshold
    from routerlib.policies.utility import Haste as Haste
    from routerlib.policies.vowpal import VowpalBandit as VowpalBandit
    from routerlib.records.call import CandidateModel as CandidateModel
    from routerlib.records.call import Price as Price
    from routerlib.records.decision import Decision as Decision
    from routerlib.records.decision import Estimates as Estimates
    from routerlib.records.errors import RouterlibError as RouterlibError
    from routerlib.records.prompt import Prompt as Prompt
    from routerlib.routers.artifact import ArtifactError as ArtifactError
    from routerlib.routers.baselines import BestSingle as BestSingle
    from routerlib.routers.baselines import RandomRouter as RandomRouter
    from routerlib.routers.baselines import TopicTable as TopicTable
    from routerlib.routers.cascades.cascade import Cascade as Cascade
    from routerlib.routers.cascades.judgement import AnswerJudgement as AnswerJudgement
    from routerlib.routers.clusters import ClusterTable as ClusterTable
    from routerlib.routers.distributed.fit import fit_distributed as fit_distributed
    from routerlib.routers.distributed.predict import predict_dataset as predict_dataset
    from routerlib.routers.explanation.explain import explain as explain
    from routerlib.routers.explanation.margin import explain_margin as explain_margin
    from routerlib.routers.explanation.similar import similar_prompts as similar_prompts
    from routerlib.routers.factors import LowRankRouter as LowRankRouter
    from routerlib.routers.factors import MFRouter as MFRouter
    from routerlib.routers.factors import OneFactorRouter as OneFactorRouter
    from routerlib.routers.lightgbm.router import LGBMRouter as LGBMRouter
    from routerlib.routers.loading import load_router as load_router
    from routerlib.routers.rivals import KNNRouter as KNNRouter
    from routerlib.routers.rivals import LinearRouter as LinearRouter
    from routerlib.routers.rivals import MLPRouter as MLPRouter
    from routerlib.routers.rules import RuleRouter as RuleRouter
    from routerlib.routers.training.train import at_certified_point as at_certified_point
    from routerlib.routers.training.train import at_operating_point as at_operating_point
    from routerlib.routers.training.train import train_router as train_router
    from routerlib.routers.untuned import UntunedLGBMRouter as UntunedLGBMRouter
    from routerlib.serve.background import serve_in_background as serve_in_background
    from routerlib.show.widget.playground import playground as playground
    from routerlib.show.workspace import Workspace as Workspace

    __all__: list[str]
else:
    import lazy_loader

    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "evaluation.benchmark": ["benchmark"],
            "evaluation.compare": ["compare"],
            "evaluation.cross_fit": ["cross_evaluate"],
            "evaluation.drift": ["measure_drift"],
            "evaluation.evaluate": ["evaluate"],
            "evaluation.learning_curve": ["learning_curve"],
            "evaluation.noise": ["noise_ceiling"],
            "evaluation.repeats": ["repeats_from_log"],
            "evaluation.off_policy.value": ["estimate_value"],
            "evaluation.retraining": ["retrain"],
            "evaluation.unseen": ["compare_splits"],
            "features.prompt_features": ["PromptFeatures"],
            "gather.calls.ask": ["ask"],
            "gather.candidates.candidates": ["load_candidates"],
            "gather.collection.collect": ["collect"],
            "gather.importers": ["import_log"],
            "gather.judges": ["judge_log"],
            "gather.labels.audit": ["draw_audit", "read_scores"],
            "gather.labels.buy": ["buy_labels"],
            "gather.llm_judges.comparing": ["compare_with_llm"],
            "gather.llm_judges.judging": ["judge_with_llm"],
            "gather.prompts.checks": ["check_prompts"],
            "gather.prompts.files": ["load_prompts"],
            "log.audits": ["read_audit"],
            "log.call_log": ["CallLog"],
            "log.choices": ["LoggedChoices"],
            "log.dataset": ["LogDataset"],
            "log.schema": ["LogError"],
            "metrics.sample_size": ["plan_sample_size"],
            "outcomes.audit": ["Audit"],
            "outcomes.outcomes": ["Outcomes"],
            "policies.exploration": ["EpsilonGreedy", "Greedy", "Thompson", "UpperConfidence"],
            "policies.pacer": ["BudgetPacer"],
            "policies.policies": ["CostWeight", "MeanBudget", "QualityFloor", "Threshold"],
            "policies.utility": ["Haste"],
            "policies.vowpal": ["VowpalBandit"],
            "records.call": ["CandidateModel", "Price"],
            "records.decision": ["Decision", "Estimates"],
            "records.errors": ["RouterlibError"],
            "records.prompt": ["Prompt"],
            "routers.artifact": ["ArtifactError"],
            "routers.baselines": ["BestSingle", "RandomRouter", "TopicTable"],
            "routers.cascades.cascade": ["Cascade"],
            "routers.cascades.judgement": ["AnswerJudgement"],
            "routers.clusters": ["ClusterTable"],
            "routers.distributed.fit": ["fit_distributed"],
            "routers.distributed.predict": ["predict_dataset"],
            "routers.explanation.explain": ["explain"],
            "routers.explanation.margin": ["explain_margin"],
            "routers.explanation.similar": ["similar_prompts"],
            "routers.factors": ["LowRankRouter", "MFRouter", "OneFactorRouter"],
            "routers.lightgbm.router": ["LGBMRouter"],
            "routers.loading": ["load_router"],
            "routers.rivals": ["KNNRouter", "LinearRouter", "MLPRouter"],
            "routers.rules": ["RuleRouter"],
            "routers.training.train": ["at_certified_point", "at_operating_point", "train_router"],
            "routers.untuned": ["UntunedLGBMRouter"],
            "serve.background": ["serve_in_background"],
            "show.widget.playground": ["playground"],
            "show.workspace": ["Workspace"],
        },
    )
    __all__ = ["__version__", *__all__]
