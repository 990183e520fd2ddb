"""The sections of `cohort` that ask for a task: what the configuration needs of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from survfuse.config.section import Section
from survfuse.tasks.registry import TASKS, declared


class TaskSection(Section):
    """Base of what the folder of a task declares as its SECTION.

    meaning: what the reference of the configuration says of it. asks: what models do where it is
    set, for messages, such as "models classify". printed: its fields that reports print and nothing
    computes with.
    """

    meaning: ClassVar[str]
    asks: ClassVar[str]
    printed: ClassVar[tuple[str, ...]] = ()

    @property
    def no_times(self) -> str:
        """Why no time of an event is known, and what to do; empty where times are known.

        Goes on from "by the time of the event, ".
        """
        return ""


# By the name of the task, which is the key under `cohort`.
SECTIONS: dict[str, type[TaskSection]] = {
    name: section for name in TASKS if (section := declared(name, "section")) is not None
}
# The task of a run that sets none of them.
(UNASKED,) = (name for name in TASKS if name not in SECTIONS)


def settings_of(names: Iterable[str]) -> str:
    """The keys of sections, for messages."""
    return " or ".join(f"cohort.{name}" for name in names)
