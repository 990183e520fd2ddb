"""The names of tensors in files of weights, and what timm calls the same tensors.

The same vision transformer is stored under other names by timm, by the authors of DINOv2 and by the
library transformers, with or without prefixes of whatever wrapped it. Pure functions on tensors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from survfuse.modalities.slides.encoders.preset import (
    CONCH,
    DINOV2,
    OLD_SWIN,
    TRANSFORMERS,
    WHOLE_RESNET,
)

Tensors = dict[str, Tensor]
# What training programs and wrappers write before the names of the network itself.
PREFIXES = ("module.", "_orig_mod.", "teacher.", "model.", "backbone.", "vit.", "dinov2.")
# What belongs to training or to other tasks, and no embedding uses.
NEEDLESS = re.compile(
    r"(head|fc|classifier|pooler|dino_head|ibot_head|student|dino_loss|ibot_patch_loss)\."
    r"|mask_token$|masked_embed$|.*\.(attn_mask|relative_position_index|num_batches_tracked)$"
)
OF_DINOV2 = (
    (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),  # blocks in chunks
    (r"\.mlp\.w12\.", ".mlp.fc1."),
    (r"\.mlp\.w3\.", ".mlp.fc2."),
    (r"^register_tokens$", "reg_token"),
)
OF_TRANSFORMERS = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.(cls|mask)_token$", r"\1_token"),
    (r"^layernorm\.", "norm."),
    (r"^(encoder\.)?layers?\.(\d+)\.", r"blocks.\2."),
    (r"\.attention\.(attention\.)?(query|q_proj)\.", ".attn.q."),
    (r"\.attention\.(attention\.)?(key|k_proj)\.", ".attn.k."),
    (r"\.attention\.(attention\.)?(value|v_proj)\.", ".attn.v."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"^(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.(weights_out|down_proj)\.", ".mlp.fc2."),
)
# Tensors that are kept apart and that timm has as one, side by side.
JOINED = ((("attn.q", "attn.k", "attn.v"), "attn.qkv"), (("gate_proj", "up_proj"), "fc1"))


def timm_names(stored: Tensors, layouts: Collection[str], wanted: Collection[str]) -> Tensors:
    """The tensors of a file under the names of a network, without what it has no use for.

    layouts: how the names may be, see `Preset.key_names`. wanted: the names in the network; what
    is none of them and not known to be needless stays, for the caller to refuse.
    """
    named = without_prefixes(stored, wanted)
    for name, layout in LAYOUTS.items():
        if name in layouts and any(map(layout.recognised.search, named)):
            for pattern, replacement in layout.rules:
                named = {re.sub(pattern, replacement, key): one for key, one in named.items()}
            named = layout.converted(named)
    return {key: one for key, one in named.items() if key in wanted or not NEEDLESS.match(key)}


def without_prefixes(stored: Tensors, wanted: Collection[str]) -> Tensors:
    """The tensors of one network of a file, without what a wrapper wrote before their names.

    Of a file of a whole training, those of the teacher's backbone.
    """
    for prefix in (*PREFIXES, *PREFIXES):  # wrappers are wrapped, in any order
        inside = {key for key in stored if key.startswith(prefix)}
        if inside and not any(name.startswith(prefix) for name in wanted):
            stored = {key.removeprefix(prefix): stored[key] for key in inside}
    return stored


def from_dinov2(named: Tensors) -> Tensors:
    """Registers have no position in DINOv2; timm then has none for the class token either.

    Its position is added to it once and for all, which is what happens in every pass.
    """
    if "reg_token" not in named or "cls_token" not in named or "pos_embed" not in named:
        return named
    positions = named["pos_embed"]
    moved = {"cls_token": named["cls_token"] + positions[:, :1], "pos_embed": positions[:, 1:]}
    return {**named, **moved}


def from_transformers(named: Tensors) -> Tensors:
    """Join what timm has as one tensor: queries, keys and values; both inputs of a gated MLP."""
    joined = dict(named)
    for parts, whole in JOINED:
        for key in named:
            if f"{parts[0]}." not in key:
                continue
            names = [key.replace(parts[0], part) for part in parts]
            if all(name in joined for name in names):
                joined[key.replace(parts[0], whole)] = torch.cat([joined.pop(one) for one in names])
    return from_dinov2(joined)


def from_conch(named: Tensors) -> Tensors:
    """The image tower up to its contrastive embedding, before the projection beside texts."""
    kept = ("trunk.", "attn_pool_contrast.", "ln_contrast.")
    return {key: one for key, one in named.items() if key.startswith(kept)}


def from_old_swin(named: Tensors) -> Tensors:
    """Patches were merged at the end of a stage, and are now at the beginning of the next."""
    merging = re.compile(r"^layers\.(\d+)\.downsample\.")
    return {
        merging.sub(lambda found: f"layers.{int(found[1]) + 1}.downsample.", key): one
        for key, one in named.items()
    }


def from_whole_resnet(named: Tensors) -> Tensors:
    """A ResNet up to its third stage, in `networks.TruncatedResNet50`."""
    later = ("layer4.", "fc.")
    return {f"body.{key}": one for key, one in named.items() if not key.startswith(later)}


@dataclass(frozen=True)
class Layout:
    """One way to name tensors: how it is recognised by a name, and what becomes of the names."""

    recognised: re.Pattern[str]
    converted: Callable[[Tensors], Tensors]
    rules: tuple[tuple[str, str], ...] = ()


LAYOUTS = {
    DINOV2: Layout(
        re.compile(r"^register_tokens$|\.mlp\.w12\.|^blocks\.\d+\.\d+\."), from_dinov2, OF_DINOV2
    ),
    TRANSFORMERS: Layout(re.compile(r"^embeddings\."), from_transformers, OF_TRANSFORMERS),
    CONCH: Layout(re.compile("attn_pool_contrast"), from_conch, ((r"^visual\.", ""),)),
    OLD_SWIN: Layout(re.compile(r"^layers\.0\.downsample\."), from_old_swin),
    WHOLE_RESNET: Layout(re.compile(r"^layer3\."), from_whole_resnet),
}


def resized_positions(table: Tensor, length: int, offset: float) -> Tensor:
    """Positions (1, N, D) interpolated to another square grid: (1, length, D).

    One row may be that of the class token, which stays. offset: the programs of DINO add 0.1 to the
    side of the grid before they divide by it, so that their grid is a little finer. Returned as it
    is where either number of rows is no square, with or without one more.
    """
    rows = (table.shape[1], length)
    for first in (1, 0):
        old, new = (math.isqrt(count - first) for count in rows)
        if (old**2 + first, new**2 + first) == rows:
            break
    else:
        return table
    squares = table[:, first:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
    if offset:
        scale = (new + offset) / old
        grid = interpolate(squares, scale_factor=(scale, scale), mode="bicubic")
    else:
        grid = interpolate(squares, size=(new, new), mode="bicubic")
    return torch.cat([table[:, :first].float(), grid.flatten(2).transpose(1, 2)], dim=1)
