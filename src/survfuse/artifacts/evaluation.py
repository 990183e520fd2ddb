"""What evaluation.json holds: the record that evaluations write and that pages and people read.

Each task adds its own fields to those of `Evaluation`. Under a row stand also its metrics, which
are declared in `tasks/*/metrics.py` and found by `Metric.found`; so a row is a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from survfuse.core.errors import UserInputError
from survfuse.core.files import read_object

# model, kind, label, role, modalities, n_repeats, n_read, read, not_estimable and the metrics.
Row = Mapping[str, Any]
# model, reference, metric, n_repeats, and the difference with its interval.
Comparison = Mapping[str, Any]


class LeftOutRow(TypedDict):
    """A row of the configuration that is not scored."""

    model: str
    sentence: str


class Leaderboard(TypedDict):
    """What is scored against what: of all tasks, and the same whatever is predicted."""

    confidence: float
    reference: str
    splits_sha256: str
    n_patients: int
    n_folds: int
    n_repeats: int
    rows: Sequence[Row]  # the best first, between the rows for reference and the controls
    left_out: list[LeftOutRow]


class InWords(TypedDict, total=False):
    """What versions that had it among the notes have not written."""

    statements: list[str]  # what the figures of the file say; pages print the figures


class Evaluation(Leaderboard, InWords):
    """What the evaluation of any task holds."""

    comparisons: Sequence[Comparison]
    availability: Sequence[
        Mapping[str, Any]
    ]  # by modality: is having it associated with the outcome
    absolute_risk: Mapping[str, Mapping[str, Any]]  # by row: the slopes of the recalibration
    risks_sha256: str | None  # of risks.tsv; null where there is none
    notes: list[str]  # what a reader must know and no figure says


class SurvivalEvaluation(Evaluation):
    """What that of survival adds. Times are in months."""

    tau_months: float
    tau_rule: str
    horizons_months: list[float]
    grid_months: list[float]
    n_events: int
    events_by_horizon: Mapping[str, int]
    explained: Mapping[str, Mapping[str, Any]]  # by row: permuted modalities, stability
    risk_groups: Mapping[str, list[dict[str, Any]]]  # by row: curves of thirds of the cohort
    cohort_curve: Mapping[str, Any]
    oracle: Mapping[str, float | None] | None  # of a simulation: what the true risk reaches


class DiagnosisEvaluation(Evaluation):
    """What that of a diagnosis adds."""

    task: str
    name: str
    definition: str
    classes: list[str]
    horizon_months: float | None
    counts: Mapping[str, Any]  # patients by what is known of them
    shares: Sequence[Mapping[str, Any]]  # of the classes, with intervals
    policies: Sequence[Mapping[str, Any]]  # synthesised volumes against masked ones
    with_pet: Mapping[str, Any] | None  # all rows on the patients who have a PET
    synthesis: Sequence[Mapping[str, Any]]
    attainable: Mapping[str, Any] | None  # of a simulation: what sets of inputs could reach


def read_evaluation(path: Path) -> Evaluation:
    """Read evaluation.json; the tasks know which of the records above it is.

    Raises UserInputError where it is not there, or lacks what every evaluation holds.
    """
    found = read_object(path)
    if lacking := sorted(Evaluation.__required_keys__ - found.keys()):
        raise UserInputError(
            f"{path}: is no evaluation of this version, as it lacks {', '.join(lacking)}; "
            "evaluate again"
        )
    return cast(Evaluation, found)
