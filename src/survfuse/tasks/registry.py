"""The tasks by name. Adding one: a folder beside this file and an entry in TASKS."""

from __future__ import annotations

from survfuse.config.cohort import CohortConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.tasks.diagnosis.task import DiagnosisTask
from survfuse.tasks.protocol import Task
from survfuse.tasks.survival.task import SurvivalTask

TASKS: dict[str, Task] = {task.name: task for task in (SurvivalTask(), DiagnosisTask())}


def task_of(config: Config | CohortConfig) -> Task:
    """What the models of a run are asked for. Raises UserInputError where nobody offers it."""
    if config.task not in TASKS:
        raise UserInputError(
            f"there is no task {config.task!r}; this version has {', '.join(TASKS)}"
        )
    return TASKS[config.task]
