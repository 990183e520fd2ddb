"""The section `synthesis` of the configuration: volumes of a modality that a patient lacks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section

Target = Literal["pet", "mri"]


class UNetConfig(Section):
    """A regression network with skip connections: says the expected volume, and says it fast."""

    channels: list[int] = Field(
        default_factory=lambda: [16, 32, 64],
        description="Channels of the levels, finest first, each of half the resolution. On a GPU "
        "at 96 x 128 x 96 voxels: [32, 64, 128, 256].",
    )
    gradient_weight: float = Field(
        0.5, ge=0, description="Weight of the error of differences between neighbours (sharpness)."
    )

    @model_validator(mode="after")
    def levels_given(self) -> UNetConfig:
        if not 2 <= len(self.channels) <= 6 or min(self.channels) < 1:
            raise ValueError("channels must be two to six numbers of 1 or more")
        return self


class VQGANConfig(Section):
    """The generator of ITCFN: a vector-quantised autoencoder against a patch discriminator."""

    channels: list[int] = Field(
        default_factory=lambda: [64, 128],
        description="Channels of the levels, each of half the resolution. Published: [256, 512].",
    )
    residual_channels: int = Field(
        64, ge=1, description="Channels inside the residual units. Published: 512."
    )
    codes: int = Field(256, ge=2, description="Entries of the codebook. Published: 1024.")
    code_width: int = Field(32, ge=1, description="Numbers per entry of the codebook.")
    discriminator_channels: int = Field(
        16, ge=1, description="Channels of the first layer of the discriminator. Published: 64."
    )
    discriminator_layers: int = Field(
        3, ge=1, le=5, description="Layers of the discriminator; fewer for volumes below 32 voxels."
    )
    adversarial_epoch: int = Field(
        6, ge=0, description="Epoch, from 0, from which the discriminator takes part."
    )
    adversarial_weight: float = Field(0.01, ge=0, description="Weight of the adversarial loss.")
    feature_weight: float = Field(
        0.1, ge=0, description="Weight of the match of the discriminator's feature maps."
    )

    @model_validator(mode="after")
    def levels_given(self) -> VQGANConfig:
        if not self.channels or min(self.channels) < 1:
            raise ValueError("channels must be one or more numbers of 1 or more")
        return self


class FlowConfig(Section):
    """A rectified flow from noise to the volume: draws plausible volumes, of which it averages."""

    channels: list[int] = Field(
        default_factory=lambda: [32, 64, 96],
        description="Channels of the levels of the network, multiples of 8.",
    )
    fold: int = Field(
        2,
        ge=1,
        le=4,
        description="Blocks of this many voxels along each axis become channels, without loss, "
        "which makes the network's volumes smaller.",
    )
    steps: int = Field(4, ge=1, le=1000, description="Steps from noise to volume.")
    draws: int = Field(
        4, ge=1, le=64, description="Volumes drawn and averaged; 1 shows a single plausible one."
    )

    @model_validator(mode="after")
    def channels_in_groups(self) -> FlowConfig:
        if not self.channels or any(count < 8 or count % 8 for count in self.channels):
            raise ValueError("channels must be one or more multiples of 8")
        return self


class SynthesisConfig(Section):
    """How a missing MRI or PET is made from the other one; fitted in each outer training fold."""

    generator: Literal["unet", "vqgan", "flow"] = Field(
        "unet",
        description="unet: regression, strongest and fastest where errors count. vqgan: the "
        "adversarial generator of ITCFN. flow: rectified flow.",
    )
    directions: list[Target] = Field(
        ["pet"],
        description="What is made: pet (from MRI), mri (from PET), or both.",
    )
    min_pairs: int = Field(
        8, ge=2, description="Fewest training patients with both volumes; fewer stop the run."
    )
    epochs: int = Field(40, ge=1, description="Most epochs.")
    patience: int = Field(
        15, ge=1, description="Epochs without improvement on the validation pairs before stopping."
    )
    batch_size: int = Field(1, ge=1, description="Pairs per step.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Learning rate of AdamW at the start, from where it falls as a cosine; "
        "default: 0.002 (unet), 0.0005 (vqgan), 0.001 (flow).",
    )
    cross_fit: bool = Field(
        True,
        description="Also make volumes of training patients who have the real one, each by a "
        "generator fitted on the other half of them; training shows these where it hides the real "
        "one. Doubles the cost; without it a hidden volume becomes a mask.",
    )
    mirror: bool = Field(
        True, description="Show half of the brains mirrored in training, left for right."
    )
    patch: tuple[int, int, int] | None = Field(
        None,
        description="Voxels of the random pieces trained on; default: whole volumes. Volumes are "
        "then made of overlapping pieces.",
    )
    checkpointing: bool = Field(
        False, description="Compute activations twice instead of keeping them: less memory."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 on a GPU, fp32 elsewhere; volumes are made in fp32."
    )
    seed: int = Field(0, ge=0, description="Seed of weights, order, pieces and noise.")
    unet: UNetConfig = Field(default_factory=lambda: UNetConfig())
    vqgan: VQGANConfig = Field(default_factory=lambda: VQGANConfig())
    flow: FlowConfig = Field(default_factory=lambda: FlowConfig())

    @model_validator(mode="after")
    def numbers_make_sense(self) -> SynthesisConfig:
        if not self.directions or len(set(self.directions)) != len(self.directions):
            raise ValueError("directions must name pet, mri, or each of them once")
        if self.patch is not None and not all(8 <= side <= 512 for side in self.patch):
            raise ValueError("patch must be three numbers from 8 to 512")
        return self
