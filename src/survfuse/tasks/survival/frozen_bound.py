"""The time that nine in ten patients with such a curve stay free of the event, for new patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.layout import ResultsFolder
from survfuse.artifacts.study import Study
from survfuse.config.study import Config
from survfuse.modalities.clinical.encoder import fit_encoder
from survfuse.statistics.new_patients.conformal_survival import (
    SurvivalBound,
    bound_months,
    calibrate,
    calibration_values,
    check_coverage,
)
from survfuse.tasks.survival.scores import ModelPredictions

ALPHA = 0.1  # share of the patients who may have the event before the bound


def freeze_bound(
    config: Config, results: ResultsFolder, study: Study, predicted: ModelPredictions
) -> dict[str, Any]:
    """The bound as calibrated on the out-of-fold curves of the first repeat, and its check.

    `shown`: whether the check on the study leaves it standing.
    """
    grid = np.array(config.grid_months())
    curves = np.stack([predicted.survival[months][0] for months in grid.tolist()], axis=1)
    values = calibration_values(grid, curves, study.outcome.time)
    columns = covariates_of(config, results, study)
    bound = calibrate(values, study.outcome, columns, ALPHA)
    folds = study.fold_numbers[0]
    check = check_coverage(values, study.outcome, folds, bound, config.evaluation.confidence)
    return {**bound.as_json(), "check": check.as_json(), "shown": check.is_shown}


def covariates_of(config: Config, results: ResultsFolder, study: Study) -> np.ndarray:
    """(n, c) the clinical columns of the study, by which censoring may differ; complete."""
    table = pd.read_csv(results.cohort.clinical, sep="\t", dtype=str, keep_default_na=False)
    ordered = table.set_index("patient_id").loc[list(study.patient_ids)]
    return fit_encoder(ordered, config.cohort.covariates).transform(ordered)


def bounds(frozen: Mapping[str, Any], grid: np.ndarray, survival: np.ndarray) -> list[Any]:
    """Of each new patient `months`, null where the curve (n, m) does not get there; else None.

    None for all where the bound is not shown.
    """
    if not frozen["shown"]:
        return [None] * len(survival)
    names = ("tau", "method", "gate_p", "n", "alpha")
    bound = SurvivalBound.from_json({name: frozen[name] for name in names})
    told = {"share": 1 - bound.alpha, "n": bound.n, "until": float(grid[-1])}
    return [{**told, "months": bound_months(grid, curve, bound.tau)} for curve in survival]
