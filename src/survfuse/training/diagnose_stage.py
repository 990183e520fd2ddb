"""The tables of a row that tells classes apart: every patient by models that have not seen him."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from survfuse.config import Config
from survfuse.config_imaging import IMAGES
from survfuse.evaluation.class_predictions import (
    WITHOUT,
    write_class_patterns,
    write_class_predictions,
)
from survfuse.kinds import MODALITIES, reads_of
from survfuse.training.attention import write_attention
from survfuse.training.diagnose import diagnose_fold
from survfuse.training.inputs import STAND_INS, CohortInputs, InputPaths
from survfuse.training.predict import Fitted, find_model, tested_folds
from survfuse.training.prediction import ClassPrediction

log = logging.getLogger(__name__)


def diagnose_model(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    out: Path,
    patterns: Path | None = None,
    attention: Path | None = None,
    device: str = "auto",
) -> None:
    """Write the out-of-fold diagnoses of one leaderboard row over all folds.

    The counterpart of `predict.predict_model`; `patterns` gets the probabilities with one modality
    shown alone, and with one kind of volume withheld.
    """
    reads = reads_of(find_model(config, name), config.models)
    frames, shown, predictions = [], [], []
    for fold in tested_folds(config, fold_directories, paths, models_directory, device):
        about = (name, fold.fitted, fold.inputs, fold.patient_ids)
        prediction = diagnose_fold(*about, attention is not None and fold.repeat == 0)
        frames.append(prediction_frame(prediction, fold.repeat, fold.number))
        if fold.repeat == 0:
            predictions.append((prediction, fold.inputs))
        if patterns is not None and len(reads) > 1:
            shown += [
                frame.assign(repeat=fold.repeat, fold=fold.number)
                for frame in shown_less(*about, reads)
            ]
        log.info("%s: %d patients predicted", fold.fitted.fold_name, len(fold.patient_ids))
    write_class_predictions(out, pd.concat(frames, ignore_index=True))
    if patterns is not None:
        write_class_patterns(patterns, pd.concat(shown, ignore_index=True) if shown else None)
    if attention is not None:
        write_attention(attention, predictions)


def shown_less(
    name: str,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    reads: Sequence[str],
) -> list[pd.DataFrame]:
    """What the model says of those who have a modality: that one alone, or all but that one.

    Volumes alone are withheld as a whole. Columns patient_id, pattern, synthesised and p_0, ....
    """
    frames = []
    for modality in (name for name in reads if name in MODALITIES):
        has = inputs.available(modality, patient_ids)
        chosen = [patient for patient, there in zip(patient_ids, has, strict=True) if there]
        others = [other for other in reads if other != modality]
        hidden = {modality: [*others, *STAND_INS]}
        if modality in IMAGES:
            hidden[f"{WITHOUT}{modality}"] = [modality]
        for pattern, withheld in hidden.items() if chosen else ():
            left = inputs.without(dict.fromkeys(withheld, chosen))
            prediction = diagnose_fold(name, fold, left, chosen)
            frame = prediction_frame(prediction, 0, 0).assign(pattern=pattern)
            classes = [f"p_{number}" for number in range(prediction.probability.shape[1])]
            frames.append(frame[["patient_id", "pattern", "synthesised", *classes]])
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
