"""Where models read modalities from: the registry agrees with itself and the configuration."""

from pathlib import Path

import pytest

from survfuse.config.cohort import CohortConfig
from survfuse.config.imaging import IMAGES
from survfuse.config.missing import MissingConfig
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import (
    BY_PLACE,
    MODALITIES,
    SHEET_OF,
    SOURCES,
    VOLUMES,
    WITHHELD,
    sheets_of,
    sources_of,
)


@pytest.mark.parametrize("name", MODALITIES)
def test_an_entry_and_the_object_behind_it_agree(name: str) -> None:
    entry, found = MODALITIES[name], modality(name)
    assert (found.name, found.source) == (name, entry.source)
    assert bool(entry.source) == (name != "clinical")  # whose table is always there
    assert entry.made_from in ("", *MODALITIES)
    assert not entry.brought_by(CohortConfig())
    assert entry.setting.split(".")[0] in CohortConfig.model_fields


@pytest.mark.parametrize("name", MODALITIES)
def test_volumes_are_read_voxel_by_voxel(name: str) -> None:
    assert (modality(name).smallest.grid is not None) == (name in VOLUMES)
    assert MODALITIES[name].is_volume == (name in IMAGES)  # which a sheet may name


def test_columns_of_who_has_what_keep_their_order() -> None:
    assert BY_PLACE == ["slides", "omics", "clinical", "mri", "pet", "radiomics"]
    assert len({entry.place for entry in MODALITIES.values()}) == len(MODALITIES)


def test_what_can_be_withheld_is_what_the_section_sets_a_share_of() -> None:
    assert WITHHELD == ("slides", "omics")  # in the order of the draw
    assert set(WITHHELD) == MissingConfig.model_fields.keys() & MODALITIES.keys()


def test_sources_are_named_once_and_in_one_order() -> None:
    assert sources_of(["pet", "slides", "mri", "clinical"]) == ["slides", "images"]
    assert sources_of(["clinical", "site"]) == []
    assert sources_of(MODALITIES) == list(SOURCES)
    assert len(set(SOURCES.values())) == len(SOURCES)


def test_one_modality_reads_and_checks_each_sheet() -> None:
    assert list(SHEET_OF) == list(SOURCES)
    assert all(MODALITIES[name].source == source for source, name in SHEET_OF.items())


def test_sheets_are_those_that_the_configuration_names() -> None:
    tables = {"radiomics": Path("r.tsv")}
    cohort = CohortConfig(slides=Path("s.tsv"), images=Path("i.tsv"), tables=tables)
    assert sheets_of(cohort) == {
        "slides": Path("s.tsv"),
        "images": Path("i.tsv"),
        "radiomics": Path("r.tsv"),
    }
    assert MODALITIES["mri"].brought_by(cohort) and MODALITIES["pet"].brought_by(cohort)
    assert not MODALITIES["omics"].brought_by(cohort)
