"""What is known of a patient's slides, genes and covariates, for the strip of inputs."""

from __future__ import annotations

from collections.abc import Collection

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting import wording
from survfuse.reporting.inputs import ReportData, RunData
from survfuse.reporting.sections.shown_volumes import Chip


def slide_chip(data: ReportData, patient_id: str, used: bool) -> Chip:
    """Slides: how much tissue, and what was set aside."""
    own = [slide for slide in data.slides if slide.patient_id == patient_id]
    usable = [slide for slide in own if slide.status == OK]
    aside = [
        f"{slide.slide_id} quarantined: {wording.reason_in_words(slide.reason)}"
        for slide in own
        if slide.status == QUARANTINED
    ]
    if not own:
        reason = "no slide in the sheet" if data.slides else "none in this cohort"
        return Chip("Slides", "missing", [reason], used)
    if not usable:
        return Chip("Slides", "quarantined", aside, used)
    tiles = sum(slide.n_tiles for slide in usable)
    lines = [f"{wording.plural(len(usable), 'slide')}, {wording.plural(tiles, 'tile')}"]
    areas = [slide.tissue_mm2 for slide in usable if slide.tissue_mm2 is not None]
    if len(areas) == len(usable):
        lines.append(f"{sum(areas):.1f} mm² of tissue")
    return Chip("Slides", "present", lines + aside, used)


def gene_chip(data: ReportData, patient_id: str, used: bool) -> Chip:
    """Gene expression: how many genes were measured."""
    measured = data.genes_measured.get(patient_id)
    if not measured:
        reason = "not measured" if data.genes_measured else "none in this cohort"
        return Chip("Gene expression", "missing", [reason], used)
    most = max(data.genes_measured.values())
    return Chip("Gene expression", "present", [f"{measured:,} of {most:,} measurements"], used)


def table_chips(data: RunData, patient_id: str, used: Collection[str]) -> dict[str, Chip]:
    """Tables of features, by modality: how many features are known.

    Those that the cohort has, or the model would read.
    """
    chips = {}
    for name, entry in MODALITIES.items():
        table = data.tables.get(name)
        if not entry.is_table or (table is None and name not in used):
            continue
        if table is None or patient_id not in table.index:
            reason = "none in this cohort" if table is None else "no row in the table"
            chips[name] = Chip(entry.label, "missing", [reason], name in used)
            continue
        known = int(table.loc[[patient_id]].count(axis=1).iloc[0])
        line = f"{known} of {len(table.columns)} known"
        chips[name] = Chip(entry.label, "present", [line], name in used)
    return chips


def clinical_chip(data: RunData, patient_id: str, used: bool) -> Chip:
    """Clinical covariates: how many are known."""
    names = [covariate["name"] for covariate in data.cohort["covariates"]]
    known = [name for name in names if data.clinical.at[patient_id, name] != ""]
    state = "present" if known else "missing"
    return Chip("Clinical", state, [f"{len(known)} of {len(names)} covariates known"], used)
