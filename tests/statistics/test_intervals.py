"""Intervals and comparisons: the formula, its error rates, and the bootstrap."""

import numpy as np
import pytest
from scipy.stats import kendalltau, ttest_1samp
from scipy.stats import t as student_t

from evaluation_fixture import make_study, random_folds
from survfuse.artifacts.study import Fold
from survfuse.statistics.comparison import FoldScores, average, paired_difference, score_folds
from survfuse.statistics.intervals import corrected_t, draw_counts, percentile_interval
from survfuse.statistics.metrics import Concordance, HorizonError, NoComparablePairsError

ANY = (-np.inf, np.inf)


def test_corrected_t_is_the_published_formula() -> None:
    values = np.array([0.61, 0.70, 0.66, 0.58, 0.73])
    found = corrected_t(values, np.ones(5), 0.25, 0.95, ANY)
    margin = student_t.ppf(0.975, 4) * np.sqrt((1 / 5 + 0.25) * values.var(ddof=1))
    assert found.value == pytest.approx(values.mean(), abs=1e-15)
    assert found.high - found.value == pytest.approx(margin, abs=1e-12)
    assert found.value - found.low == pytest.approx(margin, abs=1e-12)


def test_corrected_t_weights() -> None:
    values, weights = np.array([0.5, 0.8, 0.6]), np.array([1.0, 3.0, 1.0])
    found = corrected_t(values, weights, 0.25, 0.95, ANY)
    assert found.value == pytest.approx((0.5 + 2.4 + 0.6) / 5)
    scaled = corrected_t(values, 100 * weights, 0.25, 0.95, ANY)
    assert scaled.low == pytest.approx(found.low, abs=1e-12)
    assert corrected_t(values, weights, 0.25, 0.95, (0, 1)).high == 1


def test_too_few_folds_for_an_interval() -> None:
    one = corrected_t(np.array([0.6]), np.ones(1), 0.25, 0.95, ANY)
    assert (one.value, one.low, one.high) == (0.6, None, None)
    assert "only one fold" in one.reason
    none = corrected_t(np.array([]), np.array([]), 0.25, 0.95, ANY)
    assert none.value is None and none.as_json()["reason"] == "no fold has comparable pairs"


def differences_of_equal_models(simulations: int) -> list[np.ndarray]:
    """C of two ridge models on different, equally informative features, 5 x 5 folds each."""
    differences = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(150, 8))
        y = x.sum(axis=1) * 0.25 + rng.normal(size=150)
        found = []
        for fold in random_folds(150, 5, 5, seed):
            scores = []
            for features in (slice(0, 4), slice(4, 8)):
                inside, outside = x[fold.train, features], x[fold.test, features]
                ridge = inside.T @ inside + 5 * np.eye(4)
                beta = np.linalg.solve(ridge, inside.T @ y[fold.train])
                scores.append((1 + kendalltau(outside @ beta, y[fold.test]).statistic) / 2)
            found.append(scores[0] - scores[1])
        differences.append(np.array(found))
    return differences


def test_equal_models_differ_as_rarely_as_the_interval_says() -> None:
    """The naive paired t calls equal models different in about half of all studies."""
    drawn = differences_of_equal_models(80)
    found = [corrected_t(one, np.ones(25), 0.25, 0.95, ANY) for one in drawn]
    false_alarms = np.mean([not one.low <= 0 <= one.high for one in found])
    naive = np.mean([ttest_1samp(one, 0).pvalue < 0.05 for one in drawn])
    assert 0.01 <= false_alarms <= 0.10
    assert naive > 0.3


@pytest.mark.slow
def test_equal_models_over_400_studies() -> None:
    drawn = differences_of_equal_models(400)
    found = [corrected_t(one, np.ones(25), 0.25, 0.95, ANY) for one in drawn]
    assert 0.03 <= np.mean([not one.low <= 0 <= one.high for one in found]) <= 0.09


def test_folds_without_pairs_are_left_out_openly() -> None:
    study = make_study(60, folds=3)

    def score(fold: Fold) -> Concordance:
        if fold.fold == 1:
            raise NoComparablePairsError("none")
        return Concordance(0.6 + 0.1 * fold.fold, 10 * (1 + fold.fold))

    scores = score_folds(study, score)
    assert scores.per_fold() == [0.6, None, pytest.approx(0.8)]
    assert average(scores, 0.5, 0.95).value == pytest.approx((10 * 0.6 + 30 * 0.8) / 40)


def test_a_horizon_error_is_not_a_small_fold() -> None:
    def score(fold: Fold) -> Concordance:
        raise HorizonError(f"fold {fold.fold}")

    with pytest.raises(HorizonError):
        score_folds(make_study(60), score)


def test_paired_difference_uses_the_same_folds() -> None:
    pairs = np.array([10.0, 0.0, 20.0])
    model = FoldScores(np.array([0.7, np.nan, 0.6]), pairs)
    reference = FoldScores(np.array([0.5, np.nan, 0.5]), pairs)
    assert paired_difference(model, reference, 0.5, 0.95).value == pytest.approx((2 + 2) / 30)
    same = paired_difference(model, model, 0.5, 0.95)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_common_ups_and_downs_cancel_in_a_paired_difference() -> None:
    rng = np.random.default_rng(0)
    level, pairs = rng.normal(0.65, 0.08, 5), np.full(5, 50.0)
    model, reference = FoldScores(level + 0.03, pairs), FoldScores(level, pairs)
    paired = paired_difference(model, reference, 0.25, 0.95)
    assert paired.low == pytest.approx(0.03) and paired.high == pytest.approx(0.03)
    alone = average(model, 0.25, 0.95)
    assert alone.high - alone.low > 0.1


def test_resamples_keep_the_size_of_every_fold() -> None:
    study = make_study(50, folds=5, repeats=2)
    counts = draw_counts(study, 30, seed=1)
    assert counts.shape == (31, 50)
    assert (counts[0] == 1).all()
    for fold in study.folds_of(0):
        assert (counts[:, fold.test].sum(axis=1) == len(fold.test)).all()
    assert (counts[1:] != 1).any()
    assert (draw_counts(study, 30, seed=1) == counts).all()
    assert (draw_counts(study, 30, seed=2) != counts).any()


def test_percentile_interval_of_a_mean() -> None:
    study = make_study(400, folds=5)
    value = np.random.default_rng(0).normal(size=400)
    means = draw_counts(study, 2000, seed=0) @ value / 400
    found = percentile_interval(means, 0.95)
    assert found.value == pytest.approx(value.mean(), abs=1e-12)
    assert found.high - found.low == pytest.approx(2 * 1.96 * value.std() / 20, rel=0.08)


def test_undefined_resamples() -> None:
    values = np.r_[0.5, np.linspace(0.4, 0.6, 95), np.full(5, np.nan)]
    found = percentile_interval(values, 0.9)
    assert found.low == pytest.approx(0.41) and found.high == pytest.approx(0.59)
    refused = percentile_interval(np.r_[0.5, np.full(50, 0.4), np.full(50, np.nan)], 0.9)
    assert refused.value == 0.5 and refused.low is None
    assert "50 of 100 bootstrap resamples" in refused.reason
