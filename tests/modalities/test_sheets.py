"""What a modality does with its sheet unless it says otherwise: read and check it as features."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from survfuse.config.study import Config
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import SHEET_OF
from survfuse.modalities.sheets import CheckedPatients
from survfuse.sheets.findings import Findings
from survfuse.sheets.text_table import Sheet

IDS = [f"P{i}" for i in range(24)]
TABLE = modality("radiomics")


def configuration(folder: Path, cells: dict[str, list[object]]) -> Config:
    pd.DataFrame({"patient_id": IDS, **cells}).to_csv(folder / "r.tsv", sep="\t", index=False)
    cohort = {"patients": "p.tsv", "tables": {"radiomics": str(folder / "r.tsv")}}
    models = [{"name": "clinical_cox", "kind": "clinical_cox"}]
    return Config.model_validate({"name": "t", "output": "out", "cohort": cohort, "models": models})


def patients(with_outcomes: bool) -> CheckedPatients:
    sheet = Sheet(Path("p.tsv"), pd.DataFrame({"patient_id": IDS}))
    outcomes = pd.DataFrame({"time_months": [i + 1.5 for i in range(24)], "event": [1, 0] * 12})
    return CheckedPatients(sheet, outcomes if with_outcomes else None, ())


@pytest.mark.parametrize("with_outcomes", [True, False])
def test_features_that_give_the_outcome_away(tmp_path: Path, with_outcomes: bool) -> None:
    follow_up = [2.0 * (i + 1.5) for i in range(24)]
    config = configuration(tmp_path, {"copy": follow_up, "area": [i * 7 % 24 for i in range(24)]})
    found = Findings()
    sheet = TABLE.read_sheet(config, frozenset(IDS), found)
    brought = TABLE.check_sheet(sheet, patients(with_outcomes), config, found)
    assert brought is not None and brought.table.index.name == "patient_id"
    told = [problem.column for problem in found.problems]
    assert told == (["copy"] if with_outcomes else [])  # without outcomes nobody can tell


def test_cells_are_checked_though_the_outcomes_are_unknown(tmp_path: Path) -> None:
    config = configuration(tmp_path, {"area": ["large", *range(23)]})
    found = Findings()
    sheet = TABLE.read_sheet(config, None, found)
    assert TABLE.check_sheet(sheet, patients(with_outcomes=False), config, found) is None
    assert [(problem.column, problem.value) for problem in found.problems] == [("area", "large")]


def test_what_a_cohort_has_without_a_sheet() -> None:
    """Slides and genes have a column in the table of who has what, whoever brings them."""
    without = {source: modality(name).without_sheet for source, name in SHEET_OF.items()}
    assert {source for source, brought in without.items() if brought} == {"slides", "omics"}
    assert all(brought.table.empty for brought in without.values() if brought)
