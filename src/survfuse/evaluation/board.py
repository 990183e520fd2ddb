"""What is the same in the leaderboards of all tasks: which rows are scored, and who is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from survfuse.artifacts.evaluation import Comparison, Leaderboard
from survfuse.artifacts.split_record import verify_cohort, verify_splits
from survfuse.artifacts.study import CrossValidation
from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.files import sha256_file
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.records import (
    FoldRecord,
    described,
    estimable,
    left_out_as_json,
    read_record,
)
from survfuse.evaluation.rows import PredictedRow, comparators
from survfuse.statistics.intervals import Estimate

# A measure of ranking of a handful of pairs is 0 or 1 by chance; its interval is no better.
LEAST_PAIRS = 20


@dataclass(frozen=True)
class Candidates:
    """The rows that are scored, the one they are compared with, and what is left out and why."""

    models: Sequence[ModelConfig]
    reference: str
    left_out: Sequence[LeftOut]
    records: Mapping[str, tuple[FoldRecord, ...] | None]

    def described(self, model: str) -> dict[str, Any]:
        """The part of a row of evaluation.json that says what it read."""
        return described(model, self.records.get(model))


def read_candidates(
    files: EvaluationFiles,
    models: Sequence[ModelConfig],
    reference: str,
    left_out: Sequence[LeftOut],
) -> Candidates:
    """The rows that could be fitted in some fold. `left_out`: what this cohort cannot have.

    Raises UserInputError where one of the tables was changed after it was written.
    """
    records = {model.name: read_record(files.table(model.name)) for model in models}
    kept, reference, without = estimable(models, reference, records)
    verify_cohort(files.splits, files.outcomes)
    verify_splits(files.splits)
    return Candidates(kept, reference, [*left_out, *without], records)


Compared = TypeVar("Compared", bound=PredictedRow)


def compare_rows(
    rows: Sequence[Compared],
    reference: str,
    compare: Callable[[Compared, Compared, int], Mapping[str, Any]],
) -> list[Comparison]:
    """Every row against its comparators. `rows` are sorted, the best first.

    `compare`: the difference of two rows over the first repeats, as many as both have.
    """
    by_name = {row.model: row for row in rows}
    best = {row.role: row.model for row in reversed(rows)}
    found: list[Comparison] = []
    for row in rows:
        for name in comparators(row, best, reference):
            repeats = min(row.n_repeats, by_name[name].n_repeats)
            compared = compare(row, by_name[name], repeats)
            found.append({"model": row.model, "reference": name, "n_repeats": repeats, **compared})
    return found


def common_part(
    files: EvaluationFiles,
    candidates: Candidates,
    study: CrossValidation,
    confidence: float,
    scored: Sequence[Mapping[str, Any]],
) -> Leaderboard:
    """What evaluation.json says whatever was predicted. `scored`: its rows, the best first."""
    return {
        "confidence": confidence,
        "reference": candidates.reference,
        "splits_sha256": sha256_file(files.splits),
        "n_patients": len(study.patient_ids),
        "n_folds": len(study.folds_of(0)),
        "n_repeats": study.n_repeats,
        "rows": list(scored),
        "left_out": left_out_as_json(candidates.left_out),
    }


def notes_on_rows(candidates: Candidates, scored: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a leaderboard does without, in sentences: rows, and rows in some folds."""
    return [
        *(one.sentence for one in candidates.left_out),
        *(sentence for row in scored for sentence in row["not_estimable"]),
    ]


def too_few_pairs(pairs: float) -> Estimate | None:
    """Why nothing is estimated from so few pairs of patients; None where they suffice."""
    if pairs >= LEAST_PAIRS:
        return None
    return Estimate(
        reason=f"{pairs:.0f} pairs of patients can be compared within the folds; at least "
        f"{LEAST_PAIRS} are needed"
    )
