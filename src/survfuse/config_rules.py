"""What the sections of a configuration demand of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from survfuse.config_source import HancockSource, OasisSource

if TYPE_CHECKING:
    from survfuse.config import Config


def refuse_contradictions(config: Config) -> None:
    """Raise ValueError, with a sentence for people, where two sections do not fit together."""
    check_sheets(config)
    check_missing(config)
    check_times(config)
    check_rows(config)


def check_sheets(config: Config) -> None:
    """Sheets that other sections need, and the unit in which a source writes times."""
    cohort = config.cohort
    if config.synthesis is not None and cohort.images is None:
        raise ValueError("synthesis needs cohort.images: name your images.tsv")
    if cohort.patients is None:
        raise ValueError("cohort.patients is missing: name your patients.tsv, or a source")
    in_days = isinstance(config.source, HancockSource | OasisSource)
    if in_days and cohort.endpoint.time_unit != "days":
        raise ValueError("cohort.endpoint.time_unit must be days: the source writes days")


def check_missing(config: Config) -> None:
    """Modalities can be withheld where there are two, and by the outcome where times are known."""
    cohort, missing = config.cohort, config.cohort.missing
    if missing is None:
        return
    if missing.published and cohort.folds:
        raise ValueError(
            "cohort.missing.published brings its own folds; remove cohort.folds (or the folds "
            "of the source)"
        )
    if missing.slides + missing.omics > 0 and not (cohort.slides and cohort.omics):
        raise ValueError(
            "cohort.missing withholds slides or omics from patients who have both, and this "
            "cohort does not have both; name cohort.slides and cohort.omics, or remove "
            "cohort.missing"
        )
    by_time = missing.mechanism == "mnar" and missing.published is None
    if by_time and cohort.diagnosis and cohort.diagnosis.column:
        raise ValueError(
            "cohort.missing.mechanism: mnar goes by the time of the event, which a diagnosis by "
            "column does not have; use mcar, or cohort.diagnosis.horizon_months"
        )


def check_times(config: Config) -> None:
    """Lists of months are positive and increasing."""
    for field, listed in (
        ("training.bins_months", config.training.bins_months),
        ("evaluation.horizons_months", config.evaluation.horizons_months),
    ):
        if not listed or listed[0] <= 0 or sorted(set(listed)) != listed:
            raise ValueError(f"{field} must be positive and increasing, without repeats")


def check_rows(config: Config) -> None:
    """Rows have names of their own, those that other sections name exist, and controls are some."""
    names = [model.name for model in config.models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"models: the name {twice[0]!r} is used twice")
    if config.report.model is not None and config.report.model not in names:
        raise ValueError(f"report.model {config.report.model!r} is not among the models")
    if config.evaluation.reference not in names:
        raise ValueError(
            f"evaluation.reference {config.evaluation.reference!r} is not among the models; "
            "every leaderboard needs a simple row to compare with: clinical Cox, or logistic "
            "regression for a diagnosis"
        )
    if "availability" in names:
        raise ValueError(
            "models: the name 'availability' is that of a table beside the predictions; use another"
        )
    for control in config.models:
        if control.kind != "late_fusion" or not control.permute_outcomes:
            continue
        listed = control.options.get("parts")
        parts = listed if isinstance(listed, list) else []  # training says what else is wrong
        true = [row.name for row in config.models if not row.permute_outcomes and row.name in parts]
        if true:
            raise ValueError(
                f"models.{control.name}: a late fusion trains nothing, so permute_outcomes does "
                f"not make it a control while it averages {true[0]}, which has seen true outcomes; "
                "permute another row instead, or list permuted rows in options.parts"
            )
