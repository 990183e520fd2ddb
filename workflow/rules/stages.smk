"""The configuration and all stages; the file that includes this one says what is wanted."""

from snakemake.utils import min_version

min_version("9.0")


# Used with --software-deployment-method apptainer only; see docs/how_to/hpc.md.
container: "containers/survfuse.sif"


# Nothing but keys that `--config` changes, if anything: they are those of the demonstration.
if set(config) <= set(workflow.config_settings.config):

    configfile: "configs/demo.yaml"


include: "common.smk"
include: "batches.smk"
include: "cohort.smk"
include: "slides.smk"
include: "images.smk"
include: "synthesis.smk"
include: "omics.smk"
include: "models.smk"
include: "reports.smk"
