"""What goes into a fusion model and what comes out; the only thing models and training share.

Modalities: "slides" is a bag of tile embeddings, "omics" one token holding all gene groups end to
end, "clinical" one token of encoded covariates; "mri" and "pet" are one token each that holds all
voxels of a volume in C order, and "synthetic_mri" and "synthetic_pet" what was synthesised for
patients who lack them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from survfuse.fusion.diagnosis import Diagnosis
from survfuse.fusion.hazards import discrete_nll, partial_nll

VOLUMES = ("mri", "pet", "synthetic_mri", "synthetic_pet")


@dataclass(frozen=True)
class Outcome:
    """What happened to the B patients of a training batch; nobody knows it in prediction.

    time_months: (B,). event: (B,) bool. bins: (B,) int64, the time bin. lived: (B,) part of that
    bin before the time. marginal: (K,) logits of the hazards of the training patients as a whole,
    to which logits of a model are added before they are compared with anything: a model says in
    what way a patient differs from the average.
    """

    time_months: Tensor
    event: Tensor
    bins: Tensor
    lived: Tensor
    marginal: Tensor

    def nll(self, logits: Tensor) -> Tensor:
        """(B,) negative log-likelihood of each patient for (B, K) logits of hazards, K > 1."""
        return discrete_nll(logits + self.marginal, self.bins, self.event, 1.0, "none", self.lived)

    def loss(self, logits: Tensor, who: Tensor | None = None) -> Tensor:
        """Mean loss, a scalar, over all patients or those marked in `who` (B,) bool; 0 for nobody.

        One column of logits is a log-hazard ratio and gets Cox's partial likelihood.
        """
        who = torch.ones_like(self.event) if who is None else who
        if logits.shape[1] == 1:
            return partial_nll(logits[who, 0], self.time_months[who], self.event[who])
        return torch.where(who, self.nll(logits), 0.0).sum() / who.sum().clamp(min=1)

    def alike(self) -> tuple[Tensor, Tensor]:
        """(B,) a number that patients with the same outcome share, and (B,) bool who has one.

        Events of one time bin are alike; what becomes of the censored is not known.
        """
        return self.bins, self.event

    def to(self, device: torch.device | str) -> Outcome:
        """The same outcomes on another device."""
        return Outcome(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Batch:
    """B patients, padded to the longest bag.

    tokens[m]: (B, N_m, D_m) float, N_m >= 1. mask[m]: (B, N_m) bool, true where a token is real.
    available: (B, M) bool, column order `modalities`; the only source of truth about what a patient
    has: values of an absent modality, and padding, are never read and may be NaN. coords[m]:
    optional (B, N_m, 2) integer (column, row) of each tile on the tile grid, one unit per tile
    side, the slides of one patient side by side. outcome: in training only, for models whose own
    losses need it; a prediction must never depend on it.

    Raises ValueError when the shapes contradict each other.
    """

    tokens: Mapping[str, Tensor]
    mask: Mapping[str, Tensor]
    available: Tensor
    modalities: tuple[str, ...]
    coords: Mapping[str, Tensor] = field(default_factory=dict)
    outcome: Outcome | Diagnosis | None = None

    def __post_init__(self) -> None:
        if self.available.ndim != 2 or self.available.shape[1] != len(self.modalities):
            raise ValueError(
                f"available is {tuple(self.available.shape)}, expected one column for each of "
                f"{', '.join(self.modalities)}"
            )
        for modality, tokens in self.tokens.items():
            if tokens.ndim != 3 or tokens.shape[1] == 0 or len(tokens) != len(self.available):
                raise ValueError(
                    f"tokens of {modality} are {tuple(tokens.shape)}, expected "
                    f"({len(self.available)}, N, D) with N >= 1"
                )
            if self.mask[modality].shape != tokens.shape[:2]:
                raise ValueError(
                    f"the mask of {modality} is {tuple(self.mask[modality].shape)}, its tokens are "
                    f"{tuple(tokens.shape)}"
                )
        for modality, coords in self.coords.items():
            if coords.shape != (*self.mask[modality].shape, 2) or coords.is_floating_point():
                raise ValueError(
                    f"coords of {modality} must be integers of shape (B, N, 2), found "
                    f"{coords.dtype} {tuple(coords.shape)}"
                )

    def real(self, modality: str) -> Tensor:
        """(B, N) bool: true for tokens that exist, false everywhere for a patient without them."""
        present = self.available[:, self.modalities.index(modality)]
        return self.mask[modality] & present[:, None]

    def has(self, modality: str) -> Tensor:
        """(B,) bool: which patients have at least one real token of the modality."""
        return self.real(modality).any(dim=1)

    def values(self, modality: str) -> Tensor:
        """(B, N, D) tokens with zeros where nothing is real; the only way models read tokens."""
        real, tokens = self.real(modality), self.tokens[modality]
        return tokens if real.all() else torch.where(real[:, :, None], tokens, 0.0)

    @property
    def follow_up(self) -> Outcome | None:
        """The outcome, for models that are about survival alone."""
        assert not isinstance(self.outcome, Diagnosis), "the registry offers them no diagnosis"
        return self.outcome

    def with_outcome(self, outcome: Outcome | Diagnosis) -> Batch:
        """The same batch for training."""
        return replace(self, outcome=outcome)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""

        def moved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device) for name, tensor in tensors.items()}

        return Batch(
            moved(self.tokens),
            moved(self.mask),
            self.available.to(device),
            self.modalities,
            moved(self.coords),
            self.outcome.to(device) if self.outcome else None,
        )


@dataclass(frozen=True)
class Shapes:
    """Sizes a model is built for; a modality that the data lack is None or empty.

    slides_dim: width of a tile embedding. group_widths: genes per group, in packed order.
    clinical_dim: width of the encoded covariates. n_bins: time bins, the last one open, or 1
    for a single log-hazard ratio (Cox), or the classes of a diagnosis. volume_shape: voxels of an
    MRI or PET, right, front, top. patients: that are trained on, for penalties that fall with it.
    """

    slides_dim: int | None
    group_widths: tuple[int, ...]
    clinical_dim: int | None
    n_bins: int
    volume_shape: tuple[int, int, int] | None = None
    patients: int = 256

    def dim(self, modality: str) -> int:
        """Width of one token. Raises ValueError when the data lack the modality."""
        widths = {
            "slides": self.slides_dim,
            "omics": sum(self.group_widths),
            "clinical": self.clinical_dim,
            **dict.fromkeys(VOLUMES, math.prod(self.volume_shape or (0,))),
        }
        if not (width := widths[modality]):
            raise ValueError(f"the model needs {modality}, which this cohort does not have")
        return width


@dataclass(frozen=True)
class Output:
    """What a model says about B patients.

    logits: (B, n_bins), relative to the average patient. losses: auxiliary scalar losses, already
    weighted. embeddings[m]: (B, d). attention, only when asked for: "slides" (B, N) in the order of
    the batch, summing to one over the real tiles, and "groups" (B, K), summing to one; rows of
    patients without the modality are zero.
    """

    logits: Tensor
    losses: dict[str, Tensor] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)
    attention: dict[str, Tensor] = field(default_factory=dict)


class FusionModel(nn.Module):
    """Base of the registered models; `Model(shapes, **options)` turns a Batch into an Output.

    stages: names of the parts of the training, in order. Each is trained until it stops improving
    on the inner patients; `begin` prepares the next one from the best weights of the last.
    """

    stages: ClassVar[tuple[str, ...]] = ("fit",)

    def begin(self, stage: str) -> None:
        """Prepare for a stage: freeze, copy or switch. Called before its first step."""
