"""How many epochs to train, by cross-validation inside the training part.

The best epoch on one validation part is a noisy estimate: it varies from one to dozens with who is
in it. Here every patient is a validation patient once, and the network is then trained on all of
them, for the median of the best epochs.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from survfuse.core.files import sha256_json
from survfuse.splits.outer_folds import assign_folds
from survfuse.training.fit import fit_member, hash_seed
from survfuse.training.prepared import Prepared
from survfuse.training.progress import Epoch
from survfuse.training.resume import Resume

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

FOLDS = 5


def cross_validated_epochs(
    prepared: Prepared, fabric: Fabric, scratch: Path, resume_key: str
) -> tuple[tuple[int, ...], list[list[int]]]:
    """The epochs of each stage, and the best epochs of each fold by stage.

    In each of five folds, stratified by the outcome, a network is trained on the others and stopped
    by the fold.
    """
    run = prepared.run
    rows = np.array(run.train_rows)
    folds = assign_folds(run.targets.groups[rows], FOLDS, np.random.default_rng(run.seed))
    found = []
    for fold in range(FOLDS):
        one = replace(
            run,
            train_rows=tuple(rows[folds != fold].tolist()),
            validation_rows=tuple(rows[folds == fold].tolist()),
            seed=hash_seed(run.seed, FOLDS, fold),
        )
        resume = Resume(scratch / f"epochs{fold}.safetensors", sha256_json([resume_key, fold]))
        _, progress = fit_member(prepared.build, one, fabric, resume)
        found.append(best_epochs(progress.history))
        log.info("inner fold %d: best after %s epochs", fold + 1, found[-1])
    return tuple(round(median(stage)) for stage in zip(*found, strict=True)), found


def best_epochs(history: Sequence[Epoch]) -> list[int]:
    """After how many epochs of each stage the loss of the validation patients was least.

    >>> best_epochs([Epoch(0, 0, 1.0, 0.9), Epoch(0, 1, 0.8, 0.7), Epoch(0, 2, 0.7, 0.8)])
    [2]
    """
    stages = sorted({epoch.stage for epoch in history})
    return [
        1
        + min(
            (epoch for epoch in history if epoch.stage == stage),
            key=lambda epoch: np.inf if epoch.validation_loss is None else epoch.validation_loss,
        ).epoch
        for stage in stages
    ]
