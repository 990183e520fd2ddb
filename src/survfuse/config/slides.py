"""The section `slides` of the configuration: tissue, tiles and embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section


class SlideConfig(Section):
    """Tissue, tiles and embeddings."""

    target_mpp: float = Field(0.5, ge=0.1, le=8, description="Micrometres per pixel of a tile.")
    tile_px: int = Field(256, ge=32, le=2048, description="Side of a tile in pixels.")
    min_tissue: float = Field(0.3, ge=0, le=1, description="Least share of tissue in a tile.")
    min_tissue_mm2: float = Field(
        0.02, ge=0, description="Pieces of tissue smaller than this are ignored."
    )
    encoder: str = Field(
        "resnet50_trunc",
        description="A timm model name, or resnet50_trunc (CLAM's truncated ResNet-50).",
    )
    encoder_options: dict[str, int | float | bool | str | list[int]] = Field(
        default_factory=dict,
        description="Arguments of timm.create_model that the weights were trained with, e.g. "
        "{img_size: 224, init_values: 1.0e-5, dynamic_img_size: true}. A layer is named by its "
        "path in timm.layers or torch.nn, e.g. timm.layers.SwiGLUPacked.",
    )
    weights: Path | None = Field(
        None, description="Local .safetensors or .pt weights; required unless untrained is true."
    )
    mean: tuple[float, float, float] | None = Field(
        None,
        description="Mean of red, green and blue that the weights were trained with, on a scale "
        "from 0 to 1. With weights it is required, as are std, input_px and pooling (but for "
        "resnet50_trunc).",
    )
    std: tuple[float, float, float] | None = Field(
        None, description="Standard deviation of red, green and blue, on the same scale."
    )
    input_px: int | None = Field(
        None, ge=16, le=2048, description="Side that tiles are resized to for the encoder."
    )
    pooling: Literal["none", "class_token", "patch_mean", "class_and_patch_mean"] | None = Field(
        None,
        description="What becomes the embedding: the output of the network as it is (none), or of "
        "its tokens the class token, the mean of the patches, or both side by side.",
    )
    untrained: bool = Field(
        False, description="Use seeded random weights, for demonstrations; reports say so."
    )
    batch_size: int = Field(50, ge=1, description="Slides per job.")
    max_failed_fraction: float = Field(
        0.2,
        ge=0,
        le=1,
        description="More quarantined slides than this stop the run (exit 4). A single one does so "
        "only at 0, or if no slide is left.",
    )
    decode_memory_gb: float = Field(
        4.0, gt=0, description="Memory that decoding one slide may take; more quarantines it."
    )
    decode_timeout_s: float = Field(
        900.0, gt=0, description="A slide whose next tiles take longer is quarantined."
    )
    clam_export: bool = Field(False, description="Also write CLAM's patches, h5_files, pt_files.")

    @model_validator(mode="after")
    def colours_are_on_the_unit_scale(self) -> SlideConfig:
        for name, least in (("mean", 0.0), ("std", 0.01)):
            values = getattr(self, name)
            if values is not None and not all(least <= value <= 1 for value in values):
                raise ValueError(
                    f"{name} is on a scale from 0 to 1; divide values of 0 to 255 by 255"
                )
        return self
