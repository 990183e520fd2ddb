"""Batches and the fit loop: determinism, resume, bounded memory, no leak between roles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from survfuse.config import OmicsConfig, TrainingConfig
from survfuse.errors import RetryableError
from survfuse.fusion.registry import build
from survfuse.training import fit
from survfuse.training.fit import (
    Progress,
    Targets,
    fit_member,
    predict_logits,
    targets_of,
    within_budget,
)
from survfuse.training.tokens import Scalers, TokenSource, fit_scalers, token_source
from training_fixture import cohort

SETTINGS = TrainingConfig(epochs=4, patience=4, batch_size=8, learning_rate=1e-3)
BOTH = ("slides", "omics")
EDGES = np.array([6.0, 12.0, 24.0])


def prepared(modalities: tuple[str, ...] = BOTH) -> tuple[TokenSource, Targets]:
    inputs, time, event = cohort()
    ids = inputs.clinical.index.tolist()
    scalers = fit_scalers(inputs, ids[:40], modalities, OmicsConfig())
    return token_source(inputs, ids, modalities, scalers), targets_of(
        time, event, EDGES, np.arange(len(time)) < 40
    )


def fitted(kind: str = "abmil", **options: object) -> tuple[dict, Progress]:
    modalities = {"abmil": ("slides",), "snn": ("omics",), "cmta": BOTH}[kind]
    source, targets = prepared(modalities)
    return fit_member(
        lambda: build(kind, source.shapes(4), {} if kind == "snn" else {"width": 32}),
        source,
        targets,
        list(range(40)),
        list(range(40, 56)),
        **{"settings": SETTINGS, "seed": 3, "device": torch.device("cpu"), **options},
    )


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
    ids = inputs.clinical.index.tolist()
    before = fit_scalers(inputs, ids[:40], BOTH, OmicsConfig()).arrays()
    inputs.omics.values[45] = 1e6
    inputs.bags[ids[45]].features[:] = -1e6
    after = fit_scalers(inputs, ids[:40], BOTH, OmicsConfig()).arrays()
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
    ids = inputs.clinical.index.tolist()
    for number, bag in enumerate(inputs.bags.values()):
        bag.features[:, 3] = 1 + 1e-6 * (number % 2)
    inputs.bags[ids[50]].features[0, 1] = 1e5
    scalers = fit_scalers(inputs, ids[:40], ("slides",), OmicsConfig())
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


def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, history = fitted("abmil")
    resume = {"resume": tmp_path / "member.safetensors", "resume_key": "k"}
    genuine, calls = fit.run_epoch, []

    def killed_in_third(*arguments: object) -> fit.Epoch:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return genuine(*arguments)

    monkeypatch.setattr(fit, "run_epoch", killed_in_third)
    with pytest.raises(KeyboardInterrupt):
        fitted("abmil", seconds_between_checkpoints=0.0, **resume)
    resumed, progress = fitted("abmil", seconds_between_checkpoints=0.0, **resume)
    assert len(calls) == 5  # epochs 1, 2, the killed third, then 3 and 4
    assert progress == history
    for name, value in whole.items():
        assert torch.equal(value, resumed[name])


def test_a_resume_file_of_other_settings_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "member.safetensors"
    fitted("snn", resume=path, resume_key="old")
    fresh, progress = fitted("snn", resume=path, resume_key="new")
    assert len(progress.history) == 4
    plain, _ = fitted("snn")
    assert all(torch.equal(value, plain[name]) for name, value in fresh.items())


def test_early_stopping_keeps_the_best_inner_epoch() -> None:
    settings = TrainingConfig(patience=2, epochs=10)
    progress = Progress()
    for number, inner in enumerate([1.0, 0.8, 0.9, 0.8, 0.7]):
        progress = progress.after(fit.Epoch(number, 0.0, inner), settings)
        if progress.finished:
            break
    assert len(progress.history) == 4  # 0.8 again is no improvement
    assert progress.best_epoch == 1
    assert Progress.from_json(progress.to_json()) == progress
    assert Progress.from_json(Progress().to_json()) == Progress()


def test_inner_outcomes_change_no_gradient() -> None:
    """The inner part may choose the epoch; it must not train."""
    source, targets = prepared(("omics",))
    flipped = Targets(targets.bins, targets.event.copy(), targets.lived, targets.marginal)
    flipped.event[40:56] = ~flipped.event[40:56]
    settings = SETTINGS.model_copy(update={"epochs": 1})
    weights = []
    for used in (targets, flipped):
        best, _ = fit_member(
            lambda: build("snn", source.shapes(4), {}),
            source,
            used,
            list(range(40)),
            list(range(40, 56)),
            settings,
            3,
            torch.device("cpu"),
        )
        weights.append(best)
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("kind", ["abmil", "snn", "cmta"])
def test_prediction_in_any_batching_is_the_same(kind: str) -> None:
    modalities = {"abmil": ("slides",), "snn": ("omics",), "cmta": BOTH}[kind]
    source, _ = prepared(modalities)
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
    broken = replace(source, omics=np.full_like(source.omics, np.inf))
    with pytest.raises(RetryableError, match="learning_rate"):
        fit_member(
            lambda: build("snn", source.shapes(4), {}),
            broken,
            targets,
            list(range(40)),
            [40],
            SETTINGS,
            0,
            torch.device("cpu"),
        )


def test_scalers_round_trip() -> None:
    inputs, _, _ = cohort()
    ids = inputs.clinical.index.tolist()
    scalers = fit_scalers(inputs, ids, BOTH, OmicsConfig())
    again = Scalers.from_arrays(scalers.arrays())
    one = token_source(inputs, ids, BOTH, scalers)
    two = token_source(inputs, ids, BOTH, again)
    np.testing.assert_array_equal(one.omics, two.omics)
    torch.testing.assert_close(one.batch([0]).tokens["slides"], two.batch([0]).tokens["slides"])
