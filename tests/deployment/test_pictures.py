"""Pictures of new patients' volumes: whose, real or made, and none that could show a face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from survfuse.config.imaging import ImagingConfig
from survfuse.deployment.pictures import FACE, NOT_DRAWN, pictures_of
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.volumes.modality import VolumeFiles
from survfuse.modalities.volumes.store import (
    HEAD,
    VolumeStatus,
    read_tensor,
    write_manifest,
    write_tensor,
)
from survfuse.reporting.pictures.volumes import three_planes

READS = ["clinical", "mri", "pet"]


class Prepared:
    """A folder in which `both` has MRI and PET, `alone` an MRI from which a PET was made."""

    def __init__(self, folder: Path, mask_by: str = "given") -> None:
        self.folder, self.mask_by = folder, mask_by
        self.files: dict[tuple[str, str], Path] = {}
        rows = [self.volume(*who) for who in (("both", "mri"), ("both", "pet"), ("alone", "mri"))]
        self.manifest = folder / "images" / "images.tsv"
        write_manifest(self.manifest, rows)
        self.made = folder / "synthesis" / "alone_pet.safetensors"
        self.write(self.made, 7)

    def volume(self, patient: str, modality: str) -> VolumeStatus:
        name = f"volumes/{patient}_{modality}.safetensors"
        path = self.folder / "images" / name
        self.write(path, len(self.files))
        self.files[modality, patient] = path
        return VolumeStatus(patient, "bl", modality, "ok", tensor=name, mask_by=self.mask_by)

    def write(self, path: Path, seed: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.zeros((12, 12, 12), bool)
        mask[3:9, 3:9, 3:9] = True
        volume = np.random.default_rng(seed).normal(size=mask.shape).astype(np.float32)
        write_tensor(path, volume, mask, np.eye(4), "float32")

    def pictures(self, imaging: Mapping[str, Any] | None = None, reads: Any = READS) -> Any:
        stores = {
            name: VolumeFiles({p: path for (m, p), path in self.files.items() if m == name})
            for name in ("mri", "pet")
        }
        settings = ImagingConfig(**imaging or {})
        package = SimpleNamespace(config=SimpleNamespace(imaging=settings), record={"reads": reads})
        inputs = SimpleNamespace(stores=stores)
        new = SimpleNamespace(
            patients=SimpleNamespace(ids=["both", "alone", "nothing"]),
            inputs=inputs,
            paths=SimpleNamespace(files={"images": self.manifest}),
        )
        seen: Any = SimpleNamespace(synthetic={"pet": VolumeFiles({"alone": self.made})})
        found: CohortInputs = seen
        return pictures_of(package, new, found)  # type: ignore[arg-type]


def test_every_volume_is_shown_as_what_it_is(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path)
    found = prepared.pictures()
    kinds = {who: [(one.modality, one.synthetic) for one in own] for who, own in found.items()}
    assert kinds == {
        "both": [("mri", False), ("pet", False)],
        "alone": [("mri", False), ("pet", True)],
        "nothing": [],
    }
    for (modality, patient), path in prepared.files.items():
        (own,) = [one for one in found[patient] if one.modality == modality]
        assert own.uri == three_planes(read_tensor(path))
    made = read_tensor(prepared.made)
    assert found["alone"][1].uri == three_planes(made, synthetic=True) != three_planes(made)


def test_the_side_that_a_study_shows_on_the_left_is_kept(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path)
    (own, *_) = prepared.pictures({"display": "neurological"})["both"]
    volume = read_tensor(prepared.files["mri", "both"])
    assert own.uri == three_planes(volume, display="neurological") != three_planes(volume)


def test_what_the_models_do_not_read_is_not_shown(tmp_path: Path) -> None:
    found = Prepared(tmp_path).pictures(reads=["clinical", "mri"])
    assert {one.modality for own in found.values() for one in own} == {"mri"}


@pytest.mark.parametrize(("mask_by", "imaging"), [(HEAD, {}), ("given", {"strip": False})])
def test_no_face_is_shown_neither_measured_nor_made_from_one(
    tmp_path: Path, mask_by: str, imaging: dict[str, Any]
) -> None:
    found = Prepared(tmp_path, mask_by).pictures(imaging)
    every = [one for own in found.values() for one in own]
    assert len(every) == 4
    assert all((one.uri, one.why_none) == (None, FACE) for one in every)


def test_a_picture_that_cannot_be_drawn_costs_no_other(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path)
    prepared.files["mri", "both"].write_bytes(b"cut off")
    mri, pet = prepared.pictures()["both"]
    assert (mri.uri, mri.why_none) == (None, NOT_DRAWN)
    assert pet.uri
