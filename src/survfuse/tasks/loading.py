"""The tasks as objects, imported where they are asked for."""

from __future__ import annotations

from survfuse.config.cohort import CohortConfig
from survfuse.config.study import Config
from survfuse.tasks.protocol import Task
from survfuse.tasks.registry import TASKS, declared


def task_of(config: Config | CohortConfig) -> Task:
    """What the models of a run are asked for."""
    return task_named(config.task)


def task_named(name: str) -> Task:
    """A task of the registry."""
    task: Task = declared(name, "task")
    return task


def every_task() -> list[Task]:
    """All tasks, in the order of the registry."""
    return [task_named(name) for name in TASKS]
