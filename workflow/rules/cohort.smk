"""From sample sheets, simulated or imported where the configuration says so, to the folds."""

SHEETS = [
    sheet
    for sheet in (
        SETTINGS.cohort.patients,
        *sheets_of(SETTINGS.cohort).values(),
        SETTINGS.cohort.folds,
    )
    if sheet
]
# Published folds with modalities withheld.
PATTERN = files_of(
    SETTINGS.cohort.missing.published if SETTINGS.cohort.missing else None
)
# What a source writes; some bring the sets that they group their columns by.
WRITTEN = [sheet for sheet in SHEETS if sheet.parent == OUT / "sheets"]
if SETTINGS.source and SETTINGS.source.kind in ("simulate", "hancock"):
    WRITTEN.append(OUT / "sheets" / "gene_sets.gmt")

if SETTINGS.simulation:

    rule simulate:
        """Draw the simulated cohort with known truth."""
        output:
            WRITTEN,
            truth=OUT / "sheets" / "truth.tsv",
        log:
            OUT / "logs" / "simulate.log",
        benchmark:
            OUT / "benchmarks" / "simulate.tsv"
        threads: 4
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            config=config_file,
            results=OUT,
            settings=settings("source"),
        shell:
            "survfuse simulate --config {params.config:q} --out {params.results:q}/sheets --workers {threads}"
            " --log {log:q}"


if SETTINGS.source and not SETTINGS.simulation:
    PUBLISHED = [path for _, path in SETTINGS.source if isinstance(path, Path)]

    rule import_cohort:
        """Turn the tables of a published cohort into sample sheets."""
        input:
            files_of(*PUBLISHED),
        output:
            WRITTEN,
        log:
            OUT / "logs" / "import_cohort.log",
        benchmark:
            OUT / "benchmarks" / "import_cohort.tsv"
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            config=config_file,
            results=OUT,
            settings=settings("source"),
            files=brought(*PUBLISHED),
        shell:
            "survfuse import-cohort --config {params.config:q} --out {params.results:q}/sheets --log {log:q}"


rule check_cohort:
    """Validate all sheets; separate outcomes from what models may see."""
    input:
        SHEETS,
        files_of(SETTINGS.omics.gene_sets),
        PATTERN,
    output:
        OUT / "cohort" / "clinical.tsv",
        OUT / "cohort" / "outcomes.tsv",
        OUT / "cohort" / "slides.tsv",
        [OUT / "cohort" / "images.tsv"] if SETTINGS.cohort.images else [],
        [file for file in FILES.values() if file.parent == OUT / "cohort"],
        OUT / "cohort" / "availability.tsv",
        OUT / "cohort" / "excluded.tsv",
        OUT / "cohort" / "cohort.json",
    log:
        OUT / "logs" / "check_cohort.log",
    benchmark:
        OUT / "benchmarks" / "check_cohort.tsv"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=config_file,
        results=OUT,
        settings=settings("cohort", "splits", "omics"),
        files=brought(*SHEETS, SETTINGS.omics.gene_sets, *PATTERN),
        visit=VISIT,
        read=READ_BY_ANY,
    shell:
        "survfuse check-cohort --config {params.config:q} --out {params.results:q}/cohort --log {log:q}"


rule make_splits:
    """Divide the patients into folds, once; each fold's training outcomes get their own file."""
    input:
        rules.check_cohort.output,
        files_of(SETTINGS.cohort.folds),
        PATTERN,
    output:
        OUT / "splits" / "splits.tsv",
        OUT / "splits" / "splits.json",
        expand(OUT / "splits" / "{fold}" / "train.tsv", fold=FOLDS),
        expand(OUT / "splits" / "{fold}" / "test_ids.tsv", fold=FOLDS),
    log:
        OUT / "logs" / "make_splits.log",
    benchmark:
        OUT / "benchmarks" / "make_splits.tsv"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=config_file,
        results=OUT,
        settings=settings("splits", "cohort"),
        files=brought(SETTINGS.cohort.folds, *PATTERN),
    shell:
        "survfuse make-splits --config {params.config:q} --cohort {params.results:q}/cohort --out {params.results:q}/splits"
        " --log {log:q}"
