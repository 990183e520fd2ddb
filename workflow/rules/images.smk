"""Brain volumes on one grid, many per job; nothing is planned without an image sheet."""

if IMAGES:

    rule prepare_images:
        """One batch of patients; a bad volume is quarantined and listed, the batch goes on."""
        input:
            images=OUT / "cohort" / "images.tsv",
            spaces=files_of(
                SETTINGS.imaging.template,
                SETTINGS.imaging.template_mask,
                SETTINGS.imaging.reference_region,
            ),
        output:
            OUT / "images" / "batches" / "{batch}.tsv",
        log:
            OUT / "logs" / "prepare_images" / "{batch}.log",
        benchmark:
            OUT / "benchmarks" / "prepare_images" / "{batch}.tsv"
        resources:
            mem_mb=lambda wildcards, attempt: 4000 * attempt,
            runtime=lambda wildcards, attempt: 240 * attempt,
        params:
            config=CONFIG,
            results=OUT,
            settings=settings("imaging"),
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
            OUT / "images" / "images.tsv",
        log:
            OUT / "logs" / "merge_images.log",
        benchmark:
            OUT / "benchmarks" / "merge_images.tsv"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            config=CONFIG,
            settings=settings("imaging"),
        shell:
            "survfuse merge-images --config {params.config:q} --out {output:q} --log {log:q} {input:q}"
