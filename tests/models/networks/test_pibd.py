"""PIBD: hand values, gradients, what may depend on what, and that no label leaks in training."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from sksurv.metrics import concordance_index_censored
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn.functional import layer_norm, one_hot

from fusion_batches import (
    CLINICAL_DIM,
    MODALITIES,
    SHAPES,
    SLIDES_DIM,
    WIDTHS,
    make_batch,
    make_targets,
    rows_of,
)
from inputs_fixture import shapes_of
from survfuse.core.errors import UserInputError
from survfuse.models.networks.interface import Batch, Output, SurvivalTargets
from survfuse.models.networks.pibd import disentangling as pibd_disentangling
from survfuse.models.networks.pibd.bags import content_keys, random_keys, split_bags, unsplit_bags
from survfuse.models.networks.pibd.club import Club, club_bound, misfit
from survfuse.models.networks.pibd.disentangling import (
    DisentanglingBlock,
    merged_attention,
    partial_attention,
)
from survfuse.models.networks.pibd.dropout import dropped, relu_dropped_
from survfuse.models.networks.pibd.encoder import SelectiveEncoder
from survfuse.models.networks.pibd.model import PIBD
from survfuse.models.networks.pibd.prototypes import (
    PrototypeBottleneck,
    contrast,
    cosine,
    kept_count,
    kl_from_unit,
    mean_of_draws,
    product_of_experts,
    prototype_nll,
    risk_band,
)
from survfuse.models.networks.registry import build
from survfuse.tasks.survival.hazards import risk_from_logits

SIZES = (9, 1, 40, 6, 12)
ABSENT = ((1, "slides"), (3, "omics"))


@pytest.fixture
def model() -> PIBD:
    """Small enough sub-bags that a patient has several."""
    torch.manual_seed(0)
    return PIBD(SHAPES, width=32, bag_size=8).eval()


def training_batch(
    sizes: Sequence[int] = SIZES, absent: Sequence[tuple[int, str]] = ABSENT
) -> Batch:
    return replace(make_batch(sizes, absent=absent), targets=make_targets(len(sizes)))


def patients(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some of the patients, with their outcomes."""
    index = list(rows)
    all_targets = batch.targets
    targets = SurvivalTargets(
        all_targets.time_months[index],
        all_targets.event[index],
        all_targets.bins[index],
        all_targets.exposure[index],
        all_targets.marginal,
    )
    return replace(rows_of(batch, index), targets=targets)


def count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


# Parameters


@pytest.mark.parametrize("slides_dim", [768, 1024])
@pytest.mark.parametrize(("groups", "genes"), [(331, 9745), (50, 7110), (281, 2635)])
def test_parameter_count_is_published_plus_null_tokens_less_expert_weights(
    slides_dim: int, groups: int, genes: int
) -> None:
    widths = (*[1] * (groups - 1), genes - groups + 1)
    with torch.device("meta"):
        model = PIBD(shapes_of(slides_dim, widths, None, 4))
    published = 2_574_094 + 512 * (slides_dim - 768) + 66_048 * groups + 256 * genes
    assert count(model.parameters()) == published + 2 * 256 - 2
    if (groups, slides_dim) == (331, 768):
        assert published == 26_930_702


def test_parameter_count_of_each_part() -> None:
    with torch.device("meta"):
        model = PIBD(shapes_of(768, (*[1] * 330, 9415), None, 4))
    parts = {name: count(part.parameters()) for name, part in model.named_children()}
    assert parts.pop("slides_omics") + parts.pop("specific_common") == 656_896
    assert parts == {
        "embed_groups": 24_356_608,
        "slides": 792_836 + 256,
        "omics": 530_692 + 256,
        "block": 395_776,
        "head": 197_892,
    }


# Sub-bags


@pytest.mark.parametrize("training", [True, False])
def test_sub_bags_are_a_partition_alike_in_size(training: bool) -> None:
    mask = torch.zeros(4, 5000, dtype=torch.bool)
    for row, size in enumerate((4100, 0, 512, 513)):
        mask[row, 7 : 7 + size] = True
    key = random_keys(mask) if training else content_keys(torch.randn(4, 5000, 5))
    bags = split_bags(mask, key, 512)
    assert bags.per_patient.tolist() == [9, 1, 1, 2]
    assert bags.owner.bincount().tolist() == bags.per_patient.tolist()
    assert torch.equal(bags.token[bags.mask].sort().values, mask.flatten().nonzero()[:, 0])
    owners = bags.owner[:, None].expand_as(bags.token)
    assert torch.equal((bags.token // 5000)[bags.mask], owners[bags.mask])
    sizes = bags.mask.sum(dim=1)
    assert sizes.tolist() == [456] * 5 + [455] * 4 + [0, 512, 257, 256]


def test_training_deals_at_random_and_prediction_by_what_tiles_hold() -> None:
    tiles, mask = torch.randn(1, 300, 24), torch.ones(1, 300, dtype=torch.bool)
    order = torch.randperm(300)

    def partition(key: Tensor, tiles: Tensor) -> set[frozenset]:
        bags = split_bags(mask, key, 100)
        return {frozenset(map(tuple, tiles[0, bag].tolist())) for bag in bags.token}

    first = partition(content_keys(tiles), tiles)
    assert first == partition(content_keys(tiles[:, order]), tiles[:, order])
    assert partition(random_keys(mask), tiles) != partition(random_keys(mask), tiles)
    bags = split_bags(mask, content_keys(tiles), 100)
    overlap = (bags.token[0] < 100).sum().item()
    assert 15 < overlap < 55, "the file order should not show in the partition"


def test_keys_tell_tiles_apart_by_a_single_bit() -> None:
    tiles = torch.randn(1, 1, 25).repeat(1, 4, 1)
    tiles[0, 1, 24] = torch.nextafter(tiles[0, 1, 24], torch.tensor(9.0))
    tiles[0, 2, 0] = torch.nextafter(tiles[0, 2, 0], torch.tensor(9.0))
    keys = content_keys(tiles)[0].tolist()
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]


def test_average_is_over_the_sub_bags_of_a_patient() -> None:
    bags = split_bags(torch.ones(2, 3, dtype=torch.bool), torch.arange(6).view(2, 3), 2)
    values = torch.tensor([[1.0], [3.0], [10.0], [20.0]])
    assert bags.average(values).tolist() == [[2.0], [15.0]]


# Dropout and encoder


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5])
def test_dropout_keeps_the_expectation(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 403, requires_grad=True)
    result = dropped(x, rate)
    zeros = (result == 0).float().mean().item()
    assert zeros == pytest.approx(rate, abs=1 / 512 + 3 * (rate / x.numel()) ** 0.5)
    assert result.mean().item() == pytest.approx(
        1.0, abs=3 * (rate / (1 - rate) / x.numel()) ** 0.5
    )
    result.sum().backward()
    assert torch.equal(x.grad, result.detach())
    columns, rows = (result == 0).float().mean(dim=0), (result == 0).float().mean(dim=1)
    assert columns.std().item() == pytest.approx((rate * (1 - rate) / 1000) ** 0.5, rel=0.2)
    assert rows.std().item() == pytest.approx((rate * (1 - rate) / 403) ** 0.5, rel=0.2)


def test_dropout_off_is_the_identity() -> None:
    x = torch.randn(3, 4)
    assert dropped(x, 0.0) is x
    assert torch.equal(relu_dropped_(x.clone(), 0.0), x.relu())


def test_encoder_has_the_gradient_of_its_layers() -> None:
    """Against plain automatic differentiation, without dropout and with its zeros put in."""
    torch.manual_seed(0)
    for rate in (0.0, 0.4):
        encoder = SelectiveEncoder(6, 4, rate).double()
        rows = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
        first, second, third = encoder(rows)
        weights = torch.randn(9, 4, dtype=torch.float64)
        inputs = [rows, *encoder.parameters()]
        with_stored_activations = encoder.with_stored_activations(rows, first, second, third)
        found = torch.autograd.grad((with_stored_activations * weights).sum(), inputs)
        scale = 256 / (256 - round(256 * rate))
        plain = encoder.first(rows).relu() * (first > 0) * scale
        plain = encoder.second(plain).relu() * (second > 0) * scale
        plain = encoder.third(plain)
        torch.testing.assert_close(with_stored_activations, plain)
        expected = torch.autograd.grad((plain * weights).sum(), inputs)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_nothing_is_remembered_about_tiles_that_are_not_kept(model: PIBD) -> None:
    """997 tiles in 125 sub-bags of 7 or 8, of which 3 or 4 each are kept."""
    rows: list[int] = []

    def look(tensor: Tensor) -> Tensor:
        rows.append(tensor.shape[0] if tensor.ndim == 2 else 0)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
        model.train()(training_batch([997], absent=()))
    kept = 125 * 4 - (125 * 8 - 997)
    assert kept in rows
    assert max(rows) <= 125 * 4


# Prototypes


def test_bands_are_bins_with_events_then_bins_with_censoring() -> None:
    targets = replace(make_targets(8), bins=torch.arange(8) % 4, event=torch.arange(8) < 4)
    assert risk_band(targets, 4).tolist() == list(range(8))


def test_prototype_nll_of_zero_logits() -> None:
    assert 8 * prototype_nll(torch.zeros(8, 4)).item() == pytest.approx(10.397208, abs=1e-5)


def test_prototype_nll_counts_censored_half() -> None:
    """Hazards .1 .2 .3 .4 everywhere: the eight values of the published loss."""
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).logit().expand(8, -1)
    events = (2.302585, 1.714798, 1.532477, 1.601470)
    censored = (0.052680, 0.164252, 0.342589, 0.598002)
    assert prototype_nll(logits).item() == pytest.approx(sum(events + censored) / 8, abs=1e-5)


def test_divergence_from_the_unit_gaussian() -> None:
    narrow = kl_from_unit(torch.zeros(1), torch.full((1,), 0.5))
    assert narrow.item() == pytest.approx(0.318147, abs=1e-6)
    assert kl_from_unit(torch.ones(256), torch.ones(256)).item() == pytest.approx(128.0)
    mean, std = torch.randn(3, 5), torch.rand(3, 5) + 0.1
    library = torch.distributions.kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_from_unit(mean, std), library)


def test_one_draw_stands_for_the_mean_of_fifty() -> None:
    torch.manual_seed(0)
    mean, std, repeats = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), 10_000
    one = mean_of_draws(mean.expand(repeats, -1), std, 50)
    fifty = (mean + std * torch.randn(repeats, 50, 2)).mean(dim=1)
    error = std / (50 * repeats) ** 0.5
    variance = std.square() / 50
    for draws in (one, fifty):
        assert ((draws.mean(dim=0) - mean).abs() < 3 * error).all()
        spread = (draws.var(dim=0) / variance - 1).abs()
        assert (spread < 3 * (2 / repeats) ** 0.5).all()


def test_contrast_is_the_other_prototypes_less_the_own() -> None:
    similarity = torch.tensor([[0.5, 0.1, -0.1], [0.2, 0.2, 0.8]])
    found = contrast(similarity, torch.tensor([0, 1]))
    torch.testing.assert_close(found, torch.tensor([0.0 - 0.5, 0.5 - 0.2]))


@pytest.mark.parametrize(
    ("tokens", "share", "kept"),
    [(512, 0.5, 256), (331, 0.8, 264), (10, 0.7, 7), (1, 0.5, 1), (3, 1.0, 3), (0, 0.5, 0)],
)
def test_kept_count(tokens: int, share: float, kept: int) -> None:
    assert kept_count(torch.tensor([tokens]), share).item() == kept


def bottleneck(share: float = 0.5) -> PrototypeBottleneck:
    torch.manual_seed(0)
    return PrototypeBottleneck(6, 8, 4, share=share, dropout=0.2, draws=50, temperature=0.1).eval()


def test_kept_tokens_are_distinct_and_the_most_similar() -> None:
    """Against a sort of each sub-bag by hand, with sub-bags of unequal size."""
    module = bottleneck()
    rows, mask = torch.randn(60, 6), torch.ones(3, 20, dtype=torch.bool)
    mask[1, 5:] = False
    mask[2] = False
    bags = split_bags(mask, random_keys(mask), 8)
    kept = module(rows, bags)
    prototypes = kept.prototypes
    z = module.encoder(rows)[2]
    similar = torch.cosine_similarity(z[:, None], prototypes[None], dim=2)
    assert kept.mask.sum(dim=1).tolist() == [3, 3, 3, 2, 0]
    assert kept.attended.sum(dim=1).tolist() == [3, 3, 3, 2, 1]
    for bag, real in enumerate(bags.mask):
        own = bags.token[bag][real].tolist()
        best = sorted(own, key=lambda row: -similar[row].max().item())[: max(1, len(own) // 2)]
        found = kept.source[bag][kept.mask[bag]].tolist()
        assert found == best
        assert len(set(found)) == len(found)
        if not own:
            torch.testing.assert_close(kept.tokens[bag, 0], module.null)
            continue
        torch.testing.assert_close(kept.tokens[bag, : len(found)], z[found])
        torch.testing.assert_close(kept.similarity[bag], similar[found].mean(dim=0))
        votes = (similar[found] / 0.1).softmax(dim=1).mean(dim=0)
        torch.testing.assert_close(kept.votes[bag], votes)


def test_votes_of_cold_temperature_are_shares_of_the_nearest_prototypes() -> None:
    """The published inference uses these shares."""
    module = bottleneck(share=1.0)
    module.temperature = 1e-5
    rows, mask = torch.randn(40, 6), torch.ones(1, 40, dtype=torch.bool)
    kept = module(rows, unsplit_bags(mask))
    nearest = cosine(module.encoder(rows)[2], kept.prototypes).argmax(dim=1)
    torch.testing.assert_close(kept.votes[0], nearest.bincount(minlength=8) / 40)


def test_prototypes_are_drawn_in_training_and_at_their_means_in_prediction() -> None:
    module = bottleneck()
    rows, bags = torch.randn(10, 6), unsplit_bags(torch.ones(1, 10, dtype=torch.bool))
    mean, std = module.gaussians()
    assert torch.equal(module(rows, bags).prototypes, mean)
    module.train()
    draws = torch.stack([module(rows, bags).prototypes for _ in range(200)])
    noise = ((draws - mean) / (std / 50**0.5)).detach()
    assert noise.mean().abs().item() < 4 / noise.numel() ** 0.5
    assert noise.std().item() == pytest.approx(1.0, rel=0.05)


def test_expert_has_the_moments_of_the_mixture_voted_for() -> None:
    module = bottleneck()
    votes = torch.tensor([[0.5, 0.25, 0.25, 0, 0, 0, 0, 0], [0, 0, 1.0, 0, 0, 0, 0, 0]])
    mean, variance = module.expert(votes)
    centres, std = module.gaussians()
    library = MixtureSameFamily(
        Categorical(votes), Independent(Normal(centres.expand(2, -1, -1), std), 1)
    )
    torch.testing.assert_close(mean, library.mean)
    torch.testing.assert_close(variance, library.variance)
    torch.testing.assert_close(variance[1], std[2].square())


def test_product_of_experts_by_hand() -> None:
    means = torch.tensor([0.0, 2.0]).view(2, 1, 1)
    ones, both = torch.ones(2, 1, 1), torch.ones(2, 1, dtype=torch.bool)

    def product(means: Tensor, variances: Tensor, present: Tensor) -> list[float]:
        return [x.item() for x in product_of_experts(means, variances, present)]

    assert product(means, ones, both) == pytest.approx([1.0, 0.5])
    prior = torch.cat([torch.zeros(1, 1, 1), means])
    assert product(prior, torch.ones(3, 1, 1), torch.ones(3, 1).bool()) == pytest.approx(
        [2 / 3, 1 / 3]
    )
    assert product(ones * 1.5, ones, both) == pytest.approx([1.5, 0.5])
    vague = torch.tensor([float("inf"), 0.7]).view(2, 1, 1)
    assert product(means, vague, both) == pytest.approx([2.0, 0.7])
    assert product(means, ones, torch.tensor([[False], [True]])) == pytest.approx([2.0, 1.0])


def test_guide_leaves_absent_modalities_out(model: PIBD) -> None:
    votes = torch.randn(4, 8).softmax(dim=1)
    present = torch.tensor([[True, True, False, False], [True, False, True, False]])
    guide = model.guide(votes, votes.flip(0), present)
    for row, experts in ((1, [(model.slides, votes[1:2])]), (2, [(model.omics, votes[1:2])])):
        ((module, own),) = experts
        mean, variance = module.expert(own)
        torch.testing.assert_close(guide[row], (mean / (1 + variance))[0])
    assert not guide[3].any()
    assert not torch.allclose(guide[0], guide[1])


# CLUB


def test_club_by_hand() -> None:
    predicted, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])
    assert club_bound(predicted, y).item() == pytest.approx(0.5)
    assert misfit(predicted, y).item() == pytest.approx(0.5)
    assert club_bound(predicted[:1] + 3, y[:1] + 1).item() == 0.0
    assert club_bound(predicted[:0], y[:0]).item() == misfit(predicted[:0], y[:0]).item() == 0.0


def test_club_is_the_contrast_of_log_likelihoods() -> None:
    predicted, y = torch.randn(6, 5), torch.randn(6, 5)
    log = Normal(predicted[:, None], 1.0).log_prob(y[None]).sum(dim=2)
    torch.testing.assert_close(club_bound(predicted, y), (log.diagonal() - log.mean(dim=1)).mean())
    squares = (predicted[:, None] - y[None]).square().sum(dim=2)
    together = (squares.diagonal().mean() + squares.mean()) / 2
    torch.testing.assert_close(club_bound(predicted, y) + misfit(predicted, y), together)


def test_minimising_the_bound_makes_vectors_uninformative() -> None:
    """y starts as a rotation of x and may become the noise it is also given."""
    torch.manual_seed(0)
    x, noise = torch.randn(256, 4), torch.randn(256, 4)
    club, mix = Club(4, 32, 4), nn.Linear(8, 4)
    with torch.no_grad():
        mix.weight.copy_(torch.cat([torch.eye(4).roll(1, 0), 0.3 * torch.eye(4)], dim=1))

    def explained() -> float:
        y = layer_norm(mix(torch.cat([x, noise], dim=1)), (4,)).detach()
        left = y - x @ torch.linalg.lstsq(x, y).solution
        return 1 - (left.square().sum() / y.square().sum()).item()

    before = explained()
    optimiser = torch.optim.Adam([*club.parameters(), *mix.parameters()], lr=1e-2)
    for _ in range(300):
        bound, error = club(x, layer_norm(mix(torch.cat([x, noise], dim=1)), (4,)))
        optimiser.zero_grad()
        (bound.clamp(min=0) + error).backward()
        optimiser.step()
    assert before > 0.6
    assert explained() < 0.1


# Block


def test_block_is_a_pre_norm_transformer_layer_on_each_modality() -> None:
    """The specific streams against the layer of PyTorch, with masked tokens."""
    torch.manual_seed(0)
    block = DisentanglingBlock(16, 0.1).eval()
    library = nn.TransformerEncoderLayer(
        16, 4, 16, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    state = block.state_dict()
    names = {"norm": "norm1", "second_norm": "norm2", "expand": "linear1", "contract": "linear2"}
    names |= {"out": "self_attn.out_proj", "qkv": "self_attn.in_proj"}
    renamed = {}
    for name, value in state.items():
        part, kind = name.split(".")
        joint = "_" if part == "qkv" else "."
        renamed[f"{names[part]}{joint}{kind}"] = value
    library.load_state_dict(renamed)
    tiles, groups, guide = torch.randn(3, 7, 16), torch.randn(2, 5, 16), torch.randn(2, 16)
    tile_mask = torch.arange(7) < torch.tensor([[7], [1], [4]])
    group_mask = torch.arange(5) < torch.tensor([[5], [3]])
    streams = block(tiles, tile_mask, groups, group_mask, guide, torch.tensor([0, 0, 1]))
    for tokens, mask, found in (
        (tiles, tile_mask, streams.slides),
        (groups, group_mask, streams.omics),
    ):
        with torch.no_grad():
            after = library(tokens, src_key_padding_mask=~mask)
        expected = torch.stack(
            [row[real].mean(dim=0) for row, real in zip(after, mask, strict=True)]
        )
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_guide_attends_to_itself_its_groups_and_the_tiles_of_one_sub_bag() -> None:
    """The common stream against attention over all three, put end to end."""
    torch.manual_seed(0)
    block = DisentanglingBlock(16, 0.1).eval()
    tiles, groups, guide = torch.randn(3, 7, 16), torch.randn(2, 5, 16), torch.randn(2, 16)
    tile_mask = torch.arange(7) < torch.tensor([[7], [1], [4]])
    group_mask = torch.arange(5) < torch.tensor([[5], [3]])
    owner = torch.tensor([0, 0, 1])
    streams = block(tiles, tile_mask, groups, group_mask, guide, owner)
    for bag, patient in enumerate(owner.tolist()):
        own_tiles, own_groups = tiles[bag, tile_mask[bag]], groups[patient, group_mask[patient]]
        tokens = torch.cat([guide[patient, None], own_tiles, own_groups])
        q, k, v = block.qkv(block.norm(tokens)).unflatten(1, (3, 4, 4)).unbind(dim=1)
        weights = ((q[:1] * k).sum(dim=2) / 2).softmax(dim=0)
        x = guide[patient] + block.out((weights[..., None] * v).sum(dim=0).flatten())
        x = x + block.contract(nn.functional.gelu(block.expand(block.second_norm(x))))
        torch.testing.assert_close(streams.common[bag], x, atol=1e-5, rtol=1e-5)
        shares = weights[1 : 1 + len(own_tiles)]
        shares = (shares / shares.sum(dim=0)).mean(dim=1)
        torch.testing.assert_close(streams.tile_shares[bag, : len(own_tiles)], shares)


def test_merged_attention_is_associative_and_complete() -> None:
    torch.manual_seed(0)
    block = DisentanglingBlock(16, 0.0)
    tokens, mask = block.projected(torch.randn(2, 6, 16)), torch.ones(2, 6, dtype=torch.bool)
    query = torch.randn(2, 4, 4)
    left, right = mask.clone(), mask.clone()
    left[:, 2:], right[:, :2] = False, False
    both = merged_attention(
        partial_attention(query, tokens, left)[0], partial_attention(query, tokens, right)[0]
    )
    whole, _ = partial_attention(query, tokens, mask)
    torch.testing.assert_close(both.output, whole.output)
    torch.testing.assert_close(both.log_sum_exp, whole.log_sum_exp)


def test_residual_branches_are_dropped_with_the_expectation_kept() -> None:
    torch.manual_seed(0)
    block = DisentanglingBlock(16, 0.25).train()
    factors = block.depth(torch.zeros(20_000, 3, 16))
    assert factors.shape == (20_000, 1)
    assert factors.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert factors.mean().item() == pytest.approx(1.0, abs=3 * (1 / 3 / 20_000) ** 0.5)
    assert (block.eval().depth(torch.zeros(9, 3, 16)) == 1).all()


# Losses


def reached(model: nn.Module, loss: Tensor) -> dict[str, bool]:
    """Whether each parameter has a gradient other than zero."""
    model.zero_grad()
    loss.backward(retain_graph=True)
    return {
        name: parameter.grad is not None and bool(parameter.grad.any())
        for name, parameter in model.named_parameters()
    }


def survival_loss(output: Output, targets: SurvivalTargets) -> Tensor:
    return targets.loss(output.logits)


def test_what_each_loss_reaches(model: PIBD) -> None:
    batch = training_batch(SIZES * 2)
    torch.manual_seed(0)
    # A bound below zero has no gradient to compare; it is above once the estimators have learnt.
    estimators = [*model.slides_omics.parameters(), *model.specific_common.parameters()]
    optimiser = torch.optim.Adam(estimators, lr=1e-2)
    for _ in range(20):
        optimiser.zero_grad()
        model(batch).losses["estimators"].backward()
        optimiser.step()
    output = model.train()(batch)
    encoders = ("embed_groups", "slides.encoder", "omics.encoder", "slides.proto", "omics.proto")
    network = (*encoders, "block", "slides.null", "omics.null")
    expected = {
        "survival": (*network, "head"),
        "prototypes": encoders,
        "bottleneck": ("slides.proto", "omics.proto", "slides.decoder", "omics.decoder"),
        "information": (*encoders, "block"),
        "estimators": ("slides_omics", "specific_common"),
    }
    losses = {"survival": survival_loss(output, batch.targets), **output.losses}
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        found = reached(model, loss)
        for parameter, has_gradient in found.items():
            assert has_gradient == parameter.startswith(expected[name]), (name, parameter)


def test_bound_frozen_and_estimators_fed_fixed_features() -> None:
    club = Club(3, 5, 2)
    x, y = torch.randn(6, 3, requires_grad=True), torch.randn(6, 2, requires_grad=True)
    bound, error = club(x, y)
    bound.backward()
    assert x.grad.any()
    assert y.grad.any()
    assert all(parameter.grad is None for parameter in club.parameters())
    x.grad = y.grad = None
    error.backward()
    assert x.grad is None
    assert y.grad is None
    assert all(parameter.grad.any() for parameter in club.parameters())


def test_losses_do_not_depend_on_the_batch_size(model: PIBD) -> None:
    """A batch of 8 against the mean of its halves; the bound alone contrasts patients."""
    batch = replace(make_batch([9, 5, 40, 6] * 2), targets=make_targets(8))
    halves = [model(patients(batch, rows)).losses for rows in (range(4), range(4, 8))]
    for name, loss in model(batch).losses.items():
        if name != "information":
            mean = (halves[0][name] + halves[1][name]) / 2
            torch.testing.assert_close(loss, mean, atol=1e-6, rtol=1e-5, msg=name)


def test_each_weight_scales_its_loss(model: PIBD) -> None:
    batch = training_batch(SIZES * 2)
    before = model(batch).losses
    model.prototype_weight, model.club_weight = 2.0, 0.3
    model.prototype_nll_weight, model.compression_weight = 0.0, 0.02
    after = model(batch).losses
    torch.testing.assert_close(after["prototypes"], 2 * before["prototypes"])
    torch.testing.assert_close(after["estimators"], 3 * before["estimators"])
    torch.testing.assert_close(after["information"], 3 * before["information"])
    divergence = model.slides.divergence() + model.omics.divergence()
    torch.testing.assert_close(after["bottleneck"], 0.02 * divergence)


def test_prototype_loss_counts_patients_who_have_the_modality(model: PIBD) -> None:
    batch = training_batch()
    parts = [model(patients(batch, rows)).losses for rows in ([0, 2, 4], [1], [3])]
    assert parts[1]["information"].item() == parts[2]["estimators"].item() == 0.0
    whole_batch = model(batch).losses
    torch.testing.assert_close(whole_batch["estimators"], parts[0]["estimators"])
    bags, selection = model.selected_tiles(batch)
    tiles = model.slides.read(selection)
    embedded = model.embed_groups(batch.values("omics")[:, 0])
    groups = model.omics(
        embedded.flatten(0, 1), unsplit_bags(batch.has("omics")[:, None].expand(5, 4))
    )
    band = risk_band(batch.targets, 4)
    slides = contrast(bags.average(tiles.similarity), band)[[0, 2, 3, 4]].mean()
    omics = contrast(groups.similarity, band)[[0, 1, 2, 4]].mean()
    torch.testing.assert_close(whole_batch["prototypes"], slides + omics)


def test_there_are_losses_only_with_an_outcome(model: PIBD) -> None:
    assert model(make_batch([4, 5])).losses == {}
    assert model.train()(make_batch([4, 5])).losses == {}


# Predictions


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 100, 513, 1025, 5000])
def test_tile_order_changes_no_bit_of_a_prediction(model: PIBD, size: int) -> None:
    batch = make_batch([size])
    order = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    tokens = {**batch.tokens, "slides": batch.tokens["slides"][:, order]}
    with torch.no_grad():
        before = model(batch, attention=True)
        after = model(replace(batch, tokens=tokens), attention=True)
    assert torch.isfinite(before.logits).all()
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.attention["slides"], before.attention["slides"][:, order])


def test_masked_tiles_change_no_bit_of_a_prediction(model: PIBD) -> None:
    batch = make_batch([40])
    zeros = torch.cat([batch.tokens["slides"], torch.zeros(1, 30, 24)], dim=1)
    mask = torch.arange(70)[None] < 40
    padded = replace(
        batch,
        tokens={**batch.tokens, "slides": zeros},
        mask={**batch.mask, "slides": mask},
    )
    assert torch.equal(model(batch).logits, model(padded).logits)


def rng_states() -> tuple[Tensor, list[int], object]:
    """Of PyTorch, NumPy and Python."""
    numpy_state = np.random.get_state()[1]  # noqa: NPY002
    return torch.get_rng_state(), numpy_state.tolist(), random.getstate()


def test_prediction_leaves_every_random_state_alone(model: PIBD) -> None:
    batch = training_batch()
    torch_state, numpy_state, python_state = rng_states()
    logits = model(batch).logits
    assert torch.equal(rng_states()[0], torch_state)
    assert rng_states()[1] == numpy_state
    assert rng_states()[2] == python_state
    torch.manual_seed(5)
    assert torch.equal(model(batch).logits, logits)


def test_training_does_not_seed(model: PIBD) -> None:
    batch = training_batch()
    model.train()
    torch.manual_seed(0)
    first, second = model(batch).logits, model(batch).logits
    assert not torch.equal(first, second)


def test_group_order_is_irrelevant(model: PIBD) -> None:
    """Permuting the groups together with their layers changes nothing but their attention."""
    order = [2, 0, 3, 1]
    permuted = PIBD(
        shapes_of(SLIDES_DIM, tuple(WIDTHS[g] for g in order), CLINICAL_DIM, 4),
        width=32,
        bag_size=8,
    )
    state = model.state_dict()
    for layer, widths in (("first", WIDTHS), ("second", [32] * 4)):
        name = f"embed_groups.{layer}"
        blocks = state[f"{name}.weight"].split(list(widths))
        state[f"{name}.weight"] = torch.cat([blocks[g] for g in order])
        state[f"{name}.bias"] = state[f"{name}.bias"][order]
    permuted.load_state_dict(state)
    batch = make_batch([9, 4])
    genes = batch.tokens["omics"].split(list(WIDTHS), dim=2)
    tokens = {**batch.tokens, "omics": torch.cat([genes[g] for g in order], dim=2)}
    before = model(batch, attention=True)
    after = permuted.eval()(replace(batch, tokens=tokens), attention=True)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        after.attention["groups"], before.attention["groups"][:, order], atol=1e-6, rtol=0
    )


def test_attention_is_on_what_was_kept(model: PIBD) -> None:
    batch = make_batch([40, 5], absent=[(1, "omics")])
    output = model(batch, attention=True)
    looked = (output.attention["slides"] > 0).sum(dim=1)
    assert looked.tolist() == [5 * 4, 2]
    assert (output.attention["groups"] > 0).sum(dim=1).tolist() == [3, 0]
    assert torch.equal(model(batch).logits, output.logits)


def test_gradients_of_inputs_are_those_of_finite_differences(model: PIBD) -> None:
    """Attributions need them; tiles that are not kept have none."""
    batch = make_batch([8])  # one sub-bag, so that a change of a tile does not deal them anew
    tiles = batch.tokens["slides"].clone().requires_grad_()
    genes = batch.tokens["omics"].clone().requires_grad_()
    inputs = replace(batch, tokens={**batch.tokens, "slides": tiles, "omics": genes})
    output = model(inputs, attention=True)
    output.logits.sum().backward()
    assert torch.equal(tiles.grad.any(dim=2), output.attention["slides"] > 0)
    for name, gradient in (("slides", tiles.grad), ("omics", genes.grad)):
        direction = 1e-3 * gradient / gradient.norm()
        with torch.no_grad():
            up, down = (
                model(replace(batch, tokens={**batch.tokens, name: batch.tokens[name] + step}))
                for step in (direction, -direction)
            )
        change = (up.logits - down.logits).double().sum().item() / 2
        assert change == pytest.approx((gradient * direction).sum().item(), rel=0.05)


@pytest.mark.parametrize("absent", [(), ("slides",), ("omics",), ("slides", "omics")])
def test_one_patient_one_tile_one_gene_all_censored(absent: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    shapes = shapes_of(24, (1,), None, 3)
    model = PIBD(shapes, width=16).train()
    batch = make_batch([1], shapes=shapes_of(24, (1,), 5, 3), absent=[(0, m) for m in absent])
    targets = replace(make_targets(1, n_bins=3), event=torch.tensor([False]))
    output = model(replace(batch, targets=targets))
    loss = survival_loss(output, targets) + sum(output.losses.values())
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_free_number_of_groups_and_bins() -> None:
    shapes = shapes_of(24, (2,) * 50, None, 7)
    model = PIBD(shapes, width=16)
    output = model(make_batch([4], shapes=shapes_of(SLIDES_DIM, (2,) * 50, 5, 7)), attention=True)
    assert output.logits.shape == (1, 7)
    assert output.attention["groups"].shape == (1, 50)
    assert len(model.slides.prototypes) == 14


# Training


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_checkpointing_changes_no_gradient(monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    """More sub-bags than are remembered, and more than are taken at a time."""
    torch.manual_seed(0)
    model = PIBD(SHAPES, width=16, bag_size=4, dropout=rate, block_dropout=rate).train()
    batch = training_batch((40, 80, 3), absent=[(2, "slides")])
    found = []
    for remembered in (96, 1):
        monkeypatch.setattr(pibd_disentangling, "BAGS_WITHOUT_CHECKPOINT", remembered)
        model.zero_grad()
        torch.manual_seed(1)
        output = model(batch)
        (survival_loss(output, batch.targets) + sum(output.losses.values())).backward()
        found.append([p.grad for p in model.parameters() if p.grad is not None])
        state = torch.get_rng_state()
        if remembered == 96:
            expected = state
    assert torch.equal(state, expected)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_logits_in_training_do_not_depend_on_the_outcome(model: PIBD) -> None:
    model.train()
    batch, logits = training_batch(), []
    for seed in (0, 1, 2):
        targets = replace(make_targets(5, seed=seed), bins=torch.full((5,), seed))
        torch.manual_seed(0)
        logits.append(model(replace(batch, targets=targets)).logits)
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


class Leaky(PIBD):
    """As published: the true risk band chooses the prototypes behind the guide in training."""

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        self.band = risk_band(batch.targets, self.n_bins)
        return super().forward(batch, attention)

    def guide(self, tile_votes: Tensor, group_votes: Tensor, present: Tensor) -> Tensor:
        votes = one_hot(self.band, group_votes.shape[1]).to(tile_votes.dtype)
        return super().guide(votes, votes, present)


def noise_batch(count: int, seed: int) -> Batch:
    """Inputs that know nothing of the outcomes."""
    generator = torch.Generator().manual_seed(seed)
    bins = torch.randint(4, (count,), generator=generator)
    part = torch.rand(count, generator=generator)
    event = torch.rand(count, generator=generator) < 0.5
    targets = SurvivalTargets(6 * (bins + part), event, bins, part, torch.full((4,), -1.0))
    return replace(make_batch([16] * count, seed=seed), targets=targets)


@pytest.mark.parametrize("kind", [PIBD, Leaky])
def test_labels_do_not_leak_into_predictions_of_training(kind: type[PIBD]) -> None:
    """Who predicts fresh noise in training has seen its labels; the published form does."""
    torch.manual_seed(0)
    model = kind(SHAPES, width=32, bag_size=16).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(80):
        batch = noise_batch(32, seed=step)
        output = model(batch)
        loss = survival_loss(output, batch.targets) + sum(output.losses.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    fresh = noise_batch(600, seed=1000)
    with torch.no_grad():
        risk = risk_from_logits(model(fresh).logits + fresh.targets.marginal).numpy()
    event, time = fresh.targets.event.numpy(), fresh.targets.time_months.numpy()
    c_index = concordance_index_censored(event, time, risk)[0]
    if kind is Leaky:
        assert c_index > 0.8
    else:
        assert c_index == pytest.approx(0.5, abs=0.1)


def test_it_learns_a_risk_that_is_in_the_genes(model: PIBD) -> None:
    """Sixty steps on 24 patients must separate early from late events."""
    torch.manual_seed(0)
    batch = make_batch([5] * 24)
    early = (batch.tokens["omics"][:, 0, :3].sum(dim=1) > 0).long()
    targets = replace(make_targets(24), bins=3 - 3 * early, event=torch.ones(24).bool())
    batch = replace(batch, targets=targets)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(60):
        output = model(batch)
        loss = survival_loss(output, targets) + sum(output.losses.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    risk = risk_from_logits(model.eval()(batch).logits + targets.marginal).detach()
    assert risk[early == 1].min() > risk[early == 0].max()


def test_half_precision_keeps_the_ranking(model: PIBD) -> None:
    """Autocast as trainers use it: losses stay finite and risks keep their order."""
    batch = training_batch(range(1, 41), absent=())
    exact = risk_from_logits(model(batch).logits).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = risk_from_logits(model(batch).logits.float()).detach()
        output = model.train()(batch)
        loss = survival_loss(output, batch.targets) + sum(output.losses.values())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    ranks = torch.stack([exact.argsort().argsort(), half.argsort().argsort()]).double()
    assert torch.corrcoef(ranks)[0, 1].item() > 0.99


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tiles_kept": 1.5}, "tiles_kept must be above 0 and at most 1, found 1.5"),
        ({"groups_kept": 0.0}, "groups_kept must be above 0"),
        ({"vote_temperature": 0.0}, "vote_temperature must be above 0"),
        ({"block_dropout": 0.95}, "at most 0.9"),
        ({"width": 30}, "multiple of 4"),
    ],
)
def test_options_out_of_range_are_named(options: dict, message: str) -> None:
    with pytest.raises(UserInputError, match=f"model pibd: .*{message}"):
        build("pibd", SHAPES, options)


def test_it_needs_time_bins() -> None:
    with pytest.raises(UserInputError, match=r"need time bins; set training\.loss to nll"):
        build("pibd", replace(SHAPES, n_bins=1))


def test_no_modality_is_read_but_slides_and_omics(model: PIBD) -> None:
    batch = make_batch([4, 6])
    hidden = batch.available.clone()
    hidden[:, MODALITIES.index("clinical")] = False
    assert torch.equal(model(batch).logits, model(replace(batch, available=hidden)).logits)
