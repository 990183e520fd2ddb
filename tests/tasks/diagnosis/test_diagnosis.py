"""Diagnosis: DeLong, thresholds, proportions, calibration and decision curves, against others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from scipy.stats import t as student
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
    roc_curve,
)

from survfuse.core.errors import UserInputError
from survfuse.statistics.delong import (
    DIFFERENCE_INFLATION,
    auroc_inflation,
    auroc_influence,
    delong,
    macro_auroc,
    placements,
    refitting_interval,
    refitting_interval_of_difference,
)
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.probabilities import (
    brier,
    calibration_intercept,
    calibration_points,
    calibration_slope,
    mean_with_interval,
    net_benefit,
    observed_expected_ratio,
)
from survfuse.statistics.proportions import (
    decisions,
    effective_rows,
    mean_of,
    proportion,
    wilson,
    youden_threshold,
)
from survfuse.tasks.diagnosis.classes import UNKNOWN, conversion_label
from survfuse.tasks.diagnosis.evaluation import (
    ClassPredictions,
    auroc_by_folds,
    compare_diagnoses,
    confusion,
    evaluate_diagnosis,
)


def scored(n: int, seed: int, shift: float = 1.0, ties: bool = False):
    rng = np.random.default_rng(seed)
    case = rng.random(n) < 0.4
    case[:2], case[2:4] = True, False
    score = rng.normal(size=n) + shift * case
    return (score.round(1) if ties else score), case


# --- AUROC ---------------------------------------------------------------------------------------


def test_auroc_of_a_public_data_set_equals_the_published_interval():
    data = load_breast_cancer()
    found = delong(data.data[:, 1], data.target == 0, 0.95)  # mean texture, malignant = 1
    assert found.value == pytest.approx(0.7758244807356903, abs=1e-12)
    # As pROC gives it.
    assert (found.low, found.high) == pytest.approx((0.7371459378, 0.8145030237), abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_equals_scikit_learn_and_delong_by_the_matrix_of_pairs(ties):
    score, case = scored(137, 3, ties=ties)
    found = delong(score, case, 0.9)
    assert found.value == pytest.approx(roc_auc_score(case, score), abs=1e-12)
    wins = 0.5 * (1 + np.sign(score[case][:, None] - score[~case][None, :]))
    variance = wins.mean(axis=1).var(ddof=1) / case.sum()
    variance += wins.mean(axis=0).var(ddof=1) / (~case).sum()
    margin = norm.ppf(0.95) * np.sqrt(variance)
    by_pairs = (wins.mean() - margin, wins.mean() + margin)
    assert (found.low, found.high) == pytest.approx(by_pairs, abs=1e-12)


def test_auroc_computed_by_hand():
    score, case = np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False])
    # Cases beat 2 and 1 of 2 controls: placements 1, 1/2; controls are beaten by 1 and 2 of 2
    # cases: 1/2, 1. Variance = (1/8) / 2 + (1/8) / 2 = 1/8.
    found = auroc_influence(score, case)
    assert found.value == 0.75
    assert found.variance() == pytest.approx(1 / 8, abs=1e-15)


def test_paired_delong_by_the_matrix_of_pairs():
    rng = np.random.default_rng(5)
    first, case = scored(90, 5)
    second = first + rng.normal(size=90)
    first_found, second_found = auroc_influence(first, case), auroc_influence(second, case)
    found = first_found.minus(second_found)

    def components(score):
        wins = 0.5 * (1 + np.sign(score[case][:, None] - score[~case][None, :]))
        return wins.mean(axis=1), wins.mean(axis=0)

    (a10, a01), (b10, b01) = components(first), components(second)
    covariance = np.cov(a10, b10) / case.sum() + np.cov(a01, b01) / (~case).sum()
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    difference = roc_auc_score(case, first) - roc_auc_score(case, second)
    assert found.value == pytest.approx(difference, abs=1e-12)
    assert found.variance() == pytest.approx(variance, abs=1e-12)
    assert found.rarer == min(case.sum(), (~case).sum())
    interval = refitting_interval_of_difference(found, 0.95)
    t = student.ppf(0.975, found.rarer - 1)
    assert interval.high - difference == pytest.approx(
        t * np.sqrt(DIFFERENCE_INFLATION * variance), abs=1e-12
    )
    alone = refitting_interval(first_found, 0.95)
    margin = t * np.sqrt(auroc_inflation(found.rarer) * first_found.variance())
    assert first_found.value - alone.low == pytest.approx(margin, abs=1e-12)


def test_a_difference_of_a_score_from_its_own_order_has_no_interval():
    score, case = scored(40, 1)
    same = auroc_influence(score, case).minus(auroc_influence(np.exp(score), case))
    found = refitting_interval_of_difference(same, 0.95)
    assert found.value == 0 and found.low is None
    assert "same order" in found.reason


def test_delong_covers_the_truth_of_fixed_scores():
    """800 cohorts of 200: binormal scores with a true AUROC of Phi(1 / sqrt 2) = 0.7602."""
    true, covered = norm.cdf(1 / np.sqrt(2)), 0
    rng = np.random.default_rng(11)
    case = np.arange(200) < 80
    for _ in range(800):
        found = delong(rng.normal(size=200) + case, case, 0.95)
        covered += found.low <= true <= found.high
    assert 0.92 < covered / 800 < 0.97


def test_delong_agrees_with_the_bootstrap():
    score, case = scored(150, 8)
    rng = np.random.default_rng(0)
    cases, controls = score[case], score[~case]
    draws = []
    for _ in range(1500):
        a, b = rng.choice(cases, len(cases)), rng.choice(controls, len(controls))
        below = np.searchsorted(np.sort(b), a, "left") + np.searchsorted(np.sort(b), a, "right")
        draws.append(below.mean() / (2 * len(b)))
    assert np.sqrt(auroc_influence(score, case).variance()) == pytest.approx(
        np.std(draws), rel=0.07
    )


def test_repeated_visits_do_not_narrow_the_interval():
    score, case = scored(80, 2)
    patient = np.arange(80)
    alone = delong(score, case, 0.95, patient)
    assert alone == delong(score, case, 0.95)
    thrice = delong(np.tile(score, 3), np.tile(case, 3), 0.95, np.tile(patient, 3))
    assert (thrice.low, thrice.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    naive = delong(np.tile(score, 3), np.tile(case, 3), 0.95)
    assert naive.high - naive.low < 0.6 * (alone.high - alone.low)


def test_clustered_interval_covers_where_the_naive_one_does_not():
    true = norm.cdf(1 / np.sqrt(2 * (1 + 0.25)))  # shift 1, variance 1 between, 0.25 within
    rng = np.random.default_rng(4)
    patient, case = np.repeat(np.arange(60), 4), np.repeat(np.arange(60) < 30, 4)
    covered = {"clustered": 0, "naive": 0}
    for _ in range(500):
        score = rng.normal(size=60)[patient] + 0.5 * rng.normal(size=240) + case
        for name, whose in (("clustered", patient), ("naive", None)):
            found = delong(score, case, 0.95, whose)
            covered[name] += found.low <= true <= found.high
    assert 0.91 < covered["clustered"] / 500 < 0.98
    assert covered["naive"] / 500 < 0.85


def test_folds_are_compared_within_only():
    score, case = scored(100, 9)
    fold = np.arange(100) % 4
    shifted = score + 100 * fold  # a model of its own in every fold
    found = delong(shifted, case, 0.95, fold=fold)
    pairs = np.array([case[fold == f].sum() * (~case[fold == f]).sum() for f in range(4)])
    each = np.array([roc_auc_score(case[fold == f], score[fold == f]) for f in range(4)])
    assert found.value == pytest.approx(pairs @ each / pairs.sum(), abs=1e-12)
    assert found.high - found.low == pytest.approx(
        delong(score, case, 0.95).high - delong(score, case, 0.95).low, rel=0.25
    )
    small = np.where(np.arange(100) < 3, 9, fold)  # a fold of two cases and one control
    assert delong(shifted, case, 0.95, fold=small).value == pytest.approx(
        auroc_influence(shifted[3:], case[3:], fold=fold[3:]).value
    )


def test_what_cannot_be_estimated_has_a_reason():
    assert "1 patients with" in delong(np.arange(3.0), np.array([1, 0, 0]), 0.95).reason
    apart = delong(np.arange(6.0), np.arange(6) > 2, 0.95)
    assert apart.value == 1 and apart.low is None and "separates" in apart.reason
    level = delong(np.zeros(6), np.arange(6) > 2, 0.95)
    assert level.value == 0.5 and "same for all" in level.reason
    assert delong(np.zeros(0), np.zeros(0), 0.95, fold=np.zeros(0)).value is None
    with pytest.raises(NotEstimableError, match="row 1 has no score"):
        auroc_influence(np.array([0, np.nan, 1, 2]), np.array([1, 0, 1, 0]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=4, max_size=40))
def test_auroc_is_invariant_to_increasing_maps_and_turns_with_the_label(rows):
    score, case = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    if min(case.sum(), (~case).sum()) < 2:
        return
    found = auroc_influence(score, case)
    mapped, turned = auroc_influence(score**3 + score, case), auroc_influence(score, ~case)
    assert mapped.value == pytest.approx(found.value, abs=1e-12)
    assert mapped.variance() == pytest.approx(found.variance(), abs=1e-12)
    assert turned.value == pytest.approx(1 - found.value, abs=1e-12)
    assert turned.variance() == pytest.approx(found.variance(), abs=1e-12)
    assert abs(found.influence.sum()) < 1e-9


def test_confusion_matrix_by_hand():
    label, called = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 2, 2])
    assert confusion(label, called, 3) == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_macro_auroc_of_three_classes():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 200)
    score = rng.normal(size=(200, 3)) + 1.2 * np.eye(3)[label]
    probability = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    macro, each = macro_auroc(probability, label, 0.95)
    expected = roc_auc_score(label, probability, multi_class="ovr", average="macro")
    assert macro.value == pytest.approx(expected, abs=1e-12)
    assert [one.value for one in each] == pytest.approx(
        [roc_auc_score(label == k, probability[:, k]) for k in range(3)]
    )
    draws = []
    for _ in range(800):
        rows = rng.integers(0, 200, 200)
        of_class = [placements(probability[rows, k], label[rows] == k)[0] for k in range(3)]
        draws.append(np.mean([below.mean() for below in of_class]))
    t = student.ppf(0.975, np.bincount(label).min() - 1)
    error = (macro.high - macro.low) / (2 * t * np.sqrt(auroc_inflation(np.bincount(label).min())))
    assert error == pytest.approx(np.std(draws), rel=0.1)


def test_auroc_uses_probabilities_not_labels():
    score, case = scored(100, 6)
    assert delong(score, case, 0.95).value != pytest.approx(
        balanced_accuracy_score(case, score > 0.5), abs=0.01
    )


# --- Proportions and thresholds ------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), [(0, 10), (7, 10), (10, 10), (45, 61)])
def test_wilson_equals_scipy(k, n):
    expected = binomtest(k, n).proportion_ci(0.95, "wilson")
    found = wilson(k, n, 0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_effective_rows_of_repeated_visits():
    success = np.array([1, 1, 0, 0, 1, 0, 1, 1], bool)
    assert effective_rows(success, None) == 8
    assert effective_rows(np.tile(success, 5), np.tile(np.arange(8), 5)) == pytest.approx(7)
    assert effective_rows(np.ones(12, bool), np.repeat(np.arange(4), 3)) == 4
    mixed = np.tile([True, False], 10)  # patients all alike: as good as all their rows
    assert effective_rows(mixed, np.repeat(np.arange(10), 2)) == 10
    assert proportion(success[:0], 0.95, None).reason == "there are no rows to count"


def test_decisions_equal_scikit_learn():
    score, case = scored(160, 12)
    positive = score > 0.4
    found = decisions(positive, case, 0.95)
    counts = (found.true_positive, found.false_positive, found.true_negative, found.false_negative)
    assert sum(counts) == 160
    assert found.sensitivity.value == pytest.approx(positive[case].mean())
    assert found.specificity.value == pytest.approx((~positive)[~case].mean())
    assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(case, positive))
    assert found.f1.value == pytest.approx(f1_score(case, positive))
    assert found.positive_predictive_value.value == pytest.approx(case[positive].mean())
    for one in (found.f1, found.balanced_accuracy, found.negative_predictive_value):
        assert 0 <= one.low < one.value < one.high <= 1


def test_intervals_of_f1_and_balanced_accuracy_agree_with_the_bootstrap():
    score, case = scored(300, 13)
    positive = score > 0.4
    found = decisions(positive, case, 0.95)
    rng = np.random.default_rng(2)
    hits, alarms = positive & case, positive & ~case
    # Any resample is a draw of how many rows of each of the four kinds there are.
    kinds = [hits.sum(), alarms.sum(), (~positive & ~case).sum(), (~positive & case).sum()]
    tp, fp, tn, fn = rng.multinomial(300, np.array(kinds) / 300, 4000).T
    draws = (2 * tp / (2 * tp + fp + fn), (tp / (tp + fn) + tn / (tn + fp)) / 2)
    for one, drawn in zip((found.f1, found.balanced_accuracy), draws, strict=True):
        limits = np.quantile(drawn, [0.025, 0.975])
        assert (one.low, one.high) == pytest.approx(tuple(limits), abs=0.012)


def test_no_positive_decision_leaves_reasons_not_numbers():
    found = decisions(np.zeros(6, bool), np.arange(6) > 2, 0.95)
    assert found.f1.value == 0 and found.sensitivity.value == 0
    assert found.positive_predictive_value.reason == "there are no rows to count"
    assert mean_of([found.positive_predictive_value]).reason == "there are no rows to count"


@pytest.mark.parametrize("seed", range(5))
def test_youden_threshold_is_the_best_of_the_roc_curve(seed):
    score, case = scored(60, seed, ties=True)
    at = youden_threshold(score, case)
    rate_false, rate_true, _ = roc_curve(case, score)
    reached = (score >= at)[case].mean() - (score >= at)[~case].mean()
    assert reached == pytest.approx((rate_true - rate_false).max())
    assert at not in score  # between the scores


def test_youden_threshold_needs_both_outcomes():
    with pytest.raises(UserInputError, match="3 cases and 0 controls"):
        youden_threshold(np.array([0.9, 0.8, 0.7]), np.array([True, True, True]))


# --- Probabilities -------------------------------------------------------------------------------


def probabilities(n: int, seed: int, steep: float = 1.0, up: float = 0.0):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=n)
    case = rng.random(n) < 1 / (1 + np.exp(-true))
    return 1 / (1 + np.exp(-(steep * true + up))), case


def test_brier_equals_scikit_learn():
    probability, case = probabilities(200, 0)
    found = brier(probability, case, 0.95)
    assert found.value == pytest.approx(brier_score_loss(case, probability), abs=1e-12)
    terms = (probability - case) ** 2
    assert found.high - found.value == pytest.approx(
        1.959964 * terms.std(ddof=1) / 200**0.5, rel=1e-6
    )
    twice = brier(np.tile(probability, 2), np.tile(case, 2), 0.95, np.tile(np.arange(200), 2))
    assert (twice.low, twice.high) == pytest.approx((found.low, found.high), abs=1e-12)
    assert mean_with_interval(np.ones(1), 0.95).reason


def test_calibration_equals_an_unpenalised_logistic_regression():
    probability, case = probabilities(400, 1, steep=1.8, up=0.5)
    logit = np.log(probability / (1 - probability))
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=500).fit(logit[:, None], case)
    found = calibration_slope(probability, case, 0.95)
    assert found.value == pytest.approx(fitted.coef_[0, 0], abs=1e-5)
    # Wald: the inverse of the information, by hand.
    p = fitted.predict_proba(logit[:, None])[:, 1]
    design = np.column_stack([np.ones(400), logit])
    information = design.T @ (design * (p * (1 - p))[:, None])
    error = np.sqrt(np.linalg.inv(information)[1, 1])
    assert found.high - found.value == pytest.approx(norm.ppf(0.975) * error, rel=1e-4)
    shift = calibration_intercept(probability, case, 0.95).value
    assert (1 / (1 + np.exp(-(logit + shift)))).mean() == pytest.approx(case.mean(), abs=1e-10)


def test_calibration_of_a_perfect_a_boastful_and_a_pessimistic_model():
    perfect = probabilities(20_000, 3)
    assert calibration_slope(*perfect, 0.95).value == pytest.approx(1, abs=0.06)
    assert calibration_intercept(*perfect, 0.95).value == pytest.approx(0, abs=0.05)
    assert observed_expected_ratio(*perfect, 0.95).value == pytest.approx(1, abs=0.02)
    assert calibration_slope(*probabilities(20_000, 3, steep=2), 0.95).value == pytest.approx(
        0.5, abs=0.03
    )
    high = probabilities(20_000, 3, up=1.0)
    assert calibration_intercept(*high, 0.95).value == pytest.approx(-1, abs=0.05)
    ratio = observed_expected_ratio(*high, 0.95)
    assert ratio.high < 1 and ratio.value == pytest.approx(high[1].mean() / high[0].mean())


def test_calibration_with_repeated_visits_uses_the_sandwich():
    probability, case = probabilities(150, 6)
    patient = np.arange(150)
    once = calibration_slope(probability, case, 0.95, patient)
    many = calibration_slope(np.tile(probability, 4), np.tile(case, 4), 0.95, np.tile(patient, 4))
    assert (many.low, many.high) == pytest.approx((once.low, once.high), abs=1e-8)
    model = calibration_slope(probability, case, 0.95)
    assert once.high - once.low == pytest.approx(model.high - model.low, rel=0.25)


def test_calibration_that_cannot_be_fitted_has_a_reason():
    case = np.arange(8) > 3
    assert "separate" in calibration_slope(np.linspace(0.1, 0.9, 8), case, 0.95).reason
    assert "same prediction" in calibration_slope(np.full(8, 0.3), case, 0.95).reason
    assert "only one outcome" in calibration_intercept(np.full(8, 0.3), case > 5, 0.95).reason
    assert "no case" in observed_expected_ratio(np.zeros(8), case, 0.95).reason
    assert calibration_slope(np.array([0, 0, 1, 1.0] * 2), case, 0.95).value is not None


def test_calibration_points_group_all_rows():
    probability, case = probabilities(95, 7)
    points = calibration_points(probability, case, 0.95)
    assert len(points) == 4 and sum(point["n"] for point in points) == 95
    predicted = [point["predicted"] for point in points]
    assert predicted == sorted(predicted)
    mean = sum(point["n"] * point["observed"] for point in points) / 95
    assert mean == pytest.approx(case.mean())


def test_net_benefit_by_hand():
    probability = np.array([0.9, 0.6, 0.4, 0.1, 0.7])
    case = np.array([1, 1, 0, 0, 0], bool)
    low, high = net_benefit(probability, case, [0.2, 0.5], 0.95)
    # At 0.2: 2 true, 2 false positives, price 1/4: (2 - 0.5) / 5; treating all (2 - 3/4) / 5.
    assert low["model"]["value"] == pytest.approx(0.30)
    assert low["treat_all"]["value"] == pytest.approx(0.25)
    assert low["advantage"]["value"] == pytest.approx(0.05)
    # At 0.5: 2 true, 1 false at price 1; treating all (2 - 3) / 5 < 0, so against treating none.
    assert high["model"]["value"] == pytest.approx(0.20)
    assert high["treat_all"]["value"] == pytest.approx(-0.20)
    assert high["advantage"]["value"] == pytest.approx(0.20)
    with pytest.raises(UserInputError, match="threshold of 1"):
        net_benefit(probability, case, [1.0], 0.95)


def test_whole_weights_are_repeated_rows() -> None:
    """A row of weight 3 counts as three rows do: thresholds, shares, calibration, net benefit."""
    score, case = scored(90, 4, ties=True)
    probability = 1 / (1 + np.exp(-score))
    weight = np.random.default_rng(0).integers(1, 4, 90)
    rows = np.repeat(np.arange(90), weight)
    w = weight.astype(float)
    assert youden_threshold(score, case, w) == youden_threshold(score[rows], case[rows])
    few, many = (probability, case, 0.95), (probability[rows], case[rows], 0.95)
    for statistic in (brier, observed_expected_ratio, calibration_intercept, calibration_slope):
        ours, theirs = statistic(*few, None, w), statistic(*many, rows)
        assert ours.value == pytest.approx(theirs.value), statistic
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high)), statistic
    ours = net_benefit(probability, case, [0.3], 0.95, None, w)
    assert ours == [
        {
            name: pytest.approx(value)
            for name, value in net_benefit(*many[:2], [0.3], 0.95, rows)[0].items()
        }
    ]
    ours = decisions(probability > 0.5, case, 0.95, None, w)
    theirs = decisions(probability[rows] > 0.5, case[rows], 0.95, rows)
    for name in ("sensitivity", "specificity", "positive_predictive_value", "f1"):
        one, other = getattr(ours, name), getattr(theirs, name)
        expected = (other.value, other.low, other.high)
        assert (one.value, one.low, one.high) == pytest.approx(expected, rel=1e-9), name
    assert ours.true_positive == ((probability > 0.5) & case).sum()  # patients, not weights
    weighted = auroc_influence(score, case, weight=w)
    assert weighted.value == pytest.approx(roc_auc_score(case, score, sample_weight=w))
    repeated = auroc_influence(score[rows], case[rows], rows)
    assert weighted.variance() == pytest.approx(repeated.variance())


def test_a_weighted_share_rests_on_fewer_rows() -> None:
    success = np.arange(40) % 2 == 0
    even = proportion(success, 0.95, None, np.full(40, 1.7))
    assert even == proportion(success, 0.95, None)
    weight = np.where(np.arange(40) < 4, 10.0, 1.0)
    uneven = proportion(success, 0.95, None, weight)
    assert uneven.value == 0.5
    assert uneven.high - uneven.low > 1.5 * (even.high - even.low)
    everybody = np.ones(40, bool)  # Kish: 76^2 / 436 = 13.2 rows
    assert proportion(everybody, 0.95, None, weight).low == pytest.approx(
        wilson(76**2 / 436, 76**2 / 436, 0.95).low
    )


# --- The whole -----------------------------------------------------------------------------------


def a_diagnosis(n: int = 240, seed: int = 0, classes: int = 2) -> ClassPredictions:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    score = rng.normal(size=(n, classes)) + 1.0 * np.eye(classes)[label]
    synthesised = rng.random(n) < 0.3
    score[synthesised] *= 0.4
    probability = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    label[rng.random(n) < 0.1] = UNKNOWN
    return ClassPredictions(
        patient=np.array([f"P{i}" for i in range(n)]),
        label=label,
        probability=probability,
        fold=np.arange(n) % 5,
        synthesised=synthesised,
        threshold=np.full(n, 0.5) if classes == 2 else None,
    )


def test_a_patient_followed_too_short_is_censored_not_stable():
    time, event = np.array([20.0, 20.0, 36.0, 36.0, 50.0, 50.0]), np.array([1, 0, 1, 0, 1, 0], bool)
    assert conversion_label(time, event, 36).tolist() == [1, UNKNOWN, 1, 0, 0, 0]


def test_evaluation_of_two_classes():
    rows = a_diagnosis()
    found = evaluate_diagnosis(rows)
    known = rows.known()
    assert found["rows"] == 240 and found["n"] == len(known) == 240 - found["unknown_labels"]
    assert found["classes"] == np.bincount(known.label).tolist()
    by_hand = auroc_influence(known.probability[:, 1], known.label == 1, fold=known.fold)
    assert found["auroc"] == refitting_interval(by_hand, 0.95).as_json()
    assert found["at_threshold"]["f1"]["value"] == pytest.approx(
        f1_score(known.label, known.probability[:, 1] >= 0.5)
    )
    parts = found["by_pet"]
    assert parts["observed"]["n"] + parts["synthesised"]["n"] == found["n"]
    difference = parts["auroc_observed_minus_synthesised"]
    assert difference["value"] == pytest.approx(
        parts["observed"]["auroc"]["value"] - parts["synthesised"]["auroc"]["value"]
    )
    json.dumps(found, allow_nan=False)


def test_difference_of_independent_aurocs_adds_the_variances():
    first, second = scored(80, 1), scored(90, 2)
    a, b = auroc_influence(*first), auroc_influence(*second)
    found = a.minus_of_others(b)
    assert found.value == a.value - b.value and found.rarer == min(a.rarer, b.rarer)
    assert found.variance() == pytest.approx(a.variance() + b.variance())


def test_unknown_labels_change_no_score():
    rows = a_diagnosis()
    only = rows.known()
    first, second = evaluate_diagnosis(rows), evaluate_diagnosis(only)
    for name in set(first) - {"rows", "patients", "unknown_labels"}:
        assert first[name] == second[name], name


def test_evaluation_does_not_depend_on_the_order_of_rows():
    rows = a_diagnosis()
    order = np.random.default_rng(1).permutation(len(rows))
    first, second = evaluate_diagnosis(rows), evaluate_diagnosis(rows.rows(order))
    for name in ("auroc", "brier", "calibration_slope"):
        assert first[name] == pytest.approx(second[name], abs=1e-10)


def test_repeated_visits_are_clustered_everywhere():
    rows = a_diagnosis(120)
    tiled = rows.rows(np.tile(np.arange(120), 3))
    once, thrice = evaluate_diagnosis(rows), evaluate_diagnosis(tiled)
    assert thrice["rows"] == 360 and thrice["patients"] == 120
    for name in ("auroc", "brier"):
        assert thrice[name] == pytest.approx(once[name], abs=1e-10)
    for name in ("sensitivity", "specificity"):
        first, second = once["at_threshold"][name], thrice["at_threshold"][name]
        assert second["high"] - second["low"] == pytest.approx(
            first["high"] - first["low"], rel=0.03
        )


def test_evaluation_of_three_classes():
    rows = a_diagnosis(classes=3)
    found, known = evaluate_diagnosis(rows), rows.known()
    chosen = known.probability.argmax(axis=1)
    assert found["balanced_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(known.label, chosen)
    )
    assert len(found["auroc_of_class"]) == 3
    assert 0.6 < found["macro_auroc"]["low"] < found["macro_auroc"]["high"] < 0.9
    json.dumps(found, allow_nan=False)


def test_a_part_with_one_class_has_reasons_and_no_error():
    rows = a_diagnosis()
    few = rows.rows((rows.label == 1) | ((rows.label == 0) & ~rows.synthesised))
    found = evaluate_diagnosis(few)["by_pet"]
    assert found["synthesised"]["auroc"]["value"] is None
    assert "two of each" in found["auroc_observed_minus_synthesised"]["reason"]


def test_a_control_gets_the_corrected_t_over_its_folds():
    """Folds weigh by their pairs; 240 patients in 5 folds, so that 1/4 is added to the variance."""
    rows = a_diagnosis()
    values, pairs = [], []
    for fold in range(5):
        part = rows.rows(rows.fold == fold).known()
        case = part.label == 1
        values.append(roc_auc_score(case, part.probability[:, 1]))
        pairs.append(case.sum() * (~case).sum())
    w = np.array(pairs) / np.sum(pairs)
    mean = w @ values
    variance = w @ (values - mean) ** 2 / (1 - w @ w)
    margin = student.ppf(0.975, 4) * np.sqrt((w @ w + 1 / 4) * variance)
    found = auroc_by_folds(rows, 0.95)
    assert (found.value, found.low) == pytest.approx((mean, mean - margin))
    assert found.high == pytest.approx(min(mean + margin, 1))
    one_class = rows.rows(rows.label != 1)
    assert auroc_by_folds(one_class, 0.95).value is None


def test_comparison_is_paired_and_of_the_same_rows():
    model = a_diagnosis()
    noise = np.random.default_rng(3).normal(size=len(model))
    blurred = 1 / (1 + np.exp(-(np.log(model.probability[:, 1] / model.probability[:, 0]) + noise)))
    reference = replace(model, probability=np.column_stack([1 - blurred, blurred]))
    found = compare_diagnoses(model, reference)
    known, other = model.known(), reference.known()
    ours, theirs = (
        auroc_influence(rows.probability[:, 1], known.label == 1, fold=known.fold)
        for rows in (known, other)
    )
    paired = refitting_interval_of_difference(ours.minus(theirs), 0.95).as_json()
    assert found["auroc"] == {**paired, "few": False} and found["n"] == len(known)
    assert found["brier"]["value"] == pytest.approx(
        evaluate_diagnosis(model)["brier"]["value"]
        - evaluate_diagnosis(reference)["brier"]["value"]
    )
    with pytest.raises(UserInputError, match="patient differs"):
        compare_diagnoses(model, reference.rows(np.arange(len(model))[::-1]))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("probability", [[np.nan, 0.5], [0.5, 0.5]], "row 0"),
        ("probability", [[0.5, 0.5], [0.9, 0.5]], "row 1"),
        ("probability", [[1.0], [1.0]], "2 or more"),
        ("label", [0, 2], "label 2"),
        ("fold", [0], "fold has 1 rows"),
    ],
)
def test_wrong_predictions_are_refused(column, value, words):
    columns = {
        "patient": np.array(["a", "b"]),
        "label": np.array([0, 1]),
        "probability": np.full((2, 2), 0.5),
        "fold": np.zeros(2, int),
        "synthesised": np.zeros(2, bool),
    }
    with pytest.raises(UserInputError, match=words):
        ClassPredictions(**{**columns, column: np.array(value)})
