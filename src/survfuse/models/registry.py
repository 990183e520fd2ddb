"""The kinds of models by name. Adding one: a file with its estimator, and a line in KINDS.

Networks have a table of their own, `models.networks.registry`, and tasks bring kinds and estimators
in their folders; `all_kinds` holds all of them. Reading the tables imports no model, and so neither
PyTorch nor scikit-survival: the module of an estimator is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from survfuse.core.by_name import named
from survfuse.models.networks.registry import MODELS
from survfuse.tasks.registry import TASKS, declared

if TYPE_CHECKING:
    from survfuse.models.estimator import Estimator

Role = Literal["site", "clinical", "late", "classical", "fusion"]
BOTH = ("survival", "diagnosis")

TABULAR = ("clinical", "omics", "slides")  # what classical models read unless configured otherwise
CLASSICAL = "survfuse.models.classical"
STACKING = "survfuse.models.stacking"
NETWORK = "survfuse.training.network_estimator:NETWORK"  # of any network, for any task


def behind(module: str, tasks: tuple[str, ...] = ("survival",)) -> dict[str, str]:
    """The estimators of a module, each under the name of its task: SURVIVAL or DIAGNOSIS."""
    return {task: f"{module}:{task.upper()}" for task in tasks}


@dataclass(frozen=True)
class ModelSpec:
    """A kind of model as a configuration names it, and what is particular to it.

    label: its name in reports. reads: modalities in the order that reports list them; empty for one
    that averages other rows (see `specs.reads_of`). estimators: "module:name" of its estimator by
    the task that it is fitted for. role: what it is on a leaderboard; fusion and classical models
    are so where they read several modalities.
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
    estimators: Mapping[str, str]
    role: Role = "classical"
    chooses: bool = False
    averages: bool = False
    network: bool = False
    solved: bool = False
    explanation: str = ""
    absent: str = ""
    labelled: Callable[[Mapping[str, Any]], str] | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it can be fitted for."""
        return tuple(self.estimators)

    def load(self, task: str) -> Estimator:
        """The estimator of a task, imported now."""
        estimator: Estimator = named(self.estimators[task])
        return estimator


KINDS: dict[str, ModelSpec] = {
    "site_only": ModelSpec(
        "Site only", ("site",), behind(f"{CLASSICAL}.site_only", BOTH), role="site"
    ),
    "clinical_cox": ModelSpec(
        "Clinical Cox", ("clinical",), behind(f"{CLASSICAL}.clinical_cox"), role="clinical"
    ),
    "late_fusion": ModelSpec(
        "Late fusion", (), behind(f"{CLASSICAL}.late_fusion", BOTH), role="late", averages=True
    ),
    "survfuse": ModelSpec(
        *("survfuse", TABULAR, behind(f"{STACKING}.survfuse", BOTH)),
        role="fusion",
        chooses=True,
        explanation="survfuse.explain.stack",
    ),
    "residual_ridge": ModelSpec(
        *("Clinical offset + residual ridge", TABULAR, behind(f"{STACKING}.residual_ridge")),
        role="fusion",
        chooses=True,
        explanation="survfuse.explain.stack",
    ),
    "geneicl": ModelSpec(
        "GeneICL on clinical residuals",
        ("clinical", "omics"),
        behind(f"{STACKING}.geneicl"),
        role="fusion",
    ),
    "stack": ModelSpec(
        "Stack of rows", (), behind(f"{STACKING}.stack"), role="late", averages=True
    ),
    "coxnet": ModelSpec(
        "Elastic-net Cox", TABULAR, behind(f"{CLASSICAL}.elastic_net"), chooses=True
    ),
    "rsf": ModelSpec(
        "Random survival forest", TABULAR, behind(f"{CLASSICAL}.forest"), chooses=True
    ),
    "boosting": ModelSpec(
        "Gradient boosting", TABULAR, behind(f"{CLASSICAL}.boosting"), chooses=True
    ),
    "logistic": ModelSpec(
        *("Logistic regression", ("clinical",), behind(f"{CLASSICAL}.logistic", ("diagnosis",))),
        chooses=True,
    ),
}


def all_kinds() -> dict[str, ModelSpec]:
    """Every kind by the `kind` of a configuration, the networks last."""
    tasks = {name: declared(name, "task") for name in TASKS}
    fitting_networks = [name for name, task in tasks.items() if task.networks]
    networks = {
        name: ModelSpec(
            entry.label,
            entry.reads,
            dict.fromkeys(fitting_networks if entry.any_task else ["survival"], NETWORK),
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
    kinds = {**KINDS}
    for task in tasks.values():
        kinds |= task.kinds()
    kinds |= networks
    for name, task in tasks.items():
        for kind, place in task.estimators().items():
            kinds[kind] = replace(kinds[kind], estimators={**kinds[kind].estimators, name: place})
    return kinds
