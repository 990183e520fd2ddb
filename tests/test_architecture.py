"""The shape of the package: which floor may import which, how long modules and folders get."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from survfuse.tasks.registry import TASKS

SOURCE = Path(__file__).parents[1] / "src"
# From the ground up: what stands on one line may import the lines above it, and itself. A module
# belongs to the longest name that it starts with; * is the folder of any task, so that a new one
# changes nothing here.
FLOORS = (
    "survfuse survfuse.core",
    "survfuse.modalities.registry survfuse.tasks.registry",
    "survfuse.config.section",
    "survfuse.config.task_section",
    "survfuse.tasks.*.section",
    "survfuse.config",
    "survfuse.tasks.diagnosis.asked survfuse.tasks.diagnosis.classes",
    "survfuse.artifacts.outcome_columns",
    "survfuse.artifacts survfuse.sheets",
    "survfuse.statistics",
    "survfuse.tasks.*.outcomes",
    "survfuse.tasks.survival.hazards survfuse.tasks.survival.bins",
    "survfuse.modalities.paths survfuse.modalities.sheets survfuse.modalities.conformity",
    "survfuse.modalities.protocol",
    "survfuse.modalities.by_patient survfuse.modalities.cohort survfuse.modalities.dense",
    "survfuse.modalities.clinical survfuse.modalities.omics survfuse.modalities.slides "
    "survfuse.modalities.volumes survfuse.modalities.radiomics",
    "survfuse.modalities",
    "survfuse.published survfuse.splits",
    "survfuse.models.networks",
    "survfuse.models",
    "survfuse.evaluation",
    "survfuse.tasks.prediction_tables survfuse.tasks.sheet_words",
    "survfuse.tasks.protocol",
    "survfuse.tasks.*",
    "survfuse.tasks",
    "survfuse.cohort",
    "survfuse.models.classical",
    "survfuse.models.stacking",
    "survfuse.training",
    "survfuse.tasks.*.learning",  # what models learn of a task; the task names it
    "survfuse.synthesis survfuse.explain",
    "survfuse.reporting survfuse.init survfuse.simulation survfuse.runner",
    "survfuse.deployment",
    "survfuse.exchange",
    "survfuse.serve",
    "survfuse.cli",
    "survfuse.__main__",
    "survfuse.api",  # which `import survfuse` leads to, but not before one of its functions is used
)
RANK = {
    name.replace("*", task): rank
    for rank, names in enumerate(FLOORS)
    for name in names.split()
    for task in (TASKS if "*" in name else [""])
}
LONGEST_MODULE = 300  # lines
WITHOUT_TORCH = ("survfuse.evaluation", "survfuse.statistics", "survfuse.artifacts")


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((SOURCE / "survfuse").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(module: str) -> frozenset[str]:
    """What a module imports, of others and of ours, for types and inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else node.module for name in full}
    return frozenset(found - {module})


def floor_of(module: str) -> tuple[int, str]:
    """The rank and the name of the floor of a module."""
    name = max((one for one in RANK if f"{module}.".startswith(f"{one}.")), key=len)
    return RANK[name], name


def test_imports_point_down() -> None:
    wrong = []
    for module in modules():
        rank, name = floor_of(module)
        for other in imported(module) & modules().keys():
            below, theirs = floor_of(other)
            if below > rank or (below == rank and theirs != name):
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_no_imports_go_in_circles() -> None:
    graph = {module: imported(module) & modules().keys() for module in modules()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_tasks_and_their_pages_do_not_know_one_another() -> None:
    tasks = {path.parent.name for path in (SOURCE / "survfuse" / "tasks").glob("*/task.py")}
    assert tasks == set(TASKS)
    wrong = [
        f"{module} imports {other}"
        for task in tasks
        for module in modules()
        if f"{module}.".startswith((f"survfuse.tasks.{task}.", f"survfuse.reporting.{task}."))
        for other in imported(module)
        for stranger in tasks - {task}
        if f".{stranger}." in f"{other}."
    ]
    assert wrong == []


@pytest.mark.parametrize("package", WITHOUT_TORCH)
def test_what_only_reads_tables_imports_no_torch(package: str) -> None:
    own = [name for name in modules() if f"{name}.".startswith(f"{package}.")]
    assert own
    assert not [name for name in own if any(i.split(".")[0] == "torch" for i in imported(name))]


def test_one_module_imports_timm() -> None:
    users = {name for name in modules() if any(i.split(".")[0] == "timm" for i in imported(name))}
    assert users == {"survfuse.modalities.slides.encoders.networks"}


def test_modules_stay_short_enough_to_be_read() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: n for name, n in lines.items() if n > LONGEST_MODULE} == {}


def test_folders_stay_small_enough_to_be_read() -> None:
    count = Counter(path.parent for path in modules().values() if path.name != "__init__.py")
    assert {str(folder.relative_to(SOURCE)): n for folder, n in count.items() if n > 24} == {}
