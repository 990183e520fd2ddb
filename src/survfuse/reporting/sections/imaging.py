"""The section on brain volumes of a cohort report: how preparation went, with pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.config.imaging import LEFT_OF_PICTURES
from survfuse.config.study import Config
from survfuse.modalities.volumes.modality import BrainVolume
from survfuse.modalities.volumes.store import HEAD, VolumeStatus
from survfuse.reporting import wording
from survfuse.reporting.disclosure import withhold
from survfuse.reporting.findings import MODALITIES
from survfuse.reporting.inputs import RunData
from survfuse.reporting.parts import attempt
from survfuse.reporting.pictures import volumes
from survfuse.reporting.sections.manifest_notes import volume_notes
from survfuse.reporting.sections.of_modalities import Section
from survfuse.reporting.sections.shown_volumes import volumes_of

MOST_PICTURES = 2  # of each modality and sort
PLANES_PX, ALIGNMENT_PX = 560, 640
MASKS = {
    "given": "supplied with the sheet",
    "outline": "found by the outline of the volume",
    "search": "found by search",
    "visit": "taken from the MRI of the visit",
    HEAD: "not found: the whole head was taken",
}


def imaging_section(config: Config, data: RunData) -> Section:
    """What the templates print, see `of_modalities`."""
    return Section({"imaging": imaging_context(config, data)}, volume_notes(volumes_of(data)))


def imaging_context(config: Config, data: RunData) -> dict[str, Any] | None:
    """What the section prints; None for a cohort without brain volumes."""
    if not volumes_of(data):
        return None
    remarks: list[str] = []  # which pictures are missing, and why
    return {
        "modalities": modality_rows(volumes_of(data), config.report.min_cell),
        "quarantine": quarantined_rows(volumes_of(data)),
        "total": len(volumes_of(data)),
        "aside": sum(volume.status == QUARANTINED for volume in volumes_of(data)),
        "planes": pictures(config, data, "picture", remarks),
        "alignments": pictures(config, data, "alignment", remarks),
        "remarks": remarks,
        "most": MOST_PICTURES,
        "template": config.imaging.template is not None,
        "strip": config.imaging.strip,
        "left": LEFT_OF_PICTURES[config.imaging.display],
        "min_dice": config.imaging.min_dice,
    }


def modality_rows(statuses: Sequence[VolumeStatus], least: int) -> list[dict[str, Any]]:
    """A row per modality: volumes, those set aside, how masks were found, brain and overlap."""
    rows = []
    for modality in dict.fromkeys(volume.modality for volume in statuses):
        mine = [volume for volume in statuses if volume.modality == modality]
        usable = [volume for volume in mine if volume.status == OK]
        found = Counter(volume.mask_by for volume in usable).most_common()
        counts = withhold([n for _, n in found], least)
        patients = len({volume.patient_id for volume in usable})
        rows.append(
            {
                "modality": modality_name(modality),
                "volumes": len(mine),
                "patients": None if patients < least else patients,
                "aside": len(mine) - len(usable),
                "masks": wording.listed(
                    [
                        f"{MASKS.get(name, name)}: {'withheld' if n is None else n}"
                        for (name, _), n in zip(found, counts, strict=True)
                    ]
                ),
                "brain_ml": middle([volume.mask_ml for volume in usable], least),
                "dice": middle([volume.dice for volume in usable], least),
                "gain": middle([gain_of(volume) for volume in usable], least),
            }
        )
    return rows


def modality_name(modality: str) -> str:
    """How pages call a modality of the image sheet."""
    return MODALITIES.get(modality, modality.upper() if len(modality) < 4 else modality)


def gain_of(volume: VolumeStatus) -> float | None:
    """By how much registration raised the similarity with its target; None where there was none."""
    if volume.similarity is None or volume.similarity_before is None:
        return None
    return volume.similarity - volume.similarity_before


def middle(values: Sequence[float | None], least: int) -> tuple[float, float, float] | None:
    """Smallest, median and largest of the known values; None of fewer than `least`."""
    known = sorted(value for value in values if value is not None)
    if len(known) < least:
        return None
    half = len(known) // 2
    median = known[half] if len(known) % 2 else (known[half - 1] + known[half]) / 2
    return known[0], median, known[-1]


def quarantined_rows(statuses: Sequence[VolumeStatus]) -> list[dict[str, str]]:
    """Volumes that were set aside with the reason in words."""
    return [
        {
            "patient_id": volume.patient_id,
            "visit": volume.visit,
            "modality": modality_name(volume.modality),
            "reason": wording.reason_in_words(volume.reason),
        }
        for volume in statuses
        if volume.status == QUARANTINED
    ]


def pictures(config: Config, data: RunData, kind: str, remarks: list[str]) -> list[dict[str, str]]:
    """The pictures to look at first: those of the volumes that preparation fitted least well.

    One that cannot be read is left out, and named in `remarks`.
    """
    manifest = data.inputs.files.get(BrainVolume.source)
    if manifest is None:
        return []
    folder = manifest.parent
    shown = [
        volume
        for volume in volumes_of(data)
        if getattr(volume, kind) and volumes.may_be_shown(config, volume)
    ]
    found: list[dict[str, str]] = []
    taken: Counter[str] = Counter()
    for volume in sorted(shown, key=lambda volume: (doubt(volume), volume.key)):
        if taken[volume.modality] == MOST_PICTURES:
            continue
        width = PLANES_PX if kind == "picture" else ALIGNMENT_PX
        path = folder / getattr(volume, kind)
        name = f"{modality_name(volume.modality)} of patient {volume.patient_id}"
        uri = attempt("cohort report", f"picture of the {name}",
                      partial(volumes.picture_file, path, width), None, remarks)  # fmt: skip
        if uri is None:
            continue
        taken[volume.modality] += 1
        found.append(
            {
                "uri": uri,
                "patient_id": volume.patient_id,
                "visit": volume.visit,
                "modality": modality_name(volume.modality),
                "remark": remark(volume),
            }
        )
    return sorted(found, key=lambda picture: picture["modality"])


def doubt(volume: VolumeStatus) -> float:
    """Sort key, the least certain first: by the overlap, else by what registration gained."""
    gain = gain_of(volume)
    if volume.dice is not None:
        return volume.dice
    return gain if gain is not None else 1.0


def remark(volume: VolumeStatus) -> str:
    """The numbers beside a picture."""
    gain = gain_of(volume)
    remarks = [f"overlap {volume.dice:.2f}"] if volume.dice is not None else []
    if gain is not None:
        remarks.append(
            f"similarity {volume.similarity_before:.2f} before, {volume.similarity:.2f} after"
        )
    return "; ".join(remarks)
