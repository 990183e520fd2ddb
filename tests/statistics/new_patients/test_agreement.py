"""Whether two modalities belong together: by hand, at its rate, and with another's genes."""

import numpy as np
import pytest

from survfuse.statistics.new_patients.agreement import Agreement, Together, fit_agreement
from survfuse.statistics.new_patients.novelty import Axes

N, NEW = 200, 300


def patients(seed: int, shared: float):
    """Draws two modalities (n, 12) and (n, 40) of patients, with two factors of both."""
    rng = np.random.default_rng(seed)
    loadings = [shared * rng.normal(size=(2, width)) for width in (12, 40)]

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        factors = rng.normal(size=(n, 2))
        first, second = (factors @ one + rng.normal(size=(n, one.shape[1])) for one in loadings)
        return first, second

    return draw


def test_the_score_is_the_log_likelihood_ratio_of_two_people_against_one() -> None:
    axis = Axes(np.zeros(1), np.ones(1), np.ones((1, 1)), np.ones(1))
    one = np.ones((1, 1))
    together = Together(axis, axis, one, one, np.array([0.6]))
    u, v = np.array([[1.0], [1.0]]), np.array([[1.0], [-1.0]])
    # 0.6 (0.6 * 2 - 2) / (2 * 0.64) and 0.6 (0.6 * 2 + 2) / (2 * 0.64); without the constant
    np.testing.assert_allclose(together.score(u, v), [-0.375, 1.5])


def test_few_patients_are_flagged_and_most_with_columns_of_another_are() -> None:
    own, others = [], []
    for seed in range(8):
        draw = patients(seed, 1.0)
        fitted = fit_agreement(*draw(N), np.arange(N) % 5)
        assert fitted is not None
        first, second = draw(NEW)
        own.append((fitted.p_value(first, second) < 0.01).mean())
        others.append((fitted.p_value(first, np.roll(second, 1, axis=0)) < 0.01).mean())
    assert np.mean(own) <= 0.02
    assert np.mean(others) > 0.6


@pytest.mark.parametrize("seed", range(5))
def test_modalities_that_tell_nothing_of_each_other_are_not_compared(seed: int) -> None:
    assert fit_agreement(*patients(seed, 0.0)(N), np.arange(N) % 5) is None


def test_units_do_not_matter_and_files_keep_it_all() -> None:
    draw = patients(1, 1.0)
    (first, second), (a, b), folds = draw(N), draw(50), np.arange(N) % 5
    plain, other = (fit_agreement(k * first, second - k, folds) for k in (1.0, 100.0))
    assert plain is not None and other is not None
    found = plain.p_value(a, b - 1)
    np.testing.assert_allclose(other.p_value(100 * a, b - 100), found)
    np.testing.assert_array_equal(Agreement.from_arrays(plain.arrays()).p_value(a, b - 1), found)


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="two folds"):
        fit_agreement(*patients(0, 1.0)(N), np.zeros(N))
