"""Logistic ridge models of blocks against scikit-learn and the definition of their gain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from survfuse.models.stacking.class_likelihood import (
    ClassLikelihood,
    all_predictors,
    probabilities,
)
from survfuse.models.stacking.joint_ridge import LIGHT, weighed
from survfuse.models.stacking.ridge_cox import FOLDS, coordinates, stratified_folds
from survfuse.models.stacking.ridge_logistic import (
    PRECISE,
    Parts,
    cross_validated_gains,
    fit_in_coordinates,
    fit_joint,
    fit_ridge,
)


def drawn(
    n: int, p: int, classes: int = 2, effect: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, of which the first few tell the class; labels, and what each patient stands for."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    score = np.zeros((n, classes))
    columns = range(min(p, classes - 1))
    for column in columns:
        score[:, column + 1] = effect * x[:, column] - 0.3
    label = (score + generator.gumbel(size=(n, classes))).argmax(axis=1)
    return x, label, generator.uniform(0.5, 2.0, n)


def reference(
    x: np.ndarray, label: np.ndarray, weight: np.ndarray, penalty: float
) -> LogisticRegression:
    """The fit of scikit-learn, whose penalty is that on the sum over patients."""
    model = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=20000)
    return model.fit(x, label, sample_weight=weight)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_likelihood_is_that_of_its_definition_and_the_slope_its_derivative(
    classes: int,
) -> None:
    _, label, weight = drawn(30, 2, classes)
    likelihood = ClassLikelihood.of(label, weight, classes)
    predictor = np.random.default_rng(1).normal(size=(30, likelihood.predictors))
    value, slope = likelihood.value_and_slope(predictor)
    logs = log_softmax(all_predictors(predictor), axis=1)
    assert value == pytest.approx((weight * logs[np.arange(30), label]).sum())
    assert slope.shape == predictor.shape == (30, 1 if classes == 2 else 3)
    for row, column in ((0, 0), (7, classes - 2 if classes > 2 else 0)):
        moved = predictor.copy()
        moved[row, column] += 1e-6
        numeric = (likelihood.value(moved) - value) / 1e-6
        assert slope[row, column] == pytest.approx(numeric, abs=1e-5)
    counts = np.bincount(label, weight)
    alone = probabilities(likelihood.intercepts()[None])[0]
    np.testing.assert_allclose(alone, counts / counts.sum())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("penalty", [0.3, 30.0])
def test_equals_scikit_learn(classes: int, penalty: float) -> None:
    x, label, weight = drawn(80, 5, classes)
    likelihood = ClassLikelihood.of(label, weight, classes)
    found = fit_ridge(x, likelihood, penalty, gradient=PRECISE)
    other = reference(x, label, weight, penalty)
    np.testing.assert_allclose(found[1:].T, other.coef_, atol=1e-5)
    said = probabilities(found[0] + x @ found[1:])
    np.testing.assert_allclose(said, other.predict_proba(x), atol=1e-5)
    shares = np.bincount(label, weight) / weight.sum()
    np.testing.assert_allclose(np.average(said, axis=0, weights=weight), shares, atol=1e-6)


def test_with_more_columns_than_patients_coordinates_change_nothing() -> None:
    x, label, weight = drawn(40, 90, effect=2.0)
    reduced, back = coordinates(x)
    found = fit_ridge(reduced, ClassLikelihood.of(label, weight, 2), 2.0, gradient=PRECISE)
    other = reference(x / np.sqrt(90), label, weight, 2.0)
    np.testing.assert_allclose((back @ found[1:])[:, 0], other.coef_[0] / np.sqrt(90), atol=1e-5)


def test_gains_are_log_likelihoods_of_patients_left_out() -> None:
    x, label, weight = drawn(60, 3, effect=0.8)
    penalties = [100.0, 5.0, 0.5]
    found = cross_validated_gains(x, Parts.of(label, weight, 2, 4), penalties)
    folds = stratified_folds(label, FOLDS, 4)
    expected = np.zeros(3)
    for fold in range(FOLDS):
        kept, own = folds != fold, folds == fold
        share = np.bincount(label[kept], weight[kept]) / weight[kept].sum()
        alone = (weight[own] * np.log(share[label[own]])).sum()
        for place, penalty in enumerate(penalties):
            other = reference(x[kept], label[kept], weight[kept], penalty)
            logs = other.predict_log_proba(x[own])[np.arange(own.sum()), label[own]]
            expected[place] += (weight[own] * logs).sum() - alone
    np.testing.assert_allclose(found, expected, atol=5e-3)
    model = fit_in_coordinates(x, label, weight, 2, 4, penalties)
    assert model.penalty == penalties[int(expected.argmax())]
    assert model.gain == pytest.approx(expected.max(), abs=5e-3)


def test_little_is_found_in_noise_often_nothing_and_signal_is_found() -> None:
    nothing, spread = list[bool](), list[float]()
    for seed in range(20):
        x, label, weight = drawn(80, 5, 2, 0.0, seed)
        model = fit_in_coordinates(x, label, weight, 2, seed)
        nothing.append(not model.coefficients.any())
        spread.append(float((x @ model.coefficients).std()))
        assert nothing[-1] == np.isinf(model.penalty)
    assert np.mean(nothing) > 0.3  # about half in 100 draws
    assert np.mean(spread) < 0.2  # of log-odds, 1.5 for the signal below
    some = fit_in_coordinates(*drawn(120, 5, 2, 1.5), 2, 0)
    assert some.gain > 0 and some.coefficients[0, 0] > 0.4


def test_one_class_and_no_columns_have_no_effect() -> None:
    x, label, weight = drawn(20, 3)
    for few in (np.zeros(20, np.int64), (np.arange(20) == 4).astype(np.int64)):
        model = fit_in_coordinates(x, few, weight, 2, 0)
        assert (model.penalty, model.gain) == (float("inf"), 0.0)
        assert not model.coefficients.any()
        joint = fit_joint(np.empty((20, 0)), [x], few, weight, 2, 0)
        assert joint.penalties == (float("inf"),) and not joint.coefficients[0].any()
    assert fit_in_coordinates(np.empty((20, 0)), label, weight, 3, 0).coefficients.shape == (0, 3)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_joint_fit_is_one_regression_with_a_penalty_for_each_block(classes: int) -> None:
    x, label, weight = drawn(90, 7, classes, 1.5)
    free, blocks = x[:, [0]], [x[:, 1:4], x[:, 4:]]
    joint = fit_joint(free, blocks, label, weight, classes, 0)
    other = reference(weighed(free, blocks, joint.penalties), label, weight, LIGHT)
    expected = weighed(free, blocks, joint.penalties) @ other.coef_.T
    ours = free @ joint.free + sum(
        block @ own for block, own in zip(blocks, joint.coefficients, strict=True)
    )
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert joint.gain >= max(joint.gains)
    assert [np.isinf(one) for one in joint.penalties] == [
        not own.any() for own in joint.coefficients
    ]
