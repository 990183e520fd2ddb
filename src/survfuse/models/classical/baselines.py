"""The rows that every leaderboard needs beside the networks: Cox models and late fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.checkpoint import FittedModel, ids_hash
from survfuse.artifacts.prediction import Prediction, mean_over_available, percentile_ranks
from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.clinical.encoder import ClinicalEncoder, fit_encoder
from survfuse.models.classical.average import NothingToLearnError
from survfuse.models.classical.cox import CoxModel, describe, fit_cox
from survfuse.splits.training_part import TrainingPart

OPTIONS: dict[str, tuple[str, ...]] = {
    "site_only": (),
    "clinical_cox": ("covariates",),
    "late_fusion": ("parts",),
}


def refuse_others(model: ModelConfig) -> None:
    """Raise UserInputError naming the row where it has an option that its kind does not know."""
    known = OPTIONS[model.kind]
    if unknown := [name for name in model.options if name not in known]:
        listed = f"its only option is {known[0]}" if known else "it has none"
        raise UserInputError(
            f"models.{model.name}: {model.kind} has no option {unknown[0]!r}; {listed}"
        )


def with_covariates_of(model: ModelConfig, config: Config) -> Config:
    """The configuration as if it declared the covariates that a row reads, and no others."""
    covariates = covariates_of(model, config.cohort)
    cohort = config.cohort.model_copy(update={"covariates": covariates})
    return config.model_copy(update={"cohort": cohort})


def covariates_of(model: ModelConfig, cohort: CohortConfig) -> dict[str, Covariate]:
    """The columns that a row reads: the covariates it names or all declared ones, or the site.

    Raises UserInputError naming the row where there are none, it names others, or, unless it is a
    row with options of its own, it has another option.
    """
    if model.kind in OPTIONS:
        refuse_others(model)
    if model.kind != "site_only":
        named = model.options.get("covariates", list(cohort.covariates))
        if not isinstance(named, list) or not set(named) <= set(cohort.covariates):
            raise UserInputError(
                f"models.{model.name}: options.covariates must list columns that are declared "
                f"under cohort.covariates; found {named!r}"
            )
        if model.kind == "clinical_cox" and not named:
            raise UserInputError(
                f"models.{model.name}: the clinical Cox model needs covariates; declare at least "
                "one column of patients.tsv under cohort.covariates"
            )
        return {name: cohort.covariates[name] for name in named}
    if cohort.site is None:
        raise UserInputError(
            f"models.{model.name}: site_only needs the column of the centre; set cohort.site or "
            "remove the row"
        )
    return {"site": Covariate(type="categorical")}


def fit_cox_row(
    model: ModelConfig, cohort: CohortConfig, part: TrainingPart, clinical: pd.DataFrame
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Fit a Cox row on all training patients (there is nothing to stop early).

    Raises NothingToLearnError where no column varies between them.
    """
    rows = clinical.loc[part.patient_ids]
    encoder = fit_encoder(rows, covariates_of(model, cohort))
    if not encoder.columns:
        raise NothingToLearnError("no column that it reads varies between the training patients")
    cox = fit_cox(encoder.transform(rows), part.time_months, part.event)
    fitted_ids = ids_hash(part.patient_ids.tolist())
    arrays = {"coefficients": cox.coefficients, "times": cox.times, "hazard": cox.hazard}
    return arrays, {
        "modalities": ["clinical"],
        "encoder": encoder.to_json(),
        "hazard_ratios": describe(cox, encoder),
        "fitted_on": {"encoder": fitted_ids, "cox": fitted_ids},
    }


def predict_cox_row(
    fitted: FittedModel,
    clinical: pd.DataFrame,
    patient_ids: Sequence[str],
    grid_months: np.ndarray,
) -> Prediction:
    """Predict with a stored Cox row."""
    encoder = ClinicalEncoder.from_json(fitted.fit["encoder"])
    cox = CoxModel(**fitted.arrays)
    x = encoder.transform(clinical.loc[list(patient_ids)])
    return Prediction(tuple(patient_ids), cox.risk(x), cox.survival(x, grid_months)[None])


def parts_of(model: ModelConfig) -> list[str]:
    """The rows that a late fusion averages. Raises UserInputError where they are not listed."""
    refuse_others(model)
    parts = model.options.get("parts")
    if not isinstance(parts, list) or len(parts) < 2:
        raise UserInputError(
            f"models.{model.name}: late_fusion averages other rows; list at least two in "
            "options.parts, e.g. {parts: [snn, abmil]}"
        )
    return [str(part) for part in parts]


def fit_late_fusion(predictions: dict[str, Prediction]) -> tuple[dict[str, np.ndarray], dict]:
    """Store each part's risks of the training patients: the scale its ranks are taken on."""
    arrays = {f"reference.{name}": part.risk for name, part in predictions.items()}
    first = next(iter(predictions.values()))
    return arrays, {
        "parts": list(predictions),
        "modalities": [],
        "fitted_on": {"ranks": ids_hash(first.patient_ids)},
    }


def predict_late_fusion(
    fitted: FittedModel, predictions: dict[str, Prediction], available: np.ndarray
) -> Prediction:
    """Average the parts' percentile ranks and survival curves.

    `available` (n, parts) says which parts have something to go by for a patient; a part that
    knows nothing of a patient is left out rather than averaged in.
    """
    parts = [predictions[name] for name in fitted.fit["parts"]]
    references = fitted.under("reference.")
    ranks = [
        percentile_ranks(part.risk, references[name])
        for name, part in zip(fitted.fit["parts"], parts, strict=True)
    ]
    # With nothing available for a patient, the middle rank says that nothing is known.
    risk = np.nan_to_num(mean_over_available(ranks, available), nan=0.5)
    nothing = ~available.any(axis=1, keepdims=True)
    usable = available | nothing
    survival = mean_over_available([part.survival for part in parts], usable)
    return Prediction(parts[0].patient_ids, risk, survival[None])
