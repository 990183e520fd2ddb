"""Slide-derived features of a published table as one embedding file per slide.

The layout is that of the human-interpretable features (HIF) of Diao et al., Nat Commun
2021;12:1613: one row per slide, `case` is the patient, the slide has a number, and the features end
with the stain (`_HE` or `_FFPE`). All other columns, outcomes among them, never become features.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.core.files import atomic_path
from survfuse.core.hdf5_files import new_hdf5
from survfuse.sheets.problems import stop_if_any
from survfuse.sheets.text_table import Sheet, check_identifiers, problems_where, read_sheet

log = logging.getLogger(__name__)

STAINS = ("_HE", "_FFPE")
SLIDE_NUMBERS = ("H & E_ID", "FFPE_ID")


def write_slide_features(path: Path, patient_ids: Collection[str], out: Path) -> pd.DataFrame:
    """Write `out`/features/{slide_id}.h5 for every slide of the given patients.

    A file holds `features` (1, D) float32, raw, and `coords` (1, 2) int64 zeros: the slide is one
    token. A feature that is missing on any of these slides is left out of all, because filling it
    would need statistics across folds. Returns slides.tsv with an empty `path`. Raises SheetError.
    """
    sheet = read_sheet(path, ["case"])
    numbered = [name for name in SLIDE_NUMBERS if name in sheet.rows]
    if not numbered:
        remedy = f"name the slide numbers {' or '.join(SLIDE_NUMBERS)}"
        stop_if_any([sheet.problem(None, SLIDE_NUMBERS[0], "column is missing", remedy)])
    rows = sheet.rows[sheet.rows["case"].isin(patient_ids)]
    slides = rows.assign(slide_id=rows["case"] + "-" + rows[numbered[0]])
    sheet = Sheet(path, slides.sort_values("slide_id"))
    stop_if_any(check_identifiers(sheet, "slide_id"))
    values = feature_values(sheet)
    for slide_id, features in zip(sheet.rows["slide_id"], values, strict=True):
        with atomic_path(out / "features" / f"{slide_id}.h5") as temporary:
            write_bag(temporary, features[np.newaxis], np.zeros((1, 2), dtype=np.int64))
    return pd.DataFrame(
        {
            "slide_id": sheet.rows["slide_id"],
            "patient_id": sheet.rows["case"],
            "path": "",
            "mpp": "",
            "features": [f"features/{slide_id}.h5" for slide_id in sheet.rows["slide_id"]],
        }
    )


def feature_values(sheet: Sheet) -> np.ndarray:
    """The features (slides, D) float32 that are measured on every slide.

    Raises SheetError where there are none, or where one is not a finite number.
    """
    texts = sheet.rows[[name for name in sheet.rows if str(name).endswith(STAINS)]]
    numbers = texts.apply(pd.to_numeric, errors="coerce").astype(np.float32)
    missing = texts == ""
    remedy = "correct the table, or leave the cell empty"
    wrong = ~np.isfinite(numbers) & ~missing
    stop_if_any(problems_where(sheet, wrong, "is not a finite number", remedy))
    complete = ~missing.to_numpy().any(axis=0)
    kept = int(complete.sum())
    if not kept:
        problem = f"no feature ({' or '.join(STAINS)}) is measured on every slide"
        stop_if_any([sheet.problem(None, None, problem, "check the table and its patients")])
    if kept < complete.size:
        log.warning("%d of %d features are kept: measured on every slide", kept, complete.size)
    return numbers.to_numpy()[:, complete]


def write_bag(path: Path, features: np.ndarray, coords: np.ndarray) -> None:
    """Write a slide's embeddings (N, D) and their level-0 coordinates (N, 2)."""
    with new_hdf5(path) as file:
        file.create_dataset("features", data=features)
        file.create_dataset("coords", data=coords)
