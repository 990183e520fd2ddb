"""Sparse factors: what they compute by hand, what absence means, what attention says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fusion_batches import CLINICAL_DIM, SHAPES, SLIDES_DIM, WIDTHS, make_batch
from inputs_fixture import shapes_of
from survfuse.models.networks.registry import build
from survfuse.models.networks.sparse_factors.model import MODALITIES, SparseFactors

SIZES = [2 * SLIDES_DIM, sum(WIDTHS) + len(WIDTHS), CLINICAL_DIM]


@pytest.fixture
def model() -> SparseFactors:
    """A model in which every number matters, and no column is cut."""
    torch.manual_seed(0)
    built = build("sparse_factors", SHAPES).eval()
    assert isinstance(built, SparseFactors)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(std=0.3)
        built.mean.normal_()
        built.scale.uniform_(0.5, 1.5)
    return built


def test_by_hand(model: SparseFactors) -> None:
    batch = make_batch([3, 5])
    tiles = batch.tokens["slides"][1].double()
    genes = batch.tokens["omics"][1, 0].double()
    columns = torch.cat(
        [
            tiles.mean(dim=0),
            (tiles**2).mean(dim=0),
            genes,
            torch.stack([part.mean() for part in genes.split(WIDTHS)]),
            batch.tokens["clinical"][1, 0].double(),
        ]
    )
    x = (columns - model.mean.double()) * model.scale.double()
    left, right = x @ model.left.double(), x @ model.right.double()
    expected = x @ model.effects.double() + left @ right
    found = model(batch).logits[1].double()
    torch.testing.assert_close(found, expected.expand(4), atol=1e-4, rtol=1e-4)


def test_an_absent_modality_adds_nothing(model: SparseFactors) -> None:
    lacking = model(make_batch([4], absent=[(0, "slides"), (0, "clinical")]))
    assert not lacking.embeddings["slides"].any() and not lacking.embeddings["clinical"].any()
    shown = model(make_batch([4]))
    torch.testing.assert_close(lacking.embeddings["omics"], shown.embeddings["omics"])
    nothing = [(0, name) for name in MODALITIES]
    assert not model(make_batch([4], absent=nothing)).logits.any()


def test_attention_is_each_tokens_part_of_the_additive_effect(model: SparseFactors) -> None:
    """Effects of tiles and groups add up to what the modality adds, so their shares are exact."""
    batch = make_batch([6])
    output = model(batch, attention=True)
    tiles = model.tile_effects(batch)[0]
    torch.testing.assert_close(
        tiles.mean(), output.embeddings["slides"][0, 0], atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(output.attention["slides"][0], tiles.abs() / tiles.abs().sum())
    x = model.standardised(model.read(batch), model.has(batch))
    each = (x * model.effects).split(SIZES, dim=1)[1]
    groups = model.group_effects(each)[0]
    torch.testing.assert_close(groups.sum(), output.embeddings["omics"][0, 0], atol=1e-4, rtol=1e-4)
    first = each[0, : WIDTHS[0]].sum() + each[0, sum(WIDTHS)]
    torch.testing.assert_close(groups[0], first, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.attention["groups"][0], groups.abs() / groups.abs().sum())


def test_columns_far_from_the_average_are_held(model: SparseFactors) -> None:
    batch = make_batch([3])
    far, farther = (
        replace(batch, tokens={**batch.tokens, "clinical": batch.tokens["clinical"] + size})
        for size in (1e3, 1e6)
    )
    torch.testing.assert_close(model(far).logits, model(farther).logits)


def test_without_interactions_contributions_add_up() -> None:
    model = build("sparse_factors", SHAPES, {"interactions": False}).eval()
    with torch.no_grad():
        model.effects.normal_()
    output = model(make_batch([5]))
    expected = torch.stack(list(output.embeddings.values())).sum(dim=0)[0]
    torch.testing.assert_close(output.logits[0], expected.expand(4), atol=1e-6, rtol=1e-5)


def test_parameter_count() -> None:
    model = build("sparse_factors", SHAPES, {"factors": 3})
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(SIZES) * (1 + 2 * 9)


def test_order_of_tiles_is_irrelevant_and_one_column_suffices(model: SparseFactors) -> None:
    batch = make_batch([50])
    flipped = replace(batch, tokens={**batch.tokens, "slides": batch.tokens["slides"].flip(1)})
    torch.testing.assert_close(model(batch).logits, model(flipped).logits, atol=1e-4, rtol=1e-4)
    cox = build("sparse_factors", shapes_of(SLIDES_DIM, WIDTHS, CLINICAL_DIM, 1))
    assert cox(batch).logits.shape == (1, 1)
