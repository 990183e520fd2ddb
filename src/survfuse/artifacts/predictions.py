"""The table of out-of-fold predictions: the one place that knows how it is written.

Columns: patient_id, repeat, fold, risk (higher is worse, comparable within a fold only); then
`surv_{t:g}`, the probability of being event-free at t months; then `risk_low_{h:g}` and
`risk_high_{h:g}`, the range of 1 - S(h) over ensemble members. An empty cell is a quantity that
the model cannot state. Rows are counted as a spreadsheet shows them: the header is row 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.study import CrossValidation, read_table, refuse_twice, to_numbers
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path

KEYS = ["patient_id", "repeat", "fold"]
PROBABILITY = re.compile(r"^(surv|risk_low|risk_high)_(\d+(\.\d+)?(e[+-]?\d+)?)$")
# Averaging and text formatting may lift a flat curve by a rounding error; more is a defect.
ROUNDING = 1e-6


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read and check one model's predictions; empty cells become NaN.

    Raises UserInputError naming file, row and remedy: see `check_predictions`.
    """
    path = Path(path)
    frame = read_numbers(path, {"repeat": int, "fold": int, "risk": float})
    check_predictions(frame, path)
    return frame


def read_numbers(path: Path, complete: dict[str, type], text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table with the column patient_id and numbers alone, the columns of `text` excepted.

    The columns of `complete` have no empty cell; in all others one becomes NaN. Raises
    UserInputError as `read_table` and `to_numbers` do.
    """
    frame = read_table(path, complete)
    for column in frame.columns.difference(["patient_id", *complete, *text], sort=False):
        frame[column] = to_numbers(frame[column], path)
    return frame


def write_predictions(path: str | Path, frame: pd.DataFrame) -> None:
    """Check and write one model's predictions. Floats keep all their digits."""
    check_predictions(frame, Path(path))
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False)


def check_predictions(frame: pd.DataFrame, path: Path) -> None:
    """Raise UserInputError for a table that cannot be what a model predicted.

    That is: a missing or unknown column, no rows, a patient twice in one repeat, a risk that is
    not a number, a probability outside [0, 1], survival that rises with time.
    """
    others = [name for name in frame.columns if PROBABILITY.match(name)]
    refuse_columns(frame, [*KEYS, "risk"], others, path)
    refuse_empty(frame, path)
    refuse_twice(frame, ["patient_id", "repeat"], path)
    refuse(
        ~np.isfinite(frame["risk"].to_numpy(dtype=float)),
        frame,
        path,
        "risk is not a finite number",
    )
    for name in others:
        values = frame[name].to_numpy(dtype=float)
        refuse((values < 0) | (values > 1), frame, path, f"{name} lies outside 0 to 1")
    # An empty cell takes the last value before it, so that gaps neither hide nor feign a rise.
    curves = frame[survival_columns(frame)].ffill(axis=1).to_numpy(dtype=float)
    rises = np.asarray((np.diff(curves, axis=1) > ROUNDING).any(axis=1))
    refuse(rises, frame, path, "the survival probability rises with time")


def refuse_empty(frame: pd.DataFrame, path: Path) -> None:
    """Raise UserInputError for a table without rows."""
    if not len(frame):
        raise UserInputError(f"{path}: the table has no rows; predict again")


def refuse_columns(
    frame: pd.DataFrame,
    required: Sequence[str],
    optional: Sequence[str],
    path: Path,
    optional_names: str = ", surv_T, risk_low_T and risk_high_T, with T in months",
) -> None:
    """Raise UserInputError if a required column is missing, or one is in neither list."""
    if missing := [name for name in required if name not in frame]:
        raise UserInputError(f"{path}: the column {missing[0]} is missing; predict again")
    if unknown := [name for name in frame.columns if name not in (*required, *optional)]:
        also = optional_names if optional else ""
        raise UserInputError(
            f"{path}: the column {unknown[0]} is not known; keep {', '.join(required)}{also}"
        )


def refuse(bad: np.ndarray, frame: pd.DataFrame, path: Path, problem: str) -> None:
    """Raise UserInputError for the first row that is bad."""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UserInputError(
            f"{path}: row {row + 2} (patient {frame['patient_id'].iloc[row]}): {problem}; correct "
            "the model that wrote it and predict again"
        )


def survival_columns(frame: pd.DataFrame) -> list[str]:
    """The surv_T columns in the order of their times."""
    columns = [name for name in frame.columns if name.startswith("surv_")]
    return sorted(columns, key=months_of)


def months_of(column: str) -> float:
    """The time in the name of a surv_T, risk_low_T or risk_high_T column."""
    return float(column.rpartition("_")[2])


def match_study(frame: pd.DataFrame, study: CrossValidation, path: Path) -> pd.DataFrame:
    """The rows in the order repeat, then patient of the study: shape (repeats * n, columns).

    Raises UserInputError as `match_folds` does, or if a patient is missing: paired comparisons need
    every model on the same patients.
    """
    matched = match_folds(frame, study, path)
    expected = study.n_repeats * len(study.patient_ids)
    if (short := expected - len(frame)) > 0:
        raise UserInputError(
            f"{path}: {short} of {expected} predictions are missing; predict every patient "
            "of every repeat again"
        )
    return matched.sort_values(["repeat", "row"]).drop(columns="row")


def match_folds(frame: pd.DataFrame, study: CrossValidation, path: Path) -> pd.DataFrame:
    """The table with a column `row`, the place of the patient in the study.

    Raises UserInputError if a patient is unknown, or was predicted in another repeat or fold than
    the splits say.
    """
    expected = pd.concat(
        pd.DataFrame(
            {
                "repeat": fold.repeat,
                "patient_id": np.array(study.patient_ids)[fold.test],
                "row": fold.test,
                "expected": fold.fold,
            }
        )
        for fold in study.folds
    )
    unknown = ~frame["patient_id"].isin(study.patient_ids).to_numpy()
    refuse(unknown, frame, path, "the cohort has no such patient")
    merged = frame.merge(expected, how="left", on=["repeat", "patient_id"])
    moved = (merged["fold"] != merged["expected"]).to_numpy()
    refuse(moved, merged, path, "the splits test this patient in another repeat or fold")
    return merged.drop(columns="expected")


def tidy(paths: Mapping[str, str | Path]) -> pd.DataFrame:
    """All models in one long table: model, patient_id, repeat, fold, risk, time_months, survival.

    One row per model, patient, repeat and time; the risk does not depend on the time and repeats.
    """
    parts = []
    for model, path in paths.items():
        frame = read_predictions(path)
        long = frame.melt([*KEYS, "risk"], survival_columns(frame), "time_months", "survival")
        long["time_months"] = long["time_months"].map(months_of)
        long.insert(0, "model", model)
        parts.append(long)
    return pd.concat(parts, ignore_index=True)


def write_tidy(paths: Mapping[str, str | Path], out: Path) -> None:
    """Write the long table of all models as TSV."""
    with atomic_path(out) as temporary:
        tidy(paths).to_csv(temporary, sep="\t", index=False, lineterminator="\n")
