"""What is known of a patient, modality by modality, for the strip of inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.core.by_name import named
from survfuse.modalities.registry import BY_PLACE, MODALITIES
from survfuse.reporting import wording
from survfuse.reporting.inputs import ReportData, RunData
from survfuse.reporting.sections.genes import genes_measured
from survfuse.reporting.sections.imaging import modality_name
from survfuse.reporting.sections.shown_volumes import SYNTHETIC, ShownVolume, source_of
from survfuse.reporting.stored_slides import slides_of


@dataclass(frozen=True)
class Chip:
    """One modality in the strip of inputs."""

    name: str
    state: str  # present, missing or quarantined
    lines: list[str]
    used: bool  # by the model of the page
    read: bool = True  # by the model of this patient's fold, if used

    @property
    def css(self) -> str:
        return {"missing": "absent", "quarantined": "set-aside"}.get(self.state, "")


@dataclass(frozen=True)
class PatientInputs:
    """What is known of one patient, and what the model of the page made of it.

    reads: modalities that the model reads. volumes: what it saw of those that are volumes, if the
    page tells of them. told: modalities that the page tells of though nobody has them.
    """

    data: RunData
    patient_id: str
    reads: Collection[str]
    volumes: Mapping[str, ShownVolume]
    told: Collection[str] = ()

    def tells_of(self, name: str, anybody: object) -> bool:
        """Whether the page tells of a modality, given what the cohort has of it."""
        return bool(anybody) or name in self.reads or name in self.told


def patient_chips(inputs: PatientInputs) -> dict[str, Chip]:
    """The strip of inputs by modality; what nobody has is in it only where the model reads it.

    Each chip is made by what the registry names for the modality.
    """
    found = {}
    for name in BY_PLACE:
        chip: Chip | None = named(MODALITIES[name].chip)(inputs, name)
        if chip is not None:
            found[name] = chip
    return found


def slide_chip(inputs: PatientInputs, name: str) -> Chip | None:
    """Slides: how much tissue, and what was set aside."""
    data, used = inputs.data, name in inputs.reads
    slides = slides_of(data)
    if not isinstance(data, ReportData) or not inputs.tells_of(name, slides):
        return None
    own = [slide for slide in slides if slide.patient_id == inputs.patient_id]
    usable = [slide for slide in own if slide.status == OK]
    aside = [
        f"{slide.slide_id} quarantined: {wording.reason_in_words(slide.reason)}"
        for slide in own
        if slide.status == QUARANTINED
    ]
    if not own:
        reason = "no slide in the sheet" if slides else "none in this cohort"
        return Chip("Slides", "missing", [reason], used)
    if not usable:
        return Chip("Slides", "quarantined", aside, used)
    tiles = sum(slide.n_tiles for slide in usable)
    lines = [f"{wording.plural(len(usable), 'slide')}, {wording.plural(tiles, 'tile')}"]
    areas = [slide.tissue_mm2 for slide in usable if slide.tissue_mm2 is not None]
    if len(areas) == len(usable):
        lines.append(f"{sum(areas):.1f} mm² of tissue")
    return Chip("Slides", "present", lines + aside, used)


def gene_chip(inputs: PatientInputs, name: str) -> Chip | None:
    """Gene expression: how many genes were measured."""
    data, used = inputs.data, name in inputs.reads
    genes = genes_measured(data)
    if not isinstance(data, ReportData) or not inputs.tells_of(name, genes):
        return None
    measured = genes.get(inputs.patient_id)
    if not measured:
        reason = "not measured" if genes else "none in this cohort"
        return Chip("Gene expression", "missing", [reason], used)
    most = max(genes.values())
    return Chip("Gene expression", "present", [f"{measured:,} of {most:,} measurements"], used)


def clinical_chip(inputs: PatientInputs, name: str) -> Chip | None:
    """Clinical covariates: how many are known."""
    data, patient_id = inputs.data, inputs.patient_id
    names = [covariate["name"] for covariate in data.cohort["covariates"]]
    if not inputs.tells_of(name, names):
        return None
    known = [one for one in names if data.clinical.at[patient_id, one] != ""]
    lines = [f"{len(known)} of {len(names)} covariates known"]
    return Chip("Clinical", "present" if known else "missing", lines, name in inputs.reads)


def volume_chip(inputs: PatientInputs, name: str) -> Chip | None:
    """One kind of volume: its scan, or what stands in for it."""
    shown = inputs.volumes.get(name)
    if shown is None:
        return None
    status = shown.status
    lines = []
    if status is not None and shown.state == "present":
        lines.append(f"{modality_name(status.modality)}, visit {status.visit}")
        if status.spacing_mm:
            lines.append(f"scanned at {status.spacing_mm} mm")
    elif status is not None:
        lines.append(f"set aside: {wording.reason_in_words(status.reason)}")
    else:
        lines.append("no volume in the sheet")
    if shown.state == SYNTHETIC:
        lines.append(f"computed from the {source_of(name)}, not measured")
    return Chip(MODALITIES[name].noun, shown.state, lines, name in inputs.reads)


def table_chip(inputs: PatientInputs, name: str) -> Chip | None:
    """A table of features: how many of them are known."""
    entry, used = MODALITIES[name], name in inputs.reads
    table, label = inputs.data.brought.get(entry.source), entry.label
    if not inputs.tells_of(name, table is not None):
        return None
    if table is None or inputs.patient_id not in table.index:
        reason = "none in this cohort" if table is None else "no row in the table"
        return Chip(label, "missing", [reason], used)
    known = int(table.loc[[inputs.patient_id]].count(axis=1).iloc[0])
    return Chip(label, "present", [f"{known} of {len(table.columns)} known"], used)
