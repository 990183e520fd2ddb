"""Do the intervals of absolute risks hold the risk that such patients truly have?

In every cohort ridge Cox models are fitted anew in every fold, and the package recalibrates their
out-of-fold predictions. The truth is the mean true risk of fresh patients with the same prediction
by the same fold models. Of patients who lack inputs it is that of the prediction which the models
would make with the inputs complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from coverage_figure import Figure, mean_figure, over_cohorts
from numpy.typing import NDArray
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from survfuse.artifacts.study import Fold, Study, SurvivalOutcome
from survfuse.evaluation.absolute_risk import Inputs, Risks, absolute_risks
from survfuse.simulation.course import survival as true_survival
from survfuse.simulation.truth import COURSE, draw_truth
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.recalibration import fold_means, log_cumulative_hazard
from survfuse.statistics.risk_groups import assign_groups, risk_groups

Array = NDArray[np.float64]

CONFIDENCE = 0.95
FRESH = 3000  # patients in whom the truth is looked up
NEAR = 0.15  # spreads of the prediction within which fresh patients count as having the same
RIDGE = 10.0
READS = ("slides", "omics", "clinical")


@dataclass(frozen=True)
class Patients:
    """Simulated patients: what models see, (n, p), and what is true, (n,)."""

    features: dict[str, Array]
    outcome: SurvivalOutcome
    true_risk: Array  # by the horizon


@dataclass(frozen=True)
class Setting:
    """A way to draw cohorts. `lacking`: the share of patients without each modality."""

    draw: Callable[[int, int], Patients]  # of a number of patients and a seed
    patients: int
    horizon_months: float
    repeats: int
    lacking: float
    told: str


def demo_patients(n: int, seed: int) -> Patients:
    """The demonstration's truth; slides and genes show their factors with noise."""
    truth = draw_truth(n, seed)
    rng = np.random.default_rng([seed, 1])

    def seen(factor: Array, noise: float) -> Array:
        return factor + noise * rng.standard_normal(n)

    slides = [seen(truth.morphology, 0.5), seen(truth.shared, 0.7)]
    genes = [seen(truth.programme, 0.5), seen(truth.shared, 0.5)]
    chance = rng.standard_normal((2, n, 6))
    features = {
        "slides": np.column_stack([*slides, chance[0]]),
        "omics": np.column_stack([*genes, chance[1]]),
        "clinical": np.column_stack([(truth.age_years - 64) / 10, truth.stage - 1.4]),
    }
    risk = 1 - true_survival(COURSE, truth.log_hazard(), [36.0])[:, 0]
    return Patients(features, SurvivalOutcome(truth.time_months, truth.event), risk)


def fading_patients(n: int, seed: int) -> Patients:
    """Hazards that are not proportional: what models see matters early, less so late; most are
    censored."""
    rng = np.random.default_rng([seed, 2])
    x = rng.standard_normal((n, 9))
    effect = 0.9 * x[:, 0] + 0.7 * x[:, 1] - 0.6 * x[:, 2] + 0.5 * x[:, 3] + 0.4 * x[:, 4]
    shape = np.clip(0.9 - 0.12 * effect, 0.45, 1.6)
    scale = 70 * np.exp(-0.9 * effect)
    time = scale * rng.exponential(size=n) ** (1 / shape)
    censored = np.minimum(rng.uniform(2, 60, n), rng.exponential(60, n))
    outcome = SurvivalOutcome(np.minimum(time, censored).clip(0.01), time <= censored)
    features = {"slides": x[:, :3], "omics": x[:, 3:7], "clinical": x[:, 7:]}
    return Patients(features, outcome, -np.expm1(-((24 / scale) ** shape)))


def scarce_patients(n: int, seed: int) -> Patients:
    """Few events, and hardly anything that foretells them."""
    rng = np.random.default_rng([seed, 3])
    x = rng.standard_normal((n, 12))
    log_hazard = 0.35 * x[:, 0] + 0.25 * x[:, 4]
    time = 190 * np.exp(-log_hazard) * rng.exponential(size=n)
    censored = rng.uniform(12, 80, n)
    outcome = SurvivalOutcome(np.minimum(time, censored).clip(0.01), time <= censored)
    features = {"slides": x[:, :4], "omics": x[:, 4:8], "clinical": x[:, 8:]}
    return Patients(features, outcome, -np.expm1(-36 * np.exp(log_hazard) / 190))


SETTINGS = {
    "demo": Setting(demo_patients, 80, 36, 1, 0.0, "the demonstration"),
    "demo_missing": Setting(demo_patients, 150, 36, 2, 0.2, "a fifth lacks slides, or genes"),
    "fading": Setting(fading_patients, 250, 24, 1, 0.2, "hazards not proportional, inputs missing"),
    "scarce": Setting(scarce_patients, 150, 36, 2, 0.2, "few events, weak models, inputs missing"),
}


@dataclass(frozen=True)
class Found:
    """Of one cohort, as shares of its patients; NaN where there are none."""

    covered: float  # the mean true risk of such patients lies in the interval
    lacking: float  # the same among those who lack inputs
    own: float  # a patient's own true risk lies in it
    groups: float  # risk groups: the interval of the observed risk holds the mean estimate


def fold_eta(fitted: CoxPHSurvivalAnalysis, x: Array, months: float) -> Array:
    """Survival at the horizon, (n,)."""
    hazard = fitted.cum_baseline_hazard_
    at = hazard.x[0] > months
    base = 0.0 if at else float(hazard(min(months, hazard.x[-1])))
    survival: Array = np.exp(-base * np.exp(fitted.predict(x)))
    return survival


def one_cohort(setting: Setting, seed: int) -> Found:
    """Draw a cohort, cross-validate, recalibrate, and look up the truth in fresh patients."""
    cohort, fresh = setting.draw(setting.patients, seed), setting.draw(FRESH, seed + 10**6)
    rng = np.random.default_rng([seed, 4])
    n = setting.patients
    has = rng.random((n, len(READS))) >= setting.lacking
    has[:, 2] = True
    study = Study(
        tuple(f"P{i}" for i in range(n)), cohort.outcome, random_folds(rng, n, 5, setting.repeats)
    )
    full = np.hstack(list(cohort.features.values()))
    part = np.repeat(np.arange(len(READS)), [cohort.features[name].shape[1] for name in READS])
    there = has[:, part]
    as_is, complete = np.empty((2, setting.repeats, n))
    sets = {frozenset(np.array(READS)[row].tolist()) for row in has}
    shown = {one: np.full((setting.repeats, n), np.nan) for one in sets if len(one) < len(READS)}
    newcomers = np.hstack(list(fresh.features.values()))
    others = np.empty((setting.repeats, 5, FRESH))
    for fold in study.folds:
        # Missing inputs are set to the mean of the training part.
        mean = np.nanmean(np.where(there, full, np.nan)[fold.train], axis=0)
        fitted = CoxPHSurvivalAnalysis(alpha=RIDGE, ties="breslow")
        train = cohort.outcome[fold.train]
        fitted.fit(
            np.where(there, full, mean)[fold.train], Surv.from_arrays(train.event, train.time)
        )
        predict = partial(fold_eta, fitted, months=setting.horizon_months)
        at = fold.repeat, fold.test
        as_is[at] = predict(np.where(there, full, mean)[fold.test])
        complete[at] = predict(full[fold.test])
        everything = fold.test[has[fold.test].all(axis=1)]
        for one, survival in shown.items():
            kept = np.isin(np.array(READS)[part], list(one))
            if len(everything):
                survival[fold.repeat, everything] = predict(np.where(kept, full[everything], mean))
        others[fold.repeat, fold.fold] = predict(newcomers)
    try:
        risks = absolute_risks(
            study, as_is, setting.horizon_months, CONFIDENCE, Inputs(READS, has), shown
        )
    except NotEstimableError:
        return Found(*[np.nan] * 4)
    means = fold_means(study, log_cumulative_hazard(as_is, n))
    eta = (log_cumulative_hazard(complete, n) - means).mean(axis=0)
    truth = truth_at(study, eta, log_cumulative_hazard(others, n), means, fresh.true_risk)
    covered = (risks.low <= truth) & (truth <= risks.high)
    lacks = ~has.all(axis=1)
    own = (risks.low <= cohort.true_risk) & (cohort.true_risk <= risks.high)
    return Found(
        float(covered.mean()),
        float(covered[lacks].mean()) if lacks.any() else np.nan,
        float(own.mean()),
        groups_right(cohort, risks, setting.horizon_months),
    )


def groups_right(cohort: Patients, risks: Risks, months: float) -> float:
    """The share of risk groups in which the interval of the observed risk holds the estimated."""
    if risks.fit.slope == 0:
        return np.nan
    assigned = assign_groups(risks.eta)
    groups = risk_groups(cohort.outcome, assigned, risks.risk, months, CONFIDENCE)
    known = [group for group in groups if group["observed"]["low"] is not None]
    held = [g["observed"]["low"] <= g["estimated"] <= g["observed"]["high"] for g in known]
    return float(np.mean(held)) if held else np.nan


def truth_at(study: Study, eta: Array, fresh: Array, means: Array, true_risk: Array) -> Array:
    """Mean true risk of fresh patients with each patient's prediction, (n,).

    `fresh` (repeats, folds, N): their log cumulative hazard by every fold's model, which is centred
    and averaged as the patient's own (`means` as from `fold_means`). A local linear mean, because
    few have exactly the same.
    """
    n = len(eta)
    tested = np.empty((study.n_repeats, n), int)
    for fold in study.folds:
        tested[fold.repeat, fold.test] = fold.fold
    found = np.empty(n)
    for models in np.unique(tested, axis=1).T:
        members = np.flatnonzero((tested == models[:, None]).all(axis=0))
        level = means[:, members[0]]
        theirs = np.mean([fresh[r, k] - level[r] for r, k in enumerate(models)], axis=0)
        away = (theirs[None, :] - eta[members, None]) / max(theirs.std(), 1e-9)
        weight = np.exp(-0.5 * (away / NEAR) ** 2) + 1e-12
        s0, s1, s2 = (np.sum(weight * away**k, axis=1) for k in (0, 1, 2))
        linear = weight * (s2[:, None] - away * s1[:, None])
        found[members] = (linear @ true_risk) / np.maximum(s0 * s2 - s1**2, 1e-300)
    return np.clip(found, 0, 1)


def random_folds(rng: np.random.Generator, n: int, folds: int, repeats: int) -> tuple[Fold, ...]:
    """Even random folds."""
    made = []
    for repeat in range(repeats):
        assigned = rng.permutation(np.arange(n) % folds)
        for fold in range(folds):
            test = assigned == fold
            made.append(Fold(repeat, fold, np.flatnonzero(~test), np.flatnonzero(test)))
    return tuple(made)


def figures(cohorts: int, jobs: int) -> list[Figure]:
    """The worst coverage of all settings, then each of them; shares without a limit below."""
    least = CONFIDENCE - 0.05
    limited, told = [], []
    for name, setting in SETTINGS.items():
        found = over_cohorts(partial(one_cohort, setting), cohorts, jobs)
        shares = {key: [getattr(one, key) for one in found] for key in Found.__annotations__}
        for key, suffix in (("covered", ""), ("lacking", "_lacking")):
            if np.isfinite(shares[key]).any():
                figure = f"risk_interval_coverage_{name}{suffix}"
                limited.append(mean_figure(figure, shares[key], least, 1, setting.told))
        for key, what in (("own", "single patients' own risks held"), ("groups", "groups agree")):
            told.append(mean_figure(f"risk_{key}_{name}", shares[key], 0, 1, what))
    worst = min(limited, key=lambda figure: figure.value)
    return [replace(worst, name="risk_interval_coverage"), *limited, *told]
