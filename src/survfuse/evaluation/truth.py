"""What a cohort was simulated with, which no model knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from survfuse.artifacts.study import CrossValidation, read_table, refuse_twice
from survfuse.core.errors import UserInputError


def read_true_risk(truth: Path, study: CrossValidation) -> np.ndarray:
    """The log-hazards (n,) that a cohort was simulated with, in the order of the study.

    Raises UserInputError if a patient is listed twice or not at all.
    """
    table = read_table(truth, {"log_hazard": float})
    refuse_twice(table, ["patient_id"], truth)
    known = table.set_index("patient_id")["log_hazard"]
    if absent := [patient for patient in study.patient_ids if patient not in known.index]:
        raise UserInputError(
            f"{truth}: patient {absent[0]} of the cohort is not listed; simulate the cohort again"
        )
    return known.loc[list(study.patient_ids)].to_numpy(dtype=float)
