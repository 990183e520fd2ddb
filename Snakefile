"""survfuse: slides, genes and clinical tables to survival models and risk reports.

    snakemake --cores all                                   the bundled simulated cohort
    snakemake --cores all --configfile configs/mine.yaml    your own
    snakemake --cores all --configfile new_patients.yaml    new patients, by a package

Science is set in configs/, what belongs to a site in workflow/profiles/.
"""

if "package" in config:

    include: "workflow/rules/new_patients.smk"

    WANTED = rules.predict_new.output

else:

    include: "workflow/rules/stages.smk"

    WANTED = rules.report.output


rule all:
    """Everything the configuration asks for, ending in the reports."""
    input:
        WANTED,
