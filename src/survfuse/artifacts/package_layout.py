"""Where everything lies in a package, and in the folder of new patients whom it predicts."""

from __future__ import annotations

import re
from pathlib import Path

from survfuse.artifacts.layout import Folder, ModelsFolder, PreparedFolder
from survfuse.config.models import IDENTIFIER
from survfuse.core.errors import UserInputError


class PackageFolder(Folder):
    """A finished study that was frozen, see `artifacts.package`."""

    @property
    def record(self) -> Path:
        """What it is, and the hash of every other file."""
        return self.root / "package.json"

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def models(self) -> ModelsFolder:
        return ModelsFolder(self.root / "models")

    @property
    def synthesis(self) -> Path:
        """The generators, with a folder for each fold."""
        return self.root / "synthesis"

    @property
    def reference(self) -> Path:
        """What inputs of new patients are compared with; its arrays are in `reference_arrays`."""
        return self.root / "reference.json"

    @property
    def reference_arrays(self) -> Path:
        return self.root / "reference.safetensors"

    @property
    def novelty(self) -> Path:
        """What is usual in the study, by which unusual patients are found; arrays beside it."""
        return self.root / "novelty.json"

    @property
    def novelty_arrays(self) -> Path:
        return self.root / "novelty.safetensors"

    @property
    def population(self) -> Path:
        """The patients of the study as counts."""
        return self.root / "population.json"

    @property
    def estimates(self) -> Path:
        """What turns predictions of the models into estimates."""
        return self.root / "estimates.json"

    @property
    def performance(self) -> Path:
        """What the study found out-of-fold."""
        return self.root / "performance.json"

    @property
    def resources(self) -> Path:
        """Files that the preparation of inputs reads."""
        return self.root / "resources"

    @property
    def card(self) -> Path:
        return self.root / "model_card.md"

    @property
    def label(self) -> Path:
        """The source attributes and the reporting items, as JSON."""
        return self.root / "model_label.json"

    def schema(self, name: str) -> Path:
        return self.root / "schemas" / f"{name}.schema.json"


class NewPatientsFolder(PreparedFolder):
    """What `predict` writes of patients who were in no study."""

    @property
    def members(self) -> Path:
        """The predictions of every single model."""
        return self.root / "predictions" / "members.tsv"

    @property
    def table(self) -> Path:
        """One row for each patient and horizon."""
        return self.root / "predictions" / "predictions.tsv"

    def prediction(self, patient_id: str) -> Path:
        return self.of_patient("predictions", patient_id, ".json")

    @property
    def index(self) -> Path:
        """The list of all pages."""
        return self.root / "reports" / "index.html"

    def page(self, patient_id: str) -> Path:
        found = self.of_patient("reports", patient_id, ".html")
        if found.name.lower() == self.index.name:
            raise UserInputError(
                f"patient {patient_id}: is what the list of all patients is called; give this "
                "patient another id"
            )
        return found

    def document(self, patient_id: str) -> Path:
        """The page as PDF/A-3, with the record attached."""
        return self.of_patient("documents", patient_id, ".pdf")

    def sheet_page(self, patient_id: str) -> Path:
        """The sheet in plain language, for the patient."""
        return self.of_patient("patient_sheets", patient_id, ".html")

    def sheet_document(self, patient_id: str) -> Path:
        """The same as PDF."""
        return self.of_patient("patient_sheets", patient_id, ".pdf")

    def documents_of(self, patient_id: str) -> tuple[Path, ...]:
        """Everything of one patient that can be left out."""
        return (
            self.document(patient_id),
            self.sheet_page(patient_id),
            self.sheet_document(patient_id),
        )

    def of_patient(self, folder: str, patient_id: str, suffix: str) -> Path:
        """A file of one patient. Raises UserInputError for an id that could lead elsewhere."""
        if not re.fullmatch(IDENTIFIER, patient_id):
            raise UserInputError(
                f"patient {patient_id!r}: is no identifier; use up to 64 letters, digits, _ and -"
            )
        return self.root / folder / f"{patient_id}{suffix}"


class MonitoringFolder(Folder):
    """What `monitor` writes of periods of new patients."""

    @property
    def record(self) -> Path:
        return self.root / "monitoring.json"

    @property
    def table(self) -> Path:
        """One row for each comparison of each period."""
        return self.root / "monitoring.tsv"

    @property
    def page(self) -> Path:
        return self.root / "index.html"


class ExternalFolder(NewPatientsFolder):
    """What `validate-external` writes of a cohort with outcomes."""

    @property
    def validation(self) -> Path:
        """Everything that was found."""
        return self.root / "external_validation.json"

    @property
    def metrics(self) -> Path:
        """One row for each metric of each prediction."""
        return self.root / "external_validation.tsv"

    @property
    def recalibration(self) -> Path:
        """What was fitted, so that it can be used."""
        return self.root / "recalibration.json"

    @property
    def validation_page(self) -> Path:
        return self.root / "external_validation.html"
