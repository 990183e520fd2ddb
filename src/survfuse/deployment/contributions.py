"""What inputs contribute to the estimate of a new patient, over all folds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from survfuse.artifacts.explanations import FoldExplanation
from survfuse.artifacts.layout import fold_numbers
from survfuse.artifacts.package import Package
from survfuse.deployment.inputs import NewInputs
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.classical.average import is_average
from survfuse.models.specs import find_model, spec_of
from survfuse.tasks.loading import task_of
from survfuse.training.predict import Fitted, TestedFold, read_matching

MOST_PARTS = 8  # of all modalities, those that contribute most
SAME_SIGN = 0.8  # share of the folds that must agree on the direction of a part


def contributions_of(
    package: Package, new: NewInputs, inputs: Mapping[str, CohortInputs], device: str
) -> list[dict[str, Any]] | None:
    """Of each patient `modalities` and `parts` with their log-hazard; None for other models.

    Log-hazards are differences from the average patient of the study, the mean over the folds of
    the first repeat.
    """
    config, model = package.config, find_model(package.config, package.row)
    explanation = spec_of(model).explanation
    if not explanation or not task_of(config).attributed:
        return None
    explain = import_module(explanation).explain
    found = list[FoldExplanation]()
    for fold, own in inputs.items():
        repeat, number = fold_numbers(Path(fold))
        place = Fitted(config, package.files.models.root, fold, device, packaged=True)
        fitted = read_matching(package.row, place)
        if not repeat and not is_average(fitted):
            tested = TestedFold(repeat, number, place, new.patients.ids, own)
            found.append(explain(config, model, fitted, tested, device))
    return [over_folds(found, row) for row in range(len(new.patients.ids))] if found else None


def over_folds(found: list[FoldExplanation], row: int) -> dict[str, Any]:
    """The contributions of one patient, averaged over folds."""
    whole, parts = defaultdict[str, list[float]](list), defaultdict[Any, list[float]](list)
    for one in found:
        for name, values in one.attribution.items():
            if np.isnan(values[row]).all():
                continue
            whole[name].append(float(np.nansum(values[row])))
            for part, value in zip(one.names[name], values[row].tolist(), strict=True):
                parts[name, part].append(value)
    ordered = sorted(parts.items(), key=lambda item: -abs(float(np.mean(item[1]))))
    return {
        "modalities": [
            {"modality": name, "log_hazard": float(np.mean(values))}
            for name, values in whole.items()
        ],
        "parts": [
            {"modality": name, "part": part, "log_hazard": float(np.mean(values))}
            for (name, part), values in ordered
            if agreement(values) >= SAME_SIGN
        ][:MOST_PARTS],
    }


def agreement(values: list[float]) -> float:
    """The share of the values that have the sign of their mean; 0 where that is 0."""
    mean = float(np.mean(values))
    return float(np.mean(np.sign(values) == np.sign(mean))) if mean else 0.0
