"""What the sections of a configuration demand of one another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from survfuse.config.cohort import CohortConfig
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.models import ModelConfig
from survfuse.config.report import ReportConfig
from survfuse.config.source import (
    HancockSource,
    OasisSource,
    SimulatedClinicSource,
    SimulatedSource,
    Source,
)
from survfuse.config.splits import SplitConfig
from survfuse.config.synthesis import SynthesisConfig
from survfuse.config.training import TrainingConfig

MADE_UP = re.compile(r"(?<![a-z])(simulat(ed|ion)|demonstration)(?![a-z])", re.IGNORECASE)


def refuse_contradictions(
    cohort: CohortConfig,
    splits: SplitConfig,
    training: TrainingConfig,
    models: Sequence[ModelConfig],
    evaluation: EvaluationConfig,
    report: ReportConfig,
    source: Source | None,
    synthesis: SynthesisConfig | None,
) -> None:
    """Raise ValueError, a line for each pair of sections that do not fit together."""
    told = [
        *check_sheets(cohort, source, synthesis),
        *check_missing(cohort),
        *check_times(training, evaluation),
        *check_rows(models, evaluation, report),
        *check_repeats(models, splits),
        *check_controls(models),
        *check_words(cohort, report, source),
    ]
    if told:
        raise ValueError("\n".join(told))


def check_sheets(
    cohort: CohortConfig, source: Source | None, synthesis: SynthesisConfig | None
) -> Iterator[str]:
    """Sheets that other sections need, and the unit in which a source writes times."""
    if synthesis is not None and cohort.images is None:
        yield "synthesis needs cohort.images: name your images.tsv"
    if cohort.patients is None:
        yield "cohort.patients is missing: name your patients.tsv, or a source"
    in_days = isinstance(source, HancockSource | OasisSource)
    if in_days and cohort.endpoint.time_unit != "days":
        yield "cohort.endpoint.time_unit must be days: the source writes days"


def check_missing(cohort: CohortConfig) -> Iterator[str]:
    """Modalities can be withheld where there are two, and by the outcome where times are known."""
    missing = cohort.missing
    if missing is None:
        return
    if missing.published and cohort.folds:
        yield (
            "cohort.missing.published brings its own folds; remove cohort.folds (or the folds "
            "of the source)"
        )
    if missing.slides + missing.omics > 0 and not (cohort.slides and cohort.omics):
        yield (
            "cohort.missing withholds slides or omics from patients who have both, and this "
            "cohort does not have both; name cohort.slides and cohort.omics, or remove "
            "cohort.missing"
        )
    by_time = missing.mechanism == "mnar" and missing.published is None
    asked = cohort.asked
    if by_time and asked is not None and asked.no_times:
        yield f"cohort.missing.mechanism: mnar goes by the time of the event, {asked.no_times}"


def check_times(training: TrainingConfig, evaluation: EvaluationConfig) -> Iterator[str]:
    """Lists of months are positive and increasing."""
    for field, listed in (
        ("training.bins_months", training.bins_months),
        ("evaluation.horizons_months", evaluation.horizons_months),
    ):
        if not listed or listed[0] <= 0 or sorted(set(listed)) != listed:
            yield f"{field} must be positive and increasing, without repeats"


def check_rows(
    models: Sequence[ModelConfig], evaluation: EvaluationConfig, report: ReportConfig
) -> Iterator[str]:
    """Rows have names of their own, and those that other sections name exist."""
    names = [model.name for model in models]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        yield f"models: the name {twice!r} is used twice"
    if report.model is not None and report.model not in names:
        listed = ", ".join(names)
        yield f"report.model {report.model!r} is not among the models, which are {listed}"
    if evaluation.reference not in names:
        yield (
            f"evaluation.reference {evaluation.reference!r} is not among the models; "
            "every leaderboard needs a simple row to compare with, one of clinical data alone"
        )
    if "availability" in names:
        yield (
            "models: the name 'availability' is that of a table beside the predictions; use another"
        )


def check_repeats(models: Sequence[ModelConfig], splits: SplitConfig) -> Iterator[str]:
    """A row is fitted in repeats that there are."""
    there = splits.repeats
    for row in models:
        if row.repeats is not None and row.repeats > there:
            yield (
                f"models.{row.name}: repeats is {row.repeats}, but the folds have {there} "
                "(splits.repeats); lower one or raise the other"
            )


def check_controls(models: Sequence[ModelConfig]) -> Iterator[str]:
    """A row that averages others and is said to be a control averages controls alone."""
    for control in models:
        listed = control.options.get("parts")
        if not isinstance(listed, list) or not control.permute_outcomes:
            continue  # what else is wrong with its parts, the check of the models says
        true = [row.name for row in models if not row.permute_outcomes and row.name in listed]
        if true:
            yield (
                f"models.{control.name}: permute_outcomes does not reach the rows in "
                f"options.parts, so it is no control while it averages {true[0]}, which has seen "
                "true outcomes; permute another row instead, or list permuted rows there"
            )


def check_words(cohort: CohortConfig, report: ReportConfig, source: Source | None) -> Iterator[str]:
    """Reports of people are not headed as a simulation is; copied configurations would be."""
    if isinstance(source, SimulatedSource | SimulatedClinicSource):
        return
    words = {
        "report.title": report.title or "",
        "cohort.endpoint.name": cohort.endpoint.name,
        "cohort.endpoint.definition": cohort.endpoint.definition,
    }
    if (asked := cohort.asked) is not None:
        words |= {f"cohort.{cohort.task}.{key}": getattr(asked, key) for key in asked.printed}
    for key, text in words.items():
        if found := MADE_UP.search(text):
            yield (
                f"{key} says {found[0]!r}, and these patients are not simulated (there is no "
                "source: simulate); describe your own cohort there"
            )
