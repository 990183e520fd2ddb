"""The absolute risk of patients with some prediction, and how missing inputs widen what is known.

Out-of-fold predictions at a horizon become eta (see `recalibration`), the mean over the repeats of
what is centred within test folds. For a patient who lacks inputs the model would predict something
else with the inputs complete. By how much is estimated from patients with complete inputs, who were
predicted from all of them and from no more than what this patient has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from survfuse.artifacts.ablations import ModalitySet
from survfuse.artifacts.study import Study
from survfuse.statistics.recalibration import (
    Recalibration,
    fold_means,
    log_cumulative_hazard,
    recalibrate,
)

# Fewer patients with complete inputs do not support an estimate of the effect of inputs.
LEAST_COMPLETE = 10


@dataclass(frozen=True)
class Inputs:
    """Who has what of the modalities that a model reads, (n, modalities) bool."""

    reads: tuple[str, ...]
    has: np.ndarray

    def sets(self) -> list[ModalitySet]:
        """What each patient has."""
        names = np.array(self.reads, dtype=str)
        return [frozenset(names[row].tolist()) for row in self.has]


def inputs_of(reads: Sequence[str], present: Mapping[str, np.ndarray]) -> Inputs | None:
    """The inputs of a model; None where it is not known who has them.

    `present`: who has each modality, (n,). What nobody has is not missing in anybody.
    """
    names = tuple(name for name in reads if name in present and present[name].any())
    return Inputs(names, np.stack([present[name] for name in names], axis=1)) if names else None


@dataclass(frozen=True)
class InputEffect:
    """Mean and variance of the change of eta by missing inputs, in `n` patients who have them.

    `n` is 0 where these are too few: the variance of all predictions stands in, as if nothing at
    all were known of the patient.
    """

    mean: float
    variance: float
    n: int


@dataclass(frozen=True)
class Risks:
    """The risk by a horizon of patients with each patient's prediction, (n,) each.

    `low` and `high`: its interval, as far as missing inputs could move it; `as_is_low` and
    `as_is_high`: the interval if they could not.
    """

    fit: Recalibration
    eta: np.ndarray
    risk: np.ndarray
    low: np.ndarray
    high: np.ndarray
    as_is_low: np.ndarray
    as_is_high: np.ndarray
    input_effects: Mapping[ModalitySet, InputEffect] = field(
        default_factory=dict
    )  # by available inputs


def absolute_risks(
    study: Study,
    survival: np.ndarray,
    months: float,
    confidence: float,
    inputs: Inputs | None = None,
    ablated: Mapping[ModalitySet, np.ndarray] | None = None,
) -> Risks:
    """The risks of all patients by one model at a horizon.

    `survival` (repeats, n) at the horizon; `ablated[S]` (repeats, n): that predicted from the
    inputs S alone, NaN where it was not. Raises NotEstimableError and HorizonError as `recalibrate`
    does.
    """
    n = len(study.patient_ids)
    by_repeat = log_cumulative_hazard(survival, n)
    means = fold_means(study, by_repeat)
    eta = (by_repeat - means).mean(axis=0)
    input_effects: dict[ModalitySet, InputEffect] = {}
    unknown = np.zeros(n)  # variance of eta
    if inputs is not None:
        sets = inputs.sets()
        alone = {
            one: (log_cumulative_hazard(values, n) - means).mean(axis=0)
            for one, values in (ablated or {}).items()
        }
        full = np.array([len(one) == len(inputs.reads) for one in sets])
        input_effects = {
            one: input_effect(eta, full, alone.get(one))
            for one in dict.fromkeys(sets)
            if len(one) < len(inputs.reads)
        }
        unknown = np.array(
            [input_effects[one].variance if one in input_effects else 0.0 for one in sets]
        )
        shift = np.array([input_effects[one].mean if one in input_effects else 0.0 for one in sets])
        nothing = np.array([not one for one in sets])
        eta = np.where(nothing, 0.0, eta + shift)  # of whom nothing is known: the average
    fit = recalibrate(study, study.outcome, eta, months)
    at, z = fit.log_hazard(eta), fit.quantile(confidence)
    wide, narrow = z * fit.standard_error(eta, unknown), z * fit.standard_error(eta)
    low, high, as_is_low, as_is_high = (
        risk_of(at + width) for width in (-wide, wide, -narrow, narrow)
    )
    return Risks(fit, eta, risk_of(at), low, high, as_is_low, as_is_high, input_effects)


def risk_of(log_hazard: np.ndarray) -> np.ndarray:
    """1 - S of a log cumulative hazard."""
    found: np.ndarray = -np.expm1(-np.exp(log_hazard))
    return found


def input_effect(eta: np.ndarray, full: np.ndarray, alone: np.ndarray | None) -> InputEffect:
    """How far the missing inputs move eta (n,), in patients with complete inputs (`full`, (n,)).

    `alone` (n,): eta from the available inputs only.
    """
    if alone is not None:
        difference = (eta - alone)[full & np.isfinite(alone)]
        if len(difference) >= LEAST_COMPLETE:
            return InputEffect(
                float(difference.mean()), float(difference.var(ddof=1)), len(difference)
            )
    return InputEffect(0.0, float(eta.var()), 0)
