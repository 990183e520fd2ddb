"""Words and codes for "missing" in the cells of the patient sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from survfuse.config.cohort import Covariate
from survfuse.sheets.problems import Note, counted
from survfuse.sheets.text_table import Sheet, as_number

# What databases and programs write where there is no value; compared without case. A word that may
# be a value as well, such as "-" for a negative test, is not among them.
SPREADSHEET_ERRORS = frozenset(  # of Excel, LibreOffice and Google Sheets
    {
        *("#n/a", "#n/a!", "#value!", "#null!", "#ref!", "#div/0!", "#name?", "#num!", "#spill!"),
        *("#calc!", "#field!", "#blocked!", "#connect!", "#busy!", "#getting_data", "#error!"),
    }
)
WORDS = SPREADSHEET_ERRORS | frozenset(
    {
        *("na", "n/a", "n.a.", "nan", "<na>", "null", "not available", "not reported"),
        *("not evaluated", "not recorded", "unknown", "missing", "nk", "n/k"),
        *("'--", "--", ".", "?"),
    }
)
IN_BRACKETS = WORDS | {"not applicable", "discrepancy", "completed"}
LOW_CODES, HIGH_CODES = (-1, -4, -9, -99, -999), (99, 999, 9999)
FAR = 2.0  # a high code is this many times the largest other value
SHOWN = 4  # words that a note lists


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    word = text.casefold()
    return word in WORDS or (word[:1] + word[-1:] == "[]" and word[1:-1].strip() in IN_BRACKETS)


def without_missing_words(
    sheet: Sheet, kept: Mapping[str, Collection[str]]
) -> tuple[Sheet, list[Note]]:
    """The sheet with such words made empty in the columns of `kept`; and notes of them.

    A word that is listed there for the column stays. Columns that the sheet lacks are passed over.
    """
    rows, notes = sheet.rows.copy(), []
    for name, listed in kept.items():
        if name not in rows or name == "patient_id":
            continue
        said = rows[name].map(lambda text, listed=listed: text not in listed and is_missing(text))
        if said.any():
            counts = Counter(rows.loc[said, name].tolist()).most_common(SHOWN)
            shown = ", ".join(f"{text!r} {n}" for text, n in counts)
            sentence = f"Cells of {name} say that the value is missing, and count as empty."
            notes.append(Note(str(sheet.path), sentence, shown, "leave unknown values empty"))
            rows.loc[said, name] = ""
    return replace(sheet, rows=rows), notes


def notes_of_codes(sheet: Sheet, name: str, covariate: Covariate) -> list[Note]:
    """A note where a covariate holds numbers that look like codes for missing."""
    numbers = [as_number(text) for text in sheet.rows[name]]
    values = pd.Series([np.nan if n is None else n for n in numbers], dtype=float)
    found = codes_of(values, covariate.type == "continuous")
    if not found:
        return []
    shown = ", ".join(
        f"{code:g} in {counted(int((values == code).sum()), 'patient')}" for code in found
    )
    sentence = f"Values of {name} that may be codes for missing count as {KIND[covariate.type]}: "
    sentence += ", ".join(f"{code:g}" for code in found) + "."
    return [Note(str(sheet.path), sentence, shown, "leave unknown values empty")]


KIND = {"continuous": "numbers", "ordinal": "levels", "categorical": "levels"}


def codes_of(values: pd.Series[float], continuous: bool) -> list[float]:
    """The codes among some numbers: the only negative ones, or far above all others.

    Among levels every such number is one, if most others are numbers as well.
    """
    known = values[np.isfinite(values)]
    others = known[~known.isin([*LOW_CODES, *HIGH_CODES])]
    if others.empty or len(others) < len(known) / 2:
        return []
    low = [code for code in LOW_CODES if (known == code).any()] if others.min() >= 0 else []
    high = [code for code in HIGH_CODES if (known == code).any() and code > FAR * others.max()]
    if continuous and others.nunique() < 2:
        return []
    return [float(code) for code in low + high]
