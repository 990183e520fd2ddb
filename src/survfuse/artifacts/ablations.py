"""Modality ablations: predictions of a model that is given some of the inputs of patients alone.

The table `{model}.ablations.tsv` has the columns patient_id, repeat, fold, inputs and risk, and
`surv_{h:g}`, the survival at the horizons. `inputs` names the modalities that the model was given,
joined by `+`, all others withheld: every modality alone, for patients who have it; and each
combination that is all that some patient of the cohort has, for patients who have more. A table
without rows belongs to a model that reads one modality.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.predictions import (
    KEYS,
    PROBABILITY,
    match_folds,
    months_of,
    refuse,
    refuse_columns,
    survival_columns,
)
from survfuse.artifacts.study import Study, read_table, refuse_twice, to_numbers
from survfuse.core.files import atomic_path
from survfuse.modalities.registry import MODALITIES

COLUMNS = [*KEYS, "inputs", "risk"]

ModalitySet = frozenset[str]  # the modalities that a model is given


def joined_modalities(modalities: Collection[str]) -> str:
    """Modalities in their usual order, joined by `+`."""
    return "+".join(name for name in MODALITIES if name in modalities)


def modalities_in(ablation: str) -> ModalitySet:
    """The modalities of a name that `joined_modalities` made."""
    return frozenset(ablation.split("+"))


def write_ablations(path: str | Path, frame: pd.DataFrame | None) -> None:
    """Check and write one model's table, without rows for None. Floats keep all their digits."""
    frame = pd.DataFrame(columns=COLUMNS) if frame is None else frame
    check_ablations(frame, Path(path))
    with atomic_path(path) as temporary:
        frame[[*COLUMNS, *survival_columns(frame)]].to_csv(temporary, sep="\t", index=False)


def check_ablations(frame: pd.DataFrame, path: Path, reads: Collection[str] = MODALITIES) -> None:
    """Raise UserInputError for a table that cannot be what a model of these modalities predicted.

    That is: a missing or unknown column, a patient twice in one repeat and ablation, a risk that is
    not a number, a survival outside 0 to 1, inputs that are not some of `reads`.
    """
    probabilities = [name for name in frame.columns if PROBABILITY.match(name)]
    probabilities = [name for name in probabilities if name.startswith("surv_")]
    refuse_columns(frame, COLUMNS, probabilities, path, " and surv_T, with T in months")
    refuse_twice(frame, ["patient_id", "repeat", "inputs"], path)
    finite = np.isfinite(frame["risk"].to_numpy(dtype=float))
    refuse(~finite, frame, path, "risk is not a finite number")
    for name in probabilities:
        values = frame[name].to_numpy(dtype=float)
        refuse((values < 0) | (values > 1), frame, path, f"{name} lies outside 0 to 1")
    some = {
        name
        for name in frame["inputs"].unique()
        if name in reads
        or (modalities_in(name) < set(reads) and name == joined_modalities(modalities_in(name)))
    }
    known = frame["inputs"].isin(list(some)).to_numpy()
    fault = f"inputs are none of {', '.join(reads)}, which the model reads, nor some of them"
    refuse(~known, frame, path, fault)


def read_ablated_risks(path: Path, study: Study, reads: Sequence[str]) -> dict[str, np.ndarray]:
    """Risks (repeats, n) of each modality alone, in the order of `reads`; NaN for who lacks it.

    Raises UserInputError as `read_matched` does.
    """
    frame = read_matched(path, study, reads)
    return {
        ablation: by_patient(frame, ablation, "risk", study)
        for ablation in reads
        if (frame["inputs"] == ablation).any()
    }


def read_ablated_survival(
    path: Path, study: Study, reads: Sequence[str]
) -> dict[float, dict[ModalitySet, np.ndarray]]:
    """Survival (repeats, n) by horizon in months and by the inputs; NaN where not predicted.

    Raises UserInputError as `read_matched` does.
    """
    frame = read_matched(path, study, reads)
    return {
        months_of(column): {
            modalities_in(ablation): by_patient(frame, ablation, column, study)
            for ablation in frame["inputs"].unique()
        }
        for column in survival_columns(frame)
    }


def read_matched(path: Path, study: Study, reads: Sequence[str]) -> pd.DataFrame:
    """The table with the index `row` of every patient in the study.

    Raises UserInputError as `check_ablations` does, and where the table does not match the splits
    or lists a patient in some repeats and not in others.
    """
    frame = read_table(path, {"repeat": int, "fold": int, "risk": float})
    for column in survival_columns(frame):
        frame[column] = to_numbers(frame[column], path)
    check_ablations(frame, path, reads)
    frame = match_folds(frame, study, path)
    listed = frame.groupby(["patient_id", "inputs"])["repeat"].transform("size").to_numpy()
    refuse(listed < study.n_repeats, frame, path, "these inputs are missing in another repeat")
    return frame


def by_patient(frame: pd.DataFrame, ablation: str, column: str, study: Study) -> np.ndarray:
    """One column of one ablation as (repeats, n), NaN for patients who are not listed."""
    rows = frame[frame["inputs"] == ablation]
    values = np.full((study.n_repeats, len(study.patient_ids)), np.nan)
    values[rows["repeat"], rows["row"]] = rows[column]
    return values
