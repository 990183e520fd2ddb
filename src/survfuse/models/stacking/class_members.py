"""The members of the stack of a diagnosis: the same parts as for survival, by logistic ridge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse.models.stacking.class_likelihood import ClassLikelihood
from survfuse.models.stacking.members import (
    CROSS_FITS,
    Design,
    Members,
    clinical_columns,
    finite,
    joint_member,
)
from survfuse.models.stacking.ridge_cox import stratified_folds
from survfuse.models.stacking.ridge_logistic import (
    PRECISE,
    fit_in_coordinates,
    fit_joint,
    fit_ridge,
)

# Of the clinical variables, for each patient: as light as that of the row `clinical_cox`, as a
# class tells at most a quarter of what an event does.
PENALISER = 0.025


def fit_class_members(
    design: Design,
    rows: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    classes: int,
    seed: int,
) -> Members:
    """Fit all members on the patients `rows` (n,) bool, whose labels alone are looked at.

    label, weight: (n,) of all patients of the design. Coefficients are (r, Q).
    """
    fitted, chosen = list[dict[int, np.ndarray]](), list[dict[str, Any]]()
    label, weight = label[rows], weight[rows]
    free, back = clinical_columns(design, rows)
    if design.known is not None:
        penalty = PENALISER * float(weight.sum())
        likelihood = ClassLikelihood.of(label, weight, classes)
        alone = fit_ridge(free, likelihood, penalty, gradient=PRECISE)[1:]
        fitted.append({design.known: alone * back})
        chosen.append({"penalty": penalty})
    for place in design.alone:
        there = design.has[rows, place]
        x = design.reduced[place][rows][there]
        model = fit_in_coordinates(x, label[there], weight[there], classes, seed)
        fitted.append({place: model.coefficients})
        chosen.append({"penalty": finite(model.penalty), "gain": model.gain})
    if design.joined:
        blocks = [design.reduced[place][rows] for place in design.others]
        joint = fit_joint(free, blocks, label, weight, classes, seed)
        own, described = joint_member(design, joint, back)
        fitted.append(own)
        chosen.append(described)
    return Members(tuple(fitted), tuple(chosen))


def class_folds(label: np.ndarray, validation: np.ndarray, seed: int) -> np.ndarray:
    """(n,) a fold for every patient, stratified by class; validation patients (n,) are the first.

    So the members without the first fold are those that have not learned from them.
    """
    if not validation.any() or validation.all():
        return stratified_folds(label, CROSS_FITS, seed)
    folds = np.zeros(len(label), dtype=np.int64)
    folds[~validation] = 1 + stratified_folds(label[~validation], CROSS_FITS - 1, seed)
    return folds


def fit_without_each(
    design: Design,
    folds: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    classes: int,
    seed: int,
) -> Sequence[Members]:
    """Members fitted without the patients of each fold."""
    return [
        fit_class_members(design, folds != fold, label, weight, classes, seed + 1 + fold)
        for fold in range(CROSS_FITS)
    ]
