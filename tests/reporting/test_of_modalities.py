"""What modalities add to the cohort report comes through the registry."""

from __future__ import annotations

from pathlib import Path

from reporting_fixture import write_fixture
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting.inputs import read_report_data
from survfuse.reporting.sections.of_modalities import modality_sections


def test_every_section_is_asked_once(tmp_path: Path) -> None:
    fixture = write_fixture(tmp_path)
    found = modality_sections(fixture.config, read_report_data(fixture.inputs))
    assert len(found) == len({entry.section for entry in MODALITIES.values()} - {""})
    keys = [key for section in found for key in section.printed]
    assert keys == ["slide_counts", "quarantine", "gene_transforms", "imaging"]
    assert found[-1].printed["imaging"] is None  # nobody has volumes
    assert found[0].printed["slide_counts"]["quarantined"] == 2
