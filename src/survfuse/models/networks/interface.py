"""What goes into a fusion model and what comes out; the only thing models and training share.

Modalities: "slides" is a bag of tile embeddings, "omics" one token holding all gene groups end to
end, "clinical" one token of encoded covariates; "mri" and "pet" are one token each that holds all
voxels of a volume in C order, and "synthetic_mri" and "synthetic_pet" what was synthesised for
patients who lack them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from survfuse.modalities.protocol import TokenShape
from survfuse.tasks.survival.hazards import discrete_nll, partial_nll


class Targets(Protocol):
    """The outcomes of the B patients of a training batch, whatever the task."""

    def loss(self, logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean loss, a scalar, over all patients or those in `mask` (B,) bool; 0 for an empty one.

        logits: (B, K), as many columns as the task needs.
        """

    def outcome_groups(self) -> tuple[Tensor, Tensor]:
        """(B,) the outcome group of each patient, and (B,) bool whether it is known."""

    def to(self, device: torch.device | str) -> Self:
        """The same targets on another device."""


@dataclass(frozen=True)
class SurvivalTargets:
    """The outcomes of the B patients of a training batch; not available in prediction.

    time_months: (B,). event: (B,) bool. bins: (B,) int64, the time bin. exposure: (B,) the part of
    that bin before the time, 0 to 1. marginal: (K,) logits of the hazards of the training patients
    as a whole, to which logits of a model are added before they are compared with anything: a model
    says in what way a patient differs from the average.
    """

    time_months: Tensor
    event: Tensor
    bins: Tensor
    exposure: Tensor
    marginal: Tensor

    def nll(self, logits: Tensor) -> Tensor:
        """(B,) negative log-likelihood of each patient for (B, K) logits of hazards, K > 1."""
        return discrete_nll(
            logits + self.marginal, self.bins, self.event, 1.0, "none", self.exposure
        )

    def loss(self, logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean loss, a scalar, over all patients or those in `mask` (B,) bool; 0 for an empty one.

        One column of logits is a log-hazard ratio and gets Cox's partial likelihood.
        """
        mask = torch.ones_like(self.event) if mask is None else mask
        if logits.shape[1] == 1:
            return partial_nll(logits[mask, 0], self.time_months[mask], self.event[mask])
        return torch.where(mask, self.nll(logits), 0.0).sum() / mask.sum().clamp(min=1)

    def outcome_groups(self) -> tuple[Tensor, Tensor]:
        """(B,) the outcome group of each patient, and (B,) bool whether it is known.

        Events of one time bin form a group; the group of censored patients is not known.
        """
        return self.bins, self.event

    def to(self, device: torch.device | str) -> SurvivalTargets:
        """The same targets on another device."""
        return SurvivalTargets(
            *(getattr(self, name).to(device) for name in self.__dataclass_fields__)
        )


@dataclass(frozen=True)
class Batch:
    """B patients, padded to the longest bag.

    tokens[m]: (B, N_m, D_m) float, N_m >= 1. mask[m]: (B, N_m) bool, true where a token is real.
    available: (B, M) bool, column order `modalities`; the only source of truth about what a patient
    has: values of an absent modality, and padding, are never read and may be NaN. coords[m]:
    optional (B, N_m, 2) integer (column, row) of each tile on the tile grid, one unit per tile
    side, the slides of one patient side by side. targets: in training only, for models whose own
    losses need them; a prediction must never depend on them.

    Raises ValueError when the shapes contradict each other.
    """

    tokens: Mapping[str, Tensor]
    mask: Mapping[str, Tensor]
    available: Tensor
    modalities: tuple[str, ...]
    coords: Mapping[str, Tensor] = field(default_factory=dict)
    targets: Targets | None = None

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
    def survival_targets(self) -> SurvivalTargets | None:
        """The targets, for models that estimate survival alone."""
        assert self.targets is None or isinstance(self.targets, SurvivalTargets), (
            "the registry offers them no other task"
        )
        return self.targets

    def with_targets(self, targets: Targets) -> Batch:
        """The same batch for training."""
        return replace(self, targets=targets)

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
            self.targets.to(device) if self.targets else None,
        )


@dataclass(frozen=True)
class Shapes:
    """Sizes a model is built for; modalities that the data lack are not among the tokens.

    n_bins: outputs for a patient: time bins, the last one open, or 1 for a single log-hazard ratio
    (Cox); the classes of a diagnosis; what another task needs. patients: that are trained on, for
    penalties that fall with it.
    """

    tokens: Mapping[str, TokenShape]
    n_bins: int
    patients: int = 256

    def dim(self, modality: str) -> int:
        """Width of one token. Raises ValueError when the data lack the modality."""
        if modality not in self.tokens:
            raise ValueError(f"the model needs {modality}, which this cohort does not have")
        return self.tokens[modality].width

    def groups(self, modality: str) -> tuple[int, ...]:
        """Widths of the groups that one token holds end to end; none where the data lack it."""
        return self.tokens[modality].groups if modality in self.tokens else ()

    def grid(self, modality: str) -> tuple[int, int, int]:
        """Voxels (R, A, S) of volumes. Raises ValueError when the data lack the modality."""
        self.dim(modality)
        found = self.tokens[modality].grid
        if found is None:
            raise ValueError(f"the model needs volumes, which {modality} has not")
        return found

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable copy."""
        return asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Shapes:
        """The inverse of `to_json`."""
        tokens = {
            name: TokenShape(
                shape["width"],
                tuple(shape["groups"]),
                (shape["grid"][0], shape["grid"][1], shape["grid"][2]) if shape["grid"] else None,
            )
            for name, shape in stored["tokens"].items()
        }
        return Shapes(tokens, stored["n_bins"], stored["patients"])


@dataclass(frozen=True)
class Output:
    """The output of a model for B patients.

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
    on the validation patients; `begin` prepares the next one from the best weights of the last.
    """

    stages: ClassVar[tuple[str, ...]] = ("fit",)

    def begin(self, stage: str) -> None:
        """Prepare for a stage: freeze, copy or switch. Called before its first step."""


# The summed loss of some rows (n,) of the training patients, of their log-hazards (n,).
SumOfLosses = Callable[[Tensor, Tensor], Tensor]


class SolvedModel(FusionModel):
    """A network that reads fixed columns of a patient, so that its weights can be solved for.

    It is not trained by steps and not stopped: all training patients are seen at once, as often as
    the solution takes. Its logits are log-hazards, and the loss is Cox's partial likelihood.
    """

    @abstractmethod
    def read(self, batch: Batch) -> Tensor:
        """(B, p) columns; no weight may change them."""

    @abstractmethod
    def has(self, batch: Batch) -> Tensor:
        """(B, M) bool: which of its modalities a patient has."""

    @abstractmethod
    def solve(
        self, columns: Tensor, has: Tensor, loss: SumOfLosses, folds: Tensor
    ) -> dict[str, Any]:
        """Set the weights from what was read of the n training patients; describes the solution.

        columns: (n, p). has: (n, M). folds: (n,) the fold in which a patient may be left out, to
        choose penalties.
        """
