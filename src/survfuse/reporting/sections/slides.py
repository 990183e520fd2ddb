"""The slides in a cohort report: how many are usable, which are not and why, what embedded them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.config.study import Config
from survfuse.modalities.slides.store import SlideStatus
from survfuse.reporting import wording
from survfuse.reporting.inputs import ReportData, RunData
from survfuse.reporting.sections.manifest_notes import slide_notes
from survfuse.reporting.sections.of_modalities import Section
from survfuse.reporting.stored_slides import slides_of


def slides_section(_config: Config, data: RunData) -> Section:
    """What the templates print, see `of_modalities`."""
    slides = slides_of(data) if isinstance(data, ReportData) else ()
    printed = {"slide_counts": slide_counts(slides), "quarantine": quarantine_rows(slides)}
    return Section(printed, slide_notes(slides))


def describe_encoder(config: Config, data: RunData) -> dict[str, Any]:
    """What made the tile embeddings, in words, and whether it was never trained."""
    if not isinstance(data, ReportData) or not slides_of(data):
        return {"untrained": False, "text": None}
    supplied = data.slide_sheet is not None and (data.slide_sheet["features"] != "").all()
    if supplied:
        return {"untrained": False, "text": "Supplied with the slide sheet, not computed here."}
    encoder = config.slides.tile_encoder
    name = encoder.preset or encoder.arch or encoder.format
    if encoder.untrained:
        text = f"{name} with untrained demonstration weights: random numbers, never trained."
        return {"untrained": True, "text": text}
    weights = encoder.weights.name if encoder.weights else "no weight file"
    pooling = f"pooling {encoder.pooling}" if encoder.pooling else ""
    pixels = next((slide.pixels for slide in slides_of(data) if slide.pixels), "")
    details = "; ".join(filter(None, [weights, pooling, pixels]))
    return {"untrained": False, "text": f"{name} ({details})."}


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
