"""Random-effects meta-analysis: values by hand, published values, and coverage under simulation."""

import numpy as np
import pytest
from scipy.stats import chi2
from scipy.stats import t as student_t

from survfuse.statistics.intervals import corrected_t
from survfuse.statistics.meta_analysis import (
    Pooled,
    cochran_q,
    dersimonian_laird,
    random_effects,
    restricted_likelihood,
    restricted_maximum_likelihood,
    standard_error,
)

# Thirteen trials of the BCG vaccine (Colditz et al., JAMA 1994;271:698): cases and others with the
# vaccine, cases and others without.
BCG = np.array(
    [
        [4, 119, 11, 128],
        [6, 300, 29, 274],
        [3, 228, 11, 209],
        [62, 13536, 248, 12619],
        [33, 5036, 47, 5761],
        [180, 1361, 372, 1079],
        [8, 2537, 10, 619],
        [505, 87886, 499, 87892],
        [29, 7470, 45, 7232],
        [17, 1699, 65, 1600],
        [186, 50448, 141, 27197],
        [5, 2493, 3, 2338],
        [27, 16886, 29, 17825],
    ],
    dtype=float,
).T


def log_relative_risks() -> tuple[np.ndarray, np.ndarray]:
    """Of the trials of BCG, with their variances."""
    a, b, c, d = BCG
    return np.log(a / (a + b) * (c + d) / c), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def test_published_values_of_the_bcg_trials() -> None:
    """As metafor prints them for log relative risks: `rma(yi, vi, test = "knha")`."""
    values, variances = log_relative_risks()
    found = random_effects(values, variances, 0.95)
    assert float(found.value) == pytest.approx(-0.7145, abs=5e-5)
    assert float(found.tau2) == pytest.approx(0.3132, abs=5e-5)
    assert [found.low, found.high] == pytest.approx([-1.1084, -0.3206], abs=5e-5)
    assert float(found.q) == pytest.approx(152.2330, abs=5e-5)
    assert float(found.q_p) == pytest.approx(chi2.sf(152.2330, 12), rel=1e-3)
    assert float(found.tau2_moments) == pytest.approx(0.3088, abs=5e-5)
    assert float(found.i2) == pytest.approx((152.2330 - 12) / 152.2330, abs=1e-6)


def test_equal_variances_by_hand() -> None:
    """tau^2 is the variance of the estimates less that within studies, by either method.

    1, 3, 5, 7 with the variance 2: mean 4, variance 20 / 3, tau^2 = 14 / 3, and all weigh 3 / 20.
    Q = 20 / 2 = 10; the factor of Hartung and Knapp is 1 and the variance of the mean 5 / 3.
    """
    values, variances = np.array([1.0, 3.0, 5.0, 7.0]), np.full(4, 2.0)
    found = random_effects(values, variances, 0.95)
    assert float(dersimonian_laird(values, variances)) == pytest.approx(14 / 3)
    assert float(found.tau2) == pytest.approx(14 / 3)
    assert float(found.q) == pytest.approx(10) and float(found.i2) == pytest.approx(0.7)
    assert found.weights == pytest.approx(np.full(4, 0.25))
    assert [found.value, found.low, found.high] == pytest.approx(
        4 + np.array([0, -1, 1]) * student_t.ppf(0.975, 3) * np.sqrt(5 / 3)
    )
    reach = student_t.ppf(0.975, 2) * np.sqrt(14 / 3 + 5 / 3)
    assert [found.prediction_low, found.prediction_high] == pytest.approx([4 - reach, 4 + reach])


def test_unequal_variances_by_hand() -> None:
    """0 and 1 with the variances 0.1 and 0.2: weights 10 and 5, mean 1 / 3, Q = 10 / 3.

    DerSimonian and Laird: (Q - 1) / (15 - 125 / 15) = 0.35. The restricted likelihood of two
    studies rests on their difference alone, of which the square less 0.3 is twice tau^2: 0.35.
    """
    values, variances = np.array([0.0, 1.0]), np.array([0.1, 0.2])
    assert float(cochran_q(values, variances)) == pytest.approx(10 / 3)
    assert float(dersimonian_laird(values, variances)) == pytest.approx(0.35)
    found = random_effects(values, variances, 0.95)
    assert float(found.tau2) == pytest.approx(0.35)
    assert found.weights == pytest.approx([0.55, 0.45])
    assert float(found.value) == pytest.approx(0.45)
    assert np.isnan(found.prediction_low) and np.isnan(found.prediction_high)


def test_studies_that_agree_do_not_make_the_interval_too_narrow() -> None:
    """Without the factor of at least 1 the interval of equal estimates would have no width."""
    found = random_effects(np.full(4, 0.05), np.full(4, 0.04), 0.95)
    assert float(found.tau2) == 0 and float(found.i2) == 0
    assert float(found.high - found.value) == pytest.approx(student_t.ppf(0.975, 3) * 0.1)


def test_the_restricted_likelihood_is_largest_at_its_estimate() -> None:
    """On a grid from 0 to far beyond it; the method of moments finds much the same."""
    rng = np.random.default_rng(5)
    variances = rng.uniform(0.2, 4, (300, 7))
    values = rng.normal(size=(300, 7)) * np.sqrt(variances + 1)
    tau2 = restricted_maximum_likelihood(values, variances)
    best = restricted_likelihood(tau2, values, variances)
    for factor in (0, 0.5, 0.9, 0.99, 1.01, 1.1, 2, 10):
        assert (restricted_likelihood(tau2 * factor, values, variances) <= best + 1e-7).all()
    for tried in np.geomspace(1e-3, 30, 40):
        at = np.full(300, tried)
        assert (restricted_likelihood(at, values, variances) <= best + 1e-7).all()
    assert np.corrcoef(tau2, dersimonian_laird(values, variances))[0, 1] > 0.9
    assert (tau2 == 0).any() and (tau2 > 0).any()


def test_units_and_order_change_nothing() -> None:
    values, variances = log_relative_risks()
    found = random_effects(values, variances, 0.95)
    scaled = random_effects(100 + 1000 * values[::-1], 1e6 * variances[::-1], 0.95)
    assert float(scaled.value) == pytest.approx(100 + 1000 * float(found.value))
    assert float(scaled.tau2) == pytest.approx(1e6 * float(found.tau2), rel=1e-6)
    assert scaled.weights == pytest.approx(found.weights[::-1])


def test_the_standard_error_behind_an_interval_is_recovered() -> None:
    values = np.array([0.02, 0.05, -0.01, 0.04, 0.03])
    found = corrected_t(values, np.ones(5), 0.25, 0.95, (-1, 1))
    expected = np.sqrt((1 / 5 + 0.25) * values.var(ddof=1))
    assert standard_error(found.value, found.low, found.high, 4, 0.95) == pytest.approx(expected)
    assert standard_error(found.value, found.low, 0.031, 4, 0.95) == pytest.approx(expected)
    assert standard_error(0, -1.959964, 1.959964, np.inf, 0.95) == pytest.approx(1, abs=1e-6)


def drawn(
    studies: int, tau: float, freedom: int | None = None, meta_analyses: int = 2000
) -> tuple[Pooled, np.ndarray]:
    """Meta-analyses of studies around 0 with variances of 0.25 to 4, and the effect of a new one.

    With `freedom`, the variances within studies are estimated with so many degrees of freedom.
    """
    rng = np.random.default_rng(100 * studies + int(10 * tau))
    shape = (meta_analyses, studies)
    variances = rng.uniform(0.5, 2, shape) ** 2
    values = rng.normal(size=shape) * np.sqrt(tau**2 + variances)
    if freedom:
        variances = variances * rng.chisquare(freedom, shape) / freedom
    return random_effects(values, variances, 0.95), tau * rng.normal(size=meta_analyses)


@pytest.mark.parametrize("studies", [5, 9])
@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_intervals_hold_the_mean_as_often_as_they_say(studies: int, tau: float) -> None:
    """With variance between studies; the normal interval of the same estimates does not."""
    found, _ = drawn(studies, tau)
    assert 0.935 <= np.mean((found.low <= 0) & (found.high >= 0)) <= 0.985
    spread = (found.high - found.low) / 2 / student_t.ppf(0.975, studies - 1)
    if tau == 2:
        assert np.mean(np.abs(found.value) <= 1.96 * spread) < 0.935


@pytest.mark.parametrize("studies", [5, 9])
def test_intervals_are_conservative_where_studies_do_not_differ(studies: int) -> None:
    found, _ = drawn(studies, 0.0)
    assert np.mean((found.low <= 0) & (found.high >= 0)) >= 0.97


@pytest.mark.parametrize("studies", [5, 9])
def test_intervals_hold_the_mean_with_estimated_variances(studies: int) -> None:
    """24 degrees of freedom are those of five repeats of five folds, 4 those of one."""
    for freedom in (24, 4):
        found, _ = drawn(studies, 1.0, freedom)
        assert 0.92 <= np.mean((found.low <= 0) & (found.high >= 0)) <= 0.985


@pytest.mark.parametrize("studies", [5, 9])
def test_prediction_intervals_hold_a_new_study_less_often_than_they_say(studies: int) -> None:
    """Somewhat: tau^2 of few studies is often estimated as 0. The notes of a page say so."""
    found, new = drawn(studies, 2.0)
    assert 0.88 <= np.mean((found.prediction_low <= new) & (found.prediction_high >= new)) <= 0.95
