"""The row `coxnet`, elastic-net Cox: a path of penalties, the best by validation likelihood."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import under
from survfuse.artifacts.follow_up import FollowUp
from survfuse.models.classical.cox import CoxModel, breslow
from survfuse.models.classical.options import Option
from survfuse.models.classical.pooled_survival import PooledSurvival
from survfuse.models.classical.validation import held_out_gain
from survfuse.splits.training_part import TrainingPart

log = logging.getLogger(__name__)

STRENGTHS = np.geomspace(1.0, 0.01, 50)  # of the penalty, as parts of the least that selects none


@dataclass(frozen=True)
class ElasticNetCox(CoxModel):
    """A Cox model that is stored beside the features that it reads."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {f"cox.{name}": value for name, value in super().arrays().items()}

    @staticmethod
    def from_arrays(named: Mapping[str, np.ndarray]) -> ElasticNetCox:
        """The inverse of `arrays`."""
        return ElasticNetCox(**under(named, "cox."))


def fit_coxnet(
    x: np.ndarray, part: TrainingPart, _seed: int, *, l1_ratio: float
) -> tuple[ElasticNetCox, dict[str, Any]]:
    """Elastic-net Cox (Simon et al. 2011) with the penalty of the best validation likelihood.

    x: (n, p) standardised. Candidates are fitted on the training role; the one that is chosen is
    fitted again on everybody. Where no penalty does better than no columns at all, no columns are
    used: the Nelson-Aalen curve for every patient. Nothing is drawn, so the seed says
    nothing. Returns the
    model and what was chosen.
    """
    train, followed = part.role == "train", part.outcome_as(FollowUp)
    time, event = followed.time_months, followed.event
    strongest = least_null_strength(x[train], time[train], event[train]) / l1_ratio
    strengths = STRENGTHS * strongest
    path = coxnet_path(x[train], time[train], event[train], strengths, l1_ratio)
    gain = held_out_gain(x @ path, part)
    best = int(gain.argmax()) if gain.size and gain.max() > 0 else None
    beta = np.zeros(x.shape[1])
    if best is not None:
        refitted = coxnet_path(x, time, event, strengths[: best + 1], l1_ratio)
        if refitted.shape[1]:
            beta = refitted[:, -1]
    baseline = breslow(x @ beta, time, event)
    return ElasticNetCox(beta, baseline.times, baseline.hazard), {
        "strength": None if best is None else float(strengths[best]),
        "held_out_gain": 0.0 if best is None else float(gain[best]),
        "selected": int(np.count_nonzero(beta)),
    }


def least_null_strength(x: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """The least lasso penalty per patient that leaves all coefficients at zero.

    It is the greatest slope of the log partial likelihood at zero: the greatest mean product of a
    column with the martingale residuals.
    """
    nobody = breslow(np.zeros(len(x)), time, event)
    residual = event - nobody.hazard[np.searchsorted(nobody.times, time)]
    return float(np.abs(residual @ x).max()) / len(x)


def coxnet_path(
    x: np.ndarray, time: np.ndarray, event: np.ndarray, strengths: np.ndarray, l1_ratio: float
) -> np.ndarray:
    """Coefficients (p, k) at falling strengths; fewer than asked where weak ones diverge."""
    from sksurv.linear_model import CoxnetSurvivalAnalysis
    from sksurv.util import Surv

    outcome = Surv.from_arrays(event, time)
    while len(strengths) and strengths[0] > 0:
        try:
            fitted = CoxnetSurvivalAnalysis(alphas=strengths, l1_ratio=l1_ratio).fit(x, outcome)
        except ArithmeticError:  # coefficients grow without bound where events are separable
            strengths = strengths[: len(strengths) * 3 // 4]
            log.info("the weakest penalties do not converge; %d are tried", len(strengths))
        else:
            coefficients: np.ndarray = fitted.coef_
            return coefficients
    return np.empty((x.shape[1], 0))


def hazard_ratios(model: CoxModel, columns: Sequence[str]) -> dict[str, Any]:
    """The columns that were selected, the strongest first, for the model card."""
    beta = model.coefficients
    order = np.argsort(-np.abs(beta), kind="stable")[: np.count_nonzero(beta)]
    selected = [
        {"covariate": columns[column], "hazard_ratio_per_sd": float(np.exp(beta[column]))}
        for column in order
    ]
    return {"hazard_ratios": selected}


SURVIVAL = PooledSurvival(
    options={"l1_ratio": Option(0.5, 0.01, 1.0)},
    learn=fit_coxnet,
    restore=ElasticNetCox.from_arrays,
    validates=True,
    size="selected",
    describe=hazard_ratios,
)
