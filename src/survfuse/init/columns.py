"""What a column of the patient sheet looks like: its values, and the variable it may be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from survfuse.sheets.missing_words import SPREADSHEET_ERRORS
from survfuse.sheets.text_table import Sheet, as_number, fault_of_text

MISSING = {"na", "n/a", "nan", "none", "null", "unknown", "not available", "[not available]"}
MISSING |= {"not reported", "--", "'--", ".", "?", "[unknown]", "[not applicable]", "missing"}
MISSING |= SPREADSHEET_ERRORS
MOST_CATEGORIES = 12
MOST_LEVELS = 6  # whole numbers with more values are measurements
FEWEST_PER_CATEGORY = 3  # on average; less is no group of patients
LONGEST_CATEGORY = 40
LEVEL = re.compile(
    r"(?P<word>[a-z ]*?)[ _-]?(?P<number>[0-9]{1,2}|[ivx]+)(?P<part>[a-d]?[0-9]?)", re.I
)
ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
SCALES = (
    ("low", "intermediate", "high"),
    ("low", "medium", "high"),
    ("low", "moderate", "high"),
    ("none", "mild", "moderate", "severe"),
    ("normal", "mild", "moderate", "severe"),
    ("absent", "mild", "moderate", "severe"),
    ("well", "moderate", "poor", "undifferentiated"),
)


@dataclass(frozen=True)
class Column:
    """A column: `cells` as in the sheet, `filled` those that say something."""

    name: str
    cells: tuple[str, ...]
    filled: tuple[str, ...]

    @property
    def distinct(self) -> list[str]:
        """The different values, in the order of the sheet."""
        return list(dict.fromkeys(self.filled))

    @property
    def words_for_missing(self) -> list[str]:
        """Words that stand where nothing is known."""
        return sorted({cell for cell in self.cells if cell and is_missing(cell)})

    @property
    def numbers(self) -> list[float] | None:
        """The values as numbers; None where some are none, or there are none."""
        values = [as_number(text) for text in self.filled]
        known = [value for value in values if value is not None]
        return known if known and len(known) == len(values) else None

    @property
    def tokens(self) -> set[str]:
        """The words of its name, in lower case."""
        return tokens_of(self.name)


@dataclass(frozen=True)
class Variable:
    """A covariate as it is declared, or, with a `reason`, why a column is not declared.

    `advice`: what to know about a declared one.
    """

    name: str
    kind: str = ""
    levels: tuple[str, ...] = ()
    reason: str = ""
    advice: str = ""


def tokens_of(name: str) -> set[str]:
    """The words of a name such as daysToDeath, OS.time or vital_status."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return set(re.findall(r"[a-z]+|[0-9]+", parted.lower()))


def is_missing(text: str) -> bool:
    """Whether a cell says that nothing is known."""
    return text == "" or text.lower() in MISSING


def columns_of(sheet: Sheet) -> list[Column]:
    """All columns of a sheet but the ids."""
    columns = []
    for name in sheet.rows.columns:
        if name != "patient_id":
            cells = tuple(sheet.rows[name])
            columns.append(Column(name, cells, tuple(c for c in cells if not is_missing(c))))
    return columns


def variable_of(column: Column) -> Variable:
    """What kind of covariate a column is, going by its values alone."""
    name, distinct = column.name, column.distinct
    if len(distinct) < 2:
        return Variable(name, reason="has one value, or none")
    if any(fault_of_text(text) for text in distinct):
        return Variable(name, reason="holds texts, not short labels")
    numbers = column.numbers
    found = word_variable(column) if numbers is None else number_variable(column, numbers)
    if not found.reason and (words := column.words_for_missing):
        shown = ", ".join(words)
        return Variable(
            name,
            found.kind,
            found.levels,
            f"says {shown} where nothing is known; empty these cells",
        )
    return found


def number_variable(column: Column, numbers: Sequence[float]) -> Variable:
    """A column of numbers: a measurement, a score of few levels, or a code of two values."""
    values, whole = sorted(set(numbers)), all(number.is_integer() for number in numbers)
    if len(values) == len(numbers) and whole and id_like(column):
        return Variable(column.name, reason="looks like an id")
    if len(column.distinct) == 2 and whole:
        return Variable(column.name, "categorical")
    spelled_once = len(values) == len(column.distinct)
    if whole and len(values) <= MOST_LEVELS and values[-1] <= 10 and spelled_once:
        levels = tuple(sorted(column.distinct, key=float))
        return Variable(column.name, "ordinal", levels, advice="continuous, if steps are equal")
    return Variable(column.name, "continuous")


def id_like(column: Column) -> bool:
    """Whether the name of a column says that it numbers patients, samples or rows."""
    return bool(
        column.tokens & {"id", "ids", "identifier", "barcode", "uuid", "mrn", "index", "row"}
    )


def word_variable(column: Column) -> Variable:
    """A column of words: ordered levels, categories, or neither."""
    distinct, name = column.distinct, column.name
    mixed = sum(as_number(text) is not None for text in distinct)
    if mixed > len(distinct) / 2 and len(distinct) > MOST_CATEGORIES:
        odd = next(text for text in distinct if as_number(text) is None)
        return Variable(name, reason=f"holds numbers, but also {odd[:LONGEST_CATEGORY]!r}")
    if id_like(column) or len(distinct) == len(column.filled) > MOST_CATEGORIES:
        return Variable(name, reason="has another value for every patient, as an id has")
    if max(map(len, distinct)) > LONGEST_CATEGORY:
        return Variable(name, reason="holds free text")
    if len(distinct) > MOST_CATEGORIES or len(column.filled) / len(distinct) < FEWEST_PER_CATEGORY:
        return Variable(name, reason=f"has {len(distinct)} different values, too many for groups")
    if levels := ordered(distinct):
        return Variable(name, "ordinal", levels)
    return Variable(name, "categorical")


def ordered(texts: Sequence[str]) -> tuple[str, ...]:
    """Levels from low to high where texts are stages, grades or a known scale; else none."""
    by_word = {text.lower(): text for text in texts}
    for scale in SCALES:
        if len(texts) > 1 and len(by_word) == len(texts) and by_word.keys() <= set(scale):
            return tuple(by_word[word] for word in scale if word in by_word)
    places = [place_of_level(text) for text in texts]
    known = [place for place in places if place is not None]
    words = {place[0] for place in known}
    if len(known) < len(texts) or len(words) > 1 or len(set(known)) < len(known) or len(known) < 3:
        return ()
    return tuple(text for _, text in sorted(zip(known, texts, strict=True)))


def place_of_level(text: str) -> tuple[str, int, str] | None:
    """Word, number and part of a level such as Stage IIIA, T1b or G2; None for other texts."""
    found = LEVEL.fullmatch(text)
    if not found:
        return None
    number = found["number"].lower()
    if not number.isdigit() and number not in ROMAN:
        return None
    value = int(number) if number.isdigit() else ROMAN[number]
    return found["word"].strip().lower(), value, found["part"].lower()
