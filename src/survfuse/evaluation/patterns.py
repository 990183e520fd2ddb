"""What a model says of patients when it is shown one kind of input alone.

The table `{model}.patterns.tsv` has the columns patient_id, repeat, fold, pattern and risk. The
pattern is the one modality that the model was shown, all others hidden; only patients who have it
are listed. A table without rows belongs to a model that reads one modality.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.evaluation.predictions import KEYS, match_folds, refuse, refuse_columns
from survfuse.evaluation.study import Study, read_table, refuse_twice
from survfuse.files import atomic_path
from survfuse.kinds import MODALITIES

COLUMNS = [*KEYS, "pattern", "risk"]


def write_patterns(path: str | Path, frame: pd.DataFrame | None) -> None:
    """Check and write one model's table, without rows for None. Floats keep all their digits."""
    frame = pd.DataFrame(columns=COLUMNS) if frame is None else frame
    check_patterns(frame, Path(path))
    with atomic_path(path) as temporary:
        frame[COLUMNS].to_csv(temporary, sep="\t", index=False)


def check_patterns(frame: pd.DataFrame, path: Path, reads: Sequence[str] = MODALITIES) -> None:
    """Raise UserInputError for a table that cannot be what a model of these modalities predicted.

    That is: a missing or unknown column, a patient twice in one repeat and pattern, a risk that is
    not a number, a pattern that is not one of `reads`.
    """
    refuse_columns(frame, COLUMNS, [], path)
    refuse_twice(frame, ["patient_id", "repeat", "pattern"], path)
    finite = np.isfinite(frame["risk"].to_numpy(dtype=float))
    refuse(~finite, frame, path, "risk is not a finite number")
    known = frame["pattern"].isin(list(reads)).to_numpy()
    refuse(~known, frame, path, f"the pattern is none of {', '.join(reads)}, which the model reads")


def read_patterns(path: Path, study: Study, reads: Sequence[str]) -> dict[str, np.ndarray]:
    """Risks (repeats, n) by pattern, in the order of `reads`; NaN for patients who lack it.

    Raises UserInputError as `check_patterns` does, and where the table does not match the splits
    or lists a patient in some repeats and not in others.
    """
    frame = read_table(path, {"repeat": int, "fold": int, "risk": float})
    check_patterns(frame, path, reads)
    frame = match_folds(frame, study, path)
    listed = frame.groupby(["patient_id", "pattern"])["repeat"].transform("size").to_numpy()
    refuse(listed < study.n_repeats, frame, path, "this pattern is missing in another repeat")
    risks = {}
    for pattern in reads:
        rows = frame[frame["pattern"] == pattern]
        if len(rows):
            risks[pattern] = np.full((study.n_repeats, len(study.patient_ids)), np.nan)
            risks[pattern][rows["repeat"], rows["row"]] = rows["risk"]
    return risks
