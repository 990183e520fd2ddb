"""The row `late_fusion`: the mean of what other rows of the leaderboard predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import (
    ClassPrediction,
    Prediction,
    mean_over_available,
    percentile_ranks,
)
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.classical.options import refuse_others
from survfuse.models.estimator import FitContext, OtherRows, PredictContext
from survfuse.models.specs import parts_of, repeats_of, spec_of
from survfuse.tasks.diagnosis.thresholds import threshold_of, threshold_patients


def check_parts(config: Config, model: ModelConfig) -> None:
    """Refuse anything but a list of two or more rows that can be averaged in as many repeats."""
    refuse_others(model, "parts")
    parts = parts_of(model)
    if len(parts) < 2:
        raise UserInputError(
            f"models.{model.name}: {model.kind} averages other rows; list at least two in "
            "options.parts, e.g. {parts: [snn, abmil]}"
        )
    by_name = {row.name: row for row in config.models}
    for part in parts:
        if part not in by_name or spec_of(by_name[part]).averages:
            raise UserInputError(
                f"models.{model.name}: options.parts names {part!r}, which is not a row "
                "that can be averaged"
            )
        if model.repeats and model.repeats > repeats_of(by_name[part], config):
            raise UserInputError(
                f"models.{model.name}: repeats is {model.repeats}, but {part}, which it "
                "averages, is fitted in fewer; leave it out, and the average has as many as "
                "all its parts"
            )


def predicted(
    model: ModelConfig, others: OtherRows, patient_ids: Sequence[str], held_out: bool = False
) -> dict[str, Any]:
    """The predictions of all parts, by name."""
    return {part: others.predict(part, patient_ids, held_out) for part in parts_of(model)}


def has_inputs(
    model: ModelConfig, others: OtherRows, inputs: CohortInputs, patient_ids: Sequence[str]
) -> np.ndarray:
    """Which parts have read anything of a patient: (n, parts) bool."""
    parts = parts_of(model)
    return np.stack([has_any(inputs, others.read(part), patient_ids) for part in parts], axis=1)


def has_any(
    inputs: CohortInputs, modalities: Sequence[str], patient_ids: Sequence[str]
) -> np.ndarray:
    """(n,) bool: which patients have any of the modalities."""
    nothing = np.zeros(len(patient_ids), dtype=bool)
    has: np.ndarray = np.any(
        [nothing, *(inputs.has(name, patient_ids) for name in modalities)], axis=0
    )
    return has


class LateFusion:
    """The mean of percentile ranks and of survival curves."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse anything but a list of rows that can be averaged."""
        check_parts(config, model)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Store each part's risks of the training patients: the scale its ranks are taken on."""
        parts = predicted(context.model, context.others, context.patient_ids)
        return {f"reference.{name}": part.risk for name, part in parts.items()}, {
            "parts": list(parts),
            "modalities": [],
            "fitted_on": {"ranks": ids_hash(context.patient_ids)},
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """Averages over the parts that have anything to go by for a patient."""
        about = (context.model, context.others)
        available = has_inputs(*about, context.inputs, context.patient_ids)
        return mean_of_ranks(fitted, predicted(*about, context.patient_ids), available)


def mean_of_ranks(
    fitted: FittedModel, predictions: Mapping[str, Prediction], available: np.ndarray
) -> Prediction:
    """Average the parts' percentile ranks and survival curves.

    `available` (n, parts) says which parts have something to go by for a patient; a part that
    knows nothing of a patient is left out rather than averaged in.
    """
    parts = [predictions[name] for name in fitted.fit["parts"]]
    references = fitted.under("reference.")
    ranks = [
        percentile_ranks(part.risk, references[name])
        for name, part in zip(fitted.fit["parts"], parts, strict=True)
    ]
    # With nothing available for a patient, the middle rank says that nothing is known.
    risk = np.nan_to_num(mean_over_available(ranks, available), nan=0.5)
    survival = mean_over_available([part.survival for part in parts], or_all(available))
    return Prediction(parts[0].patient_ids, risk, survival[None])


def or_all(available: np.ndarray) -> np.ndarray:
    """The parts (n, parts) that speak of a patient: those that know anything, all where none do."""
    usable: np.ndarray = available | ~available.any(axis=1, keepdims=True)
    return usable


class LateDiagnosis:
    """The mean of the probabilities of the classes."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse anything but a list of rows that can be averaged."""
        check_parts(config, model)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Choose the threshold, by parts that have not learned from whom it is chosen on."""
        about, chosen_on = (context.model, context.others), threshold_patients(context.part)
        ids = context.part.patient_ids[chosen_on].tolist()
        parts = predicted(*about, ids, held_out=True)
        mean = mean_of_classes(parts, has_inputs(*about, context.inputs, ids))
        described = {"parts": list(parts), "modalities": [], "fitted_on": {}}
        return {"threshold": threshold_of(mean, context.part)}, described

    def predict(self, fitted: FittedModel, context: PredictContext) -> ClassPrediction:
        """Averages over the parts that have anything to go by for a patient."""
        about, ids = (context.model, context.others), context.patient_ids
        parts = predicted(*about, ids)
        mean = mean_of_classes(parts, has_inputs(*about, context.inputs, ids))
        stood_in = np.any([one.synthesised for one in parts.values()], axis=0)
        threshold = float(fitted.arrays["threshold"][0])
        return ClassPrediction(tuple(ids), mean[None], threshold, stood_in)


def mean_of_classes(parts: Mapping[str, ClassPrediction], available: np.ndarray) -> np.ndarray:
    """(n, K) mean of the parts that have something to read of a patient, of all where none has."""
    return mean_over_available([one.probability for one in parts.values()], or_all(available))


SURVIVAL = LateFusion()
DIAGNOSIS = LateDiagnosis()
