"""The row `residual_ridge`: what genes, slides and the like add to the clinical Cox model.

The log-hazard of the clinical Cox model is an offset, to which one ridge Cox model of the blocks of
all other modalities adds; each block has a penalty of its own. What is known of old is neither
shrunk nor explained away by thousands of columns, so the gain of a block is what it adds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import Prediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import PATIENT_TABLE
from survfuse.models.classical.cox import breslow
from survfuse.models.classical.options import refuse_others
from survfuse.models.estimator import FitContext, PredictContext
from survfuse.models.specs import spec_of
from survfuse.models.stacking.blocks import BlockColumns, BlockFeatures, fit_blocks
from survfuse.models.stacking.joint_ridge import fit_joint_ridge
from survfuse.models.stacking.members import (
    Design,
    Members,
    clinical_columns,
    cross_fitted,
    design_of,
    finite,
    fit_clinical,
)
from survfuse.models.stacking.survfuse import FittedStack, outcomes_of, predicted
from survfuse.models.stacking.weights import StackWeights, sets_of_modalities


class ResidualRidge:
    """The estimator of the row `residual_ridge`: a stack of one member, as it is."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse options but `modalities`, and those that leave nothing to add, or to add to."""
        refuse_others(model, "modalities")
        reads = spec_of(model).reads
        if PATIENT_TABLE not in reads or len(reads) < 2:
            raise UserInputError(
                f"models.{model.name}: residual_ridge adds other modalities to the clinical Cox "
                f"model; list {PATIENT_TABLE} and at least one other in options.modalities"
            )

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Fit offset and residual; validation patients are training patients like others.

        Raises NothingToLearnError where no column varies, or fewer than two patients have an event.
        """
        reads = spec_of(context.model).reads
        time, event, seed = outcomes_of(context)
        everything = fit_blocks(context.inputs, context.patient_ids, reads, context.config)
        features, blocks = without_interactions(*everything)
        design = design_of(features, blocks)
        weights = as_it_is(features)
        added = cross_fitted(design, time, event, seed, fit_residual)
        score = weights.contributions(added, blocks.has).sum(axis=1)
        members = fit_residual(design, np.ones(len(time), dtype=bool), time, event, seed)
        coefficients = members.of_columns(design.back)
        stack = FittedStack(features, coefficients, weights, breslow(score, time, event))
        ids = ids_hash(context.patient_ids)
        return stack.arrays(), {
            **features.to_json(),
            **members.chosen[0],
            "fitted_on": {"blocks": ids, "offset": ids, "residual": ids},
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """Log-hazards and curves, NaN beyond the follow-up of training."""
        return predicted(FittedStack.from_stored(fitted.arrays, fitted.fit), context)


def without_interactions(
    features: BlockFeatures, blocks: BlockColumns
) -> tuple[BlockFeatures, BlockColumns]:
    """The same, of the blocks of one modality each."""
    kept = [place for place, block in enumerate(features.blocks) if len(block.reads) == 1]
    columns = tuple(blocks.columns[place] for place in kept)
    own = tuple(features.blocks[place] for place in kept)
    return replace(features, blocks=own, axes={}), BlockColumns(columns, blocks.has[:, kept])


def as_it_is(features: BlockFeatures) -> StackWeights:
    """The weights of one member that is not weighed anew, whatever a patient has.

    Nor centred: the average training patient who has a block is at 0 already.
    """
    sets = sets_of_modalities([block.reads for block in features.blocks])
    centre = np.zeros((len(sets), 1, len(features.blocks)))
    return StackWeights(sets, centre, np.ones((len(sets), 1)))


def fit_residual(
    design: Design, rows: np.ndarray, time: np.ndarray, event: np.ndarray, seed: int
) -> Members:
    """One member, offset and residual together, fitted on the patients `rows` (n,) bool.

    Described by the penalty of the clinical model, and by penalty and gain of each other block.
    """
    time, event = time[rows], event[rows]
    clinical, back = clinical_columns(design, rows)
    own, penalty = fit_clinical(clinical, time, event)
    residual = fit_joint_ridge(
        np.empty((len(time), 0)),
        [design.reduced[place][rows] for place in design.others],
        time,
        event,
        seed,
        offset=clinical @ own,
    )
    known = {} if design.known is None else {design.known: own * back}
    added = dict(zip(design.others, residual.coefficients, strict=True))
    named = [design.names[place] for place in design.others]
    described = {
        name: {"penalty": finite(penalty), "gain": gain}
        for name, penalty, gain in zip(named, residual.penalties, residual.gains, strict=True)
    }
    chosen = {"offset": {"penalty": penalty}, "residual": described, "gain": residual.gain}
    return Members(({**known, **added},), (chosen,))


SURVIVAL = ResidualRidge()
