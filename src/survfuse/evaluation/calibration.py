"""Are the predicted probabilities right? Observed/expected, slope and curve at a horizon.

All three use the out-of-fold survival probabilities of all patients together: unlike risks,
probabilities are comparable across folds.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError, ConvergenceWarning

from survfuse.evaluation.intervals import Estimate, NotEstimableError, percentile_interval
from survfuse.evaluation.kaplan_meier import observed_risk, survival_at
from survfuse.evaluation.metrics import require_follow_up
from survfuse.evaluation.study import Outcome

PATIENTS_PER_BIN = 20
MOST_BINS = 10
# log(-log S) is infinite at 0 and 1; probabilities closer than this mean "certain".
CERTAIN = 1e-9


def observed_expected(
    outcome: Outcome, survival: np.ndarray, months: float, counts: np.ndarray, confidence: float
) -> Estimate:
    """(1 - Kaplan-Meier(t)) / mean(1 - S(t | x)): above 1, more patients had the event than said.

    `survival` (n,) at t; `counts` (1 + B, n) as from `draw_counts`. Raises HorizonError if
    follow-up ends before t, NotEstimableError if the model expects no event at all.
    """
    require_follow_up(outcome, months, "the cohort")
    if (survival == 1).all():
        raise NotEstimableError(f"the model expects no event by {months:g} months")
    observed = 1 - survival_at(outcome, months, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = observed / (counts @ (1 - survival) / len(outcome))
    return percentile_interval(ratio, confidence)


def calibration_slope(outcome: Outcome, survival: np.ndarray, confidence: float) -> Estimate:
    """Cox coefficient of log(-log S(t | x)) on held-out outcomes, with its Wald interval.

    1 is perfect; below 1 the predictions are too extreme (overfitting), above 1 too timid. It
    stays valid under censoring. `survival` (n,) or (repeats, n); the slopes and limits of several
    repeats are averaged, since the same patients again bring no new information. Efron's ties,
    through lifelines. Raises NotEstimableError if all predictions are equal or the fit diverges.
    """
    fits = [slope_of(outcome, one, confidence) for one in np.atleast_2d(survival)]
    value, low, high = np.mean(fits, axis=0).tolist()
    return Estimate(value, low, high)


def slope_of(
    outcome: Outcome, survival: np.ndarray, confidence: float
) -> tuple[float, float, float]:
    """Slope, lower and upper limit for one repeat."""
    certain = np.clip(survival, CERTAIN, 1 - CERTAIN)
    predictor = np.log(-np.log(certain))
    if np.ptp(predictor) < CERTAIN:
        raise NotEstimableError("all patients have the same prediction, so there is no slope")
    spread = float(predictor.std())  # lifelines suspects columns of little variance
    columns = {"predictor": predictor / spread, "time": outcome.time, "event": outcome.event}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            fitted = CoxPHFitter(alpha=1 - confidence).fit(pd.DataFrame(columns), "time", "event")
    except (ConvergenceError, ConvergenceWarning):
        raise NotEstimableError("the Cox fit of the calibration slope diverges") from None
    low, high = fitted.confidence_intervals_.to_numpy()[0] / spread
    return float(fitted.params_.iloc[0]) / spread, float(low), float(high)


def calibration_curve(
    outcome: Outcome, survival: np.ndarray, months: float, confidence: float
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
