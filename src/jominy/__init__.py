"""Measure whether reinforcement learning will work for a language model, a task and a reward - before the run.

The public names. Each is imported when it is first asked for, so that `import jominy` and `jominy --help` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jominy.audited import Audit
    from jominy.auditing import audit
    from jominy.checking import check
    from jominy.diagnosis import diagnose, diagnose_path
    from jominy.explaining import explain, explain_path
    from jominy.explanation import Explanation
    from jominy.groups import Groups
    from jominy.interpretation import Interpretation
    from jominy.interpreting import interpret_path
    from jominy.recipes.loading import load_recipe
    from jominy.recipes.recipe import Recipe
    from jominy.records import Finding, GroupReward, Measure, Message, Prompt, Reward, Rollout, Sampling, Task
    from jominy.refined import Refined
    from jominy.refining import refine
    from jominy.reporting import report
    from jominy.results import Diagnosis
    from jominy.rewards.boundary import Grader
    from jominy.rewards.loading import load_reward
    from jominy.sampling import sample
    from jominy.specs import DataSpec, DiagnosisSpec, EvaluateSpec, RunSpec, SampleSpec, UpdateSpec
    from jominy.specs.auditing import AuditSpec
    from jominy.specs.refining import RefineSpec
    from jominy.store import RunFolder
    from jominy.studies.running import study
    from jominy.tables import groups_of, read_rollouts
    from jominy.tasks.identity import identify
    from jominy.tasks.loading import load_task
    from jominy.training import train

_HOMES = {
    "audited": ("Audit",),
    "auditing": ("audit",),
    "checking": ("check",),
    "diagnosis": ("diagnose", "diagnose_path"),
    "explaining": ("explain", "explain_path"),
    "explanation": ("Explanation",),
    "groups": ("Groups",),
    "interpretation": ("Interpretation",),
    "interpreting": ("interpret_path",),
    "recipes.loading": ("load_recipe",),
    "recipes.recipe": ("Recipe",),
    "records": ("Finding", "GroupReward", "Measure", "Message", "Prompt", "Reward", "Rollout", "Sampling", "Task"),
    "reporting": ("report",),
    "refined": ("Refined",),
    "refining": ("refine",),
    "results": ("Diagnosis",),
    "rewards.boundary": ("Grader",),
    "rewards.loading": ("load_reward",),
    "sampling": ("sample",),
    "specs": ("DataSpec", "DiagnosisSpec", "EvaluateSpec", "RunSpec", "SampleSpec", "UpdateSpec"),
    "specs.auditing": ("AuditSpec",),
    "specs.refining": ("RefineSpec",),
    "store": ("RunFolder",),
    "studies.running": ("study",),
    "tables": ("groups_of", "read_rollouts"),
    "tasks.identity": ("identify",),
    "tasks.loading": ("load_task",),
    "training": ("train",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Audit",
    "AuditSpec",
    "DataSpec",
    "Diagnosis",
    "DiagnosisSpec",
    "EvaluateSpec",
    "Explanation",
    "Finding",
    "Grader",
    "GroupReward",
    "Groups",
    "Interpretation",
    "Measure",
    "Message",
    "Prompt",
    "Recipe",
    "RefineSpec",
    "Refined",
    "Reward",
    "Rollout",
    "RunFolder",
    "RunSpec",
    "SampleSpec",
    "Sampling",
    "Task",
    "UpdateSpec",
    "audit",
    "check",
    "diagnose",
    "diagnose_path",
    "explain",
    "explain_path",
    "groups_of",
    "identify",
    "interpret_path",
    "load_recipe",
    "load_reward",
    "load_task",
    "read_rollouts",
    "refine",
    "report",
    "sample",
    "study",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'jominy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jominy.{_HOME_OF[name]}"), name)
