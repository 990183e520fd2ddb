"""Networks whose weights are solved for: on whom, from what, and what of the settings applies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from survfuse.artifacts.checkpoint import FittedModel, ids_hash
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.study import Config
from survfuse.modalities.cohort import CohortInputs
from survfuse.models.networks.registry import MODELS
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.survival.learning.networks import predict_neural
from survfuse.training import solved
from survfuse.training.ensemble import ensemble
from survfuse.training.fit import TrainingRun
from survfuse.training.neural import fit_neural, prepare
from survfuse.training.solved import read
from training_fixture import cohort

CPU = torch.device("cpu")
N, TESTED = 120, 40
GRID = np.arange(1.0, 25.0)


def configuration(**training: object) -> Config:
    return Config.model_validate(
        {
            "name": "solved",
            "output": "unused",
            "cohort": {"patients": "x.tsv", "covariates": {"age": {"type": "continuous"}}},
            "training": {"members": 2} | training,
            "models": [
                {"name": "clinical_cox", "kind": "clinical_cox"},
                {"name": "m", "kind": "sparse_factors"},
            ],
        }
    )


def fitted(config: Config, tmp_path: Path) -> tuple[FittedModel, CohortInputs, TrainingPart]:
    inputs, time, event = cohort(n=N)
    ids = np.array(inputs.patients.index)[TESTED:]
    role = np.where(np.arange(N - TESTED) % 5 == 0, "validation", "train")
    part = TrainingPart(0, 0, ids, role, FollowUp(time[TESTED:], event[TESTED:]))
    prepared = prepare(config, config.models[1], part, inputs.only(ids.tolist()))
    assert not prepared.run.validation_rows
    assert prepared.described["fitted_on"]["scalers"] == ids_hash(ids.tolist())
    arrays, described = fit_neural(prepared, tmp_path, "key", CPU)
    return FittedModel("sparse_factors", arrays, described), inputs, part


def predicted(fold: FittedModel, inputs: CohortInputs, config: Config) -> Prediction:
    tested = inputs.patients.index[:TESTED].tolist()
    team = ensemble(fold, config.models[1], inputs, tested, config.training, CPU)
    return predict_neural(team, GRID)


def test_it_learns_from_validation_patients_too_and_ranks_others(tmp_path: Path) -> None:
    config = configuration()
    fold, inputs, _ = fitted(config, tmp_path)
    assert fold.fit["loss"] == "cox" and len(fold.fit["histories"]) == 2
    assert all(one["columns"]["omics"] > 0 for one in fold.fit["histories"])
    prediction = predicted(fold, inputs, config)
    genes = inputs.stores["omics"].values[:TESTED, :4].mean(axis=1)
    assert np.corrcoef(prediction.risk, genes)[0, 1] > 0.4
    assert prediction.members.shape == (2, TESTED, len(GRID))
    known = np.isfinite(prediction.survival).all(axis=0)
    falling = np.diff(prediction.survival[:, known], axis=1)
    assert known.sum() > 5 and (falling <= 1e-9).all()


def test_settings_of_training_by_steps_do_not_apply(tmp_path: Path) -> None:
    plain, _, _ = fitted(configuration(), tmp_path / "plain")
    steps = {"stop": "fixed", "epochs": 1, "learning_rate": 1.0, "loss": "nll"}
    other, _, _ = fitted(configuration(**steps), tmp_path / "other")
    for name, values in plain.arrays.items():
        np.testing.assert_array_equal(values, other.arrays[name], err_msg=name)


def test_members_differ_by_the_folds_that_choose_their_penalties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, drawn = solved.assign_folds, []

    def noted(strata: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
        drawn.append(genuine(strata, folds, rng))
        return drawn[-1]

    monkeypatch.setattr(solved, "assign_folds", noted)
    _, _, part = fitted(configuration(), tmp_path)
    assert len(drawn) == 2 and (drawn[0] != drawn[1]).any()
    for folds in drawn:
        events = [part.outcome.event[folds == fold].sum() for fold in range(5)]
        assert max(events) - min(events) <= 1


def test_columns_are_read_of_all_tiles_in_the_order_of_the_patients() -> None:
    config = configuration(max_tiles=1, batch_size=7)
    inputs, time, event = cohort(n=N)
    ids = np.array(inputs.patients.index)
    part = TrainingPart(0, 0, ids, np.full(N, "train"), FollowUp(time, event))
    prepared = prepare(config, config.models[1], part, inputs)
    run: TrainingRun = prepared.run
    columns, has = read(prepared.build(), run)
    width = run.source.shapes(1).dim("slides")
    for row in (0, 57, N - 1):
        if has[row, 0]:
            tiles = run.source.batch([row]).tokens["slides"][0]
            torch.testing.assert_close(columns[row, :width], tiles.mean(dim=0))
    assert has.tolist() == [[bool(s), bool(o), True] for s, o in run.source.available[:, :2]]


def test_the_registry_knows_which_are_solved() -> None:
    assert [kind for kind, entry in MODELS.items() if entry.solved] == ["sparse_factors"]
