"""Which column holds a diagnosis, and in what order its classes stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from survfuse.core.errors import UserInputError
from survfuse.init.columns import Column
from survfuse.init.endpoint import spoken

NAMES = {"diagnosis", "diagnoses", "dx", "label", "class", "converter", "converted", "conversion"}
MOST_CLASSES = 5
FEWEST_OF_A_CLASS = 4  # two test patients of each class in each of two folds
# From what is least to what is looked for; words of one line mean the same.
ORDER = (
    {"no", "false", "0", "negative", "stable", "smci", "nonconverter", "not converted", "control"},
    {"controls", "healthy", "hc", "cn", "nc", "normal", "cognitively normal", "nl", "benign"},
    {"smc", "scd"},
    {"emci"},
    {"mci"},
    {"lmci"},
    {"pmci", "converter", "converted", "progressive", "yes", "true", "1", "positive", "patient"},
    {"ad", "dementia", "demented", "case", "malignant", "disease"},
)


@dataclass(frozen=True)
class Label:
    """A column of classes, in order; of two, the second is what is looked for."""

    column: str
    classes: tuple[str, ...]
    smallest: int  # patients of the rarest class


def find_label(columns: Sequence[Column], named: str | None = None) -> Label | None:
    """The column of a diagnosis: the named one, or the first whose name says so; else None.

    Raises UserInputError where the named one is not there or has no two classes.
    """
    if named is not None:
        column = next((column for column in columns if column.name == named), None)
        if column is None:
            raise UserInputError(f"--diagnosis {named}: the patient sheet has no such column")
        if (label := label_of(column)) is None:
            raise UserInputError(
                f"--diagnosis {named}: needs two to {MOST_CLASSES} classes of "
                f"{FEWEST_OF_A_CLASS} patients or more"
            )
        return label
    labels = (label_of(column) for column in columns if column.tokens & NAMES)
    return next((label for label in labels if label is not None), None)


def label_of(column: Column) -> Label | None:
    """The classes of a column; None where there are not two, too many, or one is too rare."""
    if column.words_for_missing:
        return None
    counts = {value: column.filled.count(value) for value in column.distinct}
    if not 2 <= len(counts) <= MOST_CLASSES or min(counts.values()) < FEWEST_OF_A_CLASS:
        return None
    return Label(column.name, tuple(sorted(counts, key=rank)), min(counts.values()))


def rank(value: str) -> tuple[int, str]:
    """The place of a class in the order; unknown words stand in the middle."""
    word = spoken(value)
    place = next((place for place, words in enumerate(ORDER) if word in words), len(ORDER) // 2)
    return place, value
