"""The generator that the configuration asks for."""

from __future__ import annotations

from survfuse.config.synthesis import SynthesisConfig
from survfuse.synthesis.generator import Generator

LEARNING_RATES = {"unet": 2e-3, "vqgan": 5e-4, "flow": 1e-3}


def build_generator(settings: SynthesisConfig) -> Generator:
    """An untrained generator; weights are drawn from torch's global random state."""
    if settings.generator == "vqgan":
        from survfuse.synthesis.vqgan import VQGAN

        return VQGAN(settings.vqgan, settings.checkpointing)
    if settings.generator == "flow":
        from survfuse.synthesis.flow import Flow

        return Flow(settings.flow, settings.checkpointing)
    from survfuse.synthesis.unet import UNet

    return UNet(settings.unet, settings.checkpointing)


def learning_rate_of(settings: SynthesisConfig) -> float:
    """The learning rate at the start: the configured one, or the generator's own."""
    return settings.learning_rate or LEARNING_RATES[settings.generator]
