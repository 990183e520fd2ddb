"""Ridge Cox regression through lifelines, reduced to arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse.core.errors import UserInputError
from survfuse.modalities.clinical.encoder import ClinicalEncoder

PENALISER = 0.1  # fixed in advance, so that the baseline needs no validation selection


@dataclass(frozen=True)
class CoxModel:
    """A Cox model reduced to arrays: S(t|x) = exp(-H0(t) exp(x beta)), x standardised."""

    coefficients: np.ndarray  # (p,)
    times: np.ndarray  # (m,) months at which the baseline cumulative hazard steps
    hazard: np.ndarray  # (m,) H0 at those times, for x = 0, that is, the mean patient

    def risk(self, x: np.ndarray) -> np.ndarray:
        """Linear predictor (n,); higher is worse."""
        return x @ self.coefficients

    def survival(self, x: np.ndarray, grid_months: np.ndarray) -> np.ndarray:
        """S(t|x) as (n, len(grid)); NaN beyond the last follow-up seen in training."""
        step = np.searchsorted(self.times, grid_months, side="right") - 1
        baseline = np.where(step >= 0, self.hazard[np.maximum(step, 0)], 0.0)
        surviving = np.exp(-np.exp(self.risk(x))[:, None] * baseline[None, :])
        surviving[:, grid_months > self.times[-1]] = np.nan
        return surviving

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {"coefficients": self.coefficients, "times": self.times, "hazard": self.hazard}


def fit_cox(x: np.ndarray, time: np.ndarray, event: np.ndarray) -> CoxModel:
    """Fit with ridge penalty on standardised columns x (n, p); p may be 0.

    Raises UserInputError where the fit does not converge.
    """
    from lifelines import CoxPHFitter, NelsonAalenFitter
    from lifelines.exceptions import ConvergenceError

    if x.shape[1] == 0:
        fitted = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(time, event)
        hazard = fitted.cumulative_hazard_.iloc[:, 0]
        return CoxModel(np.empty(0), hazard.index.to_numpy(float), hazard.to_numpy(float))
    columns = [f"x{position}" for position in range(x.shape[1])]
    frame = pd.DataFrame(x, columns=columns).assign(time=time, event=event.astype(int))
    try:
        fitter = CoxPHFitter(penalizer=PENALISER).fit(frame, "time", "event")
    except ConvergenceError as error:
        raise UserInputError(
            "the Cox model of the clinical covariates did not converge; look for a covariate that "
            f"separates events from censored patients perfectly ({error})"
        ) from None
    beta = fitter.params_.to_numpy(float)
    baseline = fitter.baseline_cumulative_hazard_.iloc[:, 0]
    # lifelines' baseline belongs to the mean of the training columns; move it to x = 0.
    shift = float(np.exp(-(x.mean(axis=0) @ beta)))
    return CoxModel(beta, baseline.index.to_numpy(float), baseline.to_numpy(float) * shift)


def breslow(risk: np.ndarray, time: np.ndarray, event: np.ndarray) -> CoxModel:
    """Breslow's baseline for given log-hazard ratios (n,), as a model whose only input they are."""
    times = np.unique(time)
    ratio = np.exp(risk)
    at_risk = np.array([ratio[time >= moment].sum() for moment in times])
    deaths = np.array([event[time == moment].sum() for moment in times])
    return CoxModel(np.ones(1), times, np.cumsum(deaths / at_risk))


def describe(model: CoxModel, encoder: ClinicalEncoder) -> list[dict[str, float | str]]:
    """Hazard ratios per standard deviation, for the model card."""
    return [
        {"covariate": name, "hazard_ratio_per_sd": float(np.exp(beta))}
        for name, beta in zip(encoder.names, model.coefficients, strict=True)
    ]
