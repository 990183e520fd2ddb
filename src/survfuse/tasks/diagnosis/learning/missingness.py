"""Strata of the classes, and the association of missing modalities with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse.statistics.availability import association
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.outcomes import Classes
from survfuse.training.missingness_association import CONFIDENCE, OutcomeStrata


def strata_of(classes: Classes, fitted: np.ndarray) -> OutcomeStrata:
    """Those of n patients; tau is that of events, if any, of those in `fitted` (n,) bool."""

    def associated(
        available: np.ndarray, rows: np.ndarray, modalities: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        return class_association(available[rows], classes.label[rows], modalities)

    tau, followed = float("inf"), classes.follow_up
    if followed is not None and followed.event[fitted].any():
        tau = float(np.median(followed.time_months[fitted][followed.event[fitted]]))
    return OutcomeStrata(*class_strata(classes.label, classes.names), associated, tau)


def class_strata(
    label: np.ndarray, classes: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Strata (n,) of patients by class, the unknown last; their names, and the same in words.

    Classes are counted up to the largest that anybody has; `classes` names them in sentences.
    """
    number = int(label.max()) + 1
    return (
        np.where(label == UNKNOWN, number, label),
        (*(f"class {one}" for one in range(number)), "class unknown"),
        (*(f"of class {one}" for one in classes[:number]), "of unknown class"),
    )


def class_association(
    available: np.ndarray, label: np.ndarray, modalities: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """AUROC of having each modality for being of another class than the first, by modality."""
    known = label != UNKNOWN
    return {
        modality: association(available[known, column], label[known] > 0, CONFIDENCE).as_json()
        for column, modality in enumerate(modalities)
    }
