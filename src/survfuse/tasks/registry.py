"""The tasks by name. Adding one: a folder of its name beside this file, and a line in TASKS.

Stages from the configuration to the report ask a task for what they need of it. As each stands on
a floor of its own, a folder declares it in modules of fixed names, one constant in each:

- `section`, SECTION: the section of `cohort` that asks for the task; None for the one task that a
  run has without any (`config.task_section`).
- `outcomes`, OUTCOMES: the columns of its outcomes, and what training learns from
  (`artifacts.outcome_columns`).
- `task`, TASK: everything else, with the names of what stands higher still (`tasks.protocol`).

Reading the table costs nothing; a module is imported where it is asked for.
"""

from __future__ import annotations

from typing import Any

from survfuse.core.by_name import named

# The names of the folders, in the order in which messages and pages list them.
TASKS = (
    "survival",
    "diagnosis",
)


def declared(task: str, what: str) -> Any:
    """What the folder of a task declares in one of its modules: section, outcomes or task."""
    return named(f"survfuse.tasks.{task}.{what}:{what.upper()}")
