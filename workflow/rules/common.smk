"""What all rules share: the loaded configuration and the names of folds and models."""

import gzip
import math
import os
import shlex
import zlib
from pathlib import Path

from survfuse.config_file import load
from survfuse.errors import UserInputError
from survfuse.kinds import explained_model, mapped_model


def load_settings(files):
    """The typed configuration. One file holds all of it, so that one file can be archived."""
    if len(files) != 1 or workflow.config_settings.config:
        raise WorkflowError("give exactly one --configfile, and no --config KEY=VALUE")
    try:
        return load(files[0])
    except UserInputError as error:
        raise WorkflowError(str(error)) from None


def count_lines(path):
    """Lines of a sheet, or 0 where it does not exist yet."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rb") as handle:
            return sum(1 for line in handle if line.strip())
    except (OSError, EOFError, zlib.error):  # check_cohort tells what is wrong with it
        return 0


def files_of(*paths):
    """Files that the configuration names, themselves or by their folder; None names none."""
    found = []
    for path in filter(None, paths):
        inside = sorted(path.glob("[!.]*")) if path.is_dir() else [path]
        found += [file for file in inside if not file.is_dir()]
    return found


def count_batches():
    """Jobs over which the slides are spread; known before any sheet is written."""
    if SETTINGS.cohort.slides is None:
        return 0
    if SETTINGS.source is None:
        slides = count_lines(SETTINGS.cohort.slides) - 1
    elif SETTINGS.source.kind == "simulate":
        slides = SETTINGS.source.patients
    else:
        slides = SETTINGS.slides.batch_size
    return max(1, math.ceil(slides / SETTINGS.slides.batch_size))


def count_image_batches():
    """Jobs over which the volumes are spread; known before any sheet is written."""
    if SETTINGS.cohort.images is None:
        return 0
    if SETTINGS.simulation:
        volumes = SETTINGS.simulation.patients * 2
    else:
        volumes = count_lines(SETTINGS.cohort.images) - 1
    return max(1, math.ceil(volumes / SETTINGS.imaging.batch_size))


CONFIG = os.path.relpath(workflow.configfiles[0])
SETTINGS = load_settings(workflow.configfiles)
OUT = SETTINGS.output
MODELS = {model.name: model for model in SETTINGS.models}
REPEATS = 1 if SETTINGS.cohort.folds else SETTINGS.splits.repeats
FOLDS = [f"r{r}f{f}" for r in range(REPEATS) for f in range(SETTINGS.splits.folds)]
BATCHES = range(count_batches())
IMAGE_BATCHES = range(count_image_batches())
IMAGES = OUT / "images" / "images.tsv" if SETTINGS.cohort.images else []
# Which volumes are read is no setting of what is done to them.
VISIT = str(SETTINGS.imaging.visit)
SLIDES = OUT / "slides" / "slides.tsv" if SETTINGS.cohort.slides else []
EXPLAINED = explained_model(SETTINGS) if SETTINGS.task == "survival" else None
MAPPED = mapped_model(SETTINGS)
OMICS = OUT / "omics" / "omics.npz" if SETTINGS.cohort.omics else []
SYNTHESIS = OUT / "synthesis" if SETTINGS.synthesis and IMAGES else []


def settings(*sections):
    """Hash of the settings a rule reads, a parameter that makes it run again when they change."""
    return SETTINGS.settings_hash(*sections)


def optional(option, path):
    """`--option path` for a shell, or nothing where the cohort lacks that modality."""
    return f"{option} {shlex.quote(str(path))}" if path else ""


def device(wildcards, resources):
    """A job that was given a GPU insists on it; any other takes what it finds."""
    return "cuda" if resources.get("gpu", 0) else "auto"


def parts_fitted(wildcards):
    """The models that a late fusion averages must be fitted on the same fold first."""
    return expand(
        OUT / "models" / "{part}" / "{fold}" / "fit.json",
        part=MODELS[wildcards.model].options.get("parts", []),
        fold=[wildcards.fold] if hasattr(wildcards, "fold") else FOLDS,
    )


def synthesised(wildcards):
    """How volumes were synthesised for a fold, or for all of them.

    By the file that holds the hash of the generator's weights: the table of volumes is the same
    whatever they show, and Snakemake takes a small file of equal content for unchanged.
    """
    folds = [wildcards.fold] if hasattr(wildcards, "fold") else FOLDS
    return (
        expand(SYNTHESIS / "{fold}" / "synthesis.json", fold=folds) if SYNTHESIS else []
    )


wildcard_constraints:
    batch=r"\d+",
    fold=r"r\d+f\d+",
    model="|".join(MODELS),
