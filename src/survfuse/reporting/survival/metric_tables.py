"""The tables of metrics of a survival report, below the comparison of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from survfuse.artifacts.evaluation import SurvivalEvaluation
from survfuse.config.study import Config
from survfuse.evaluation.metrics import Topic, of_topics
from survfuse.reporting.metric_tables import (
    MetricTable,
    caption_of,
    columns_at_horizons,
    glossary_of,
    intervals_in_words,
    present,
    reasons_of,
    sentence_of,
)
from survfuse.reporting.render import number
from survfuse.statistics.comparison import LEAST_EVENTS
from survfuse.tasks.survival.intervals import PERCENTILES
from survfuse.tasks.survival.metrics import METRICS, RANKING, SurvivalMetric

# With more horizons the figures of calibration do not fit side by side.
MOST_HORIZONS = 3
Metrics = list[SurvivalMetric[Any, Any]]


def intervals_of(config: Config, metrics: Metrics) -> list[tuple[str, list[str]]]:
    """What each kind of interval is, with the words for the metrics that have it."""
    drawn = f"{PERCENTILES}; drawn {config.evaluation.bootstrap} times"
    return [
        (drawn if about == PERCENTILES else about, words)
        for about, words in intervals_in_words(metrics)
    ]


def metric_tables(config: Config, evaluation: SurvivalEvaluation) -> dict[str, Any]:
    """What the template prints of metrics: tables, those of calibration, intervals and a glossary.

    The ranking metric has the table of the leaderboard to itself.
    """

    every = evaluation["rows"]
    shown, facts = present(METRICS.values(), every), facts_of(evaluation)

    def table(file: str, metrics: Metrics, rows: Sequence[Any]) -> MetricTable:
        columns = columns_at_horizons(
            metrics, evaluation["horizons_months"], scarce_horizons(evaluation)
        )
        caption = caption_of(metrics, facts)
        return MetricTable(file, caption, columns, rows, reasons_of(rows, metrics))

    def of(topic: Topic) -> Metrics:
        return [one for one in of_topics(shown, topic) if one is not RANKING]

    trained = [row for row in every if row["role"] != "oracle"]
    calibration = of("calibration")
    beside = len(evaluation["horizons_months"]) <= MOST_HORIZONS
    tables = [
        ("Discrimination over time",
         table("discrimination_over_time", of("discrimination"), every)),
        ("Error of the predicted probabilities", table("probability_error", of("error"), trained)),
    ]  # fmt: skip
    parts = [("calibration", calibration)] if beside else [(one.name, [one]) for one in calibration]
    return {
        "about_ranking": sentence_of(RANKING, facts),
        "intervals": intervals_of(config, shown),
        "glossary": glossary_of(shown, facts),
        "tables_of_models": [one for one in tables if one[1].columns],
        "tables_of_calibration": [
            table(file, metrics, trained) for file, metrics in parts if metrics
        ],
    }


def facts_of(evaluation: SurvivalEvaluation) -> dict[str, Markup | str]:
    """The facts of a study that what is said about metrics may name."""
    rule = Markup("<span data-verbatim>{}</span>").format(evaluation["tau_rule"])
    tau = number(evaluation["tau_months"], "evaluation/tau_months", 1)
    grid = evaluation["grid_months"]
    return {
        "tau": Markup("τ = {} months ({})").format(tau, rule),
        "grid": f"the {len(grid)} times {grid_text(grid)}",
    }


def scarce_horizons(evaluation: SurvivalEvaluation) -> list[float]:
    """Horizons by which too few events were observed for a number to stand out."""
    events = evaluation["events_by_horizon"]
    horizons = evaluation["horizons_months"]
    return [h for h in horizons if events.get(f"{h:g}", evaluation["n_events"]) < LEAST_EVENTS]


def grid_text(grid_months: list[float]) -> str:
    """The grid of the integrated score in words."""
    if not grid_months:
        return "none"
    steps = set(np.diff(grid_months).round(6))
    if len(steps) == 1:
        return f"{grid_months[0]:g}, {grid_months[1]:g}, … {grid_months[-1]:g} months"
    return f"from {grid_months[0]:g} to {grid_months[-1]:g} months"
