"""Clinics: absolute risks under censoring, intervals of AUROCs, and equal models.

Patients have 20 Gaussian measurements, of which 10 are read by one model and 10 by another, with
equal signal; conversion has proportional hazards. Models are ridge logistic regressions, fitted
anew in every fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from coverage_figure import Figure, mean_figure, over_cohorts
from scipy.special import expit
from scipy.stats import rankdata

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.models.classical.logistic import of_penalty, probabilities, settled
from survfuse.statistics.censoring import known_weights
from survfuse.tasks.diagnosis.classes import conversion_label
from survfuse.tasks.diagnosis.evaluation import (
    ClassPredictions,
    auroc,
    auroc_by_folds,
    compare_diagnoses,
)

CONFIDENCE = 0.95
HORIZON = 36.0
READ = 10  # measurements that a model reads
BASE = 0.33  # cumulative hazard of the average patient at the horizon; 31 of 100 convert
STRENGTH = 1.0  # standard deviation of the log-hazard
PENALTY = 5.0  # ridge, on the sum of log losses


@dataclass(frozen=True)
class Setting:
    """A design of a study; `dropout_months` is the mean time to dropping out, None for nobody."""

    patients: int
    folds: int
    repeats: int
    dropout_months: float | None = None

    def __str__(self) -> str:
        censored = "" if self.dropout_months is None else ", censored"
        return f"{self.patients} patients, {self.folds} x {self.repeats}{censored}"


# 60 months: 40 of 100 leave before the horizon or the event.
SETTINGS = (
    *(Setting(n, k, r) for n in (120, 300) for k, r in ((3, 1), (5, 1), (5, 5))),
    Setting(300, 3, 1, 60.0),
    Setting(300, 5, 1, 60.0),
)


@dataclass(frozen=True)
class Cohort:
    """Drawn patients: measurements (n, 2 READ), log-hazard (n,), classes, weights and follow-up."""

    x: np.ndarray
    log_hazard: np.ndarray
    outcome: SurvivalOutcome
    label: np.ndarray
    weight: np.ndarray

    def share(self) -> float:
        """The true share that converts by the horizon, given the measurements."""
        return float(risk(self.log_hazard).mean())


def risk(log_hazard: np.ndarray) -> np.ndarray:
    """True probability of the event by the horizon."""
    return np.asarray(-np.expm1(-BASE * np.exp(log_hazard)))


def draw(setting: Setting, rng: np.random.Generator) -> Cohort:
    """A cohort, seen to the horizon but for those who drop out."""
    n = setting.patients
    x = rng.normal(size=(n, 2 * READ))
    log_hazard = STRENGTH * x.sum(axis=1) / np.sqrt(2 * READ)
    months = HORIZON * rng.exponential(size=n) / (BASE * np.exp(log_hazard))
    end = np.full(n, HORIZON)
    if setting.dropout_months is not None:
        end = np.minimum(end, rng.exponential(setting.dropout_months, n))
    outcome = SurvivalOutcome(np.minimum(months, end), months <= end)
    label = conversion_label(outcome.time, outcome.event, HORIZON)
    return Cohort(x, log_hazard, outcome, label, known_weights(outcome, HORIZON))


def deal(label: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Folds (n,) in which the classes are spread evenly."""
    deck = np.lexsort((rng.random(len(label)), label))
    fold = np.empty(len(label), int)
    fold[deck] = np.arange(len(label)) % folds
    return fold


def ridge(x: np.ndarray, case: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Coefficients (F, p + 1) of F logistic regressions of x (n, p) on case and weight (F, n).

    Newton's method, for all folds at once; the intercept is last and not penalised.
    """
    design = np.column_stack([x, np.ones(len(x))])
    penalty = np.diag(np.r_[np.full(x.shape[1], PENALTY), 1e-8])
    beta = np.zeros((len(weight), design.shape[1]))
    for _ in range(8):
        p = expit(beta @ design.T)
        gradient = (weight * (case - p)) @ design - beta @ penalty
        information = np.einsum("ni,fn,nj->fij", design, weight * p * (1 - p), design) + penalty
        beta += np.linalg.solve(information, gradient[..., None])[..., 0]
    return beta


@dataclass(frozen=True)
class Study:
    """Out-of-fold diagnoses of a model over all repeats, and the AUROC its models truly have."""

    rows: ClassPredictions
    true_auroc: float


def cross_validate(
    setting: Setting,
    cohort: Cohort,
    divisions: Sequence[np.ndarray],
    columns: slice,
    permutation: np.random.Generator | None = None,
) -> Study:
    """Fit and predict in all folds of the divisions (n,); `permutation` is that of a control."""
    x = cohort.x[:, columns]
    trains = np.array([division != k for division in divisions for k in range(setting.folds)])
    weight = np.zeros(trains.shape)
    case = np.zeros(trains.shape)
    for row, train in enumerate(trains):
        members = np.flatnonzero(train)
        order = members if permutation is None else permutation.permutation(members)
        known = known_weights(cohort.outcome[order], HORIZON)
        weight[row, members] = np.nan_to_num(known)
        case[row, members] = cohort.label[order] == 1
    beta = ridge(x, case, weight)
    p = expit(beta[:, :-1] @ x.T + beta[:, -1:])
    model = np.concatenate(
        [setting.folds * repeat + division for repeat, division in enumerate(divisions)]
    )
    who = np.tile(np.arange(len(cohort.label)), len(divisions))
    out = p[model, who]
    rows = ClassPredictions(
        patient=who,
        label=cohort.label[who],
        probability=np.column_stack([1 - out, out]),
        fold=model,
        synthesised=np.zeros(len(who), bool),
        weight=cohort.weight[who],
    )
    along = beta[:, :-1].sum(axis=1) / np.sqrt(2 * READ)
    correlation = along / np.linalg.norm(beta[:, :-1], axis=1)
    return Study(rows, float(auroc_of(correlation).mean()))


@cache
def population(size: int = 100_000) -> tuple[np.ndarray, np.ndarray]:
    """AUROC, among new patients, of a linear score by its correlation with the log-hazard."""
    rng = np.random.default_rng(2026)
    signal, noise = rng.normal(size=(2, size))
    case = rng.random(size) < risk(STRENGTH * signal)
    correlations = np.linspace(-1, 1, 41)
    found = []
    for r in correlations:
        rank = rankdata(r * signal + np.sqrt(1 - r**2) * noise)
        cases = case.sum()
        found.append((rank[case].sum() - cases * (cases + 1) / 2) / (cases * (size - cases)))
    return correlations, np.array(found)


def auroc_of(correlation: np.ndarray) -> np.ndarray:
    """The AUROC that a score with this correlation has among new patients."""
    return np.interp(correlation, *population())


@dataclass(frozen=True)
class Compared:
    """Two equally good models of a cohort: intervals (2, 2), true AUROCs (2,), and the verdict."""

    limits: np.ndarray
    true_auroc: np.ndarray
    differ: bool


def compare(setting: Setting, seed: int) -> Compared:
    """Two models that read other measurements and are equally good."""
    rng = np.random.default_rng([seed, *map(ord, str(setting))])
    cohort = draw(setting, rng)
    divisions = [deal(cohort.label, setting.folds, rng) for _ in range(setting.repeats)]
    halves = slice(0, READ), slice(READ, 2 * READ)
    studies = [cross_validate(setting, cohort, divisions, columns) for columns in halves]
    found = [auroc(study.rows.known(), CONFIDENCE) for study in studies]
    apart = compare_diagnoses(studies[0].rows, studies[1].rows, CONFIDENCE)["auroc"]
    return Compared(
        np.array([[one.low, one.high] for one in found], float),
        np.array([study.true_auroc for study in studies]),
        bool(apart["low"] > 0 or apart["high"] < 0),
    )


def alarm(setting: Setting, seed: int) -> bool:
    """Whether a control, trained on permuted labels, is called better than chance."""
    rng = np.random.default_rng([seed, 1, *map(ord, str(setting))])
    cohort = draw(setting, rng)
    divisions = [deal(cohort.label, setting.folds, rng) for _ in range(setting.repeats)]
    control = cross_validate(setting, cohort, divisions, slice(0, READ), rng)
    return bool((auroc_by_folds(control.rows, CONFIDENCE).low or 0) > 0.5)


def share_bias(setting: Setting, weighted: bool, seed: int) -> float:
    """Mean out-of-fold probability of all patients, known or not, minus the true share."""
    rng = np.random.default_rng([seed, 2])
    cohort = draw(setting, rng)
    fold = deal(cohort.label, setting.folds, rng)
    known, predicted = cohort.label >= 0, np.empty(len(fold))
    for number in range(setting.folds):
        train = np.flatnonzero(fold != number)
        weight = known_weights(cohort.outcome[train], HORIZON) if weighted else np.ones(len(train))
        who, count = train[known[train]], weight[known[train]]
        about = (cohort.x[train], cohort.label[train], weight, known[train])
        fitted = of_penalty(*about, classes=2, penalty=PENALTY / count.sum(), l1_ratio=0)
        if weighted:
            fitted = settled(fitted, cohort.x[who], cohort.label[who], count)
        predicted[fold == number] = probabilities(cohort.x[fold == number], **fitted)[:, 1]
    return float(predicted.mean() - cohort.share())


def worst(
    name: str,
    by_setting: dict[Setting, Sequence[float]],
    away: Callable[[float], float],
    limits: tuple[float, float],
    told: str,
) -> Figure:
    """The mean of the setting that is worst by `away`; every setting is printed."""
    found = {
        setting: mean_figure(name, values, *limits, f"{told}; worst: {setting}")
        for setting, values in by_setting.items()
    }
    for setting, figure in found.items():
        print(f"  {name}: {setting}: {figure.value:.3f} (MC error {figure.error:.3f})", flush=True)
    return max(found.values(), key=lambda figure: away(figure.value))


def figures(cohorts: int, jobs: int) -> list[Figure]:
    """Coverage and false positives of AUROCs, false alarms of controls, and the bias of shares."""
    covered: dict[Setting, Sequence[float]] = {}
    positive: dict[Setting, Sequence[float]] = {}
    alarms: dict[Setting, Sequence[float]] = {}
    for setting in SETTINGS:
        found = over_cohorts(partial(compare, setting), cohorts, jobs)
        truth = np.mean([one.true_auroc for one in found])
        inside = [(one.limits[:, 0] <= truth) & (truth <= one.limits[:, 1]) for one in found]
        covered[setting] = np.mean(inside, axis=1).tolist()  # of two models: one value a cohort
        positive[setting] = [float(one.differ) for one in found]
    for setting in (SETTINGS[0], SETTINGS[4], SETTINGS[5]):
        found_alarms = over_cohorts(partial(alarm, setting), cohorts, jobs)
        alarms[setting] = [float(one) for one in found_alarms]
    censored = SETTINGS[-1]
    plain = over_cohorts(partial(share_bias, censored, False), cohorts, jobs)
    print(f"  without weights the bias of shares is {np.mean(plain):+.3f}", flush=True)
    weighted = over_cohorts(partial(share_bias, censored, True), cohorts, jobs)
    return [
        worst("auroc_interval_coverage", covered, lambda v: abs(v - CONFIDENCE), (0.93, 0.97),
              "95 % intervals that hold the mean AUROC of models trained on such cohorts"),
        worst("auroc_false_positives", positive, lambda v: v, (0.0, 0.06),
              "equally good models that are said to differ"),
        worst("leak_alarms", alarms, lambda v: v, (0.0, 0.05),
              "controls said to rank better than chance where nothing leaks"),
        mean_figure("clinic_share_bias", weighted, -0.02, 0.02,
                    "mean probability of all patients minus the true share"),
    ]  # fmt: skip
