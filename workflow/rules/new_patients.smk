"""Patients who were in no study: prepare what takes long in batches, then predict them in one job."""

import shlex

from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.core.errors import UserInputError
from survfuse.deployment.run import run_of
from survfuse.modalities.registry import SHEET_OF, SOURCES

try:
    RUN = run_of(config)
except UserInputError as error:
    raise WorkflowError(str(error)) from None
NEW = NewPatientsFolder(RUN.output)
NEW_BATCHES = {source: RUN.batches(source) for source in SHEET_OF}
GIVEN = {
    "package": RUN.package,
    "patients": RUN.patients,
    **RUN.sheets,
    **({"weights": RUN.weights} if RUN.weights else {}),
    "out": RUN.output,
}
# What the commands of all rules here are given.
NEW_OPTIONS = " ".join(
    f"--{name} {shlex.quote(str(path))}" for name, path in GIVEN.items()
)
# How those that write for people are to do it.
STYLE = f"--language {RUN.language} --paper {RUN.paper}" + (
    "" if RUN.documents else " --no-documents"
)


def prepared_table(source, batch):
    """The table of a batch, beside that of all files."""
    return (RUN.output / SOURCES[source]).with_name(f"batch_{batch}.tsv")


rule prepare_new:
    """A batch of the files of a sheet; a bad file is quarantined and listed."""
    input:
        package=RUN.package / "package.json",
        sheet=lambda wildcards: RUN.sheets[wildcards.source],
        patients=RUN.patients,
    output:
        RUN.output / "{source}" / "batch_{batch}.tsv",
    log:
        RUN.output / "logs" / "prepare_new" / "{source}_{batch}.log",
    benchmark:
        RUN.output / "benchmarks" / "prepare_new" / "{source}_{batch}.tsv"
    wildcard_constraints:
        source="|".join(SHEET_OF),
        batch=r"\d+",
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        given=NEW_OPTIONS,
        batches=lambda wildcards: NEW_BATCHES[wildcards.source],
        device=lambda wildcards, resources: (
            "cuda" if resources.get("gpu", 0) else "auto"
        ),
    shell:
        "survfuse prepare-new {params.given} --source {wildcards.source} --batch {wildcards.batch}"
        " --batches {params.batches} --threads {threads} --device {params.device} --log {log:q}"


rule predict_new:
    """Predict all patients with the models of the package."""
    input:
        RUN.package / "package.json",
        RUN.patients,
        list(RUN.sheets.values()),
        [
            prepared_table(source, batch)
            for source, batches in NEW_BATCHES.items()
            for batch in range(batches)
        ],
    output:
        NEW.table,
    log:
        RUN.output / "logs" / "predict_new.log",
    benchmark:
        RUN.output / "benchmarks" / "predict_new.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        given=NEW_OPTIONS,
        style=STYLE,
        device=lambda wildcards, resources: (
            "cuda" if resources.get("gpu", 0) else "auto"
        ),
    shell:
        "survfuse predict {params.given} {params.style} --threads {threads} --device {params.device} --log {log:q}"
