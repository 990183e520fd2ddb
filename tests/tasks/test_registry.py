"""Every task answers the protocol, and nothing outside asks which task it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import clinic_fixture
import reporting_fixture
from survfuse.config.cohort import CohortConfig
from survfuse.config.task_section import SECTIONS, UNASKED
from survfuse.core.by_name import named
from survfuse.models.registry import all_kinds
from survfuse.reporting.pages import TaskPages, pages_of
from survfuse.reporting.render import TEMPLATES
from survfuse.tasks.loading import every_task, task_named, task_of
from survfuse.tasks.protocol import Task
from survfuse.tasks.registry import TASKS, declared

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "survfuse"
CONFIGURATIONS = {
    "survival": reporting_fixture.configuration,
    "diagnosis": clinic_fixture.configuration,
}
# A task's own code, and what reads and writes the configuration itself.
OWN = ("tasks", "init", "reporting/survival", "reporting/diagnosis")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_answers_the_protocol(name: str, tmp_path: Path) -> None:
    task, config = task_named(name), CONFIGURATIONS[name](tmp_path)
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


@pytest.mark.parametrize("name", TASKS)
def test_every_task_declares_what_all_stages_ask_for(name: str) -> None:
    task = task_named(name)
    assert declared(name, "section") is SECTIONS.get(name)
    outcomes = declared(name, "outcomes")
    assert outcomes.types and callable(outcomes.strata) and callable(outcomes.learned)
    average = named(task.average)
    assert callable(average.fit) and callable(average.predict)
    networks = named(task.networks)
    assert callable(networks.targets) and callable(networks.predict)
    assert [kind for kind, spec in all_kinds().items() if name in spec.tasks]


def test_one_task_is_asked_for_without_a_section_and_one_section_asks_for_a_task() -> None:
    assert CohortConfig().task == UNASKED == "survival"
    assert CohortConfig().why_task == "cohort.diagnosis is not set"
    asked = CohortConfig(diagnosis={"column": "group"})
    assert asked.task == "diagnosis" and asked.asked is asked.diagnosis
    assert asked.why_task == "cohort.diagnosis is set, so models classify"
    assert [task.name for task in every_task()] == list(TASKS)


def asks(tree: ast.AST) -> list[int]:
    """Lines that compare the name of a task, or read the section that chooses it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
            names = [one for side in compared for one in ast.walk(side)]
            task = any(isinstance(one, ast.Attribute) and one.attr == "task" for one in compared)
            if task and any(isinstance(one, ast.Constant) for one in names):
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
        if under(name, OWN):
            continue
        wrong += [f"{name}:{line}" for line in asks(ast.parse(path.read_text("utf-8")))]
    rules = [ROOT / "Snakefile", *sorted((ROOT / "workflow").rglob("*.smk"))]
    for path in [*rules, ROOT / "workflow" / "Snakefile"]:
        text = path.read_text("utf-8")
        wrong += [path.name for _ in re.finditer(r"\.task\s*(==|!=)|cohort\.diagnosis", text)]
    assert wrong == []


def test_the_search_finds_what_it_looks_for() -> None:
    for code in (
        'if config.task == "x": pass',
        'if config.task in ("x", "y"): pass',
        "a = config.cohort.diagnosis is None",
    ):
        assert asks(ast.parse(code)) == [1]
    assert asks(ast.parse("config.task in spec.tasks")) == []
    assert asks(ast.parse("task_of(config).evaluate(config, files)")) == []
