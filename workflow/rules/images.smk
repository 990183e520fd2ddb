"""Brain volumes on one grid, many per job; nothing is planned without an image sheet."""

SPACES = (
    SETTINGS.imaging.template,
    SETTINGS.imaging.template_mask,
    SETTINGS.imaging.reference_region,
)

if SETTINGS.cohort.images:

    rule prepare_images:
        """One batch of patients; a bad volume is quarantined and listed, the batch goes on."""
        input:
            images=OUT / "cohort" / "images.tsv",
            spaces=files_of(*SPACES),
        output:
            OUT / "images" / "batches" / "{batch}.tsv",
        log:
            OUT / "logs" / "prepare_images" / "{batch}.log",
        benchmark:
            OUT / "benchmarks" / "prepare_images" / "{batch}.tsv"
        resources:
            mem_mb=attempts(4000),
            runtime=attempts(240),
        params:
            config=config_file,
            results=OUT,
            settings=settings("imaging"),
            spaces=brought(*SPACES),
            files=images_of_batch,
            batches=len(IMAGE_BATCHES),
        shell:
            "survfuse prepare-images --config {params.config:q} --images {input.images:q}"
            " --batch {wildcards.batch} --batches {params.batches}"
            " --out {params.results:q}/images --manifest {output:q} --threads {threads} --log {log:q}"

    rule merge_images:
        """The status of all volumes; stops the run if too many failed."""
        input:
            expand(OUT / "images" / "batches" / "{batch}.tsv", batch=IMAGE_BATCHES),
        output:
            OUT / SOURCES["images"],
        log:
            OUT / "logs" / "merge_images.log",
        benchmark:
            OUT / "benchmarks" / "merge_images.tsv"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            config=config_file,
            settings=settings("imaging"),
        shell:
            "survfuse merge-images --config {params.config:q} --out {output:q} --log {log:q} {input:q}"
