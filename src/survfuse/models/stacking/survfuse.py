"""The row `survfuse`: clinical Cox, a ridge Cox model of each block and one of all, stacked.

The members are weighed by a Cox model of their cross-fitted scores without negative weights; a
curve of survival comes from Breslow's baseline for these scores. Everything is linear in the
columns but for products of components, so what each input adds to the log-hazard of a patient is
known exactly. docs/reference/models.md has the equations, the sources and what was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash, under
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.models.classical.cox import CoxModel, breslow
from survfuse.models.classical.options import refuse_others
from survfuse.models.estimator import FitContext, NothingToLearnError, PredictContext
from survfuse.models.specs import spec_of
from survfuse.models.stacking.blocks import BlockColumns, BlockFeatures, fit_blocks
from survfuse.models.stacking.class_stack import ClassStack
from survfuse.models.stacking.members import (
    cross_fitted,
    described_members,
    design_of,
    fit_members,
)
from survfuse.models.stacking.ridge_cox import LEAST_EVENTS
from survfuse.models.stacking.tile_attention import attention_of
from survfuse.models.stacking.weights import StackWeights, fit_stack_weights, sets_of_modalities


@dataclass(frozen=True)
class FittedStack:
    """A fitted stack: how patients become blocks, and what follows from them.

    coefficients: (M, p) of each block, of each member's score. weights: of the members.
    baseline: of the log-hazard.
    """

    features: BlockFeatures
    coefficients: tuple[np.ndarray, ...]
    weights: StackWeights
    baseline: CoxModel

    def contributions(self, blocks: BlockColumns) -> np.ndarray:
        """(n, B) what each block adds to the log-hazard."""
        added = [
            columns @ own.T for columns, own in zip(blocks.columns, self.coefficients, strict=True)
        ]
        return self.weights.contributions(np.stack(added, axis=2), blocks.has)

    def slopes(self, has: np.ndarray) -> list[np.ndarray]:
        """(n, p) of each block: log-hazard per standard deviation of each column, 0 if absent."""
        weight = self.weights.weight[self.weights.sets_of(has)]
        return [
            np.where(has[:, [place]], weight @ own, 0.0)
            for place, own in enumerate(self.coefficients)
        ]

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""
        return {
            **self.features.arrays(),
            **{f"members.{place}": own for place, own in enumerate(self.coefficients)},
            **{f"weights.{name}": values for name, values in self.weights.arrays().items()},
            **{f"baseline.{name}": values for name, values in self.baseline.arrays().items()},
        }

    @staticmethod
    def from_stored(arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]) -> FittedStack:
        """The inverse of `arrays`, and of what `BlockFeatures` describes."""
        features = BlockFeatures.from_stored(arrays, described)
        own = tuple(arrays[f"members.{place}"] for place in range(len(features.blocks)))
        weights = StackWeights.from_arrays(under(arrays, "weights."))
        return FittedStack(features, own, weights, CoxModel(**under(arrays, "baseline.")))


class BlockStack:
    """The estimator of the row `survfuse`."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse options but `modalities`."""
        refuse_others(model, "modalities")

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit blocks, members and weights; validation patients are training patients like others.

        Raises NothingToLearnError where no column varies, or fewer than two patients have an event.
        """
        reads = spec_of(context.model).reads
        time, event, seed = outcomes_of(context)
        features, blocks = fit_blocks(context.inputs, context.patient_ids, reads, context.config)
        design = design_of(features, blocks)
        added = cross_fitted(design, time, event, seed)
        sets = sets_of_modalities([block.reads for block in features.blocks])
        weights = fit_stack_weights(added, blocks.has, time, event, sets)
        everybody = np.ones(len(time), dtype=bool)
        members = fit_members(design, everybody, time, event, seed)
        coefficients = members.of_columns(design.back)
        score = weights.contributions(added, blocks.has).sum(axis=1)
        stack = FittedStack(features, coefficients, weights, breslow(score, time, event))
        ids, spread = ids_hash(context.patient_ids), added.sum(axis=2).std(axis=0)
        return stack.arrays(), {
            **features.to_json(),
            "stack": described_members(design, members.chosen, weights, spread),
            "fitted_on": {"blocks": ids, "members": ids, "weights": ids},
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """Log-hazards and curves, NaN beyond the follow-up of training."""
        return predicted(FittedStack.from_stored(fitted.arrays, fitted.fit), context)


def outcomes_of(context: FitContext) -> tuple[np.ndarray, np.ndarray, int]:
    """Times (n,) and events (n,) of the training patients, and a seed of the fold.

    Raises NothingToLearnError where fewer than two of them have an event.
    """
    part, followed = context.part, context.part.outcome_as(FollowUp)
    if followed.event.sum() < LEAST_EVENTS:
        raise NothingToLearnError("fewer than two training patients have an event")
    seed = part.seed(context.config.training.seed) % 2**31
    return followed.time_months, followed.event, seed


def predicted(stack: FittedStack, context: PredictContext) -> Prediction:
    """What a fitted stack predicts of patients."""
    blocks = stack.features.transform(context.inputs, context.patient_ids, context.config)
    score = stack.contributions(blocks).sum(axis=1)
    grid = np.array(context.config.grid_months())
    survival = stack.baseline.survival(score[:, None], grid)
    attention: dict[str, list[np.ndarray]] = {}
    if context.attention:
        slopes = [slope[:, :, None] for slope in stack.slopes(blocks.has)]
        attention = attention_of(stack.features, slopes, context.inputs, context.patient_ids)
    return Prediction(tuple(context.patient_ids), score, survival[None], attention)


SURVIVAL = BlockStack()
DIAGNOSIS = ClassStack()
