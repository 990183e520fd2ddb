"""The leaderboard: all models side by side, with intervals, comparisons and plain statements."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from survfuse.config import EvaluationConfig, ModelConfig
from survfuse.errors import UserInputError
from survfuse.evaluation.availability import associations, read_availability
from survfuse.evaluation.compare import FoldScores, paired_difference
from survfuse.evaluation.explained import summarise
from survfuse.evaluation.explanations import read_explanations
from survfuse.evaluation.intervals import CORRECTED_T
from survfuse.evaluation.kaplan_meier import curve
from survfuse.evaluation.pattern_scores import score_patterns
from survfuse.evaluation.protocol import TAU_RULE, TAU_SET, Protocol, prepare
from survfuse.evaluation.risk_groups import risk_groups
from survfuse.evaluation.rows import (
    Row,
    oracle_row,
    place,
    read_row,
    require_rows,
    rivals,
)
from survfuse.evaluation.scores import harrell_scores, score_model
from survfuse.evaluation.statements import (
    FIXED_NOTES,
    empty_groups,
    leaking_controls,
    not_beaten,
    unscored,
)
from survfuse.evaluation.study import read_study
from survfuse.files import sha256_file, write_json

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
    patterns: Mapping[str, Path] | None = None,
    availability: Path | None = None,
    explained: Mapping[str, Path] | None = None,
) -> None:
    """Score the out-of-fold predictions of all models and write evaluation.json.

    `grid`: times in months of the survival columns. `truth`: table of patient_id and log_hazard of
    a simulated cohort, which adds the oracle row. `patterns`: tables of the models that were also
    shown one modality alone. `availability`: table of who has which modality. `explained`:
    explanations of models.

    Raises UserInputError if a mandatory row (the clinical Cox model, the control on permuted
    outcomes) or the reference is missing, or if a table is wrong or does not match the splits.
    """
    require_rows(models, config)
    if absent := [model.name for model in models if model.name not in prediction_paths]:
        raise UserInputError(f"models.{absent[0]}: there are no predictions; run predict first")
    study = read_study(outcomes, splits)
    protocol = prepare(study, config, grid)
    alone = patterns or {}
    rows = [
        read_row(model, models, prediction_paths[model.name], alone.get(model.name), study)
        for model in models
    ]
    present = read_availability(availability, study) if availability else {}
    if truth is not None:
        rows.append(oracle_row(truth, study))
    scored = {row.model: score_row(row, protocol) for row in rows}
    rows.sort(key=lambda row: place(row, scored[row.model]))
    by_fold = {row.model: harrell_scores(protocol, row.predicted) for row in rows}
    comparisons = compare_rows(rows, by_fold, config.reference, protocol)
    groups = {
        row.model: risk_groups(study, row.predicted.risk[0], config.confidence)
        for row in rows
        if row.role != "oracle"
    }
    result = {
        "confidence": config.confidence,
        "tau_months": protocol.tau_months,
        "tau_rule": TAU_RULE if config.tau_months is None else TAU_SET,
        "horizons_months": list(protocol.horizons_months),
        "grid_months": list(protocol.grid_months),
        "n_patients": len(study.patient_ids),
        "n_events": int(study.outcome.event.sum()),
        "n_folds": len(study.folds_of(0)),
        "n_repeats": study.n_repeats,
        "reference": config.reference,
        "splits_sha256": sha256_file(splits),
        "rows": [scored[row.model] for row in rows],
        "comparisons": comparisons,
        "availability": associations(present, study.outcome, config.confidence),
        "explained": {
            name: summarise(study, read_explanations(path), config.confidence)
            for name, path in (explained or {}).items()
        },
        "risk_groups": groups,
        "cohort_curve": curve(study.outcome, config.confidence).as_json(),
        "oracle": {"harrell_c": scored["oracle"]["harrell_c"]["value"]} if truth else None,
        "notes": [
            *not_beaten(rows, comparisons, config.confidence),
            *leaking_controls(rows, scored),
            *unscored(protocol),
            *empty_groups(rows, groups),
            *FIXED_NOTES,
        ],
    }
    write_json(out, result)
    log.info("%d rows scored on %d folds", len(rows), len(study.folds))


def score_row(row: Row, protocol: Protocol) -> dict[str, Any]:
    """A row as evaluation.json holds it; `patterns` only where the model has any."""
    scored = row.heading() | score_model(protocol, row.predicted)
    if row.patterns:
        scored["patterns"] = score_patterns(protocol, row.predicted, row.patterns)
    return scored


def compare_rows(
    rows: Sequence[Row], by_fold: Mapping[str, FoldScores], reference: str, protocol: Protocol
) -> list[dict[str, Any]]:
    """Every model against its rivals. `rows` are sorted, the best first."""
    best = {row.role: row.model for row in reversed(rows)}
    comparisons = []
    for row in rows:
        for other in rivals(row, best, reference):
            difference = paired_difference(
                by_fold[row.model], by_fold[other], protocol.study.test_share, protocol.confidence
            ).as_json()
            comparisons.append(
                {
                    "model": row.model,
                    "reference": other,
                    "metric": "harrell_c",
                    "difference": difference.pop("value"),
                    **difference,
                    "method": CORRECTED_T,
                }
            )
    return comparisons
