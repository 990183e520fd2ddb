"""What checks have found so far, gathered over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from survfuse.core.errors import MissingResourceError, UserInputError
from survfuse.sheets.problems import Note, Problem, SheetError
from survfuse.sheets.text_table import Sheet

Content = TypeVar("Content")


@dataclass
class Findings:
    """What checks have found so far: problems, problems that are whole sentences, and notes."""

    problems: list[Problem] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    resources: list[MissingResourceError] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def attempt(self, check: Callable[..., Content], *arguments: Any) -> Content | None:
        """What a check returns, or None and what it raises, if that is for people to mend."""
        try:
            return check(*arguments)
        except SheetError as error:
            self.problems += error.problems
            self.others += error.others
        except UserInputError as error:
            self.others.append(str(error))
        except MissingResourceError as error:
            self.resources.append(error)
        return None

    def take(self, sheet: Sheet | None, problems: Iterable[Problem]) -> Sheet | None:
        """The sheet, if it could be read, with what was found in reading it."""
        self.problems += problems
        self.notes += sheet.notes if sheet else ()
        return sheet

    def setting(self, key: str, problem: str, remedy: str) -> None:
        """A setting that the sheets show to be wrong."""
        self.problems.append(Problem("configuration", None, key, None, problem, remedy))

    def stop_if_any(self) -> None:
        """Raise SheetError with all problems, or the first missing resource where that is all."""
        if self.problems or self.others:
            missing = [str(error) for error in self.resources]
            raise SheetError(self.problems, [*dict.fromkeys([*self.others, *missing])])
        if self.resources:
            raise self.resources[0]
