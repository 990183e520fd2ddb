"""What compare.json holds: finished studies side by side, and what is pooled of them.

All lists are flat: a record per study, row and metric. `study` and `model` are the names of a study
and of a row of its leaderboard, `metric` is the key of a metric in evaluation.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from survfuse.core.files import write_json


class ComparedStudy(TypedDict):
    """A study that is compared."""

    study: str
    n_patients: int
    n_events: int | None  # of survival
    splits_sha256: str
    evaluation_sha256: str  # of evaluation.json
    simulated: bool


class ComparedRow(TypedDict):
    """A row that is pooled, as the first study that has it describes it."""

    model: str
    label: str
    role: str


class Score(TypedDict):
    """A metric of a row in a study, as evaluation.json has it; null where it has none."""

    study: str
    model: str
    metric: str
    horizon_months: float | None  # the last one, of metrics that have a value at each
    value: float | None
    low: float | None
    high: float | None


class Difference(TypedDict):
    """What a row has more than the reference in a study, and what it weighs."""

    study: str
    model: str
    metric: str
    value: float
    low: float
    high: float
    standard_error: float
    freedom: float | None  # of Student's t behind the limits; null for the normal distribution
    weight: float  # its share in the pooled difference
    few: bool  # too few events or cases for a verdict from this study alone


class PooledDifference(TypedDict):
    """The differences of a row in all studies that have one, pooled."""

    model: str
    metric: str
    better: str  # higher or lower
    n_studies: int
    value: float
    low: float  # limits of the mean difference
    high: float
    prediction_low: float | None  # of the difference in a new cohort; null for two studies
    prediction_high: float | None
    tau2: float  # variance between studies, and
    tau: float  # its square root
    tau2_moments: float  # by DerSimonian and Laird instead, for comparison; nothing rests on it
    i2: float  # its share in the variance of the differences, 0 to 1
    q: float  # Cochran's, with n_studies - 1 degrees of freedom
    q_p: float


class NotPooled(TypedDict):
    """A row that is not pooled in a study, and why."""

    study: str
    model: str
    sentence: str


class ComparedStudies(TypedDict):
    """All of compare.json."""

    kind: str  # of the studies, such as Survival
    confidence: float
    reference: str  # the row that the others are compared with
    reference_label: str
    main: str  # the row that is drawn
    method: str
    studies: list[ComparedStudy]
    rows: list[ComparedRow]
    scores: list[Score]
    differences: list[Difference]
    pooled: list[PooledDifference]
    left_out: list[NotPooled]
    notes: list[str]


def write_comparison(path: Path, compared: ComparedStudies) -> None:
    """Write compare.json."""
    write_json(path, compared)
