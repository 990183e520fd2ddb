"""From a prediction to the risk that such patients really had, with its interval.

Out-of-fold predictions are recalibrated on the outcomes of the cohort at the horizon h itself: a
regression of the event by h on the complementary log-log of the predicted risk, eta =
log(-log S(h)). The risk of patients with prediction eta is 1 - exp(-exp(a + b eta)); b says how
much of the differences between predictions is real. Pseudo-values stand in for what censoring
hides (Andersen, Klein and Rosthoj, Biometrika 2003;90:15), so that nothing is assumed of the way
to h. (A Cox model of the follow-up up to h averages effects over that time, and where these fade
its intervals miss the risk at h.) Where all predictions are equal this is the Kaplan-Meier
estimate.

Every fold has a model of its own, whose level is negatively related to the outcomes it is tested
on: where a test fold has few events its training part has many. So eta is centred within every
test fold; its mean over the repeats is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from survfuse.artifacts.study import CrossValidation, SurvivalOutcome
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import require_follow_up

NO_SPREAD = 1e-6  # of eta: a rounding error
LEAST_EVENTS = 5  # by the horizon; with fewer nothing is estimable
LEAST_WEIGHED = 0.05  # risks nearer to 0 or 1 get no more weight than this one
MOST_STEPS = 100
CONVERGED = 1e-9


def log_cumulative_hazard(survival: np.ndarray, n_patients: int) -> np.ndarray:
    """log(-log S), of the shape of `survival`.

    A cohort of n patients cannot estimate risks below half a patient in n, nor above n - 1/2 in n:
    probabilities beyond are set to these, as they would otherwise count without limit.
    """
    least = 0.5 / n_patients
    risk = np.clip(1 - survival, least, 1 - least)
    transformed: np.ndarray = np.log(-np.log1p(-risk))
    return transformed


def fold_means(study: CrossValidation, eta: np.ndarray) -> np.ndarray:
    """The mean of eta (repeats, n) in the test fold of each patient, (repeats, n)."""
    means = np.empty_like(eta)
    for fold in study.folds:
        means[fold.repeat, fold.test] = eta[fold.repeat, fold.test].mean()
    return means


@dataclass(frozen=True)
class Recalibration:
    """What predictions eta, centred within folds, say of the event by a horizon.

    `intercept`: log cumulative hazard at eta 0; `slope`: per unit of eta, not below 0; `variance`
    (2, 2) of both. `curvature`: the three coefficients of eta^2, eta and 1 by which a curved fit
    departs from the straight one. `fold_variance`: that of eta from knowing the level of a fold's
    model by its test patients alone.
    """

    intercept: float
    slope: float
    variance: np.ndarray
    curvature: np.ndarray
    fold_variance: float
    events: int  # by the horizon

    def quantile(self, confidence: float) -> float:
        """How many standard errors an interval reaches; Student's, for few events."""
        return float(stdtrit(max(self.events - 2, 1), 0.5 + confidence / 2))

    def log_hazard(self, eta: np.ndarray) -> np.ndarray:
        """log(-log S(h)) of patients with these predictions."""
        return self.intercept + self.slope * eta

    def standard_error(self, eta: np.ndarray, eta_variance: np.ndarray | float = 0.0) -> np.ndarray:
        """Of `log_hazard`; `eta_variance`: how uncertain eta itself is.

        A departure from the straight line counts as an error of its size.
        """
        known = np.stack([np.ones_like(eta), eta])
        fitted = np.einsum("i...,ij,j...->...", known, self.variance, known)
        misfit = np.polyval(self.curvature, eta) ** 2
        per_eta = self.slope**2 + self.variance[1, 1]
        total: np.ndarray = fitted + misfit + per_eta * (self.fold_variance + eta_variance)
        return np.sqrt(total)


def recalibrate(
    study: CrossValidation, outcome: SurvivalOutcome, eta: np.ndarray, months: float
) -> Recalibration:
    """Fit the event by `months` to predictions `eta` (n,), centred within folds.

    A slope below 0 is set to 0, with the variance that was found: predictions that rank patients
    wrongly are no reason to turn them round, and every patient is given the cohort's risk.
    Raises NotEstimableError with fewer than LEAST_EVENTS events by then, HorizonError if nobody is
    followed beyond.
    """
    require_follow_up(outcome, months, "the cohort")
    if (events := int((outcome.event & (outcome.time <= months)).sum())) < LEAST_EVENTS:
        raise NotEstimableError(
            f"{events} events by {months:g} months are too few to estimate how often such patients "
            f"have it; {LEAST_EVENTS} are needed"
        )
    happened = pseudo_values(outcome, months)
    spread = float(eta.std())
    if spread < NO_SPREAD:
        (intercept,), ((variance,),) = fit(happened, np.ones((len(eta), 1)))
        flat = np.array([[variance, 0.0], [0.0, 0.0]])
        return Recalibration(float(intercept), 0.0, flat, np.zeros(3), 0.0, events)
    scaled = eta / spread
    straight = np.column_stack([np.ones_like(scaled), scaled])
    line, line_variance = fit(happened, straight)
    curve, _ = fit(happened, np.column_stack([straight, scaled**2]))
    line[1] = max(line[1], 0.0)
    scale = np.array([1.0, 1 / spread])
    sizes = np.array([len(fold.test) for fold in study.folds])
    per_patient = float((1 / sizes - 1 / len(eta)).mean()) / study.n_repeats
    # Whoever is tested in one fold trained the models of the others: as for the calibration slope.
    line_variance = line_variance * (1 + 2 * study.test_share)
    return Recalibration(
        intercept=float(line[0]),
        slope=float(line[1]) / spread,
        variance=line_variance * np.outer(scale, scale),
        curvature=np.array(
            [curve[2] / spread**2, (curve[1] - line[1]) / spread, curve[0] - line[0]]
        ),
        fold_variance=max(spread**2 * per_patient, 0.0),
        events=events,
    )


def pseudo_values(outcome: SurvivalOutcome, months: float) -> np.ndarray:
    """What each patient adds to 1 - Kaplan-Meier at a time, (n,); their mean is that estimate.

    Without censoring before it, 1 for an event by then and 0 otherwise. By the influence function
    of the estimate, which is what leaving patients out one by one comes to.
    """
    event = outcome.event & (outcome.time <= months)
    times, events = np.unique(outcome.time[event], return_counts=True)
    ordered = np.sort(outcome.time)
    at_risk = len(outcome) - np.searchsorted(ordered, times, side="left")
    left = np.maximum(at_risk - events, 0.5)
    survival = float(np.prod(1 - events / at_risk))
    last = np.searchsorted(times, outcome.time, side="right") - 1  # event time reached, or -1
    expected = np.r_[0.0, np.cumsum(events / (at_risk * left))][last + 1]
    own = np.where(event, 1 / left[np.clip(last, 0, None)], 0.0)
    found: np.ndarray = 1 - survival * (1 - len(outcome) * (own - expected))
    return found


def fit(
    happened: np.ndarray, predictors: np.ndarray, offset: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Regression with the complementary log-log link: coefficients (p,) and variance (p, p).

    `happened` (n,): pseudo-values. `predictors` (n, p): the first is 1. `offset` (n,): added to the
    linear predictor with a coefficient of 1. Fisher scoring; the variance is the sandwich, which
    needs no assumption on how pseudo-values vary.
    """
    coefficients = np.zeros(predictors.shape[1])
    share = float(np.clip(happened.mean(), 0.01, 0.99))
    coefficients[0] = np.log(-np.log1p(-share)) - np.mean(offset)
    for _ in range(MOST_STEPS):
        linear = np.clip(offset + predictors @ coefficients, -12, 3)
        risk = -np.expm1(-np.exp(linear))
        rise = np.exp(linear - np.exp(linear))  # of the risk per unit of the linear predictor
        kept = np.clip(risk, LEAST_WEIGHED, 1 - LEAST_WEIGHED)
        weight = rise / (kept * (1 - kept))
        score = predictors * ((happened - risk) * weight)[:, None]
        information = (predictors * (rise * weight)[:, None]).T @ predictors
        step = np.clip(np.linalg.lstsq(information, score.sum(axis=0), rcond=None)[0], -1, 1)
        coefficients = np.clip(coefficients + step, -8, 8)
        if np.abs(step).max() < CONVERGED:
            break
    influence = score @ np.linalg.pinv(information)
    return coefficients, influence.T @ influence
