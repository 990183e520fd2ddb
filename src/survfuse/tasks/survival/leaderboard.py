"""The leaderboard: all models side by side, with intervals, comparisons and plain statements."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from survfuse.artifacts.explanations import read_explanations
from survfuse.artifacts.layout import EvaluationFolder
from survfuse.artifacts.split_record import verify_cohort, verify_splits
from survfuse.artifacts.study import Study, read_study
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_file, write_json
from survfuse.evaluation.explained import summarise
from survfuse.evaluation.metrics import of_topics
from survfuse.evaluation.records import described, estimable, left_out_as_json, read_record
from survfuse.evaluation.repeats import repeat_notes
from survfuse.statistics.availability import associations, read_availability
from survfuse.statistics.comparison import LEAST_EVENTS, FoldScores, paired_difference
from survfuse.statistics.constant_risk import always_constant, collapsed_sentences, without_ranking
from survfuse.statistics.intervals import CORRECTED_T, Estimate
from survfuse.statistics.kaplan_meier import curve
from survfuse.statistics.risk_groups import risk_groups
from survfuse.tasks.survival.ablation_scores import score_ablations
from survfuse.tasks.survival.intervals import fold_scores
from survfuse.tasks.survival.metrics import METRICS, RANKING
from survfuse.tasks.survival.patient_risks import ModelRisks, model_risks, write_risks
from survfuse.tasks.survival.protocol import TAU_RULE, TAU_SET, Protocol, prepare
from survfuse.tasks.survival.rows import (
    Row,
    comparators,
    oracle_row,
    read_row,
    require_rows,
    sort_key,
)
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
    prediction_paths: Mapping[str, Path],
    outcomes: Path,
    splits: Path,
    models: Sequence[ModelConfig],
    config: EvaluationConfig,
    grid: Sequence[float],
    truth: Path | None,
    out: Path,
    ablations: Mapping[str, Path] | None = None,
    availability: Path | None = None,
    explained: Mapping[str, Path] | None = None,
    left_out: Sequence[LeftOut] = (),
) -> None:
    """Score the out-of-fold predictions of all models; write evaluation.json and risks.tsv.

    `grid`: times in months of the survival columns. `truth`: table of patient_id and log_hazard of
    a simulated cohort, which adds the oracle row. `ablations`: tables of modality ablations of
    models. `availability`: table of who has which modality. `explained`: explanations of models.
    `left_out`: what this cohort cannot have, see `survfuse.models.runnable`. Rows that could be
    fitted in no fold are left out too.

    Raises UserInputError if a mandatory row (the clinical Cox model, the control on permuted
    outcomes) or the reference is missing, or if a table is wrong, was changed after it was
    written, or does not match the splits.
    """
    require_rows(models, config, left_out)
    if absent := [model.name for model in models if model.name not in prediction_paths]:
        raise UserInputError(f"models.{absent[0]}: there are no predictions; run predict first")
    records = {model.name: read_record(prediction_paths[model.name]) for model in models}
    kept, reference, without = estimable(models, config.reference, records)
    verify_cohort(splits, outcomes)
    verify_splits(splits)
    study = read_study(outcomes, splits)
    protocol = prepare(study, config, grid)
    alone = ablations or {}
    rows = [
        read_row(model, models, prediction_paths[model.name], alone.get(model.name), study)
        for model in kept
    ]
    present = read_availability(availability, study) if availability else {}
    if truth is not None:
        rows.append(oracle_row(truth, study))
    scored = {
        row.model: score_row(row, protocol) | described(row.model, records.get(row.model))
        for row in rows
    }
    without = [*left_out, *without]
    rows.sort(key=lambda row: sort_key(row, scored[row.model]))
    by_fold = {row.model: fold_scores(RANKING.compute, scored_of(row, protocol)) for row in rows}
    collapsed = {name for name, row in scored.items() if row["collapsed"]}
    comparisons = compare_rows(rows, by_fold, reference, protocol, collapsed)
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
    result = {
        "confidence": config.confidence,
        "tau_months": protocol.tau_months,
        "tau_rule": TAU_RULE if config.tau_months is None else TAU_SET,
        "horizons_months": list(protocol.horizons_months),
        "grid_months": list(protocol.grid_months),
        "n_patients": len(study.patient_ids),
        "n_events": int(study.outcome.event.sum()),
        "events_by_horizon": {
            f"{months:g}": int((study.outcome.event & (study.outcome.time <= months)).sum())
            for months in protocol.horizons_months
        },
        "n_folds": len(study.folds_of(0)),
        "n_repeats": study.n_repeats,
        "reference": reference,
        "splits_sha256": sha256_file(splits),
        "rows": [scored[row.model] for row in rows],
        "comparisons": comparisons,
        "availability": associations(present, study.outcome, config.confidence),
        "explained": {
            name: summarise(study.first_repeats(1), read_explanations(path), config.confidence)
            for name, path in (explained or {}).items()
        },
        "absolute_risk": {name: found.as_json() for name, found in risks.items()},
        "risks_sha256": write_risks(EvaluationFolder(out.parent).risks, study, risks),
        "risk_groups": groups,
        "cohort_curve": curve(study.outcome, config.confidence).as_json(),
        "oracle": {RANKING.name: RANKING.found(scored["oracle"])["value"]} if truth else None,
        "left_out": left_out_as_json(without),
        "notes": [
            *(one.sentence for one in without),
            *(sentence for row in scored.values() for sentence in row["not_estimable"]),
            *(sentence for row in scored.values() for sentence in row["collapsed"]),
            *repeat_notes([scored[row.model] for row in rows]),
            *not_shown_better(rows, comparisons, config.confidence),
            *leaking_controls(rows, scored),
            *unscored(protocol),
            *empty_groups(rows, groups),
            *without_groups(rows, risks),
            *about_figures(),
        ],
    }
    write_json(out, result)
    log.info("%d rows scored on %d folds", len(rows), len(study.folds))


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


def compare_rows(
    rows: Sequence[Row],
    by_fold: Mapping[str, FoldScores],
    reference: str,
    protocol: Protocol,
    collapsed: Collection[str],
) -> list[dict[str, Any]]:
    """Every model against its comparators, in the folds of both. `rows` are sorted, the best first.

    Nothing is compared with a row of `collapsed`: to beat what ranks nobody shows nothing. `few`
    is true where there are fewer than LEAST_EVENTS events, from which nothing is concluded.
    """
    few = int(protocol.study.outcome.event.sum()) < LEAST_EVENTS
    labels = {row.model: row.label for row in rows}
    best = {row.role: row.model for row in reversed(rows)}
    repeats = {row.model: row.n_repeats for row in rows}
    comparisons = []
    for row in rows:
        for other in comparators(row, best, reference):
            study = protocol.study.first_repeats(min(row.n_repeats, repeats[other]))
            ours, theirs = (by_fold[one].first(len(study.folds)) for one in (row.model, other))
            found = paired_difference(ours, theirs, study.test_share, protocol.confidence)
            if other in collapsed:
                found = Estimate(
                    reason=f"not compared: {labels[other]} gives all patients of a fold the same "
                    "risk, and nothing is shown by ranking them better"
                )
            difference = found.as_json()
            comparisons.append(
                {
                    "model": row.model,
                    "reference": other,
                    "metric": RANKING.compared_as,
                    "n_repeats": study.n_repeats,
                    "difference": difference.pop("value"),
                    **difference,
                    "few": few,
                    "method": CORRECTED_T,
                }
            )
    return comparisons
