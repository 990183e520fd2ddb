"""The modalities by name. Adding one: a folder beside this file and an entry in MODALITIES.

Reading the table costs nothing: the folder of a modality is imported where `loading.modality` asks
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from survfuse.core.messages import marked

# Stand above this floor, and are imported where a page is written.
SECTIONS = "survfuse.reporting.sections"
CHIPS = f"{SECTIONS}.input_chips"


COPIED, OUTSIDE, NOT_NEEDED = "copied", "outside", "not needed"  # by a package, see `Entry.files`
OF_VOLUMES = dict.fromkeys(
    ("imaging.template", "imaging.template_mask", "imaging.reference_region"), COPIED
)


@dataclass(frozen=True)
class Entry:
    """What everything outside its folder knows of a modality.

    noun: what it is called within a sentence. plain: the same for those who are no experts.
    setting: the key of the section `cohort` that brings it. source: the key of the file that
    training reads, see `paths.InputPaths`; empty for the clinical table, which is always there.
    stored: where the results folder holds that file. module: where its `MODALITIES` is. place: its
    rank in tables of who has what. chip: the function, as module:name, that summarises it for one
    patient on pages, see `input_chips`. section: the one that says what the cohort report prints of
    it, if anything particular, see `of_modalities`. pronoun: what takes the noun up. made_from: the
    modality that it may be synthesised from. costly: whether a diagnosis is also asked what it is
    worth in those who have it. part: what its effect on an estimate is divided into, if it is, in
    the singular. attention: what attention to it is called, where networks give any: as the
    modality if it is on its tokens, or else as the parts of its one token. scaled_by: the section
    of the configuration that its scaling reads, if any. withheld_as: the column of published folds
    in which training patients lack it, see `splits.published_missing`; what has none cannot be
    withheld by `cohort.missing`. is_volume: whether its one token holds the voxels of a prepared
    volume, of which maps can be made. files: what its preparation reads besides its sheet, by
    its place in the configuration, and whether a package of a study has it COPIED, knows it by
    its hash (OUTSIDE), or does without (NOT_NEEDED).
    """

    noun: str
    plain: str
    setting: str
    source: str
    stored: str
    module: str
    place: int
    chip: str = f"{CHIPS}:table_chip"
    section: str = ""
    pronoun: str = "it"
    made_from: str = ""
    costly: bool = False
    part: str = ""
    attention: str = ""
    scaled_by: str = ""
    withheld_as: str = ""
    is_volume: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is called at the start of a line."""
        return self.noun[0].upper() + self.noun[1:]

    @property
    def lists_files(self) -> bool:
        """Whether its sheet lists files that are prepared one by one, in batches."""
        return self.stored == f"{self.setting}/{self.setting}.tsv"

    @property
    def is_table(self) -> bool:
        """Whether it comes as a table of features, which is read and checked as all of them."""
        return self.setting.startswith("tables.")

    def sheet(self, cohort: object) -> Any:
        """What the section `cohort` of a configuration names: a path, covariates, or nothing."""
        value: Any = cohort
        for key in self.setting.split("."):
            value = value.get(key) if isinstance(value, Mapping) else getattr(value, key)
        return value

    def brought_by(self, cohort: object) -> bool:
        """Whether the configuration names what the modality comes from."""
        return bool(self.sheet(cohort))


# In the order in which tables and sentences list them.
MODALITIES: dict[str, Entry] = {
    "clinical": Entry(
        marked("clinical data"),
        marked("what is known from talking to you and examining you"),
        "covariates",
        "",
        "cohort/clinical.tsv",
        "clinical.modality",
        place=2,
        chip=f"{CHIPS}:clinical_chip",
        part="clinical value",
    ),
    "omics": Entry(
        marked("gene expression"),
        marked("the test of how active genes are"),
        "omics",
        "omics",
        "omics/omics.npz",
        "omics.modality",
        place=1,
        chip=f"{CHIPS}:gene_chip",
        section=f"{SECTIONS}.genes:genes_section",
        part="gene group",
        attention="groups",
        scaled_by="omics",
        withheld_as="Omics",
        files={"omics.gene_sets": NOT_NEEDED},  # whose genes the package holds, group by group
    ),
    "slides": Entry(
        marked("slides"),
        marked("the tissue samples under the microscope"),
        "slides",
        "slides",
        "slides/slides.tsv",
        "slides.modality",
        place=0,
        chip=f"{CHIPS}:slide_chip",
        section=f"{SECTIONS}.slides:slides_section",
        pronoun="them",
        attention="slides",
        withheld_as="WSI",
        # Large, and often not to be passed on; in either form of naming the encoder.
        files=dict.fromkeys(("slides.weights", "slides.encoder.weights"), OUTSIDE),
    ),
    "mri": Entry(
        marked("MRI"),
        marked("the MRI scan"),
        "images",
        "images",
        "images/images.tsv",
        "volumes.modality",
        place=3,
        chip=f"{CHIPS}:volume_chip",
        section=f"{SECTIONS}.imaging:imaging_section",
        made_from="pet",
        is_volume=True,
        files=OF_VOLUMES,
    ),
    "pet": Entry(
        marked("PET"),
        marked("the PET scan"),
        "images",
        "images",
        "images/images.tsv",
        "volumes.modality",
        place=4,
        chip=f"{CHIPS}:volume_chip",
        section=f"{SECTIONS}.imaging:imaging_section",
        made_from="mri",
        costly=True,
        is_volume=True,
        files=OF_VOLUMES,
    ),
    "radiomics": Entry(
        marked("radiomics features"),
        marked("measurements made in scans"),
        "tables.radiomics",
        "radiomics",
        "cohort/radiomics.tsv",
        "radiomics.modality",
        place=5,
        pronoun="them",
        part="feature",
    ),
}
BY_PLACE = sorted(MODALITIES, key=lambda name: MODALITIES[name].place)
# Which training patients can be made to lack, by `cohort.missing`.
WITHHELD = tuple(name for name in BY_PLACE if MODALITIES[name].withheld_as)
# Whose voxels networks read.
VOLUMES = tuple(name for name in BY_PLACE if MODALITIES[name].is_volume)
# What attention is called, and the modality that it is to.
ATTENTION = {entry.attention: name for name in BY_PLACE if (entry := MODALITIES[name]).attention}
# The modality whose table lists the patients.
(PATIENT_TABLE,) = (name for name, entry in MODALITIES.items() if not entry.source)
# The one whose worth is asked for.
(COSTLY,) = (name for name, entry in MODALITIES.items() if entry.costly)
# Where the results folder holds the files that training reads, by the key of `InputPaths.files`.
SOURCES = {entry.source: entry.stored for entry in MODALITIES.values() if entry.source}
# The modality that reads and checks the sheet of each of these files; MRI and PET share one.
SHEET_OF = {
    source: next(name for name, entry in MODALITIES.items() if entry.source == source)
    for source in SOURCES
}
SITE = "site"  # no modality: what the reference row of the centre alone reads


def sources_of(modalities: Iterable[str]) -> list[str]:
    """The keys of SOURCES that modalities are read from; none of clinical data and the site."""
    read = {MODALITIES[name].source for name in modalities if name in MODALITIES}
    return [source for source in SOURCES if source in read]


def sheets_of(cohort: object) -> dict[str, Path]:
    """The sheets that a configuration names for modalities, by the key of SOURCES."""
    named = {entry.source: entry.sheet(cohort) for entry in MODALITIES.values() if entry.source}
    return {source: path for source, path in named.items() if path}


def sheet_fields(sheets: Mapping[str, Path]) -> dict[str, Any]:
    """The fields of the section `cohort` that name these sheets, and no other of a modality.

    `sheets`: by the key of SOURCES.
    """
    fields: dict[str, Any] = {}
    for entry in MODALITIES.values():
        key, _, table = entry.setting.partition(".")
        if table:
            fields.setdefault(key, {})
            fields[key] |= {table: sheets[entry.source]} if entry.source in sheets else {}
        elif entry.source:
            fields[key] = sheets.get(entry.source)
    return fields


def preparation_files() -> dict[str, str]:
    """What the preparation of all modalities reads besides sheets, see `Entry.files`."""
    return {place: kept for entry in MODALITIES.values() for place, kept in entry.files.items()}
