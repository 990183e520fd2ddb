"""Clinics: the interval of the risk on a patient page, with and without a PET.

Ten measurements stand for what everybody has, ten for the PET, which is missing at random in three
of ten patients and then set to its mean. The truth is the mean true risk of fresh patients to whom
the same models, shown everything, give the same estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from coverage_clinic import (
    CONFIDENCE,
    HORIZON,
    READ,
    STRENGTH,
    Setting,
    deal,
    draw,
    ridge,
    risk,
    worst,
)
from coverage_figure import Figure, over_cohorts
from coverage_risk import truth_at
from scipy.special import expit

from survfuse.artifacts.study import Fold, Study
from survfuse.evaluation.absolute_risk import Inputs, absolute_risks
from survfuse.statistics.censoring import known_weights
from survfuse.statistics.recalibration import fold_means, log_cumulative_hazard

FRESH = 10_000
LACKING = 0.3
READS = ("clinical", "pet")
SETTINGS = (Setting(120, 3, 1, 60.0), Setting(300, 5, 1, 60.0), Setting(120, 5, 5))


@dataclass(frozen=True)
class Held:
    """Shares of patients whose interval holds the average of such patients, and their own risk."""

    every: float
    lacking: float
    own: float
    wider: bool  # the mean interval of who lacks a PET, than if nothing were missing


def interval_holds(setting: Setting, seed: int) -> Held:
    """Draw a clinic, cross-validate, recalibrate, and look up the truth in fresh patients."""
    rng = np.random.default_rng([seed, 3, *map(ord, str(setting))])
    cohort = draw(setting, rng)
    n = setting.patients
    fresh = rng.normal(size=(FRESH, 2 * READ))
    fresh_risk = risk(STRENGTH * fresh.sum(axis=1) / np.sqrt(2 * READ))
    has_pet = rng.random(n) >= LACKING
    without = cohort.x * (np.arange(2 * READ) < READ)
    as_is = np.where(has_pet[:, None], cohort.x, without)
    predicted, complete, withheld = np.full((3, setting.repeats, n), np.nan)
    others = np.empty((setting.repeats, setting.folds, FRESH))
    folds = []
    for repeat in range(setting.repeats):
        division = deal(cohort.label, setting.folds, rng)
        for number in range(setting.folds):
            train, test = np.flatnonzero(division != number), np.flatnonzero(division == number)
            folds.append(Fold(repeat, number, train, test))
            weight = np.nan_to_num(known_weights(cohort.outcome[train], HORIZON))
            case = (cohort.label[train] == 1).astype(float)
            beta = ridge(as_is[train], case[None], weight[None])[0]
            for found, x in ((predicted, as_is), (complete, cohort.x), (withheld, without)):
                found[repeat, test] = expit(x[test] @ beta[:-1] + beta[-1])
            others[repeat, number] = expit(fresh @ beta[:-1] + beta[-1])
    withheld[:, ~has_pet] = np.nan
    study = Study(tuple(f"P{i}" for i in range(n)), cohort.outcome, tuple(folds))
    inputs = Inputs(READS, np.column_stack([np.ones(n, bool), has_pet]))
    shown = {frozenset({"clinical"}): 1 - withheld}
    found = absolute_risks(study, 1 - predicted, HORIZON, CONFIDENCE, inputs, shown)
    means = fold_means(study, log_cumulative_hazard(1 - predicted, n))
    eta = (log_cumulative_hazard(1 - complete, n) - means).mean(axis=0)
    at = log_cumulative_hazard(1 - others, n)
    truth, own = truth_at(study, eta, at, means, fresh_risk), risk(cohort.log_hazard)
    held, held_own = ((found.low <= one) & (one <= found.high) for one in (truth, own))
    width, alone = found.high - found.low, found.as_is_high - found.as_is_low
    lacks = ~has_pet
    return Held(
        float(held.mean()),
        float(held[lacks].mean()),
        float(held_own.mean()),
        bool(width[lacks].mean() > alone[lacks].mean()),
    )


def figures(cohorts: int, jobs: int) -> list[Figure]:
    """Coverage of the risk on clinics' patient pages: of all patients, and of those without PET."""
    found = {
        setting: over_cohorts(partial(interval_holds, setting), cohorts, jobs)
        for setting in SETTINGS
    }
    told = "95 % intervals that hold the average risk of patients with such an estimate"
    every = {setting: [one.every for one in held] for setting, held in found.items()}
    lacking = {setting: [one.lacking for one in held] for setting, held in found.items()}
    return [
        worst("clinic_risk_interval_coverage", every, lambda v: -v, (0.9, 1.0), told),
        worst("clinic_risk_interval_coverage_lacking", lacking, lambda v: -v, (0.9, 1.0),
              f"{told}, of patients without PET"),
    ]  # fmt: skip
