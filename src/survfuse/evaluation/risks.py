"""The table of every patient's risk by every model: what the patient pages print.

`risks.tsv` lies beside evaluation.json, which holds its hash. Columns: model, patient_id, months,
risk, low and high (see `absolute_risk`), as_is_low and as_is_high (the interval if nothing were
missing), lacking (what is missing of what the model reads, joined by `+`), n_complete (how many
patients with complete inputs the effect of the missing ones was estimated from; 0: too few), and
group (low, middle or high third of the cohort by this model; empty where it has none).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.ablations import joined_modalities
from survfuse.artifacts.study import CrossValidation, read_table, to_numbers
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, sha256_file
from survfuse.evaluation.absolute_risk import Inputs, Risks
from survfuse.statistics.risk_groups import GROUPS, assign_groups

ESTIMATED = ("risk", "low", "high", "as_is_low", "as_is_high")
NUMBERS = ("months", *ESTIMATED, "n_complete")
COLUMNS = ("model", "patient_id", *NUMBERS, "lacking", "group")


@dataclass(frozen=True)
class ModelRisks:
    """The risks of all patients by one model, by horizon in months, and why some have none."""

    inputs: Inputs | None
    by_months: Mapping[float, Risks] = field(default_factory=dict)
    reasons: Mapping[float, str] = field(default_factory=dict)

    @property
    def group_months(self) -> float | None:
        """The horizon whose estimates make the risk groups: the last that has any."""
        return max(self.by_months, default=None)

    @property
    def groups(self) -> np.ndarray | None:
        """0, 1 or 2 for each patient, (n,); None where the estimates of all are the same."""
        if self.group_months is None:
            return None
        risks = self.by_months[self.group_months]
        return assign_groups(risks.eta) if risks.fit.slope > 0 else None

    def as_json(self) -> dict[str, Any]:
        """What evaluation.json says of the recalibration."""
        fitted = {f"{t:g}": {"slope": one.fit.slope} for t, one in self.by_months.items()}
        absent = {f"{t:g}": {"slope": None, "reason": why} for t, why in self.reasons.items()}
        return {"group_months": self.group_months, "horizons": fitted | absent}


def write_risks(path: Path, study: CrossValidation, models: Mapping[str, ModelRisks]) -> str:
    """Write the table of all models and return its SHA-256. Floats keep all their digits."""
    frames = [frame_of(study, name, risks) for name, risks in models.items()]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    with atomic_path(path) as temporary:
        table[list(COLUMNS)].to_csv(temporary, sep="\t", index=False, lineterminator="\n")
    return sha256_file(path)


def frame_of(study: CrossValidation, model: str, risks: ModelRisks) -> pd.DataFrame:
    """The rows of one model."""
    n = len(study.patient_ids)
    groups = risks.groups
    names = np.full(n, "") if groups is None else np.array(GROUPS)[groups]
    sets = risks.inputs.sets() if risks.inputs else [frozenset()] * n
    reads = frozenset(risks.inputs.reads if risks.inputs else ())
    lacking = [joined_modalities(reads - there) for there in sets]
    frames = []
    for months, one in risks.by_months.items():
        complete = [
            one.input_effects[there].n if there in one.input_effects else np.nan for there in sets
        ]
        numbers = {name: getattr(one, name) for name in ESTIMATED}
        who = {"model": model, "patient_id": study.patient_ids, "months": months}
        frames.append(
            pd.DataFrame(
                {**who, **numbers, "n_complete": complete, "lacking": lacking, "group": names}
            )
        )
    return pd.concat(frames) if frames else pd.DataFrame(columns=list(COLUMNS))


def read_risks(path: Path, sha256: str | None) -> pd.DataFrame:
    """The table of all models; what is empty of `n_complete` is NaN.

    Raises UserInputError where it is absent, not readable, or not the one of which evaluation.json
    holds the hash `sha256`.
    """
    if sha256 is None or not path.is_file() or sha256_file(path) != sha256:
        raise UserInputError(
            f"{path}: is not the table that was written with evaluation.json; run the evaluation "
            "again before the report"
        )
    table = read_table(path, dict.fromkeys(NUMBERS[:-1], float))
    table["n_complete"] = to_numbers(table["n_complete"], path)
    return table
