"""Rows of a leaderboard that tell classes apart: fitting, predicting, and their thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.classes import UNKNOWN
from survfuse.config import Config, ModelConfig
from survfuse.evaluation.proportions import youden_threshold
from survfuse.kinds import kind_of
from survfuse.training.baselines import covariates_of, parts_of
from survfuse.training.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.training.classical import settings_of
from survfuse.training.clinical import ClinicalEncoder, fit_encoder
from survfuse.training.inputs import CohortInputs
from survfuse.training.logistic import fit_logistic, probabilities
from survfuse.training.part import TrainingPart
from survfuse.training.pooled import PooledFeatures, fit_pooled
from survfuse.training.predict import Fitted, find_model, has_inputs, read_matching
from survfuse.training.prediction import ClassPrediction, mean_over_available


def fit_diagnosis(
    model: ModelConfig,
    part: TrainingPart,
    inputs: CohortInputs,
    fold: Fitted,
    scratch: Path,
    key: str,
) -> tuple[Arrays, dict[str, Any]]:
    """Fit a row of any family; returns the arrays and the description to store."""
    config, family = fold.config, kind_of(model).family
    judged = part.patient_ids[judges(part)].tolist()
    if family == "late":
        parts = diagnose_parts(model, fold, inputs, judged, held_out=True)
        mean = mean_of_parts(parts, config, model, inputs, judged)
        described = {"parts": list(parts), "modalities": [], "fitted_on": {}}
        return {"threshold": threshold_of(mean, part)}, described
    if family == "network":
        from survfuse.device import choose_device
        from survfuse.training.ensemble import diagnose_neural, ensemble
        from survfuse.training.neural import fit_neural, prepare

        device = choose_device(fold.device)
        prepared = prepare(config, model, part, inputs)
        arrays, described = fit_neural(prepared, scratch, key, device)
        fitted = FittedModel(model.kind, arrays, described)
        team = ensemble(fitted, model, inputs, judged, config.training, device)
        threshold = threshold_of(diagnose_neural(team).probability, part)
        return {**arrays, "threshold": threshold}, described
    return fit_logistic_row(config, model, part, inputs)


def fit_logistic_row(
    config: Config, model: ModelConfig, part: TrainingPart, inputs: CohortInputs
) -> tuple[Arrays, dict[str, Any]]:
    """Logistic regression on covariates, genes, tiles and regional measures, or on the site."""
    assert config.cohort.diagnosis is not None, "only a diagnosis has classes"
    patient_ids, seen = part.patient_ids.tolist(), ids_hash(part.patient_ids.tolist())
    arrays: dict[str, np.ndarray] = {}
    if model.kind == "site_only":
        encoder = fit_encoder(inputs.clinical.loc[patient_ids], covariates_of(model, config.cohort))
        x, l1_ratio = encoder.transform(inputs.clinical.loc[patient_ids]), 0.0
        described: dict[str, Any] = {"modalities": ["clinical"], "encoder": encoder.to_json()}
    else:
        reads, l1_ratio = kind_of(model).reads, settings_of(model)["l1_ratio"]
        covariates = covariates_of(model, config.cohort)
        features = fit_pooled(inputs, patient_ids, reads, config.omics, covariates)
        x, described, arrays = (
            features.transform(inputs, patient_ids),
            features.to_json(),
            (features.arrays()),
        )
    weights, chosen, others = fit_logistic(x, part, len(config.cohort.diagnosis.classes), l1_ratio)
    arrays |= {f"logistic.{name}": value for name, value in weights.items()}
    arrays |= {f"held_out.{name}": value for name, value in others.items()}
    arrays["threshold"] = threshold_of(probabilities(x[judges(part)], **others), part)
    return arrays, {
        **described,
        "chosen": chosen,
        "fitted_on": {
            "features": seen,
            "model": seen,
            "candidates": ids_hash(part.patient_ids[part.role == "train"].tolist()),
        },
    }


def judges(part: TrainingPart) -> np.ndarray:
    """(n,) the patients a threshold is chosen on: inner ones of known class, or all where none."""
    assert part.label is not None, "a diagnosis has labels"
    known = part.label != UNKNOWN
    inner = known & (part.role == "inner")
    return inner if inner.any() else known


def threshold_of(probability: np.ndarray, part: TrainingPart) -> np.ndarray:
    """(1,) threshold for the probabilities (m, K) of the patients who judge.

    NaN for more than two classes, and where all of them are of one class.
    """
    assert part.label is not None, "a diagnosis has labels"
    case = part.label[judges(part)] == 1
    if probability.shape[1] > 2 or case.all() or not case.any():
        return np.array([np.nan])
    return np.array([youden_threshold(probability[:, 1], case)])


def diagnose_fold(
    name: str,
    fold: Fitted,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
    attention: bool = False,
    held_out: bool = False,
) -> ClassPrediction:
    """Predict some patients with the model fitted on one fold.

    `held_out`: of logistic rows, with the model that has not learned from the inner patients, as a
    threshold that is chosen on them needs; networks never do.
    """
    config, model = fold.config, find_model(fold.config, name)
    fitted, family = read_matching(name, fold), kind_of(model).family
    if family == "network":
        from survfuse.device import choose_device
        from survfuse.training.ensemble import diagnose_neural, ensemble

        device = choose_device(fold.device)
        team = ensemble(fitted, model, inputs, patient_ids, config.training, device)
        return diagnose_neural(team, attention)
    threshold = float(fitted.arrays["threshold"][0])
    if family == "late":
        parts = diagnose_parts(model, fold, inputs, patient_ids)
        mean = mean_of_parts(parts, config, model, inputs, patient_ids)
        stood_in = np.any([one.synthesised for one in parts.values()], axis=0)
        return ClassPrediction(tuple(patient_ids), mean[None], threshold, stood_in)
    if family == "site":
        encoder = ClinicalEncoder.from_json(fitted.fit["encoder"])
        x = encoder.transform(inputs.clinical.loc[list(patient_ids)])
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
    config: Config,
    model: ModelConfig,
    inputs: CohortInputs,
    patient_ids: Sequence[str],
) -> np.ndarray:
    """(n, K) mean of the parts that have something to read of a patient, of all where none has."""
    has = has_inputs(config, model, inputs, patient_ids)
    usable = has | ~has.any(axis=1, keepdims=True)
    return mean_over_available([one.probability for one in parts.values()], usable)
