"""Discrimination and prediction error: published values, other libraries, counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.utils import concordance_index
from sksurv.datasets import load_whas500
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    cumulative_dynamic_auc,
    integrated_brier_score,
)

from evaluation_fixture import load_reference, simulate
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.core.errors import UserInputError
from survfuse.statistics.metrics import (
    UNO,
    HorizonError,
    NoComparablePairsError,
    NotEstimableError,
    brier_terms,
    case_control_pairs,
    censoring_weights,
    comparable_pairs,
    harrell_c,
    integrate,
    structured,
    uno_c,
)

REFERENCE = load_reference()
TRAIN, TEST = REFERENCE.outcome[REFERENCE.train], REFERENCE.outcome[REFERENCE.test]
DAYS = [365.25, 730.5, 1095.75, 1461.0, 1826.25]
GRID = np.linspace(30, 1826, 60)
AUC = [
    0.733502179953115,
    0.7339292849600825,
    0.728018927648052,
    0.7082164928824338,
    0.7232900649857809,
]
BRIER = [
    0.0772927897478246,
    0.1594840727462814,
    0.19339618029712882,
    0.21339911960678842,
    0.23368791946497675,
]

# Eight patients, no tied times; risk falls with time but for c and f.
#   patient  a b c d e f g h
#   time     1 2 3 4 5 6 7 8
#   event    1 0 1 1 0 1 0 1      (h is the last: its event beats nobody)
#   risk     8 7 2 5 4 4 3 1
# Pairs: a beats 7, c beats 5 (d to h), d beats 4 (e to h), f beats 2 (g, h): 18 in all.
# a wins 7; c wins only against h (1 of 5); d wins 4; f wins 2: 14 of 18.
EIGHT = SurvivalOutcome(np.arange(1, 9), np.array([1, 0, 1, 1, 0, 1, 0, 1]))
EIGHT_RISK = np.array([8.0, 7, 2, 5, 4, 4, 3, 1])


def random_tied(rng: np.random.Generator) -> tuple[SurvivalOutcome, np.ndarray]:
    n = int(rng.integers(5, 40))
    outcome = SurvivalOutcome(rng.integers(1, 15, n), rng.random(n) < 0.6)
    return outcome, rng.integers(0, 8, n).astype(float)


def brute_force(outcome: SurvivalOutcome, risk: np.ndarray) -> tuple[float, int]:
    """Harrell's C by its definition, pair after pair."""
    wins = pairs = 0.0
    for i in range(len(outcome)):
        for j in range(len(outcome)):
            ends_later = outcome.time[i] < outcome.time[j]
            tied_censoring = outcome.time[i] == outcome.time[j] and not outcome.event[j]
            if outcome.event[i] and (ends_later or tied_censoring):
                pairs += 1
                wins += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    return (wins / pairs if pairs else np.nan), int(pairs)


def test_harrell_counted_by_hand() -> None:
    counted = harrell_c(EIGHT, EIGHT_RISK)
    assert counted.pairs == 18
    assert counted.value == pytest.approx(14 / 18, abs=1e-15)


def test_harrell_tied_times_and_risks_counted_by_hand() -> None:
    # Two events at time 2 are no pair; either beats the censoring at 2 and the patient at 3.
    outcome = SurvivalOutcome(np.array([2, 2, 2, 3]), np.array([1, 1, 0, 0]))
    counted = harrell_c(outcome, np.array([1.0, 0.0, 0.0, 0.5]))
    assert counted.pairs == 4
    assert counted.value == pytest.approx((1 + 1 + 0.5 + 0) / 4, abs=1e-15)


def test_harrell_published_values() -> None:
    score = harrell_c(REFERENCE.outcome, REFERENCE.score)
    assert score.value == pytest.approx(0.6767464229890585, abs=1e-12)
    assert score.pairs == 89930 + 42890 + 252
    nodes = harrell_c(REFERENCE.outcome, REFERENCE.nodes)
    assert nodes.value == pytest.approx(0.6452446795719611, abs=1e-12)
    assert nodes.pairs == 78870 + 40214 + 13988
    covariates, outcome = load_whas500()
    heart = SurvivalOutcome(outcome["lenfol"], outcome["fstat"])
    age = harrell_c(heart, covariates["age"].to_numpy(float))
    assert age.value == pytest.approx(0.7312339485555364, abs=1e-12)
    assert age.pairs == 54226 + 19472 + 1451


def test_rounding_errors_are_ties() -> None:
    """As floats, the predictor has 171 tied pairs; in exact arithmetic it has 252."""
    exact = harrell_c(REFERENCE.outcome, REFERENCE.score).value
    assert harrell_c(REFERENCE.outcome, REFERENCE.lp).value == pytest.approx(exact, abs=1e-12)
    assert abs(concordance_index(*lifelines_order(REFERENCE.lp)) - exact) > 1e-6


def lifelines_order(risk: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """lifelines wants a score that is higher for longer survival."""
    return REFERENCE.outcome.time, -risk, REFERENCE.outcome.event


def test_harrell_rossi_prior_convictions() -> None:
    from lifelines.datasets import load_rossi

    rossi = load_rossi()
    scored = harrell_c(
        SurvivalOutcome(rossi["week"], rossi["arrest"]), rossi["prio"].to_numpy(float)
    )
    assert scored.value == pytest.approx(0.5879362171809684, abs=1e-12)
    assert scored.pairs == 22075 + 14586 + 5921


def test_harrell_equals_lifelines_and_scikit_survival_on_tied_data() -> None:
    """The first wants higher = longer, the second higher = earlier, as we do."""
    rng = np.random.default_rng(0)
    scored = 0
    for _ in range(1000):
        outcome, risk = random_tied(rng)
        try:
            ours = harrell_c(outcome, risk)
        except NoComparablePairsError:
            assert brute_force(outcome, risk)[1] == 0
            continue
        theirs = concordance_index_censored(outcome.event, outcome.time, risk)
        assert ours.pairs == sum(theirs[1:4])
        assert ours.value == pytest.approx(theirs[0], abs=1e-12)
        other = concordance_index(outcome.time, -risk, outcome.event)
        assert ours.value == pytest.approx(other, abs=1e-12)
        scored += 1
    assert scored > 900


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.booleans(), st.integers(-4, 4)), min_size=1, max_size=12
    )
)
def test_harrell_by_definition(patients: list[tuple[int, bool, int]]) -> None:
    time, event, risk = (np.array(column) for column in zip(*patients, strict=True))
    outcome = SurvivalOutcome(time, event)
    expected, pairs = brute_force(outcome, risk)
    if not pairs:
        with pytest.raises(NoComparablePairsError, match="no comparable pairs"):
            harrell_c(outcome, risk)
        return
    assert harrell_c(outcome, risk).value == pytest.approx(expected, abs=1e-12)
    assert harrell_c(outcome, -risk).value == pytest.approx(1 - expected, abs=1e-12)
    assert harrell_c(outcome, np.exp(risk)).value == pytest.approx(expected, abs=1e-12)
    assert comparable_pairs(outcome) == pairs


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale_of_the_risk_is_irrelevant(scale: float) -> None:
    """scikit-survival alone would call risks tied that differ by less than 1e-8."""
    risk = REFERENCE.lp
    scaled = risk * scale
    assert harrell_c(TEST, scaled[REFERENCE.test]).value == pytest.approx(
        harrell_c(TEST, risk[REFERENCE.test]).value, abs=1e-12
    )
    assert uno_c(TRAIN, TEST, scaled[REFERENCE.test], 1825).value == pytest.approx(
        uno_c(TRAIN, TEST, risk[REFERENCE.test], 1825).value, abs=1e-12
    )
    naive = concordance_index_censored(TEST.event, TEST.time, risk[REFERENCE.test] * 1e-8)[0]
    assert abs(naive - harrell_c(TEST, risk[REFERENCE.test]).value) > 1e-3


def test_constant_risk_is_a_coin() -> None:
    constant = np.zeros(len(TEST))
    assert harrell_c(TEST, constant).value == 0.5
    assert uno_c(TRAIN, TEST, constant, 1825).value == pytest.approx(0.5, abs=1e-12)
    weight = censoring_weights(TRAIN, TEST, 730.5)
    wins, pairs = case_control_pairs(TEST, constant, weight, 730.5).sums(np.ones((1, len(TEST))))
    assert wins[0] / pairs[0] == pytest.approx(0.5, abs=1e-12)


def test_risk_unrelated_to_outcome_scores_a_half() -> None:
    rng = np.random.default_rng(1)
    scores = [harrell_c(simulate(100, seed)[0], rng.normal(size=100)).value for seed in range(40)]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("time", "event"),
    [
        ([5, 5], [1, 1]),  # scikit-survival returns NaN here
        ([5, 5, 5], [1, 1, 1]),
        ([1, 2, 3], [0, 0, 0]),
        ([1, 2, 3], [0, 0, 1]),
        ([4], [1]),
    ],
)
def test_nobody_to_compare(time: list[int], event: list[int]) -> None:
    outcome = SurvivalOutcome(np.array(time), np.array(event))
    with pytest.raises(NoComparablePairsError, match=rf"of {len(time)} patients have an event"):
        harrell_c(outcome, np.arange(len(time), dtype=float))
    with pytest.raises(NoComparablePairsError):
        uno_c(TRAIN, outcome, np.arange(len(time), dtype=float), 1825)


def test_one_event_is_enough() -> None:
    outcome = SurvivalOutcome(np.array([1, 2, 3]), np.array([1, 0, 0]))
    assert harrell_c(outcome, np.array([3.0, 1, 2])).value == 1
    assert harrell_c(outcome, np.array([1.5, 1, 2])).value == 0.5


def test_missing_risk_is_refused() -> None:
    with pytest.raises(UserInputError, match=r"risk 2 is missing"):
        harrell_c(EIGHT, np.array([1, 2, np.nan, 4, 5, 6, 7, 8]))
    with pytest.raises(UserInputError, match=r"risk 0 is missing"):
        uno_c(TRAIN, EIGHT, np.full(8, np.nan), 1825)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_risk_is_refused(value: float) -> None:
    risk = np.array([1, 2, 3, value, 5, 6, 7, 8])
    with pytest.raises(UserInputError, match=r"risk 3 is infinite \(-?inf\); a risk is a finite"):
        harrell_c(EIGHT, risk)
    with pytest.raises(UserInputError, match="risk 3 is infinite"):
        case_control_pairs(EIGHT, risk, np.ones(8), 5.0)


def test_uno_published_values() -> None:
    scored = uno_c(TRAIN, TEST, REFERENCE.lp[REFERENCE.test], 1825)
    assert scored.value == pytest.approx(0.6555723114778731, abs=1e-12)
    exact = uno_c(TRAIN, TEST, REFERENCE.score[REFERENCE.test], 1825)
    assert exact.value == pytest.approx(0.6555723114778731, abs=1e-12)
    covariates, outcome = load_whas500()
    heart = SurvivalOutcome(outcome["lenfol"], outcome["fstat"])
    age = uno_c(heart, heart, covariates["age"].to_numpy(float), 2000)
    assert age.value == pytest.approx(0.7253784282505383, abs=1e-12)


def test_uno_convention_is_named_and_is_not_the_left_limit() -> None:
    """R uses G(t-), which gives 0.725319510026754 on WHAS500."""
    covariates, outcome = load_whas500()
    heart = SurvivalOutcome(outcome["lenfol"], outcome["fstat"])
    age = uno_c(heart, heart, covariates["age"].to_numpy(float), 2000)
    assert abs(age.value - 0.725319510026754) > 1e-5
    assert "G(t)" in UNO and "scikit-survival" in UNO


def test_uno_ignores_events_from_tau_on() -> None:
    tau = 1000.0
    early = TEST.event & (TEST.time < tau)
    shuffled = REFERENCE.score[REFERENCE.test].copy()
    before = uno_c(TRAIN, TEST, shuffled, tau)
    # Moving all events after tau to censorings changes nothing that Uno's C looks at.
    later_censored = SurvivalOutcome(TEST.time, early)
    assert uno_c(TRAIN, later_censored, shuffled, tau).value == pytest.approx(
        before.value, abs=1e-12
    )
    assert before.pairs < comparable_pairs(TEST)


def test_uno_weights_use_the_training_part() -> None:
    heavy = SurvivalOutcome(TRAIN.time, TRAIN.event & (np.arange(len(TRAIN)) % 3 == 0))
    risk = REFERENCE.score[REFERENCE.test]
    assert abs(uno_c(heavy, TEST, risk, 1500).value - uno_c(TRAIN, TEST, risk, 1500).value) > 1e-4


@pytest.mark.parametrize(
    ("last", "horizon", "beyond"),
    [(36.0, 36.0, False), (36.0, 36.1, True), (36.0, 500.0, True), (36.0, 35.9, False)],
)
def test_horizon_beyond_training_follow_up(last: float, horizon: float, beyond: bool) -> None:
    train = SurvivalOutcome(np.array([5, 10, 20, last]), np.array([1, 0, 1, 0]))
    test = SurvivalOutcome(np.array([4, 8, 30, 60]), np.array([1, 1, 0, 0]))
    if not beyond:
        assert np.isfinite(censoring_weights(train, test, horizon)).all()
        assert 0 <= uno_c(train, test, np.arange(4.0), horizon).value <= 1
        return
    told = rf"{horizon:g} months lies beyond.*training part: 0 of 4 patients are at risk"
    with pytest.raises(HorizonError, match=told):
        censoring_weights(train, test, horizon)
    with pytest.raises(HorizonError, match=told):
        uno_c(train, test, np.arange(4.0), horizon)


def test_test_patients_may_outlive_the_training_part() -> None:
    """scikit-survival refuses such folds outright, though the horizon is supported."""
    train = SurvivalOutcome(np.array([5, 10, 20, 36]), np.array([1, 0, 1, 0]))
    test = SurvivalOutcome(np.array([4, 50, 60]), np.array([1, 1, 0]))
    # G falls to 2/3 at 10; patients beyond 30 weigh 1/G(30), the event at 4 weighs 1.
    assert censoring_weights(train, test, 30) == pytest.approx([1, 1.5, 1.5], abs=1e-12)


def test_censored_before_the_horizon_weighs_nothing() -> None:
    train = SurvivalOutcome(np.array([1, 2, 3, 4]), np.array([0, 1, 0, 1]))
    test = SurvivalOutcome(np.array([0.5, 2, 3]), np.array([0, 1, 0]))
    # G is 3/4 from 1 on; the patient at 3 is still followed at 2.5.
    assert censoring_weights(train, test, 2.5) == pytest.approx([0, 4 / 3, 4 / 3], abs=1e-12)


# Ten patients whose follow-up ends at 36 months; two leave before, at 12 and 24.
ENDING = SurvivalOutcome(
    np.array([6, 12, 18, 24, 30, 36, 36, 36, 36, 36.0]),
    np.array([1, 0, 1, 0, 1, 1, 0, 0, 0, 0]),
)


def test_weights_at_the_day_on_which_follow_up_ends_by_hand() -> None:
    """G(36-) = 8/9 * 6/7: of nine at risk after 12 one left, of seven after 24 one."""
    at_the_end = 1 / (8 / 9 * 6 / 7)
    expected = [1, 0, 9 / 8, 0, at_the_end, *[at_the_end] * 5]
    weights = censoring_weights(ENDING, ENDING, 36)
    assert weights == pytest.approx(expected, abs=1e-12)
    assert weights.sum() == pytest.approx(10, abs=0.1)
    # Cases are the four events up to 36 months, controls the four censored just then.
    pairs = case_control_pairs(ENDING, np.arange(10.0), weights, 36)
    assert pairs.cases.tolist() == [0, 2, 4, 5] and pairs.controls.tolist() == [6, 7, 8, 9]
    terms = brier_terms(ENDING, np.full(10, 0.5), weights, 36)
    assert terms == pytest.approx(weights / 4)
    certain = np.array([0, 0.5, 0, 0.5, 0, 0, 1, 1, 1, 1.0])
    assert brier_terms(ENDING, certain, weights, 36) == pytest.approx(np.zeros(10))
    assert uno_c(ENDING, ENDING, -ENDING.time, 36).value == 1


def test_the_few_who_are_followed_on_do_not_stand_for_all() -> None:
    """One of eleven is followed to 37: the others who reach 36 stay controls."""
    longer = SurvivalOutcome(np.r_[ENDING.time, 37], np.r_[ENDING.event, False])
    weights = censoring_weights(longer, longer, 36)
    assert (weights[6:] == weights[10]).all() and weights[10] < 1.5


def test_censored_at_a_horizon_within_follow_up_is_scikit_survivals() -> None:
    """At 12 months one is censored and eight go on: weights 1/G(12), 0 for who left just then."""
    weights = censoring_weights(ENDING, ENDING, 12)
    assert weights == pytest.approx([1, 0, *[9 / 8] * 8], abs=1e-12)
    pairs = case_control_pairs(ENDING, np.arange(10.0), weights, 12)
    assert 1 not in pairs.controls


def brier_matrix(
    train: SurvivalOutcome, test: SurvivalOutcome, survival: np.ndarray, times: list
) -> np.ndarray:
    return np.stack(
        [
            brier_terms(test, survival[:, k], censoring_weights(train, test, t), t)
            for k, t in enumerate(times)
        ],
        axis=-1,
    )


def test_brier_published_values() -> None:
    terms = brier_matrix(TRAIN, TEST, REFERENCE.survival(DAYS)[REFERENCE.test], DAYS)
    assert terms.mean(axis=0) == pytest.approx(BRIER, abs=1e-12)
    everyone = REFERENCE.outcome
    last = brier_matrix(everyone, everyone, REFERENCE.survival(DAYS), DAYS)[:, -1]
    assert last.mean() == pytest.approx(0.22590976018603026, abs=1e-12)


def test_integrated_brier_published_values_depend_on_the_grid() -> None:
    survival = REFERENCE.survival(DAYS)[REFERENCE.test]
    coarse = integrate(brier_matrix(TRAIN, TEST, survival, DAYS), DAYS).mean()
    assert coarse == pytest.approx(0.18044243181414985, abs=1e-12)
    survival = REFERENCE.survival(GRID)[REFERENCE.test]
    fine = integrate(brier_matrix(TRAIN, TEST, survival, GRID), GRID).mean()
    # The lowest grid times precede the first test time, which scikit-survival refuses.
    assert fine == pytest.approx(0.15287388499604349, abs=1e-12)
    with pytest.raises(NotEstimableError, match="at least two times"):
        integrate(np.zeros((4, 1)), [12.0])


@pytest.mark.parametrize("seed", range(5))
def test_brier_and_auc_equal_scikit_survival(seed: int) -> None:
    outcome, risk = simulate(160, seed)
    risk = risk.round(1)  # ties
    train, test = outcome[np.arange(100)], outcome[np.arange(100, 160)]
    inside = test.time < train.time.max()
    test, risk = test[inside], risk[100:][inside]
    times = [6.0, 12.0, 30.0]
    survival = np.exp(-np.array(times)[None, :] / 40 * np.exp(risk)[:, None])
    y_train, y_test = structured(train), structured(test)
    terms = brier_matrix(train, test, survival, times)
    expected = brier_score(y_train, y_test, survival, times)[1]
    assert terms.mean(axis=0) == pytest.approx(expected, abs=1e-12)
    assert integrate(terms, times).mean() == pytest.approx(
        integrated_brier_score(y_train, y_test, survival, times), abs=1e-12
    )
    expected = cumulative_dynamic_auc(y_train, y_test, risk, times)[0]
    assert auc_values(train, test, risk, times) == pytest.approx(expected, abs=1e-12)


def auc_values(
    train: SurvivalOutcome, test: SurvivalOutcome, risk: np.ndarray, times: list
) -> list[float]:
    values = []
    for months in times:
        weight = censoring_weights(train, test, months)
        wins, pairs = case_control_pairs(test, risk, weight, months).sums(np.ones((1, len(test))))
        values.append(wins[0] / pairs[0])
    return values


def test_auc_published_values() -> None:
    score = REFERENCE.score[REFERENCE.test]
    assert auc_values(TRAIN, TEST, score, DAYS) == pytest.approx(AUC, abs=1e-12)
    everyone = REFERENCE.outcome
    last = auc_values(everyone, everyone, REFERENCE.score, DAYS)[-1]
    assert last == pytest.approx(0.7115053582005976, abs=1e-12)


def test_multiplicities_equal_copies_of_patients() -> None:
    outcome, risk = simulate(60, 9)
    counts = np.random.default_rng(2).integers(0, 4, (1, 60)).astype(float)
    copied = np.repeat(np.arange(60), counts[0].astype(int))
    weight = censoring_weights(outcome, outcome, 20)
    resampled = case_control_pairs(outcome, risk, weight, 20).sums(counts)
    whole = case_control_pairs(outcome[copied], risk[copied], weight[copied], 20)
    expected = whole.sums(np.ones((1, len(copied))))
    assert resampled[0][0] == pytest.approx(expected[0][0], abs=1e-9)
    assert resampled[1][0] == pytest.approx(expected[1][0], abs=1e-9)
