"""Are the predicted probabilities right? Observed/expected, slope and curve at a horizon.

On out-of-fold predictions each has its limits. Every fold's model has learned how many events there
are from patients of the same cohort, so that observed/expected is about 1 by construction, and the
curve, which takes the predictions of all folds together, crosses the diagonal near the risk of the
cohort. They are informative about a model on patients from elsewhere. The slope compares patients
within folds only.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import Estimate, NotEstimableError, percentile_interval
from survfuse.statistics.kaplan_meier import observed_risk, survival_at
from survfuse.statistics.metrics import require_follow_up
from survfuse.statistics.stratified_cox import stratified_slope

PATIENTS_PER_BIN = 20
MOST_BINS = 10
# log(-log S) is infinite at 0 and 1; probabilities closer than this mean "certain".
CERTAIN = 1e-9


def observed_expected(
    outcome: SurvivalOutcome,
    survival: np.ndarray,
    months: float,
    counts: np.ndarray,
    confidence: float,
) -> Estimate:
    """(1 - Kaplan-Meier(t)) / mean(1 - S(t | x)): above 1, more patients had the event than said.

    Arguments and errors as of `observed_expected_draws`.
    """
    ratio = observed_expected_draws(outcome, survival, months, counts)
    return percentile_interval(ratio, confidence, (0, np.inf))


def observed_expected_draws(
    outcome: SurvivalOutcome, survival: np.ndarray, months: float, counts: np.ndarray
) -> np.ndarray:
    """The ratio of `observed_expected` in the cohort and in every resample of it, (1 + B,).

    `survival` (n,) at t; `counts` (1 + B, n) as from `draw_counts`. Raises HorizonError if
    follow-up ends before t, NotEstimableError if the model expects no event at all.
    """
    require_follow_up(outcome, months, "the cohort")
    if (survival == 1).all():
        raise NotEstimableError(f"the model expects no event by {months:g} months")
    observed = 1 - survival_at(outcome, months, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: np.ndarray = observed / (counts @ (1 - survival) / len(outcome))
    return ratio


def calibration_slope(
    outcome: SurvivalOutcome,
    survival: np.ndarray,
    months: float,
    confidence: float,
    fold: np.ndarray | None = None,
    test_share: float = 0.0,
) -> Estimate:
    """Cox coefficient of log(-log S(t | x)) on held-out outcomes up to t, with its interval.

    1 is perfect; below 1 the predictions are too extreme (overfitting), above 1 too timid.
    Follow-up is cut at t, because S(t | x) says nothing of what comes after it.

    `survival` (n,) or (repeats, n). `fold`, of the same shape, says which model predicted a
    patient: patients are compared within folds only, since the level of a fold's predictions falls
    where its test part happens to have many events. The predictions of every fold are brought to
    one spread for the fit, or the most extreme models would count most; the coefficient per
    standard deviation over the mean standard deviation is the slope. The same patients in several
    repeats bring no new information, so the information is that of one repeat. The variance is
    Wald's times 1 + 2 `test_share` (test patients per training patient; 0 for new patients),
    because each fold's test patients trained the other models. The factor was chosen by simulation
    (benchmarks/coverage_survival.py).

    Raises HorizonError if follow-up ends before t, NotEstimableError if all predictions are equal,
    without events by then, or where the fit diverges.
    """
    require_follow_up(outcome, months, "the cohort")
    table = np.atleast_2d(survival)
    stratum = np.zeros(table.shape, int) if fold is None else np.atleast_2d(fold)
    stratum = stratum + (1 + stratum.max()) * np.arange(len(table))[:, None]
    certain = np.clip(table, CERTAIN, 1 - CERTAIN)
    predictor, spread = standardised(np.log(-np.log(certain)).ravel(), stratum.ravel())
    until = ended_at(outcome, months)
    repeated = SurvivalOutcome(np.tile(until.time, len(table)), np.tile(until.event, len(table)))
    fitted = stratified_slope(repeated, predictor, stratum.ravel())
    scale = float(np.average(spread, weights=fitted.information))
    information = fitted.information.sum() / len(table)
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    margin = quantile * ((1 + 2 * test_share) / information) ** 0.5
    value = fitted.value
    return Estimate(value / scale, (value - margin) / scale, (value + margin) / scale)


def ended_at(outcome: SurvivalOutcome, months: float) -> SurvivalOutcome:
    """The outcome with follow-up ended at a time; an event at that very time counts."""
    observed = outcome.event & (outcome.time <= months)
    return SurvivalOutcome(np.minimum(outcome.time, months), observed)


def standardised(predictor: np.ndarray, stratum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The predictor (n,) with mean 0 and deviation 1 in each stratum, and the deviations (k,).

    A stratum in which it is constant becomes 0 and has the deviation 0. Raises NotEstimableError
    where it is constant in all of them.
    """
    code = np.unique(stratum, return_inverse=True)[1]
    size = np.bincount(code)
    centred = predictor - (np.bincount(code, weights=predictor) / size)[code]
    spread = np.sqrt(np.bincount(code, weights=centred**2) / size)
    spread = np.where(spread < CERTAIN, 0, spread)
    if not spread.any():
        raise NotEstimableError("all patients have the same prediction, so there is no slope")
    varying = spread[code] > 0
    return np.divide(centred, spread[code], out=np.zeros_like(centred), where=varying), spread


def calibration_curve(
    outcome: SurvivalOutcome, survival: np.ndarray, months: float, confidence: float
) -> list[dict[str, Any]]:
    """Mean predicted against observed risk at t, in groups of rising predicted risk.

    Up to ten groups of at least about 20 patients; equal predictions share a group. `observed` is
    1 - Kaplan-Meier within the group, None with a reason where its follow-up ends before t.
    """
    predicted = 1 - survival
    bins = int(np.clip(len(outcome) // PATIENTS_PER_BIN, 2, MOST_BINS))
    edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    group = np.searchsorted(edges, predicted, side="left")
    points = []
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        try:
            observed = observed_risk(outcome[members], months, confidence)
        except NotEstimableError as error:
            observed = Estimate(reason=str(error))
        fields = observed.as_json()
        point = {"predicted": float(predicted[members].mean()), "observed": fields.pop("value")}
        points.append({**point, **fields, "n": len(members)})
    return points
