"""The package's own model: what it computes by hand, what absence means, what attention says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fusion_batches import CLINICAL_DIM, SHAPES, SLIDES_DIM, WIDTHS, make_batch, make_targets
from inputs_fixture import shapes_of
from survfuse.models.networks.registry import build
from survfuse.models.networks.sparse_factors import (
    GAIN,
    SINGLE_GENES,
    SparseFactors,
    spread_of_mean,
)


@pytest.fixture
def model() -> SparseFactors:
    """A model in which every parameter matters."""
    torch.manual_seed(0)
    built = build("sparse_factors", SHAPES).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(std=0.3)
    assert isinstance(built, SparseFactors)
    return built


def test_by_hand(model: SparseFactors) -> None:
    batch = make_batch([3, 5])
    tiles, genes = batch.tokens["slides"][1].double(), batch.tokens["omics"][1, 0].double()
    weight = {name: GAIN * value.double().T for name, value in model.weights.items()}
    kinds = torch.sigmoid(tiles @ model.concepts.weight.double().T + model.concepts.bias) - 0.5
    spread = (0.25 + 0.75 / 5) ** 0.5
    slides = weight["slides"] @ torch.cat([tiles, kinds], 1).mean(0) / spread
    means = torch.stack([part.mean() for part in genes.split(WIDTHS)])
    omics = weight["omics"] @ torch.cat([SINGLE_GENES * genes, means])
    covariates = batch.tokens["clinical"][1, 0].double()
    clinical = weight["clinical"] @ covariates
    factors = {"slides": slides, "omics": omics, "clinical": clinical}
    ratio = sum(model.effects[name].double() @ factors[name] for name in factors)
    for one, other in (("slides", "omics"), ("slides", "clinical"), ("omics", "clinical")):
        ratio = ratio + factors[one] @ model.products[f"{one} x {other}"].double() @ factors[other]
    ratio = ratio + model.covariates.double() @ covariates
    expected = GAIN * ratio * (1 + model.by_bin.double())
    torch.testing.assert_close(model(batch).logits[1].double(), expected, atol=1e-4, rtol=1e-4)


def test_an_absent_modality_adds_nothing_and_others_take_over(model: SparseFactors) -> None:
    batch = make_batch([4], absent=[(0, "slides"), (0, "clinical")])
    output = model(batch)
    omics = output.embeddings["omics"][0]
    effect = model.effects["omics"]
    for other in ("slides", "clinical"):
        effect = effect + model.stand_ins[f"omics for {other}"]
    expected = GAIN * (effect @ omics) * (1 + model.by_bin)
    torch.testing.assert_close(output.logits[0], expected, atol=1e-5, rtol=1e-5)
    nothing = [(0, name) for name in ("slides", "omics", "clinical")]
    assert not model(make_batch([4], absent=nothing)).logits.any()


def test_attention_is_each_tokens_part_of_the_additive_effect(model: SparseFactors) -> None:
    """Effects of tiles and groups add up to what the modality adds, so their shares are exact."""
    batch = make_batch([6])
    has = {name: batch.has(name) for name in ("slides", "omics", "clinical")}
    factors = model(batch).embeddings
    tiles = model.describe(batch.values("slides"))
    per_tile = (
        GAIN / spread_of_mean(batch.real("slides"))[0] * model.tile_effects(tiles, has)[0] / 6
    )
    added = GAIN * model.effects["slides"] @ factors["slides"][0]
    torch.testing.assert_close(per_tile.sum(), added, atol=1e-4, rtol=1e-4)
    per_group = GAIN * model.group_effects(batch.values("omics")[:, 0], has)[0]
    added = GAIN * model.effects["omics"] @ factors["omics"][0]
    torch.testing.assert_close(per_group.sum(), added, atol=1e-4, rtol=1e-4)
    shown = model(batch, attention=True).attention
    torch.testing.assert_close(shown["groups"][0], per_group.abs() / per_group.abs().sum())
    torch.testing.assert_close(shown["slides"][0], per_tile.abs() / per_tile.abs().sum())


def test_sparsity_is_the_l1_norm_and_only_in_training(model: SparseFactors) -> None:
    batch = make_batch([3, 4])
    assert model(batch).losses == {}
    losses = model(replace(batch, targets=make_targets(2))).losses
    norm = sum(weight.abs().sum() for weight in model.weights.values())
    torch.testing.assert_close(losses["sparsity"], 0.03 * GAIN * norm)


def test_four_times_the_patients_halve_the_penalty() -> None:
    few, many = (build("sparse_factors", replace(SHAPES, patients=n)) for n in (256, 1024))
    assert few.sparsity == 0.03 and many.sparsity == 0.015


def test_without_interactions_contributions_add_up() -> None:
    torch.manual_seed(0)
    model = build("sparse_factors", SHAPES, {"interactions": False, "factors": 1}).eval()
    batch = make_batch([5])
    output = model(batch)
    ratio = GAIN * sum(
        model.effects[name] @ output.embeddings[name][0] for name in output.embeddings
    )
    torch.testing.assert_close(output.logits[0], ratio.expand(4), atol=1e-6, rtol=1e-5)


def test_parameter_count() -> None:
    model = build("sparse_factors", SHAPES, {"factors": 2, "concepts": 8})
    inputs = (SLIDES_DIM + 8) + (sum(WIDTHS) + len(WIDTHS)) + CLINICAL_DIM
    expected = 2 * inputs + 8 * (SLIDES_DIM + 1) + CLINICAL_DIM + 3 * 2 + 6 * 2 + 3 * 4 + 4
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_order_of_tiles_is_irrelevant_and_one_column_suffices(model: SparseFactors) -> None:
    batch = make_batch([50])
    flipped = replace(batch, tokens={**batch.tokens, "slides": batch.tokens["slides"].flip(1)})
    torch.testing.assert_close(model(batch).logits, model(flipped).logits, atol=1e-4, rtol=1e-4)
    cox = build("sparse_factors", shapes_of(SLIDES_DIM, WIDTHS, CLINICAL_DIM, 1))
    assert cox(batch).logits.shape == (1, 1)


def test_the_mean_of_many_tiles_varies_half_as_much_as_one() -> None:
    sizes = torch.tensor([1, 3, 10_000])
    real = torch.arange(10_000) < sizes[:, None]
    expected = torch.tensor([1.0, 0.5**0.5, 0.5])[:, None]
    torch.testing.assert_close(spread_of_mean(real), expected, atol=1e-4, rtol=1e-4)
