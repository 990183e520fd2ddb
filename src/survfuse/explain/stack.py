"""Explaining the row `survfuse` in one fold, exactly: it is linear but for products of components.

The attributions are integrated gradients from the average training patient, as those of networks.
Along that path the slope of a product of two components changes evenly, so that its mean is the
slope half way: nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from survfuse.artifacts.checkpoint import FittedModel
from survfuse.artifacts.explanations import FoldExplanation
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.explain.exchange import DRAWS, cyclic_permutation
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.models.stacking.blocks import BlockColumns, BlockFeatures, side_by_side
from survfuse.models.stacking.survfuse import FittedStack
from survfuse.training.predict import TestedFold


def explain(
    config: Config, _model: ModelConfig, fitted: FittedModel, fold: TestedFold, _device: str
) -> FoldExplanation:
    """What moved the estimates of the patients that a fold is tested on."""
    stack = FittedStack.from_stored(fitted.arrays, fitted.fit)
    features, inputs = stack.features, fold.inputs
    blocks = features.transform(inputs, fold.patient_ids, config)
    parts = {
        name: tuple(named)
        for name in features.modalities
        if (named := modality(name).parts(inputs.stores.get(name), features.scalers.fitted[name]))
    }
    columns = attributions(stack, blocks, tuple(parts))
    attribution = {
        name: by_part(features, inputs, config, name, columns[name], blocks) for name in parts
    }
    risk = stack.contributions(blocks).sum(axis=1)
    explained = sum((np.nansum(one, axis=1) for one in attribution.values()), np.zeros(len(risk)))
    return FoldExplanation(
        repeat=fold.repeat,
        fold=fold.number,
        members=1,
        patient_ids=tuple(fold.patient_ids),
        risk=risk,
        at_average=risk - explained,
        names=parts,
        attribution=attribution,
        same_sign={name: np.full(one.shape, np.nan) for name, one in attribution.items()},
        permuted=permuted_risks(stack, blocks, config.training.seed),
        group_attention=np.empty((len(risk), 0)),
        attention_agreement={},
    )


def attributions(
    stack: FittedStack, blocks: BlockColumns, attributed: Sequence[str]
) -> dict[str, np.ndarray]:
    """(n, columns of all blocks of a modality end to end) log-hazard by modality.

    From the patient with average values of the `attributed` modalities, and his own of the others.
    """
    features, slopes = stack.features, stack.slopes(blocks.has)
    own = {
        name: side_by_side([blocks.columns[place] for place in features.of(name)])
        for name in features.modalities
        if features.of(name)
    }
    slope = {name: side_by_side([slopes[place] for place in features.of(name)]) for name in own}
    for place, block in enumerate(features.blocks):
        if len(block.reads) == 1:
            continue
        one, other = block.reads
        first, second = own[one] @ features.axes[one], own[other] @ features.axes[other]
        flat = np.zeros((len(first), len(block.kept)))
        flat[:, block.kept] = slopes[place] / block.std
        each = flat.reshape(len(first), first.shape[1], second.shape[1])
        half = 0.5 if one in attributed and other in attributed else 1.0
        slope[one] = slope[one] + half * np.einsum(
            "njk,nk,pj->np", each, second, features.axes[one]
        )
        slope[other] = slope[other] + half * np.einsum(
            "njk,nj,pk->np", each, first, features.axes[other]
        )
    return {name: own[name] * slope[name] for name in attributed if name in own}


def by_part(
    features: BlockFeatures,
    inputs: CohortInputs,
    config: Config,
    name: str,
    columns: np.ndarray,
    blocks: BlockColumns,
) -> np.ndarray:
    """(n, parts) attributions of columns, summed within each part; NaN for who lacks it."""
    store, scaling = inputs.stores.get(name), features.scalers.fitted[name]
    raw = modality(name).blocks(store, scaling, [], config)
    shares = [
        modality(name).part_shares(store, scaling, raw[block.name][1])[block.kept]
        for place in features.of(name)
        for block in [features.blocks[place]]
    ]
    has = blocks.has[:, features.of(name)[0]]
    summed = columns @ np.concatenate(shares)
    return np.where(has[:, None], summed, np.nan)


def permuted_risks(stack: FittedStack, blocks: BlockColumns, seed: int) -> dict[str, np.ndarray]:
    """(draws, n) risk with a modality taken from another patient who has it; NaN without it."""
    features, risks = stack.features, dict[str, np.ndarray]()
    for name in features.modalities:
        if not (places := features.of(name)):
            continue
        present = np.flatnonzero(blocks.has[:, places[0]])
        if len(present) < 2:
            continue
        drawn = np.full((DRAWS, len(blocks.has)), np.nan)
        for draw in range(DRAWS):
            receivers, donors = cyclic_permutation(present, (seed, draw), name)
            taken = {place: blocks.columns[place][donors] for place in places}
            mixed = exchanged(features, blocks, receivers, taken)
            drawn[draw, receivers] = stack.contributions(mixed).sum(axis=1)
        risks[name] = drawn
    return risks


def exchanged(
    features: BlockFeatures,
    blocks: BlockColumns,
    rows: np.ndarray,
    taken: Mapping[int, np.ndarray],
) -> BlockColumns:
    """The blocks of the patients `rows`, some of them taken from others, with their products."""
    columns = list[np.ndarray]()
    for place, block in enumerate(features.blocks):
        if len(block.reads) == 1:
            columns.append(taken.get(place, blocks.columns[place][rows]))
        else:
            products = features.products(block.reads, columns, features.axes)
            columns.append(block.standardise(products, blocks.has[rows, place]))
    return BlockColumns(tuple(columns), blocks.has[rows])
