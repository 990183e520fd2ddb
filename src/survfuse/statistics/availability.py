"""Is having a modality itself associated with the outcome?

Where it is, a model can score well by noticing who was sampled. The outcome is made binary at one
time tau: an event before it, or follow-up up to it. Patients censored before tau are left out, for
whom neither is known; where censoring depends on having the modality, that may bias the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.artifacts.study import CrossValidation, SurvivalOutcome, read_table, refuse_twice
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES
from survfuse.statistics.delong import delong
from survfuse.statistics.intervals import Estimate


def read_availability(path: Path, study: CrossValidation) -> dict[str, np.ndarray]:
    """Which patients have each modality: (n,) bool in the order of the study.

    The table has patient_id and a column of 0 and 1 for each modality. Raises UserInputError for
    an unknown column, none at all, another value, or other patients than those of the study.
    """
    columns = [name for name in read_table(path, {}).columns if name != "patient_id"]
    if unknown := [name for name in columns if name not in MODALITIES]:
        raise UserInputError(
            f"{path}: the column {unknown[0]} is not known; keep patient_id and "
            f"{', '.join(MODALITIES)}"
        )
    if not columns:
        raise UserInputError(
            f"{path}: there is no modality; add a column of 0 and 1 named as one of "
            f"{', '.join(MODALITIES)}"
        )
    table = read_table(path, dict.fromkeys(columns, int))
    refuse_twice(table, ["patient_id"], path)
    if differing := set(study.patient_ids) ^ set(table["patient_id"]):
        raise UserInputError(
            f"{path}: patient {min(differing)} is not both in this table and in the cohort; write "
            "it again from this cohort"
        )
    for name in columns:
        if bad := np.flatnonzero(~table[name].isin([0, 1])).tolist():
            raise UserInputError(f"{path}: row {bad[0] + 2}: {name} must be 0 or 1")
    ordered = table.set_index("patient_id").loc[list(study.patient_ids)]
    return {name: ordered[name].to_numpy() == 1 for name in columns}


def associations(
    present: Mapping[str, np.ndarray], outcome: SurvivalOutcome, confidence: float
) -> list[dict[str, Any]]:
    """AUROC of having each modality (n,) for an event before tau, the median time of the events.

    Above 0.5, those who have it had the event earlier. `n` patients are compared, `n_early` of
    them with an event before tau and `n_present` with the modality. AUROC and limits are None with
    a reason where they cannot be estimated.
    """
    tau = float(np.median(outcome.time[outcome.event]))
    early = outcome.event & (outcome.time < tau)
    known = early | (outcome.time >= tau)
    found = []
    for modality, has in present.items():
        estimate = association(has[known], early[known], confidence).as_json()
        counted = {
            "modality": modality,
            "n_present": int(has[known].sum()),
            "n": int(known.sum()),
            "n_early": int(early.sum()),
            "tau_months": tau,
        }
        found.append({**counted, "auroc": estimate.pop("value"), **estimate})
    return found


def association(has: np.ndarray, early: np.ndarray, confidence: float) -> Estimate:
    """AUROC of `has` (k,) for `early` (k,), unless all or none have the modality."""
    if has.all() or not has.any():
        return Estimate(reason=f"{'all' if has.all() else 'none'} of the patients have it")
    return auroc(has.astype(float), early, confidence)


def auroc(score: np.ndarray, case: np.ndarray, confidence: float) -> Estimate:
    """AUROC of the scores (k,) for the cases (k,), tied scores counting half; DeLong's interval.

    Without two of each, or where the scores separate them, there is no interval, and the reason
    is given.
    """
    case = case.astype(bool)
    cases, controls = int(case.sum()), int((~case).sum())
    if min(cases, controls) < 2:
        return Estimate(
            reason=f"there are {cases} cases and {controls} controls; two of each are needed"
        )
    found = delong(score, case, confidence)
    if found.low is None and found.value in (0.0, 1.0):
        reason = "the score separates cases from controls without overlap"
        return Estimate(found.value, reason=reason)
    return found
