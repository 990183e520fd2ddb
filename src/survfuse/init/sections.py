"""The sections of the configuration as text, with what was guessed beside them."""

from __future__ import annotations

import re
from pathlib import Path

from survfuse.config.rules import MADE_UP
from survfuse.core.event_words import event_words
from survfuse.init.diagnosis import Label
from survfuse.init.endpoint import Endpoint
from survfuse.init.leaderboard import (
    Inputs,
    Row,
    bins_for,
    diagnosis_rows,
    events_per_bin,
    folds_for,
    horizons_for,
    per_job,
    survival_rows,
)
from survfuse.init.look import NO_CLINICAL_MODEL, Cohort, inputs_of
from survfuse.init.sheets import Genes, Slides
from survfuse.init.starting_folder import schema_lines
from survfuse.init.text import comment, covariate_lines, numbers, row_line, word, words

ALL_PAGES = 100  # patients up to which each gets a page


def lines_of(cohort: Cohort, folder: Path) -> list[str]:
    """The configuration, section by section."""
    has = inputs_of(cohort)
    endpoint, label = cohort.endpoint, cohort.label
    rows, shown = rows_of(cohort)
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.name).strip("_-")[:64] or "cohort"
    lines = schema_lines()
    lines += comment(
        "Written by `survfuse init` from the sheets named below. Lines with CHECK are guesses that "
        "only you can decide. docs/reference/configuration.md explains every key, "
        "docs/reference/formats.md every file."
    )
    lines += [f"name: {name}", f"output: {word(folder / 'results')}", "", "cohort:"]
    lines += sheet_lines(cohort)
    lines += endpoint_lines(endpoint) if endpoint else []
    lines += label_lines(label) if label else []
    if cohort.site:
        lines.append(f"  site: {word(cohort.site)}")
    if has.clinical:
        lines += [
            "  # CHECK the types; only what is known when the prediction is made belongs here."
        ]
    else:
        lines += comment(f"CHECK {NO_CLINICAL_MODEL}.", 2)
    lines += covariate_lines(cohort.variables)
    lines += number_lines(cohort, has)
    lines += ["", "models:", *(row_line(row) for row in rows)]
    lines += evaluation_lines(cohort)
    lines += ["", "report:", f"  title: {word(title_of(name, endpoint))}", f"  model: {shown}"]
    ids = sorted(cohort.sheet.rows["patient_id"])
    lines.append("  patients: all" if len(ids) <= ALL_PAGES else f"  patients: {words(ids[:5])}")
    return lines


def rows_of(cohort: Cohort) -> tuple[list[Row], str]:
    """The rows of the leaderboard, and the one that patient pages show."""
    return (diagnosis_rows if cohort.label else survival_rows)(inputs_of(cohort))


def sheet_lines(cohort: Cohort) -> list[str]:
    """The sheets, and the folders that their files lie in."""
    lines = [f"  patients: {word(cohort.sheet.path)}"]
    sheets = {"slides": cohort.slides, "omics": cohort.genes, "images": cohort.images}
    lines += [f"  {key}: {word(sheet.path)}" for key, sheet in sheets.items() if sheet]
    roots = [root for one in (cohort.slides, cohort.images) if one for root in one.roots]
    if roots:
        for one in (cohort.slides, cohort.images):
            roots += [one.path.parent] if one else []
        lines.append(f"  roots: {words(dict.fromkeys(roots))}")
    return lines


def endpoint_lines(endpoint: Endpoint) -> list[str]:
    """What is predicted, with the guesses in comments."""
    lines = ["  endpoint:"]
    for sentence in endpoint.notes:
        lines += comment(f"CHECK {sentence}.", 4)
    return [
        *lines,
        f"    time: {word(endpoint.time)}",
        f"    time_unit: {endpoint.unit}",
        f"    event: {word(endpoint.event)}",
        f"    event_value: {word(endpoint.event_value)}",
        f"    censored_value: {word(endpoint.censored_value)}",
        "    # CHECK these texts stand in every report: when does time start, what is the event?",
        f"    name: {endpoint.name}",
        f"    definition: {endpoint.definition}",
        f"    event_words: {event_words(endpoint.name, endpoint.definition)}",
    ]


def label_lines(label: Label) -> list[str]:
    """What is diagnosed."""
    return [
        "  diagnosis:  # remove this section, and name an endpoint, to estimate survival instead",
        f"    column: {word(label.column)}",
        f"    classes: {words(label.classes)}  # CHECK the order; of two the second is looked for",
        "    # CHECK both texts stand in every report.",
        f"    name: {word(label.column)}",
        "    definition: as given in the patient sheet",
    ]


def number_lines(cohort: Cohort, has: Inputs) -> list[str]:
    """Folds, batches and bins that suit the size of the cohort."""
    lines: list[str] = []
    if cohort.label:
        rarer, what = cohort.label.smallest, "patients of the rarest class"
    else:
        rarer, what = int((cohort.outcomes["event"] == 1).sum()), "events"
    lines += ["", "splits:", f"  folds: {folds_for(rarer)}  # for {rarer} {what}"]
    lines += ["  repeats: 5  # of the cross-validation: the more, the narrower the intervals"]
    if cohort.slides:
        lines += ["", "slides:", *encoder_lines(cohort.slides)]
        lines.append(f"  batch_size: {per_job(cohort.slides.count, 50)}  # slides per job")
    if cohort.genes:
        lines += ["", "omics:", *gene_lines(cohort.genes)]
    if cohort.images:
        lines += ["", "imaging:"]
        lines += comment(
            "Name a template (e.g. the T1 of MNI152) to bring all brains to its space; see "
            "docs/how_to/imaging.md.", 2,
        )  # fmt: skip
        lines += ["  # template: /path/to/T1.nii.gz"]
        lines.append(f"  batch_size: {per_job(cohort.images.count, 20)}  # volumes per job")
        if 0 < has.pet < has.mri:
            lines += comment(
                "Patients without PET are shown without it. To make their PET from MRI, in every "
                "fold anew, uncomment:"
            )
            lines += ["# synthesis: {directions: [pet]}"]
    lines += ["", "training:", f"  batch_size: {8 if has.patients < 80 else 16}"]
    lines += ["  repeats: 2  # of them for networks, each at the cost of the first"]
    if not cohort.label:
        events = cohort.outcomes[cohort.outcomes["event"] == 1]
        lines.append(f"  bins_months: {numbers(bins_for(events['time_months'].dropna().tolist()))}")
        lines.append(f"  min_events_per_bin: {events_per_bin(rarer)}")
    return lines


def encoder_lines(slides: Slides) -> list[str]:
    """How tiles are embedded, or that they are."""
    if not slides.unembedded:
        return comment(
            "All slides have embeddings in the column features; no encoder is needed.", 2
        )
    return [
        *comment(
            "CHECK name the encoder of tiles and the file of its weights; nothing is fetched. "
            "docs/reference/encoders.md lists the known ones, e.g. "
            "encoder: {preset: uni2-h, weights: /path/to/pytorch_model.bin}; any other model of "
            "timm will do (docs/how_to/slides.md).",
            2,
        ),
        "  encoder: resnet50_trunc",
        "  # weights: /path/to/weights.safetensors",
        "  # untrained: true  # random weights: to see the workflow run, useless for patients",
    ]


def gene_lines(genes: Genes) -> list[str]:
    """Data types by suffix, and gene sets."""
    lines = []
    if genes.suffixes:
        pairs = ", ".join(f"{kind}: {word(end)}" for kind, end in genes.suffixes.items())
        lines.append(f"  suffixes: {{{pairs}}}  # columns of other endings are not read")
    lines += comment("All genes form one group, unless gene sets are named:", 2)
    return [*lines, "  # gene_sets: /path/to/sets.gmt"]


def evaluation_lines(cohort: Cohort) -> list[str]:
    """The row to compare with, and the times at which risk is told."""
    lines = ["", "evaluation:"]
    if cohort.label or not inputs_of(cohort).clinical:
        later = "" if inputs_of(cohort).clinical else "  # the clinical model, once there is one"
        lines.append(f"  reference: {reference_of(cohort)}{later}")
    if cohort.label:
        return lines
    known = cohort.outcomes[(cohort.outcomes >= 0).all(axis=1)]
    horizons = horizons_for(known["time_months"].tolist(), (known["event"] == 1).tolist())
    return [*lines, f"  horizons_months: {numbers(horizons)}  # that follow-up supports"]


def reference_of(cohort: Cohort) -> str:
    """The clinical model, or the first row after it where there is no covariate."""
    clinical = "logistic" if cohort.label else "clinical_cox"
    if inputs_of(cohort).clinical:
        return clinical
    rows, _ = rows_of(cohort)
    return next(row.name for row in rows if row.name not in ("site_only", clinical))


def title_of(name: str, endpoint: Endpoint | None) -> str:
    """The heading of the report."""
    title = f"{name}, {endpoint.name if endpoint else 'diagnosis'}"
    return "Own cohort" if MADE_UP.search(title) else title
