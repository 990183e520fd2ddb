"""What is unusual about the slides and volumes of a cohort that were used, from their manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from survfuse.artifacts.manifest import OK
from survfuse.modalities.slides.store import SlideStatus
from survfuse.modalities.volumes.store import VolumeStatus
from survfuse.reporting import wording
from survfuse.reporting.findings import MODALITIES

APART = 1.1  # resolutions that differ by more than this factor are noted
MOST_REASONS = 5


def slide_notes(slides: Sequence[SlideStatus]) -> list[str]:
    """Sentences about the slides that were used: mixed resolutions, remarks of the stage."""
    used = [slide for slide in slides if slide.status == OK]
    return resolution_notes(used) + remark_notes("slide", (slide.reason for slide in used))


def volume_notes(volumes: Sequence[VolumeStatus]) -> list[str]:
    """Sentences about the volumes that were used: mixed units, remarks of the stage."""
    notes = []
    for modality in dict.fromkeys(volume.modality for volume in volumes):
        mine = [v for v in volumes if v.status == OK and v.modality == modality]
        name = MODALITIES.get(modality, modality)
        notes += unit_notes(name, mine)
        notes += remark_notes(f"{name} volume", (volume.reason for volume in mine))
    return notes


def resolution_notes(slides: Sequence[SlideStatus]) -> list[str]:
    """Whether slides were scanned at different resolutions, or these are known in several ways."""
    notes = []
    known = sorted(slide.mpp for slide in slides if slide.mpp)
    if known and known[-1] > APART * known[0]:
        notes.append(
            f"The slides were scanned at {known[0]:.2f} to {known[-1]:.2f} µm per pixel; all are "
            "read at one resolution."
        )
    sources = Counter(slide.mpp_source for slide in slides if slide.mpp_source)
    if len(sources) > 1:
        counted = [f"{name} ({wording.plural(n, 'slide')})" for name, n in sources.most_common()]
        notes.append(f"The resolution of the slides comes from {wording.listed(counted)}.")
    return notes


def unit_notes(name: str, volumes: Sequence[VolumeStatus]) -> list[str]:
    """Whether volumes of one modality have different units, scales or voxel sizes."""
    notes = []
    for what, values in (
        ("units", [v.unit for v in volumes]),
        ("ways of scaling", [v.scaled_by for v in volumes]),
        ("voxel sizes in mm", [v.spacing_mm for v in volumes]),
    ):
        found = Counter(value for value in values if value)
        if len(found) > 1:
            counted = [f"{value} ({n:,})" for value, n in found.most_common(MOST_REASONS)]
            more = len(found) - len(counted)
            counted += [f"{more} more"] if more else []
            notes.append(f"The {name} volumes differ in their {what}: {wording.listed(counted)}.")
    return notes


def remark_notes(noun: str, reasons: Iterable[str]) -> list[str]:
    """What the stages remarked on items that they used, the most frequent first."""
    found = Counter(wording.reason_in_words(reason) for reason in reasons if reason)
    return [
        f"{wording.plural(n, noun)}: {reason.rstrip('.')}."
        for reason, n in found.most_common(MOST_REASONS)
    ]
