"""What the metrics of a diagnosis look at: out-of-fold probabilities, with what is true."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.special import expit

from survfuse.core.errors import UserInputError
from survfuse.statistics.constant_predictions import collapsed_folds
from survfuse.statistics.delong import Influence, auroc_influence, macro_influence
from survfuse.statistics.intervals import Estimate
from survfuse.statistics.proportions import Decisions, decisions, proportion
from survfuse.tasks.diagnosis.classes import UNKNOWN

COLLAPSED = "it gives all patients of a fold the same probability"
SUM_TOLERANCE = 1e-4  # probabilities of single precision do not sum to 1 exactly


@dataclass(frozen=True)
class ClassPredictions:
    """Predictions of held-out rows, with what is true of them.

    `patient` (n,) names; `label` (n,) in 0..K-1, or UNKNOWN; `probability` (n, K); `fold` (n,) the
    outer fold, and with repeats one repeat at a time; `synthesised` (n,) whether a synthesised
    PET stood in for a missing one; `threshold` (n,) the one chosen on validation data of the row's
    fold, for two classes only: probability of class 1 at or above it means positive. `weight` (n,)
    is what every row counts, never read where the label is unknown; without it all count equally.
    """

    patient: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    fold: np.ndarray
    synthesised: np.ndarray
    threshold: np.ndarray | None = None
    weight: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        n = len(self.label)
        if not len(self.weight):
            object.__setattr__(self, "weight", np.ones(n))
        if self.probability.ndim != 2 or self.probability.shape[1] < 2:
            raise UserInputError("a diagnosis needs one probability per class, for 2 or more")
        for name in ("patient", "probability", "fold", "synthesised", "threshold", "weight"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise UserInputError(f"{name} has {len(column)} rows, but label has {n}")
        in_range = (self.probability >= 0) & (self.probability <= 1)
        whole = np.abs(self.probability.sum(axis=1) - 1) <= SUM_TOLERANCE
        wrong = np.flatnonzero(~(in_range.all(axis=1) & whole))
        if len(wrong):
            raise UserInputError(
                f"the probabilities of row {wrong[0]} ({self.patient[wrong[0]]}) are missing or do "
                "not sum to 1; predict every row that is evaluated"
            )
        classes = self.probability.shape[1]
        strange = np.flatnonzero((self.label < UNKNOWN) | (self.label >= classes))
        if len(strange):
            raise UserInputError(
                f"row {strange[0]} has the label {self.label[strange[0]]}; use 0 to {classes - 1}, "
                f"or {UNKNOWN} for unknown"
            )

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, kept: np.ndarray) -> ClassPredictions:
        """The rows that `kept` marks, (n,) bool, or numbers."""
        threshold = None if self.threshold is None else self.threshold[kept]
        return replace(
            self,
            patient=self.patient[kept],
            label=self.label[kept],
            probability=self.probability[kept],
            fold=self.fold[kept],
            synthesised=self.synthesised[kept],
            threshold=threshold,
            weight=self.weight[kept],
        )

    def of(self, patient: np.ndarray) -> ClassPredictions:
        """The rows of these patients, in their order; each has exactly one."""
        row_of = {name: row for row, name in enumerate(self.patient)}
        return self.rows(np.array([row_of[name] for name in patient]))

    def known(self) -> ClassPredictions:
        """The rows whose label is known."""
        return self.rows(self.label != UNKNOWN)

    def clusters(self) -> np.ndarray | None:
        """`patient` where one has several rows, else None."""
        return self.patient if len(np.unique(self.patient)) < len(self) else None

    def collapsed(self) -> bool:
        """Whether all patients of some fold have the same probabilities."""
        return bool(collapsed_folds(self.probability, self.fold))


def of_true_risk(risk: np.ndarray, rows: ClassPredictions) -> ClassPredictions:
    """Rows as they would be predicted from the true risk (n,) of simulated patients, of class 1."""
    p = expit(risk)
    return replace(rows, probability=np.column_stack([1 - p, p]))


@dataclass(frozen=True)
class ScoredClasses:
    """What a metric may look at: rows of known class.

    collapsed: whether the model gives all patients of some fold the same probabilities, so that its
    decisions are worth nothing.
    """

    known: ClassPredictions
    confidence: float
    collapsed: bool = False

    @property
    def classes(self) -> int:
        """The number of classes, K."""
        return int(self.known.probability.shape[1])

    @property
    def probability(self) -> np.ndarray:
        """The probability of class 1, (n,): of two classes the one that is asked for."""
        return self.known.probability[:, 1]

    @property
    def case(self) -> np.ndarray:
        """Who is of class 1, (n,) bool."""
        return self.known.label == 1

    @cached_property
    def patient(self) -> np.ndarray | None:
        """Names (n,) where a patient has several rows, else None."""
        return self.known.clusters()

    @property
    def about(
        self,
    ) -> tuple[np.ndarray, np.ndarray, float, np.ndarray | None, np.ndarray]:
        """Probability, case, confidence, patient and weight, as `statistics.probabilities` asks."""
        return self.probability, self.case, self.confidence, self.patient, self.known.weight

    @property
    def chosen(self) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        return self.known.probability.argmax(axis=1)

    @cached_property
    def decided(self) -> Decisions:
        """Decisions at the thresholds of the folds; there must be some."""
        assert self.known.threshold is not None, "decisions are scored where there is a threshold"
        positive = self.probability >= self.known.threshold
        return decisions(positive, self.case, self.confidence, self.patient, self.known.weight)

    @cached_property
    def recalls(self) -> list[Estimate]:
        """Of each class the share of rows for which it is the most probable one."""
        found = []
        for number in range(self.classes):
            rows = self.known.label == number
            whose = None if self.patient is None else self.patient[rows]
            found.append(proportion(self.chosen[rows] == number, self.confidence, whose))
        return found


def discrimination(known: ClassPredictions) -> Influence:
    """The AUROC of rows with known labels, the mean over classes where there are more than two.

    Raises NotEstimableError where it cannot be computed.
    """
    about = (known.clusters(), known.fold)
    if known.probability.shape[1] == 2:
        return auroc_influence(known.probability[:, 1], known.label == 1, *about, known.weight)
    return macro_influence(known.probability, known.label, *about)[0]


def squared_error(known: ClassPredictions) -> np.ndarray:
    """Squared error of every row (n,), summed over classes; of two classes that of one."""
    truth = np.eye(known.probability.shape[1])[known.label]
    squared: np.ndarray = ((known.probability - truth) ** 2).sum(axis=1)
    return squared / 2 if known.probability.shape[1] == 2 else squared
