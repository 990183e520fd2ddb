"""What only the whole cohort shows: mixed encoders or tile scales, content that occurs twice."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from survfuse.artifacts.manifest import OK
from survfuse.core.errors import UserInputError
from survfuse.modalities.slides.store import (
    SlideStatus,
    merge_manifests,
    read_manifest,
    write_manifest,
)

log = logging.getLogger(__name__)

SAME_SCALE = 0.05  # relative; tiles of 256 and of 257 micrometres show the same


def merge_slides(batches: Sequence[Path], out: Path) -> None:
    """Join the manifests of all batches into one and look at the cohort as a whole.

    Slides whose content occurs twice get a note. Raises UserInputError if a slide is in two
    batches, or where `check_one_encoder` does.
    """
    merge_manifests(batches, out)
    slides = with_duplicates_noted(read_manifest(out))
    write_manifest(out, slides)
    check_one_encoder(out, slides)


def with_duplicates_noted(slides: Sequence[SlideStatus]) -> list[SlideStatus]:
    """The slides with a note at those whose content is also that of another one.

    A slide under two patients may be a mistake in the sheet, and puts one picture into training
    and test; twice under one patient it counts double.
    """
    same: dict[str, list[SlideStatus]] = {}
    for slide in slides:
        if slide.status == OK and slide.source_sha256:
            same.setdefault(slide.source_sha256, []).append(slide)
    noted = {}
    for group in same.values():
        for slide in group:
            if others := [other for other in group if other.slide_id != slide.slide_id]:
                noted[slide.slide_id] = duplicate_note(slide, others[0])
                log.warning("slide %s: %s", slide.slide_id, noted[slide.slide_id])
    return [
        replace(slide, reason="; ".join(filter(None, [slide.reason, noted[slide.slide_id]])))
        if slide.slide_id in noted
        else slide
        for slide in slides
    ]


def duplicate_note(slide: SlideStatus, other: SlideStatus) -> str:
    """That two slides have the same content, and whether they belong to one patient."""
    of = "this patient" if other.patient_id == slide.patient_id else "another patient"
    return f"its content is that of slide {other.slide_id} of {of}; remove one of them if it is not"


def check_one_encoder(manifest: Path, slides: Sequence[SlideStatus]) -> None:
    """Raise UserInputError, with counts, if usable slides were embedded in different ways.

    Equal widths do not make embeddings comparable. Files that do not tell their encoder, or the
    side of their tiles, are compared by what they tell.
    """
    usable = [slide for slide in slides if slide.status == OK]
    encoders = Counter(slide.encoder for slide in usable if slide.encoder)
    if len({name.casefold() for name in encoders}) > 1:
        raise UserInputError(
            f"{manifest}: the slides were embedded by different encoders: {counted(encoders)}; "
            "embed all slides with one of them, or remove the others from the slide sheet"
        )
    sides = Counter(slide.tile_um for slide in usable if slide.tile_um)
    if sides and math.log(max(sides) / min(sides)) > math.log1p(SAME_SCALE):
        named = Counter({f"{side:.4g} micrometres": n for side, n in sides.items()})
        raise UserInputError(
            f"{manifest}: the slides were cut into tiles of different size: {counted(named)}; "
            "embed all slides at one scale, or remove the others from the slide sheet"
        )
    untold = sum(not slide.encoder for slide in usable)
    if encoders and untold:
        log.warning(
            "%d of %d slides do not tell their encoder; make sure that it is %s too",
            untold,
            len(usable),
            next(iter(encoders)),
        )


def how_embedded(manifest: Path) -> dict[str, Any]:
    """What made the embeddings of usable slides: `encoder` and `tile_um`, None where unknown."""
    usable = [slide for slide in read_manifest(manifest) if slide.status == OK]
    return {
        "encoder": next((slide.encoder for slide in usable if slide.encoder), None),
        "tile_um": next((slide.tile_um for slide in usable if slide.tile_um), None),
    }


def require_same_embedding(own: Mapping[str, Any], study: Mapping[str, Any]) -> None:
    """Raise UserInputError where slides were embedded otherwise than those of a study.

    What is not known of either is not compared.
    """
    encoders = (own["encoder"], study["encoder"])
    if all(encoders) and encoders[0].casefold() != encoders[1].casefold():
        raise UserInputError(
            f"the slides were embedded by {encoders[0]}, those of the study by {encoders[1]}; its "
            "models can read no other embeddings: embed the slides with that encoder"
        )
    sides = (own["tile_um"], study["tile_um"])
    if all(sides) and abs(math.log(sides[0] / sides[1])) > math.log1p(SAME_SCALE):
        raise UserInputError(
            f"the slides were cut into tiles of {sides[0]:.4g} micrometres, those of the study of "
            f"{sides[1]:.4g}; embed the slides at that scale"
        )


def counted(kinds: Counter[str]) -> str:
    """Kinds with their numbers, the most frequent first."""
    return ", ".join(f"{name} ({n} slides)" for name, n in kinds.most_common())
