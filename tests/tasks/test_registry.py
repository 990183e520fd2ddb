"""Every task answers the protocol, and nothing outside asks which task it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import clinic_fixture
import reporting_fixture
from survfuse.artifacts.outcome_columns import OUTCOMES
from survfuse.core.errors import UserInputError
from survfuse.reporting.pages import TaskPages, pages_of
from survfuse.reporting.render import TEMPLATES
from survfuse.tasks.protocol import Task
from survfuse.tasks.registry import TASKS, task_of

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "survfuse"
CONFIGURATIONS = {
    "survival": reporting_fixture.configuration,
    "diagnosis": clinic_fixture.configuration,
}
# A task's own code, and what reads and writes the configuration itself.
OWN = ("tasks", "config", "init", "reporting/survival", "reporting/diagnosis")
# What still asks, and why.
EXCEPTIONS = {
    "models/classical/logistic.py": "it reads how many classes there are",
    "models/stacking/class_stack.py": "it reads how many classes there are",
    "training": "networks choose their targets and loss",
    "models/specs.py": "volumes are mapped for diagnoses alone",
}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_answers_the_protocol(name: str, tmp_path: Path) -> None:
    task, config = TASKS[name], CONFIGURATIONS[name](tmp_path)
    assert isinstance(task, Task)
    assert task.name == name == config.task
    assert task_of(config) is task
    assert "add {name" in task.mandatory.needs_clinical
    assert "permute_outcomes: true" in task.mandatory.needs_control
    clinical = [row.name for row in config.models if task.mandatory.is_clinical(row, config.models)]
    assert clinical == [config.evaluation.reference]
    assert all(isinstance(word, str) for word in task.words(config))
    assert task.has_risks(config) is True
    for board in task.documented():
        assert board.ranking in board.metrics
    pages = pages_of(task)
    assert isinstance(pages, TaskPages)
    for template in (pages.cohort_template, pages.patient_template):
        assert (TEMPLATES / template).is_file()


def test_the_outcome_columns_of_every_task_are_declared() -> None:
    assert set(OUTCOMES) == set(TASKS)


def test_an_unknown_task_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = reporting_fixture.configuration(tmp_path)
    others = {name: task for name, task in TASKS.items() if name != "survival"}
    monkeypatch.setattr("survfuse.tasks.registry.TASKS", others)
    with pytest.raises(UserInputError, match="there is no task 'survival'; this version has diag"):
        task_of(config)


def asks(tree: ast.AST) -> list[int]:
    """Lines that compare the name of a task, or read the section that chooses it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
            if any(isinstance(one, ast.Attribute) and one.attr == "task" for one in compared):
                found.append(node.lineno)
        if isinstance(node, ast.Attribute) and node.attr == "diagnosis":
            section = ast.unparse(node.value).split(".")[-1]
            if section in ("cohort", "config", "settings"):
                found.append(node.lineno)
    return found


def under(path: str, folders: Any) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def test_nothing_outside_branches_on_the_task() -> None:
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if under(name, OWN) or under(name, EXCEPTIONS):
            continue
        wrong += [f"{name}:{line}" for line in asks(ast.parse(path.read_text("utf-8")))]
    rules = [ROOT / "Snakefile", *sorted((ROOT / "workflow").rglob("*.smk"))]
    for path in [*rules, ROOT / "workflow" / "Snakefile"]:
        text = path.read_text("utf-8")
        wrong += [path.name for _ in re.finditer(r"\.task\s*(==|!=)|cohort\.diagnosis", text)]
    assert wrong == []


def test_the_search_finds_what_it_looks_for() -> None:
    for code in ('if config.task == "x": pass', "a = config.cohort.diagnosis is None"):
        assert asks(ast.parse(code)) == [1]
    assert asks(ast.parse("task_of(config).evaluate(config, files)")) == []
