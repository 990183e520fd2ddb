"""Scores of all models side by side, and the pages people read."""

TRUTH = OUT / "sheets" / "truth.tsv" if SETTINGS.simulation else []
EXPLANATIONS = OUT / "predictions" / f"{EXPLAINED.name}.explain.h5" if EXPLAINED else []
MAPS = OUT / "predictions" / f"{MAPPED.name}.saliency.h5" if MAPPED else []
# What is diagnosed stands in the evaluation; of survival the report tells it.
DIAGNOSIS_WORDS = (
    [SETTINGS.cohort.diagnosis.name, SETTINGS.cohort.diagnosis.definition]
    if SETTINGS.cohort.diagnosis
    else []
)


rule evaluate:
    """The first rule that sees the outcomes of test patients."""
    input:
        outcomes=OUT / "cohort" / "outcomes.tsv",
        splits=OUT / "splits" / "splits.tsv",
        predictions=expand(OUT / "predictions" / "{model}.tsv", model=MODELS),
        patterns=expand(OUT / "predictions" / "{model}.patterns.tsv", model=MODELS),
        availability=OUT / "predictions" / "availability.tsv",
        explained=EXPLANATIONS,
        synthesised=synthesised,
        truth=TRUTH,
    output:
        scores=OUT / "evaluation" / "evaluation.json",
        tidy=OUT / "evaluation" / "predictions.tsv",
    log:
        OUT / "logs" / "evaluate.log",
    benchmark:
        OUT / "benchmarks" / "evaluate.tsv"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG,
        results=OUT,
        settings=settings("evaluation", "models"),
        words=DIAGNOSIS_WORDS,
        truth=optional("--truth", TRUTH),
        explained=optional("--explained", EXPLANATIONS),
        synthesis=optional("--synthesis", SYNTHESIS),
    shell:
        "survfuse evaluate --config {params.config:q} --outcomes {input.outcomes:q}"
        " --splits {input.splits:q} --predictions {params.results:q}/predictions {params.truth}"
        " --availability {input.availability:q} {params.explained} {params.synthesis}"
        " --out {output.scores:q} --tidy {output.tidy:q} --log {log:q}"


rule report:
    """The cohort report and the patient pages."""
    input:
        OUT / "evaluation" / "evaluation.json",
        OUT / "cohort" / "cohort.json",
        expand(OUT / "predictions" / "{model}.attention.h5", model=MODELS),
        EXPLANATIONS,
        MAPS,
        SLIDES,
        IMAGES,
        OMICS,
    output:
        OUT / "report" / "index.html",
    log:
        OUT / "logs" / "report.log",
    benchmark:
        OUT / "benchmarks" / "report.tsv"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG,
        results=OUT,
        settings=settings(
            "report", "evaluation", "cohort", "slides", "imaging", "training"
        ),
    shell:
        "survfuse report --config {params.config:q} --results {params.results:q} --out {params.results:q}/report --log {log:q}"
