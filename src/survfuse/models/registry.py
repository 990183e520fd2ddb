"""The kinds of models by name. Adding one: a file with its estimator, and a line in KINDS.

Networks have a table of their own, `models.networks.registry`; `all_kinds` holds both. Reading the
tables imports no model, and so neither PyTorch nor scikit-survival: the module of an estimator is
imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from survfuse.models.networks.registry import MODELS

if TYPE_CHECKING:
    from survfuse.models.estimator import Estimator

Task = Literal["survival", "diagnosis"]
Role = Literal["site", "clinical", "late", "classical", "fusion"]
BOTH: tuple[Task, ...] = ("survival", "diagnosis")

TABULAR = ("clinical", "omics", "slides")  # what classical models read unless configured otherwise
CLASSICAL = "survfuse.models.classical"
STACKING = "survfuse.models.stacking"


@dataclass(frozen=True)
class ModelSpec:
    """A kind of model as a configuration names it, and what is particular to it.

    label: its name in reports. reads: modalities in the order that reports list them; empty for one
    that averages other rows (see `specs.reads_of`). module: where its estimators are, each under
    the name of its task, SURVIVAL or DIAGNOSIS. tasks: those that it can be fitted for. role: what
    it is on a leaderboard; fusion and classical models are so where they read several modalities.
    chooses: its option `modalities` may name others that it reads instead. averages: it reads
    nothing of its own, and averages the rows that its option `parts` names. network: its fits take
    so long that each is a job and `training.repeats` limits them. solved: a network whose weights
    are solved for on all training patients, so that none of them stops a training. explanation: the
    module whose function `explain` explains its estimates, see `explain.stage`; empty where none
    does. absent: the default of its option of that name, where it has one. labelled: its name in
    reports where that depends on its options.
    """

    label: str
    reads: tuple[str, ...]
    module: str
    tasks: tuple[Task, ...] = ("survival",)
    role: Role = "classical"
    chooses: bool = False
    averages: bool = False
    network: bool = False
    solved: bool = False
    explanation: str = ""
    absent: str = ""
    labelled: Callable[[Mapping[str, Any]], str] | None = None

    def load(self, task: Task) -> Estimator:
        """The estimator of a task, imported now."""
        estimator: Estimator = getattr(import_module(self.module), task.upper())
        return estimator


KINDS: dict[str, ModelSpec] = {
    "site_only": ModelSpec("Site only", ("site",), f"{CLASSICAL}.site_only", BOTH, "site"),
    "clinical_cox": ModelSpec(
        "Clinical Cox", ("clinical",), f"{CLASSICAL}.clinical_cox", role="clinical"
    ),
    "late_fusion": ModelSpec(
        "Late fusion", (), f"{CLASSICAL}.late_fusion", BOTH, "late", averages=True
    ),
    "survfuse": ModelSpec(
        *("survfuse", TABULAR, f"{STACKING}.survfuse", BOTH),
        role="fusion",
        chooses=True,
        explanation="survfuse.explain.stack",
    ),
    "residual_ridge": ModelSpec(
        *("Clinical offset + residual ridge", TABULAR, f"{STACKING}.residual_ridge"),
        role="fusion",
        chooses=True,
        explanation="survfuse.explain.stack",
    ),
    "stack": ModelSpec("Stack of rows", (), f"{STACKING}.stack", role="late", averages=True),
    "coxnet": ModelSpec("Elastic-net Cox", TABULAR, f"{CLASSICAL}.elastic_net", chooses=True),
    "rsf": ModelSpec("Random survival forest", TABULAR, f"{CLASSICAL}.forest", chooses=True),
    "boosting": ModelSpec("Gradient boosting", TABULAR, f"{CLASSICAL}.boosting", chooses=True),
    "logistic": ModelSpec(
        "Logistic regression", ("clinical",), f"{CLASSICAL}.logistic", ("diagnosis",), chooses=True
    ),
}


def all_kinds() -> dict[str, ModelSpec]:
    """Every kind by the `kind` of a configuration, the networks last."""
    networks = {
        name: ModelSpec(
            entry.label,
            entry.reads,
            "survfuse.training.network_estimator",
            BOTH if entry.diagnoses else ("survival",),
            role="fusion",
            chooses=entry.chooses,
            network=True,
            solved=entry.solved,
            explanation="survfuse.explain.networks",
            absent=entry.absent,
            labelled=entry.labelled,
        )
        for name, entry in sorted(MODELS.items())
    }
    return {**KINDS, **networks}
