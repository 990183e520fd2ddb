"""One training job per model and fold, then one prediction job per model.

Training reads the outcomes of its own training patients and nothing else: the test outcomes are
in files that no rule here has as an input. Every command reads from the configuration which visit's
volumes it takes, so every rule has that as a parameter.
"""


rule train:
    """Fit one model on the training part of one fold."""
    input:
        fold=OUT / "splits" / "{fold}" / "train.tsv",
        splits=OUT / "splits" / "splits.tsv",
        clinical=OUT / "cohort" / "clinical.tsv",
        slides=SLIDES,
        omics=OMICS,
        images=IMAGES,
        synthesised=synthesised,
        parts=parts_fitted,
    output:
        OUT / "models" / "{model}" / "{fold}" / "model.safetensors",
        OUT / "models" / "{model}" / "{fold}" / "fit.json",
    log:
        OUT / "logs" / "train" / "{model}-{fold}.log",
    benchmark:
        OUT / "benchmarks" / "train" / "{model}-{fold}.tsv"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        config=CONFIG,
        results=OUT,
        settings=lambda wildcards: SETTINGS.settings_hash(
            "training", "omics", "cohort", model=wildcards.model
        ),
        fold=lambda wildcards, input: Path(input.fold).parent,
        slides=optional("--slides", SLIDES),
        omics=optional("--omics", OMICS),
        images=optional("--images", IMAGES),
        visit=VISIT,
        synthesis=optional("--synthesis", SYNTHESIS),
        device=device,
    shell:
        "survfuse train --config {params.config:q} --model {wildcards.model} --fold {params.fold:q}"
        " --splits {input.splits:q} --clinical {input.clinical:q} {params.slides} {params.omics}"
        " {params.images} {params.synthesis}"
        " --models {params.results:q}/models --device {params.device} --log {log:q}"


rule predict:
    """Predict every patient with the model that has not seen the patient."""
    input:
        fitted=expand(OUT / "models" / "{{model}}" / "{fold}" / "fit.json", fold=FOLDS),
        test_ids=expand(OUT / "splits" / "{fold}" / "test_ids.tsv", fold=FOLDS),
        splits=OUT / "splits" / "splits.tsv",
        clinical=OUT / "cohort" / "clinical.tsv",
        slides=SLIDES,
        omics=OMICS,
        images=IMAGES,
        synthesised=synthesised,
        parts=parts_fitted,
    output:
        table=OUT / "predictions" / "{model}.tsv",
        patterns=OUT / "predictions" / "{model}.patterns.tsv",
        attention=OUT / "predictions" / "{model}.attention.h5",
    log:
        OUT / "logs" / "predict" / "{model}.log",
    benchmark:
        OUT / "benchmarks" / "predict" / "{model}.tsv"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=CONFIG,
        results=OUT,
        settings=settings("training"),
        # Of the evaluation, predictions hold its horizons and nothing else.
        horizons=SETTINGS.evaluation.horizons_months,
        folds=lambda wildcards, input: [str(Path(ids).parent) for ids in input.test_ids],
        slides=optional("--slides", SLIDES),
        omics=optional("--omics", OMICS),
        images=optional("--images", IMAGES),
        visit=VISIT,
        synthesis=optional("--synthesis", SYNTHESIS),
        device=device,
    shell:
        "survfuse predict --config {params.config:q} --model {wildcards.model} --folds {params.folds:q}"
        " --splits {input.splits:q} --clinical {input.clinical:q} {params.slides} {params.omics}"
        " {params.images} {params.synthesis}"
        " --models {params.results:q}/models --out {output.table:q} --patterns {output.patterns:q}"
        " --attention {output.attention:q}"
        " --device {params.device} --log {log:q}"


rule explain:
    """What moved the estimates of the model that the reports show."""
    input:
        fitted=expand(OUT / "models" / "{{model}}" / "{fold}" / "fit.json", fold=FOLDS),
        test_ids=expand(OUT / "splits" / "{fold}" / "test_ids.tsv", fold=FOLDS),
        splits=OUT / "splits" / "splits.tsv",
        clinical=OUT / "cohort" / "clinical.tsv",
        slides=SLIDES,
        omics=OMICS,
        images=IMAGES,
        synthesised=synthesised,
    output:
        OUT / "predictions" / "{model}.explain.h5",
    log:
        OUT / "logs" / "explain" / "{model}.log",
    benchmark:
        OUT / "benchmarks" / "explain" / "{model}.tsv"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        config=CONFIG,
        results=OUT,
        settings=settings("training"),
        folds=lambda wildcards, input: [str(Path(ids).parent) for ids in input.test_ids],
        slides=optional("--slides", SLIDES),
        omics=optional("--omics", OMICS),
        images=optional("--images", IMAGES),
        visit=VISIT,
        synthesis=optional("--synthesis", SYNTHESIS),
        device=device,
    shell:
        "survfuse explain --config {params.config:q} --model {wildcards.model} --folds {params.folds:q}"
        " --splits {input.splits:q} --clinical {input.clinical:q} {params.slides} {params.omics}"
        " {params.images} {params.synthesis}"
        " --models {params.results:q}/models --out {output:q} --device {params.device} --log {log:q}"


rule map_volumes:
    """What in the volumes moved the diagnoses of the patients who get a page."""
    input:
        fitted=expand(OUT / "models" / "{{model}}" / "{fold}" / "fit.json", fold=FOLDS),
        test_ids=expand(OUT / "splits" / "{fold}" / "test_ids.tsv", fold=FOLDS),
        splits=OUT / "splits" / "splits.tsv",
        clinical=OUT / "cohort" / "clinical.tsv",
        slides=SLIDES,
        omics=OMICS,
        images=IMAGES,
        synthesised=synthesised,
    output:
        OUT / "predictions" / "{model}.saliency.h5",
    log:
        OUT / "logs" / "map_volumes" / "{model}.log",
    benchmark:
        OUT / "benchmarks" / "map_volumes" / "{model}.tsv"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        config=CONFIG,
        results=OUT,
        settings=settings("training", "report"),
        folds=lambda wildcards, input: [str(Path(ids).parent) for ids in input.test_ids],
        slides=optional("--slides", SLIDES),
        omics=optional("--omics", OMICS),
        images=optional("--images", IMAGES),
        visit=VISIT,
        synthesis=optional("--synthesis", SYNTHESIS),
        device=device,
    shell:
        "survfuse map-volumes --config {params.config:q} --model {wildcards.model} --folds {params.folds:q}"
        " --splits {input.splits:q} --clinical {input.clinical:q} {params.slides} {params.omics}"
        " {params.images} {params.synthesis}"
        " --models {params.results:q}/models --out {output:q} --device {params.device} --log {log:q}"


rule list_inputs:
    """Who has which modality, after bad slides were set aside."""
    input:
        splits=OUT / "splits" / "splits.tsv",
        clinical=OUT / "cohort" / "clinical.tsv",
        slides=SLIDES,
        omics=OMICS,
        images=IMAGES,
    output:
        OUT / "predictions" / "availability.tsv",
    log:
        OUT / "logs" / "list_inputs.log",
    benchmark:
        OUT / "benchmarks" / "list_inputs.tsv"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=CONFIG,
        slides=optional("--slides", SLIDES),
        omics=optional("--omics", OMICS),
        images=optional("--images", IMAGES),
        visit=VISIT,
    shell:
        "survfuse list-inputs --config {params.config:q} --splits {input.splits:q}"
        " --clinical {input.clinical:q} {params.slides} {params.omics} {params.images} --out {output:q} --log {log:q}"
