"""Networks whose weights are solved for: what they read of all training patients, once."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from survfuse.models.networks.interface import SolvedModel, SurvivalTargets
from survfuse.splits.outer_folds import assign_folds
from survfuse.training.batches import within_budget
from survfuse.training.fit import TrainingRun
from survfuse.training.prepared import Prepared
from survfuse.training.resume import copied

log = logging.getLogger(__name__)

FOLDS = 5


def fit_solved(prepared: Prepared, seed: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of one member, and how they were found; `seed` draws its folds."""
    run, model = prepared.run, prepared.build()
    targets = run.targets
    assert isinstance(model, SolvedModel)
    rows = np.array(run.train_rows)
    columns, has = read(model.eval(), run)

    def loss(places: Tensor, log_hazard: Tensor) -> Tensor:
        """Cox's, which is a mean over events, summed."""
        known = targets.of(rows[places.numpy()].tolist())
        assert isinstance(known, SurvivalTargets), "the registry offers them no other task"
        return known.loss(log_hazard[:, None]) * known.event.sum()

    strata = targets.groups[rows]
    folds = assign_folds(strata, FOLDS, np.random.default_rng(seed))
    described = model.solve(columns, has, loss, torch.from_numpy(folds))
    log.info("solved: %s", described)
    return copied(model), described


@torch.inference_mode()
def read(model: SolvedModel, run: TrainingRun) -> tuple[Tensor, Tensor]:
    """Columns (n, p) of the training patients, from all their tiles, and what they have (n, M)."""
    sizes = [run.source.bag_size(row) for row in run.train_rows]
    batches = [run.source.batch(b) for b in within_budget(run.train_rows, sizes, run.settings)]
    return (
        torch.cat([model.read(batch) for batch in batches]),
        torch.cat([model.has(batch) for batch in batches]),
    )
