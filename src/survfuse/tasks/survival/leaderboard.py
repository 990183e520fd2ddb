"""The leaderboard: all models side by side, with intervals, comparisons and plain statements."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from survfuse.artifacts.evaluation import SurvivalEvaluation
from survfuse.artifacts.explanations import read_explanations
from survfuse.artifacts.study import Study, read_study
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.files import write_json
from survfuse.evaluation.board import (
    common_part,
    compare_rows,
    notes_on_rows,
    read_candidates,
)
from survfuse.evaluation.explained import summarise
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.mandatory import require_rows
from survfuse.evaluation.metrics import of_topics
from survfuse.evaluation.repeats import repeat_notes
from survfuse.evaluation.risks import ModelRisks, write_risks
from survfuse.evaluation.rows import order_of
from survfuse.statistics.availability import associations, read_availability
from survfuse.statistics.comparison import LEAST_EVENTS, paired_difference
from survfuse.statistics.constant_risk import always_constant, collapsed_sentences, without_ranking
from survfuse.statistics.intervals import CORRECTED_T, Estimate
from survfuse.statistics.kaplan_meier import curve
from survfuse.statistics.risk_groups import risk_groups
from survfuse.tasks.survival.ablation_scores import score_ablations
from survfuse.tasks.survival.intervals import fold_scores
from survfuse.tasks.survival.mandatory import MANDATORY
from survfuse.tasks.survival.metrics import METRICS, RANKING
from survfuse.tasks.survival.patient_risks import model_risks
from survfuse.tasks.survival.protocol import TAU_RULE, TAU_SET, Protocol, prepare
from survfuse.tasks.survival.rows import Row, oracle_row, read_row
from survfuse.tasks.survival.scores import Scored, points
from survfuse.tasks.survival.statements import (
    about_figures,
    empty_groups,
    leaking_controls,
    not_shown_better,
    unscored,
    without_groups,
)

log = logging.getLogger(__name__)


def evaluate(
    files: EvaluationFiles,
    models: Sequence[ModelConfig],
    config: EvaluationConfig,
    grid: Sequence[float],
    left_out: Sequence[LeftOut] = (),
) -> None:
    """Score the out-of-fold predictions of all models; write evaluation.json and risks.tsv.

    `grid`: times in months of the survival columns. The truth of a simulated cohort adds the oracle
    row. `left_out`: what this cohort cannot have, see `survfuse.models.runnable`. Rows that could
    be fitted in no fold are left out too.

    Raises UserInputError if a mandatory row (the clinical Cox model, the control on permuted
    outcomes) or the reference is missing, or if a table is wrong, was changed after it was
    written, or does not match the splits.
    """
    require_rows(MANDATORY, models, config.reference, left_out)
    candidates = read_candidates(files, models, config.reference, left_out)
    study = read_study(files.outcomes, files.splits)
    protocol = prepare(study, config, grid)
    rows = [
        read_row(model, models, files.predicted(model.name), files.ablations(model.name), study)
        for model in candidates.models
    ]
    present = read_availability(files.availability, study) if files.availability else {}
    if files.truth is not None:
        rows.append(oracle_row(files.truth, study))
    scored = {row.model: score_row(row, protocol) | candidates.described(row.model) for row in rows}
    rows.sort(key=lambda row: order_of(scored[row.model], ranked(scored[row.model])))
    in_order = [scored[row.model] for row in rows]
    collapsed = {name for name, row in scored.items() if row["collapsed"]}
    comparisons = compare_rows(rows, candidates.reference, comparison_of(rows, protocol, collapsed))
    risks = {
        row.model: model_risks(
            study.first_repeats(row.n_repeats),
            row,
            protocol.horizons_months,
            protocol.tau_months,
            config.confidence,
            present,
        )
        for row in rows
        if row.role != "oracle"
    }
    groups = {name: groups_of(study, found, config.confidence) for name, found in risks.items()}
    result: SurvivalEvaluation = {
        **common_part(files, candidates, study, config.confidence, in_order),
        "tau_months": protocol.tau_months,
        "tau_rule": TAU_RULE if config.tau_months is None else TAU_SET,
        "horizons_months": list(protocol.horizons_months),
        "grid_months": list(protocol.grid_months),
        "n_events": int(study.outcome.event.sum()),
        "events_by_horizon": {
            f"{months:g}": int((study.outcome.event & (study.outcome.time <= months)).sum())
            for months in protocol.horizons_months
        },
        "comparisons": comparisons,
        "availability": associations(present, study.outcome, config.confidence),
        "explained": {
            name: summarise(study.first_repeats(1), read_explanations(path), config.confidence)
            for name, path in files.explained.items()
        },
        "absolute_risk": {name: found.as_json() for name, found in risks.items()},
        "risks_sha256": write_risks(files.risks, study, risks),
        "risk_groups": groups,
        "cohort_curve": curve(study.outcome, config.confidence).as_json(),
        "oracle": {RANKING.name: ranked(scored["oracle"])} if files.truth else None,
        "notes": [
            *notes_on_rows(candidates, scored.values()),
            *repeat_notes(in_order),
            *unscored(protocol),
            *empty_groups(rows, groups),
            *without_groups(rows, risks),
        ],
        "statements": [
            *(sentence for row in scored.values() for sentence in row["collapsed"]),
            *not_shown_better(rows, comparisons, config.confidence),
            *leaking_controls(rows, scored),
            *about_figures(),
        ],
    }
    write_json(files.out, result)
    log.info("%d rows scored on %d folds", len(rows), len(study.folds))


def ranked(scored: Mapping[str, Any]) -> float | None:
    """The value of the metric by which rows are ordered."""
    value: float | None = RANKING.found(scored)["value"]
    return value


def groups_of(study: Study, risks: ModelRisks, confidence: float) -> list[dict[str, Any]]:
    """The risk groups of a model, none where its estimates are the same for all patients."""
    assigned, months = risks.groups, risks.group_months
    if assigned is None or months is None:
        return []
    return risk_groups(study.outcome, assigned, risks.by_months[months].risk, months, confidence)


def scored_of(row: Row, protocol: Protocol) -> Scored:
    """What is scored of a row: the repeats that it has, up to tau where there is no horizon."""
    own = protocol.first_repeats(row.n_repeats)
    return Scored(own, row.predicted, own.tau_months)


def score_row(row: Row, protocol: Protocol) -> dict[str, Any]:
    """A row with all metrics as evaluation.json holds it, scored on the repeats that it has.

    What cannot be estimated is null with its reason. `calibration` holds the points of a curve for
    each horizon; `ablations` only where the model has any. `collapsed` says in sentences where the
    model gives all patients of a fold the same risk. One that does so in every fold ranks nobody,
    and has no measure of ranking.
    """
    to_score = scored_of(row, protocol)
    protocol = to_score.protocol
    collapsed = collapsed_sentences(row.label, protocol.study, row.predicted.risk)
    scored = row.heading() | {"n_repeats": row.n_repeats, "collapsed": collapsed}
    scored |= {metric.name: metric.score(to_score) for metric in METRICS.values()}
    scored["calibration"] = {
        f"{months:g}": points(protocol, row.predicted, months)
        for months in protocol.horizons_months
    }
    if always_constant(protocol.study, row.predicted.risk):
        rankings = of_topics(METRICS.values(), "discrimination")
        scored |= without_ranking(scored, [metric.name for metric in rankings])
    if row.ablated_risk:
        scored["ablations"] = score_ablations(protocol, row.predicted, row.ablated_risk)
    return scored


def comparison_of(
    rows: Sequence[Row], protocol: Protocol, collapsed: Collection[str]
) -> Callable[[Row, Row, int], dict[str, Any]]:
    """How two of `rows` are compared, in the folds of the first repeats.

    Nothing is compared with a row of `collapsed`: to beat what ranks nobody shows nothing. `few`
    is true where there are fewer than LEAST_EVENTS events, from which nothing is concluded.
    """
    few = int(protocol.study.outcome.event.sum()) < LEAST_EVENTS
    by_fold = {row.model: fold_scores(RANKING.compute, scored_of(row, protocol)) for row in rows}

    def compare(row: Row, other: Row, repeats: int) -> dict[str, Any]:
        study = protocol.study.first_repeats(repeats)
        ours, theirs = (by_fold[one.model].first(len(study.folds)) for one in (row, other))
        found = paired_difference(ours, theirs, study.test_share, protocol.confidence)
        if other.model in collapsed:
            found = Estimate(
                reason=f"not compared: {other.label} gives all patients of a fold the same "
                "risk, and nothing is shown by ranking them better"
            )
        difference = found.as_json()
        return {
            "metric": RANKING.compared_as,
            "difference": difference.pop("value"),
            **difference,
            "few": few,
            "method": CORRECTED_T,
        }

    return compare
