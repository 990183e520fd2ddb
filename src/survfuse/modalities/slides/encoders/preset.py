"""What is known of a published encoder of tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
Colour = tuple[float, float, float]

# How the tensors of a file may be named, see `key_names`.
TIMM, DINOV2, TRANSFORMERS = "timm", "DINOv2", "transformers"
CONCH, OLD_SWIN, WHOLE_RESNET = "CONCH", "timm before 0.9", "torchvision or timm"


@dataclass(frozen=True)
class Preset:
    """A published encoder: how it is built, what it wants to see, and what comes out.

    arch: a model of timm or a network of `networks.OWN`. arguments: of timm.create_model; layers by
    their path. input_px: side of the square that it sees. mean, std: of red, green and blue, 0 to
    1. pooling: see `EncoderConfig`. width: numbers in an embedding. tile_px, tile_mpp: side in
    pixels and micrometres per pixel of the tiles that its authors recommend. key_names: how the
    tensors of its files may be named. licence: of the weights, as their page says it. page: where
    that is. resize_px: side that tiles are resized to, where input_px is cut from the centre.
    norm_eps: epsilon of layer normalisation, where it is not timm's. position_offset: how stored
    positions of another input size are interpolated, see `key_names.resized_positions`; None where
    none are. names: what its files and folders are called, besides its own name.
    """

    arch: str
    input_px: int
    width: int
    tile_px: int
    tile_mpp: float
    licence: str
    page: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    pooling: str = "class_token"
    key_names: tuple[str, ...] = (TIMM,)
    resize_px: int | None = None
    norm_eps: float | None = None
    position_offset: float | None = None
    names: tuple[str, ...] = ()
