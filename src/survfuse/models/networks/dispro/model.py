"""DisPro: class prototypes for each modality, then a fusion that copes with missing modalities.

"Distilled Prompt Learning for Incomplete Multimodal Survival Prediction", CVPR 2025. The first
stage (UniPro) learns for each modality a representation of the classes of patients; the second
(MultiPro) fuses the best tokens of both in one sequence, where learned placeholders stand for a
missing modality and must be close to its classes, now frozen. docs/reference/models.md lists what
differs from the paper and the released code and why.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize, pad

from survfuse.models.networks.dispro.bert import CHECKSUM, load_bert, require_same_weights
from survfuse.models.networks.dispro.branch import Branch, GroupBranch, TileBranch
from survfuse.models.networks.dispro.label import PROTOTYPES
from survfuse.models.networks.dispro.prompts import MODALITIES, Prompts, Prototypes
from survfuse.models.networks.dispro.scoring import similarity, status_free, status_loss, top_mean
from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes, SurvivalTargets
from survfuse.models.networks.layers.attention_shares import mean_shares
from survfuse.models.networks.layers.encoder_layer import EncoderLayer

HEAD_HIDDEN = 512
FUSION_DROPOUT = 0.1
TEMPERATURE = 1 / 0.07


class DisPro(FusionModel):
    """The published two stages with free numbers of groups and bins.

    text_encoder: "prototypes", or a directory with a language model of the BERT family. width,
    layers, heads: of the network that takes the language model's place with prototypes.
    sequence_length: tokens in the sequence, of which gene groups get at most half.
    context_length: learned vectors in each text. dropout: of group embeddings, their encoder and
    the scores. modality_dropout: chance that training masks one modality of a patient who has both.
    distillation_weight: of the loss that draws placeholders to the classes.

    Raises ValueError for data without slides or gene groups or without time bins, for sizes that
    do not fit, for options of the form that was not chosen, and for a directory that holds no such
    language model.
    """

    stages: ClassVar[tuple[str, ...]] = ("unimodal", "multimodal")

    anchors: Tensor
    counts: Tensor
    marginal: Tensor
    multimodal: Tensor

    def __init__(
        self,
        shapes: Shapes,
        *,
        text_encoder: str = PROTOTYPES,
        width: int = 256,
        layers: int = 2,
        heads: int = 4,
        sequence_length: int = 512,
        context_length: int = 256,
        dropout: float = 0.25,
        modality_dropout: float = 0.3,
        distillation_weight: float = 1.0,
    ) -> None:
        super().__init__()
        slides_dim, bins = shapes.dim("slides"), shapes.n_bins
        shapes.dim("omics")
        if bins < 2:
            raise ValueError("DisPro needs time bins; set training.loss to nll")
        if sequence_length < 3:
            raise ValueError("sequence_length must be at least 3")
        if modality_dropout > 1:
            raise ValueError("modality_dropout must be at most 1")
        self.modality_dropout = modality_dropout
        self.distillation_weight = distillation_weight
        if text_encoder == PROTOTYPES:
            refuse_changed(context_length=context_length)
            self.texts: nn.Module = Prototypes(width, bins)
            self.fusion = nn.ModuleList(
                EncoderLayer(width, heads, 4 * width, gelu, FUSION_DROPOUT) for _ in range(layers)
            )
        else:
            refuse_changed(width=width, layers=layers, heads=heads)
            bert = load_bert(Path(text_encoder))
            width, self.fusion = bert.width, bert.layers
            self.texts = Prompts(bert, bins, context_length)
            self.register_buffer(CHECKSUM, torch.tensor(bert.checksum))
            self.register_load_state_dict_pre_hook(require_same_weights)
        group_slots = min(len(shapes.groups("omics")), sequence_length // 2)
        tile_slots = sequence_length - 1 - group_slots
        self.log_temperature = nn.Parameter(torch.full((len(MODALITIES),), math.log(TEMPERATURE)))
        self.slides = TileBranch(slides_dim, width, tile_slots, dropout)
        self.omics = GroupBranch(shapes.groups("omics"), width, group_slots, dropout)
        self.cls = nn.Parameter(0.02 * torch.randn(width))
        self.head = nn.Sequential(
            nn.Linear(width, HEAD_HIDDEN), nn.ReLU(), nn.Linear(HEAD_HIDDEN, bins)
        )
        self.register_buffer("anchors", torch.zeros(len(MODALITIES), 2 * bins, width))
        self.register_buffer("counts", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("marginal", torch.zeros(bins))
        self.register_buffer("multimodal", torch.tensor(False))

    def begin(self, stage: str) -> None:
        """Freeze what the stage does not train; the second keeps the classes as they are now."""
        second = stage == "multimodal"
        self.multimodal.fill_(second)
        self.requires_grad_(second)
        self.texts.requires_grad_(not second)
        self.log_temperature.requires_grad_(not second)
        branches: tuple[Branch, ...] = (self.slides, self.omics)
        for branch in branches:
            branch.adapter.requires_grad_(True)
            branch.project.requires_grad_(not second)
        if second:
            with torch.no_grad():
                self.anchors.copy_(self.current_anchors())

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output. The first stage has neither embeddings nor attention."""
        return (
            self.multimodal_output(batch, attention)
            if self.multimodal
            else self.unimodal_output(batch)
        )

    def current_anchors(self) -> Tensor:
        """(2, 2 K, width): the direction of each modality's classes, as long as its temperature."""
        directions = normalize(self.texts(self.fusion), dim=-1)
        return (directions * self.log_temperature.exp()[:, None, None, None]).flatten(1, 2)

    def unimodal_output(self, batch: Batch) -> Output:
        """UniPro: the logits of the available modalities, averaged.

        These do not know whether a patient has the event, and the trainer's loss fits them; the
        losses of each modality fit the classes of the patient's own event status.
        """
        anchors, targets = self.current_anchors(), batch.survival_targets if self.training else None
        close = {
            "slides": self.slides.by_class(
                batch.values("slides"), batch.real("slides"), anchors[0]
            ),
            "omics": self.omics.by_class(batch.values("omics")[:, 0], anchors[1]),
        }
        log_share = self.status_frequencies().log()
        each, losses = [], {}
        for modality, similar in close.items():
            by_status, has = similar.unflatten(1, (2, -1)), batch.has(modality)
            free = status_free(by_status, log_share, self.marginal)
            each.append(torch.where(has[:, None], free, 0.0))
            if targets is not None:
                losses[modality] = status_loss(by_status, has, targets)
        if targets is not None:
            self.count_events(targets)
        available = torch.stack([batch.has(modality) for modality in close]).sum(dim=0)
        return Output(torch.stack(each).sum(dim=0) / available.clamp(min=1)[:, None], losses)

    def count_events(self, targets: SurvivalTargets) -> None:
        """Count events and censored patients of the training part, and note its hazards."""
        self.counts += torch.stack([targets.event.sum(), (~targets.event).sum()])
        self.marginal.copy_(targets.marginal)

    def status_frequencies(self) -> Tensor:
        """(2,) frequencies of events and of censoring in training; a half before it."""
        return torch.where(self.counts.any(), self.counts / self.counts.sum().clamp(min=1), 0.5)

    def multimodal_output(self, batch: Batch, attention: bool) -> Output:
        """MultiPro."""
        real, targets = batch.real("slides"), batch.survival_targets if self.training else None
        has = {modality: batch.has(modality) for modality in MODALITIES}
        if self.training:
            has = self.masked(has)
            real = real & has["slides"][:, None]
        tiles, tile_rank = self.slides.ranked(batch.values("slides"), real, self.anchors)
        groups, group_rank = self.omics.ranked(batch.values("omics")[:, 0], self.anchors)
        tiles_real = real.gather(1, tile_rank)
        groups_real = has["omics"][:, None].expand(group_rank.shape)
        slides, slides_mask = self.slides.with_placeholders(
            self.slides.weighted(tiles), tiles_real, has["slides"]
        )
        omics, omics_mask = self.omics.with_placeholders(
            self.omics.weighted(groups), groups_real, has["omics"]
        )

        x = torch.cat([self.cls.expand(len(real), 1, -1), slides, omics], dim=1)
        mask = pad(torch.cat([slides_mask, omics_mask], dim=1), (1, 0), value=True)
        keys = None if mask.all() else mask  # attention without a mask is faster
        *first, last = cast(list[EncoderLayer], list(self.fusion))
        for layer in first:
            x = layer(x, keys)
        missing = {modality: ~there for modality, there in has.items() if not there.all()}
        attended = last(x, keys, rows=1 if targets is None or not missing else None)
        sizes = [1, slides.shape[1], omics.shape[1]]

        logits, losses = self.head(attended[:, 0]), {}
        if targets is not None and missing:
            filled = dict(zip(MODALITIES, attended.split(sizes, dim=1)[1:], strict=True))
            for modality, lacking in missing.items():
                losses[f"{modality}_distillation"] = self.distillation(
                    modality, filled[modality], lacking, targets
                )
        embeddings = {
            "slides": masked_mean(slides, slides_mask),
            "omics": masked_mean(omics, omics_mask),
        }
        if not attention:
            return Output(logits, losses, embeddings)
        q, k, _ = last.heads_of(x, rows=1)
        _, k_slides, k_omics = k.split(sizes, dim=2)
        by_tile = torch.zeros_like(real, dtype=x.dtype)
        by_group = x.new_zeros(len(x), self.omics.groups)
        shares = {
            "slides": by_tile.scatter(1, tile_rank, attention_within(q, k_slides, tiles_real)),
            "groups": by_group.scatter(1, group_rank, attention_within(q, k_omics, groups_real)),
        }
        return Output(logits, losses, embeddings, shares)

    def masked(self, has: dict[str, Tensor]) -> dict[str, Tensor]:
        """Which modalities (B,) bool stay; at random, one of two is masked."""
        both = has["slides"] & has["omics"]
        draws = torch.rand(2, len(both), device=both.device)
        loses, slides = both & (draws[0] < self.modality_dropout), draws[1] < 0.5
        return {
            "slides": has["slides"] & ~(loses & slides),
            "omics": has["omics"] & ~(loses & ~slides),
        }

    def distillation(
        self, modality: str, filled: Tensor, lacking: Tensor, targets: SurvivalTargets
    ) -> Tensor:
        """UniPro distillation: the output of placeholders must be close to the patient's class.

        filled: (B, n, width), the positions of a modality that the patients `lacking` (B,) bool
        lack.
        """
        branches: dict[str, Branch] = {"slides": self.slides, "omics": self.omics}
        close = similarity(
            branches[modality].project(filled), self.anchors[MODALITIES.index(modality)]
        )
        every = torch.ones_like(close[:, :, 0], dtype=torch.bool)
        by_status = top_mean(close, every).unflatten(1, (2, -1))
        return self.distillation_weight * status_loss(by_status, lacking, targets)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, n, width) -> (B, width), over tokens where mask (B, n) is true, at least one."""
    return (tokens * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def attention_within(q: Tensor, k: Tensor, real: Tensor) -> Tensor:
    """Shares (B, n) of the class token's attention within one slot, zeros where nothing is real.

    q: (B, heads, 1, width / heads). k: of the slot's m >= n positions. real: (B, n) bool.
    """
    nobody = ~real.any(dim=1, keepdim=True)
    return mean_shares(q, k[:, :, : real.shape[1]], real | nobody) * real


def refuse_changed(**options: Any) -> None:
    """Raise ValueError for options that were set although the chosen form has no use for them."""
    defaults = DisPro.__init__.__kwdefaults__ or {}
    changed = [name for name, value in options.items() if value != defaults[name]]
    if changed:
        raise ValueError(
            f"{' and '.join(changed)} would do nothing with this text_encoder; leave it out"
        )
