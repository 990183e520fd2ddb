"""Whole fits: losses, tuning, processes; stored, and used again."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import concordance_index_censored

from survfuse.artifacts.checkpoint import FittedModel, read_fitted, write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.config.study import Config
from survfuse.config.training import TrainingConfig
from survfuse.core.device import choose_device
from survfuse.core.errors import MissingResourceError, UserInputError
from survfuse.models.classical.cox import breslow
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.survival.learning.networks import predict_neural
from survfuse.training import engine, neural, tuning
from survfuse.training.engine import start_engine
from survfuse.training.ensemble import ensemble
from survfuse.training.fit import TrainingRun
from survfuse.training.neural import check_options, fit_neural, prepare
from survfuse.training.progress import Progress
from survfuse.training.stage import check_models
from training_fixture import cohort

CPU = torch.device("cpu")
GRID = np.array([6.0, 12.0, 24.0])


def configuration(kind: str, options: dict | None = None, **training: object) -> Config:
    return Config.model_validate(
        {
            "name": "engine",
            "output": "unused",
            "cohort": {
                "patients": "unused.tsv",
                "covariates": {"age": {"type": "continuous"}},
            },
            "training": {
                "epochs": 6,
                "members": 1,
                "batch_size": 16,
                "learning_rate": 1e-3,
                "min_events_per_bin": 3,
                **training,
            },
            "models": [
                {"name": "clinical_cox", "kind": "clinical_cox"},
                {"name": "m", "kind": kind, "options": options or {}},
            ],
        }
    )


def fitted(config: Config, home: Path) -> tuple[FittedModel, float]:
    """The model of one fold, through its files, and its C-index on the patients held out."""
    inputs, time, event = cohort(n=160)
    ids = np.array(inputs.patients.index)
    role = np.where(np.arange(100) % 5 == 0, "validation", "train")
    part = TrainingPart(0, 0, ids[:100], role, FollowUp(time[:100], event[:100]))
    model = config.models[1]
    tensors, described = fit_neural(prepare(config, model, part, inputs), home, "key", CPU)
    write_fitted(home / "out", model.kind, tensors, described)
    stored = read_fitted(home / "out")
    team = ensemble(stored, model, inputs, ids[100:].tolist(), config.training, CPU)
    prediction = predict_neural(team, GRID)
    assert np.isfinite(prediction.survival).all()
    assert (np.diff(prediction.survival, axis=1) <= 1e-9).all()
    c = concordance_index_censored(event[100:], time[100:], prediction.risk)[0]
    return stored, float(c)


def test_partial_likelihood_predicts_survival_through_breslow(tmp_path: Path) -> None:
    stored, c = fitted(configuration("snn", loss="cox", epochs=20), tmp_path)
    assert stored.fit["loss"] == "cox"
    assert stored.arrays["member0.head.weight"].shape[0] == 1
    assert "edges_months" not in stored.arrays
    assert c > 0.6


def test_breslow_equals_scikit_survival() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 1))
    time = np.round(generator.exponential(20, 80), 0) + 1  # with ties
    event = generator.random(80) < 0.6
    outcome = np.array(list(zip(event, time, strict=True)), dtype=[("e", bool), ("t", float)])
    reference = CoxPHSurvivalAnalysis(ties="breslow").fit(x, outcome)
    ours = breslow(x @ reference.coef_, time, event)
    expected = reference.cum_baseline_hazard_
    np.testing.assert_allclose(ours.times, expected.x)
    np.testing.assert_allclose(ours.hazard, expected.y, rtol=1e-6)


@pytest.mark.parametrize("kind", ["dispro", "pibd"])
def test_models_that_need_bins_refuse_the_partial_likelihood(kind: str) -> None:
    with pytest.raises(UserInputError, match=r"training\.loss"):
        check_options(configuration(kind, loss="cox"), configuration(kind).models[1])
    check_models(configuration(kind))


def test_tuning_is_bounded_recorded_and_never_worse_on_the_validation_patients(
    tmp_path: Path,
) -> None:
    plain, _ = fitted(configuration("snn", {"width": 8}), tmp_path / "plain")
    tuning = {"trials": 3, "learning_rate": [1e-3, 1e-2]}
    tuned, _ = fitted(configuration("snn", {"width": 8}, tuning=tuning), tmp_path / "tuned")
    chosen = tuned.fit["tuned"]
    assert plain.fit["tuned"] == {}
    assert chosen["trials"] == 3
    assert 1e-3 <= chosen["learning_rate"] <= 1e-2
    assert 0 <= chosen["options"]["dropout"] <= 0.5
    assert chosen["options"]["width"] == 8
    assert chosen["validation_loss"] <= plain.fit["histories"][0]["best_loss"] + 1e-9
    assert tuned.fit["histories"][0]["best_loss"] == pytest.approx(chosen["validation_loss"])


@pytest.mark.parametrize(
    ("rate", "decay"),
    [(1e-3, 1e-4), (1e-2, 1e-4), (1e-3, 0.0), (1e-2, 0.0)],  # the first lies within the ranges
)
def test_tuning_tries_the_configured_settings_first_as_they_are(
    rate: float, decay: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is the distance from them, so any other choice would be worse."""
    wanted = {"learning_rate": rate, "weight_decay": decay, "tuning": {"trials": 4}}
    inputs, time, event = cohort(n=60)
    role = np.where(np.arange(60) % 5 == 0, "validation", "train")
    part = TrainingPart(0, 0, np.array(inputs.patients.index), role, FollowUp(time, event))
    config = configuration("snn", **wanted)
    tried = []

    def fit(_build: object, run: TrainingRun, *_rest: object) -> tuple[None, Progress]:
        found = (run.settings.learning_rate, run.settings.weight_decay)
        tried.append(found)
        return None, Progress(best_loss=abs(found[0] - rate) + abs(found[1] - decay))

    monkeypatch.setattr(tuning, "fit_member", fit)
    prepared = prepare(config, config.models[1], part, inputs)
    chosen, _ = tuning.tuned(prepared, start_engine(config.training, CPU), tmp_path, "key")
    assert tried[0] == (rate, decay) == (chosen["learning_rate"], chosen["weight_decay"])
    assert chosen["validation_loss"] == 0
    ranges = config.training.tuning
    for other in tried[1:]:
        assert ranges.learning_rate[0] <= other[0] <= ranges.learning_rate[1]
        assert ranges.weight_decay[0] <= other[1] <= ranges.weight_decay[1]
    assert len(tried) == 4 and tried[0] not in tried[1:]


def test_missingness_is_recorded_with_what_it_did(tmp_path: Path) -> None:
    stored, _ = fitted(configuration("cmta", {"width": 16}, epochs=1), tmp_path)
    described = stored.fit["missingness"]
    assert described["policy"] == "equalise"
    assert set(described["missing_rate"]) == {"slides", "omics"}


def test_a_fold_whose_training_patients_all_lack_genes_still_trains(tmp_path: Path) -> None:
    """As where `cohort.missing` withholds them all; those of a test patient are then not read."""
    config = configuration("sparse_factors", epochs=1)
    inputs, time, event = cohort(n=60)
    ids = np.array(inputs.patients.index)
    role = np.where(np.arange(50) % 5 == 0, "validation", "train")
    part = TrainingPart(0, 0, ids[:50], role, FollowUp(time[:50], event[:50]))
    less = inputs.without({"omics": ids[:50].tolist()})
    model = config.models[1]
    arrays, described = fit_neural(prepare(config, model, part, less), tmp_path, "key", CPU)
    fold = FittedModel(model.kind, arrays, described)
    tested = ids[50:55].tolist()
    risks = [
        predict_neural(ensemble(fold, model, seen, tested, config.training, CPU), GRID).risk
        for seen in (inputs, inputs.without({"omics": tested}))
    ]
    np.testing.assert_array_equal(*risks)


@pytest.mark.slow
def test_two_processes_train_the_same_network_as_one(tmp_path: Path) -> None:
    """Gradients are averaged over processes; without dropout the sum is that of one process."""
    options = {"width": 8, "dropout": 0.0}
    settings = {"epochs": 2, "modality_dropout": 0.0}
    one, _ = fitted(configuration("snn", options, **settings), tmp_path / "one")
    two, _ = fitted(configuration("snn", options, devices=2, **settings), tmp_path / "two")
    for name, value in one.arrays.items():
        np.testing.assert_allclose(value, two.arrays[name], atol=1e-5, rtol=0, err_msg=name)


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(MissingResourceError, match="no GPU"):
        choose_device("cuda")
    settings = configuration("snn", devices=4).training
    with pytest.raises(MissingResourceError, match="request more"):
        start_engine(settings, torch.device("cuda"))


def test_the_hint_to_use_srun_reaches_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lightning gives it wherever SLURM is installed, also to jobs that were started by srun."""
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start_engine(TrainingConfig(), torch.device("cpu"))
    assert not caught
    assert capfd.readouterr() == ("", "")


def test_nothing_is_filled_to_find_what_reads_the_unwritten(tmp_path: Path) -> None:
    """It takes a part of every step, and the weights are the same to the last bit."""
    config = configuration("abmil", epochs=3)
    quick, _ = fitted(config, tmp_path / "quick")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
        for module in (engine, neural):
            patch.setattr(module, "repeat_exactly", lambda *_, **__: None)
        filled, _ = fitted(config, tmp_path / "filled")
        assert torch.utils.deterministic.fill_uninitialized_memory
    assert quick.arrays.keys() == filled.arrays.keys()
    for name, values in quick.arrays.items():
        assert np.array_equal(values, filled.arrays[name]), name
