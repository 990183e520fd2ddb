"""Members of the stack of a diagnosis and their weights: what reaches whom, sign, absence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from survfuse.models.stacking.class_likelihood import ClassLikelihood
from survfuse.models.stacking.class_members import (
    PENALISER,
    class_folds,
    fit_class_members,
    fit_without_each,
)
from survfuse.models.stacking.class_weights import (
    LEAST_PATIENTS,
    ClassWeights,
    fit_class_weights,
    non_negative_logistic,
    spreads,
)
from survfuse.models.stacking.members import CROSS_FITS, Design, left_out
from survfuse.models.stacking.weights import RIDGE, sets_of_modalities

N, SEED = 60, 5
NAMES, WIDTHS = ("clinical", "genes", "tiles"), (2, 70, 3)
SETS = sets_of_modalities([("clinical",), ("slides",)])


def designed(classes: int = 2) -> tuple[Design, np.ndarray, np.ndarray]:
    """A design, labels, and what patients stand for; ten patients lack tiles."""
    generator = np.random.default_rng(0)
    columns = [generator.normal(size=(N, width)) for width in WIDTHS]
    has = np.ones((N, 3), dtype=bool)
    has[:10, 2] = False
    columns = [block * there[:, None] for block, there in zip(columns, has.T, strict=True)]
    score = sum(block[:, 0] for block in columns) + generator.logistic(size=N)
    label = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))
    design = Design.of(NAMES, columns, has, 0, [1, 2])
    return design, label.astype(np.int64), generator.uniform(0.5, 1.5, N)


@pytest.mark.parametrize("classes", [2, 3])
def test_members_are_those_of_survival_and_the_clinical_one_is_a_regression(classes: int) -> None:
    design, label, weight = designed(classes)
    everybody = np.ones(N, dtype=bool)
    fitted = fit_class_members(design, everybody, label, weight, classes, SEED)
    assert [set(own) for own in fitted.coefficients] == [{0}, {1}, {2}, {0, 1, 2}]
    assert json.loads(json.dumps(fitted.chosen, allow_nan=False))
    shape = (N, 4, 3, 1 if classes == 2 else classes)
    assert fitted.contributions(design.reduced).shape == shape
    model = LogisticRegression(C=1 / (PENALISER * weight.sum()), tol=1e-10, max_iter=9999)
    model.fit(design.columns[0], label, sample_weight=weight)
    clinical = fitted.of_columns(design.back)[0][0]
    np.testing.assert_allclose(clinical, model.coef_.T, atol=1e-5)


def test_no_label_reaches_a_score_that_stands_for_its_patient() -> None:
    """Of the patients of a fold, the label of one changes: nothing changes for any of them."""
    design, label, weight = designed()
    folds = class_folds(label, np.zeros(N, bool), SEED)
    before = left_out(fit_without_each(design, folds, label, weight, 2, SEED), design, folds)
    other = label.copy()
    other[7] = 1 - label[7]
    after = left_out(fit_without_each(design, folds, other, weight, 2, SEED), design, folds)
    together = folds == folds[7]
    assert (before[together] == after[together]).all()
    changed = (before.sum(axis=2) != after.sum(axis=2)).any(axis=(1, 2))
    assert changed[~together].all()


def test_validation_patients_are_a_fold_of_their_own_and_classes_are_spread() -> None:
    label = np.random.default_rng(0).integers(0, 3, 97)
    validation = np.arange(97) % 5 == 0
    folds = class_folds(label, validation, 1)
    assert ((folds == 0) == validation).all()
    for nobody in (np.zeros(97, bool), np.ones(97, bool)):
        assert np.bincount(class_folds(label, nobody, 1)).min() >= 19
    for number in range(3):
        sizes = np.bincount(folds[~validation & (label == number)], minlength=CROSS_FITS)[1:]
        assert sizes.max() - sizes.min() <= 1


def scored(classes: int = 2, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Contributions (n, 3, 2, Q) of three members, who has what, labels and weights.

    The first reads the first block, the second the second; the third says the opposite of the
    first.
    """
    generator = np.random.default_rng(3)
    predictors = 1 if classes == 2 else classes
    added = np.zeros((n, 3, 2, predictors))
    added[:, 0, 0] = generator.normal(1.0, 1.0, (n, predictors))
    added[:, 1, 1] = generator.normal(-1.0, 1.0, (n, predictors))
    added[:, 2, 0] = -added[:, 0, 0] + generator.normal(0, 0.2, (n, predictors))
    has = np.stack([np.ones(n, bool), generator.random(n) > 0.3], axis=1)
    added[~has[:, 1], :, 1] = 0.0
    total = added[:, :2].sum(axis=(1, 2))
    total = np.concatenate([np.zeros((n, 1)), total], axis=1) if classes == 2 else total
    label = (total + generator.gumbel(size=(n, classes))).argmax(axis=1)
    return added, has, label, generator.uniform(0.5, 1.5, n)


@pytest.mark.parametrize("classes", [2, 3])
def test_weights_are_the_maximum_and_none_is_negative(classes: int) -> None:
    added, _, label, weight = scored(classes)
    scores = added.sum(axis=2)
    likelihood = ClassLikelihood.of(label, weight, classes)
    own, intercept = non_negative_logistic(scores, likelihood, RIDGE)
    assert own[2] == 0.0 and (own[:2] > 0.5).all()
    total = np.einsum("m,nmq->nq", own, scores)
    _, slope = likelihood.value_and_slope(intercept + total)
    uphill = np.einsum("nq,nmq->m", slope, scores) - RIDGE * own
    np.testing.assert_allclose(uphill[:2], 0, atol=1e-3)
    assert uphill[2] < 0  # a negative weight would have been better
    np.testing.assert_allclose(slope.sum(axis=0), 0, atol=1e-3)
    if classes == 2:
        model = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=9999)
        model.fit(scores[:, :2, 0], label, sample_weight=weight)
        np.testing.assert_allclose(own[:2], model.coef_[0], atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_missing_adds_nothing_and_shares_are_those_of_the_patients(classes: int) -> None:
    added, has, label, weight = scored(classes)
    weights = fit_class_weights(added, has, label, weight, classes, SETS)
    assert (weights.shared.weight >= 0).all()
    said = weights.probability(added, has)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    absurd = added.copy()
    absurd[~has[:, 1], :, 1] = 99.0
    np.testing.assert_array_equal(weights.probability(absurd, has), said)
    shares = np.bincount(label, weight) / weight.sum()
    nothing = weights.probability(added, np.zeros_like(has))
    np.testing.assert_allclose(nothing, np.tile(shares, (len(has), 1)), atol=1e-5)
    # Everybody has the first block: with it alone, the mean probability is the share.
    without = np.stack([has[:, 0], np.zeros(len(has), bool)], axis=1)
    alone = weights.probability(added, without)
    np.testing.assert_allclose(np.average(alone, axis=0, weights=weight), shares, atol=1e-5)
    stored = ClassWeights.from_arrays(weights.arrays())
    np.testing.assert_array_equal(stored.probability(added, has), said)


def test_few_patients_of_a_class_who_have_a_set_learn_from_all() -> None:
    added, has, label, weight = scored()
    few = np.flatnonzero(has[:, 1] & (label == 1))[: LEAST_PATIENTS - 1]
    rare = has.copy()
    rare[:, 1] = has[:, 1] & (label == 0)
    rare[few, 1] = True
    weights = fit_class_weights(added, rare, label, weight, 2, SETS)
    share = np.average(label, weights=weight)
    everything = int(weights.shared.has.sum(axis=1).argmax())
    odds = 1 / (1 + np.exp(-weights.intercept[everything, 0]))
    assert odds == pytest.approx(share, abs=0.1)  # not that of those who have it, 0.1 or so


def test_spreads_are_standard_deviations() -> None:
    scores = np.random.default_rng(0).normal(size=(50, 2, 1))
    np.testing.assert_allclose(spreads(scores), scores[:, :, 0].std(axis=0))
