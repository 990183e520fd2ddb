"""The simulated truth: hazards, survival, censoring and what each component is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index

from survfuse.core.errors import UserInputError
from survfuse.simulation.truth import COEFFICIENTS, Truth, attainable_c, draw_truth, harrell_c


@pytest.fixture(scope="module")
def many() -> Truth:
    return draw_truth(20_000, 7)


def test_survival_of_a_patient_computed_by_hand():
    zero = np.zeros(8)
    truth = replace(
        draw_truth(8, 0),
        morphology=zero + 1,
        programme=zero + 1,
        shared=zero + 0.5,
        age_years=zero + 74,
        stage=np.ones(8, np.int64),
    )
    # 0.9 + 0.85 - 0.8 / 2 + 0.6 + 0.35 * (74 - 64) / 10 + 0.5 * (1 - 1.37), where the mean stage
    # is 0.30 * 1 + 0.28 * 2 + 0.17 * 3 = 1.37
    assert truth.log_hazard() == pytest.approx(np.full(8, 2.115), abs=1e-12)
    # At 36 months, the scale, survival is exp(-hazard ratio); at 18 months (1/2)^1.2 of that.
    by_hand = [np.exp(-np.exp(2.115)), np.exp(-(0.5**1.2) * np.exp(2.115))]
    assert truth.survival([36, 18])[3] == pytest.approx(by_hand, rel=1e-12)
    assert truth.survival([0])[0, 0] == 1


def test_components_sum_to_the_log_hazard_which_is_centred(many):
    assert sum(many.components().values()) == pytest.approx(many.log_hazard())
    assert abs(many.log_hazard().mean()) < 0.05
    assert set(many.components()) == {
        "morphology",
        "programme",
        "shared",
        "interaction",
        "clinical",
    }


def test_true_survival_agrees_with_kaplan_meier(many):
    months = [6, 12, 24, 36, 60]
    observed = KaplanMeierFitter().fit(many.time_months, many.event).predict(months)
    assert many.survival(months).mean(axis=0) == pytest.approx(observed.to_numpy(), abs=0.012)


def test_censoring_and_median_are_realistic(many):
    assert 0.40 < 1 - many.event.mean() < 0.50
    median = KaplanMeierFitter().fit(many.time_months, many.event).median_survival_time_
    assert 23 < median < 30
    assert many.time_months.min() > 0
    # Both kinds of censoring occur: before the first patient could reach the end, and after.
    censored = many.time_months[~many.event]
    assert (censored < 18).mean() > 0.1
    assert censored.max() <= 70


def test_cox_regression_on_the_factors_recovers_the_coefficients(many):
    table = pd.DataFrame(
        {
            "morphology": many.morphology,
            "programme": many.programme,
            "shared": many.shared,
            "interaction": many.morphology * many.programme,
            "age_per_decade": many.age_years / 10,
            "stage_per_step": many.stage,
            "site": many.site,
            "time": many.time_months,
            "event": many.event,
        }
    )
    fitted = CoxPHFitter().fit(table, "time", "event").params_
    for name, coefficient in COEFFICIENTS.items():
        assert fitted[name] == pytest.approx(coefficient, abs=0.05), name
    assert fitted["site"] == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("patients", [80, 400])
def test_c_index_agrees_with_lifelines(patients):
    truth = draw_truth(patients, 1)
    by_lifelines = concordance_index(truth.time_months, -truth.log_hazard(), truth.event)
    assert attainable_c(truth)["oracle"] == pytest.approx(by_lifelines, abs=1e-12)
    by_site = concordance_index(truth.time_months, -truth.site, truth.event)
    assert attainable_c(truth)["site"] == pytest.approx(by_site, abs=1e-12)
    assert harrell_c(truth, -truth.log_hazard()) == pytest.approx(1 - by_lifelines, abs=1e-12)


def test_every_source_is_worth_something_and_together_they_are_worth_more(many):
    part = slice(0, 4000)
    few = replace(
        many,
        **{
            name: value[part] for name, value in vars(many).items() if isinstance(value, np.ndarray)
        },
    )
    c = attainable_c(few)
    assert 0.80 < c["oracle"] < 0.85
    assert 0.59 < c["clinical"] < 0.65
    assert c["site"] == pytest.approx(0.5, abs=0.02)
    assert min(c["morphology"], c["programme"], c["shared"], c["interaction"]) > 0.57
    assert c["slides+omics"] > max(c["slides"], c["omics"]) + 0.05
    assert c["oracle"] > c["slides+omics"] + 0.02


def test_counts_of_missing_modalities_at_80_patients():
    truth = draw_truth(80, 1)
    assert np.bincount(truth.n_slides).tolist() == [5, 65, 10]  # 6 % none, 12 % two
    assert (~truth.has_rna).sum() == 4
    assert truth.has_rna[truth.n_slides == 0].all()


def test_what_is_missing_says_nothing(many):
    for missing in (many.n_slides == 0, many.n_slides == 2, ~many.has_rna):
        assert abs(np.corrcoef(missing, many.log_hazard())[0, 1]) < 0.03
        assert abs(np.corrcoef(missing, many.event)[0, 1]) < 0.03


def test_same_seed_same_patients():
    first, again, other = draw_truth(50, 3), draw_truth(50, 3), draw_truth(50, 4)
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(again, name)), name
    assert not np.array_equal(first.time_months, other.time_months)
    assert len(set(first.patient_id)) == 50


def test_shares_of_the_tissue_rise_with_their_factor_only(many):
    high_grade, infiltrate = many.high_grade_share(), many.infiltrate_share()
    assert 0.04 <= high_grade.min() < 0.05 and 0.75 < high_grade.max() <= 0.76
    assert 0.02 <= infiltrate.min() < 0.03 and 0.41 < infiltrate.max() <= 0.42
    assert (np.diff(high_grade[np.argsort(many.morphology)]) >= 0).all()
    assert (np.diff(infiltrate[np.argsort(many.shared)]) >= 0).all()


@pytest.mark.parametrize(
    ("patients", "seed", "words"),
    [(7, 1, "7 patients"), (20, -1, "the seed of a simulation is -1")],
)
def test_impossible_requests_are_refused(patients, seed, words):
    with pytest.raises(UserInputError, match=words):
        draw_truth(patients, seed)
