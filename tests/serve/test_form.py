"""The form of a package that reads everything, and the sheets that are made of what came."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from survfuse.artifacts.package import Package, open_package
from survfuse.artifacts.package_layout import PackageFolder
from survfuse.cohort.new_patients import check_new_patients
from survfuse.core.files import read_object, write_json
from survfuse.modalities.registry import MODALITIES, sheet_fields
from survfuse.serve.form import form_of, write_sheets
from survfuse.serve.runs import new_run
from survfuse.serve.uploads import Place, Received


@pytest.fixture
def reads_all(served_package: Path, tmp_path: Path) -> Package:
    """The package as if it read all modalities, and had known the weights of an encoder."""
    shutil.copytree(served_package, tmp_path / "package")
    files = PackageFolder(tmp_path / "package")
    package = open_package(served_package)
    known = read_object(files.reference)
    write_json(files.reference, {name: known.get(name) for name in MODALITIES})
    outside = {"name": "encoder.safetensors", "sha256": "0" * 64, "inside": False}
    record = {**package.record, "resources": {"slides.weights": outside}}
    return replace(package, files=files, record=record)


def test_every_modality_has_its_fields(reads_all: Package) -> None:
    form = form_of(reads_all, has_weights=True)
    assert [one.field for one in form.one] == [
        *("sheet:omics", "files:slides", "files:mri", "files:pet", "sheet:radiomics"),
    ]
    assert [one.field for one in form.several] == [
        *("sheet:omics", "sheet:slides", "files:slides"),
        *("sheet:images", "files:images", "sheet:radiomics"),
    ]
    assert form.fields(several=False) == {"patient_id", "value:age", "value:stage", "value:sex"}
    places = form.places(False, Path("sent"))
    assert places["files:mri"] == Place(Path("sent/mri"), many=True)
    assert places["sheet:omics"] == Place(Path("sent"), "omics")
    places = form.places(True, Path("sent"))
    assert places["files:images"] == Place(Path("sent/images"), many=True, own_names=True)
    assert places["sheet:images"] == Place(Path("sent/images"), "sheet")


def test_what_needs_a_file_that_was_not_named_is_not_asked_for(reads_all: Package) -> None:
    without = {one.field: one.lacks for one in form_of(reads_all, has_weights=False).one}
    assert without["files:slides"] == "encoder.safetensors" and without["files:mri"] == ""
    assert not any(one.lacks for one in form_of(reads_all, has_weights=True).one)


@pytest.mark.parametrize("slices", [1, 3])
def test_files_of_a_patient_become_sheets_that_pass_the_check(
    reads_all: Package, tmp_path: Path, slices: int
) -> None:
    run = new_run(tmp_path)

    def sent(name: str, *files: str) -> list[Path]:
        (run.sent / name).mkdir()
        for file in files:
            (run.sent / name / file).write_bytes(name.encode())
        return [run.sent / name / file for file in files]

    received = Received(
        {"patient_id": "P1", "value:age": "61", "value:stage": "II", "value:sex": ""},
        {
            "files:slides": sent("slides", "1.svs", "2.svs"),
            "files:mri": sent("mri", *(f"{number}.dcm" for number in range(slices))),
            "files:pet": sent("pet", "1.nii.gz"),
        },
    )
    form = form_of(reads_all, has_weights=True)
    sheets = write_sheets(reads_all, form, received, run)
    assert sheets.keys() == {"patients", "slides", "images"}
    paths = {name: run.sent / sheet for name, sheet in sheets.items()}
    brought = {name: path for name, path in paths.items() if name != "patients"}
    fields: dict[str, Any] = {**sheet_fields(brought), "patients": paths["patients"]}
    config = reads_all.config.model_copy(
        update={
            "cohort": reads_all.config.cohort.model_copy(update=fields),
            "slides": reads_all.config.slides.model_copy(update={"untrained": True}),
        }
    )
    checked = check_new_patients(config)
    assert checked.ids == ["P1"]
    assert checked.tables["slides"]["slide_id"].tolist() == ["S1", "S2"]
    images = checked.tables["images"].set_index("modality")["path"]
    mri = run.sent / "mri"
    assert images["mri"] == str(mri if slices > 1 else mri / "0.dcm")
    assert images["pet"] == str(run.sent / "pet" / "1.nii.gz")


def test_what_was_typed_is_written_as_it_is(reads_all: Package, tmp_path: Path) -> None:
    run, typed = new_run(tmp_path), 'a "b", c'
    received = Received({"patient_id": "P1", "value:sex": typed})
    write_sheets(reads_all, form_of(reads_all, has_weights=True), received, run)
    text = (run.sent / "patients.tsv").read_text()
    assert text == 'patient_id\tage\tsex\tstage\nP1\t\t"a ""b"", c"\t\n'
