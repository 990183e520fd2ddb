"""Published folds in which training patients lack modalities (the layout of DisPro, CVPR 2025).

A row is a patient in a fold; an empty cell is a missing modality. Files are called after their
pattern: W20_O40 means that nominally 20 % of the training patients lack slides and 40 % omics.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from survfuse.artifacts.layout import folds_in_words
from survfuse.config.missing import MissingConfig
from survfuse.config.splits import SplitConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES, WITHHELD
from survfuse.sheets.problems import Problem, SheetError, stop_if_any
from survfuse.sheets.text_table import Sheet, cells_of, fault_of_identifier, read_sheet
from survfuse.splits.published_folds import is_count

log = logging.getLogger(__name__)

KEYS = ("fold", "W", "O")
COLUMN_OF = {modality: MODALITIES[modality].withheld_as for modality in WITHHELD}
CELLS = ("ID", *COLUMN_OF.values(), "Split")
FILE_NAME = re.compile(r".*fold_(\d{1,3})_W(\d{1,3})_O(\d{1,3})\.(csv|tsv)(\.gz)?", re.ASCII)


@dataclass(frozen=True)
class PublishedFold:
    """The rows of one fold, and the number that its file gives it."""

    number: int
    sheet: Sheet

    def ids(self, split: str) -> pd.Series[str]:
        """The patients of a part, `train` or `val` (held out)."""
        return self.sheet.rows.loc[self.sheet.rows["Split"] == split, "ID"]

    def lacks(self, modality: str) -> pd.Series[bool]:
        """Which rows have an empty cell for a modality."""
        return self.sheet.rows[COLUMN_OF[modality]] == ""

    def problems(
        self, wrong: pd.Series[bool], column: str, fault: str, remedy: str
    ) -> Iterator[Problem]:
        """One problem for all marked rows of the fold, at the first of them."""
        rows = wrong.index[wrong].tolist()
        if rows:
            more = f" (the first of {len(rows)} such rows)" if len(rows) > 1 else ""
            fault = f"fold {self.number}: {fault}{more}"
            yield self.sheet.problem(rows[0], column, fault, remedy)


def published_pattern(
    missing: MissingConfig, splits: SplitConfig, available: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Published folds `patient_id, fold` and losses `repeat, fold, patient_id, modality`.

    Raises UserInputError where they do not fit the configuration, SheetError where they are not
    sound; see `read_missing_splits`.
    """
    assert missing.published is not None
    slides, omics = round(100 * missing.slides), round(100 * missing.omics)
    folds, losses = read_missing_splits(missing.published, slides, omics, available)
    if splits.repeats > 1 or folds["fold"].nunique() != splits.folds:
        raise UserInputError(
            f"{missing.published}: has one repeat of {folds['fold'].nunique()} folds; set "
            "splits.folds and splits.repeats to the same"
        )
    return folds, losses.assign(repeat=0)


def read_missing_splits(
    path: Path, slides_missing: int, omics_missing: int, available: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The folds of one pattern, `patient_id, fold`, and the losses, `fold, patient_id, modality`.

    `path` is a directory of files named like `..._fold_3_W20_O40.csv`, or one table of them all
    with the columns fold, W and O. The pattern is given in percent. Further columns are ID, WSI,
    Omics and Split (train, or val = held out); outcomes are not read. `available` (bool columns
    slides and omics) is indexed by the ids of the cohort. Returned folds count from 0. The rates
    that are found go to the log beside the nominal ones, from which they often differ.

    Raises SheetError where the pattern is not there or its folds are not sound: a held-out patient
    lacks something, a patient lacks both, is twice in a fold, is held out never or repeatedly,
    loses the only modality that the cohort has, or is not of the cohort.
    """
    read = folds_of_directory if path.is_dir() else folds_of_table
    pattern = (slides_missing, omics_missing)
    folds = read(path, pattern)
    stop_if_any(problem for fold in folds for problem in check_rows(fold))
    stop_if_any([*check_held_out(path, folds), *check_patients(folds, available.index)])
    stop_if_any(problem for fold in folds for problem in check_last(fold, available))
    for position, fold in enumerate(folds):
        log_rates(position, fold, dict(zip(WITHHELD, pattern, strict=True)))
    return held_out(folds), losses(folds)


def folds_of_directory(path: Path, pattern: tuple[int, int]) -> list[PublishedFold]:
    """The folds of a pattern, from one file each, by number. Raises SheetError."""
    found = [
        (int(name[1]), (int(name[2]), int(name[3])), file)
        for file in sorted(path.iterdir())
        if (name := FILE_NAME.fullmatch(file.name))
    ]
    chosen = [(number, file) for number, its, file in sorted(found) if its == pattern]
    refuse_numbers(path, [number for number, _ in chosen], pattern, {its for _, its, _ in found})
    return [PublishedFold(number, read_sheet(file, CELLS)) for number, file in chosen]


def folds_of_table(path: Path, pattern: tuple[int, int]) -> list[PublishedFold]:
    """The folds of a pattern, from one table of many, by number. Raises SheetError."""
    sheet = read_sheet(path, (*KEYS, *CELLS))
    stop_if_any(
        sheet.problem(row, name, "is not a whole number", "correct the cell", text)
        for name in KEYS
        for row, text in cells_of(sheet, name)
        if not is_count(text)
    )
    keys = sheet.rows[list(KEYS)].astype(float).astype(int)
    chosen = keys[(keys["W"] == pattern[0]) & (keys["O"] == pattern[1])]
    there = set(zip(keys["W"].tolist(), keys["O"].tolist(), strict=True))
    numbers = sorted(set(chosen["fold"].tolist()))
    refuse_numbers(path, numbers, pattern, there)
    return [
        PublishedFold(number, Sheet(path, sheet.rows.loc[chosen.index[chosen["fold"] == number]]))
        for number in numbers
    ]


def refuse_numbers(
    path: Path, numbers: Sequence[int], pattern: tuple[int, int], there: set[tuple[int, int]]
) -> None:
    """Raise SheetError unless these are at least two folds, numbered from 0 or from 1."""
    if not numbers:
        others = ", ".join(f"W{w}_O{o}" for w, o in sorted(there)[:20]) or "none"
        fault, remedy = "is not there", f"choose another pattern; there are: {others}"
    elif len(numbers) == 1:
        fault, remedy = "has a single fold", "add the other folds"
    elif list(numbers) != [min(numbers[0], 1) + position for position in range(len(numbers))]:
        found = ", ".join(str(number) for number in numbers[:10])
        fault, remedy = f"has the folds {found}", "number them 0, 1, 2, ... without gap or repeat"
    else:
        return
    fault = f"the pattern W{pattern[0]}_O{pattern[1]} {fault}"
    raise SheetError([Problem(str(path), None, "fold", None, fault, remedy)])


def check_rows(fold: PublishedFold) -> Iterator[Problem]:
    """Problems of the rows of a fold, whatever the other folds are."""
    rows = fold.sheet.rows
    once = "keep one row of each patient in every fold"
    malformed = rows["ID"].map(fault_of_identifier).notna()
    yield from fold.problems(malformed, "ID", "the id is not an identifier", "correct the id")
    unknown = ~rows["Split"].isin(["train", "val"])
    yield from fold.problems(
        unknown, "Split", "the part is not known", "write train, or val (held out)"
    )
    in_both = rows["ID"].isin(fold.ids("train")) & rows["ID"].isin(fold.ids("val"))
    yield from fold.problems(in_both, "ID", "the patient is in train and in val", once)
    repeated = rows["ID"].duplicated() & ~in_both
    yield from fold.problems(repeated, "ID", "the patient has an earlier row", once)
    nothing = pd.concat([fold.lacks(modality) for modality in WITHHELD], axis=1).all(axis=1)
    yield from fold.problems(
        nothing, "WSI", "the patient lacks slides and omics", "give back one of them"
    )
    for modality in WITHHELD:
        wrong = (rows["Split"] == "val") & fold.lacks(modality) & ~nothing
        fault = f"the patient is held out but lacks {modality}"
        remedy = "fill in the cells, as held-out patients must be complete, or use another pattern"
        yield from fold.problems(wrong, COLUMN_OF[modality], fault, remedy)


def check_held_out(path: Path, folds: Sequence[PublishedFold]) -> Iterator[Problem]:
    """Problems of patients that are not in every fold, or not held out in exactly one."""
    everybody = {patient for fold in folds for patient in fold.sheet.rows["ID"]}
    for fold in folds:
        for split, done in (("train", "trained on"), ("val", "held out")):
            if fold.ids(split).empty:
                fault = f"fold {fold.number}: nobody is {done}"
                yield fold.sheet.problem(None, "Split", fault, f"mark the patients with {split}")
        for patient in sorted(everybody - set(fold.sheet.rows["ID"])):
            fault = f"fold {fold.number}: the patient has no row"
            yield fold.sheet.problem(None, "ID", fault, "list everybody in every fold", patient)
    times = Counter(patient for fold in folds for patient in fold.ids("val"))
    for patient in sorted(everybody):
        if times[patient] != 1:
            fault = f"the patient is held out in {times[patient] or 'no'} folds"
            remedy = "hold everybody out in exactly one fold"
            yield Problem(str(path), None, "Split", patient, fault, remedy)


def check_patients(folds: Sequence[PublishedFold], cohort: pd.Index) -> Iterator[Problem]:
    """Problems of patients that only the files have, or only the cohort."""
    first = folds[0]
    foreign = ~first.sheet.rows["ID"].isin(cohort)
    fault, remedy = "the patient is not in the patient sheet", "remove the patient from all folds"
    yield from first.problems(foreign, "ID", fault, remedy)
    for patient in sorted(set(cohort) - set(first.sheet.rows["ID"])):
        fault, remedy = "the patient of the cohort has no row", "remove it from the patient sheet"
        yield first.sheet.problem(None, "ID", fault, remedy, patient)


def check_last(fold: PublishedFold, available: pd.DataFrame) -> Iterator[Problem]:
    """Problems of patients who would lose the only modality that the cohort has of them."""
    rows = fold.sheet.rows
    has = available.loc[rows["ID"], list(WITHHELD)].set_index(rows.index).astype(bool)
    kept = [has[modality] & ~fold.lacks(modality) for modality in WITHHELD]
    left = pd.concat(kept, axis=1).any(axis=1)
    for modality in WITHHELD:
        fault = f"the patient lacks {modality}, but the cohort has nothing else of the patient"
        remedy = "give back the modality, or supply the other one"
        wrong = has[modality] & fold.lacks(modality) & ~left
        yield from fold.problems(wrong, COLUMN_OF[modality], fault, remedy)


def held_out(folds: Sequence[PublishedFold]) -> pd.DataFrame:
    """The fold that holds each patient out, by patient id: `patient_id, fold`."""
    parts = [
        pd.DataFrame({"patient_id": fold.ids("val"), "fold": position})
        for position, fold in enumerate(folds)
    ]
    return pd.concat(parts).sort_values("patient_id", ignore_index=True)


def losses(folds: Sequence[PublishedFold]) -> pd.DataFrame:
    """Who lacks what in each fold, by fold and patient id: `fold, patient_id, modality`."""
    parts = []
    for position, fold in enumerate(folds):
        for modality in WITHHELD:
            ids = fold.sheet.rows.loc[fold.lacks(modality), "ID"]
            parts.append(pd.DataFrame({"fold": position, "patient_id": ids, "modality": modality}))
    return pd.concat(parts).sort_values(["fold", "patient_id"], ignore_index=True)


def log_rates(position: int, fold: PublishedFold, nominal: Mapping[str, int]) -> None:
    """Say how many training patients lack what, beside what the name of the pattern says."""
    training = fold.sheet.rows["Split"] == "train"
    for modality in WITHHELD:
        log.info(
            "%s (number %d of the file): %.0f %% of %d training patients lack %s, nominally %d %%",
            folds_in_words([position]),
            fold.number,
            100 * fold.lacks(modality)[training].mean(),
            training.sum(),
            modality,
            nominal[modality],
        )
