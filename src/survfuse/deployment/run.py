"""New patients as a run of the workflow: what a configuration of it says, and its batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from survfuse.artifacts.layout import ResultsFolder
from survfuse.artifacts.package import Package
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.cohort.new_patients import check_new_patients
from survfuse.config.fields import Found, fit_to_field
from survfuse.config.section import Section
from survfuse.config.yaml_text import read_yaml
from survfuse.core.batches import items_of
from survfuse.core.errors import UserInputError
from survfuse.deployment.inputs import NewSheets, settings_for
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import MODALITIES, SHEET_OF
from survfuse.modalities.sheets import Preparation
from survfuse.models.runnable import load
from survfuse.reporting.language import CODES, SOURCE
from survfuse.reporting.new_patients.style import PAPERS
from survfuse.runner.source_files import rows_of


def one_of(words: Iterable[str]) -> str:
    """The pattern of a setting that is one of some words."""
    return f"^({'|'.join(words)})$"


class NewPatientsRun(Section):
    """The configuration of a run over new patients; see docs/how_to/deploy.md."""

    package: Path = Field(description="Folder that survfuse package wrote.")
    output: Path = Field(description="Folder for predictions and pages.")
    patients: Path = Field(description="Patient sheet: patient_id and the covariates of the study.")
    sheets: dict[str, Path] = Field(
        default_factory=dict,
        description="Sheets of modalities by name, e.g. {slides: slides.tsv, omics: genes.csv}.",
    )
    weights: Path | None = Field(None, description="Weights of the slide encoder.")
    language: str = Field(
        SOURCE, pattern=one_of(CODES), description="Language of pages and documents."
    )
    paper: str = Field("A4", pattern=one_of(PAPERS), description="Paper of documents.")
    documents: bool = Field(
        True,
        description="Whether PDF files and the sheets for patients are written, besides pages.",
    )
    batch_size: int = Field(20, ge=1, description="Files of a sheet per job.")

    def batches(self, source: str) -> int:
        """Jobs over which the files of a sheet are spread; none where there is no such sheet."""
        if source not in self.sheets or not prepared_in_batches(source):
            return 0
        return max(1, math.ceil(len(rows_of(self.sheets[source])) / self.batch_size))


def prepared_in_batches(source: str) -> bool:
    """Whether a sheet lists files, each of which takes long."""
    return MODALITIES[SHEET_OF[source]].lists_files


def run_of(config: Mapping[str, Any]) -> NewPatientsRun:
    """The configuration of a run. Raises UserInputError with a line for each fault."""
    met = Found()
    values = fit_to_field(dict(config), NewPatientsRun, met)
    if met.faults:
        told = [f"{'.'.join(map(str, place))}: {sentence}" for place, sentence in met.faults]
        raise UserInputError("\n".join(told))
    try:
        found = NewPatientsRun.model_validate(values)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        known = ", ".join(NewPatientsRun.model_fields)
        raise UserInputError(
            "\n".join([*faults, f"a run over new patients has the keys {known}"])
        ) from None
    for source in found.sheets:
        if source not in SHEET_OF:
            raise UserInputError(f"sheets.{source}: there is none; known are {', '.join(SHEET_OF)}")
    return found


def report_of(path: Path) -> Path:
    """The page to open once a configuration has run, of a study or of new patients.

    Raises UserInputError where the configuration is wrong.
    """
    content = read_yaml(path).content
    if isinstance(content, dict) and "package" in content:
        return NewPatientsFolder(run_of(content).output).index
    return ResultsFolder(load(path).output).report.index


def prepare_batch(
    package: Package,
    sheets: NewSheets,
    out: Path,
    source: str,
    batch: tuple[int, int],
    threads: int = 1,
    device: str = "auto",
) -> Path:
    """Prepare a part of the files of a sheet; returns the table of them.

    `batch`: its number, from 0, and how many there are. What is prepared is found by `predict_new`,
    which so has nothing left to do. Raises what that raises.
    """
    config = settings_for(package, sheets, out)
    patients = check_new_patients(config)
    number, count = batch
    table = patients.tables[source]
    listed = sorted(set(table["patient_id"]))[items_of(number, count)]
    own = table[table["patient_id"].isin(listed)]
    name = SHEET_OF[source]
    path = NewPatientsFolder(out).read_of(name).with_name(f"batch_{number}.tsv")
    modality(name).prepare(own, path, Preparation(config, listed, threads, device))
    return path
