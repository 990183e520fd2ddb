"""What every registered model must hold to, whatever its architecture."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import fusion_batches
from fusion_batches import SHAPES, WIDTHS, WITH_VOLUMES, awake, make_targets, rows_of
from inputs_fixture import shapes_of
from survfuse.core.errors import UserInputError
from survfuse.models.networks.interface import Batch, Output, SolvedModel
from survfuse.models.networks.registry import MODELS, build

make_batch = partial(fusion_batches.make_batch, modalities=WITH_VOLUMES)
SIZES = (7, 1, 60, 30)
LONG = (*SIZES, 1100)  # beyond where CMTA switches to approximate attention
ABSENT = ((3, "slides"), (1, "omics"), (0, "clinical"), (2, "mri"), (0, "pet"))


@pytest.fixture(params=sorted(MODELS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(kind: str) -> nn.Module:
    """The model as it is after its last stage has begun, without layers that are still zero."""
    torch.manual_seed(0)
    built = build(kind, SHAPES)
    for stage in built.stages:
        built.begin(stage)
    return awake(built).eval()


def tensors(output: Output) -> dict[str, Tensor]:
    """Everything that belongs to single patients."""
    named = {"logits": output.logits}
    named |= {f"embedding {key}": value for key, value in output.embeddings.items()}
    return named | {f"attention {key}": value for key, value in output.attention.items()}


def run(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    with torch.no_grad():
        return tensors(model(batch, attention=True))


def filled(batch: Batch, value: float) -> Batch:
    """The same patients with other garbage where nothing is real."""
    tokens = {
        name: torch.where(batch.real(name)[:, :, None], tensor, value)
        for name, tensor in batch.tokens.items()
    }
    return replace(batch, tokens=tokens)


@pytest.mark.parametrize("with_coords", [False, True])
def test_values_of_absent_modalities_and_padding_change_no_bit(
    model: nn.Module, with_coords: bool
) -> None:
    batch = make_batch(LONG, absent=ABSENT, with_coords=with_coords)
    nans, numbers = run(model, batch), run(model, filled(batch, 3.0))
    for name, value in nans.items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(value, numbers[name]), name


@pytest.mark.parametrize("with_coords", [False, True])
def test_batch_equals_one_by_one(model: nn.Module, with_coords: bool) -> None:
    batch = make_batch(LONG, absent=ABSENT, with_coords=with_coords)
    together = run(model, batch)
    for row in range(len(LONG)):
        for name, value in run(model, rows_of(batch, [row])).items():
            found = together[name][row, : value.shape[1]]
            torch.testing.assert_close(found, value[0], atol=1e-5, rtol=0, msg=name)


def test_more_padding_anywhere_changes_nothing(model: nn.Module) -> None:
    batch = make_batch([7, 12], with_coords=True)
    gap = torch.full((2, 5, batch.tokens["slides"].shape[2]), float("nan"))
    tokens = torch.cat([gap, batch.tokens["slides"], gap], dim=1)
    nothing = torch.zeros(2, 5, dtype=torch.bool)
    mask = torch.cat([nothing, batch.mask["slides"], nothing], dim=1)
    nowhere = torch.full((2, 5, 2), -99)
    coords = torch.cat([nowhere, batch.coords["slides"], nowhere], dim=1)
    padded = replace(
        batch,
        tokens={**batch.tokens, "slides": tokens},
        mask={**batch.mask, "slides": mask},
        coords={"slides": coords},
    )
    before, after = run(model, batch), run(model, padded)
    for name, value in before.items():
        found = after[name][:, 5:-5] if name == "attention slides" else after[name]
        torch.testing.assert_close(found, value, atol=1e-5, rtol=0, msg=name)


def test_attention_sums_to_one_over_real_tokens(model: nn.Module) -> None:
    batch = make_batch(SIZES, absent=ABSENT)
    assert model(batch).attention == {}
    attention = model(batch, attention=True).attention
    assert set(attention) <= {"slides", "groups"}
    for name, shares in attention.items():
        modality = "slides" if name == "slides" else "omics"
        expected = batch.has(modality).float()
        assert (shares >= 0).all()
        torch.testing.assert_close(shares.sum(dim=1), expected, atol=1e-5, rtol=0)
        if name == "slides":
            assert not shares[~batch.real("slides")].any()
        else:
            assert shares.shape[1] == len(WIDTHS)


def test_evaluation_is_repeatable_and_training_is_seeded(model: nn.Module) -> None:
    batch = make_batch(SIZES, absent=ABSENT)
    assert torch.equal(model(batch).logits, model(batch).logits)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        # A copy, because some networks remember the mean of what they were trained on.
        draws.append(deepcopy(model).train()(batch).logits)
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2]) == isinstance(model, SolvedModel)  # nothing is drawn


def test_gradients_are_repeatable(model: nn.Module) -> None:
    batch = make_batch(SIZES, absent=ABSENT, with_coords=True)
    found = []
    for _ in range(2):
        model.zero_grad()
        model(batch).logits.sum().backward()
        found.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_same_seed_builds_the_same_model(kind: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(build(kind, SHAPES).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_predictions_do_not_depend_on_the_outcome(model: nn.Module) -> None:
    batch = make_batch(SIZES, absent=ABSENT)
    without = run(model, batch)
    for targets in (make_targets(len(SIZES)), make_targets(len(SIZES), seed=1)):
        given = run(model, replace(batch, targets=targets))
        for name, value in without.items():
            assert torch.equal(value, given[name]), name


def test_every_stage_learns_from_its_losses(kind: str) -> None:
    """A few steps on one batch lower the loss of every stage; only then can it be worth a stage."""
    torch.manual_seed(0)
    model, targets = build(kind, SHAPES), make_targets(6)
    batch = replace(make_batch([5, 9, 30, 4, 8, 12], absent=[(3, "slides")]), targets=targets)
    for stage in model.stages:
        model.begin(stage)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.Adam(trained, lr=3e-3)
        losses = []
        for step in range(15):
            torch.manual_seed(step)
            output = model.train()(batch)
            loss = targets.loss(output.logits) + sum(output.losses.values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert min(losses[-3:]) < losses[0], stage


@pytest.mark.parametrize("logit", [40.0, -40.0])
@pytest.mark.parametrize("happened", [0, 1])
def test_degenerate_patients_give_finite_losses_and_gradients(
    model: nn.Module, logit: float, happened: int
) -> None:
    """One tile, a group of one gene, nothing at all, all censored or all events, saturated."""
    batch = make_batch([1, 1], absent=[(1, modality) for modality in WITH_VOLUMES])
    targets = replace(
        make_targets(2), bins=torch.tensor([0, 3]), event=torch.full((2,), bool(happened))
    )
    output = model(replace(batch, targets=targets))
    loss = targets.loss(output.logits + logit)
    (loss + sum(output.losses.values())).backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    costly = (logit > 0) != bool(happened)
    if costly:
        assert max(gradient.abs().max().item() for gradient in gradients) > 0.01


def test_half_precision_trains_and_says_nearly_the_same(model: nn.Module) -> None:
    batch = replace(make_batch(SIZES, absent=ABSENT), targets=make_targets(len(SIZES)))
    exact = model(batch).logits
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    torch.testing.assert_close(output.logits.float(), exact, atol=0.1, rtol=0)
    targets = batch.targets
    assert targets is not None
    (targets.loss(output.logits.float()) + sum(output.losses.values())).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_patients_without_anything_share_one_prediction(model: nn.Module) -> None:
    nothing = [(row, modality) for row in (0, 2) for modality in WITH_VOLUMES]
    logits = model(make_batch([4, 5, 6], absent=nothing)).logits
    torch.testing.assert_close(logits[0], logits[2], atol=1e-6, rtol=0)
    assert not torch.allclose(logits[0], logits[1], atol=1e-6)


def test_output_depends_on_every_modality_it_names(kind: str, model: nn.Module) -> None:
    batch = make_batch([6, 6])
    for modality in WITH_VOLUMES:
        other = {**batch.tokens, modality: batch.tokens[modality] + 1.0}
        changed = replace(batch, tokens=other)
        same = torch.equal(model(batch).logits, model(changed).logits)
        assert same == (modality not in MODELS[kind].reads)


def test_a_cohort_without_the_modality_is_refused_with_its_name(kind: str) -> None:
    missing = MODELS[kind].reads[0]
    with pytest.raises(UserInputError, match=f"needs {missing}"):
        build(kind, shapes_of(None, (), None, 4))
