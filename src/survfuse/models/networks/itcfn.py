"""ITCFN: incomplete triple-modal co-attention fusion of MRI, PET and clinical covariates.

Hu et al., ISBI 2025 (arXiv 2501.11276), with real sequences in place of the published ones of
length one. docs/reference/models.md lists what differs from the paper and the released code and
why.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes, Targets
from survfuse.models.networks.layers.co_attention import ChannelAggregation, CoAttention
from survfuse.models.networks.layers.encoder_layer import EncoderLayer
from survfuse.models.networks.layers.kan import SplineTokens
from survfuse.models.networks.layers.regional_histogram import (
    BACKGROUND,
    RegionalIntensityHistogram,
)
from survfuse.models.networks.layers.similarity import similarity_matching
from survfuse.models.networks.layers.volume_augmentation import random_view
from survfuse.models.networks.layers.volume_encoder import VolumeEncoder
from survfuse.models.networks.layers.zero_initialised import (
    DEEP_INPUTS,
    FEW_INPUTS,
    ZeroInitialisedLinear,
)

IMAGES = ("mri", "pet")
MODALITIES = (*IMAGES, "clinical")
OBSERVED, SYNTHETIC, ABSENT = range(3)
POLICIES = ("synthesise", "mask")


class ITCFN(FusionModel):
    """MRI, PET and covariates -> classes or hazards; any of them may be absent.

    absent: "synthesise" reads a synthetic volume, marked as such, where the real one is absent;
    "mask" never does. width, heads: of attention. encoder_width, encoder_blocks: channels
    of the first stage of the encoder of volumes, residual blocks per stage. share_encoder: one
    encoder for MRI and PET, with norms and positions of their own. augmentation: strength of the
    random movements of volumes in training. single_weight: of the losses of each modality alone.
    alignment_weight, clinical_share: of the similarity loss, and of the pairs with covariates in
    it. Raises ValueError for data without volumes, another `absent`, and widths that do not divide.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        absent: str = "synthesise",
        width: int = 64,
        heads: int = 8,
        encoder_width: int = 8,
        encoder_blocks: int = 1,
        share_encoder: bool = True,
        dropout: float = 0.2,
        augmentation: float = 0.3,
        single_weight: float = 0.3,
        alignment_weight: float = 0.01,
        clinical_share: float = 0.2,
    ) -> None:
        super().__init__()
        if absent not in POLICIES:
            raise ValueError(f"absent must be {' or '.join(POLICIES)}, found {absent!r}")
        self.synthesise = absent == "synthesise"
        self.shape = shapes.grid("mri")
        self.augmentation, self.single_weight = augmentation, single_weight
        self.alignment_weight, self.clinical_share = alignment_weight, clinical_share
        self.encoders = nn.ModuleList(
            VolumeEncoder(self.shape, width=encoder_width, blocks=encoder_blocks, kinds=kinds)
            for kinds in ((2,) if share_encoder else (1, 1))
        )
        first = self.encoders[0]
        assert isinstance(first, VolumeEncoder)
        self.project = nn.Linear(first.channels, width)
        self.position = nn.Parameter(0.02 * torch.randn(first.tokens, width))
        # Without covariates there is one that nothing is ever read of.
        self.covariates = shapes.dim("clinical") if "clinical" in shapes.tokens else 1
        self.splines = SplineTokens(self.covariates, width)
        self.state_embeddings = nn.Parameter(0.02 * torch.randn(len(MODALITIES), 3, width))
        self.attend = nn.ModuleDict(
            {name: EncoderLayer(width, heads, 2 * width, gelu, dropout) for name in MODALITIES}
        )
        self.fuse = CoAttention(MODALITIES, width, heads)
        self.aggregate = ChannelAggregation(width)
        self.dropout = nn.Dropout(dropout)
        self.head = ZeroInitialisedLinear(3 * width, shapes.n_bins, DEEP_INPUTS)
        self.single = nn.ModuleDict(
            {name: RegionalIntensityHistogram(self.shape, shapes.n_bins) for name in IMAGES}
        )
        self.single["clinical"] = ZeroInitialisedLinear(self.covariates, shapes.n_bins, FEW_INPUTS)
        self.synthetic_weight = nn.ParameterDict(
            {name: nn.Parameter(torch.ones(())) for name in IMAGES}
        )

    def forward(self, batch: Batch, attention: bool = False) -> Output:  # noqa: ARG002
        """See Batch and Output; embeddings are the means of each modality's tokens."""
        states = {name: self.state(batch, name) for name in MODALITIES}
        volumes = self.volumes(batch, states)
        tokens = self.volume_tokens(volumes)
        covariates = self.known_covariates(batch)
        tokens["clinical"] = self.splines(covariates)
        single = {name: self.single[name](several) for name, several in volumes.items()}
        single["clinical"] = self.single["clinical"](covariates)
        for name in IMAGES:
            single[name], tokens[name] = (
                scattered(part, states[name] != ABSENT) for part in (single[name], tokens[name])
            )
        pooled, mask = {}, {}
        for index, name in enumerate(MODALITIES):
            state = self.state_embeddings[index, states[name]][:, None]
            x = torch.cat([state, tokens[name] + state], dim=1)
            real = (states[name] != ABSENT)[:, None].repeat(1, x.shape[1])
            real[:, 0] = True  # the embedding of its state alone stands for an absent modality
            x = self.attend[name](x, real)
            tokens[name], mask[name] = x, real
            share = real / real.sum(dim=1, keepdim=True)
            pooled[name] = (share[:, None] @ x).squeeze(1)
        together = self.aggregate(**self.fuse(pooled, tokens, mask))
        logits = self.head(self.dropout(together))
        for name in MODALITIES:
            logits = logits + single[name] * self.modality_weight(name, states[name])[:, None]
        if batch.targets is None:
            return Output(logits, embeddings=pooled)
        targets = batch.targets
        own = [targets.loss(single[name], states[name] != ABSENT) for name in MODALITIES]
        losses = {
            "alignment": self.alignment(pooled, states, targets),
            "single": self.single_weight * torch.stack(own).sum(),
        }
        return Output(logits, losses, pooled)

    def state(self, batch: Batch, name: str) -> Tensor:
        """(B,) OBSERVED, SYNTHETIC or ABSENT."""
        stands_in = has(batch, f"synthetic_{name}") & self.synthesise
        return torch.where(has(batch, name), OBSERVED, torch.where(stands_in, SYNTHETIC, ABSENT))

    def modality_weight(self, name: str, state: Tensor) -> Tensor:
        """(B,) weight of the logits of one modality alone: 1, learned if synthetic, 0 if absent."""
        known = (state == OBSERVED).to(self.state_embeddings.dtype)
        if name not in self.synthetic_weight:
            return known
        return torch.where(state == SYNTHETIC, self.synthetic_weight[name], known)

    def volumes(self, batch: Batch, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """(S, V) volumes of those who are not ABSENT."""
        found = {}
        for name in IMAGES:
            known = input_volumes(batch, name, states[name])
            stack = (
                torch.stack(known)
                if known
                else self.state_embeddings.new_zeros(0, math.prod(self.shape))
            )
            found[name] = stack.nan_to_num(BACKGROUND)  # what is not a number holds no information
        return found

    def volume_tokens(self, volumes: dict[str, Tensor]) -> dict[str, Tensor]:
        """(S, tokens, width) of each image with positions, all of them encoded in one pass.

        In training from another view of each.
        """
        if self.training and self.augmentation:
            volumes = {
                name: random_view(several, self.shape, self.augmentation)
                for name, several in volumes.items()
            }
        counts = [len(volumes[name]) for name in IMAGES]
        kind = torch.repeat_interleave(torch.arange(len(IMAGES)), torch.tensor(counts))
        kind = kind.to(self.state_embeddings.device)
        if len(self.encoders) == 1:
            parts = self.encoders[0](torch.cat(list(volumes.values())), kind).split(counts)
        else:
            pairs = zip(self.encoders, volumes.values(), strict=True)
            parts = [
                encoder(several, kind[:0].new_zeros(len(several))) for encoder, several in pairs
            ]
        return {
            name: self.project(part) + self.position
            for name, part in zip(IMAGES, parts, strict=True)
        }

    def known_covariates(self, batch: Batch) -> Tensor:
        """(B, C), zero where they are absent."""
        if "clinical" in batch.modalities:
            return batch.values("clinical")[:, 0]
        return self.state_embeddings.new_zeros(len(batch.available), self.covariates)

    def alignment(
        self,
        pooled: dict[str, Tensor],
        states: dict[str, Tensor],
        targets: Targets,
    ) -> Tensor:
        """Weighted similarity loss over the pairs of modalities that are both observed."""
        group, known = targets.outcome_groups()
        total = self.state_embeddings.new_zeros(())
        for one, other in combinations(MODALITIES, 2):
            paired = known & (states[one] == OBSERVED) & (states[other] == OBSERVED)
            weight = self.clinical_share / 2 if other == "clinical" else 1 - self.clinical_share
            distance = similarity_matching(
                pooled[one][paired], pooled[other][paired], group[paired]
            )
            total = total + weight * distance
        return self.alignment_weight * total


def scattered(values: Tensor, mask: Tensor) -> Tensor:
    """(S, ...) of the patients in `mask` (B,) bool -> (B, ...), zero for the others."""
    empty = values.new_zeros(len(mask), *values.shape[1:])
    return empty.index_copy(0, mask.nonzero().squeeze(1), values)


def has(batch: Batch, name: str) -> Tensor:
    """(B,) bool: which patients have the modality; none where the batch does not know it."""
    if name in batch.modalities:
        return batch.has(name)
    return torch.zeros_like(batch.available[:, 0])


def input_volumes(batch: Batch, name: str, state: Tensor) -> list[Tensor]:
    """(V,) of each patient who is not ABSENT, in order: the own volume or the synthetic one."""
    sources = {OBSERVED: name, SYNTHETIC: f"synthetic_{name}"}
    values = {s: batch.values(source) for s, source in sources.items() if (state == s).any()}
    return [values[s][row, 0] for row, s in enumerate(state.tolist()) if s != ABSENT]
