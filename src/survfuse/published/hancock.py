"""Importing the published tables of HANCOCK into sample sheets.

763 patients of one centre with cancer of the head and neck, treated by surgery: Dörrich et al.,
Nat Commun 2025;16:7163. Images are deep texture representations of the cores of a tissue
microarray, one vector per patient and stain (Komura et al., Cell Rep 2022;38:110424): two cores
with 256 numbers each, end to end. Blood counts precede the operation; single values that were
missing had been filled in, without regard to outcomes, before the tables were published.

No folds are published for survival. Nothing that happens after the operation becomes an input: not
recurrences and causes of death, not the ICD codes (they cover later stays), and not
`primarily_metastasis` (see `hancock_codes`).
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.cohort_tables import write_table
from survfuse.config.source import HancockSource
from survfuse.core.files import atomic_path
from survfuse.published.hancock_codes import (
    BLOOD,
    CELL_DENSITY,
    CLINICAL,
    PATHOLOGICAL,
    STAINS,
    Variable,
)
from survfuse.published.porpoise import without_decimals
from survfuse.published.slide_features import write_bag
from survfuse.sheets.problems import stop_if_any
from survfuse.sheets.text_rows import unreadable
from survfuse.sheets.text_table import (
    Sheet,
    check_identifiers,
    numbers,
    problems_where,
    read_sheet,
)

log = logging.getLogger(__name__)

OUTCOMES = {  # columns of time (days) and event, and the words for censored and event
    "os": ("days_to_last_information", "survival_status", {"living": "0", "deceased": "1"}),
    "rfs": ("days_to_rfs_event", "rfs_event", {"0": "0", "1": "1"}),
}
GROUPS = {"BLOOD": (BLOOD, "_blood"), "CELL_DENSITY": (CELL_DENSITY, "_density")}
LEAST_MEASURED = 0.5  # share of the blood counts and densities; patients with less have no row


def import_hancock(source: HancockSource, sheets: Path) -> None:
    """Write patients.tsv, slides.tsv with features/, omics.parquet and gene_sets.gmt.

    Times are days. Blood counts and cell densities are the two groups of the gene matrix; of the
    slides, every patient has one, a bag of one tile per stain. What was not measured stays missing.
    Left out are patients without follow-up (whose event had come before treatment), and those with
    neither images nor enough measurements. Raises SheetError where a file is not of that layout.
    """
    folder = source.directory
    patients = outcome_table(folder, source.endpoint)
    measured = measurements(folder)
    bags = read_bags(folder)
    known = patients["patient_id"].isin({*measured["patient_id"], *bags})
    if lacking := int((~known).sum()):
        log.warning("patients left out, with neither images nor enough measurements: %d", lacking)
    patients = patients[known]
    ids = patients["patient_id"].tolist()
    for name, variables in (("clinical", CLINICAL), ("pathological", PATHOLOGICAL)):
        table = read_fields(folder, name, [variable.column for variable in variables.values()])
        facts = covariates(table, variables)
        patients = patients.merge(facts, how="left", on="patient_id")
    measured = measured[measured["patient_id"].isin(ids)]
    write_table(sheets / "slides.tsv", write_bags(bags, ids, sheets))
    with atomic_path(sheets / "omics.parquet") as temporary:
        measured.to_parquet(temporary, index=False)
    write_groups(sheets / "gene_sets.gmt")
    write_table(sheets / "patients.tsv", patients)
    log.info("imported %d patients, %d with images", len(ids), len(bags.keys() & set(ids)))


def read_fields(folder: Path, name: str, columns: Sequence[str]) -> Sheet:
    """One table with these columns, sorted by patient. Raises SheetError for any other."""
    sheet = read_sheet(folder / f"{name}.csv.gz", ["patient_id", *columns])
    stop_if_any(check_identifiers(sheet, "patient_id"))
    return Sheet(sheet.path, sheet.rows.sort_values("patient_id"))


def outcome_table(folder: Path, endpoint: str) -> pd.DataFrame:
    """`patient_id, time, event` (1 = observed), as text, of the patients with follow-up."""
    time, event, words = OUTCOMES[endpoint]
    table = read_fields(folder, "targets", [time, event])
    days = numbers(table, [time])[time]
    stop_if_any(problems_where(table, days.isna().to_frame(), "is empty", "remove the patient"))
    events = decoded(table, event, words)
    stop_if_any(problems_where(table, (events == "").to_frame(), "is empty", "correct the table"))
    followed = days > 0
    if lacking := int((~followed).sum()):
        log.warning("patients left out, without follow-up: %d", lacking)
    columns = {"patient_id": table.rows["patient_id"], "time": table.rows[time], "event": events}
    return pd.DataFrame(columns)[followed]


def covariates(table: Sheet, variables: Mapping[str, Variable]) -> pd.DataFrame:
    """`patient_id` and the variables as text, codes as words."""
    columns = {"patient_id": table.rows["patient_id"]}
    for name, variable in variables.items():
        if variable.codes:
            columns[name] = decoded(table, variable.column, variable.codes)
        else:
            numbers(table, [variable.column])
            columns[name] = table.rows[variable.column].map(without_decimals)
    return pd.DataFrame(columns)


def decoded(table: Sheet, column: str, words: Mapping[str, str]) -> pd.Series[str]:
    """A column of codes as words; empty cells stay empty. Raises SheetError for other codes."""
    codes = table.rows[column].map(without_decimals)
    wrong = ~codes.isin([*words, ""]).to_frame(column)
    remedy = f"codes are {', '.join(words)}; correct the table"
    stop_if_any(problems_where(table, wrong, "is not a code of this column", remedy))
    return codes.map({**words, "": ""}).rename(column)


def measurements(folder: Path) -> pd.DataFrame:
    """The matrix: `patient_id`, then float32 columns `NAME_blood` and `NAME_density`."""
    blocks = []
    for file, (columns, suffix) in zip(("blood", "tma_cell_density"), GROUPS.values(), strict=True):
        table = read_fields(folder, file, list(columns.values()))
        block = numbers(table, list(columns.values())).set_index(table.rows["patient_id"])
        block.columns = pd.Index([f"{name}{suffix}" for name in columns])
        blocks.append(block)
    matrix = pd.concat(blocks, axis=1).astype(np.float32)
    enough = matrix.notna().mean(axis=1) >= LEAST_MEASURED
    return matrix[enough].sort_index().rename_axis("patient_id").reset_index()


def write_groups(path: Path) -> None:
    """Write the two groups of the matrix as gene sets."""
    lines = ["\t".join((group, "", *columns)) for group, (columns, _) in GROUPS.items()]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_bags(folder: Path) -> dict[str, dict[int, np.ndarray]]:
    """Vectors (D,) float32 by patient and by position of the stain in `STAINS`."""
    bags: dict[str, dict[int, np.ndarray]] = {}
    widths = {}
    for position, stain in enumerate(STAINS):
        ids, features = read_vectors(folder / f"tma_dtr_{stain}.npz")
        widths[stain] = features.shape[1]
        for patient, vector in zip(ids, features, strict=True):
            bags.setdefault(patient, {})[position] = vector
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{stain} {width}" for stain, width in widths.items())
        fault = f"the vectors of the stains differ in width: {told}"
        raise unreadable(folder, None, fault, "take all from one extraction")
    return bags


def read_vectors(path: Path) -> tuple[list[str], np.ndarray]:
    """The arrays `patient_id` (n,) and `features` (n, D) of one stain. Raises SheetError."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            ids, features = stored["patient_id"], stored["features"]
    except FileNotFoundError:
        raise unreadable(path, None, "no such file", "correct source.directory") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        fault = "holds no arrays patient_id and features"
        raise unreadable(path, None, fault, "write them with numpy.savez") from None
    if features.ndim != 2 or ids.shape != features.shape[:1] or features.dtype.kind != "f":
        fault = f"features are {features.dtype} of shape {features.shape} for {ids.size} patients"
        raise unreadable(path, None, fault, "write one row of numbers per patient")
    if not np.isfinite(features).all():
        raise unreadable(path, None, "a feature is not finite", "extract them again")
    rows = pd.DataFrame({"patient_id": ids.astype(str)}, index=range(1, len(ids) + 1), dtype=object)
    stop_if_any(check_identifiers(Sheet(path, rows), "patient_id"))
    return rows["patient_id"].tolist(), features.astype(np.float32)


def write_bags(
    bags: Mapping[str, Mapping[int, np.ndarray]], patient_ids: Sequence[str], out: Path
) -> pd.DataFrame:
    """Write `out`/features/{slide_id}.h5 for the patients with images; returns slides.tsv.

    The tiles of a patient are the stains there are, at the coordinates (position in `STAINS`, 0).
    """
    slides = []
    for patient in (patient for patient in patient_ids if patient in bags):
        positions = sorted(bags[patient])
        features = np.stack([bags[patient][position] for position in positions])
        coords = np.array([(position, 0) for position in positions], dtype=np.int64)
        file = f"features/{patient}-TMA.h5"
        with atomic_path(out / file) as temporary:
            write_bag(temporary, features, coords)
        slides.append((f"{patient}-TMA", patient, "", "", file))
    return pd.DataFrame(slides, columns=["slide_id", "patient_id", "path", "mpp", "features"])
