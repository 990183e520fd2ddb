"""Making volumes with a fitted generator, and the two controls it is compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from survfuse.config.synthesis import SynthesisConfig
from survfuse.modalities.volumes.intensity import BACKGROUND
from survfuse.synthesis.generator import Generator, inputs_of
from survfuse.synthesis.pairs import Mask, Pairs, Volume, read_volume

OVERLAP = 0.5  # of neighbouring pieces, along each axis


def seed_of_direction(settings: SynthesisConfig, fold: tuple[int, int], number: int) -> int:
    """The seed of what a fold (repeat, number) makes in one of the configured directions."""
    seeds = np.random.SeedSequence([settings.seed, *fold, number])
    return int(seeds.generate_state(1)[0] >> 1)


def seed_of_patient(direction: int, patient: str) -> int:
    """The seed of the noise of one patient, whoever else is made; `direction`: that of it."""
    return int(np.random.SeedSequence([direction, *patient.encode()]).generate_state(1)[0])


@torch.inference_mode()
def make_volume(
    generator: Generator, source: Volume, mask: Mask, settings: SynthesisConfig, seed: int
) -> Volume:
    """The target (I, J, K) in -1..1, exactly -1 outside the source's mask.

    Noise, where the generator needs it, is drawn from `seed`. With `settings.patch` the volume is
    put together of overlapping pieces.
    """
    device = next(generator.parameters()).device
    inputs = inputs_of(torch.from_numpy(source), torch.from_numpy(mask))[None]
    noise = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(inputs[:, :1], device=device)
    for _ in range(generator.draws):
        shape = (1, generator.noise_channels, *source.shape)
        drawn = torch.cat([inputs, torch.randn(shape, generator=noise)], 1).to(device)
        total += in_pieces(generator, drawn, settings.patch)
    made = (total / generator.draws)[0, 0].clamp(BACKGROUND, 1).float().cpu().numpy()
    return np.where(mask, made, np.float32(BACKGROUND))


def in_pieces(
    generator: Callable[[Tensor], Tensor], inputs: Tensor, patch: tuple[int, int, int] | None
) -> Tensor:
    """The generator's answer for a whole volume, or put together of those for pieces."""
    if patch is None:
        return generator(inputs)
    from monai.inferers import sliding_window_inference

    made = sliding_window_inference(
        inputs, patch, 1, generator, overlap=OVERLAP, mode="gaussian", padding_mode="constant"
    )
    assert isinstance(made, Tensor)
    return made


def mean_volume(pairs: Pairs) -> Volume:
    """The target's mean over these patients, voxel by voxel over those whose brain reaches there.

    Where nobody's does, the mean of all brains; so that it is as good a guess as a mean can be.
    """
    total: NDArray[np.float64] | None = None
    count: NDArray[np.int64] | None = None
    for path in pairs.targets:
        volume, mask, _ = read_volume(path)
        if total is None or count is None:
            total, count = np.zeros(volume.shape), np.zeros(volume.shape, dtype=np.int64)
        total += np.where(mask, volume, 0)
        count += mask
    assert total is not None and count is not None
    everywhere = total.sum() / max(count.sum(), 1)
    return np.where(count, total / np.maximum(count, 1), everywhere).astype(np.float32)


def controls_of(mean: Volume, source: Volume, mask: Mask) -> dict[str, Volume]:
    """What needs no generator: the training mean in the patient's brain, and the source itself."""
    return {
        "training_mean": np.where(mask, mean, np.float32(BACKGROUND)),
        "copied_source": source,
    }
