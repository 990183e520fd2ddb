"""The absolute risk of patients who were in no study, by what a study has learned of its models.

As for the patients of the study (see `absolute_risk`), with two differences. Every model of the
study is asked, as none was trained on a new patient; their predictions eta = log(-log S(h)) are
averaged, each less the mean that it gave its own test patients. And who lacks inputs is corrected
by the effect that was found in the study for just these inputs. Beyond the predictions of the
study nothing is known of what they come to: whoever lies there gets the estimate of its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.artifacts.ablations import ModalitySet, joined_modalities, modalities_in
from survfuse.artifacts.layout import fold_name
from survfuse.artifacts.study import Study
from survfuse.evaluation.absolute_risk import (
    InputEffect,
    Inputs,
    absolute_risks,
    input_effect,
    risk_of,
)
from survfuse.statistics.kaplan_meier import observed_risk
from survfuse.statistics.recalibration import Recalibration, fold_means, log_cumulative_hazard


@dataclass(frozen=True)
class NewRisks:
    """The risk by a horizon of n new patients, (n,) each; as `absolute_risk.Risks` names them."""

    risk: np.ndarray
    low: np.ndarray
    high: np.ndarray
    as_is_low: np.ndarray
    as_is_high: np.ndarray
    beyond: np.ndarray  # bool: the models place the patient beyond all patients of the study


@dataclass(frozen=True)
class FrozenRisks:
    """What a study knows of the predictions of one row by a horizon.

    fold_means: the mean eta of a fold's model over its test patients, by the name of the fold.
    effects: what missing inputs do, by the inputs that are there. spread: the variance of eta over
    patients, where that is not known. lowest, highest: eta in the study. observed: the share of
    the study with the event by then.
    """

    months: float
    n_patients: int
    confidence: float
    reads: tuple[str, ...]
    fit: Recalibration
    fold_means: Mapping[str, float]
    effects: Mapping[ModalitySet, InputEffect]
    spread: float
    lowest: float
    highest: float
    observed: float | None

    def risks(self, survival: Mapping[str, np.ndarray], has: Mapping[str, np.ndarray]) -> NewRisks:
        """The risks of n patients.

        `survival`: by fold, (n,) by the horizon. `has`: by modality, (n,) who has it.
        """
        folds = list(survival)
        every = log_cumulative_hazard(np.stack([survival[name] for name in folds]), self.n_patients)
        eta = (every - np.array([self.fold_means[name] for name in folds])[:, None]).mean(axis=0)
        there = np.stack([has[name] for name in self.reads], axis=1)
        found = [self.effect(one) for one in Inputs(self.reads, there).sets()]
        eta = eta + np.array([effect.mean for effect in found])
        eta[~there.any(axis=1)] = 0.0  # of whom nothing is known: the average
        inside = np.clip(eta, self.lowest, self.highest)
        beyond, eta = inside != eta, inside
        unknown = np.array([effect.variance for effect in found])
        at, z = self.fit.log_hazard(eta), self.fit.quantile(self.confidence)
        wide, narrow = z * self.fit.standard_error(eta, unknown), z * self.fit.standard_error(eta)
        low, high, as_is_low, as_is_high = (
            risk_of(at + width) for width in (-wide, wide, -narrow, narrow)
        )
        return NewRisks(risk_of(at), low, high, as_is_low, as_is_high, beyond)

    def effect(self, there: ModalitySet) -> InputEffect:
        """What the inputs that are not there do to eta."""
        if len(there) == len(self.reads):
            return InputEffect(0.0, 0.0, self.n_patients)
        return self.effects.get(there, InputEffect(0.0, self.spread, 0))

    def as_json(self) -> dict[str, Any]:
        """For the package; `from_json` reads it."""
        fit = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self.fit).items()
        }
        effects = {joined_modalities(there): vars(one) for there, one in self.effects.items()}
        own = {"fit": fit, "effects": effects, "fold_means": dict(self.fold_means)}
        return {**vars(self), **own, "reads": list(self.reads)}

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> FrozenRisks:
        """The inverse of `as_json`."""
        fit: dict[str, Any] = {
            name: np.array(value) if isinstance(value, list) else value
            for name, value in stored["fit"].items()
        }
        effects = {
            modalities_in(there): InputEffect(**one) for there, one in stored["effects"].items()
        }
        own = {"fit": Recalibration(**fit), "effects": effects, "reads": tuple(stored["reads"])}
        return FrozenRisks(**{**stored, **own})


def freeze_risks(
    study: Study,
    survival: np.ndarray,
    months: float,
    confidence: float,
    inputs: Inputs | None,
    ablated: Mapping[ModalitySet, np.ndarray] | None,
) -> FrozenRisks:
    """What the out-of-fold predictions of a row say of it; arguments as of `absolute_risks`.

    Raises what that raises, where nothing can be estimated.
    """
    fitted = absolute_risks(study, survival, months, confidence, inputs, ablated)
    n = len(study.patient_ids)
    by_repeat = log_cumulative_hazard(survival, n)
    means = fold_means(study, by_repeat)
    eta = (by_repeat - means).mean(axis=0)
    effects = dict(fitted.input_effects)
    if inputs is not None:
        full = np.asarray(inputs.has.all(axis=1))
        for there, values in (ablated or {}).items():
            alone = (log_cumulative_hazard(values, n) - means).mean(axis=0)
            effects.setdefault(there, input_effect(eta, full, alone))
    return FrozenRisks(
        months=months,
        n_patients=n,
        confidence=confidence,
        reads=inputs.reads if inputs else (),
        fit=fitted.fit,
        fold_means={
            fold_name(fold.repeat, fold.fold): float(means[fold.repeat, fold.test[0]])
            for fold in study.folds
        },
        effects=effects,
        spread=float(eta.var()),
        lowest=float(fitted.eta.min()),
        highest=float(fitted.eta.max()),
        observed=observed_risk(study.outcome, months, confidence).value,
    )
