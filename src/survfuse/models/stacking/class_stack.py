"""The row `survfuse` for a diagnosis: logistic models of blocks and one of all, stacked.

Blocks, members and sets of modalities are those of survival. Members are fitted by logistic ridge
regression, and weighed by a logistic regression of their cross-fitted scores:

    probabilities = softmax(b + sum_m w_m S_m),  S_m (n, K) of member m,  w_m >= 0 for all classes

Patients of unknown class take part in blocks, which read no class, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash, under
from survfuse.artifacts.prediction import ClassPrediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.models.classical.options import refuse_others
from survfuse.models.estimator import FitContext, NothingToLearnError, PredictContext
from survfuse.models.specs import spec_of
from survfuse.models.stacking.blocks import BlockColumns, BlockFeatures, fit_blocks
from survfuse.models.stacking.class_members import (
    class_folds,
    fit_class_members,
    fit_without_each,
)
from survfuse.models.stacking.class_weights import ClassWeights, fit_class_weights, spreads
from survfuse.models.stacking.members import described_members, design_of, left_out
from survfuse.models.stacking.ridge_logistic import can_compare
from survfuse.models.stacking.tile_attention import attention_of
from survfuse.models.stacking.weights import sets_of_modalities
from survfuse.tasks.diagnosis.outcomes import Classes
from survfuse.tasks.diagnosis.thresholds import threshold_of


@dataclass(frozen=True)
class FittedClasses:
    """Fitted members and their weights. coefficients: (M, p, Q) of each block, of each member."""

    coefficients: tuple[np.ndarray, ...]
    weights: ClassWeights

    def probability(self, blocks: BlockColumns) -> np.ndarray:
        """(n, K) probabilities of the classes."""
        added = [
            np.einsum("np,mpq->nmq", columns, own, optimize=True)
            for columns, own in zip(blocks.columns, self.coefficients, strict=True)
        ]
        return self.weights.probability(np.stack(added, axis=2), blocks.has)

    def slopes(self, has: np.ndarray) -> list[np.ndarray]:
        """(n, p, Q) of each block: linear predictors per standard deviation of each column.

        Of more than two classes less their mean, which does not change probabilities.
        """
        weight, found = self.weights.of_members(has), list[np.ndarray]()
        for place, own in enumerate(self.coefficients):
            slope = np.where(has[:, place, None, None], np.tensordot(weight, own, 1), 0.0)
            found.append(slope - slope.mean(axis=2, keepdims=True) if own.shape[2] > 1 else slope)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {
            **{f"members.{place}": own for place, own in enumerate(self.coefficients)},
            **{f"weights.{name}": values for name, values in self.weights.arrays().items()},
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> FittedClasses:
        """The inverse of `arrays`."""
        own = under(arrays, "members.")
        coefficients = tuple(own[str(place)] for place in range(len(own)))
        return FittedClasses(coefficients, ClassWeights.from_arrays(under(arrays, "weights.")))


class ClassStack:
    """The estimator of the row `survfuse` for a diagnosis."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse options but `modalities`."""
        refuse_others(model, "modalities")

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit blocks, members and weights; validation patients are training patients like others.

        The threshold is chosen by the cross-fitted probabilities of all of them. For averages with
        other rows there are members too that have not learned from the validation patients, whose
        weights come from the scores of the others.

        Raises NothingToLearnError where no column varies, or fewer than two patients are of a
        second class.
        """
        part = context.part
        outcome = part.outcome_as(Classes)
        known, classes = outcome.known, len(outcome.names)
        label, weight = outcome.label[known], outcome.weight()[known]
        if not can_compare(label):
            raise NothingToLearnError("fewer than two training patients are of a second class")
        seed = part.seed(context.config.training.seed) % 2**31
        reads = spec_of(context.model).reads
        features, blocks = fit_blocks(context.inputs, context.patient_ids, reads, context.config)
        blocks = BlockColumns(tuple(one[known] for one in blocks.columns), blocks.has[known])
        design = design_of(features, blocks)
        validation = part.role[known] == "validation"
        folds = class_folds(label, validation, seed)
        fits = fit_without_each(design, folds, label, weight, classes, seed)
        added = left_out(fits, design, folds)
        sets = sets_of_modalities([block.reads for block in features.blocks])
        weights = fit_class_weights(added, blocks.has, label, weight, classes, sets)
        everybody = np.ones(len(label), dtype=bool)
        members = fit_class_members(design, everybody, label, weight, classes, seed)
        stack = FittedClasses(members.of_columns(design.back), weights)
        others = stack
        if validation.any() and not validation.all():
            rest = ~validation
            own = fit_class_weights(
                *(added[rest], blocks.has[rest], label[rest], weight[rest]), classes, sets
            )
            others = FittedClasses(fits[0].of_columns(design.back), own)
        cross_fitted = weights.probability(added, blocks.has)
        nobody_validates = replace(part, role=np.full(len(known), "train"))
        arrays = {
            **features.arrays(),
            **{f"stack.{name}": values for name, values in stack.arrays().items()},
            **{f"held_out.{name}": values for name, values in others.arrays().items()},
            "threshold": threshold_of(cross_fitted, nobody_validates),
        }
        ids = ids_hash(context.patient_ids)
        spread = spreads(added.sum(axis=2))
        return arrays, {
            **features.to_json(),
            "stack": described_members(design, members.chosen, weights.shared, spread),
            "fitted_on": {"blocks": ids, "members": ids, "weights": ids},
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> ClassPrediction:
        """Probabilities of the classes, by the members that the context asks for."""
        features = BlockFeatures.from_stored(fitted.arrays, fitted.fit)
        stored = fitted.under("held_out." if context.held_out else "stack.")
        stack, ids = FittedClasses.from_arrays(stored), context.patient_ids
        blocks = features.transform(context.inputs, ids, context.config)
        attention: dict[str, list[np.ndarray]] = {}
        if context.attention:
            attention = attention_of(features, stack.slopes(blocks.has), context.inputs, ids)
        return ClassPrediction(
            tuple(ids),
            stack.probability(blocks)[None],
            float(fitted.arrays["threshold"][0]),
            np.zeros(len(ids), dtype=bool),
            attention,
        )
