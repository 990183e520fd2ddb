"""Volumes for patients who lack MRI or PET, one generator per fold and direction.

A generator is fitted on the fold's training patients alone; nothing is planned without `synthesis`
in the configuration.
"""

if SYNTHESIS:

    rule synthesise:
        """Fit on the complete pairs of one fold's training patients; fill in and measure."""
        input:
            fold=OUT / "splits" / "{fold}" / "train.tsv",
            test_ids=OUT / "splits" / "{fold}" / "test_ids.tsv",
            images=FILES["images"],
        output:
            table=OUT / "synthesis" / "{fold}" / "synthetic.tsv",
            measures=OUT / "synthesis" / "{fold}" / "synthesis.json",
        log:
            OUT / "logs" / "synthesise" / "{fold}.log",
        benchmark:
            OUT / "benchmarks" / "synthesise" / "{fold}.tsv"
        threads: SETTINGS.training.threads
        resources:
            mem_mb=attempts(8000),
            runtime=attempts(720),
        params:
            config=config_file,
            settings=settings("synthesis", "imaging"),
            fold=lambda wildcards, input: Path(input.fold).parent,
            out=lambda wildcards, output: Path(output.table).parent,
            device=device,
        shell:
            "survfuse synthesise --config {params.config:q} --fold {params.fold:q}"
            " --images {input.images:q} --out {params.out:q} --device {params.device} --log {log:q}"
