"""Gene expression, packed by gene set."""


rule encode_omics:
    """Read the gene matrix once; scaling is left to the training folds."""
    input:
        OUT / "cohort" / "clinical.tsv",
        [sheet for sheet in (SETTINGS.cohort.omics, SETTINGS.omics.gene_sets) if sheet],
    output:
        OUT / SOURCES["omics"],
    log:
        OUT / "logs" / "encode_omics.log",
    benchmark:
        OUT / "benchmarks" / "encode_omics.tsv"
    resources:
        mem_mb=attempts(4000),
        runtime=30,
    params:
        config=config_file,
        results=OUT,
        settings=settings("omics"),
        files=brought(SETTINGS.cohort.omics, SETTINGS.omics.gene_sets),
    shell:
        "survfuse encode-omics --config {params.config:q} --cohort {params.results:q}/cohort --out {output:q}"
        " --log {log:q}"
