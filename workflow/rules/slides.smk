"""Tissue, tiles and embeddings, many slides per job."""

WEIGHTS = SETTINGS.slides.tile_encoder.weights if SETTINGS.cohort.slides else None


rule process_slides:
    """One batch of slides; a bad slide is quarantined and listed, the batch goes on."""
    input:
        sheet=OUT / "cohort" / "slides.tsv",
        weights=files_of(WEIGHTS),
    output:
        OUT / "slides" / "batches" / "{batch}.tsv",
    log:
        OUT / "logs" / "process_slides" / "{batch}.log",
    benchmark:
        OUT / "benchmarks" / "process_slides" / "{batch}.tsv"
    resources:
        mem_mb=attempts(8000),
        runtime=attempts(240),
    params:
        config=config_file,
        results=OUT,
        settings=settings("slides"),
        weights=brought(WEIGHTS),
        files=slides_of_batch,
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
        OUT / SOURCES["slides"],
    log:
        OUT / "logs" / "merge_slides.log",
    benchmark:
        OUT / "benchmarks" / "merge_slides.tsv"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=config_file,
        settings=settings("slides"),
    shell:
        "survfuse merge-slides --config {params.config:q} --out {output:q} --log {log:q} {input:q}"
