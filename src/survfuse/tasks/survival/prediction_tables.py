"""The tables of out-of-fold predictions of survival, and of modality ablations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from survfuse.artifacts.ablations import ModalitySet, joined_modalities, write_ablations
from survfuse.artifacts.prediction import Prediction
from survfuse.artifacts.predictions import write_predictions
from survfuse.config.study import Config
from survfuse.modalities.cohort import SYNTHETIC, CohortInputs
from survfuse.modalities.registry import MODALITIES
from survfuse.tasks.prediction_tables import PredictionTables


def prediction_frame(
    prediction: Prediction, config: Config, repeat: int, fold: int
) -> pd.DataFrame:
    """One tidy row per patient."""
    grid = config.grid_months()
    frame = pd.DataFrame(
        {
            "patient_id": prediction.patient_ids,
            "repeat": repeat,
            "fold": fold,
            "risk": prediction.risk,
        }
    )
    for column, months in enumerate(grid):
        frame[f"surv_{months:g}"] = prediction.survival[:, column]
    several = len(prediction.members) > 1
    for months in config.evaluation.horizons_months:
        at_horizon = 1 - prediction.members[:, :, grid.index(months)]
        frame[f"risk_low_{months:g}"] = at_horizon.min(axis=0) if several else np.nan
        frame[f"risk_high_{months:g}"] = at_horizon.max(axis=0) if several else np.nan
    return frame


def ablation_sets(reads: Sequence[str], inputs: CohortInputs) -> list[ModalitySet]:
    """The inputs of all ablations: each modality alone, and whatever is all that a patient has."""
    modalities = [name for name in MODALITIES if name in reads]
    everybody = inputs.patients.index.tolist()
    has = np.stack([inputs.available(name, everybody) for name in modalities], axis=1)
    there = {frozenset(np.array(modalities)[row].tolist()) for row in np.unique(has, axis=0)}
    several = [given for given in there if 1 < len(given) < len(modalities)]
    single = [frozenset([name]) for name in reads if name in modalities]
    return [*single, *sorted(several, key=joined_modalities)]


def ablation_frames(
    predict: Callable[[CohortInputs, Sequence[str]], Prediction],
    config: Config,
    reads: Sequence[str],
    inputs: CohortInputs,
    patient_ids: Sequence[str],
) -> list[pd.DataFrame]:
    """Predictions of the patients of a fold from some of the inputs that they have.

    Columns patient_id, inputs, risk and the survival at the horizons: from a single modality for
    all who have it, from several for those who have more.
    """
    grid, months = config.grid_months(), config.evaluation.horizons_months
    modalities = [modality for modality in reads if modality in MODALITIES]
    has = {modality: inputs.available(modality, patient_ids) for modality in modalities}
    number = np.sum(list(has.values()), axis=0)
    frames = []
    for given in ablation_sets(reads, inputs):
        predicted = np.all([has[modality] for modality in given], axis=0)
        if len(given) > 1:
            predicted &= number > len(given)
        chosen = [patient for patient, there in zip(patient_ids, predicted, strict=True) if there]
        if not chosen:
            continue
        synthetic = [SYNTHETIC + other for other in inputs.synthetic]
        withheld = {other: chosen for other in (*reads, *synthetic) if other not in given}
        prediction = predict(inputs.without(withheld), chosen)
        columns = {
            "patient_id": chosen,
            "inputs": joined_modalities(given),
            "risk": prediction.risk,
        }
        survival = {f"surv_{t:g}": prediction.survival[:, grid.index(t)] for t in months}
        frames.append(pd.DataFrame(columns | survival))
    return frames


TABLES = PredictionTables(prediction_frame, ablation_frames, write_predictions, write_ablations)
