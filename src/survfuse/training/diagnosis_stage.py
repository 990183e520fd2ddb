"""The tables of out-of-fold predictions of a classifier, and of its modality ablations."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from survfuse.artifacts.prediction import ClassPrediction
from survfuse.config.imaging import IMAGES
from survfuse.config.study import Config
from survfuse.evaluation.records import write_record
from survfuse.modalities.cohort import SYNTHETIC, CohortInputs
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.registry import MODALITIES
from survfuse.models.specs import reads_of
from survfuse.tasks.diagnosis.predictions import (
    WITHOUT,
    write_class_ablations,
    write_class_predictions,
)
from survfuse.training.attention import write_attention
from survfuse.training.diagnosis import diagnose_fold
from survfuse.training.predict import Fitted, find_model, fold_record, tested_folds

log = logging.getLogger(__name__)


def diagnose_model(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    out: Path,
    ablations: Path | None = None,
    attention: Path | None = None,
    device: str = "auto",
) -> None:
    """Write the out-of-fold diagnoses of one leaderboard row over all folds.

    The counterpart of `predict.predict_model`; `ablations` gets the probabilities from one modality
    alone, and with one kind of volume withheld.
    """
    reads = reads_of(find_model(config, name), config.models)
    frames, ablated, predictions, records = [], [], [], []
    for fold in tested_folds(config, name, fold_directories, paths, models_directory, device):
        about = (name, fold.fitted, fold.inputs, fold.patient_ids)
        prediction = diagnose_fold(*about, attention is not None and fold.repeat == 0)
        frames.append(prediction_frame(prediction, fold.repeat, fold.number))
        records.append(fold_record(name, fold))
        if fold.repeat == 0:
            predictions.append((prediction, fold.inputs))
        if ablations is not None and len(reads) > 1:
            ablated += [
                frame.assign(repeat=fold.repeat, fold=fold.number)
                for frame in predict_class_ablations(*about, reads)
            ]
        log.info("%s: %d patients predicted", fold.fitted.fold_name, len(fold.patient_ids))
    write_class_predictions(out, pd.concat(frames, ignore_index=True))
    if ablations is not None:
        write_class_ablations(ablations, pd.concat(ablated, ignore_index=True) if ablated else None)
    if attention is not None:
        write_attention(attention, predictions)
    write_record(out, (ablations, attention), records)


def predict_class_ablations(
    name: str,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    reads: Sequence[str],
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
        if modality in IMAGES:
            hidden[f"{WITHOUT}{modality}"] = [modality]
        for ablation, withheld in hidden.items() if chosen else ():
            left = inputs.without(dict.fromkeys(withheld, chosen))
            prediction = diagnose_fold(name, fold, left, chosen)
            frame = prediction_frame(prediction, 0, 0).assign(inputs=ablation)
            classes = [f"p_{number}" for number in range(prediction.probability.shape[1])]
            frames.append(frame[["patient_id", "inputs", "synthesised", *classes]])
    return frames


def prediction_frame(prediction: ClassPrediction, repeat: int, fold: int) -> pd.DataFrame:
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
