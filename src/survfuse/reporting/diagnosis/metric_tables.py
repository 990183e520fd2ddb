"""The tables of metrics of a report on a diagnosis, below the comparison of models."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from survfuse.artifacts.evaluation import DiagnosisEvaluation
from survfuse.evaluation.metrics import Topic, of_topics
from survfuse.reporting.diagnosis.class_counts import known_patients
from survfuse.reporting.metric_tables import (
    MetricTable,
    caption_of,
    columns_of_classes,
    glossary_of,
    intervals_in_words,
    present,
    reasons_of,
)
from survfuse.reporting.wording import plural
from survfuse.tasks.diagnosis.metrics import (
    AT_THRESHOLD,
    DiagnosisMetric,
    metrics_of,
    ranking_of,
)

Metrics = list[DiagnosisMetric[Any, Any]]


def metric_tables(evaluation: DiagnosisEvaluation, least: int) -> dict[str, Any]:
    """What the template prints of metrics: tables with headings, that of probabilities, and words.

    A table without metrics is None. The ranking metric has the table of the leaderboard to itself.
    """
    classes = evaluation["classes"]
    trained = [row for row in evaluation["rows"] if row["role"] != "oracle"]
    decided = [row for row in trained if AT_THRESHOLD in row]

    shown = present(metrics_of(len(classes)).values(), evaluation["rows"])
    facts = facts_of(evaluation)

    def table(file: str, metrics: Metrics, rows: list[Any]) -> MetricTable | None:
        if not metrics or not rows:
            return None
        caption = caption_of(metrics, facts)
        columns = columns_of_classes(metrics, classes)
        return MetricTable(file, caption, columns, rows, reasons_of(rows, metrics))

    def of(*topics: Topic) -> Metrics:
        ranking = ranking_of(len(classes))
        return [one for one in of_topics(shown, *topics) if one is not ranking]

    probabilities = table("probabilities", of("error", "calibration"), trained)
    if len(classes) > 2:
        each = table("each_class", of("discrimination", "decisions"), trained)
        tables = [("Each class against the others", each, "")]
    else:
        discrimination = table("discrimination", of("discrimination"), trained)
        decisions = table(AT_THRESHOLD, of("decisions"), decided)
        tables = [
            ("Discrimination", discrimination, ""),
            ("Decisions at a threshold", decisions, about_decisions(evaluation, least)),
        ]
    return {
        "intervals": intervals_in_words(shown),
        "glossary": glossary_of(shown, facts),
        "tables_of_models": [one for one in tables if one[1] is not None],
        "table_of_probabilities": probabilities,
    }


def about_decisions(evaluation: DiagnosisEvaluation, least: int) -> Markup:
    """What all metrics of decisions have in common."""
    known = known_patients(evaluation, least)
    of_known = "" if known is None else f" ({plural(known, 'patient')} of known class)"
    weighed = "; patients are weighed for censoring" if evaluation["horizon_months"] else ""
    return Markup(
        "In each fold a patient counts as positive from a probability on that was chosen on the "
        "validation patients. Intervals take the models as they are{}. Predictive values hold for "
        "the share of {} patients in this cohort{} and for no other. "
    ).format(weighed, facts_of(evaluation)["case"], of_known)


def facts_of(evaluation: DiagnosisEvaluation) -> dict[str, Markup | str]:
    """The facts of a study that what is said about metrics may name."""
    other, case = (
        Markup("<span data-verbatim>{}</span>").format(name) for name in evaluation["classes"][:2]
    )
    weighed = ", weighed for censoring" if evaluation["horizon_months"] else ""
    return {"case": case, "other": other, "weighed": weighed}
