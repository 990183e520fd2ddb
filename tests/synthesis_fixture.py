"""Prepared volumes of a simulated memory clinic, as the imaging stage leaves them, and a fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from survfuse.demo.brain_geometry import Grid
from survfuse.demo.brain_images import draw_volumes
from survfuse.demo.brain_truth import draw_brain_truth
from survfuse.files import write_text
from survfuse.imaging.intensity import BACKGROUND, by_percentiles
from survfuse.imaging.store import VolumeStatus, write_manifest, write_tensor
from survfuse.manifest import OK

COARSE = Grid((16, 20, 16), 10.0)


def clinic(
    folder: Path,
    patients: int,
    seed: int,
    grid: Grid = COARSE,
    missing_pet_share: float = 0.0,
) -> tuple[Path, list[str], np.ndarray]:
    """Write images.tsv and tensors to `folder`; returns it, the patients, and who has PET."""
    truth = draw_brain_truth(patients, seed, missing_pet_share)
    rows = []
    for number, name in enumerate(truth.patient_id.tolist()):
        drawn = draw_volumes(truth, number, grid)
        volumes = {"mri": drawn.mri} | ({"pet": drawn.pet} if truth.has_pet[number] else {})
        for modality, data in volumes.items():
            scaled, _ = by_percentiles(data.astype(np.float32), drawn.mask, (0.5, 99.5))
            scaled = np.where(drawn.mask, scaled, np.float32(BACKGROUND))
            path = Path("volumes") / name / "bl" / f"{modality}.safetensors"
            write_tensor(folder / path, scaled, drawn.mask, drawn.affine, "float16")
            rows.append(VolumeStatus(name, "bl", modality, OK, tensor=str(path)))
    write_manifest(folder / "images.tsv", rows)
    return folder / "images.tsv", truth.patient_id.tolist(), truth.has_pet


def fold(folder: Path, train: list[str], inner: list[str], test: list[str]) -> Path:
    """Write a fold's train.tsv and test_ids.tsv below `folder`; returns its directory."""
    lines = [f"{p}\ttrain\t12.0\t1\n" for p in train] + [f"{p}\tinner\t9.0\t0\n" for p in inner]
    header = "patient_id\trole\ttime_months\tevent\n"
    write_text(folder / "r0f0" / "train.tsv", header + "".join(lines))
    write_text(folder / "r0f0" / "test_ids.tsv", "patient_id\n" + "".join(f"{p}\n" for p in test))
    return folder / "r0f0"
