"""Tissue, tiles and embeddings, many slides per job."""


rule process_slides:
    """One batch of slides; a bad slide is quarantined and listed, the batch goes on."""
    input:
        sheet=OUT / "cohort" / "slides.tsv",
        weights=files_of(SETTINGS.slides.weights if SLIDES else None),
    output:
        OUT / "slides" / "batches" / "{batch}.tsv",
    log:
        OUT / "logs" / "process_slides" / "{batch}.log",
    benchmark:
        OUT / "benchmarks" / "process_slides" / "{batch}.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        config=CONFIG,
        results=OUT,
        settings=settings("slides"),
        device=device,
        batches=len(BATCHES),
    shell:
        "survfuse process-slides --config {params.config:q} --slides {input.sheet:q} --batch {wildcards.batch}"
        " --batches {params.batches}"
        " --out {params.results:q}/slides --manifest {output:q} --threads {threads}"
        " --device {params.device} --log {log:q}"


rule merge_slides:
    """The status of all slides; stops the run if too many failed."""
    input:
        expand(OUT / "slides" / "batches" / "{batch}.tsv", batch=BATCHES),
    output:
        OUT / "slides" / "slides.tsv",
    log:
        OUT / "logs" / "merge_slides.log",
    benchmark:
        OUT / "benchmarks" / "merge_slides.tsv"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=CONFIG,
        settings=settings("slides"),
    shell:
        "survfuse merge-slides --config {params.config:q} --out {output:q} --log {log:q} {input:q}"
