"""What all rules share: the loaded configuration and the names of folds and models."""

import os
import shlex
from pathlib import Path

from survfuse.artifacts.layout import FOLD_PATTERN, fold_name
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import SOURCES, sheets_of, sources_of
from survfuse.models.specs import (
    explained_model,
    fit_settings,
    has_job_per_fold,
    mapped_model,
    parts_of,
    read_modalities,
    reads_of,
    reads_synthesised,
    repeats_of,
)
from survfuse.runner import merged_config as run_config
from survfuse.runner import source_files
from survfuse.tasks.loading import task_of


def load_settings():
    """The typed configuration, the file of it that commands are given, and what models read.

    It is `config`, whoever made it: a file, several, `--config`, or a workflow whose module this is.
    """
    moved = workflow.modifier.path_modifier
    if moved.prefix or moved.modifies_prefixes:
        raise WorkflowError(
            "survfuse: as a module it takes no prefix; set `output` in its config instead"
        )
    files = [Path(os.path.relpath(file)) for file in workflow.configfiles]
    try:
        loaded, file, text = run_config.load_merged(config, files)
        if not workflow.output_settings.dryrun:
            run_config.keep(file, text)
        reads = {row.name: reads_of(row, loaded.models) for row in loaded.models}
        return loaded, file, reads
    except UserInputError as error:
        raise WorkflowError(str(error)) from None


def files_of(*paths):
    """Files that the configuration names, themselves or by their folder; None names none."""
    found = []
    for path in filter(None, paths):
        inside = sorted(path.glob("[!.]*")) if path.is_dir() else [path]
        found += [file for file in inside if not file.is_dir()]
    return found


SETTINGS, CONFIG, READ = load_settings()
OUT = SETTINGS.output
MODELS = {model.name: model for model in SETTINGS.models}
REPEATS = SETTINGS.splits.repeats
FOLDS = [fold_name(r, f) for r in range(REPEATS) for f in range(SETTINGS.splits.folds)]
# The folds that each row is fitted in: all of its repeats.
FOLDS_OF = {
    name: FOLDS[: repeats_of(row, SETTINGS) * SETTINGS.splits.folds]
    for name, row in MODELS.items()
}
# A network takes long and has a job per fold, unless the configuration says that it is small; of
# all others a job fits all folds.
BY_FOLD = [name for name, row in MODELS.items() if has_job_per_fold(row, SETTINGS)]
IN_ONE_JOB = [name for name in MODELS if name not in BY_FOLD]
# The files that models read besides the table of patients, by the key of their sheet.
FILES = {name: OUT / SOURCES[name] for name in sheets_of(SETTINGS.cohort)}
# Which volumes are read is no setting of what is done to them.
VISIT = str(SETTINGS.imaging.visit)
# What any row reads; who has nothing of it is left out.
READ_BY_ANY = ",".join(read_modalities(SETTINGS))
TASK = task_of(SETTINGS)
EXPLAINED = explained_model(SETTINGS) if TASK.attributed else None
MAPPED = mapped_model(SETTINGS)
SYNTHESIS = OUT / "synthesis" if SETTINGS.synthesis else []


def config_file(wildcards, input):
    """The file that commands read.

    As it takes `input`, Snakemake does not compare it with that of the last run: a renamed file does
    not repeat anything, other settings do by `settings`.
    """
    return str(CONFIG)


def settings(*sections):
    """Hash of the settings a rule reads, a parameter that makes it run again when they change."""
    return SETTINGS.settings_hash(*sections)


def settings_of_training(wildcards):
    """The same of what fits a row of the leaderboard."""
    return fit_settings(MODELS[wildcards.model], SETTINGS)


def brought(*paths):
    """Hash of files that people bring, a parameter by which another file at the same path is seen.

    Also one with an older time, which the order of times misses. What the workflow writes itself is
    left out: it is not there yet when the first run is planned.
    """
    return source_files.content_digest(
        path for path in files_of(*paths) if not path.is_relative_to(OUT)
    )


def optional(option, path):
    """`--option path` for a shell, or nothing where there is no such file."""
    return f"{option} {shlex.quote(str(path))}" if path else ""


def attempts(amount):
    """A resource that grows with the attempt: what ran out is asked for twice, then three times."""
    return lambda wildcards, attempt: amount * attempt


def device(wildcards, resources):
    """A job that was given a GPU insists on it; any other takes what it finds."""
    return "cuda" if resources.get("gpu", 0) else "auto"


def names(models):
    """What the wildcard of these models may be; where there are none, no name."""
    return "|".join(models) or "(?!)"


def folds_of(wildcards):
    """The fold of a job, or all folds that its model is fitted in."""
    named = getattr(wildcards, "fold", None)
    return [named] if named else FOLDS_OF[wildcards.model]


def folds_given(table):
    """An input function: a table of the folds of a job."""
    return lambda wildcards: expand(
        OUT / "splits" / "{fold}" / table, fold=folds_of(wildcards)
    )


def fits_of(model, folds):
    """What says that a model is fitted on folds."""
    if model in IN_ONE_JOB:
        return [OUT / "models" / model / "folds.json"]
    return expand(OUT / "models" / model / "{fold}" / "fit.json", fold=folds)


def fitted(wildcards):
    """The model on all folds that it is fitted in."""
    return fits_of(wildcards.model, folds_of(wildcards))


def parts_fitted(wildcards):
    """The models that a row averages must be fitted on the same folds first."""
    parts = parts_of(MODELS[wildcards.model])
    return [path for part in parts for path in fits_of(part, folds_of(wildcards))]


def read_by(wildcards):
    """The files that the row of a job reads besides the table of patients, by name.

    Those of all modalities where a job is of no row. What a row does not read does not fit it
    again.
    """
    row = getattr(wildcards, "model", None)
    read = sources_of(READ[row]) if row else SOURCES
    return {name: FILES[name] for name in read if name in FILES}


def files_read(wildcards):
    """What the row of a job reads, as an input of its rule."""
    return list(read_by(wildcards).values())


def takes_synthesised(wildcards):
    """Whether the row of a job reads volumes that were made where there is no real one."""
    row = getattr(wildcards, "model", None)
    return bool(SYNTHESIS and row) and reads_synthesised(MODELS[row], SETTINGS.models)


def synthesised(wildcards):
    """How volumes were synthesised for the folds of a job.

    By the file that holds the hash of the generator's weights: the table of volumes is the same
    whatever they show, and Snakemake takes a small file of equal content for unchanged.
    """
    if not takes_synthesised(wildcards):
        return []
    return expand(SYNTHESIS / "{fold}" / "synthesis.json", fold=folds_of(wildcards))


def options_read(wildcards):
    """The same files as options of a command."""
    files = [f"{name}={path}" for name, path in read_by(wildcards).items()]
    made = SYNTHESIS if takes_synthesised(wildcards) else None
    given = [
        *(optional("--input", file) for file in files),
        optional("--synthesis", made),
    ]
    return " ".join(filter(None, given))


# Inputs and parameters that rules share where a command reads what is known of patients. None of
# it holds a test outcome. Which visit's volumes it takes, the command reads from the configuration.
PATIENT_INPUTS = {
    "splits": OUT / "splits" / "splits.tsv",
    "clinical": OUT / "cohort" / "clinical.tsv",
    "read": files_read,
    "synthesised": synthesised,
}
PATIENT_PARAMS = {"config": config_file, "read": options_read, "visit": VISIT}
# And where it fits or runs a row, on the folds whose tables are its input `folds`.
MODEL_PARAMS = {
    **PATIENT_PARAMS,
    "results": OUT,
    "folds": lambda wildcards, input: [str(Path(one).parent) for one in input.folds],
    "device": device,
}


def patient_command(own):
    """A command with the options of PATIENT_PARAMS after its own."""
    return (
        f"survfuse {own} --config {{params.config:q}} --splits {{input.splits:q}}"
        " --clinical {input.clinical:q} {params.read} --log {log:q}"
    )


def model_command(own):
    """A command with the options of MODEL_PARAMS after its own."""
    return patient_command(
        f"{own} --model {{wildcards.model}} --models {{params.results:q}}/models"
        " --folds {params.folds:q} --device {params.device}"
    )


wildcard_constraints:
    batch=r"\d+",
    fold=FOLD_PATTERN,
    model="|".join(MODELS),
