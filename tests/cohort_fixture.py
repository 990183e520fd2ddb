"""A small valid cohort on disk, for tests to spoil."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from survfuse.cohort.check import check_cohort
from survfuse.cohort.problems import Problem, SheetError
from survfuse.config import Config

N = 24  # patients P00 to P23 in spreadsheet rows 2 to 25; the even ones have the event


@dataclass
class Case:
    """The sheets as lists of rows, header first; `config` writes them."""

    folder: Path
    patients: list[list[str]] = field(default_factory=list)
    slides: list[list[str]] = field(default_factory=list)
    omics: list[list[str]] = field(default_factory=list)
    folds: list[list[str]] = field(default_factory=list)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "wsi").mkdir()
        self.patients = [["patient_id", "time", "event", "hospital", "age", "stage", "sex"]]
        self.slides = [["slide_id", "patient_id", "path", "mpp", "features"]]
        self.omics = [["patient_id", "TP53", "EGFR"]]
        self.folds = [["patient_id", "fold"]]
        for i in range(N):
            event, stage, sex = str(1 - i % 2), ["I", "II", "III"][i % 3], "fm"[i % 5 % 2]
            site, age = "ABCD"[i // 2 % 4], str(50 + 7 * i % 31)
            self.patients.append([f"P{i:02}", f"{i + 1}.5", event, site, age, stage, sex])
            self.slides.append([f"S{i:02}", f"P{i:02}", f"wsi/{i}.svs", "0.5", ""])
            self.omics.append([f"P{i:02}", f"{i / 7:.3f}", str(-i)])
            self.folds.append([f"P{i:02}", str(i // 2 % 3)])
            (self.folder / "wsi" / f"{i}.svs").write_bytes(b"slide")

    def change(self, section: str, **values: Any) -> None:
        """Change the configuration."""
        self.changes[section] = self.changes.get(section, {}) | values

    def config(self, *without: str) -> Config:
        """Write the sheets and return the configuration, leaving out the named sheets."""
        sheets = {"slides": "slides.tsv", "omics": "omics.csv", "patients": "patients.tsv"}
        for name, file in {**sheets, "folds": "folds.csv"}.items():
            with (self.folder / file).open("w", newline="", encoding="utf-8") as handle:
                delimiter = "\t" if file.endswith("tsv") else ","
                csv.writer(handle, delimiter=delimiter).writerows(getattr(self, name))
        cohort: dict[str, Any] = {
            name: str(self.folder / file) for name, file in sheets.items() if name not in without
        }
        cohort["site"] = "hospital"
        cohort["covariates"] = {
            "age": {"type": "continuous"},
            "stage": {"type": "ordinal", "levels": ["I", "II", "III"]},
            "sex": {"type": "categorical"},
        }
        sections: dict[str, Any] = {"cohort": cohort, "splits": {"folds": 3}}
        for section, values in self.changes.items():
            sections[section] = sections.get(section, {}) | values
        models = [{"name": "clinical_cox", "kind": "clinical_cox"}]
        return Config.model_validate(
            {"name": "t", "output": str(self.folder / "out"), "models": models, **sections}
        )

    def published(self) -> None:
        """Use the folds table."""
        self.change("cohort", folds=str(self.folder / "folds.csv"))


def problems_of(config: Config) -> tuple[Problem, ...]:
    with pytest.raises(SheetError) as caught:
        check_cohort(config)
    assert caught.value.exit_code == 2
    return caught.value.problems
