"""Bringing predicted probabilities to the level of another cohort, and what that is worth there.

`IN_THE_LARGE` moves all predictions by one number; `SLOPE` also changes how far they lie apart.
Risks by a time are moved on the scale log(-log S), where a shift is a factor of the cumulative
hazard and a slope changes it as another Weibull shape would; probabilities of a class on that of
their log-odds. See Steyerberg et al., Stat Med 2004;23:2567 and van Houwelingen, Stat Med
2000;19:3401.

What an update is worth is estimated on patients whose outcomes did not take part in it
(`cross_fitted`): the parts are dealt without a look at the outcomes, so that no patient's own
outcome has a way into the updated prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import require_follow_up
from survfuse.statistics.probabilities import logistic_fit, logits
from survfuse.statistics.recalibration import fit, pseudo_values

Link = Literal["cloglog", "logit"]
IN_THE_LARGE, SLOPE = "in_the_large", "slope"
KINDS = (IN_THE_LARGE, SLOPE)
# Events, or patients of the rarer class, below which nothing is fitted.
LEAST = {IN_THE_LARGE: 20, SLOPE: 50}
PARTS = 10  # of the patients, each updated by the others
CERTAIN = 1e-6  # probabilities closer to 0 or 1 than this are taken as this
SAME = 1e-6  # of a spread of predictions: a rounding error
FARTHEST = 15.0  # from 0, a log cumulative hazard at which the risk is 0 or 1 but for rounding
FORMULAS: dict[Link, str] = {
    "cloglog": "p' = 1 - exp(-exp(intercept + slope * log(-log(1 - p))))",
    "logit": "p' = 1 / (1 + exp(-(intercept + slope * log(p / (1 - p)))))",
}


@dataclass(frozen=True)
class Update:
    """What predictions p become, see FORMULAS; `n` patients and `events` it was fitted on."""

    link: Link
    intercept: float
    slope: float
    n: int
    events: int

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """The updated probabilities (n,)."""
        linear = self.intercept + self.slope * transformed(probability, self.link)
        found: np.ndarray = -np.expm1(-np.exp(linear)) if self.link == "cloglog" else expit(linear)
        return found

    def as_json(self) -> dict[str, Any]:
        """The numbers; the link stands beside them."""
        return {
            "intercept": self.intercept,
            "slope": self.slope,
            "n": self.n,
            "events": self.events,
        }


def transformed(probability: np.ndarray, link: Link) -> np.ndarray:
    """Probabilities on the scale of a link."""
    inside = np.clip(probability, CERTAIN, 1 - CERTAIN)
    found: np.ndarray = np.log(-np.log1p(-inside)) if link == "cloglog" else logits(inside)
    return found


def require_events(events: int, kind: str, of: str) -> None:
    """Raise NotEstimableError where there are too few. `of`: what is counted."""
    if events < LEAST[kind]:
        raise NotEstimableError(
            f"{events} {of} are too few for this recalibration, which needs {LEAST[kind]}"
        )


def update_risk(outcome: SurvivalOutcome, risk: np.ndarray, months: float, kind: str) -> Update:
    """The update of risks (n,) by a time: their mean becomes 1 - Kaplan-Meier.

    The slope is that of a regression of pseudo-values (see `recalibration`). One below 0 is set to
    0: predictions that rank patients wrongly are no reason to turn them round. Raises HorizonError
    where nobody is followed beyond the time, NotEstimableError where nobody or everybody had it.
    """
    require_follow_up(outcome, months, "the cohort")
    if not (events := int((outcome.event & (outcome.time <= months)).sum())):
        raise NotEstimableError(f"nobody had the event by {months:g} months")
    eta, happened = transformed(risk, "cloglog"), pseudo_values(outcome, months)
    slope = 1.0
    if kind == SLOPE:
        slope = 0.0
        if eta.std() > SAME:
            centred = eta - eta.mean()
            (_, found), _ = fit(happened, np.column_stack([np.ones(len(eta)), centred]))
            slope = max(float(found), 0.0)
    level = level_for(slope * eta, float(happened.mean()))
    return Update("cloglog", level, slope, len(eta), events)


def level_for(linear: np.ndarray, share: float) -> float:
    """What must be added to log cumulative hazards (n,) for the mean risk to be `share`."""
    if not 0 < share < 1:
        raise NotEstimableError("everybody had the event, so there is no level to fit")

    def apart(level: float) -> float:
        return float(-np.expm1(-np.exp(level + linear)).mean()) - share

    return float(brentq(apart, -FARTHEST - linear.max(), FARTHEST - linear.min()))


def update_probability(
    probability: np.ndarray, case: np.ndarray, weight: np.ndarray, kind: str
) -> Update:
    """The update of probabilities (n,) of a class, by a logistic regression on `case` (n,) bool.

    `weight` (n,): what each patient counts. A slope below 0 is set to 0. Raises NotEstimableError
    where one outcome only occurs or the predictions separate both.
    """
    logit, ones = transformed(probability, "logit"), np.ones((len(case), 1))
    events, outcome, nothing = int(case.sum()), case.astype(float), np.zeros(len(case))
    if kind == IN_THE_LARGE:
        (shift,), _ = logistic_fit(ones, logit, outcome, weight)
        return Update("logit", float(shift), 1.0, len(case), events)
    if logit.std() > SAME:
        design = np.column_stack([ones, logit])
        (intercept, slope), _ = logistic_fit(design, nothing, outcome, weight)
        if slope > 0:
            return Update("logit", float(intercept), float(slope), len(case), events)
    (intercept,), _ = logistic_fit(ones, nothing, outcome, weight)
    return Update("logit", float(intercept), 0.0, len(case), events)


def cross_fitted(
    probability: np.ndarray, update_on: Callable[[np.ndarray], Update], seed: int
) -> np.ndarray:
    """Every patient's probability (n,), updated by what the patients of the other parts show.

    `update_on`: the update that is fitted on some rows, which are given as numbers. Raises what
    that raises.
    """
    n = len(probability)
    part = np.random.default_rng(seed).permutation(n) % min(PARTS, n)
    found = np.empty(n)
    for number in np.unique(part):
        own = np.flatnonzero(part == number)
        found[own] = update_on(np.flatnonzero(part != number)).apply(probability[own])
    return found
