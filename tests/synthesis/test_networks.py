"""Generators: what they learn from, what is frozen when, what each option changes."""

from __future__ import annotations

import math

import pytest
import torch
from monai.losses import PatchAdversarialLoss
from torch import Tensor, nn

from survfuse.config.synthesis import FlowConfig, SynthesisConfig, UNetConfig, VQGANConfig
from survfuse.synthesis.build import build_generator
from survfuse.synthesis.flow import Flow, folded, unfolded
from survfuse.synthesis.generator import (
    FOURIER_CHANNELS,
    INPUT_CHANNELS,
    Generator,
    PairBatch,
    cut_to,
    gradient_l1,
    inputs_of,
    masked_l1,
    padded,
    with_fourier_features,
)
from survfuse.synthesis.unet import UNet
from survfuse.synthesis.vqgan import VQGAN, feature_match, frozen, least_squares

SHAPE = (10, 12, 9)  # a multiple of nothing
TINY_UNET = UNetConfig(channels=[4, 8])
TINY_VQGAN = VQGANConfig(
    channels=[8, 8],
    residual_channels=8,
    codes=16,
    code_width=4,
    discriminator_channels=4,
    discriminator_layers=1,
    adversarial_epoch=1,
)
TINY_FLOW = FlowConfig(channels=[8, 8], steps=2, draws=1)
GENERATORS = {"unet": TINY_UNET, "vqgan": TINY_VQGAN, "flow": TINY_FLOW}


def settings(generator: str, **changes: object) -> SynthesisConfig:
    return SynthesisConfig(generator=generator, **{generator: GENERATORS[generator]} | changes)


def batch_of(seed: int = 0, shape: tuple[int, int, int] = SHAPE, patients: int = 2) -> PairBatch:
    """Random volumes with a brain that leaves a border."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[1:-1, 2:-2, 1:-1] = True
    volumes = torch.rand((2, patients, *shape), generator=draw) * 2 - 1
    source, target = torch.where(mask, volumes, torch.tensor(-1.0))
    inputs = torch.stack([inputs_of(volume, mask) for volume in source])
    inside = mask.float().expand(patients, 1, *shape)
    return PairBatch(inputs, target[:, None], inside)


def built(generator: str, seed: int = 0, **changes: object) -> Generator:
    torch.manual_seed(seed)
    return build_generator(settings(generator, **changes))


def with_noise(generator: Generator, batch: PairBatch) -> Tensor:
    noise = torch.randn(
        (len(batch.inputs), generator.noise_channels, *batch.inputs.shape[2:]),
        generator=torch.Generator().manual_seed(9),
    )
    return torch.cat([batch.inputs, noise], 1)


def weights(module: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]


def same(before: list[Tensor], after: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_volume_of_any_size_gives_one_of_the_same_size(generator: str) -> None:
    model, batch = built(generator).eval(), batch_of()
    with torch.inference_mode():
        made = model(with_noise(model, batch))
    assert made.shape == (2, 1, *SHAPE)
    assert torch.isfinite(made).all()


def test_losses_by_hand() -> None:
    """Errors of 1 and 3 in the mask, 100 outside; differences of 2 between the two in the mask."""
    target = torch.zeros(1, 1, 3, 1, 1)
    made = torch.tensor([1.0, -3.0, 100.0]).reshape(1, 1, 3, 1, 1)
    mask = torch.tensor([1.0, 1.0, 0.0]).reshape(1, 1, 3, 1, 1)
    batch = PairBatch(torch.zeros(1, INPUT_CHANNELS, 3, 1, 1), target, mask)
    assert float(masked_l1(made, batch)) == 2.0
    assert float(gradient_l1(made, batch)) == pytest.approx(4.0 / 3)  # of three axes, two empty


def test_what_lies_outside_the_mask_is_not_seen() -> None:
    mask = torch.zeros(4, 4, 4, dtype=torch.bool)
    mask[1:3, 1:3, 1:3] = True
    source = torch.rand(4, 4, 4)
    strange = torch.where(mask, source, torch.tensor(float("nan")))
    assert torch.equal(inputs_of(source, mask), inputs_of(strange, mask))
    inputs = inputs_of(source, mask)
    assert torch.allclose(inputs[0][mask], (source[mask] + 1) / 2)
    assert float(inputs[0][~mask].abs().max()) == 0
    assert [float(inputs[axis + 1].flatten()[0]) for axis in range(3)] == [-1, -1, -1]


def test_waves_by_hand() -> None:
    inputs = torch.zeros(1, INPUT_CHANNELS, 2, 1, 1)
    inputs[0, 0, 1] = 0.5
    features = with_fourier_features(inputs)[0, INPUT_CHANNELS:, :, 0, 0]
    assert features.shape == (FOURIER_CHANNELS, 2)
    assert features[:, 0].abs().max() == 0  # background
    assert features[:, 1].tolist() == pytest.approx([1, 0, 0, -1, -1, 0], abs=1e-6)


def test_padding_is_undone() -> None:
    volume = torch.rand(2, 3, *SHAPE)
    whole = padded(volume, 8, (1, 1, 32))
    assert whole.shape[2:] == (16, 16, 32)
    assert torch.equal(cut_to(whole, volume), volume)


@pytest.mark.parametrize("generator", GENERATORS)
def test_recomputed_activations_give_the_same_gradients_from_less_memory(generator: str) -> None:
    def kept_and_gradients(checkpointing: bool) -> tuple[int, list[Tensor]]:
        model, kept = built(generator, checkpointing=checkpointing).train(), 0

        def keep(tensor: Tensor) -> Tensor:
            nonlocal kept
            kept += tensor.numel()
            return tensor

        torch.manual_seed(5)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model.loss(batch_of())
        loss.backward()
        return kept, [w.grad for w in model.parameters() if w.grad is not None]

    kept, gradients = kept_and_gradients(False)
    kept_less, recomputed = kept_and_gradients(True)
    assert kept_less < kept
    assert len(gradients) == len(recomputed) > 10
    for one, other in zip(gradients, recomputed, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("generator", GENERATORS)
def test_half_precision_changes_the_loss_a_little_and_leaves_the_weights_in_fp32(
    generator: str,
) -> None:
    losses = []
    for half in (False, True):
        model = built(generator)
        model.half_precision = half
        torch.manual_seed(1)
        for weight in model.parameters():  # MONAI's last layers may start at zero
            nn.init.normal_(weight, std=0.05)
        losses.append(model.step(batch_of(), 1, model.optimisers(1e-3))["loss"])
        assert all(weight.dtype == torch.float32 for weight in model.parameters())
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


@pytest.mark.parametrize("generator", GENERATORS)
def test_training_reduces_the_error_on_the_pair_it_sees(generator: str) -> None:
    model, batch = built(generator), batch_of()
    optimisers = model.optimisers(3e-3)
    first = float(model.eval().validation_loss(batch).detach())
    model.train()
    for _ in range(40 if generator == "flow" else 15):
        model.step(batch, 0, optimisers)
    with torch.inference_mode():
        assert float(model.eval().validation_loss(batch)) < 0.95 * first


# The regression network


def test_the_gradient_term_counts_by_its_weight() -> None:
    batch, losses = batch_of(), []
    for weight in (0.0, 0.5, 1.0):
        torch.manual_seed(0)
        model = UNet(UNetConfig(channels=[4, 8], gradient_weight=weight)).eval()
        losses.append(float(model.loss(batch).detach()))
    assert losses[0] < losses[1] < losses[2]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)


def test_the_regression_network_has_the_size_asked_for() -> None:
    sizes = [
        sum(weight.numel() for weight in UNet(UNetConfig(channels=channels)).parameters())
        for channels in ([4, 8], [4, 8, 16], [8, 16])
    ]
    assert sizes[0] < sizes[2] < sizes[1]
    smallest = UNet(UNetConfig(channels=[4, 4, 4, 4])).train()
    assert smallest(torch.rand(1, INPUT_CHANNELS, 8, 8, 8)).shape == (1, 1, 8, 8, 8)


# The quantised autoencoder and its adversary


def test_published_sizes() -> None:
    """Numbers of weights of the two published networks; on no device, as they take 0.5 GB."""
    with torch.device("meta"):
        model = VQGAN(
            VQGANConfig(
                channels=[256, 512], residual_channels=512, codes=1024, discriminator_channels=64
            )
        )
    assert sum(weight.numel() for weight in model.network.parameters()) == 102_670_881
    assert sum(weight.numel() for weight in model.discriminator.parameters()) == 11_048_769


def test_the_gradient_passes_the_codebook_as_if_it_were_not_there() -> None:
    model = VQGAN(TINY_VQGAN).eval()
    encoded = torch.randn(1, 4, 3, 3, 3, requires_grad=True)
    _, quantised = model.network.quantizer(encoded)
    upstream = torch.randn_like(quantised)
    quantised.backward(upstream)
    assert torch.equal(encoded.grad, upstream)
    assert not torch.allclose(quantised.detach(), encoded.detach())


def test_commitment_by_hand() -> None:
    """Encodings of 1, all codes 0: 0.25 times the squared distance of 1."""
    model = VQGAN(TINY_VQGAN).eval()
    quantizer = model.network.quantizer.quantizer
    quantizer.embedding.weight.data.zero_()
    loss, quantised = model.network.quantizer(torch.ones(1, 4, 2, 2, 2))
    assert float(loss) == pytest.approx(0.25)
    assert float(quantised.abs().max()) == 0


def test_the_codebook_moves_in_training_only_and_indices_stay_in_range() -> None:
    model, batch = VQGAN(TINY_VQGAN), batch_of()
    book = model.network.quantizer.quantizer.embedding.weight
    before = book.detach().clone()
    model.eval()(batch.inputs)
    assert torch.equal(before, book)
    model.train()(batch.inputs)
    assert not torch.equal(before, book)
    indices = model.network.index_quantize(padded(batch.inputs[:, :1], model.multiple))
    assert 0 <= int(indices.min()) <= int(indices.max()) <= TINY_VQGAN.codes - 1


def test_least_squares_have_no_activation() -> None:
    """An answer of -1 where 1 is aimed at costs 4, which an activation would bound."""
    assert float(least_squares(torch.full((2, 1, 3, 3, 3), -1.0), 1.0)) == 4.0
    answer = torch.randn(2, 1, 3, 3, 3)
    library = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)
    for aim, real in ((1.0, True), (0.0, False)):
        expected = library(answer, target_is_real=real, for_discriminator=True)
        assert float(least_squares(answer, aim)) == pytest.approx(float(expected))


def test_feature_match_by_hand() -> None:
    fake = [torch.zeros(1, 2, 2, 2, 2), torch.ones(1, 1, 1, 1, 1)]
    real = [torch.ones(1, 2, 2, 2, 2), torch.full((1, 1, 1, 1, 1), 4.0)]
    assert float(feature_match(fake, real)) == pytest.approx(2.0)
    assert float(feature_match(real, real)) == 0.0


def test_each_of_the_two_is_frozen_in_the_step_of_the_other() -> None:
    model, batch = VQGAN(TINY_VQGAN), batch_of()
    made, _ = model.reconstructed(batch.inputs)
    sum(model.scored(made, batch)).backward()
    assert all(weight.grad is None for weight in model.discriminator.parameters())
    assert any(weight.grad is not None for weight in model.network.parameters())
    assert all(weight.requires_grad for weight in model.discriminator.parameters())

    model = VQGAN(TINY_VQGAN)
    before, untouched = weights(model.network), weights(model.discriminator)
    discriminator = model.optimisers(1e-2)[1]
    model.discriminator_step(batch.target + 0.1, batch, discriminator)
    assert same(before, weights(model.network))
    assert all(weight.grad is None for weight in model.network.parameters())
    assert not same(untouched, weights(model.discriminator))


def test_freezing_ends_when_an_error_does() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="inside"), frozen(module):
        assert not module.weight.requires_grad
        raise ValueError("inside")
    assert module.weight.requires_grad


def test_the_adversary_waits_for_its_epoch() -> None:
    model, batch = VQGAN(TINY_VQGAN), batch_of()
    optimisers = model.optimisers(1e-3)
    before = weights(model.discriminator)
    early = model.step(batch, 0, optimisers)
    assert same(before, weights(model.discriminator))
    assert "adversarial" not in early
    late = model.step(batch, 1, optimisers)
    assert not same(before, weights(model.discriminator))
    assert {"adversarial", "features", "discriminator"} <= set(late)
    assert 1 <= late["perplexity"] <= TINY_VQGAN.codes


@pytest.mark.parametrize("name", ["adversarial_weight", "feature_weight"])
def test_weights_of_the_adversary_reach_the_loss(name: str) -> None:
    losses = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        model = VQGAN(TINY_VQGAN.model_copy(update={name: weight}))
        losses.append(model.step(batch_of(), 1, model.optimisers(1e-3))["loss"])
    assert losses[1] > losses[0]


def test_depth_of_the_discriminator() -> None:
    layers = [
        len(VQGAN(TINY_VQGAN.model_copy(update={"discriminator_layers": n})).discriminator)
        for n in (1, 3)
    ]
    assert layers[1] == layers[0] + 2


# Rectified flow


def test_folding_loses_nothing_and_keeps_blocks_together() -> None:
    volume = torch.arange(2 * 3 * 4 * 6 * 8.0).reshape(2, 3, 4, 6, 8)
    small = folded(volume, 2)
    assert small.shape == (2, 24, 2, 3, 4)
    assert torch.equal(unfolded(small, 2), volume)
    block = volume[0, 0, :2, :2, :2].flatten()
    assert torch.equal(small[0, :8, 0, 0, 0], block)


def test_the_true_velocity_leads_from_noise_to_the_target() -> None:
    """With the exact velocity, target minus noise, any number of steps arrives exactly."""
    batch = batch_of(shape=(8, 8, 8))
    for steps in (1, 3):
        model = Flow(FlowConfig(channels=[8], fold=2, steps=steps))
        noise = torch.randn_like(batch.target)
        exact = folded(batch.target - noise, 2)
        model.velocity = lambda *_, exact=exact: exact  # type: ignore[method-assign]
        made = model(torch.cat([batch.inputs, noise], 1))
        assert torch.allclose(made, batch.target, atol=1e-5)
        assert float(model.velocity_error(batch, noise, torch.full((2,), 0.3))) < 1e-10


def test_the_network_sees_the_line_between_noise_and_target() -> None:
    model, batch = Flow(FlowConfig(channels=[8], fold=1)), batch_of(shape=(8, 8, 8))
    noise, shown = torch.randn_like(batch.target), []
    model.velocity = lambda x, *_: shown.append(x) or x  # type: ignore[method-assign]
    for time in (0.0, 0.25, 1.0):
        model.velocity_error(batch, noise, torch.full((2,), time))
        expected = (1 - time) * noise + time * batch.target
        assert torch.allclose(shown[-1], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["steps", "fold", "channels"])
def test_options_of_the_flow_change_what_it_makes(name: str) -> None:
    batch, made = batch_of(shape=(8, 8, 8)), []
    for value in {"steps": (1, 4), "fold": (1, 2), "channels": ([8], [16])}[name]:
        torch.manual_seed(0)
        model = Flow(TINY_FLOW.model_copy(update={name: value})).eval()
        for weight in model.parameters():  # MONAI's last layer starts at zero
            nn.init.normal_(weight, std=0.1)
        with torch.inference_mode():
            made.append(model(with_noise(model, batch)))
    assert not torch.allclose(made[0], made[1])


def test_the_validation_loss_is_the_same_at_every_look() -> None:
    model, batch = Flow(TINY_FLOW).eval(), batch_of()
    with torch.inference_mode():
        assert float(model.validation_loss(batch)) == float(model.validation_loss(batch))
    assert math.isfinite(float(model.validation_loss(batch).detach()))
