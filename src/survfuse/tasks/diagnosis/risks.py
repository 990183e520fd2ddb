"""The absolute risk of the event by a horizon from class probabilities, as for survival models.

The probability of the second class is a prediction of the event by the horizon, 1 - S. It is
recalibrated on the follow-up, which also has information on those whose class is not known (see
`recalibration`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from survfuse.artifacts.ablations import ModalitySet
from survfuse.artifacts.predictions import match_folds
from survfuse.artifacts.study import Study
from survfuse.evaluation.absolute_risk import absolute_risks, inputs_of
from survfuse.evaluation.risks import ModelRisks
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import HorizonError
from survfuse.tasks.diagnosis.predictions import WITHOUT, read_class_ablations
from survfuse.tasks.diagnosis.rows import ClassRow
from survfuse.tasks.diagnosis.study import ClassStudy


def class_risks(
    study: ClassStudy,
    row: ClassRow,
    ablations: Path | None,
    months: float,
    confidence: float,
    present: Mapping[str, np.ndarray],
) -> ModelRisks:
    """The risks of all patients by a row of two classes; `study` must hold the follow-up.

    `ablations`: the row's table of modality ablations, if there is one.
    `present`: who has each modality, (n,).
    """
    outcome, study = study.outcome, study.first_repeats(row.n_repeats)
    if outcome is None:
        raise ValueError("a diagnosis without a horizon has no follow-up")
    inputs = inputs_of(row.modalities, present)
    followed = Study(study.patient_ids, outcome, study.folds)
    survival = np.stack([1 - one.probability[:, 1] for one in row.repeats])
    ablated = ablated_survival(ablations, study, row) if ablations else {}
    try:
        found = absolute_risks(followed, survival, months, confidence, inputs, ablated)
    except (HorizonError, NotEstimableError) as error:
        return ModelRisks(inputs, reasons={months: str(error)})
    return ModelRisks(inputs, {months: found})


def ablated_survival(path: Path, study: ClassStudy, row: ClassRow) -> dict[ModalitySet, np.ndarray]:
    """1 - p of the second class (repeats, n) by the inputs; NaN where it was not predicted.

    Where everything but one volume was given, a synthetic one stood in for it if that is what the
    row does: so are patients predicted who lack it.
    """
    table = read_class_ablations(path)
    table = match_folds(table[table["repeat"] < study.n_repeats], study, path)
    found: dict[ModalitySet, np.ndarray] = {}
    for ablation in sorted(table["inputs"].unique(), key=lambda name: name.startswith(WITHOUT)):
        rows = table[table["inputs"] == ablation]
        values = np.full((study.n_repeats, len(study.patient_ids)), np.nan)
        values[rows["repeat"], rows["row"]] = 1 - rows["p_1"]
        found[modality_set(ablation, row)] = values
    return found


def modality_set(ablation: str, row: ClassRow) -> ModalitySet:
    """The inputs of a row in an ablation of `{model}.ablations.tsv`."""
    if ablation.startswith(WITHOUT):
        return frozenset(row.modalities) - {ablation.removeprefix(WITHOUT)}
    return frozenset({ablation})
