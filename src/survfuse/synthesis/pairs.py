"""Who has both volumes, who lacks one, and batches of pairs to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from survfuse.artifacts.layout import FoldFolder
from survfuse.config.synthesis import SynthesisConfig
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_text_table
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.volumes.choice import chosen_tensors, require_written
from survfuse.modalities.volumes.store import Prepared, read_tensor
from survfuse.splits.outer_folds import read_test_ids
from survfuse.synthesis.generator import PairBatch, inputs_of

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class FoldImages:
    """The volumes of one outer fold: modality -> patient -> file, and the fold's patients."""

    tensors: Mapping[str, Mapping[str, Path]]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def complete(self, patients: Sequence[str]) -> tuple[str, ...]:
        """Those who have both volumes."""
        return tuple(p for p in patients if all(p in files for files in self.tensors.values()))

    def lacking(self, target: str) -> tuple[str, ...]:
        """Everybody in the fold who lacks the target and has its source."""
        source = self.tensors[MODALITIES[target].made_from]
        everybody = sorted({*self.train, *self.validation, *self.test})
        return tuple(p for p in everybody if p in source and p not in self.tensors[target])

    def of(self, patients: Sequence[str], target: str) -> Pairs:
        """The pairs of these patients, who must have both."""
        source = self.tensors[MODALITIES[target].made_from]
        return Pairs(
            tuple(patients),
            tuple(source[patient] for patient in patients),
            tuple(self.tensors[target][patient] for patient in patients),
        )


@dataclass(frozen=True)
class Pairs:
    """Complete pairs of volumes, read when they are needed: a whole cohort need not fit memory."""

    patients: tuple[str, ...]
    sources: tuple[Path, ...]
    targets: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.patients)

    def rows(self, chosen: Sequence[int]) -> Pairs:
        """Some of the pairs."""
        return Pairs(
            tuple(self.patients[row] for row in chosen),
            tuple(self.sources[row] for row in chosen),
            tuple(self.targets[row] for row in chosen),
        )

    def batch(
        self,
        rows: Sequence[int],
        settings: SynthesisConfig | None = None,
        rng: np.random.Generator | None = None,
    ) -> PairBatch:
        """Some pairs; mirrored and cut as training wants them where settings and `rng` are given.

        Raises UserInputError if volumes differ in shape.
        """
        items = [pair(self.sources[row], self.targets[row], settings, rng) for row in rows]
        inputs, target, mask = (torch.stack(parts) for parts in zip(*items, strict=True))
        return PairBatch(inputs, target[:, None], mask[:, None])


def read_fold(fold_directory: Path, images_manifest: Path, visit: str | None) -> FoldImages:
    """The volumes of an outer fold, without those withheld from its training patients.

    Raises UserInputError where a patient is in both parts of the fold.
    """
    path = FoldFolder(fold_directory).train
    part = read_text_table(path, ["patient_id", "role"])
    test = tuple(read_test_ids(FoldFolder(fold_directory).test_ids))
    if both := sorted(set(part["patient_id"]) & set(test)):
        raise UserInputError(
            f"{path}: {both[0]} is also a test patient of this fold; make the splits again"
        )
    withheld = part["withheld"] if "withheld" in part else [""] * len(part)
    lost = {
        (patient, name)
        for patient, names in zip(part["patient_id"], withheld, strict=True)
        for name in names.split(",")
    }
    tensors = {
        name: {patient: file for patient, file in files.items() if (patient, name) not in lost}
        for name, files in chosen_tensors(images_manifest, visit).items()
    }
    require_written(
        images_manifest, [file for files in tensors.values() for file in files.values()]
    )
    roles = {role: part.loc[part["role"] == role, "patient_id"] for role in ("train", "validation")}
    return FoldImages(tensors, tuple(roles["train"]), tuple(roles["validation"]), test)


def read_volume(path: Path) -> tuple[Volume, Mask, Prepared]:
    """A prepared volume as float32, its mask, and the file's content."""
    prepared = read_tensor(path)
    return prepared.volume.astype(np.float32), prepared.mask, prepared


def pair(
    source_path: Path,
    target_path: Path,
    settings: SynthesisConfig | None,
    rng: np.random.Generator | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs (INPUT_CHANNELS, I, J, K), target and the source's mask (I, J, K) of a patient."""
    source, mask, _ = read_volume(source_path)
    target, _, _ = read_volume(target_path)
    if source.shape != target.shape:
        raise UserInputError(
            f"{target_path}: has another shape than {source_path}; prepare all images again"
        )
    if settings and rng and settings.mirror and rng.random() < 0.5:
        source, target = np.flip(source, 0).copy(), np.flip(target, 0).copy()
        mask = np.flip(mask, 0).copy()
    volumes = (
        inputs_of(torch.from_numpy(source), torch.from_numpy(mask)),
        torch.from_numpy(target),
        torch.from_numpy(mask.astype(np.float32)),
    )
    if settings and rng and settings.patch:
        corner = patch_corner(mask, settings.patch, rng)
        cut = tuple(slice(at, at + side) for at, side in zip(corner, settings.patch, strict=True))
        return volumes[0][(slice(None), *cut)], volumes[1][cut], volumes[2][cut]
    return volumes


def patch_corner(
    mask: Mask, patch: tuple[int, int, int], rng: np.random.Generator
) -> tuple[int, ...]:
    """First voxel of a piece whose middle is a random voxel of the brain, as far as edges allow.

    Raises UserInputError for a piece larger than the volume.
    """
    if any(side > full for side, full in zip(patch, mask.shape, strict=True)):
        raise UserInputError(
            f"synthesis.patch is {list(patch)}, larger than the volumes of {list(mask.shape)}; "
            "reduce it, or leave it out to train on whole volumes"
        )
    inside = np.argwhere(mask)
    middle = inside[rng.integers(len(inside))] if len(inside) else np.asarray(mask.shape) // 2
    free = np.asarray(mask.shape) - patch
    return tuple(int(at) for at in np.clip(middle - np.asarray(patch) // 2, 0, free))
