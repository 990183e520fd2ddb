"""Patients unlike those of training: rates on exchangeable patients, power, invariances."""

from collections.abc import Callable

import numpy as np
import pytest

from survfuse.statistics.new_patients.novelty import (
    Novelty,
    fit_axes,
    fit_novelty,
    quantiles,
    shrunken,
)

SIZES = ((150, 5), (400, 5), (150, 50), (400, 50), (150, 500))
Draw = Callable[[int], np.ndarray]


def patients(columns: int, seed: int) -> Draw:
    """Draws patients whose columns follow a few common factors, and noise."""
    rng = np.random.default_rng([columns, seed])
    loadings = 0.6 * rng.normal(size=(max(1, min(5, columns // 3)), columns))

    def draw(n: int) -> np.ndarray:
        common = rng.normal(size=(n, len(loadings))) @ loadings
        return 3 + common + 0.7 * rng.normal(size=(n, columns))

    return draw


def fitted(n: int, columns: int, seed: int) -> tuple[Novelty, np.ndarray, Draw]:
    draw = patients(columns, seed)
    train = draw(n)
    return fit_novelty(train, np.arange(n) % 5), train, draw


@pytest.mark.parametrize(("n", "columns"), SIZES)
def test_few_patients_like_those_of_training_are_flagged(n: int, columns: int) -> None:
    rates, small = [], []
    for seed in range(6):
        novelty, _, draw = fitted(n, columns, seed)
        p = novelty.p_value(draw(300))
        rates.append((p < 0.01).mean())
        small.append((p <= 0.2).mean())
    assert np.mean(rates) <= 0.02
    assert 0.08 < np.mean(small) < 0.24  # p-values are not merely large


def test_scores_of_those_who_were_fitted_would_flag_everybody() -> None:
    """Why the reference is out of sample: with n < c the own axes of a patient come too near."""
    _, train, draw = fitted(60, 500, 1)
    axes = fit_axes(train)
    own, new = axes.log_distances(train), axes.log_distances(draw(200))
    assert (new[:, 1] > np.quantile(own[:, 1], 0.95)).mean() > 0.3


@pytest.mark.parametrize(("n", "columns"), SIZES)
def test_a_shift_of_five_deviations_is_found(n: int, columns: int) -> None:
    rates = []
    for seed in range(4):
        novelty, train, draw = fitted(n, columns, seed)
        direction = np.random.default_rng(seed).normal(size=columns)
        direction *= 5 / np.sqrt((direction**2).mean())
        rates.append((novelty.p_value(draw(200) + train.std(axis=0) * direction) < 0.01).mean())
    assert np.mean(rates) >= 0.95


def test_columns_that_were_interchanged_are_found() -> None:
    """Every column by itself stays as it was: of each its own mean and deviation."""
    rates = []
    for seed in range(4):
        novelty, train, draw = fitted(150, 500, seed)
        mean, sd = train.mean(axis=0), train.std(axis=0)
        order = np.random.default_rng(seed).permutation(500)
        mixed = mean + sd * ((draw(200) - mean) / sd)[:, order]
        rates.append((novelty.p_value(mixed) < 0.01).mean())
    assert np.mean(rates) >= 0.95


def test_columns_of_different_patients_are_found() -> None:
    """Marginals are kept exactly; only what goes together is lost."""
    novelty, _, draw = fitted(300, 500, 3)
    mixed = np.random.default_rng(3).permuted(draw(200), axis=0)
    assert (novelty.p_value(mixed) < 0.01).mean() >= 0.95


def test_the_order_of_patients_and_the_units_of_columns_do_not_matter() -> None:
    draw = patients(40, 2)
    train, new, folds = draw(120), draw(30), np.arange(120) % 5
    scores = fit_novelty(train, folds).score(new)
    order = np.random.default_rng(0).permutation(120)
    assert fit_novelty(train[order], folds[order]).score(new) == pytest.approx(scores, abs=1e-8)
    unit, zero = np.geomspace(0.01, 100, 40), np.linspace(-5, 5, 40)
    moved = fit_novelty(train * unit + zero, folds)
    assert moved.score(new * unit + zero) == pytest.approx(scores, abs=1e-7)


@pytest.mark.parametrize("n", [37, 150, 201, 640])
def test_p_values_count_the_reference(n: int) -> None:
    """Against the definition, from the scores themselves."""
    reference = np.random.default_rng(n).normal(size=n)
    axes = fit_axes(patients(3, 0)(20))
    novelty = Novelty(axes, np.zeros(2), np.ones(2), quantiles(reference), n)
    new = np.r_[
        patients(3, 1)(400), [[1e3, 0, -1e3]], axes.mean[None]
    ]  # one far, one in the middle
    scored = novelty.score(new)
    counted = (1 + (reference >= scored[:, None]).sum(axis=1)) / (n + 1)
    found = novelty.p_value(new)
    if n <= 201:
        assert found == pytest.approx(counted, abs=1e-12)
    assert (found >= counted - 1e-12).all()
    assert (found <= counted + 1 / 200).all()
    assert found.min() == pytest.approx(1 / (n + 1)) and found.max() == 1


def test_missing_columns_count_as_the_mean() -> None:
    novelty, train, draw = fitted(150, 20, 4)
    new = draw(5)
    filled = new.copy()
    new[:, :7], filled[:, :7] = np.nan, train.mean(axis=0)[:7]
    assert novelty.score(new) == pytest.approx(novelty.score(filled))
    assert (novelty.p_value(np.full((1, 20), np.nan)) > 0.5).all()


def test_gaps_in_training_are_no_novelty() -> None:
    draw, rng = patients(30, 5), np.random.default_rng(5)
    train, new = draw(200), draw(300)
    for matrix in (train, new):
        matrix[rng.random(matrix.shape) < 0.2] = np.nan
    train[:20] = np.nan  # who has nothing is left out
    novelty = fit_novelty(train, np.arange(200) % 5)
    assert novelty.n == 180
    assert (novelty.p_value(new) < 0.01).mean() <= 0.02


def test_columns_that_do_not_vary_say_nothing() -> None:
    draw = patients(10, 6)
    train, new, folds = draw(80), draw(20), np.arange(80) % 4
    scores = fit_novelty(np.c_[train, np.full(80, 0.1)], folds).score(np.c_[new, np.arange(20.0)])
    assert np.isfinite(scores).all()
    assert len(set(scores)) == 20


def test_one_column_alone() -> None:
    rng = np.random.default_rng(7)
    novelty = fit_novelty(rng.normal(size=(200, 1)), np.arange(200) % 5)
    assert novelty.p_value(np.array([[0.1], [9.0]])).round(3).tolist()[1] == round(1 / 201, 3)
    assert novelty.p_value(np.array([[0.1]]))[0] > 0.5


def test_what_is_kept_holds_no_patient() -> None:
    novelty, _, draw = fitted(120, 30, 8)
    again = Novelty.from_arrays(novelty.arrays())
    new = draw(10)
    assert (again.p_value(new) == novelty.p_value(new)).all()
    assert again.n == 120 and len(again.quantiles) == 201
    assert not any(120 in array.shape for array in novelty.arrays().values())


def test_two_folds_are_needed() -> None:
    with pytest.raises(ValueError, match="two folds or more"):
        fit_novelty(np.eye(5), np.zeros(5))


def test_shrinkage_equals_that_of_another_library() -> None:
    from sklearn.covariance import ledoit_wolf

    z = patients(6, 9)(40)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    expected = np.linalg.eigvalsh(ledoit_wolf(z, assume_centered=True)[0])[::-1]
    eigenvalues = np.linalg.svd(z, compute_uv=False) ** 2 / 40
    assert shrunken(eigenvalues, (z**2).sum(axis=1), 6) == pytest.approx(expected)
