"""Batches and the fit loop: determinism, resume, bounded memory, no leak between roles."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inputs_fixture import bags_in, changed, fitting_config, genes_in
from survfuse.artifacts.checkpoint import FittedModel
from survfuse.config.cohort import Covariate
from survfuse.config.models import ModelConfig
from survfuse.config.training import TrainingConfig
from survfuse.core.errors import RetryableError, UserInputError
from survfuse.modalities.scaling import Scalers, fit_scalers
from survfuse.models.networks.registry import build
from survfuse.models.networks.snn import SNN
from survfuse.tasks.survival.learning.missingness import strata_of
from survfuse.tasks.survival.learning.targets import (
    TrainingSurvival,
    cox_survival,
    discrete_survival,
)
from survfuse.training import fit
from survfuse.training.batches import epoch_batches, within_budget
from survfuse.training.engine import start_engine
from survfuse.training.ensemble import Ensemble
from survfuse.training.fit import TrainingRun, fit_member, predict_logits
from survfuse.training.modality_masking import fit_masking
from survfuse.training.progress import Epoch, Progress
from survfuse.training.resume import Resume
from survfuse.training.tokens import TokenSource, token_source
from training_fixture import cohort

SETTINGS = TrainingConfig(epochs=4, patience=4, batch_size=8, learning_rate=1e-3)
BOTH = ("slides", "omics")
EDGES = np.array([6.0, 12.0, 24.0])


MODALITIES = {"abmil": ("slides",), "snn": ("omics",), "cmta": BOTH}
COVARIATES = {"age": Covariate(type="continuous")}
CPU = torch.device("cpu")


def prepared(modalities: tuple[str, ...] = BOTH) -> tuple[TokenSource, TrainingSurvival]:
    inputs, time, event = cohort()
    ids = inputs.patients.index.tolist()
    scalers = fit_scalers(inputs, ids[:40], modalities, fitting_config(COVARIATES))
    fitted = np.arange(len(time)) < 40
    source = token_source(inputs, ids, modalities, scalers)
    return source, discrete_survival(time, event, EDGES, fitted)


def task_of(
    source: TokenSource,
    targets: TrainingSurvival,
    settings: TrainingConfig = SETTINGS,
    seed: int = 3,
    validation: tuple[int, ...] = tuple(range(40, 56)),
) -> TrainingRun:
    fitted = np.arange(len(targets.event)) < 40
    masking = fit_masking(
        settings.missingness,
        settings.modality_dropout,
        source.available,
        strata_of(targets.time_months, targets.event, fitted),
        fitted,
        source.modalities,
    )
    return TrainingRun(source, targets, masking, tuple(range(40)), validation, settings, seed)


def fit_task(
    run: TrainingRun, kind: str, resume: Resume | None = None
) -> tuple[dict[str, torch.Tensor], Progress]:
    options = {} if kind == "snn" else {"width": 32}
    shapes = run.source.shapes(len(run.targets.marginal))
    fabric = start_engine(run.settings, CPU)
    return fit_member(lambda: build(kind, shapes, options), run, fabric, resume)


def fitted(
    kind: str = "abmil", resume: Resume | None = None, **changes: object
) -> tuple[dict[str, torch.Tensor], Progress]:
    return fit_task(task_of(*prepared(MODALITIES[kind]), **changes), kind, resume)


def test_tokens_are_standardised_on_the_training_part() -> None:
    source, _ = prepared()
    train = source.batch(range(40))
    real = [train.tokens["slides"][i][train.mask["slides"][i]].double().mean(0) for i in range(40)]
    torch.testing.assert_close(
        torch.stack(real).mean(0), torch.zeros(5).double(), atol=1e-5, rtol=0
    )
    genes = train.tokens["omics"][:, 0].double().mean(0)
    torch.testing.assert_close(genes, torch.zeros(8).double(), atol=1e-5, rtol=0)


def test_validation_patients_change_no_training_tensor() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    before = fit_scalers(inputs, ids[:40], BOTH, fitting_config()).arrays()
    genes_in(inputs).values[45] = 1e6
    bags_in(inputs)[ids[45]].features[:] = -1e6
    after = fit_scalers(inputs, ids[:40], BOTH, fitting_config()).arrays()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])


def test_availability_and_masks_follow_the_data() -> None:
    source, _ = prepared()
    batch = source.batch([55, 56, 57, 58, 59])
    assert batch.available.tolist() == [
        [True, True],
        [False, True],
        [False, True],
        [True, False],
        [True, False],
    ]
    sizes = [source.bag_size(row) for row in (55, 56, 58)]
    assert batch.mask["slides"].sum(1).tolist()[:2] == [sizes[0], 0]
    assert batch.tokens["slides"].shape[1] == max(source.bag_size(r) for r in range(55, 60))


def test_dead_channels_stay_dead_and_outliers_are_clipped() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    for number, bag in enumerate(bags_in(inputs).values()):
        bag.features[:, 3] = 1 + 1e-6 * (number % 2)
    bags_in(inputs)[ids[50]].features[0, 1] = 1e5
    scalers = fit_scalers(inputs, ids[:40], ("slides",), fitting_config())
    tokens = token_source(inputs, ids, ("slides",), scalers).batch([50]).tokens["slides"][0]
    assert (tokens[:, 3] == 0).all()
    assert tokens[0, 1] == 10.0


def test_sub_bags_depend_on_seed_and_patient_alone() -> None:
    source, _ = prepared()
    alone = source.batch([7], max_tiles=5, seed=(1, 2)).tokens["slides"]
    together = source.batch([3, 7], max_tiles=5, seed=(1, 2)).tokens["slides"]
    torch.testing.assert_close(alone[0], together[1])
    other = source.batch([7], max_tiles=5, seed=(1, 3)).tokens["slides"]
    assert not torch.equal(alone, other)
    whole = source.batch([7], max_tiles=999, seed=(1, 2)).tokens["slides"]
    torch.testing.assert_close(whole, source.batch([7]).tokens["slides"])


def test_batches_respect_patients_and_tokens() -> None:
    settings = TrainingConfig(batch_size=3, max_tiles=10)  # at most 30 padded tokens
    batches = within_budget([0, 1, 2, 3, 4], [10, 10, 10, 10, 100], settings)
    assert batches == [[0, 1, 2], [3], [4]]
    assert within_budget([0, 1], [2, 25], settings) == [[0], [1]]
    assert within_budget([], [], settings) == []


@pytest.mark.parametrize("kind", ["abmil", "snn", "cmta"])
def test_same_seed_same_weights(kind: str) -> None:
    one, first = fitted(kind)
    two, second = fitted(kind)
    assert first == second
    for name, value in one.items():
        assert torch.equal(value, two[name])
    other, _ = fitted(kind, seed=4)
    assert not all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("averaged", [1, 3])
def test_interrupted_and_resumed_equals_uninterrupted(
    averaged: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"averaged_epochs": averaged})
    whole, history = fitted("abmil", settings=settings)
    resume = Resume(tmp_path / "member.safetensors", "k", seconds_between=0.0)
    genuine, calls = fit.run_epoch, []

    def killed_in_third(*arguments: object) -> float:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return genuine(*arguments)

    monkeypatch.setattr(fit, "run_epoch", killed_in_third)
    with pytest.raises(KeyboardInterrupt):
        fitted("abmil", resume, settings=settings)
    resumed, progress = fitted("abmil", resume, settings=settings)
    assert len(calls) == 5  # epochs 1, 2, the killed third, then 3 and 4
    assert progress == history
    for name, value in whole.items():
        assert torch.equal(value, resumed[name])


def test_the_weights_of_the_last_epochs_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training itself is the same with and without; the mean is over what there is at first."""
    after: list[dict[str, torch.Tensor]] = []
    genuine = fit.copied

    def noted(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        after.append(genuine(model))
        return after[-1]

    monkeypatch.setattr(fit, "copied", noted)
    source, targets = prepared(("omics",))
    kept = {}
    for averaged, epochs in ((1, 4), (3, 4), (3, 2)):
        after.clear()
        changes = {"averaged_epochs": averaged, "epochs": epochs, "stop": "fixed"}
        settings = SETTINGS.model_copy(update=changes)
        kept[averaged, epochs], _ = fit_task(task_of(source, targets, settings, 3, ()), "snn")
        states = after[1:]  # the first is how the network begins
        assert len(states) == epochs
        for name, value in kept[averaged, epochs].items():
            expected = sum(state[name] for state in states[-averaged:]) / min(averaged, epochs)
            torch.testing.assert_close(value, expected)
    assert any(not torch.equal(kept[1, 4][name], kept[3, 4][name]) for name in kept[1, 4])


def test_what_is_averaged_is_what_is_validated() -> None:
    settings = SETTINGS.model_copy(update={"averaged_epochs": 3})
    run = task_of(*prepared(("omics",)), settings)
    weights, progress = fit_task(run, "snn")
    model = build("snn", run.source.shapes(len(run.targets.marginal)))
    model.load_state_dict(weights)
    logits = predict_logits(model, run.source, run.validation_rows, settings)
    loss = float(run.targets.of(run.validation_rows).loss(logits))
    assert loss == pytest.approx(progress.best_loss, abs=1e-6)


def test_a_resume_file_of_other_settings_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "member.safetensors"
    fitted("snn", Resume(path, "old"))
    fresh, progress = fitted("snn", Resume(path, "new"))
    assert len(progress.history) == 4
    plain, _ = fitted("snn")
    assert all(torch.equal(value, plain[name]) for name, value in fresh.items())


def test_early_stopping_keeps_the_best_validation_epoch() -> None:
    settings = TrainingConfig(patience=2, epochs=10)
    progress = Progress()
    for number, validation in enumerate([1.0, 0.8, 0.9, 0.8, 0.7]):
        progress = progress.after(
            Epoch(0, number, 0.0, validation), settings.epochs, settings.patience
        )
        if progress.finished:
            break
    assert len(progress.history) == 4  # 0.8 again is no improvement
    assert progress.best_epoch == 1
    assert Progress.from_json(progress.to_json()) == progress
    assert Progress.from_json(Progress().to_json()) == Progress()


def test_validation_outcomes_change_no_gradient() -> None:
    """The validation part may choose the epoch; it must not train."""
    source, targets = prepared(("omics",))
    flipped = replace(targets, event=targets.event.copy())
    flipped.event[40:56] = ~flipped.event[40:56]
    settings = SETTINGS.model_copy(update={"epochs": 1})
    weights = [fit_task(task_of(source, o, settings), "snn")[0] for o in (targets, flipped)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("kind", ["abmil", "snn", "cmta"])
def test_prediction_in_any_batching_is_the_same(kind: str) -> None:
    source, _ = prepared(MODALITIES[kind])
    torch.manual_seed(0)
    model = build(kind, source.shapes(4), {"width": 32})
    rows = list(range(60))
    together = predict_logits(model, source, rows, SETTINGS)
    small = predict_logits(model, source, rows, TrainingConfig(batch_size=1))
    torch.testing.assert_close(together, small, atol=1e-5, rtol=0)
    backwards = predict_logits(model, source, rows[::-1], SETTINGS).flip(0)
    torch.testing.assert_close(together, backwards, atol=1e-5, rtol=0)


def test_diverging_training_says_so() -> None:
    source, targets = prepared(("omics",))
    genes = source.readers["omics"]
    endless = replace(genes, values=np.full_like(genes.values, np.inf))
    broken = replace(source, readers={"omics": endless})
    with pytest.raises(RetryableError, match="learning_rate"):
        fit_task(task_of(broken, targets), "snn")


def test_weights_of_a_network_with_other_parts_are_refused() -> None:
    source, _ = prepared(BOTH)
    shapes, options = source.shapes(4), {"width": 32}
    weights = build("cmta", shapes, options).state_dict()
    model = ModelConfig(name="m", kind="cmta", options=options)
    for change in ({}, {"null_slides": weights["null_slides"][:3]}):
        stored = {f"member0.{name}": value.numpy() for name, value in (weights | change).items()}
        fitted = FittedModel("cmta", stored, {"shapes": asdict(shapes)})
        team = Ensemble(fitted, model, source, SETTINGS, CPU)
        if not change:
            assert not team.network(0).training
            continue
        with pytest.raises(UserInputError, match=r"models/m .* train it again"):
            team.network(0)


def test_scalers_round_trip() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    every = (*BOTH, "clinical")
    scalers = fit_scalers(inputs, ids, every, fitting_config(COVARIATES))
    again = Scalers.from_stored(scalers.arrays(), scalers.to_json(), every)
    one, two = (token_source(inputs, ids, every, fitted) for fitted in (scalers, again))
    for name in ("omics", "clinical"):
        torch.testing.assert_close(one.batch([0, 3]).tokens[name], two.batch([0, 3]).tokens[name])
    torch.testing.assert_close(one.batch([0]).tokens["slides"], two.batch([0]).tokens["slides"])


def test_moments_of_tiles_count_patients_alike_and_split_slides_change_nothing() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    whole = fit_scalers(inputs, ids, ("slides",), fitting_config())
    bags = [bag.features.astype(np.float64) for bag in bags_in(inputs).values()]
    mean = np.mean([values.mean(0) for values in bags], axis=0)
    std = np.sqrt(np.mean([np.square(values).mean(0) for values in bags], axis=0) - mean**2)
    np.testing.assert_allclose(whole.arrays()["slides.mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(whole.arrays()["slides.std"], std, rtol=1e-9)
    cut = {
        patient: replace(bag, slides=(bag.features[:4], bag.features[4:]))
        for patient, bag in bags_in(inputs).items()
    }
    split = changed(inputs, bags=cut)
    again = fit_scalers(split, ids, ("slides",), fitting_config())
    np.testing.assert_allclose(
        again.arrays()["slides.mean"], whole.arrays()["slides.mean"], rtol=1e-12
    )
    one = token_source(inputs, ids, ("slides",), whole).batch([3, 5], 7, (1,))
    two = token_source(split, ids, ("slides",), whole).batch([3, 5], 7, (1,))
    assert torch.equal(one.tokens["slides"], two.tokens["slides"])


def test_clinical_tokens_are_absent_where_nothing_is_known() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    inputs.patients.loc[ids[3], "age"] = ""
    scalers = fit_scalers(inputs, ids[:40], ("clinical",), fitting_config(COVARIATES))
    batch = token_source(inputs, ids, ("clinical",), scalers).batch([2, 3])
    assert batch.available.tolist() == [[True], [False]]
    assert batch.tokens["clinical"].shape == (2, 1, 1)


def test_withheld_modalities_are_absent_for_every_reader() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    less = inputs.without({"slides": {ids[0]}, "omics": {ids[1]}, "clinical": {ids[2]}})
    for modality, gone in (("slides", 0), ("omics", 1), ("clinical", 2)):
        before, after = (each.available(modality, ids) for each in (inputs, less))
        assert np.flatnonzero(before != after).tolist() == [gone]
    assert inputs.patients.loc[ids[2], "age"] != ""  # the original is untouched


def test_hidden_modalities_are_not_in_the_batch() -> None:
    source, _ = prepared()
    hidden = np.array([[True, False], [False, True]])
    batch = source.batch([0, 1], hidden=hidden)
    assert batch.available.tolist() == [[False, True], [True, False]]
    assert batch.mask["slides"].any(dim=1).tolist() == [False, True]


def test_batches_of_an_epoch_hold_every_row_once_and_similar_sizes() -> None:
    settings = TrainingConfig(batch_size=4, max_tiles=1000)
    sizes = np.random.default_rng(0).integers(1, 1000, 96).tolist()
    rows = list(range(1000, 1096))
    batches = epoch_batches(rows, sizes, settings, np.random.default_rng(1))
    assert sorted(row for batch in batches for row in batch) == rows
    again = epoch_batches(rows, sizes, settings, np.random.default_rng(2))
    assert [set(batch) for batch in batches] != [set(batch) for batch in again]
    padded = sum(max(sizes[row - 1000] for row in batch) * len(batch) for batch in batches)
    assert padded < 1.25 * sum(sizes)  # without buckets about 1.6


def test_fixed_epochs_keep_the_last_and_need_no_validation_patients() -> None:
    settings = SETTINGS.model_copy(update={"stop": "fixed", "epochs": 3, "patience": 1})
    run = task_of(*prepared(("omics",)), settings=settings, validation=())
    best, progress = fit_task(run, "snn")
    assert len(progress.history) == 3
    assert progress.best_epoch == 2
    assert all(epoch.validation_loss is None for epoch in progress.history)
    longer, _ = fit_task(replace(run, settings=settings.model_copy(update={"epochs": 4})), "snn")
    assert not all(torch.equal(value, longer[name]) for name, value in best.items())


def test_partial_likelihood_trains_a_single_column() -> None:
    source, targets = prepared(("omics",))
    cox = cox_survival(targets.time_months, targets.event)
    settings = SETTINGS.model_copy(update={"epochs": 25, "patience": 25, "batch_size": 20})
    best, progress = fit_task(task_of(source, cox, settings), "snn")
    assert best["head.weight"].shape[0] == 1
    assert progress.best_loss < progress.history[0].validation_loss


def test_stages_follow_each_other_and_resume_in_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    class Staged(SNN):
        stages = ("first", "second")

        def begin(self, stage: str) -> None:
            begun.append(stage)
            for parameter in self.layers.parameters():
                parameter.requires_grad = stage == "first"

    source, targets = prepared(("omics",))
    run = task_of(source, targets, SETTINGS.model_copy(update={"epochs": 2}))
    fabric = start_engine(run.settings, CPU)
    shapes = source.shapes(4)
    whole, progress = fit_member(lambda: Staged(shapes), run, fabric)
    assert begun == ["first", "second"]
    assert [(epoch.stage, epoch.epoch) for epoch in progress.history] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip
    genuine, calls = fit.run_epoch, []

    def killed_in_fourth(*arguments: object) -> float:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return genuine(*arguments)

    monkeypatch.setattr(fit, "run_epoch", killed_in_fourth)
    resume = Resume(tmp_path / "member.safetensors", "k", seconds_between=0.0)
    with pytest.raises(KeyboardInterrupt):
        fit_member(lambda: Staged(shapes), run, fabric, resume)
    resumed, _ = fit_member(lambda: Staged(shapes), run, fabric, resume)
    assert len(calls) == 5
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_bf16_training_stays_close_to_fp32() -> None:
    exact, _ = fitted("abmil")
    rough, _ = fitted("abmil", settings=SETTINGS.model_copy(update={"precision": "bf16"}))
    assert all(value.dtype == torch.float32 for value in rough.values())
    assert any(not torch.equal(value, rough[name]) for name, value in exact.items())
    for name, value in exact.items():
        torch.testing.assert_close(value, rough[name], atol=0.02, rtol=0)
