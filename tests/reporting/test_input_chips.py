"""The strip of inputs: every modality tells its own chip, and nobody's is left to guess."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from importlib import import_module

import pandas as pd
import pytest

from clinic_fixture import Clinic, write_clinic
from reporting_fixture import Fixture, write_fixture
from survfuse.modalities.registry import MODALITIES, PATIENT_TABLE
from survfuse.reporting.diagnosis.inputs import read_diagnosis_data
from survfuse.reporting.inputs import ReportData, ReportInputs, read_report_data
from survfuse.reporting.sections.input_chips import Chip, PatientInputs, patient_chips
from survfuse.reporting.sections.shown_volumes import ShownVolume

READS = ("slides", "omics")


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    return write_fixture(tmp_path_factory.mktemp("chips"))


@pytest.fixture(scope="module")
def data(fixture: Fixture) -> ReportData:
    return read_report_data(fixture.inputs)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    return write_clinic(tmp_path_factory.mktemp("clinic"), volumes=False)


def strip(data: ReportData, patient: str, reads: Collection[str] = READS) -> dict[str, Chip]:
    return patient_chips(PatientInputs(data, patient, reads, {}))


@pytest.mark.parametrize("name", MODALITIES)
def test_what_the_registry_names_is_there(name: str) -> None:
    module, _, function = MODALITIES[name].chip.partition(":")
    assert callable(getattr(import_module(module), function))


def test_the_strip_has_one_order(fixture: Fixture, data: ReportData) -> None:
    chips = strip(data, fixture.complete)
    assert list(chips) == ["slides", "omics", "clinical"]
    assert [chip.state for chip in chips.values()] == ["present"] * 3
    assert [chip.used for chip in chips.values()] == [True, True, False]
    assert strip(data, fixture.without_slides)["slides"].state == "missing"
    assert strip(data, fixture.without_omics)["omics"].lines == ["not measured"]
    assert strip(data, fixture.quarantined)["slides"].state == "quarantined"


def test_what_nobody_has_is_told_where_it_is_read(fixture: Fixture, data: ReportData) -> None:
    without = replace(data, brought={})
    assert list(strip(without, fixture.complete, ["clinical"])) == ["clinical"]
    reads = ["omics", "radiomics"]
    chips = strip(without, fixture.complete, reads)
    assert list(chips) == ["omics", "clinical", "radiomics"]
    assert {tuple(chips[name].lines) for name in reads} == {("none in this cohort",)}


def test_a_table_counts_what_is_known(fixture: Fixture, data: ReportData) -> None:
    table = pd.DataFrame({"a": [1.0], "b": [float("nan")]}, index=[fixture.complete])
    brought = replace(data, brought={**data.brought, "radiomics": table})
    assert strip(brought, fixture.complete)["radiomics"].lines == ["1 of 2 known"]
    assert strip(brought, fixture.without_omics)["radiomics"].lines == ["no row in the table"]


def test_volumes_are_told_as_the_model_saw_them(clinic: Clinic) -> None:
    data = read_diagnosis_data(clinic.config, ReportInputs.under(clinic.out))
    seen = {"pet": ShownVolume("pet", "synthetic", None, None)}
    inputs = PatientInputs(data, clinic.without_pet, ["mri", "pet"], seen, [PATIENT_TABLE])
    chips = patient_chips(inputs)
    assert list(chips) == ["clinical", "pet"]
    assert chips["pet"].lines == [
        "no volume in the sheet",
        "computed from the MRI, not measured",
    ]
    uncovered = replace(data, cohort={**data.cohort, "covariates": []})
    assert patient_chips(replace(inputs, data=uncovered))["clinical"].state == "missing"
    assert "clinical" not in patient_chips(replace(inputs, data=uncovered, told=()))
