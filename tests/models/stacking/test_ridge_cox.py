"""Ridge Cox models against lifelines, scikit-survival and the definition of their gain."""

from __future__ import annotations

import numpy as np
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from survfuse.models.classical.cox import PENALISER, fit_cox
from survfuse.models.stacking.partial_likelihood import PartialLikelihood
from survfuse.models.stacking.ridge_cox import (
    FOLDS,
    coordinates,
    cross_validated_gains,
    fit_exactly,
    fit_ridge_cox,
    newton,
    stratified_folds,
)


def drawn(
    n: int, p: int, effect: float = 1.0, seed: int = 0, tied: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, of which the first is the log-hazard but for a factor; times and events."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    time = generator.exponential(10 * np.exp(-effect * x[:, 0]))
    censoring = generator.uniform(1, 40, n)
    observed = np.minimum(time, censoring)
    return x, np.ceil(observed) if tied else observed, time <= censoring


def reference(x: np.ndarray, time: np.ndarray, event: np.ndarray, penalty: float) -> np.ndarray:
    """Coefficients by scikit-survival, whose penalty is that on the sum over patients."""
    model = CoxPHSurvivalAnalysis(alpha=penalty, ties="breslow", n_iter=200, tol=1e-13)
    found: np.ndarray = model.fit(x, Surv.from_arrays(event, time)).coef_
    return found


@pytest.mark.parametrize("penalty", [0.05, 3.0, 300.0])
@pytest.mark.parametrize("tied", [False, True])
def test_equals_scikit_survival_on_divided_columns(penalty: float, tied: bool) -> None:
    x, time, event = drawn(70, 6, tied=tied)
    model = fit_ridge_cox(x, time, event, 0, penalties=[penalty])
    assert model.penalty == penalty
    expected = reference(x / np.sqrt(6), time, event, penalty) / np.sqrt(6)
    np.testing.assert_allclose(model.coefficients, expected, atol=1e-7)
    np.testing.assert_allclose(model.log_hazard(x), x @ expected, atol=1e-6)


def test_equals_lifelines() -> None:
    x, time, event = drawn(80, 4)
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)  # as lifelines standardises
    likelihood = PartialLikelihood.of(time, event)
    found = fit_exactly(x, likelihood, np.zeros(80), PENALISER * 80)
    np.testing.assert_allclose(found, fit_cox(x, time, event).coefficients, atol=1e-5)


def test_with_more_columns_than_patients_coordinates_change_nothing() -> None:
    x, time, event = drawn(40, 90, effect=2.0)
    likelihood, offset = PartialLikelihood.of(time, event), np.zeros(40)
    direct = newton(x / np.sqrt(90), likelihood, offset, 2.0, np.zeros(90)) / np.sqrt(90)
    reduced, back = coordinates(x)
    assert reduced.shape == (40, 40)
    np.testing.assert_allclose(x @ back, reduced, atol=1e-10)
    in_coordinates = back @ fit_exactly(reduced, likelihood, offset, 2.0)
    np.testing.assert_allclose(in_coordinates, direct, atol=1e-7)
    decomposed = fit_exactly(x / np.sqrt(90), likelihood, offset, 2.0) / np.sqrt(90)
    np.testing.assert_allclose(decomposed, direct, atol=1e-7)
    expected = reference(x / np.sqrt(90), time, event, 2.0) / np.sqrt(90)
    np.testing.assert_allclose(direct, expected, atol=1e-7)
    chosen = fit_ridge_cox(x, time, event, 0)
    assert chosen.gain > 0
    exact = newton(x / np.sqrt(90), likelihood, offset, chosen.penalty, np.zeros(90))
    np.testing.assert_allclose(chosen.coefficients, exact / np.sqrt(90), atol=1e-7)


def test_coordinates_are_as_many_as_the_rank() -> None:
    x = np.random.default_rng(0).normal(size=(8, 20))
    twice = np.concatenate([x, x])  # every patient twice: rank 8 of 16
    reduced, back = coordinates(twice)
    assert reduced.shape == (16, 8)
    np.testing.assert_allclose(reduced @ reduced.T, twice @ twice.T / 20, atol=1e-10)
    assert back.shape == (20, 8)
    assert coordinates(np.zeros((3, 5)))[0].shape == (3, 0)


def slow_likelihood(score: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """Log partial likelihood by its definition."""
    return float(
        sum(
            score[row] - np.log(np.exp(score[time >= time[row]]).sum())
            for row in np.flatnonzero(event)
        )
    )


def test_gains_are_those_of_verweij_and_van_houwelingen() -> None:
    x, time, event = drawn(60, 3, effect=0.8, tied=True)
    penalties = [100.0, 5.0, 0.5]
    found = cross_validated_gains(x, time, event, np.zeros(60), 4, penalties)
    folds = stratified_folds(event, FOLDS, 4)

    def validated(penalty: float) -> float:
        """The part in the likelihood of those left out, over all folds."""
        total = 0.0
        for fold in range(FOLDS):
            kept = folds != fold
            beta = np.zeros(3)
            if np.isfinite(penalty):
                beta = reference(x[kept], time[kept], event[kept], penalty)
            total += slow_likelihood(x @ beta, time, event)
            total -= slow_likelihood(x[kept] @ beta, time[kept], event[kept])
        return total

    expected = [validated(penalty) - validated(np.inf) for penalty in penalties]
    np.testing.assert_allclose(found, expected, atol=5e-3)
    model = fit_ridge_cox(x * np.sqrt(3), time, event, 4, penalties=penalties)
    assert model.penalty == penalties[int(np.argmax(expected))]
    assert model.gain == pytest.approx(max(expected), abs=5e-3)


def test_noise_mostly_has_no_effect_and_signal_has() -> None:
    none = [fit_ridge_cox(*drawn(80, 10, 0.0, seed), seed) for seed in range(30)]
    nothing = [not model.coefficients.any() for model in none]
    assert nothing == [np.isinf(model.penalty) for model in none]
    assert np.mean(nothing) > 0.55
    some = [fit_ridge_cox(*drawn(80, 10, 1.0, seed), seed) for seed in range(5)]
    assert all(model.gain > 0 and model.coefficients[0] > 0.2 for model in some)


def test_an_offset_is_added_to_and_not_learned_again() -> None:
    x, time, event = drawn(150, 5)
    likelihood = PartialLikelihood.of(time, event)
    offset = 0.5 * x[:, 0] + x[:, 1]
    found = fit_exactly(x, likelihood, offset, 2.0)
    slope = likelihood.value_and_slope(offset + x @ found)[1] @ x
    np.testing.assert_allclose(slope, 2.0 * found, atol=1e-6)  # the maximum
    np.testing.assert_allclose(fit_exactly(x, likelihood, offset + 7, 2.0), found, atol=1e-7)
    free = fit_exactly(x, likelihood, np.zeros(150), 1e-6)
    rest = fit_exactly(x, likelihood, offset, 1e-6)
    np.testing.assert_allclose(rest, free - [0.5, 1, 0, 0, 0], atol=1e-4)
    alone = fit_ridge_cox(x[:, :1], time, event, 0)
    known = fit_ridge_cox(x[:, :1], time, event, 0, offset=x[:, 0])
    assert known.gain < 1 < 10 < alone.gain


def test_too_few_events_and_no_columns_have_no_effect() -> None:
    x, time, event = drawn(20, 3)
    for few in (np.zeros(20, bool), np.arange(20) == 4):
        model = fit_ridge_cox(x, time, few, 0)
        assert (model.penalty, model.gain) == (float("inf"), 0.0)
        assert not model.coefficients.any()
    two = fit_ridge_cox(x, time, np.arange(20) < 2, 0)
    assert np.isfinite(two.coefficients).all()
    nothing = fit_exactly(np.empty((20, 0)), PartialLikelihood.of(time, event), np.zeros(20), 1.0)
    assert nothing.shape == (0,)


def test_folds_spread_events_evenly() -> None:
    event = np.random.default_rng(0).random(53) < 0.3
    folds = stratified_folds(event, 5, 1)
    for status in (False, True):
        sizes = np.bincount(folds[event == status], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    assert (stratified_folds(event, 5, 1) == folds).all()
    assert (stratified_folds(event, 5, 2) != folds).any()
