"""The tables of out-of-fold diagnoses, and of modality ablations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from survfuse.artifacts.prediction import ClassPrediction
from survfuse.config.study import Config
from survfuse.modalities.cohort import SYNTHETIC, CohortInputs
from survfuse.modalities.registry import MODALITIES, VOLUMES
from survfuse.tasks.diagnosis.predictions import (
    WITHOUT,
    write_class_ablations,
    write_class_predictions,
)
from survfuse.tasks.prediction_tables import PredictionTables


def prediction_frame(
    prediction: ClassPrediction, _config: Config, repeat: int, fold: int
) -> pd.DataFrame:
    """One tidy row per patient."""
    mean, members = prediction.probability, prediction.members
    frame = pd.DataFrame(
        {
            "patient_id": prediction.patient_ids,
            "repeat": repeat,
            "fold": fold,
            "synthesised": prediction.synthesised.astype(int),
            "threshold": prediction.threshold,
            **{f"p_{number}": mean[:, number] for number in range(mean.shape[1])},
        }
    )
    for number in range(mean.shape[1]) if len(members) > 1 else ():
        frame[f"p_low_{number}"] = members[:, :, number].min(axis=0)
        frame[f"p_high_{number}"] = members[:, :, number].max(axis=0)
    return frame


def ablation_frames(
    predict: Callable[[CohortInputs, Sequence[str]], ClassPrediction],
    config: Config,
    reads: Sequence[str],
    inputs: CohortInputs,
    patient_ids: Sequence[str],
) -> list[pd.DataFrame]:
    """Predictions of patients who have a modality, from that one alone or from all but that one.

    Only volumes are withheld from all the others. Columns patient_id, inputs, synthesised and p_0,
    ....
    """
    frames = []
    for modality in (name for name in reads if name in MODALITIES):
        has = inputs.available(modality, patient_ids)
        chosen = [patient for patient, there in zip(patient_ids, has, strict=True) if there]
        others = [other for other in reads if other != modality]
        synthetic = [SYNTHETIC + other for other in inputs.synthetic]
        hidden = {modality: [*others, *synthetic]}
        if modality in VOLUMES:
            hidden[f"{WITHOUT}{modality}"] = [modality]
        for ablation, withheld in hidden.items() if chosen else ():
            left = inputs.without(dict.fromkeys(withheld, chosen))
            prediction = predict(left, chosen)
            frame = prediction_frame(prediction, config, 0, 0).assign(inputs=ablation)
            classes = [f"p_{number}" for number in range(prediction.probability.shape[1])]
            frames.append(frame[["patient_id", "inputs", "synthesised", *classes]])
    return frames


TABLES = PredictionTables(
    prediction_frame, ablation_frames, write_class_predictions, write_class_ablations
)
