"""Training jobs, of networks one per fold and of other rows one, then a prediction job per row.

Training reads the outcomes of its own training patients and nothing else: the test outcomes are
in files that no rule here has as an input.
"""


rule train:
    """Fit a network on the training part of one fold."""
    input:
        **PATIENT_INPUTS,
        folds=folds_given("train.tsv"),
        parts=parts_fitted,
    output:
        OUT / "models" / "{model}" / "{fold}" / "model.safetensors",
        OUT / "models" / "{model}" / "{fold}" / "fit.json",
    log:
        OUT / "logs" / "train" / "{model}-{fold}.log",
    benchmark:
        OUT / "benchmarks" / "train" / "{model}-{fold}.tsv"
    wildcard_constraints:
        model=names(BY_FOLD),
    threads: SETTINGS.training.threads
    resources:
        mem_mb=attempts(8000),
        runtime=attempts(720),
    params:
        **MODEL_PARAMS,
        settings=settings_of_training,
    shell:
        model_command("train")


rule train_rows:
    """Fit a row that is no network, or a small one, on all its folds, one after another.

    What it imports takes longer than most of its fits. Folds that are fitted outlive a fold that
    fails, as they are no declared output.
    """
    input:
        **PATIENT_INPUTS,
        folds=folds_given("train.tsv"),
        parts=parts_fitted,
    output:
        OUT / "models" / "{model}" / "folds.json",
    log:
        OUT / "logs" / "train_rows" / "{model}.log",
    benchmark:
        OUT / "benchmarks" / "train_rows" / "{model}.tsv"
    wildcard_constraints:
        model=names(IN_ONE_JOB),
    threads: SETTINGS.training.threads
    resources:
        mem_mb=attempts(8000),
        runtime=attempts(720),
    params:
        **MODEL_PARAMS,
        settings=settings_of_training,
    shell:
        model_command("train --record {output:q}")


rule predict:
    """Predict every patient out of fold."""
    input:
        **PATIENT_INPUTS,
        fitted=fitted,
        folds=folds_given("test_ids.tsv"),
        parts=parts_fitted,
    output:
        table=OUT / "predictions" / "{model}.tsv",
        ablations=OUT / "predictions" / "{model}.ablations.tsv",
        attention=OUT / "predictions" / "{model}.attention.h5",
        record=OUT / "predictions" / "{model}.json",
    log:
        OUT / "logs" / "predict" / "{model}.log",
    benchmark:
        OUT / "benchmarks" / "predict" / "{model}.tsv"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=attempts(8000),
        runtime=attempts(120),
    params:
        **MODEL_PARAMS,
        settings=settings("training"),
        # Of the evaluation, predictions hold its horizons and nothing else.
        horizons=SETTINGS.evaluation.horizons_months,
    shell:
        model_command(
            "predict-folds --out {output.table:q} --ablations {output.ablations:q}"
            " --attention {output.attention:q}"
        )


rule explain:
    """What moved the estimates of the model that the reports show."""
    input:
        **PATIENT_INPUTS,
        fitted=fitted,
        folds=folds_given("test_ids.tsv"),
    output:
        OUT / "predictions" / "{model}.explain.h5",
    log:
        OUT / "logs" / "explain" / "{model}.log",
    benchmark:
        OUT / "benchmarks" / "explain" / "{model}.tsv"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=attempts(8000),
        runtime=attempts(240),
    params:
        **MODEL_PARAMS,
        settings=settings("training"),
    shell:
        model_command("explain --out {output:q}")


rule map_volumes:
    """What in the volumes moved the diagnoses of the patients who get a page."""
    input:
        **PATIENT_INPUTS,
        fitted=fitted,
        folds=folds_given("test_ids.tsv"),
    output:
        OUT / "predictions" / "{model}.saliency.h5",
    log:
        OUT / "logs" / "map_volumes" / "{model}.log",
    benchmark:
        OUT / "benchmarks" / "map_volumes" / "{model}.tsv"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=attempts(8000),
        runtime=attempts(240),
    params:
        **MODEL_PARAMS,
        settings=settings("training", "report"),
    shell:
        model_command("map-volumes --out {output:q}")


rule list_inputs:
    """Who has which modality, after bad slides were set aside."""
    input:
        **PATIENT_INPUTS,
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
        **PATIENT_PARAMS,
    shell:
        patient_command("list-inputs --out {output:q}")
