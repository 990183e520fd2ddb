"""Rows of a leaderboard that classify: fitting, predicting, and their thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import ClassPrediction, mean_over_available
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.modalities.clinical.encoder import ClinicalEncoder, fit_encoder
from survfuse.modalities.clinical.modality import clinical_table
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.classical.average import NothingToLearnError, diagnose_average, is_average
from survfuse.models.classical.baselines import covariates_of, parts_of, with_covariates_of
from survfuse.models.classical.logistic import fit_logistic, probabilities
from survfuse.models.classical.pooled import PooledFeatures, fit_pooled
from survfuse.models.classical.survival import settings_of
from survfuse.models.specs import spec_of
from survfuse.splits.training_part import TrainingPart
from survfuse.statistics.proportions import youden_threshold
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.training.predict import Fitted, find_model, has_inputs, read_matching


def fit_diagnosis(
    model: ModelConfig,
    part: TrainingPart,
    inputs: CohortInputs,
    fold: Fitted,
    scratch: Path,
    key: str,
) -> tuple[Arrays, dict[str, Any]]:
    """Fit a row of any family; returns the arrays and the description to store."""
    config, family = fold.config, spec_of(model).family
    threshold_ids = part.patient_ids[threshold_patients(part)].tolist()
    if family == "late":
        parts = diagnose_parts(model, fold, inputs, threshold_ids, held_out=True)
        mean = mean_of_parts(parts, model, fold, inputs, threshold_ids)
        described = {"parts": list(parts), "modalities": [], "fitted_on": {}}
        return {"threshold": threshold_of(mean, part)}, described
    if family == "network":
        from survfuse.core.device import choose_device
        from survfuse.training.ensemble import diagnose_neural, ensemble
        from survfuse.training.neural import fit_neural, prepare

        device = choose_device(fold.device)
        prepared = prepare(config, model, part, inputs)
        arrays, described = fit_neural(prepared, scratch, key, device)
        fitted = FittedModel(model.kind, arrays, described)
        team = ensemble(fitted, model, inputs, threshold_ids, config.training, device)
        threshold = threshold_of(diagnose_neural(team).probability, part)
        return {**arrays, "threshold": threshold}, described
    return fit_logistic_row(config, model, part, inputs)


def fit_logistic_row(
    config: Config, model: ModelConfig, part: TrainingPart, inputs: CohortInputs
) -> tuple[Arrays, dict[str, Any]]:
    """Logistic regression on covariates, genes, tiles and regional measures, or on the site."""
    assert config.cohort.diagnosis is not None, "only a diagnosis has classes"
    patient_ids, fitted_ids = part.patient_ids.tolist(), ids_hash(part.patient_ids.tolist())
    arrays: dict[str, np.ndarray] = {}
    if model.kind == "site_only":
        known = clinical_table(inputs).loc[patient_ids]
        encoder = fit_encoder(known, covariates_of(model, config.cohort))
        if not encoder.columns:
            raise NothingToLearnError("all training patients are of one site")
        x, l1_ratio = encoder.transform(known), 0.0
        described: dict[str, Any] = {"modalities": ["clinical"], "encoder": encoder.to_json()}
    else:
        reads, l1_ratio = spec_of(model).reads, settings_of(model)["l1_ratio"]
        features = fit_pooled(inputs, patient_ids, reads, with_covariates_of(model, config))
        x = features.transform(inputs, patient_ids)
        described, arrays = features.to_json(), features.arrays()
    weights, chosen, others = fit_logistic(x, part, len(config.cohort.diagnosis.classes), l1_ratio)
    arrays |= {f"logistic.{name}": value for name, value in weights.items()}
    arrays |= {f"held_out.{name}": value for name, value in others.items()}
    arrays["threshold"] = threshold_of(probabilities(x[threshold_patients(part)], **others), part)
    return arrays, {
        **described,
        "chosen": chosen,
        "fitted_on": {
            "features": fitted_ids,
            "model": fitted_ids,
            "candidates": ids_hash(part.patient_ids[part.role == "train"].tolist()),
        },
    }


def threshold_patients(part: TrainingPart) -> np.ndarray:
    """(n,) the patients a threshold is chosen on: those for validation of known class, else all."""
    assert part.label is not None, "a diagnosis has labels"
    known = part.label != UNKNOWN
    validation = known & (part.role == "validation")
    return validation if validation.any() else known


def threshold_of(probability: np.ndarray, part: TrainingPart) -> np.ndarray:
    """(1,) threshold for the probabilities (m, K) of the threshold patients.

    NaN for more than two classes, and where all of them are of one class.
    """
    assert part.label is not None, "a diagnosis has labels"
    chosen_on = threshold_patients(part)
    case = part.label[chosen_on] == 1
    if probability.shape[1] > 2 or case.all() or not case.any():
        return np.array([np.nan])
    return np.array([youden_threshold(probability[:, 1], case, part.weight()[chosen_on])])


def diagnose_fold(
    name: str,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    attention: bool = False,
    held_out: bool = False,
) -> ClassPrediction:
    """Predict some patients with the model fitted on one fold.

    `held_out`: of logistic rows, with the model that has not learned from the validation patients,
    as a threshold that is chosen on them needs; networks never do.
    """
    config, model = fold.config, find_model(fold.config, name)
    fitted, family = read_matching(name, fold), spec_of(model).family
    if is_average(fitted):
        return diagnose_average(fitted, patient_ids)
    if family == "network":
        from survfuse.core.device import choose_device
        from survfuse.training.ensemble import diagnose_neural, ensemble

        device = choose_device(fold.device)
        team = ensemble(fitted, model, inputs, patient_ids, config.training, device)
        return diagnose_neural(team, attention)
    threshold = float(fitted.arrays["threshold"][0])
    if family == "late":
        parts = diagnose_parts(model, fold, inputs, patient_ids)
        mean = mean_of_parts(parts, model, fold, inputs, patient_ids)
        stood_in = np.any([one.synthesised for one in parts.values()], axis=0)
        return ClassPrediction(tuple(patient_ids), mean[None], threshold, stood_in)
    if family == "site":
        encoder = ClinicalEncoder.from_json(fitted.fit["encoder"])
        x = encoder.transform(clinical_table(inputs).loc[list(patient_ids)])
    else:
        features = PooledFeatures.from_stored(fitted.arrays, fitted.fit)
        x = features.transform(inputs, patient_ids)
    probability = probabilities(x, **fitted.under("held_out." if held_out else "logistic."))
    nobody = np.zeros(len(patient_ids), dtype=bool)
    return ClassPrediction(tuple(patient_ids), probability[None], threshold, nobody)


def diagnose_parts(
    model: ModelConfig,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    held_out: bool = False,
) -> dict[str, ClassPrediction]:
    """Predictions of the rows that a late fusion averages; `held_out` as in `diagnose_fold`."""
    return {
        part: diagnose_fold(part, fold, inputs, patient_ids, held_out=held_out)
        for part in parts_of(model)
    }


def mean_of_parts(
    parts: Mapping[str, ClassPrediction],
    model: ModelConfig,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
) -> np.ndarray:
    """(n, K) mean of the parts that have something to read of a patient, of all where none has."""
    has = has_inputs(model, fold, inputs, patient_ids)
    usable = has | ~has.any(axis=1, keepdims=True)
    return mean_over_available([one.probability for one in parts.values()], usable)
