"""C-index per fold, and paired differences between models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from survfuse.artifacts.study import Fold, Study
from survfuse.statistics.intervals import Estimate, corrected_t
from survfuse.statistics.metrics import Concordance, NoComparablePairsError

# From fewer events nothing is concluded about a model, and no number of it stands out on a page.
LEAST_EVENTS = 20


@dataclass(frozen=True)
class FoldScores:
    """A C-index for each fold of a study; NaN where the fold has no comparable pairs."""

    values: np.ndarray
    pairs: np.ndarray

    @property
    def scored(self) -> np.ndarray:
        """Which folds have a value, (folds,) bool."""
        return self.pairs > 0

    def first(self, number: int) -> FoldScores:
        """Those of the first folds alone, which are those of the first repeats."""
        return FoldScores(self.values[:number], self.pairs[:number])

    def per_fold(self) -> list[float | None]:
        return [
            float(value) if scored else None
            for value, scored in zip(self.values, self.scored, strict=True)
        ]


def score_folds(study: Study, score: Callable[[Fold], Concordance]) -> FoldScores:
    """Score each fold on its own; risks of different folds are never compared.

    A fold without comparable pairs is left out. Raises HorizonError as `score` does.
    """
    values = np.full(len(study.folds), np.nan)
    pairs = np.zeros(len(study.folds))
    for number, fold in enumerate(study.folds):
        try:
            scored = score(fold)
        except NoComparablePairsError:
            continue
        values[number], pairs[number] = scored.value, scored.pairs
    return FoldScores(values, pairs)


def average(scores: FoldScores, test_share: float, confidence: float) -> Estimate:
    """Mean C over the folds, weighted by comparable pairs, with the corrected t interval."""
    kept = scores.scored
    return corrected_t(scores.values[kept], scores.pairs[kept], test_share, confidence, (0, 1))


def paired_difference(
    model: FoldScores, reference: FoldScores, test_share: float, confidence: float
) -> Estimate:
    """Mean of the fold-wise differences model - reference, with the corrected t interval."""
    kept = model.scored & reference.scored
    difference = model.values[kept] - reference.values[kept]
    return corrected_t(difference, model.pairs[kept], test_share, confidence, (-1, 1))
