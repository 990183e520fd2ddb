"""ITCFN and the network for MRI alone: parts by hand, absent volumes, what they can learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from scipy.interpolate import BSpline
from sklearn.metrics import roc_auc_score
from torch import Tensor

from fusion_batches import awake
from inputs_fixture import shapes_of
from survfuse.models.networks.interface import Batch, SurvivalTargets
from survfuse.models.networks.itcfn import ITCFN
from survfuse.models.networks.layers.co_attention import ChannelAggregation, CoAttention
from survfuse.models.networks.layers.kan import BASES, STEP, SplineTokens, spline_bases
from survfuse.models.networks.layers.regional_histogram import (
    INTENSITY_BINS,
    RegionalIntensityHistogram,
    intensity_histogram,
)
from survfuse.models.networks.layers.similarity import similarity_matching
from survfuse.models.networks.layers.volume_augmentation import random_view
from survfuse.models.networks.layers.volume_encoder import ResidualBlock, VolumeEncoder, grid_of
from survfuse.models.networks.layers.zero_initialised import ZeroInitialisedLinear
from survfuse.models.networks.registry import build
from survfuse.tasks.diagnosis.learning.loss import ClassTargets

SHAPE = (16, 20, 16)
VOXELS = 16 * 20 * 16
SHAPES = shapes_of(None, (), 9, 2, SHAPE)
MODALITIES = ("mri", "pet", "clinical", "synthetic_mri", "synthetic_pet")
COMPLETE = ("mri", "pet", "clinical")


def volume_batch(shown: Sequence[Sequence[str]], seed: int = 0) -> Batch:
    """Patients with these modalities; NaN everywhere else."""
    generator = torch.Generator().manual_seed(seed)
    count = len(shown)
    available = torch.tensor([[name in row for name in MODALITIES] for row in shown])
    tokens = {}
    for column, name in enumerate(MODALITIES):
        size = 9 if name == "clinical" else VOXELS
        values = torch.randn(count, 1, size, generator=generator)
        tokens[name] = torch.where(available[:, column, None, None], values, float("nan"))
    mask = {name: torch.ones(count, 1, dtype=torch.bool) for name in MODALITIES}
    return Batch(tokens, mask, available, MODALITIES)


def changed(batch: Batch, name: str, value: float | Tensor) -> Batch:
    """The same patients with `value` as the content of one modality."""
    return replace(batch, tokens={**batch.tokens, name: batch.tokens[name] * 0 + value})


def filled(batch: Batch, name: str, value: float) -> Batch:
    """The same patients with one number as the content of one modality."""
    return replace(batch, tokens={**batch.tokens, name: torch.full_like(batch.tokens[name], value)})


def classes(*label: int) -> ClassTargets:
    return ClassTargets(torch.tensor(label), torch.ones(2), torch.zeros(2))


@pytest.fixture
def model() -> ITCFN:
    torch.manual_seed(0)
    return awake(ITCFN(SHAPES)).eval()


# The encoder of volumes


@pytest.mark.parametrize(
    ("shape", "halvings", "grid"),
    [
        ((96, 128, 96), 4, (6, 8, 6)),
        ((112, 128, 112), 4, (7, 8, 7)),
        ((32, 40, 32), 3, (4, 5, 4)),
        ((16, 20, 16), 2, (4, 5, 4)),
        ((5, 7, 3), 1, (3, 4, 2)),
    ],
)
def test_grid_of_tokens(
    shape: tuple[int, int, int], halvings: int, grid: tuple[int, int, int]
) -> None:
    assert grid_of(shape) == (halvings, grid)
    if max(shape) < 50:
        encoder = VolumeEncoder(shape, width=8, blocks=2)
        volumes = torch.randn(2, shape[0] * shape[1] * shape[2])
        tokens = encoder(volumes, torch.zeros(2, dtype=torch.long))
        assert tokens.shape == (2, grid[0] * grid[1] * grid[2], 8 * 2 ** (halvings - 1))


def test_tokens_lie_where_the_volume_has_them() -> None:
    """A token changes most with voxels around its own place; axes are counted as C does."""
    torch.manual_seed(0)
    shape = (32, 48, 64)
    encoder = VolumeEncoder(shape, width=8, blocks=1)
    assert encoder.grid == (4, 6, 8)
    where = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij")).flatten(1)
    for cell in ((1, 2, 6), (2, 1, 2), (2, 4, 5)):
        volume = torch.randn(1, where.shape[1], requires_grad=True)
        token = (cell[0] * 6 + cell[1]) * 8 + cell[2]
        encoder(volume, torch.zeros(1, dtype=torch.long))[0, token].sum().backward()
        assert volume.grad is not None
        weight = volume.grad[0] ** 2
        centre = (where * weight).sum(dim=1) / weight.sum()
        assert (centre - 8 * torch.tensor(cell)).abs().max() < 4


@pytest.mark.parametrize(("before", "after", "stride"), [(16, 32, 2), (16, 16, 1)])
def test_residual_block_equals_monai(before: int, after: int, stride: int) -> None:
    """The same weights in MONAI's block with group norm, for each kind of volume."""
    from monai.networks.nets.resnet import ResNetBlock

    torch.manual_seed(0)
    ours = ResidualBlock(before, after, stride, kinds=2)
    for name, parameter in ours.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter)
    norm = ("group", {"num_groups": after // 8})
    shortcut = None
    if stride > 1:
        shortcut = torch.nn.Sequential(
            torch.nn.Conv3d(before, after, 1, stride, bias=False),
            torch.nn.GroupNorm(after // 8, after),
        )
    theirs = ResNetBlock(before, after, 3, stride, shortcut, norm=norm)
    x = torch.randn(3, before, 6, 7, 5)
    for kind in (0, 1):
        renamed = {"norm1": "bn1", "norm2": "bn2", "shortcut": "downsample.0"}
        renamed |= {"shortcut_norm": "downsample.1"}
        state = {}
        for name, value in ours.state_dict().items():
            part, field = name.rsplit(".", 1)
            state[f"{renamed.get(part, part)}.{field}"] = value[kind] if "norm" in part else value
        theirs.load_state_dict(state)
        expected = theirs(x)
        found = ours(x, torch.full((3,), kind))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_kinds_share_convolutions_but_not_norms() -> None:
    torch.manual_seed(0)
    encoder = VolumeEncoder(SHAPE, width=8, blocks=1, kinds=2)
    volume = torch.randn(1, VOXELS).repeat(2, 1)
    kind = torch.tensor([0, 1])
    torch.testing.assert_close(*encoder(volume, kind), atol=1e-6, rtol=0)
    encoder.stem_norm.weight.data[1] = torch.rand(8)
    assert not torch.allclose(*encoder(volume, kind), atol=1e-2)
    alone = encoder(volume[1:], kind[1:])
    torch.testing.assert_close(encoder(volume, kind)[1:], alone, atol=1e-5, rtol=0)


def test_parameters_of_the_mri_cnn() -> None:
    model = build("mri_cnn", shapes_of(None, (), None, 2, (32, 40, 32)))
    stem = 5 * 8 * 27 + 2 * 8
    stage = sum(
        before * after * (27 + 1) + after * after * 27 + 3 * 2 * after
        for before, after in ((8, 16), (16, 32))
    )
    head = 32 + 32 * 2 + 2
    regional_histograms = (8 * 10 * 8 // 2) * 5 * 2 + 2
    assert sum(p.numel() for p in model.parameters()) == stem + stage + head + regional_histograms
    assert sum(p.numel() for p in model.parameters()) == 57_164


def test_encoder_refuses_a_width_it_cannot_group() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        VolumeEncoder(SHAPE, width=12, blocks=1)


def test_voxels_that_are_not_a_number_count_as_background(model: ITCFN) -> None:
    batch = volume_batch([COMPLETE])
    where = torch.rand(1, 1, VOXELS) < 0.2
    holes, background = (
        replace(batch, tokens={**batch.tokens, "mri": batch.tokens["mri"].masked_fill(where, v)})
        for v in (float("nan"), -1.0)
    )
    logits = model(holes).logits
    assert torch.isfinite(logits).all()
    assert torch.equal(logits, model(background).logits)


def test_other_views_move_and_mirror_but_keep_the_background() -> None:
    torch.manual_seed(0)
    shape = (12, 16, 10)
    volume = torch.full(shape, -1.0)
    volume[4:7, 6:10, 3:6] = 0.5
    volumes = volume.flatten().repeat(64, 1)
    seen = random_view(volumes, shape, 1e-6).view(64, *shape)
    same = (seen - volume).abs().amax((1, 2, 3)) < 1e-3
    mirrored = (seen - volume.flip(0)).abs().amax((1, 2, 3)) < 1e-3
    assert (same | mirrored).all()
    assert 15 < same.sum() < 49
    moved = random_view(volumes, shape, 1.0)
    assert moved.min() >= -1 - 1e-5
    assert moved.max() <= 0.5 + 1e-5
    assert len(moved[:, 0].unique()) >= 1
    assert (moved - volumes).abs().amax(dim=1).min() > 0.01
    assert random_view(volumes[:0], shape, 1.0).shape == (0, volume.numel())


def test_intensities_are_shared_between_neighbouring_bins_and_none_for_background() -> None:
    volumes = torch.tensor([-1.0, -0.6, -0.5, 0.3, 1.0]).view(1, 1, 5, 1, 1)
    expected = torch.tensor(
        [
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [1.0, 0.0, 0.0, 0.0, 0.0],
            [0.75, 0.25, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.75, 0.25, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0],
        ]
    )
    torch.testing.assert_close(
        intensity_histogram(volumes)[0, :, :, 0, 0].T, expected, atol=1e-6, rtol=0
    )


def test_histograms_are_weighted_by_region() -> None:
    """The mean of a place and its mirror image, times 1500 over the number of such pairs."""
    torch.manual_seed(0)
    layer = RegionalIntensityHistogram((8, 8, 16), 3, (2, 4, 4)).eval()
    volume = 2 * torch.rand(8, 8, 16) - 1
    assert not layer(volume.view(1, -1)).any()
    with torch.no_grad():
        layer.weight.view(3, INTENSITY_BINS, 16)[1, 2, 2 * 4 + 3] = 1.0
    part = intensity_histogram(volume[:, 4:6, 12:16].reshape(1, 1, 8, 2, 4))[0, 2].mean()
    expected = torch.stack([part * 0, part * 1500 / 16, part * 0])
    torch.testing.assert_close(layer(volume.view(1, -1))[0], expected)


def test_histograms_are_centred_by_their_mean_over_the_volumes_of_training() -> None:
    torch.manual_seed(0)
    layer = RegionalIntensityHistogram((8, 8, 16), 3, (2, 4, 4))
    torch.nn.init.normal_(layer.weight)
    volumes = 2 * torch.rand(9, 8 * 8 * 16) - 1
    raw = layer.eval()(volumes)
    for batch in volumes.split((4, 2, 3)):
        layer.train()(batch)
    layer(volumes[:0])  # a batch in which nobody has the modality
    said = layer.eval()(volumes)
    torch.testing.assert_close(said, raw - raw.mean(dim=0), atol=1e-3, rtol=1e-5)
    layer(volumes[:2] * 0)  # prediction does not count
    assert layer(volumes).equal(said)
    assert layer.count == 9
    other = RegionalIntensityHistogram((8, 8, 16), 3, (2, 4, 4)).eval()
    other.load_state_dict(layer.state_dict())
    assert other(volumes).equal(said)


@pytest.mark.parametrize("places", [2, 3, 4])
def test_histograms_of_both_hemispheres_share_weights(places: int) -> None:
    torch.manual_seed(0)
    layer = RegionalIntensityHistogram((10, 6, 4), 2, (places, 3, 2)).eval()
    torch.nn.init.normal_(layer.weight)
    volume = 2 * torch.rand(10, 6, 4) - 1
    said = layer(volume.view(1, -1))
    torch.testing.assert_close(layer(volume.flip(0).reshape(1, -1)), said, atol=1e-3, rtol=1e-5)
    for axis in (1, 2):
        assert not torch.allclose(layer(volume.flip(axis).reshape(1, -1)), said, atol=0.1)


def test_layers_from_zero_learn_as_fast_as_their_gain() -> None:
    """A step of Adam moves every weight by the learning rate, and what is said by the gain."""
    layer = ZeroInitialisedLinear(3, 1, gain=10.0)
    x = torch.tensor([[1.0, -2.0, 0.5]])
    assert not layer(x).any()
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
    layer(x).sum().backward()
    optimiser.step()
    assert layer(x).item() == pytest.approx(-0.01 * (10 * (1 + 2 + 0.5) + 1), abs=1e-5)


@pytest.mark.parametrize("kind", ["itcfn", "mri_cnn"])
def test_an_untrained_network_says_nothing(kind: str) -> None:
    batch = volume_batch([COMPLETE, ("mri",), ("clinical", "synthetic_pet"), ()])
    assert not build(kind, SHAPES).eval()(batch).logits.any()


@pytest.mark.parametrize("kind", ["itcfn", "mri_cnn"])
def test_training_augments_the_input_of_the_encoder_and_not_of_the_histograms(kind: str) -> None:
    """Interpolation mixes tissues, so that histograms would differ from those of prediction."""
    torch.manual_seed(0)
    model = build(kind, SHAPES, {"augmentation": 1.0, "dropout": 0.0})
    batch = volume_batch([COMPLETE] * 3)
    for layer in model.modules():
        if isinstance(layer, RegionalIntensityHistogram):
            torch.nn.init.normal_(layer.weight)
    model.train()(batch)  # from now on these volumes are the mean
    said = model.eval()(batch).logits
    assert said.abs().min() > 0
    torch.testing.assert_close(model.train()(batch).logits, said)  # the encoder says nothing yet
    torch.nn.init.normal_(model.head.weight)
    assert not torch.allclose(model.train()(batch).logits, model.eval()(batch).logits)


# Curves of covariates


def test_spline_bases_have_the_published_sums() -> None:
    inside = torch.linspace(-1, 1, 41, dtype=torch.float64)
    torch.testing.assert_close(spline_bases(inside).sum(-1), torch.ones(41, dtype=torch.float64))
    x = torch.tensor([1.2, 2.0, 2.2, 3.0, -2.2], dtype=torch.float64)
    expected = torch.tensor([47 / 48, 1 / 48, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(spline_bases(x).sum(-1), expected, atol=1e-12, rtol=0)


def test_spline_bases_equal_scipy() -> None:
    x = torch.linspace(-2.1, 2.1, 97, dtype=torch.float64)
    knots = [-1 + STEP * (j - 3) for j in range(12)]
    found = spline_bases(x)
    for index in range(BASES):
        basis = BSpline.basis_element(knots[index : index + 5], extrapolate=False)(x.numpy())
        expected = torch.from_numpy(basis).nan_to_num()
        torch.testing.assert_close(found[:, index], expected, atol=1e-12, rtol=0)


def test_tokens_are_silu_and_splines_of_values_held_within_two_deviations() -> None:
    torch.manual_seed(0)
    curves = SplineTokens(3, 4)
    x = torch.tensor([[0.5, 5.0, -1.0]])
    held = torch.tensor([[0.5, 2.0, -1.0]])
    assert torch.equal(curves(x), curves(held))
    flat = SplineTokens(3, 4)
    flat.load_state_dict(curves.state_dict())
    torch.nn.init.zeros_(flat.spline)
    expected = (held * held.sigmoid())[:, :, None] * curves.linear + curves.names
    torch.testing.assert_close(flat(x), expected)
    curves(x).sum().backward()
    assert curves.spline.grad is not None
    assert (curves.spline.grad.abs().sum(dim=(1, 2)) > 0.9 * 4).all()
    beyond = spline_bases(torch.tensor([2.3, -2.3]))
    assert not beyond.any()


# Fusion


def test_aggregation_takes_channels_of_mri_and_pet_in_turns() -> None:
    aggregate = ChannelAggregation(256)
    for parameter in aggregate.gate.parameters():
        torch.nn.init.zeros_(parameter)  # the gate is then one half
    mri, pet, clinical = torch.randn(3, 2, 256)
    channels = aggregate(mri, pet, clinical)
    assert channels.shape == (2, 768)
    assert torch.equal(2 * channels[:, 0:512:2], mri)
    assert torch.equal(2 * channels[:, 1:512:2], pet)
    assert torch.equal(channels[:, 512:], clinical)


def test_gate_of_a_channel_depends_on_both_volumes() -> None:
    torch.manual_seed(0)
    aggregate = ChannelAggregation(16)
    mri, pet, clinical = torch.randn(3, 1, 16)
    before = aggregate(mri, pet, clinical)
    after = aggregate(mri, pet + 1, clinical)
    assert not torch.allclose(before[:, 0:32:2], after[:, 0:32:2])
    assert torch.equal(before[:, 32:], after[:, 32:])


def test_co_attention_by_hand() -> None:
    """Each head of each modality, written out."""
    torch.manual_seed(0)
    names, width, heads = ("a", "b"), 8, 2
    attention = CoAttention(names, width, heads)
    pooled = {name: torch.randn(1, width) for name in names}
    tokens = {name: torch.randn(1, 5, width) for name in names}
    mask = {"a": torch.ones(1, 5, dtype=torch.bool), "b": torch.tensor([[True] * 3 + [False] * 2])}
    found = attention(pooled, tokens, mask)
    query = attention.query(torch.cat([pooled["a"], pooled["b"]], dim=1))[0]
    for name in names:
        real = tokens[name][0, mask[name][0]]
        key, value = attention.key_value[name](real).split(width, dim=1)
        context = []
        for head in range(heads):
            part = slice(4 * head, 4 * head + 4)
            weight = (key[:, part] @ query[part] / 2).softmax(dim=0)
            context.append(weight @ value[:, part])
        joined = torch.cat([pooled[name][0], *context])
        torch.testing.assert_close(found[name][0], attention.out[name](joined))


def test_every_attention_trains_its_queries_and_keys() -> None:
    torch.manual_seed(0)
    model = awake(ITCFN(SHAPES))
    model(volume_batch([COMPLETE] * 2)).logits[:, 1].sum().backward()
    named = dict(model.named_parameters())
    for name, parameter in named.items():
        if "qkv.weight" in name:
            assert parameter.grad is not None
            query, key, _ = parameter.grad.chunk(3)
            assert query.abs().max() > 1e-9, name
            assert key.abs().max() > 1e-9, name
    for name in ("mri", "pet", "clinical"):
        grad = named[f"fuse.key_value.{name}.weight"].grad
        assert grad is not None
        assert grad.chunk(2)[0].abs().max() > 1e-9
    assert named["fuse.query.weight"].grad is not None
    assert named["fuse.query.weight"].grad.abs().max() > 1e-9


# The similarity loss


def test_similarity_matching_has_the_published_values() -> None:
    identity, label = torch.eye(2), torch.tensor([0, 1])
    assert similarity_matching(identity, identity, label).item() == pytest.approx(
        3.660930, abs=1e-5
    )
    swapped = similarity_matching(identity, identity.flip(0), label)
    assert swapped.item() == pytest.approx(31.719093, abs=1e-5)
    same = torch.ones(2, 2)
    outcome_groups = similarity_matching(same, same, torch.tensor([1, 1]))
    assert outcome_groups.item() == pytest.approx(0, abs=1e-5)


def test_similarity_matching_is_symmetric_and_never_negative() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        one, other = torch.randn(2, 6, 5)
        label = torch.randint(3, (6,))
        forth = similarity_matching(one, other, label)
        torch.testing.assert_close(forth, similarity_matching(other, one, label))
        torch.testing.assert_close(forth, similarity_matching(3 * one, other, label))
        assert forth > -1e-5


def test_alignment_is_the_weighted_sum_over_observed_pairs(model: ITCFN) -> None:
    """w2 [(1 - w1) SDM(MRI, PET) + w1 (SDM(MRI, clinical) + SDM(PET, clinical)) / 2]."""
    without_pet = ("mri", "clinical", "synthetic_pet")
    batch = volume_batch([COMPLETE, COMPLETE, without_pet, COMPLETE])
    targets = classes(0, 1, 1, 0)
    output = model(replace(batch, targets=targets))
    feature, label = output.embeddings, targets.label
    both = torch.tensor([0, 1, 3])
    images = similarity_matching(feature["mri"][both], feature["pet"][both], label[both])
    pet = similarity_matching(feature["pet"][both], feature["clinical"][both], label[both])
    mri = similarity_matching(feature["mri"], feature["clinical"], label)
    expected = 0.01 * (0.8 * images + 0.1 * (mri + pet))
    torch.testing.assert_close(output.losses["alignment"], expected)


def test_each_modality_has_a_loss_of_its_own(model: ITCFN) -> None:
    """Over the patients who have it; zero weights make it that of a coin."""
    batch = volume_batch([COMPLETE, COMPLETE, ("mri",)])
    targets = classes(0, 1, 1)
    with torch.no_grad():
        for layer in model.single.values():
            layer.weight.zero_()
            layer.bias.zero_()
        model.single["pet"].bias.copy_(torch.tensor([0.0, 1.0]))
    loss = model(replace(batch, targets=targets)).losses["single"]
    chance = [(1 - p) ** 2 * -math.log(p) for p in (0.5, 1 / (1 + math.e), math.e / (1 + math.e))]
    expected = 0.3 * (2 * chance[0] + (chance[1] + chance[2]) / 2)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_alignment_needs_two_known_outcomes(model: ITCFN) -> None:
    batch = volume_batch([COMPLETE, ("mri", "clinical", "synthetic_pet")])
    one_pair = replace(batch, targets=classes(0, 1))
    feature = model(one_pair).embeddings
    only = similarity_matching(feature["mri"], feature["clinical"], torch.tensor([0, 1]))
    torch.testing.assert_close(model(one_pair).losses["alignment"], 0.001 * only)
    censored = SurvivalTargets(
        time_months=torch.ones(2),
        event=torch.tensor([True, False]),
        bins=torch.tensor([0, 0]),
        exposure=torch.ones(2),
        marginal=torch.zeros(2),
    )
    assert model(replace(batch, targets=censored)).losses["alignment"] == 0


# Absent volumes


def test_masked_pet_is_never_read_whatever_it_holds() -> None:
    torch.manual_seed(0)
    model = awake(ITCFN(SHAPES, absent="mask")).eval()
    batch = volume_batch([COMPLETE, ("mri", "clinical", "synthetic_pet"), ("mri", "clinical")])
    logits = model(batch).logits
    assert torch.isfinite(logits).all()
    for value in (float("nan"), float("inf"), 0.0, 7.0):
        tokens = dict(batch.tokens)
        tokens["pet"] = torch.where(batch.real("pet")[:, :, None], tokens["pet"], value)
        tokens["synthetic_pet"] = torch.full_like(tokens["pet"], value)
        assert torch.equal(model(replace(batch, tokens=tokens)).logits, logits)
    without = ("mri", "clinical")
    torch.testing.assert_close(model(volume_batch([COMPLETE, without, without])).logits, logits)


@pytest.mark.parametrize(
    ("real", "synthetic"), [("pet", "synthetic_pet"), ("mri", "synthetic_mri")]
)
def test_synthetic_volume_stands_in_and_counts(model: ITCFN, real: str, synthetic: str) -> None:
    shown = [name for name in COMPLETE if name != real]
    batch = volume_batch([(*shown, synthetic)])
    logits = model(batch).logits
    assert torch.isfinite(logits).all()
    assert torch.equal(model(filled(batch, real, 5.0)).logits, logits)
    assert not torch.allclose(model(changed(batch, synthetic, 1.0)).logits, logits, atol=1e-6)


def test_absent_modalities_add_nothing_to_the_sum(model: ITCFN) -> None:
    """Each modality's own logits enter the sum where the modality is shown, and not elsewhere."""
    batch = volume_batch([COMPLETE, ("mri",), ("synthetic_pet",)])
    before = model(batch).logits
    for column, name in enumerate(COMPLETE):
        with torch.no_grad():
            model.single[name].bias += 1.0
        rise = model(batch).logits - before
        shown = [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 0.0, 0.0]][column]
        expected = torch.tensor(shown)[:, None].expand(3, 2)
        torch.testing.assert_close(rise, expected, atol=1e-5, rtol=0)
        before = model(batch).logits


def test_what_a_synthetic_volume_says_alone_is_weighted(model: ITCFN) -> None:
    batch = volume_batch([("mri", "synthetic_pet"), ("mri", "pet")])
    with torch.no_grad():
        model.single["pet"].bias += 2.0
        before = model(batch).logits
        model.synthetic_weight["pet"] -= 0.25
        fall = before - model(batch).logits
        alone = model.single["pet"](batch.tokens["synthetic_pet"][:1, 0])
    torch.testing.assert_close(fall[:1], 0.25 * alone, atol=1e-5, rtol=0)
    assert not fall[1].any()


def test_synthetic_volume_is_told_from_a_real_one(model: ITCFN) -> None:
    """The same voxels under the flag of the other: another prediction, by the mark alone."""
    synthetic = volume_batch([("mri", "clinical", "synthetic_pet")])
    shown = torch.tensor([[name in COMPLETE for name in MODALITIES]])
    tokens = {**synthetic.tokens, "pet": synthetic.tokens["synthetic_pet"]}
    real = replace(synthetic, tokens=tokens, available=shown)
    assert not torch.allclose(model(real).logits, model(synthetic).logits, atol=1e-6)
    with torch.no_grad():
        model.state_embeddings[:, 1] = model.state_embeddings[:, 0]
    torch.testing.assert_close(model(real).logits, model(synthetic).logits)


def test_real_volume_comes_before_the_synthetic_one(model: ITCFN) -> None:
    both = volume_batch([(*COMPLETE, "synthetic_pet")])
    logits = model(both).logits
    assert torch.equal(model(filled(both, "synthetic_pet", 3.0)).logits, logits)


def test_batches_without_the_synthetic_modalities_are_the_same_as_with_none(model: ITCFN) -> None:
    batch = volume_batch([COMPLETE, ("mri", "clinical")])
    tokens = {name: batch.tokens[name] for name in COMPLETE}
    mask = {name: batch.mask[name] for name in COMPLETE}
    short = Batch(tokens, mask, batch.available[:, :3], COMPLETE)
    assert torch.equal(model(short).logits, model(batch).logits)


@pytest.mark.parametrize("known", [("mri",), ("pet",), ("mri", "clinical"), ("mri", "pet")])
@pytest.mark.parametrize("n_bins", [1, 2, 5])
def test_cohorts_that_lack_a_modality(known: tuple[str, ...], n_bins: int) -> None:
    torch.manual_seed(0)
    clinical_dim = 9 if "clinical" in known else None
    model = ITCFN(shapes_of(None, (), clinical_dim, n_bins, SHAPE)).train()
    batch = volume_batch([known] * 3)
    tokens = {name: batch.tokens[name] for name in known}
    mask = {name: batch.mask[name] for name in known}
    short = Batch(tokens, mask, torch.ones(3, len(known), dtype=torch.bool), known)
    logits = model(short).logits
    assert logits.shape == (3, n_bins)
    logits.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("kind", ["itcfn", "mri_cnn"])
def test_one_patient_is_a_batch(kind: str, train: bool) -> None:
    torch.manual_seed(0)
    model = build(kind, SHAPES).train(train)
    for shown in (COMPLETE, ("mri",), ("pet",), ("clinical",), ()):
        batch = replace(volume_batch([shown]), targets=classes(1))
        output = model(batch)
        total = batch.targets.loss(output.logits) + sum(output.losses.values())
        total.backward()
        assert output.logits.shape == (1, 2)
        assert torch.isfinite(total)


def test_own_encoders_do_not_share_weights() -> None:
    torch.manual_seed(0)
    own, shared = ITCFN(SHAPES, share_encoder=False).eval(), ITCFN(SHAPES)
    assert len(own.encoders) == 2
    assert len(shared.encoders) == 1
    batch = volume_batch([COMPLETE, ("mri", "clinical"), ("pet",)])
    before = own(batch).embeddings
    with torch.no_grad():
        own.encoders[1].stem.weight.mul_(torch.rand_like(own.encoders[1].stem.weight))
    after = own(batch).embeddings
    assert torch.equal(before["mri"], after["mri"])
    assert not torch.allclose(before["pet"], after["pet"], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"absent": "guess"}, "synthesise or mask"),
        ({"width": 12}, "multiple of 8"),
        ({"encoder_width": 4}, "multiple of 8"),
    ],
)
def test_options_that_make_no_model(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ITCFN(SHAPES, **options)  # type: ignore[arg-type]


# What they can learn


def planted(count: int, seed: int) -> tuple[Batch, Tensor]:
    """MRI and PET of noise; in class 1 a small part of both halves of the MRI is darker."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (count,), generator=generator)
    volumes = 0.3 * torch.randn(count, 2, *SHAPE, generator=generator)
    for side in (slice(2, 6), slice(10, 14)):
        volumes[:, 0, side, 7:13, 4:9] -= 0.5 * label[:, None, None, None]
    tokens = {name: volumes[:, i].flatten(1)[:, None] for i, name in enumerate(("mri", "pet"))}
    tokens["clinical"] = torch.randn(count, 1, 9, generator=generator)
    mask = {name: torch.ones(count, 1, dtype=torch.bool) for name in COMPLETE}
    return Batch(tokens, mask, torch.ones(count, 3, dtype=torch.bool), COMPLETE), label


def unrelated(label: Tensor) -> Tensor:
    """The other class for every second patient of each class: classes that tell nothing, exactly.

    After a random permutation a little is left of the truth, or of its opposite, and that is enough
    to find so plain a signal, upside down.
    """
    earlier = torch.stack([(label[:i] == label[i]).sum() for i in range(len(label))])
    return torch.where(earlier % 2 == 1, 1 - label, label)


def auroc_after_training(kind: str, permuted: bool) -> float:
    count, epochs = (96, 5) if kind == "itcfn" else (128, 10)
    batch, label = planted(count, seed=1)
    torch.manual_seed(2)
    known = unrelated(label) if permuted else label
    model = build(kind, SHAPES).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(count).split(16):
            index = rows.tolist()
            part = replace(
                batch,
                tokens={name: tokens[index] for name, tokens in batch.tokens.items()},
                mask={name: mask[index] for name, mask in batch.mask.items()},
                available=batch.available[index],
                targets=ClassTargets(known[rows], torch.ones(2), torch.zeros(2)),
            )
            output = model(part)
            assert part.targets is not None
            loss = part.targets.loss(output.logits) + sum(output.losses.values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    held_out, truth = planted(200, seed=3)
    with torch.no_grad():
        score = model.eval()(held_out).logits.softmax(dim=1)[:, 1]
    return float(roc_auc_score(truth, score))


@pytest.mark.parametrize("kind", ["itcfn", "mri_cnn"])
def test_a_planted_signal_is_learned(kind: str) -> None:
    assert auroc_after_training(kind, permuted=False) > 0.8


@pytest.mark.parametrize("kind", ["itcfn", "mri_cnn"])
def test_permuted_labels_teach_nothing(kind: str) -> None:
    assert auroc_after_training(kind, permuted=True) == pytest.approx(0.5, abs=0.2)
