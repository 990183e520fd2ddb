"""survfuse: slides, genes and clinical tables to survival models and risk reports.

    snakemake --cores all                                   the bundled simulated cohort
    snakemake --cores all --configfile configs/mine.yaml    your own

Science is set in configs/, what belongs to a site in workflow/profiles/.
"""


include: "workflow/rules/stages.smk"


rule all:
    """Everything the configuration asks for, ending in the reports."""
    input:
        rules.report.output,
