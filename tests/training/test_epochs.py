"""The number of epochs by cross-validation inside the training part."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
import pytest
import torch

from survfuse.artifacts.checkpoint import ids_hash
from survfuse.artifacts.follow_up import FollowUp
from survfuse.config.study import Config
from survfuse.splits.training_part import TrainingPart
from survfuse.training import epochs
from survfuse.training.epochs import FOLDS, best_epochs, cross_validated_epochs
from survfuse.training.fit import TrainingRun
from survfuse.training.neural import fit_neural, prepare
from survfuse.training.progress import Epoch, Progress
from training_fixture import cohort

CPU = torch.device("cpu")
N = 60


def configuration(**training: object) -> Config:
    settings = {"epochs": 4, "members": 2, "min_events_per_bin": 3, "learning_rate": 1e-3}
    return Config.model_validate(
        {
            "name": "epochs",
            "output": "unused",
            "cohort": {"patients": "x.tsv", "covariates": {"age": {"type": "continuous"}}},
            "training": settings | {"stop": "cross_validation"} | training,
            "models": [
                {"name": "clinical_cox", "kind": "clinical_cox"},
                {"name": "m", "kind": "snn"},
            ],
        }
    )


def part_of(inputs: object, time: np.ndarray, event: np.ndarray) -> TrainingPart:
    role = np.where(np.arange(N) % 5 == 0, "validation", "train")
    return TrainingPart(0, 0, np.array(inputs.patients.index), role, FollowUp(time, event))


def test_everybody_is_trained_on_for_the_median_of_the_folds(tmp_path: Path) -> None:
    inputs, time, event = cohort(n=N)
    part, config = part_of(inputs, time, event), configuration()
    prepared = prepare(config, config.models[1], part, inputs)
    assert sorted(prepared.run.train_rows) == list(range(N))
    assert not prepared.run.validation_rows
    assert prepared.described["fitted_on"]["bins"] == ids_hash(part.patient_ids.tolist())
    _, described = fit_neural(prepared, tmp_path, "key", CPU)
    assert len(described["best_epochs_of_folds"]) == FOLDS
    chosen = [
        round(median(stage)) for stage in zip(*described["best_epochs_of_folds"], strict=True)
    ]
    assert described["epochs"] == chosen and 1 <= chosen[0] <= 4
    assert len(described["histories"]) == 2
    for member in described["histories"]:
        assert len(member["history"]) == chosen[0]
        assert all(one["validation_loss"] is None for one in member["history"])


def test_every_patient_stops_one_fold_and_trains_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, time, event = cohort(n=N)
    config = configuration()
    prepared = prepare(config, config.models[1], part_of(inputs, time, event), inputs)
    runs: list[TrainingRun] = []

    def fit(_build: object, run: TrainingRun, *_rest: object) -> tuple[None, Progress]:
        runs.append(run)
        losses = [5.0, 4.0, 3.0, 4.0] if len(runs) < 4 else [1.0, 2.0, 3.0, 4.0]
        history = [Epoch(0, number, 0.0, loss) for number, loss in enumerate(losses)]
        return None, Progress(tuple(history))

    monkeypatch.setattr(epochs, "fit_member", fit)
    chosen, found = cross_validated_epochs(prepared, None, tmp_path, "key")
    assert found == [[3], [3], [3], [1], [1]] and chosen == (3,)
    stopping = [row for run in runs for row in run.validation_rows]
    assert sorted(stopping) == list(range(N))
    for run in runs:
        assert sorted(run.train_rows + run.validation_rows) == list(range(N))
        events = event[list(run.validation_rows)].sum()
        assert abs(events - event.sum() / FOLDS) < 1
    assert len({run.seed for run in runs}) == FOLDS


def test_the_best_epoch_of_every_stage() -> None:
    history = [
        *(Epoch(0, number, 0.0, loss) for number, loss in enumerate([3.0, 1.0, 2.0])),
        *(Epoch(1, number, 0.0, loss) for number, loss in enumerate([0.5, 0.7])),
    ]
    assert best_epochs(history) == [2, 1]
