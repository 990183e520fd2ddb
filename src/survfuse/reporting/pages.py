"""What the pages of a task are: the data they read, their templates, and what these print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from survfuse.config.study import Config
from survfuse.core.by_name import named
from survfuse.reporting.inputs import ReportInputs, RunData
from survfuse.tasks.protocol import Task

Data = TypeVar("Data", bound=RunData)
Model = TypeVar("Model")
Context = Mapping[str, Any]


@dataclass(frozen=True)
class FailedPage:
    """A patient page that could not be written, and why, for the reader of the cohort report."""

    patient_id: str
    reason: str


@dataclass(frozen=True)
class TaskPages(Generic[Data, Model]):
    """The pages of one task.

    read: what all pages share. read_model: the model that patient pages show, asked for only where
    anybody gets a page. cohort and patient: what the templates print. All may raise UserInputError
    where files are absent, unreadable or do not belong together.
    """

    cohort_template: str
    patient_template: str
    read: Callable[[Config, ReportInputs], Data]
    read_model: Callable[[Config, Data], Model]
    cohort: Callable[[Config, Data, Sequence[FailedPage]], Context]
    patient: Callable[[Config, Data, Model, str], Context]


def pages_of(task: Task) -> TaskPages[Any, Any]:
    """The pages that a task names; they stand above tasks and are imported by name."""
    found: TaskPages[Any, Any] = named(task.pages)
    return found
