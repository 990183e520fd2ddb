"""Scores of all models side by side, and the pages people read."""

TRUTH = OUT / "sheets" / "truth.tsv" if SETTINGS.simulation else []
EXPLANATIONS = OUT / "predictions" / f"{EXPLAINED.name}.explain.h5" if EXPLAINED else []
MAPS = OUT / "predictions" / f"{MAPPED.name}.saliency.h5" if MAPPED else []
# How good generators are is reported for the first repeat.
MEASURED = (
    expand(SYNTHESIS / "{fold}" / "synthesis.json", fold=FOLDS[: SETTINGS.splits.folds])
    if SYNTHESIS
    else []
)
RISKS = OUT / "evaluation" / "risks.tsv" if TASK.has_risks(SETTINGS) else []


rule evaluate:
    """The first rule that sees the outcomes of test patients."""
    input:
        outcomes=OUT / "cohort" / "outcomes.tsv",
        splits=OUT / "splits" / "splits.tsv",
        predictions=expand(OUT / "predictions" / "{model}.tsv", model=MODELS),
        ablations=expand(OUT / "predictions" / "{model}.ablations.tsv", model=MODELS),
        records=expand(OUT / "predictions" / "{model}.json", model=MODELS),
        availability=OUT / "predictions" / "availability.tsv",
        explained=EXPLANATIONS,
        synthesised=MEASURED,
        truth=TRUTH,
    output:
        scores=OUT / "evaluation" / "evaluation.json",
        tidy=OUT / "evaluation" / "predictions.tsv",
        risks=RISKS,
    log:
        OUT / "logs" / "evaluate.log",
    benchmark:
        OUT / "benchmarks" / "evaluate.tsv"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=config_file,
        results=OUT,
        settings=settings("evaluation", "models"),
        words=TASK.words(SETTINGS),
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
        list(FILES.values()),
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
        config=config_file,
        results=OUT,
        settings=settings(
            "report", "evaluation", "cohort", "slides", "imaging", "training"
        ),
    shell:
        "survfuse report --config {params.config:q} --results {params.results:q} --out {params.results:q}/report --log {log:q}"
