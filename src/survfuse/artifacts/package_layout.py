"""Where everything lies in a package, and in the folder of new patients whom it predicts."""

from __future__ import annotations

from pathlib import Path

from survfuse.artifacts.layout import Folder, ModelsFolder, PreparedFolder


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
        return self.root / "predictions" / f"{patient_id}.json"

    def document(self, patient_id: str) -> Path:
        """The page of a patient as PDF/A, with the prediction attached."""
        return self.root / "documents" / f"{patient_id}.pdf"

    @property
    def index(self) -> Path:
        """The list of all pages."""
        return self.root / "reports" / "index.html"

    def page(self, patient_id: str) -> Path:
        return self.root / "reports" / f"{patient_id}.html"
