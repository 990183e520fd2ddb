"""Modality masking: who loses what, and that absence is then independent of the outcome."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from survfuse.tasks.diagnosis.learning.missingness import class_strata
from survfuse.tasks.survival.learning.missingness import STRATA, association, strata, strata_of
from survfuse.training.modality_masking import (
    POLICIES,
    ModalityMasking,
    fit_masking,
    mask_modalities,
    probability_of_keeping,
)

MODALITIES = ("slides", "omics")


def fitted(
    available: np.ndarray, stratum: np.ndarray, policy: str = "equalise", dropout: float = 0.0
) -> ModalityMasking:
    """Masking for patients of given strata: events at 1 and 9 months (tau 5), censored at 2."""
    stratum = np.asarray(stratum)
    time = np.choose(stratum, [1.0, 9.0, 2.0])
    names = tuple(f"m{column}" for column in range(available.shape[1]))
    everyone = np.ones(len(stratum), dtype=bool)
    masking = fit_masking(
        policy, dropout, available, strata_of(time, stratum < 2, everyone), everyone, names
    )
    assert masking.tau_months > 1, "else nobody has an event before it"
    return masking


def kept(masking: ModalityMasking, draws: int, seed: int = 0) -> np.ndarray:
    """What is left of the modalities, (draws, n, M) bool."""
    rng = np.random.default_rng(seed)
    return np.stack([masking.available & ~masking.draw(rng) for _ in range(draws)])


# Strata, rates, probabilities


def test_strata() -> None:
    """Before tau with an event, at or after tau whatever happened, before tau without one."""
    time, event = np.array([4.9, 5.0, 5.0, 9.0, 4.9]), np.array([1, 1, 0, 0, 0], dtype=bool)
    assert strata(time, event, 5.0).tolist() == [0, 1, 1, 1, 2]


def test_rates_and_probabilities_by_hand() -> None:
    """Of 4 + 4 + 2 patients 3, 1 and 1 lack m1; the prior adds two patients who lack it by half."""
    stratum = np.repeat([0, 1, 2], [4, 4, 2])
    available = np.ones((10, 2), dtype=bool)
    available[[0, 1, 2, 4, 8], 1] = False
    masking = fitted(available, stratum)
    rates = np.array([(3 + 1) / 6, (1 + 1) / 6, (1 + 1) / 4])
    np.testing.assert_allclose(masking.rates[:, 1], rates)
    assert masking.worst.tolist() == [0.0, pytest.approx(2 / 3)]
    assert not masking.probability[:, 0].any(), "nobody lacks m0, so nobody loses it"
    expected = np.where(available[:, 1], 1 - (1 / 3) / (1 - rates[stratum]), 0)
    np.testing.assert_allclose(masking.probability[:, 1], expected, atol=1e-15)


def test_only_fitted_patients_count() -> None:
    """Neither availability nor outcome of the others moves the rates or tau."""
    rng = np.random.default_rng(0)
    time, event = rng.exponential(20, 80), rng.random(80) < 0.6
    available = rng.random((80, 2)) < 0.7
    training = np.arange(80) < 60
    first = fit_masking(
        "equalise", 0.1, available, strata_of(time, event, training), training, MODALITIES
    )
    available[60:], time[60:], event[60:] = False, 1000.0, True
    second = fit_masking(
        "equalise", 0.1, available, strata_of(time, event, training), training, MODALITIES
    )
    assert first.to_json() == second.to_json()
    np.testing.assert_array_equal(first.probability[:60], second.probability[:60])


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_is_equalised_where_nothing_is_missing(policy: str) -> None:
    """Not even with strata of one patient."""
    masking = fitted(np.ones((9, 3), dtype=bool), [0, 1, 2, 1, 1, 1, 1, 1, 1], policy, 0.0)
    assert not masking.draw(np.random.default_rng(0)).any() and not masking.warnings


def test_use_hides_nothing() -> None:
    available = np.random.default_rng(0).random((50, 2)) < 0.5
    masking = fitted(available, np.arange(50) % 3, "use", dropout=0.9)
    assert not masking.draw(np.random.default_rng(0)).any()


def test_ignore_hides_at_one_rate_and_keeps_the_association() -> None:
    """Complete patients lose each of three modalities at the rate, but for the one they keep."""
    stratum = np.repeat([0, 1], [2000, 2000])
    available = np.ones((4000, 3), dtype=bool)
    available[:1000, 2] = False
    masking = fitted(available, stratum, "ignore", dropout=0.3)
    left = kept(masking, 5)
    full = 1 - 0.3 + 0.3**3 / 3
    error = 3 * np.sqrt(full * (1 - full) / (3000 * 5))
    np.testing.assert_allclose(left[:, 1000:].mean(axis=(0, 1)), full, atol=error)
    pair = 1 - 0.3 + 0.3**2 / 2
    np.testing.assert_allclose(left[:, :1000, :2].mean(), pair, atol=0.02)
    assert left[:, 2000:, 2].mean() - left[:, :2000, 2].mean() > 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": "drop"}, "no policy 'drop'"),
        ({"dropout": 1.0}, "not a rate below 1"),
        ({"dropout": -0.1}, "not a rate below 1"),
        ({"strata": strata_of(np.ones(3), np.ones(3) > 0, np.ones(3) > 0)}, "does not fit"),
        ({"modalities": ("slides",)}, "does not fit"),
        ({"fitted": np.zeros(4, dtype=bool)}, "no patient to fit"),
    ],
)
def test_refusals(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "policy": "equalise",
        "dropout": 0.1,
        "available": np.ones((4, 2), dtype=bool),
        "strata": strata_of(np.arange(4.0), np.ones(4) > 0, np.ones(4) > 0),
        "fitted": np.ones(4, dtype=bool),
        "modalities": MODALITIES,
    }
    with pytest.raises(ValueError, match=message):
        fit_masking(**{**arguments, **change})  # type: ignore[arg-type]


# The draw


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    m=st.integers(1, 4),
    rate=st.floats(0, 1),
    policy=st.sampled_from(POLICIES),
    dropout=st.floats(0, 0.99),
    seed=st.integers(0, 10_000),
)
def test_never_the_last_modality(
    n: int, m: int, rate: float, policy: str, dropout: float, seed: int
) -> None:
    """Only what is there is hidden, one thing always stays, and the same seed hides the same."""
    rng = np.random.default_rng(seed)
    available = rng.random((n, m)) >= rate
    time, event, training = rng.exponential(9, n), rng.random(n) < 0.5, rng.random(n) < 0.8
    training[0] = True
    names = tuple("abcd"[:m])
    masking = fit_masking(
        policy, dropout, available, strata_of(time, event, training), training, names
    )
    assert ((masking.probability >= 0) & (masking.probability <= 1)).all()
    for draw in range(3):
        hidden = masking.draw(np.random.default_rng(draw))
        assert hidden.shape == available.shape and not (hidden & ~available).any()
        left = available & ~hidden
        np.testing.assert_array_equal(left.any(axis=1), available.any(axis=1))
        np.testing.assert_array_equal(hidden, masking.draw(np.random.default_rng(draw)))
    json.dumps(masking.to_json(), allow_nan=False)


def test_policies_use_up_the_same_random_numbers() -> None:
    """So that the batches that follow are the same, whatever the policy."""
    available = np.random.default_rng(0).random((50, 2)) < 0.7
    after = set()
    for policy in POLICIES:
        rng = np.random.default_rng(5)
        fitted(available, np.arange(50) % 3, policy, 0.3).draw(rng)
        after.add(rng.random())
    assert len(after) == 1


def test_the_one_that_stays_is_drawn_by_the_odds() -> None:
    """Two modalities with p = .9 and .5: both drawn with .45; odds 1/9 : 1 leave the second 9x."""
    probability = np.tile([0.9, 0.5], (40_000, 1))
    available = np.ones_like(probability, dtype=bool)
    left = ~mask_modalities(available, probability, np.random.default_rng(0))
    exact = [0.1 + 0.45 * 0.1, 0.5 + 0.45 * 0.9]
    np.testing.assert_allclose(probability_of_keeping(available, probability)[0], exact)
    np.testing.assert_allclose(left.mean(axis=0), exact, atol=3 * 0.5 / np.sqrt(40_000))
    np.testing.assert_allclose(left.all(axis=1).mean(), 0.05, atol=0.004)


# Known truth: after masking, absence is independent of the outcome


def simulated_absence(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """6000 patients of three strata; m1 is missing in 80, 0 and 30 %, m2 in 10, 40 and 10 %."""
    rng = np.random.default_rng(seed)
    stratum = rng.choice(3, 6000, p=[0.3, 0.5, 0.2])
    missing = np.array([[0.0, 0.8, 0.1], [0.0, 0.0, 0.4], [0.0, 0.3, 0.1]])
    return rng.random((6000, 3)) >= missing[stratum], stratum


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_equalised_absence_is_independent_of_the_stratum(dropout: float) -> None:
    """Each modality, and dropout on top, within 3 standard errors of the other strata."""
    available, stratum = simulated_absence(1)
    masking = fitted(available, stratum, dropout=dropout)
    left = kept(masking, 1)[0]
    for column in (1, 2):
        rate = [left[stratum == s, column].mean() for s in range(3)]
        sizes = [(stratum == s).sum() for s in range(3)]
        for s in (0, 2):
            # The rates themselves are estimated from as many patients: twice the variance.
            error = np.sqrt(2 * 0.25 * (1 / sizes[s] + 1 / sizes[1]))
            assert abs(rate[s] - rate[1]) < 3 * error
        raw = [available[stratum == s, column].mean() for s in range(3)]
        assert np.ptp(raw) > 0.25, "the test would pass without masking anything"
    if dropout == 0:
        np.testing.assert_allclose(masking.kept[:, 1], 0.2, atol=0.03)
        np.testing.assert_allclose(left[:, 1].mean(), masking.kept[0, 1], atol=0.03)
    assert not masking.warnings


def test_dropout_leaves_patterns_independent_of_the_stratum() -> None:
    """m0 for all, m1 for 1 in 10 against 9 in 10: what is left, jointly, is the same for both.

    One step that hid at the joint rate would have to spare m0 more often in the second stratum.
    """
    stratum = np.repeat([0, 1], 1000)
    available = np.ones((2000, 2), dtype=bool)
    available[:900, 1] = available[1000:1100, 1] = False
    left = kept(fitted(available, stratum, dropout=0.6), 300)
    pattern = left @ np.array([1, 2])
    for code in (1, 2, 3):
        share = (pattern == code).mean(axis=0).reshape(2, 1000)
        error = 3 * np.sqrt((share.mean(axis=1) / (300 * 1000)).sum()) + 0.003  # prior of the rates
        assert abs(share[0].mean() - share[1].mean()) < error
    assert (pattern == 2).mean() > 0.02, "dropout must leave some with m1 alone"


def test_a_modality_that_only_others_have() -> None:
    """Everybody fitted on lacks m1: there is no rate to equalise, and who has it keeps it."""
    available = np.array([[True, False]] * 30 + [[False, True]])
    training = np.arange(31) < 30
    time, event = np.arange(31.0), np.ones(31, dtype=bool)
    masking = fit_masking(
        "equalise", 0.5, available, strata_of(time, event, training), training, MODALITIES
    )
    assert masking.worst.tolist() == [0, 1] and not masking.probability.any()
    assert not masking.draw(np.random.default_rng(0)).any(), "it is the only one that each has"
    assert "cannot support omics" in masking.warnings[0]


def test_expected_shares_are_those_of_many_draws() -> None:
    """Also where patients are left their last modality, which biases, and is then reported."""
    rng = np.random.default_rng(3)
    stratum = np.repeat([0, 1], 300)
    available = np.ones((600, 2), dtype=bool)
    lacks = rng.random(600) < 0.7
    available[np.arange(600)[lacks], np.where(stratum == 0, 1, 0)[lacks]] = False
    masking = fitted(available, stratum)
    left = kept(masking, 400)
    for s in (0, 1):
        mean = left[:, stratum == s].mean(axis=(0, 1))
        np.testing.assert_allclose(mean, masking.kept[s], atol=3 * 0.5 / np.sqrt(400 * 300))
    assert np.ptp(masking.kept[:2], axis=0).min() > 0.3
    assert (
        sum("remains associated with the outcome" in warning for warning in masking.warnings) == 2
    )


def test_a_modality_without_support_is_named() -> None:
    """97 of 100 patients with an early event lack it; in a tiny stratum that is reported too."""
    stratum = np.repeat([0, 1], 100)
    available = np.ones((200, 2), dtype=bool)
    available[:97, 1] = False
    (warning,) = fitted(available, stratum).warnings
    assert "cannot support m1" in warning and "event before 5.0 months have it" in warning
    assert "%" not in warning  # the rate is drawn towards that of all, and no share of patients
    assert fitted(available, stratum, "ignore").warnings == ()
    stratum[:100] = np.repeat([2, 0], [6, 94])
    available[6:97, 1] = True
    (warning,) = fitted(available, stratum).warnings
    assert (
        "76% of the training patients are left without m1" in warning and "fewer than 20" in warning
    )


def test_classes_are_called_by_their_names() -> None:
    label = np.array([0, 2, -1, 1])
    stratum, names, who = class_strata(label, ["CN", "MCI", "AD"])
    assert stratum.tolist() == [0, 2, 3, 1]
    assert names == ("class 0", "class 1", "class 2", "class unknown")
    assert who == ("of class CN", "of class MCI", "of class AD", "of unknown class")
    assert class_strata(label[:1], ["CN", "MCI", "AD"])[1:] == (
        ("class 0", "class unknown"), ("of class CN", "of unknown class")
    )  # fmt: skip


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def logistic(inputs: np.ndarray, label: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """Coefficients of ridge logistic regression, by Newton's method."""
    weights = np.zeros(inputs.shape[1])
    for _ in range(8):
        mean = sigmoid(inputs @ weights)
        hessian = (inputs * (mean * (1 - mean))[:, None]).T @ inputs
        gradient = inputs.T @ (mean - label) + ridge * weights
        weights -= np.linalg.solve(hessian + ridge * np.eye(len(weights)), gradient)
    return weights


def seen(values: list[np.ndarray], left: np.ndarray) -> np.ndarray:
    """Parallel fusion with learned stand-ins: zeros and an indicator where something is absent."""
    parts = [np.ones((len(left), 1))]
    for column, value in enumerate(values):
        parts += [value * left[:, [column]], ~left[:, [column]]]
    return np.hstack(parts)


@pytest.mark.parametrize(("early", "late", "censored"), [(0.8, 0.0, 0.0), (0.7, 0.1, 0.4)])
def test_a_model_no_longer_relies_on_who_was_sampled(
    early: float, late: float, censored: float
) -> None:
    """Three Gaussian modalities, the second missing by the true outcome; the pattern then flips.

    Gates: with the pattern flipped an equalised model is at most .03 below what it reaches with
    random absence, and with nothing missing at most .02 below a model trained without absence. A
    model trained on the data as they are fails both by far.
    """
    rng = np.random.default_rng(0)
    widths = (8, 16, 16)
    axes = [axis / np.linalg.norm(axis) for axis in (rng.normal(size=width) for width in widths)]

    def patients(n: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        values = [rng.normal(size=(n, width)) for width in widths]
        score = 1.39 * sum(value @ axis for value, axis in zip(values, axes, strict=True))
        time = np.exp(-score - rng.logistic(size=n))
        return values, time, time < 1

    def pattern(label: np.ndarray, first: float, second: float) -> np.ndarray:
        left = np.ones((len(label), 3), dtype=bool)
        left[:, 1] = rng.random(len(label)) >= np.where(label, first, second)
        return left

    values, time, truth = patients(2000)
    available = pattern(truth, early, late)
    event = rng.random(2000) >= censored
    observed = np.where(event, time, time * rng.random(2000))
    everyone = np.ones(2000, dtype=bool)
    names = ("a", "b", "c")

    tests, _, label = patients(4000)
    mean = (early + late) / 2
    patterns = {
        "none": pattern(label, 0, 0),
        "random": pattern(label, mean, mean),
        "flip": pattern(label, late, early),
    }

    def auroc(policy: str, have: np.ndarray) -> dict[str, float]:
        masking = fit_masking(
            policy, 0.2, have, strata_of(observed, event, everyone), everyone, names
        )
        stratum = strata(observed, event, masking.tau_months)
        known = stratum != 2
        drawn = [have & ~masking.draw(rng) for _ in range(6)]
        inputs = np.vstack([seen(values, left)[known] for left in drawn])
        weights = logistic(inputs, np.tile(stratum[known] == 0, 6).astype(float), ridge=6.0)
        return {
            name: roc_auc_score(label, seen(tests, left) @ weights)
            for name, left in patterns.items()
        }

    plain, equalised = auroc("use", available), auroc("equalise", available)
    oracle = auroc("ignore", np.ones((2000, 3), dtype=bool))
    assert equalised["flip"] >= equalised["random"] - 0.03
    assert equalised["none"] >= oracle["none"] - 0.02
    assert equalised["flip"] > auroc("ignore", available)["flip"] + 0.02
    assert plain["flip"] < plain["random"] - 0.1 and plain["flip"] < equalised["flip"] - 0.1


# What is reported


def test_association_by_hand() -> None:
    """tau is 4; of the early, 1 of 2 has slides, of those followed to tau 3 of 3; P5 is unknown."""
    time, event = np.array([1, 3, 5, 9, 9, 2.0]), np.array([1, 1, 1, 1, 0, 0], dtype=bool)
    available = np.array([[1, 1], [0, 1], [1, 1], [1, 1], [1, 1], [0, 1]], dtype=bool)
    found = association(available, time, event, MODALITIES)
    assert found["slides"]["auroc"] == pytest.approx(0.5 * (0.5 + 0.0))
    assert found["slides"]["tau_months"] == 4 and found["slides"]["n"] == 5
    assert found["omics"]["auroc"] is None and "all of the patients" in found["omics"]["reason"]
    nobody = association(available, time, np.zeros(6, dtype=bool), MODALITIES)
    assert nobody["slides"]["auroc"] is None and nobody["slides"]["reason"]


def test_association_falls_once_equalised() -> None:
    """AUROC and interval of what is drawn: away from a half before, around it afterwards."""
    available, stratum = simulated_absence(2)
    masking = fitted(available, stratum)
    assert masking.association["m1"]["high"] < 0.2
    left = kept(masking, 1)[0]
    after = fitted(left, stratum).association["m1"]
    assert after["low"] < 0.5 < after["high"]
    known = stratum != 2
    independent = roc_auc_score(stratum[known] == 0, available[known, 1])
    assert masking.association["m1"]["auroc"] == pytest.approx(independent)


def test_json_has_no_patients_and_no_infinity() -> None:
    """Without an event there are no strata to equalise, and dropout remains."""
    available = np.array([[True, False], [True, True], [False, True]])
    everyone = np.ones(3, dtype=bool)
    masking = fit_masking(
        *("equalise", 0.25, available),
        strata_of(np.ones(3), np.zeros(3, dtype=bool), everyone),
        *(everyone, MODALITIES),
    )
    assert not masking.probability.any()
    stored = json.loads(json.dumps(masking.to_json(), allow_nan=False))
    assert stored["policy"] == "equalise" and stored["dropout"] == 0.25
    assert stored["tau_months"] is None
    lacking = stored["missing_rate"]["slides"]
    assert list(lacking) == list(STRATA) and lacking["censored before tau"] == pytest.approx(1 / 3)
    assert stored["kept_rate"]["slides"] == {
        "event before tau": None,
        "followed to tau": None,
        "censored before tau": pytest.approx(2 / 3),
    }
    assert replace(masking, dropout=0.0).draw(np.random.default_rng(0)).sum() == 0
