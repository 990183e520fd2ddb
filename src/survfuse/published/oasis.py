"""Importing the longitudinal table of OASIS into a sheet of who becomes demented, and when.

150 right-handed people of 60 to 96 years with two to five visits, an MRI at each: Marcus et al.,
J Cogn Neurosci 2010;22:2677. One row per visit; CDR is the clinical dementia rating, 0 = none.

Only the first visit supplies inputs. Whoever is demented there is left out, because conversion
cannot be predicted after it. The column Group, which says who converted, is not read at all: it
sums up later visits. A rating that returns to 0 later still counts as the event, because whether
it will is not known when it is given.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from survfuse.artifacts.cohort_tables import write_table
from survfuse.config.source import OasisSource
from survfuse.published.porpoise import without_decimals
from survfuse.sheets.problems import stop_if_any
from survfuse.sheets.text_table import (
    Sheet,
    cells_of,
    fault_of_identifier,
    numbers,
    problems_where,
    read_sheet,
)

log = logging.getLogger(__name__)

PATIENT, DAYS, RATING, SEX = "Subject ID", "MR Delay", "CDR", "M/F"
SEXES = {"F": "female", "M": "male"}
# Covariate: column. The last three are measured on the MRI; ASF is a constant over eTIV.
COVARIATES = {
    "age": "Age",
    "education": "EDUC",
    "ses": "SES",
    "mmse": "MMSE",
    "etiv_ml": "eTIV",
    "nwbv": "nWBV",
    "asf": "ASF",
}
RATINGS = (0, 0.5, 1, 2, 3)


def import_oasis(source: OasisSource, sheets: Path) -> None:
    """Write patients.tsv: `patient_id, time, event, sex` and the covariates of the first visit.

    Time is in days from the first visit, to the first with a CDR above 0 (event 1) or to the last
    one (event 0). People who are demented at the first visit, or who have no other, are left out.
    Raises SheetError where the table is not of that layout.
    """
    sheet = read_sheet(source.table, [PATIENT, DAYS, RATING, SEX, *COVARIATES.values()])
    visits = checked_visits(sheet)
    first = visits.drop_duplicates("patient_id")
    free = first.loc[first["rating"] == 0, "patient_id"]
    log.info("left out, demented at the first visit: %d", len(first) - len(free))
    follow_up = follow_up_of(visits[visits["patient_id"].isin(free)])
    if lacking := len(free) - len(follow_up):
        log.warning("left out, without a second visit: %d", lacking)
    patients = follow_up.merge(baseline(sheet, first), on="patient_id")
    write_table(sheets / "patients.tsv", patients)
    log.info("imported %d patients, %d converted", len(patients), patients["event"].sum())


def checked_visits(sheet: Sheet) -> pd.DataFrame:
    """`patient_id, days, rating` of every visit, indexed by row of the table, in order of time.

    Raises SheetError for a malformed id, a cell that is no number or is empty, a rating that there
    is not, a first visit that is not day 0, and two visits on a day.
    """
    rows = sheet.rows
    remedy = "use up to 64 letters, digits, _ and -"
    stop_if_any(
        [
            sheet.problem(row, PATIENT, fault, remedy)
            for row, text in cells_of(sheet, PATIENT)
            if (fault := fault_of_identifier(text))
        ]
    )
    values = numbers(sheet, [DAYS, RATING, *COVARIATES.values()])
    empty = values[[DAYS, RATING]].isna()
    stop_if_any(problems_where(sheet, empty, "is empty", "remove the visit, or find the value"))
    strange = ~values[[RATING]].isin(RATINGS)
    stop_if_any(problems_where(sheet, strange, "is not a CDR", "ratings are 0, 0.5, 1, 2 and 3"))
    unknown = ~rows[[SEX]].isin([*SEXES, ""])
    stop_if_any(problems_where(sheet, unknown, "is not a sex", "write F or M, or leave it empty"))
    visits = pd.DataFrame(
        {"patient_id": rows[PATIENT], "days": values[DAYS], "rating": values[RATING]}
    ).sort_values(["patient_id", "days"], kind="stable")
    twice = visits[visits.duplicated(["patient_id", "days"])]
    late = visits[~visits.duplicated("patient_id") & (visits["days"] != 0)]
    for wrong, problem in (
        (twice, "repeats the day of another visit"),
        (late, "is the day of the first visit, which is not 0"),
    ):
        marked = pd.DataFrame({DAYS: sheet.rows.index.isin(wrong.index)}, index=sheet.rows.index)
        stop_if_any(problems_where(sheet, marked, problem, "count days from the first visit"))
    return visits


def follow_up_of(visits: pd.DataFrame) -> pd.DataFrame:
    """`patient_id, time` (days) and `event` of people who are free of dementia at first."""
    last = visits.groupby("patient_id")["days"].max()
    demented = visits[visits["rating"] > 0].groupby("patient_id")["days"].min()
    time = demented.reindex(last.index).fillna(last)
    event = last.index.isin(demented.index).astype(int)
    table = pd.DataFrame({"time": time.astype(int), "event": event}).rename_axis("patient_id")
    return table[table["time"] > 0].reset_index()


def baseline(sheet: Sheet, first: pd.DataFrame) -> pd.DataFrame:
    """`patient_id`, sex and the covariates of the rows of the first visits, as text."""
    rows = sheet.rows.loc[first.index]
    columns = {"patient_id": rows[PATIENT], "sex": rows[SEX].map(SEXES).fillna("")}
    columns |= {name: rows[column].map(without_decimals) for name, column in COVARIATES.items()}
    return pd.DataFrame(columns)
