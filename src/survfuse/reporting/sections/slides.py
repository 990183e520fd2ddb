"""The slides in a cohort report: how many are usable, and which are not and why."""

from __future__ import annotations

from collections.abc import Sequence

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.modalities.slides.store import SlideStatus
from survfuse.reporting import wording


def slide_counts(slides: Sequence[SlideStatus]) -> dict[str, int] | None:
    """Slides and their patients by status."""
    if not slides:
        return None
    usable = [slide for slide in slides if slide.status == OK]
    return {
        "total": len(slides),
        "usable": len(usable),
        "quarantined": len(slides) - len(usable),
        "patients": len({slide.patient_id for slide in slides}),
        "patients_usable": len({slide.patient_id for slide in usable}),
    }


def quarantine_rows(slides: Sequence[SlideStatus]) -> list[dict[str, str]]:
    """Quarantined slides with the reason in words."""
    return [
        {
            "slide_id": slide.slide_id,
            "patient_id": slide.patient_id,
            "reason": wording.reason_in_words(slide.reason),
        }
        for slide in slides
        if slide.status == QUARANTINED
    ]
