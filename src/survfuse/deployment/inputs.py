"""The inputs of new patients: from their sheets to what the models of a package read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from survfuse.artifacts.checkpoint import under
from survfuse.artifacts.package import Package
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.cohort.new_patients import NewPatients, check_new_patients
from survfuse.config.section import with_value
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_object, sha256_file
from survfuse.deployment.novelty import Unusual, remarks_on, unusual
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.conformity import Reference, Remark
from survfuse.modalities.inputs import load_inputs
from survfuse.modalities.loading import modality
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.registry import (
    MODALITIES,
    SHEET_OF,
    preparation_files,
    sheet_fields,
    sheets_of,
)
from survfuse.modalities.sheets import Preparation


@dataclass(frozen=True)
class NewSheets:
    """The sheets of new patients.

    brought: of modalities, by the key of `registry.SOURCES`. weights: a file that the preparation
    reads and no package holds, such as the weights of a slide encoder.
    """

    patients: Path
    brought: Mapping[str, Path] = field(default_factory=dict)
    weights: Path | None = None


@dataclass(frozen=True)
class NewInputs:
    """What is known of new patients, in the form that the models read, and what is unusual of it.

    unusual: by how much, see `novelty.unusual`.
    """

    patients: NewPatients
    inputs: CohortInputs
    paths: InputPaths
    remarks: tuple[Remark, ...]
    unusual: Unusual


def settings_for(package: Package, sheets: NewSheets, out: Path) -> Config:
    """The settings of the study with the sheets of new patients in place of its own.

    Raises UserInputError where the study had no such modality, or the weights of the slide encoder
    are not at hand or are others.
    """
    config, study = package.config, sheets_of(package.config.cohort)
    for source, path in sheets.brought.items():
        if source not in study:
            raise UserInputError(f"{path}: the study of this package had no {source}")
    given = {**sheet_fields(sheets.brought), "patients": sheets.patients}
    files = {}
    for place, resource in package.record["resources"].items():
        inside = package.files.resources / resource["name"]
        path = inside if resource["inside"] else sheets.weights or Path(resource["name"])
        if resource["inside"] or sheets.weights:
            require_same(path, resource)
        files[place] = path
    return config.model_copy(
        update={
            "cohort": config.cohort.model_copy(update=given),
            "output": out,
            "source": None,
            **with_files(config, files),
        }
    )


def with_files(config: Config, files: Mapping[str, Path]) -> dict[str, Any]:
    """The sections of a configuration that name files of preparation, with these, by their places.

    And with no others.
    """
    changed = config
    for place in preparation_files():
        changed = with_value(changed, place, files.get(place))
    sections = {place.partition(".")[0] for place in preparation_files()}
    return {section: getattr(changed, section) for section in sections}


def require_same(path: Path, resource: Mapping[str, Any]) -> None:
    """Raise UserInputError unless a file is the one that the study used."""
    if not path.is_file():
        raise UserInputError(f"{path}: no such file; name the file {resource['name']} of the study")
    if sha256_file(path) != resource["sha256"]:
        raise UserInputError(
            f"{path}: is not the file {resource['name']} that the study used (SHA-256 "
            f"{resource['sha256'][:12]}...); its models can read no other embeddings"
        )


def prepare_new(
    package: Package, config: Config, out: NewPatientsFolder, threads: int, device: str
) -> NewInputs:
    """Check the sheets, make what models read of them, and compare it with the study.

    What is done already is not done again. Raises SheetError (a UserInputError) with everything
    that is wrong in the sheets, and what the preparation and `Modality.conform` raise.
    """
    patients = check_new_patients(config)
    patients.write(out.cohort)
    preparation = Preparation(config, patients.ids, threads, device)
    files: dict[str, Path] = {}
    for source, table in patients.tables.items():
        name = SHEET_OF[source]
        if not MODALITIES[name].brought_by(config.cohort):
            continue
        files[source] = out.read_of(name)
        modality(name).prepare(table, files[source], preparation)
    # Nothing is divided: whoever is listed is predicted.
    listed = out.cohort.clinical
    paths = InputPaths(listed, listed, files, visit=config.imaging.visit)
    inputs, remarks = conform(package, paths, load_inputs(paths))
    found = unusual(package.files, inputs)
    return NewInputs(patients, inputs, paths, (*remarks, *remarks_on(found)), found)


def conform(
    package: Package, paths: InputPaths, inputs: CohortInputs
) -> tuple[CohortInputs, tuple[Remark, ...]]:
    """The inputs as the models of a package read them, and remarks on what is unusual."""
    described = read_object(package.files.reference)
    arrays = load_file(package.files.reference_arrays)
    stores, remarks = {}, list[Remark]()
    for name in described:
        reference = Reference(described[name], under(arrays, f"{name}/"))
        store = inputs.stores.get(name)
        found = modality(name).conform(paths, store, reference)
        if found.store is not None:
            stores[name] = found.store
        remarks += [replace(one, modality=name) for one in found.remarks]
    return replace(inputs, stores=stores), tuple(remarks)


def has_of(inputs: CohortInputs, modalities: tuple[str, ...]) -> dict[str, np.ndarray]:
    """(n,) bool by modality: which patients have it."""
    ids = inputs.patients.index.tolist()
    return {name: inputs.available(name, ids) for name in modalities}
