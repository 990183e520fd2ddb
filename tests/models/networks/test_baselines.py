"""TransMIL, MCAT, SurvPath, MMP and concatenation: against their definitions and by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.nn.functional import elu, layer_norm, relu

from fusion_batches import (
    CLINICAL_DIM,
    SHAPES,
    SLIDES_DIM,
    WIDTHS,
    make_batch,
    make_targets,
    rows_of,
)
from inputs_fixture import shapes_of
from survfuse.core.errors import UserInputError
from survfuse.models.networks import mmp
from survfuse.models.networks.abmil import ABMIL
from survfuse.models.networks.concat import Concatenation
from survfuse.models.networks.interface import Batch, FusionModel, Shapes
from survfuse.models.networks.layers import attention_shares
from survfuse.models.networks.layers.attention_shares import mean_shares
from survfuse.models.networks.layers.group_embedding import GroupEmbedding
from survfuse.models.networks.mcat import MCAT
from survfuse.models.networks.mmp import MMP, Mixture, shares_within
from survfuse.models.networks.registry import MODELS, build
from survfuse.models.networks.snn import SNN
from survfuse.models.networks.survpath import SurvPath
from survfuse.models.networks.transmil import TransMIL

KINDS = ("concat", "mcat", "mmp", "survpath", "transmil")
UNORDERED = ("concat", "mcat", "mmp", "survpath")
BLCA = (94, 334, 521, 468, 1496, 479)
ABSENT = ((1, "slides"), (2, "omics"), (0, "clinical"))


def made(kind: str, shapes: Shapes = SHAPES) -> FusionModel:
    torch.manual_seed(0)
    return build(kind, shapes, {"width": 32}).eval()


def count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def parts(model: nn.Module) -> dict[str, int]:
    return {name: count(part.parameters()) for name, part in model.named_children()}


def with_slides(batch: Batch, tiles: Tensor) -> Batch:
    """The same patients with bags of other tiles, all of them real."""
    return replace(
        batch,
        tokens={**batch.tokens, "slides": tiles},
        mask={**batch.mask, "slides": torch.ones(tiles.shape[:2], dtype=torch.bool)},
    )


def group_tokens(layer: GroupEmbedding, genes: Tensor, widths: tuple[int, ...]) -> Tensor:
    """Group by group, as a list of small networks: (B, W) -> (B, K, width)."""
    first, second = layer.first, layer.second
    hidden = first.weight.shape[1]
    tokens = []
    for group, (part, weight) in enumerate(
        zip(genes.split(widths, dim=1), first.weight.split(widths), strict=True)
    ):
        inner = elu(part @ weight + first.bias[group])
        rows = second.weight[group * hidden : (group + 1) * hidden]
        tokens.append(elu(inner @ rows + second.bias[group]))
    return torch.stack(tokens, dim=1)


# Parameters


def test_transmil_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        model = TransMIL(shapes_of(1024, (), None, 2))
    layer = 2 * 512 + 3 * 512 * 512 + 512 * 512 + 512 + 8 * 33
    grid = 512 * (49 + 25 + 9) + 3 * 512
    assert parts(model) == {
        "embed": 1024 * 512 + 512,
        "encode": 512 + 2 * layer + grid + 2 * 512,
        "head": 2 * 512 + 2,
    }
    assert count(model.parameters()) - model.null.numel() == 2_672_146


@pytest.mark.parametrize(
    ("widths", "published"),
    [((100, 200, 300, 400, 500, 600), 4_161_286), (BLCA, 4_492_038)],
)
def test_mcat_has_the_published_number_of_parameters(
    widths: tuple[int, ...], published: int
) -> None:
    with torch.device("meta"):
        model = MCAT(shapes_of(1024, widths, None, 4))
        layer = count(nn.TransformerEncoderLayer(256, 8, 512).parameters())
        attention = count(nn.MultiheadAttention(256, 1).parameters())
    found = parts(model)
    square = 256 * 256 + 256
    assert found["embed_slides"] == 1024 * 256 + 256
    assert found["embed_groups"] == 256 * sum(widths) + 6 * 256 + 6 * square
    assert sum(found[name] for name in ("query", "key", "value", "guided")) == attention
    assert found["summarise_slides"] == found["summarise_groups"] == 2 * layer + 3 * square + 257
    null = count([model.null_slides, model.null_groups])
    assert count(model.parameters()) - null == published == 3_623_686 + 256 * sum(widths)


@pytest.mark.parametrize("groups", [6, 331])
def test_survpath_has_the_published_number_of_parameters(groups: int) -> None:
    widths = tuple(1 + group % 40 for group in range(groups))
    with torch.device("meta"):
        model = SurvPath(shapes_of(1024, widths, None, 4))
    null = count([model.null_slides, model.null_groups])
    pathways = 66_048 * groups + 256 * sum(widths)
    assert count(model.parameters()) - null == 411_460 + pathways
    assert parts(model)["mix"] == 2 * (128 * 128 + 128) + 4 * 128


def test_mmp_parameters_of_each_part() -> None:
    with torch.device("meta"):
        model = MMP(shapes_of(1024, BLCA, None, 4))
    tokens, half = 16 + 6, 144
    assert parts(model) == {
        "embed_slides": 1024 * 256 + 256 + 2 * 256,
        "mixture": 2 * 16 * 256,
        "embed_mixture": 513 * 256 + 256,
        "embed_groups": 256 * sum(BLCA) + 66_048 * 6,
        "norm": 2 * 288,
        "qkv": 288 * 3 * half,
        "first": tokens * (half * half + half),
        "dropout": 0,
        "second": tokens * (half * half + half),
        "last_norm": 2 * half,
        "head": 288 * 4 + 4,
    }


def test_concatenation_is_made_of_abmil_and_snn() -> None:
    with torch.device("meta"):
        shapes = shapes_of(1024, BLCA, 9, 4)
        model, abmil, snn = Concatenation(shapes), ABMIL(shapes), SNN(shapes)
    found = parts(model.embeddings)
    assert found["slides"] == count(abmil.parameters()) - count(abmil.head.parameters())
    assert found["omics"] == count(snn.parameters()) - count(snn.head.parameters())
    assert found["clinical"] == 9 * 32 + 32 + 32
    assert count(model.head.parameters()) == (256 + 256 + 32) * 256 + 256 + 256 * 4 + 4


# Against their definitions, written the long way


def test_transmil_is_two_layers_around_a_grid_convolution() -> None:
    """A full square in reading order, on which the published model repeats no tile either."""
    model = made("transmil").double()
    tiles = torch.randn(1, 25, SLIDES_DIM, dtype=torch.float64)
    x = relu(model.embed[0](tiles))
    x = torch.cat([model.encode.cls, x], dim=1)
    shares = torch.empty(0)

    def layer(x: Tensor, norm: nn.Module, attention: nn.Module) -> Tensor:
        nonlocal shares
        q, k, v = (
            part.view(26, 8, 4).transpose(0, 1) for part in attention.qkv(norm(x))[0].chunk(3, -1)
        )
        scores = q @ k.transpose(1, 2) / 2.0
        shares = scores[:, 0, 1:].softmax(dim=1).mean(dim=0)
        seen = scores.softmax(dim=2) @ v + attention.local(v[None])[0]
        return x + attention.out(seen.transpose(0, 1).flatten(1))

    encode = model.encode
    x = layer(x, encode.first_norm, encode.first)
    square = x[:, 1:].transpose(1, 2).view(1, 32, 5, 5)
    position = encode.position
    square = square + position.wide(square) + position.middle(square) + position.narrow(square)
    x = torch.cat([x[:, :1], square.flatten(2).transpose(1, 2)], dim=1)
    x = layer(x, encode.second_norm, encode.second)
    expected = model.head(encode.norm(x)[:, 0])

    batch = with_slides(make_batch([25]), tiles)
    output = model(batch, attention=True)
    torch.testing.assert_close(output.logits, expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(output.attention["slides"], shares[None], atol=1e-10, rtol=0)


def test_transmil_attention_of_large_bags_is_the_exact_softmax() -> None:
    model = made("transmil").double()
    batch = make_batch([1100])
    batch = with_slides(batch, batch.tokens["slides"].double())
    mask = torch.ones(1, 1100, dtype=torch.bool)
    tokens = torch.randn(1, 1101, 32, dtype=torch.float64)
    seen = model.encode.second_norm(tokens)
    q, k, _ = model.encode.second.heads_of(seen, None)
    expected = (q[0, :, :1] @ k[0, :, 1:].transpose(1, 2) / 2.0).softmax(2).mean((0, 1))
    torch.testing.assert_close(model.class_shares(tokens, mask)[0], expected)
    assert model(batch, attention=True).attention["slides"].sum().item() == pytest.approx(1.0)


def test_mcat_is_co_attention_and_two_transformers_of_torch() -> None:
    model = made("mcat").double()
    batch = make_batch([9])
    tiles, genes = batch.tokens["slides"].double(), batch.tokens["omics"][:, 0].double()
    batch = replace(batch, tokens={"slides": tiles, "omics": genes[:, None]})

    co_attention = nn.MultiheadAttention(32, 1, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        inward = (model.query, model.key, model.value)
        co_attention.in_proj_weight.copy_(torch.cat([layer.weight for layer in inward]))
        co_attention.in_proj_bias.copy_(torch.cat([layer.bias for layer in inward]))
    co_attention.out_proj = model.guided
    groups = group_tokens(model.embed_groups, genes, WIDTHS)
    bag = relu(model.embed_slides[0](tiles))
    guided, weights = co_attention(groups, bag, bag)

    def summary(part: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
        encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                32, 8, 64, 0.0, activation="relu", batch_first=True, dtype=torch.float64
            ),
            num_layers=2,
            enable_nested_tensor=False,
        )
        for own, theirs in zip(part.layers, encoder.layers, strict=True):
            theirs.load_state_dict(own.state_dict())
        tokens = encoder(tokens)[0]
        value, gate = torch.tanh(part.values[0](tokens)), torch.sigmoid(part.gates[0](tokens))
        shares = part.score(value * gate)[:, 0].softmax(dim=0)
        return relu(part.out[0](shares @ tokens)), shares

    slides, _ = summary(model.summarise_slides, guided)
    omics, over_groups = summary(model.summarise_groups, groups)
    expected = model.head(model.fuse(torch.cat([slides, omics])))

    output = model(batch, attention=True)
    torch.testing.assert_close(output.logits[0], expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(output.attention["slides"], weights.mean(dim=1), atol=1e-10, rtol=0)
    torch.testing.assert_close(output.attention["groups"][0], over_groups, atol=1e-10, rtol=0)


def test_survpath_is_full_attention_with_the_tile_to_tile_block_removed() -> None:
    model = made("survpath").double()
    batch = make_batch([7])
    tiles, genes = batch.tokens["slides"].double(), batch.tokens["omics"][:, 0].double()
    batch = replace(batch, tokens={"slides": tiles, "omics": genes[:, None]})

    groups = group_tokens(model.embed_groups, genes, WIDTHS)
    tokens = torch.cat([groups, model.embed_slides(tiles)], dim=1)[0]
    q, k, v = model.qkv(model.norm(tokens)).chunk(3, dim=1)
    scores = q @ k.T / 4.0  # heads of 16
    scores[4:, 4:] = float("-inf")
    mixed = model.mix(scores.softmax(dim=1) @ v)
    expected = model.head(torch.cat([mixed[:4].mean(dim=0), mixed[4:].mean(dim=0)]))

    output = model(batch, attention=True)
    torch.testing.assert_close(output.logits[0], expected, atol=1e-10, rtol=0)
    of_tiles = scores[:4, 4:].softmax(dim=1).mean(dim=0)
    of_groups = scores[4:, :4].softmax(dim=1).mean(dim=0)
    torch.testing.assert_close(output.attention["slides"][0], of_tiles, atol=1e-10, rtol=0)
    torch.testing.assert_close(output.attention["groups"][0], of_groups, atol=1e-10, rtol=0)


def test_mmp_is_full_attention_and_a_feed_forward_layer_per_token() -> None:
    torch.manual_seed(0)
    model = MMP(SHAPES, width=32, prototypes=3).double().eval()
    batch = make_batch([7])
    tiles, genes = batch.tokens["slides"].double(), batch.tokens["omics"][:, 0].double()
    batch = replace(batch, tokens={"slides": tiles, "omics": genes[:, None]})

    every = torch.ones(1, 7, dtype=torch.bool)
    summary, log_parts = model.mixture(model.embed_slides(tiles), every)
    groups = group_tokens(model.embed_groups, genes, WIDTHS)
    tokens = torch.cat([model.embed_mixture(summary), groups], dim=1)[0]
    q, k, v = model.qkv(model.norm(torch.cat([tokens, model.position], dim=1))).chunk(3, dim=1)
    scores = q @ k.T / math.sqrt(32.0)  # (32 + 32) / 2
    seen = layer_norm(scores.softmax(dim=1) @ v, (32,))
    mixed = []
    for token in range(7):
        block = slice(32 * token, 32 * token + 32)
        hidden = seen[token] @ model.first.weight[block] + model.first.bias[token]
        hidden = nn.functional.gelu(hidden) @ model.second.weight[block] + model.second.bias[token]
        mixed.append(model.last_norm(hidden))
    slides, omics = torch.stack(mixed[:3]).mean(dim=0), torch.stack(mixed[3:]).mean(dim=0)
    expected = model.head(torch.cat([omics, slides]))

    output = model(batch, attention=True)
    torch.testing.assert_close(output.logits[0], expected, atol=1e-10, rtol=0)
    of_prototype = scores[3:, :3].softmax(dim=1).mean(dim=0)
    per_tile = (log_parts[0].exp() / log_parts[0].exp().sum(dim=0)) @ of_prototype
    of_groups = scores[:3, 3:].softmax(dim=1).mean(dim=0)
    torch.testing.assert_close(output.attention["slides"][0], per_tile, atol=1e-10, rtol=0)
    torch.testing.assert_close(output.attention["groups"][0], of_groups, atol=1e-10, rtol=0)


def test_concatenation_holds_the_embeddings_of_abmil_and_snn() -> None:
    model = made("concat")
    abmil, snn = ABMIL(SHAPES, width=32).eval(), SNN(SHAPES, width=32).eval()
    abmil.load_state_dict(
        model.embeddings["slides"].state_dict() | abmil.head.state_dict(prefix="head.")
    )
    snn.load_state_dict(
        model.embeddings["omics"].state_dict() | snn.head.state_dict(prefix="head.")
    )
    batch = make_batch([5, 3, 8], absent=ABSENT)
    output, slides = model(batch, attention=True), abmil(batch, attention=True)
    assert torch.equal(output.embeddings["slides"], slides.embeddings["slides"])
    assert torch.equal(output.attention["slides"], slides.attention["slides"])
    assert torch.equal(output.embeddings["omics"], snn(batch).embeddings["omics"])
    clinical = relu(model.embeddings["clinical"].layers[0](batch.tokens["clinical"][1:, 0]))
    torch.testing.assert_close(output.embeddings["clinical"][1:], clinical)
    assert torch.equal(output.embeddings["clinical"][0], model.embeddings["clinical"].null)
    joined = torch.cat([output.embeddings[name] for name in ("slides", "omics", "clinical")], 1)
    expected = model.head[3](relu(model.head[0](joined)))
    torch.testing.assert_close(output.logits, expected)


# The mixture


def test_mixture_step_by_hand() -> None:
    """One tile at 2, priors N(-1, 1) and N(1, 1): responsibilities 1 and e^4 over their sum."""
    mixture = Mixture(2, 1).double()
    mixture.mean.data = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    tile = torch.tensor([[[2.0]]], dtype=torch.float64)
    rows, log_parts = mixture(tile, torch.ones(1, 1, dtype=torch.bool))
    a, b = 1 / (1 + math.e**4), math.e**4 / (1 + math.e**4)
    assert log_parts[0, 0].exp().tolist() == pytest.approx([a, b])
    low = (2 * a - 1) / (a + 1)
    high = (2 * b + 1) / (b + 1)
    assert rows[0, :, 0].tolist() == pytest.approx([(a + 1) / 1.5, (b + 1) / 1.5])
    assert rows[0, :, 1].tolist() == pytest.approx([low, high])
    assert rows[0, :, 2].tolist() == pytest.approx(
        [(4 * a + 2) / (a + 1) - low**2, (4 * b + 2) / (b + 1) - high**2]
    )


def test_responsibilities_are_the_tempered_ones_of_scikit_learn() -> None:
    torch.manual_seed(0)
    mixture = Mixture(3, 4).double()
    mixture.raw_variance.data += torch.randn(3, 4)
    variance = nn.functional.softplus(mixture.raw_variance).detach()
    tiles = torch.randn(11, 4, dtype=torch.float64)
    reference = GaussianMixture(3, covariance_type="diag")
    reference.weights_ = torch.full((3,), 1 / 3).double().numpy()
    reference.means_ = mixture.mean.detach().numpy()
    reference.covariances_ = variance.numpy()
    reference.precisions_cholesky_ = variance.rsqrt().numpy()
    powered = torch.from_numpy(reference.predict_proba(tiles.numpy())).sqrt()  # 1 / sqrt(4)
    expected = powered / powered.sum(dim=1, keepdim=True)
    found = mixture.log_responsibilities(tiles[None], variance)[0].exp()
    torch.testing.assert_close(found, expected)


def test_mixture_without_tiles_is_its_prior() -> None:
    mixture = Mixture(3, 4)
    rows, _ = mixture(torch.zeros(1, 5, 4), torch.zeros(1, 5, dtype=torch.bool))
    torch.testing.assert_close(rows[0, :, 0], torch.ones(3))
    torch.testing.assert_close(rows[0, :, 1:5], mixture.mean)
    torch.testing.assert_close(rows[0, :, 5:], torch.ones(3, 4))


def test_mixture_finds_the_shares_and_moments_of_clusters() -> None:
    """Two clusters as far apart as the prior's components: one step finds what they are."""
    torch.manual_seed(0)
    mixture = Mixture(2, 4)
    mixture.mean.data = torch.tensor([[-6.0] * 4, [6.0] * 4])
    first, second = -5 + 0.5 * torch.randn(750, 4), 7 + 2 * torch.randn(250, 4)
    tiles = torch.cat([first, second])[None]
    rows, _ = mixture(tiles, torch.ones(1, 1000, dtype=torch.bool))
    assert rows[0, :, 0].tolist() == pytest.approx([1.5, 0.5], abs=0.01)
    torch.testing.assert_close(rows[0, 0, 1:5], first.mean(dim=0), atol=0.05, rtol=0)
    torch.testing.assert_close(rows[0, 1, 1:5], second.mean(dim=0), atol=0.2, rtol=0)
    assert rows[0, 0, 5:].mean().item() == pytest.approx(0.25, abs=0.03)
    assert rows[0, 1, 5:].mean().item() == pytest.approx(4.0, abs=1.0)


def test_mixture_variances_stay_positive_and_prior_gets_gradients() -> None:
    torch.manual_seed(0)
    mixture = Mixture(4, 256)
    tiles = torch.randn(1, 1, 256).repeat(1, 500, 1)
    rows, log_parts = mixture(tiles, torch.ones(1, 500, dtype=torch.bool))
    assert rows[:, :, 257:].min() > 0
    assert 0.01 < log_parts.exp().max().item() < 0.99  # in 256 dimensions, still soft
    rows[:, :, :257].square().sum().backward()
    assert mixture.mean.grad.abs().min() > 0
    assert torch.isfinite(mixture.raw_variance.grad).all()


def test_mixture_keeps_its_precision_under_mixed_precision() -> None:
    torch.manual_seed(0)
    mixture, tiles = Mixture(4, 64), torch.randn(2, 50, 64)
    mask = torch.ones(2, 50, dtype=torch.bool)
    rows, _ = mixture(tiles, mask)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = mixture(tiles, mask)
    assert torch.equal(mixed, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_trains_and_predicts_much_the_same(kind: str) -> None:
    model, batch, targets = made(kind), make_batch([9, 1100, 6], absent=ABSENT), make_targets(3)
    exact = model(batch).logits
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch, attention=True)
    torch.testing.assert_close(output.logits.float(), exact, atol=0.05, rtol=0)
    assert all(torch.isfinite(shares).all() for shares in output.attention.values())
    targets.loss(output.logits.float()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_shares_within_a_prototype_survive_being_far_away() -> None:
    log_parts = torch.tensor([[[-500.0, 0.0], [-500.0, 0.0], [-501.0, 0.0]]])
    real = torch.tensor([[True, True, False]])
    shares = shares_within(log_parts, real)
    torch.testing.assert_close(shares[0, :2], torch.full((2, 2), 0.5))
    assert not shares[0, 2].any()


# Attention shares


@pytest.mark.parametrize("held", [1, 40, 1 << 23])
def test_mean_shares_average_over_heads_and_real_queries(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_shares, "WEIGHTS", held)
    q, k = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 6, 4)
    keys = torch.arange(6) < torch.tensor([[6], [4]])
    queries = torch.arange(5) < torch.tensor([[2], [5]])
    found = mean_shares(q, k, keys, queries)
    first = (q[0, :, :2] @ k[0].transpose(1, 2) / 2).softmax(dim=2).mean((0, 1))
    second = (q[1] @ k[1, :, :4].transpose(1, 2) / 2).softmax(dim=2).mean((0, 1))
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[1, :4], second)
    assert not found[1, 4:].any()
    torch.testing.assert_close(mean_shares(q, k, keys)[1], found[1])


# Properties


@pytest.mark.parametrize("size", [40, 1500])
@pytest.mark.parametrize("kind", UNORDERED)
def test_order_of_tiles_is_irrelevant(kind: str, size: int) -> None:
    model, batch = made(kind), make_batch([size])
    shuffle = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    other = with_slides(batch, batch.tokens["slides"][:, shuffle])
    with torch.no_grad():
        before, after = model(batch, attention=True), model(other, attention=True)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-6, rtol=0)
    moved = before.attention["slides"][:, shuffle]
    torch.testing.assert_close(after.attention["slides"], moved, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [40, 1500])
def test_transmil_knows_the_place_of_a_tile_and_not_its_row_in_the_file(size: int) -> None:
    model, batch = made("transmil"), make_batch([size], with_coords=True)
    shuffle = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    moved = with_slides(batch, batch.tokens["slides"][:, shuffle])
    shuffled = replace(moved, coords={"slides": batch.coords["slides"][:, shuffle]})
    with torch.no_grad():
        before, after = model(batch, attention=True), model(shuffled, attention=True)
        elsewhere = model(moved).logits
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.attention["slides"], before.attention["slides"][:, shuffle])
    assert (elsewhere - before.logits).abs().max().item() > 1e-4


@pytest.mark.parametrize("kind", ["concat", "mcat"])
def test_a_bag_twice_over_says_the_same(kind: str) -> None:
    model, batch = made(kind), make_batch([30])
    twice = with_slides(batch, batch.tokens["slides"].repeat(1, 2, 1))
    torch.testing.assert_close(model(twice).logits, model(batch).logits, atol=1e-6, rtol=0)


def test_in_mmp_a_bag_twice_over_says_the_same_but_for_the_prior(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, batch = made("mmp"), make_batch([30])
    twice = with_slides(batch, batch.tokens["slides"].repeat(1, 2, 1))
    assert (model(twice).logits - model(batch).logits).abs().max().item() > 1e-3
    monkeypatch.setattr(mmp, "PRIOR_TILES", 0.0)
    torch.testing.assert_close(model(twice).logits, model(batch).logits, atol=1e-5, rtol=0)


def test_in_survpath_more_tiles_draw_more_of_the_attention_of_the_groups() -> None:
    """Groups and tiles share one softmax, so that the number of tiles matters: as published."""
    model, batch = made("survpath"), make_batch([30])
    twice = with_slides(batch, batch.tokens["slides"].repeat(1, 2, 1))
    before, after = model(batch).embeddings, model(twice).embeddings
    torch.testing.assert_close(after["slides"], before["slides"], atol=1e-6, rtol=0)
    assert (after["omics"] - before["omics"]).abs().max().item() > 1e-3


def test_in_survpath_no_tile_sees_another() -> None:
    """So a bag's summary is the mean of what its tiles say one at a time."""
    model, batch = made("survpath"), make_batch([6])
    tiles = batch.tokens["slides"]
    alone = [model(with_slides(batch, tiles[:, [tile]])).embeddings["slides"] for tile in range(6)]
    together = model(batch).embeddings["slides"]
    torch.testing.assert_close(together, torch.stack(alone).mean(dim=0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["mcat", "survpath"])
def test_order_of_groups_is_irrelevant(kind: str) -> None:
    """Permuting the groups together with their layers changes nothing but their attention."""
    order = [2, 0, 3, 1]
    model = made(kind)
    permuted = made(kind, shapes_of(SLIDES_DIM, tuple(WIDTHS[g] for g in order), CLINICAL_DIM, 4))
    state = model.state_dict()
    for layer, widths in (("first", WIDTHS), ("second", (32,) * 4)):
        name = f"embed_groups.{layer}"
        blocks = state[f"{name}.weight"].split(list(widths))
        state[f"{name}.weight"] = torch.cat([blocks[g] for g in order])
        state[f"{name}.bias"] = state[f"{name}.bias"][order]
    permuted.load_state_dict(state)
    batch = make_batch([9, 4])
    genes = batch.tokens["omics"].split(list(WIDTHS), dim=2)
    other = replace(
        batch, tokens={**batch.tokens, "omics": torch.cat([genes[g] for g in order], dim=2)}
    )
    before, after = model(batch, attention=True), permuted(other, attention=True)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        after.attention["groups"], before.attention["groups"][:, order], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_asking_for_attention_does_not_change_the_prediction(kind: str) -> None:
    model, batch = made(kind), make_batch([9, 4, 6], absent=ABSENT)
    torch.testing.assert_close(
        model(batch, attention=True).logits, model(batch).logits, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_survival_loss_reaches_every_parameter(kind: str) -> None:
    """The stand-ins too, but only through the patients who need them."""
    model, batch, targets = made(kind), make_batch([9, 4, 6], absent=ABSENT), make_targets(3)
    # A bias before a softmax moves all weights alike: its gradient is zero but for rounding.
    shifts = {name for name, _ in model.named_parameters() if name.endswith("score.bias")}
    targets.loss(model(batch).logits).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert set(silent) <= shifts
    model.zero_grad()
    targets.loss(model(make_batch([9, 4, 6])).logits).backward()
    for name, parameter in model.named_parameters():
        untouched = parameter.grad is None or not parameter.grad.any()
        assert untouched == ("null" in name) or name in shifts, name


@pytest.mark.parametrize("kind", KINDS)
def test_one_log_hazard_ratio_instead_of_bins(kind: str) -> None:
    model = made(kind, replace(SHAPES, n_bins=1))
    batch, targets = make_batch([9, 4, 6, 5], absent=ABSENT), make_targets(4)
    logits = model(batch).logits
    assert logits.shape == (4, 1)
    targets.loss(logits).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert max(gradient.abs().max().item() for gradient in gradients) > 1e-3


@pytest.mark.parametrize("kind", ["mcat", "mmp", "survpath"])
def test_hundreds_of_groups(kind: str) -> None:
    shapes = shapes_of(SLIDES_DIM, tuple(1 + (7 * g) % 199 for g in range(331)), None, 4)
    batch = make_batch([60, 3], shapes=shapes, absent=[(1, "omics")])
    with torch.no_grad():
        output = made(kind, shapes)(batch, attention=True)
    assert output.attention["groups"].shape == (2, 331)
    assert output.attention["groups"].sum(dim=1).tolist() == pytest.approx([1.0, 0.0], abs=1e-5)
    assert torch.isfinite(output.logits).all()


@pytest.mark.parametrize(
    ("kind", "modality"),
    [(kind, modality) for kind in KINDS for modality in MODELS[kind].reads],
)
def test_it_learns_a_risk_that_is_in_one_modality(kind: str, modality: str) -> None:
    """Sixty steps on 24 patients must separate early from late events."""
    model = made(kind).train()
    batch = make_batch([8] * 24)
    early = torch.arange(24) % 2 == 0
    tokens = dict(batch.tokens)
    columns = slice(0, 3)
    shift = torch.where(early, 1.5, -1.5)
    tokens[modality] = tokens[modality].clone()
    # Of the tiles, only half carry the sign.
    rows = slice(0, 4) if modality == "slides" else slice(0, 1)
    tokens[modality][:, rows, columns] += shift[:, None, None]
    batch = replace(batch, tokens=tokens)
    targets = replace(
        make_targets(24), bins=3 - 3 * early.long(), event=torch.ones(24, dtype=torch.bool)
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = targets.loss(model(batch).logits)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    first_bin = model.eval()(batch).logits[:, 0].detach()
    assert first_bin[early].min() > first_bin[~early].max()


def test_patients_without_a_modality_still_differ_by_the_others() -> None:
    for kind in UNORDERED:
        batch = make_batch([4, 4], absent=[(0, "slides"), (1, "slides")])
        logits = made(kind)(batch).logits
        assert not torch.allclose(logits[0], logits[1], atol=1e-4), kind
        alone = made(kind)(rows_of(batch, [0])).logits
        torch.testing.assert_close(alone[0], logits[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "width", "message"),
    [
        ("transmil", 20, "multiple of 8"),
        ("mcat", 20, "multiple of 8"),
        ("survpath", 30, "multiple of 4"),
        ("mmp", 31, "even"),
    ],
)
def test_impossible_widths_are_refused(kind: str, width: int, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        build(kind, SHAPES, {"width": width})


@pytest.mark.parametrize(
    ("lacking", "shapes"),
    [
        ("slides", shapes_of(None, WIDTHS, 5, 4)),
        ("omics", shapes_of(SLIDES_DIM, (), 5, 4)),
        ("clinical", shapes_of(SLIDES_DIM, WIDTHS, None, 4)),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_modalities_read_are_needed(kind: str, lacking: str, shapes: Shapes) -> None:
    if lacking not in MODELS[kind].reads:
        build(kind, shapes, {"width": 32})
        return
    with pytest.raises(UserInputError, match=f"needs {lacking}"):
        build(kind, shapes, {"width": 32})
