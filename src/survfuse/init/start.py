"""Starting with one's own cohort: looking at its sheets and writing its configuration."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from survfuse.core.errors import UserInputError
from survfuse.core.files import write_text
from survfuse.init.look import Cohort, Named, Summary, inputs_of, look_at
from survfuse.init.sections import lines_of, rows_of
from survfuse.init.sheets import Slides, read_genes, read_images, read_patients, read_slides
from survfuse.init.slide_folder import find_slides, sheet_of
from survfuse.init.starting_folder import refuse_overwriting, workflow_texts
from survfuse.models.runnable import load
from survfuse.sheets.text_table import Sheet

SHOWN_FILES = 20


@dataclass(frozen=True)
class Asked:
    """What `survfuse init` is asked for."""

    folder: Path
    patients: Path
    slides: Path | None = None
    omics: Path | None = None
    images: Path | None = None
    named: Named = field(default_factory=lambda: Named())
    force: bool = False


def start(asked: Asked) -> Summary:
    """Write a configuration, what runs it, and `slides.tsv` of a folder of slides; says how.

    Raises UserInputError where a file would be overwritten, a sheet cannot be read, or there is no
    outcome among the columns, or nothing to predict it from.
    """
    folder = Path(os.path.abspath(asked.folder))  # noqa: PTH100 (keeps links)
    target, summary = folder / "config.yaml", Summary()
    workflow = workflow_texts(folder)
    refuse_overwriting([target, *workflow], asked.force)
    sheet = read_patients(absolute(asked.patients))
    slides = slides_of(asked, folder, sheet, summary)
    genes = read_genes(absolute(asked.omics)) if asked.omics else None
    images = read_images(absolute(asked.images)) if asked.images else None
    cohort = look_at(sheet, asked.named, slides, genes, images, summary)
    write_text(target, "\n".join(lines_of(cohort, folder)) + "\n")
    load(target)  # a defect here must not be met later
    for path, text in workflow.items():
        write_text(path, text)
    describe(cohort, summary)
    summary.decided.insert(0, f"wrote {target}")
    return summary


def absolute(path: Path) -> Path:
    """The absolute path without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links)


def slides_of(asked: Asked, folder: Path, sheet: Sheet, summary: Summary) -> Slides | None:
    """The slide sheet, made of a folder of slides where one is named."""
    if asked.slides is None:
        return None
    named = absolute(asked.slides)
    if not named.is_dir():
        return read_slides(named)
    made = folder / "slides.tsv"
    refuse_overwriting([made], asked.force)
    found, unmatched = find_slides(named, set(sheet.rows["patient_id"]))
    if not found:
        raise UserInputError(
            f"{named}: holds no slide whose file name, or folder, starts with an id of "
            f"{sheet.path.name}; {len(unmatched)} slides belong to nobody"
        )
    write_text(made, sheet_of(found))
    summary.decided.append(f"wrote {made}: {len(found)} slides, by the start of their file names")
    if unmatched:
        shown = "\n    ".join(str(path.relative_to(named)) for path in unmatched[:SHOWN_FILES])
        more = len(unmatched) - SHOWN_FILES
        summary.check.append(
            f"slides that start with the id of no patient and are left out: {len(unmatched)}"
            f"\n    {shown}" + (f"\n    ... and {more} more" if more > 0 else "")
        )
    return read_slides(made)


def describe(cohort: Cohort, summary: Summary) -> None:
    """What was decided, and what a person must look at."""
    has, (rows, _) = inputs_of(cohort), rows_of(cohort)
    counts = f"{has.patients} patients"
    for number, what in (
        (has.slides, "slides"),
        (has.omics, "genes"),
        (has.mri, "MRI"),
        (has.pet, "PET"),
    ):
        counts += f", {number} with {what}" if number else ""
    summary.decided.append(counts)
    declared = [f"{one.name} ({one.kind})" for one in cohort.variables if not one.reason]
    summary.decided.append(f"covariates: {', '.join(declared) or 'none'}")
    summary.decided.append(f"site: {cohort.site or 'no column looks like one'}")
    summary.decided.append(f"models: {', '.join(row.name for row in rows)}")
    if left := [f"{one.name} ({one.reason})" for one in cohort.variables if one.reason]:
        summary.check.append(f"columns left out: {', '.join(left)}")
    for sheet, number, what in (
        (cohort.slides, has.slides, "slide"),
        (cohort.genes, has.omics, "row of genes"),
    ):
        if sheet and not number:
            summary.check.append(f"no {what} belongs to a patient of the patient sheet: same ids?")
    if cohort.slides and cohort.slides.unembedded:
        summary.check.append("slides: name an encoder and its weights in the section slides")


def next_commands(folder: Path) -> list[str]:
    """The commands that check and run what was written."""
    config = shlex.quote(str(folder / "config.yaml"))
    return [f"survfuse {command} --config {config}" for command in ("check-cohort", "run")]
