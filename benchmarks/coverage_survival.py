"""Calibration slope and C-index of survival models, refitted in every fold of simulated cohorts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from coverage_figure import Figure, mean_figure, over_cohorts
from ridge_cox import RidgeCox, divide, draw_patients, fit

from survfuse.artifacts.study import Fold, SurvivalOutcome
from survfuse.statistics.calibration import calibration_slope, ended_at
from survfuse.statistics.comparison import average, score_folds
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import Concordance, harrell_c

CONFIDENCE = 0.95
HORIZON_MONTHS = 12.0
FRESH = 3000  # patients on whom the fold models' true slopes are measured
TRAININGS = 150  # of the models whose expected C is the truth of the C-index
FOLDS = 5


@dataclass(frozen=True)
class Setting:
    """A kind of cohort and a model for it."""

    name: str
    patients: int
    effects: tuple[float, ...]  # log hazard ratios of the first features
    features: int
    penalty: float
    repeats: int = 1


STRONG, MANY = (0.7, 0.5, 0.3), (0.25,) * 10
SLOPE_SETTINGS = (
    Setting("n = 100, right model", 100, STRONG, 3, 0.1),
    Setting("n = 100, overfit model", 100, MANY, 10, 0.1),
    Setting("n = 300, right model", 300, STRONG, 3, 0.1),
    Setting("n = 300, overfit model", 300, MANY, 20, 0.1),
)
# Two sets of ten features with equal signal, of which the model reads one.
C_SETTINGS = tuple(
    Setting(f"n = 300, {FOLDS} folds x {repeats}", 300, (0.25,) * 20, 20, 5.0, repeats)
    for repeats in (1, 5)
)
READ = 10


@dataclass(frozen=True)
class Slope:
    """An estimated slope less the mean true one of the same models, and whether it was covered."""

    error: float
    covered: float


def simulate_slope(setting: Setting, seed: int) -> Slope:
    """One cohort; NaN where the slope cannot be estimated."""
    rng = np.random.default_rng(seed)
    x, outcome = draw_patients(rng, setting.patients, np.array(setting.effects), setting.features)
    study = divide(rng, outcome, FOLDS, setting.repeats)
    fresh = draw_patients(rng, FRESH, np.array(setting.effects), setting.features)
    survival = np.empty((setting.repeats, setting.patients))
    truths = []
    for fold in study.folds:
        model = fit(x[fold.train], outcome[fold.train], setting.penalty)
        survival[fold.repeat, fold.test] = model.survival(x[fold.test], HORIZON_MONTHS)
        truths.append(slope_on(model, *fresh))
    try:
        found = calibration_slope(
            outcome, survival, HORIZON_MONTHS, CONFIDENCE, study.fold_numbers, study.test_share
        )
    except NotEstimableError:
        return Slope(np.nan, np.nan)
    assert found.value is not None and found.low is not None and found.high is not None
    truth = float(np.mean(truths))
    return Slope(found.value - truth, float(found.low <= truth <= found.high))


def slope_on(model: RidgeCox, features: np.ndarray, outcome: SurvivalOutcome) -> float:
    """The slope of one model on new patients."""
    survival = model.survival(features, HORIZON_MONTHS)
    value = calibration_slope(
        ended_at(outcome, HORIZON_MONTHS), survival, HORIZON_MONTHS, CONFIDENCE
    ).value
    assert value is not None
    return value


def simulate_c(setting: Setting, truth: float, seed: int) -> float:
    """Whether the interval of Harrell's C of one cohort covers the expected C."""
    rng = np.random.default_rng(seed)
    x, outcome = draw_patients(rng, setting.patients, np.array(setting.effects), setting.features)
    study = divide(rng, outcome, FOLDS, setting.repeats)

    def score(fold: Fold) -> Concordance:
        model = fit(x[fold.train, :READ], outcome[fold.train], setting.penalty)
        return harrell_c(outcome[fold.test], model.risk(x[fold.test, :READ]))

    found = average(score_folds(study, score), study.test_share, CONFIDENCE)
    assert found.low is not None and found.high is not None
    return float(found.low <= truth <= found.high)


def expected_c(setting: Setting, trainings: int = TRAININGS) -> float:
    """Mean C, on new patients, of models trained on as many patients as a fold has."""
    rng = np.random.default_rng(10**6)
    effects = np.array(setting.effects)
    size = setting.patients * (FOLDS - 1) // FOLDS
    found = []
    for _ in range(trainings):
        x, known = draw_patients(rng, size, effects, setting.features)
        model = fit(x[:, :READ], known, setting.penalty)
        fresh, outcome = draw_patients(rng, FRESH // 2, effects, setting.features)
        found.append(harrell_c(outcome, model.risk(fresh[:, :READ])).value)
    return float(np.mean(found))


def slope_figures(cohorts: int, jobs: int) -> list[Figure]:
    """The bias of the slope where it is largest, and the coverage where it is lowest."""
    biases, coverages = [], []
    for setting in SLOPE_SETTINGS:
        found = over_cohorts(partial(simulate_slope, setting), cohorts, jobs)
        bias = mean_figure(
            "slope_bias",
            [one.error for one in found],
            -0.05,
            0.05,
            f"calibration slope at {HORIZON_MONTHS:g} months less that of the same models on new "
            f"patients, worst setting: {setting.name}",
        )
        coverage = mean_figure(
            "slope_interval_coverage",
            [one.covered for one in found],
            0.90,
            1.0,
            f"interval of the calibration slope, lowest setting: {setting.name}",
        )
        print(
            f"  {setting.name}: bias {bias.value:+.3f} (MC error {bias.error:.3f}), coverage "
            f"{coverage.value:.3f}",
            flush=True,
        )
        biases.append(bias)
        coverages.append(coverage)
    return [
        max(biases, key=lambda one: abs(one.value)),
        min(coverages, key=lambda one: one.value),
    ]


def c_figures(cohorts: int, jobs: int) -> list[Figure]:
    """The coverage of the C-index's interval with five repeats, and with one.

    From the five values of a single repeat the interval errs on the safe side, and is wide.
    """
    truth = expected_c(C_SETTINGS[0])
    found = []
    limits = (("c_interval_coverage_one_repeat", 0.92, 1.0), ("c_interval_coverage", 0.92, 0.97))
    for setting, (name, low, high) in zip(C_SETTINGS, limits, strict=True):
        covered = over_cohorts(partial(simulate_c, setting, truth), cohorts, jobs)
        told = f"interval of Harrell's C, expected C {truth:.3f}; {setting.name}"
        found.append(mean_figure(name, covered, low, high, told))
    return found[::-1]


def figures(cohorts: int, jobs: int) -> list[Figure]:
    """All figures of this part."""
    return [*slope_figures(cohorts, jobs), *c_figures(cohorts, jobs)]
