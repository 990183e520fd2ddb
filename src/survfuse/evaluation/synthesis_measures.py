"""How good synthesised volumes are: the measurements of all folds, brought together.

Each fold's `synthesis.json` measures the fold's test patients who have both volumes, always beside
two controls that need no generator: the mean of the training volumes, and the source itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from survfuse.artifacts.layout import SynthesisFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json
from survfuse.statistics.intervals import Estimate, corrected_t

CANDIDATES = ("synthetic", "training_mean", "copied_source")
LOWER_IS_BETTER = frozenset({"masked_mae", "whole_mae", "regional_mae"})


def collect_synthesis(
    folder: Path, folds: Sequence[str], test_share: float, confidence: float
) -> list[dict[str, Any]]:
    """What `folder`/<fold>/synthesis.json measured, one entry per target.

    `folds`: names of the folds of one repeat; others that lie there are of an earlier run.

    Every measure has, per candidate, the mean over test patients with its interval, `sd` between
    patients and their number `n`; and `over_training_mean`, `over_copied_source`: how much better
    the synthesis is (above 0 is better, whatever the measure), by the corrected resampled t over
    folds. `test_share`: test patients per training patient. Raises UserInputError for a file that
    is not one of the synthesis stage.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for fold in folds:
        stored = read_fold(SynthesisFolder(folder / fold).measures)
        for target, direction in stored["directions"].items():
            found.setdefault(target, []).append(direction)
    return [joined(target, parts, test_share, confidence) for target, parts in found.items()]


def read_fold(path: Path) -> dict[str, Any]:
    """One synthesis.json. Raises UserInputError where it is something else."""
    try:
        stored = read_json(path)
        for direction in stored["directions"].values():
            for candidate in CANDIDATES:
                if not isinstance(direction["test"]["measures"][candidate], dict):
                    raise TypeError
            _ = direction["source"], direction["generator"], direction["test"]["patients"]
        _ = stored["repeat"], stored["fold"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserInputError(
            f"{path}: no measurements of a synthesis; delete the folder and synthesise again"
        ) from None
    return dict(stored)


def joined(
    target: str, folds: Sequence[Mapping[str, Any]], test_share: float, confidence: float
) -> dict[str, Any]:
    """The folds of one direction as one entry."""
    names = list(folds[0]["test"]["measures"]["synthetic"])
    return {
        "target": target,
        "source": folds[0]["source"],
        "generator": folds[0]["generator"],
        "folds": len(folds),
        "n": sum(fold["test"]["n"] for fold in folds),
        "measures": {
            name: {
                **{
                    candidate: pooled([cell(fold, candidate, name) for fold in folds], confidence)
                    for candidate in CANDIDATES
                },
                **{
                    f"over_{control}": gain(folds, control, name, test_share, confidence)
                    for control in CANDIDATES[1:]
                },
            }
            for name in names
        },
    }


def cell(fold: Mapping[str, Any], candidate: str, name: str) -> Mapping[str, Any]:
    """Mean, sd and n of a measure in one fold; nothing where the fold has none."""
    stored = fold["test"]["measures"][candidate].get(name) or {}
    return {"mean": stored.get("mean"), "sd": stored.get("sd"), "n": stored.get("n", 0)}


def pooled(parts: Sequence[Mapping[str, Any]], confidence: float) -> dict[str, Any]:
    """Mean over the patients of all folds with its interval, as if all were in one list."""
    measured = [part for part in parts if part["mean"] is not None and part["n"]]
    n = np.array([part["n"] for part in measured], dtype=float)
    if not len(measured):
        return {**Estimate(reason="no patient has a value").as_json(), "n": 0, "sd": None}
    means = np.array([part["mean"] for part in measured])
    spread = np.array([part["sd"] or 0.0 for part in measured])
    mean = float(n @ means / n.sum())
    if n.sum() < 2:
        alone = Estimate(mean, reason="one patient alone has no interval")
        return {**alone.as_json(), "n": 1, "sd": None}
    squares = float((n - 1) @ spread**2 + n @ (means - mean) ** 2)
    sd = (squares / (n.sum() - 1)) ** 0.5
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * sd / n.sum() ** 0.5
    interval = Estimate(mean, mean - margin, mean + margin)
    return {**interval.as_json(), "n": int(n.sum()), "sd": sd}


def gain(
    folds: Sequence[Mapping[str, Any]],
    control: str,
    name: str,
    test_share: float,
    confidence: float,
) -> dict[str, Any]:
    """How much better than a control the synthesis is, averaged over folds by their patients."""
    sign = -1 if name in LOWER_IS_BETTER else 1
    differences, weights = [], []
    for fold in folds:
        ours, theirs = cell(fold, "synthetic", name), cell(fold, control, name)
        if ours["mean"] is not None and theirs["mean"] is not None:
            differences.append(sign * (ours["mean"] - theirs["mean"]))
            weights.append(ours["n"])
    if not differences:
        return Estimate(reason=f"the {control.replace('_', ' ')} has no such value").as_json()
    return corrected_t(
        np.array(differences), np.array(weights, float), test_share, confidence, (-np.inf, np.inf)
    ).as_json()


def error_of_patient(folder: Path, fold: str, target: str, patient: str) -> float | None:
    """Mean absolute error within the brain of a test patient's synthesised volume, if measured."""
    path = SynthesisFolder(Path(folder) / fold).measures
    if not path.is_file():
        return None
    direction = read_fold(path)["directions"].get(target, {})
    value = direction.get("test", {}).get("patients", {}).get(patient, {}).get("masked_mae")
    return None if value is None else float(value)
