"""The tables of diagnosis predictions: the one place that knows how they are written.

`{model}.tsv` has the columns patient_id, repeat, fold, synthesised (1 where a synthetic volume
stood in for a missing one), threshold (probability of class 1 from which a patient is called
positive, chosen on validation data of the fold; empty for more than two classes), then the
probability of each class `p_0`, `p_1`, ..., and optionally `p_low_1`, `p_high_1`, ...: the range of
that probability over ensemble members. `{model}.ablations.tsv` has patient_id, repeat, fold,
pattern, synthesised, p_0, ...: what the model says where it is shown less, see
`check_class_ablations`. Rows are counted as a spreadsheet shows them: the header is row 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.predictions import (
    KEYS,
    read_numbers,
    refuse,
    refuse_columns,
    refuse_empty,
)
from survfuse.artifacts.study import refuse_twice
from survfuse.core.files import atomic_path
from survfuse.modalities.registry import MODALITIES
from survfuse.tasks.diagnosis.scored import SUM_TOLERANCE

CLASS = re.compile(r"^p_(0|[1-9]\d*)$")
RANGE = re.compile(r"^p_(low|high)_(0|[1-9]\d*)$")
WITHOUT = "without "
COLUMNS = [*KEYS, "synthesised", "threshold"]
ABLATION_COLUMNS = [*KEYS, "inputs", "synthesised"]
COMPLETE: dict[str, type] = {"repeat": int, "fold": int, "synthesised": int}
# A range over members holds their mean; rounding may lift it by this much.
ROUNDING = 1e-6


def write_class_predictions(path: str | Path, frame: pd.DataFrame) -> None:
    """Check and write one model's predictions. Floats keep all their digits."""
    check_class_predictions(frame, Path(path))
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False)


def read_class_predictions(path: str | Path) -> pd.DataFrame:
    """Read and check one model's predictions; an empty threshold becomes NaN.

    Raises UserInputError naming file, row and remedy: see `check_class_predictions`.
    """
    path = Path(path)
    frame = read_numbers(path, COMPLETE)
    check_class_predictions(frame, path)
    return frame


def check_class_predictions(frame: pd.DataFrame, path: Path) -> None:
    """Raise UserInputError for a table that cannot be what a model predicted.

    That is: a missing or unknown column, no rows, a patient twice in one repeat, probabilities
    that are missing, outside 0 to 1 or do not sum to 1, a flag that is not 0 or 1, a threshold
    outside 0 to 1, one that differs within a fold, or one for more than two classes, a range that
    does not hold the probability.
    """
    ranges = [name for name in frame.columns if RANGE.match(name)]
    check_common(frame, COLUMNS, ranges, path)
    refuse_empty(frame, path)
    refuse_twice(frame, ["patient_id", "repeat"], path)
    threshold = frame["threshold"].to_numpy(dtype=float)
    refuse((threshold < 0) | (threshold > 1), frame, path, "the threshold lies outside 0 to 1")
    if len(class_columns(frame)) > 2:
        refuse(np.isfinite(threshold), frame, path, "a threshold needs exactly two classes")
    of_fold = frame.groupby(["repeat", "fold"])["threshold"].transform("first")
    differs = frame["threshold"].ne(of_fold) & ~(frame["threshold"].isna() & of_fold.isna())
    refuse(differs.to_numpy(), frame, path, "the threshold differs from that of its fold")
    for name in ranges:
        side, number = name.split("_")[1:]
        refuse_columns(frame, [f"p_low_{number}", f"p_high_{number}", f"p_{number}"],
                       list(frame.columns), path)  # fmt: skip
        limit, value = (frame[c].to_numpy(dtype=float) for c in (name, f"p_{number}"))
        refuse((limit < 0) | (limit > 1), frame, path, f"{name} lies outside 0 to 1")
        beyond = limit - value if side == "low" else value - limit
        refuse(beyond > ROUNDING, frame, path, f"p_{number} lies outside {name}")


def write_class_ablations(path: str | Path, frame: pd.DataFrame | None) -> None:
    """Check and write one model's table of modality ablations, without rows for None."""
    frame = pd.DataFrame(columns=[*ABLATION_COLUMNS, "p_0", "p_1"]) if frame is None else frame
    check_class_ablations(frame, Path(path))
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False)


def read_class_ablations(path: str | Path) -> pd.DataFrame:
    """Read and check one model's table of modality ablations, which may be without rows."""
    path = Path(path)
    frame = read_numbers(path, COMPLETE, ["inputs"])
    check_class_ablations(frame, path)
    return frame


def check_class_ablations(frame: pd.DataFrame, path: Path) -> None:
    """Raise UserInputError for a table that cannot be a model's modality ablations.

    `inputs` is a modality that the model was given alone, or "without pet": everything but that
    modality, synthesised where the model does so; only patients who have the modality are listed.
    """
    check_common(frame, ABLATION_COLUMNS, [], path)
    refuse_twice(frame, ["patient_id", "repeat", "inputs"], path)
    known = {*MODALITIES, *(WITHOUT + name for name in MODALITIES)}
    refuse(
        ~frame["inputs"].isin(known).to_numpy(),
        frame,
        path,
        f"inputs are neither one of {', '.join(MODALITIES)} nor one of them after 'without'",
    )


def check_common(frame: pd.DataFrame, required: list[str], optional: list[str], path: Path) -> None:
    """What both tables have in common: keys, the flag, and probabilities that sum to 1."""
    classes = class_columns(frame)
    number = max(len(classes), 2)
    wanted = [*required, *(f"p_{k}" for k in range(number))]
    optional_names = ", p_low_K and p_high_K, with K the number of a class"
    refuse_columns(frame, wanted, optional, path, optional_names)
    flag = frame["synthesised"].to_numpy(dtype=float)
    refuse(~np.isin(flag, (0, 1)), frame, path, "synthesised must be 0 or 1")
    values = probabilities(frame)
    outside = np.asarray(~((values >= 0) & (values <= 1)).all(axis=1))
    refuse(outside, frame, path, "a probability is missing or lies outside 0 to 1")
    apart = np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE
    refuse(apart, frame, path, "the probabilities do not sum to 1")


def class_columns(frame: pd.DataFrame) -> list[str]:
    """The columns p_0, p_1, ... in the order of their numbers."""
    return sorted((n for n in frame.columns if CLASS.match(n)), key=lambda n: int(n[2:]))


def probabilities(frame: pd.DataFrame) -> np.ndarray:
    """Probabilities of the classes, (rows, K)."""
    return frame[class_columns(frame)].to_numpy(dtype=float)


def tidy_classes(paths: Mapping[str, str | Path]) -> pd.DataFrame:
    """All models in one long table, a row per model, patient, repeat and class.

    Columns: model, patient_id, repeat, fold, synthesised, threshold, class (its number),
    probability.
    """
    parts = []
    for model, path in paths.items():
        frame = read_class_predictions(path)
        long = frame.melt(COLUMNS, class_columns(frame), "class", "probability")
        long["class"] = long["class"].str.removeprefix("p_").astype(int)
        long.insert(0, "model", model)
        parts.append(long)
    return pd.concat(parts, ignore_index=True)


def write_class_tidy(paths: Mapping[str, str | Path], out: Path) -> None:
    """Write the long table of all models as TSV."""
    with atomic_path(out) as temporary:
        tidy_classes(paths).to_csv(temporary, sep="\t", index=False, lineterminator="\n")
