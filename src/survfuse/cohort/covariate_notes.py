"""What is unusual about the columns of the patient sheet that models read."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pandas as pd

from survfuse.cohort.covariates import plain
from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.sheets.missing_words import is_missing, notes_of_codes
from survfuse.sheets.problems import Note, counted, ranges
from survfuse.sheets.text_table import Sheet, as_number

OLDEST = 150.0  # years
MANY_LEVELS = 0.5  # levels per patient
LEAST_PATIENTS = 10
LEAST_COLUMNS = 3  # besides the id, for rows that agree in all of them to be remarkable
SHOWN = 3
AGE = re.compile(r"(^|_|\b)age(s|$|_|\b)|days_to_birth", re.IGNORECASE)
AFTERWARDS = re.compile(
    r"death|deceased|dead|died|vital|surviv|follow.?up|last_?contact|relapse|recurren|progress"
    r"|censor|autops|post.?mortem",
    re.IGNORECASE,
)


def notes_of_columns(sheet: Sheet, config: CohortConfig) -> list[Note]:
    """Notes of covariates and sites, after words for missing were made empty."""
    found = []
    for name, covariate in config.covariates.items():
        if name not in sheet.rows or not any(sheet.rows[name]):
            continue
        found += notes_of_covariate(sheet, name, covariate)
        found += notes_of_codes(sheet, name, covariate)
        if AFTERWARDS.search(name):
            sentence = f"The covariate {name} is named like something that is known afterwards."
            remedy = "remove it unless it was known at time 0"
            found.append(Note(str(sheet.path), sentence, None, remedy))
    if config.site and config.site in sheet.rows:
        found += notes_of_levels(sheet, config.site, "site")
        unnamed = Counter(text for text in sheet.rows[config.site] if text and is_missing(text))
        for text, n in unnamed.items():
            sentence = f"The patients of the site {text!r} count as those of one centre."
            remedy = "name the centre that supplied them, where it is known"
            found.append(Note(str(sheet.path), sentence, counted(n, "patient"), remedy))
    return [*found, *notes_of_twins(sheet)]


def notes_of_covariate(sheet: Sheet, name: str, covariate: Covariate) -> list[Note]:
    """Notes of one covariate that has values."""
    filled = sheet.rows.loc[sheet.rows[name] != "", name]

    def note(sentence: str, remedy: str, example: str | None = None) -> Note:
        return Note(str(sheet.path), sentence, example, remedy)

    if filled.nunique() == 1:
        sentence = f"The covariate {name} has the same value for all patients."
        return [note(sentence, "remove the covariate", filled.iloc[0])]
    if covariate.type == "continuous":
        numbers = pd.Series([as_number(text) for text in filled], dtype=float).dropna()
        if not AGE.search(name) or numbers.empty or 0 <= numbers.median() <= OLDEST:
            return []
        sentence = f"The median of {name} is {numbers.median():.0f}; is it in days or months?"
        return [note(sentence, "give ages in years, so that the report can be read")]
    if covariate.type == "ordinal":
        return []
    found = notes_of_levels(sheet, name, "covariate")
    levels = filled.nunique()
    if len(filled) >= LEAST_PATIENTS and levels > MANY_LEVELS * len(filled):
        sentence = f"The covariate {name} has nearly as many levels as there are patients."
        numeric = all(as_number(text) is not None for text in filled)
        remedy = "declare it continuous" if numeric else "group its levels, or remove it"
        found.append(note(sentence, remedy, f"{levels} levels in {len(filled)} patients"))
    return found


def notes_of_levels(sheet: Sheet, name: str, what: str) -> list[Note]:
    """A note for levels that differ in case, blanks or a decimal point alone."""
    counts = Counter(text for text in sheet.rows[name] if text)
    alike: dict[str, list[str]] = defaultdict(list)
    for level, _ in counts.most_common():
        alike[plain(level)].append(level)
    found = []
    for spellings in alike.values():
        if len(spellings) > 1:
            sentence = f"The {what} {name} has spellings of one level that count as different: "
            sentence += ", ".join(map(repr, spellings[:SHOWN])) + "."
            example = ", ".join(f"{level!r} {counts[level]}" for level in spellings[:SHOWN])
            remedy = f"write {spellings[0]!r} in all of these rows"
            found.append(Note(str(sheet.path), sentence, example, remedy))
    return found


def notes_of_twins(sheet: Sheet) -> list[Note]:
    """A note for patients who agree in all columns but the id."""
    rest = sheet.rows.drop(columns="patient_id")
    if rest.shape[1] < LEAST_COLUMNS:
        return []
    twins = rest.index[rest.duplicated(keep=False) & (rest != "").sum(axis=1).ge(LEAST_COLUMNS)]
    if twins.empty:
        return []
    example = f"rows {ranges(twins.tolist())}"
    sentence = "There are patients who agree with another in every column but the id."
    remedy = "if they are one person under two ids, keep one: both may land on two sides of a split"
    return [Note(str(sheet.path), sentence, example, remedy)]
