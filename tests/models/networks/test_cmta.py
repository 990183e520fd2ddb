"""CMTA: parameter counts, gradients, attention and what its output may depend on."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from fusion_batches import SHAPES, SLIDES_DIM, WIDTHS, make_batch, rows_of, square_coords
from inputs_fixture import shapes_of
from survfuse.models.networks.cmta import CMTA, alignment_distance
from survfuse.models.networks.interface import Batch, Output
from survfuse.models.networks.layers.bags import arrange
from survfuse.models.networks.layers.bernoulli_dropout import BernoulliDropout
from survfuse.models.networks.layers.cross_attention import attend_to_few, attend_to_many
from survfuse.models.networks.layers.token_encoder import GridConvolution
from survfuse.tasks.survival.hazards import discrete_nll, survival_from_logits

PUBLISHED = {
    "BLCA": ((94, 334, 521, 468, 1496, 479), 8_259_140),
    "default": ((100, 200, 300, 400, 500, 600), 6_936_132),
    "UCEC": ((3, 24, 21, 22, 65, 15), 4_939_332),
}
# The published genomic blocks have a convolution over the groups: 4 layers x 8 heads x 33 taps.
CONVOLUTION_OVER_GROUPS = 4 * 8 * 33


@pytest.fixture
def model() -> CMTA:
    torch.manual_seed(0)
    return CMTA(SHAPES, width=32).eval()


def count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize(("widths", "published"), PUBLISHED.values(), ids=PUBLISHED)
def test_parameter_count_is_published_less_the_convolution_over_groups(
    widths: tuple[int, ...], published: int
) -> None:
    with torch.device("meta"):
        model = CMTA(shapes_of(1024, widths, None, 4))
    null = count([model.null_slides, model.null_groups])
    assert null == 2 * 256
    assert count(model.parameters()) - null == published - CONVOLUTION_OVER_GROUPS
    assert count(model.parameters()) - null == 4_784_676 + 1024 * sum(widths)


def test_parameter_count_of_each_part() -> None:
    with torch.device("meta"):
        model = CMTA(shapes_of(1024, PUBLISHED["BLCA"][0], None, 4))
    parts = {name: count(part.parameters()) for name, part in model.named_children()}
    assert parts == {
        "embed_slides": 328_192,
        "embed_groups": 5_053_952,
        "encode_slides": 549_136,
        "decode_slides": 549_136,
        "encode_groups": 527_120 - 2 * 264,
        "decode_groups": 527_120 - 2 * 264,
        "to_slides": 263_168,
        "to_groups": 263_168,
        "fuse": 197_120,
        "head": 1_028,
    }


@pytest.mark.parametrize("with_coords", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 100, 1023, 1024, 4097])
def test_shapes_and_values_for_any_bag(model: CMTA, size: int, with_coords: bool) -> None:
    batch = make_batch([size], with_coords=with_coords)
    with torch.no_grad():
        output = model(batch, attention=True)
    assert output.logits.shape == (1, 4)
    assert output.embeddings["slides"].shape == output.embeddings["omics"].shape == (1, 32)
    assert output.attention["slides"].shape == (1, size)
    assert output.attention["groups"].shape == (1, len(WIDTHS))
    assert torch.isfinite(output.logits).all()
    survival = survival_from_logits(output.logits)
    assert ((survival > 0) & (survival < 1)).all()
    assert (survival.diff(dim=1) < 0).all()


def test_a_free_number_of_groups_and_bins() -> None:
    shapes = shapes_of(SLIDES_DIM, (2,) * 50, None, 7)
    output = CMTA(shapes, width=32)(make_batch([4], shapes=shapes), attention=True)
    assert output.logits.shape == (1, 7)
    assert output.attention["groups"].shape == (1, 50)


def test_summaries_have_unit_variance_at_initialisation(model: CMTA) -> None:
    tokens, mask = torch.randn(3, 9, 32), torch.ones(3, 9, dtype=torch.bool)
    for summary in (
        model.encode_slides(tokens, mask, arrange(mask, None)[1])[0],
        model.encode_groups(tokens, mask)[0],
        model.decode_groups.summary(tokens, mask),
    ):
        torch.testing.assert_close(
            summary.norm(dim=1), torch.full((3,), 32**0.5), atol=0.01, rtol=0
        )


def test_initialisation_is_the_published_one() -> None:
    torch.manual_seed(0)
    model = CMTA(SHAPES)
    first = model.embed_slides[3]
    assert first.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert not first.bias.any()
    bound = (6 / (256 + 768)) ** 0.5
    assert model.to_slides.in_proj_weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert not model.to_slides.in_proj_bias.any()
    assert model.encode_slides.cls.abs().max().item() < 1e-5


def gradients(model: nn.Module, loss: Tensor) -> dict[str, float]:
    """Largest absolute gradient of each parameter, zero where the loss does not reach it."""
    model.zero_grad()
    loss.backward()
    return {
        name: 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
        for name, parameter in model.named_parameters()
    }


def survival_loss(output: Output) -> Tensor:
    return discrete_nll(output.logits, torch.tensor([0, 1, 2]), torch.tensor([1, 0, 1]))


def test_survival_loss_reaches_every_parameter(model: CMTA) -> None:
    batch = make_batch([9, 4, 6], absent=[(1, "slides"), (2, "omics")])
    reached = gradients(model, survival_loss(model(batch)))
    assert [name for name, largest in reached.items() if largest == 0.0] == []


def test_alignment_loss_reaches_all_but_fusion_head_and_null_tokens(model: CMTA) -> None:
    batch = make_batch([9, 4, 6], absent=[(1, "slides"), (2, "omics")])
    reached = gradients(model, model(batch).losses["alignment"])
    untouched = ("fuse", "head", "null")
    assert all((reached[name] == 0.0) == name.startswith(untouched) for name in reached)


def test_alignment_targets_are_held_fixed() -> None:
    target = torch.randn(2, 5, requires_grad=True)
    translated = torch.randn(2, 5, requires_grad=True)
    alignment_distance(target, translated).sum().backward()
    assert target.grad is None
    expected = torch.autograd.grad(5 * 2 * l1_loss(translated, target.detach()), translated)[0] / 5
    torch.testing.assert_close(translated.grad, expected)


def test_alignment_is_weighted_and_counts_only_patients_with_both(model: CMTA) -> None:
    batch = make_batch([9, 4, 6], absent=[(1, "slides"), (2, "omics")])
    both = model(batch).losses["alignment"]
    torch.testing.assert_close(both, model(rows_of(batch, [0])).losses["alignment"])
    assert both.item() > 0.1
    model.alignment_weight = 0.5
    torch.testing.assert_close(model(batch).losses["alignment"], both / 2)
    assert model(rows_of(batch, [1, 2])).losses["alignment"].item() == 0.0


def test_group_order_is_irrelevant(model: CMTA) -> None:
    """Permuting the groups together with their layers changes nothing but their attention."""
    order = [2, 0, 3, 1]
    permuted = CMTA(
        shapes_of(SLIDES_DIM, tuple(WIDTHS[g] for g in order), None, 4), width=32
    ).eval()
    state = model.state_dict()
    first, second = "embed_groups.first", "embed_groups.second"
    for layer, widths in ((first, WIDTHS), (second, [1024] * 4)):
        blocks = state[f"{layer}.weight"].split(list(widths))
        state[f"{layer}.weight"] = torch.cat([blocks[g] for g in order])
        state[f"{layer}.bias"] = state[f"{layer}.bias"][order]
    permuted.load_state_dict(state)
    batch = make_batch([9, 4])
    genes = batch.tokens["omics"].split(list(WIDTHS), dim=2)
    moved = {**batch.tokens, "omics": torch.cat([genes[g] for g in order], dim=2)}
    other = Batch(moved, batch.mask, batch.available, batch.modalities)
    before, after = model(batch, attention=True), permuted(other, attention=True)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        after.attention["groups"], before.attention["groups"][:, order], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("size", [40, 1500])
def test_tile_order_is_irrelevant_when_positions_are_known(model: CMTA, size: int) -> None:
    batch = make_batch([size], with_coords=True)
    shuffle = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    moved = {**batch.tokens, "slides": batch.tokens["slides"][:, shuffle]}
    coords = {"slides": batch.coords["slides"][:, shuffle]}
    shuffled = Batch(moved, batch.mask, batch.available, batch.modalities, coords)
    with torch.no_grad():
        before, after = model(batch, attention=True), model(shuffled, attention=True)
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.attention["slides"], before.attention["slides"][:, shuffle])


def test_without_positions_the_result_depends_on_the_file_order(model: CMTA) -> None:
    batch = make_batch([40])
    moved = {**batch.tokens, "slides": batch.tokens["slides"].flip(1)}
    flipped = Batch(moved, batch.mask, batch.available, batch.modalities)
    assert (model(batch).logits - model(flipped).logits).abs().max().item() > 1e-4


def test_shifting_a_slide_or_widening_a_gap_changes_nothing(model: CMTA) -> None:
    batch = make_batch([30], with_coords=True)
    coords = batch.coords["slides"].clone()
    coords[:, :, 0] += 10 * (coords[:, :, 0] > 2)
    near, far = coords, coords * 1
    far[:, :, 0] += 500 * (far[:, :, 0] > 2) - 100

    def logits(positions: Tensor) -> Tensor:
        moved = Batch(
            batch.tokens, batch.mask, batch.available, batch.modalities, {"slides": positions}
        )
        return model(moved).logits

    assert torch.equal(logits(near), logits(far))
    assert not torch.equal(logits(near), logits(batch.coords["slides"]))


def test_grid_convolution_equals_three_convolutions_on_a_full_square() -> None:
    torch.manual_seed(0)
    layer = GridConvolution(8)
    tiles = torch.randn(2, 25, 8)
    mask = torch.ones(2, 25, dtype=torch.bool)
    _, grid = arrange(mask, square_coords(25).expand(2, -1, -1).flip(1))
    image = torch.zeros(2, 25, 8)
    image.scatter_(1, grid.cell[:, :, None].expand(-1, -1, 8), tiles)
    image = image.view(2, 5, 5, 8).permute(0, 3, 1, 2)
    expected = image + layer.wide(image) + layer.middle(image) + layer.narrow(image)
    expected = expected.permute(0, 2, 3, 1).reshape(2, 25, 8)
    expected = expected.gather(1, grid.cell[:, :, None].expand(-1, -1, 8))
    cls = torch.randn(2, 1, 8)
    found = layer(torch.cat([cls, tiles], dim=1), mask, grid)
    torch.testing.assert_close(found[:, 1:], expected, atol=1e-6, rtol=0)
    assert torch.equal(found[:, :1], cls)


def test_tiles_in_one_cell_are_averaged_not_added() -> None:
    layer = GridConvolution(4)
    coords = torch.tensor([[[0, 0], [0, 0], [1, 0]]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    x = torch.randn(1, 1, 4).repeat(1, 4, 1)  # the class token and three tiles
    single = layer(x[:, 1:], mask[:, 1:], arrange(mask[:, 1:], coords[:, 1:])[1])
    doubled = layer(x, mask, arrange(mask, coords)[1])
    torch.testing.assert_close(doubled[:, 2:], single[:, 1:])


@pytest.mark.parametrize("many", [5, 40])
def test_cross_attention_is_that_of_pytorch(many: int) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(16, 1, batch_first=True).double()
    nn.init.normal_(layer.in_proj_bias)
    nn.init.normal_(layer.out_proj.bias)
    tiles, groups = (torch.randn(2, n, 16, dtype=torch.float64) for n in (many, 3))
    mask = torch.arange(many) < torch.tensor([[many], [4]])
    for found, expected in (
        (attend_to_few(layer, tiles, groups), layer(tiles, groups, groups)),
        (
            attend_to_many(layer, groups, tiles, mask),
            layer(groups, tiles, tiles, key_padding_mask=~mask),
        ),
    ):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_dropout_keeps_the_expectation_and_its_rate() -> None:
    torch.manual_seed(0)
    layer, x = BernoulliDropout(0.1), torch.ones(1000, 1001, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y) and (y == 0).double().mean().item() == pytest.approx(
        0.1, abs=1e-3
    )
    assert y.mean().item() == pytest.approx(1, abs=1e-3)
    assert layer.eval()(x) is x


def test_attention_is_that_of_the_cross_attention_layers(model: CMTA) -> None:
    """With all groups alike and no order, every tile copy gets an equal share."""
    batch = make_batch([6])
    same = batch.tokens["slides"][:, :1].repeat(1, 6, 1)
    moved = {**batch.tokens, "slides": same}
    nn.init.zeros_(model.encode_slides.first.local.weight)
    nn.init.zeros_(model.encode_slides.second.local.weight)
    for convolution in model.encode_slides.position.children():
        nn.init.zeros_(convolution.weight)
    twins = Batch(moved, batch.mask, batch.available, batch.modalities)
    shares = model(twins, attention=True).attention["slides"]
    torch.testing.assert_close(shares, torch.full((1, 6), 1 / 6), atol=1e-6, rtol=0)


def test_asking_for_attention_does_not_change_the_prediction(model: CMTA) -> None:
    batch = make_batch([9, 4, 6], absent=[(1, "slides"), (2, "omics")])
    torch.testing.assert_close(
        model(batch, attention=True).logits, model(batch).logits, atol=1e-6, rtol=0
    )


def test_it_learns_a_risk_that_is_in_the_genes(model: CMTA) -> None:
    """Forty steps on 24 patients must separate early from late events."""
    torch.manual_seed(0)
    batch = make_batch([5] * 24)
    early = (batch.tokens["omics"][:, 0, :3].sum(dim=1) > 0).long()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(40):
        output = model(batch)
        loss = discrete_nll(output.logits, 3 - 3 * early, torch.ones(24))
        optimiser.zero_grad()
        (loss + output.losses["alignment"]).backward()
        optimiser.step()
    survival = survival_from_logits(model.eval()(batch).logits)[:, 0].detach()
    assert survival[early == 0].min() > survival[early == 1].max()
