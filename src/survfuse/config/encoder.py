"""The section `slides.encoder` of the configuration: the network that embeds tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section

Arguments = dict[str, int | float | bool | str | list[int]]
Colour = tuple[float, float, float]
Pooling = Literal["none", "class_token", "patch_mean", "class_and_patch_mean"]
FileFormat = Literal["tensors", "torchscript", "onnx"]


class EncoderConfig(Section):
    """The network that embeds tiles: a preset, any of whose settings can be replaced, or another.

    What is not set is that of the preset.
    """

    preset: str | None = Field(
        None,
        description="A known encoder, e.g. uni2-h: see docs/reference/encoders.md. Default: none "
        "if `arch` or another `format` is named, else resnet50_trunc.",
    )
    arch: str | None = Field(
        None,
        description="Network: a model of timm, or ctranspath, conch_v1, conch_v1_5 or "
        "resnet50_trunc (CLAM's truncated ResNet-50). A tag, as in resnet50.a1_in1k, says which "
        "weights they are, and so their mean, std and input_px.",
    )
    arguments: Arguments = Field(
        default_factory=dict,
        description="Arguments of timm.create_model that the weights were trained with, added to "
        "those of the preset, e.g. {img_size: 224, init_values: 1.0e-5}. A layer is named by its "
        "path in timm.layers or torch.nn, e.g. timm.layers.SwiGLUPacked.",
    )
    weights: Path | None = Field(
        None, description="Local file of weights; required unless untrained is true."
    )
    format: FileFormat = Field(
        "tensors",
        description="What the file holds: named tensors (.safetensors, or .pt, .pth and .bin, of "
        "which no object is unpickled), or a whole network as TorchScript or ONNX (which needs "
        "survfuse[onnx]).",
    )
    trust_torchscript: bool = Field(
        False,
        description="Run the TorchScript file. It is a program that runs with your rights: only "
        "for a file from a source that you trust.",
    )
    mean: Colour | None = Field(
        None,
        description="Mean of red, green and blue that the weights were trained with, on a scale "
        "from 0 to 1. With weights it is required, as are std, input_px and pooling, where neither "
        "a preset nor a tag says them.",
    )
    std: Colour | None = Field(
        None, description="Standard deviation of red, green and blue, on the same scale."
    )
    input_px: int | None = Field(
        None, ge=16, le=2048, description="Side of the square that the encoder sees."
    )
    resize_px: int | None = Field(
        None,
        ge=16,
        le=2048,
        description="Side that tiles are resized to; the centre of input_px is cut from it. "
        "Default: input_px.",
    )
    pooling: Pooling | None = Field(
        None,
        description="What becomes the embedding: the output of the network as it is (none), or of "
        "its tokens the class token, the mean of the patches, or both side by side.",
    )
    norm_eps: float | None = Field(
        None, gt=0, description="Epsilon of all layer normalisations. Default: the network's own."
    )
    width: int | None = Field(
        None, ge=1, description="Numbers in an embedding; another output is refused."
    )
    untrained: bool = Field(
        False, description="Use seeded random weights, for demonstrations; reports say so."
    )

    @model_validator(mode="after")
    def pixels_make_sense(self) -> EncoderConfig:
        require_unit_scale(self.mean, self.std)
        if self.resize_px and self.input_px and self.resize_px < self.input_px:
            raise ValueError("resize_px must not be less than input_px, which is cut from it")
        return self


def require_unit_scale(mean: Colour | None, std: Colour | None) -> None:
    """Raise ValueError for statistics of pixels on another scale than 0 to 1."""
    for name, values, least in (("mean", mean, 0.0), ("std", std, 0.01)):
        if values is not None and not all(least <= value <= 1 for value in values):
            raise ValueError(f"{name} is on a scale from 0 to 1; divide values of 0 to 255 by 255")
