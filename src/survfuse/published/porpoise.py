"""Importing a published TCGA table of the PORPOISE/MCAT layout into sample sheets.

The table has one row per slide; patients, genes and outcome repeat in every row of a patient.
`censorship` is 1 for censored and 0 for dead, `survival_months` is in months.
Chen et al., Cancer Cell 2022;40:865 (PORPOISE); Chen et al., ICCV 2021 (MCAT).
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.cohort_tables import write_table
from survfuse.config.source import PorpoiseSource
from survfuse.core.files import atomic_path
from survfuse.published.slide_features import write_slide_features
from survfuse.sheets.missing_words import is_missing
from survfuse.sheets.problems import stop_if_any
from survfuse.sheets.text_table import (
    Sheet,
    check_identifiers,
    check_unique,
    problems_where,
    read_sheet,
)

log = logging.getLogger(__name__)

REQUIRED = ("case_id", "survival_months", "censorship")
CLINICAL = ("site", "age", "is_female", "oncotree_code")  # taken where present
LEFTOVERS = ("slide_id", "train", "disc_label", "label")  # of the origin's own processing
GENE = re.compile(r".+_(rnaseq|cnv|mut)$")
SEX = {"1": "female", "0": "male"}
OUTCOME = re.compile(
    r"^(os|dss|pfi|dfi|pfs|dfs|rfs)([._-]|$)"
    r"|surv|censor|death|dead|vital|status|event|recur|relapse",
    re.IGNORECASE,
)
STAGE = re.compile(r"stage\s+(iv|i{1,3})[abc]?[0-9]?", re.IGNORECASE)


def import_porpoise(source: PorpoiseSource, sheets: Path) -> None:
    """Write patients.tsv, omics.parquet and, where the source has them, folds.tsv and slides.tsv.

    With slide features only patients that have both genes and slides are kept. Stage loses its
    substage (IIIA becomes III), and other stages stay empty, which the log counts. Gene columns
    keep their suffix (`_rnaseq`, `_cnv`, `_mut`); a binary column without one is a mutation and
    gets `_mut`.
    Raises SheetError where a file is not of that layout or rows of a patient disagree.
    """
    table = one_row_per_patient(read_sheet(source.table, REQUIRED))
    patients = patient_table(table)
    if source.clinical is not None:
        patients["stage"] = stages_of(patients["patient_id"], source.clinical)
    genes = gene_table(table)
    if source.slide_features is not None:
        slides = write_slide_features(source.slide_features, set(patients["patient_id"]), sheets)
        paired = patients["patient_id"].isin(slides["patient_id"])
        patients, genes = patients[paired], genes[paired.to_numpy()]
        write_table(sheets / "slides.tsv", slides)
    if source.folds is not None:
        write_table(
            sheets / "folds.tsv", published_folds(source.folds, set(patients["patient_id"]))
        )
    with atomic_path(sheets / "omics.parquet") as temporary:
        genes.to_parquet(temporary, index=False)
    write_table(sheets / "patients.tsv", patients)
    log.info("imported %d patients and %d gene columns", len(patients), genes.shape[1] - 1)


def one_row_per_patient(sheet: Sheet) -> Sheet:
    """The first row of every patient. Raises SheetError where a later one differs from it.

    Slide ids, leftovers and index columns of the origin may differ and are dropped.
    """
    ids = Sheet(sheet.path, sheet.rows[["case_id"]].drop_duplicates())
    stop_if_any(check_identifiers(ids, "case_id"))
    index_columns = [name for name in sheet.rows if str(name).startswith("Unnamed")]
    rows = sheet.rows.drop(columns=[*index_columns, *LEFTOVERS], errors="ignore")
    first = rows.drop_duplicates("case_id")
    expected = first.set_index("case_id", drop=False).loc[rows["case_id"]].set_index(rows.index)
    wrong, remedy = rows != expected, "make the rows of a patient agree"
    stop_if_any(problems_where(sheet, wrong, "differs from the patient's first row", remedy))
    return Sheet(sheet.path, first.sort_values("case_id"))


def patient_table(table: Sheet) -> pd.DataFrame:
    """patients.tsv: id, time (months), event (1 = died), and the clinical columns, as text."""
    rows = table.rows
    censored = rows["censorship"].map(without_decimals)
    wrong = ~censored.isin(["0", "1"]).to_frame("censorship")
    stop_if_any(problems_where(table, wrong, "is neither 0 nor 1", "correct the table"))
    patients = {
        "patient_id": rows["case_id"],
        "time": rows["survival_months"],
        "event": censored.map({"0": "1", "1": "0"}),
    }
    for name in CLINICAL:
        if name in rows:
            patients[name] = rows[name].map(without_decimals)
    if "is_female" in patients:
        patients["sex"] = patients.pop("is_female").map(SEX).fillna("")
    return pd.DataFrame(patients).reset_index(drop=True)


def without_decimals(text: str) -> str:
    """The text of a whole number without ".0"; everything else unchanged."""
    return re.sub(r"(?<=[0-9])\.0+$", "", text)


def stages_of(patient_ids: pd.Series[str], path: Path) -> pd.Series[str]:
    """Stage I to IV of patients, from the columns submitter_id and tumor_stage of GDC; "" = none.

    What is another stage in the table, such as 0, X or I/II NOS, is counted in the log.
    """
    sheet = read_sheet(path, ["submitter_id", "tumor_stage"])
    stop_if_any(check_unique(sheet, "submitter_id"))
    written = patient_ids.map(sheet.rows.set_index("submitter_id")["tumor_stage"]).fillna("")
    found = written.map(STAGE.fullmatch)
    lost = Counter(text for text in written[found.isna()] if text and not is_missing(text))
    if lost:
        shown = ", ".join(f"{text!r} ({n})" for text, n in lost.most_common())
        log.warning("%s: stages other than I to IV, which become missing: %s", path, shown)
    return found.map(lambda stage: stage.group(1).upper() if stage else "")


def gene_table(table: Sheet) -> pd.DataFrame:
    """The gene matrix: `patient_id` and float32 columns with suffix, NaN = missing."""
    rows = table.rows
    names = {}
    for column in rows.columns.difference([*REQUIRED, *CLINICAL], sort=False):
        if GENE.fullmatch(column):
            names[column] = column
        elif is_binary(rows[column]) and not OUTCOME.search(column):
            names[column] = f"{column}_mut"
        else:
            log.info("the column %s is neither a gene nor a mutation and is left out", column)
    texts = rows[list(names)]
    values = texts.apply(pd.to_numeric, errors="coerce").astype(np.float32)
    wrong = values.isna() & (texts != "")
    stop_if_any(problems_where(table, wrong, "is not a number", "correct the table"))
    genes = values.rename(columns=names).reset_index(drop=True)
    genes.insert(0, "patient_id", rows["case_id"].to_numpy())
    return genes


def is_binary(texts: pd.Series[str]) -> bool:
    """Whether a column holds only 0, 1 and empty cells."""
    return set(texts.unique()) <= {"0", "1", "0.0", "1.0", ""}


def published_folds(path: Path, patient_ids: set[str]) -> pd.DataFrame:
    """folds.tsv: the validation set of the published fold k is test fold k."""
    rows = read_sheet(path, ["fold", "set", "case_id"]).rows
    tested = rows[(rows["set"] == "val") & rows["case_id"].isin(patient_ids)]
    return tested[["case_id", "fold"]].rename(columns={"case_id": "patient_id"})
