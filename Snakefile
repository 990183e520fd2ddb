"""survfuse: slides, genes and clinical tables to survival models and risk reports.

    snakemake --cores all                                   the bundled simulated cohort
    snakemake --cores all --configfile configs/mine.yaml    your own

Science is set in configs/, what belongs to a site in workflow/profiles/.
"""

from snakemake.utils import min_version

min_version("9.0")


# Used with --software-deployment-method apptainer only; see docs/hpc.md.
container: "containers/survfuse.sif"


if not config:

    configfile: "configs/demo.yaml"


include: "workflow/rules/common.smk"


rule all:
    """Everything the configuration asks for, ending in the reports."""
    input:
        OUT / "report" / "index.html",


include: "workflow/rules/cohort.smk"
include: "workflow/rules/slides.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/synthesis.smk"
include: "workflow/rules/omics.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/reports.smk"
