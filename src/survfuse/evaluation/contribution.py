"""Permutation importance of modalities: the loss when a modality is permuted between patients.

As of Breiman (Machine Learning 2001;45:5), for whole modalities and fitted models. It measures what
the model uses, not what the modality could contribute: a model that learnt to do without the genes
loses nothing when they are permuted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.artifacts.explanations import FoldExplanation
from survfuse.artifacts.layout import folds_in_words
from survfuse.artifacts.study import Fold, Study
from survfuse.core.errors import UserInputError
from survfuse.statistics.comparison import FoldScores
from survfuse.statistics.intervals import CORRECTED_T, corrected_t
from survfuse.statistics.metrics import NoComparablePairsError, harrell_c


@dataclass(frozen=True)
class PermutationEffect:
    """Per patient: what another patient's modality would change, averaged over the draws.

    moved: (n,) mean magnitude of the change. raised: (n,) own value minus the mean with another's:
    positive where the own modality makes the prognosis worse. NaN: the patient lacks it.
    """

    moved: np.ndarray
    raised: np.ndarray


def permutation_effect(own: np.ndarray, permuted: np.ndarray) -> PermutationEffect:
    """The effect from values (n,) and their counterparts (draws, n) with a modality permuted."""
    change = own - permuted
    return PermutationEffect(np.abs(change).mean(axis=0), change.mean(axis=0))


def percentile_ranks(values: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """Percentile ranks of values (..., n) among the other patients of the fold, 0 to 100.

    The number of 100 other patients with a lower risk (n,), ties counted half, when the patient's
    own risk is replaced by the value. It needs two patients; NaN stays NaN.
    """
    others = np.broadcast_to(risk, (len(risk), len(risk)))[~np.eye(len(risk), dtype=bool)]
    others = others.reshape(len(risk), len(risk) - 1)
    below = 0.5 * (1 + np.sign(values[..., None] - others))
    return 100 * below.mean(axis=-1)


def concordance_drops(
    study: Study, explanations: Sequence[FoldExplanation], modality: str
) -> FoldScores:
    """Harrell's C of each fold minus its mean over the draws with the modality permuted.

    Patients without the modality keep their risk. A fold that was not explained, has no comparable
    pairs or fewer than two patients with the modality has no value. Raises UserInputError if the
    explanations were made on other folds.
    """
    explained = {(one.repeat, one.fold): one for one in explanations}
    values = np.full(len(study.folds), np.nan)
    pairs = np.zeros(len(study.folds))
    for number, fold in enumerate(study.folds):
        one = explained.get((fold.repeat, fold.fold))
        if one is None or modality not in one.permuted:
            continue
        order = rows_in_order(study, fold, one)
        risk, permuted = one.risk[order], one.permuted[modality][:, order]
        outcome = study.outcome[fold.test]
        try:
            intact = harrell_c(outcome, risk)
        except NoComparablePairsError:
            continue
        broken = [harrell_c(outcome, np.where(np.isnan(p), risk, p)).value for p in permuted]
        values[number], pairs[number] = intact.value - np.mean(broken), intact.pairs
    return FoldScores(values, pairs)


def rows_in_order(study: Study, fold: Fold, explanation: FoldExplanation) -> list[int]:
    """Rows of the explanation in the order of the fold's test patients."""
    row_of = {patient: row for row, patient in enumerate(explanation.patient_ids)}
    tested = [study.patient_ids[row] for row in fold.test]
    if set(tested) != set(row_of):
        raise UserInputError(
            f"the explanations of {folds_in_words([fold.fold], fold.repeat)} are of other patients "
            "than the splits test there; explain the model again"
        )
    return [row_of[patient] for patient in tested]


def contributions(
    study: Study, explanations: Sequence[FoldExplanation], confidence: float
) -> Mapping[str, dict[str, Any]]:
    """Per modality the mean drop of Harrell's C over the folds, its interval and its folds.

    Folds are weighted by comparable pairs; the interval is the corrected resampled t, as for the
    C-index itself. It covers the training and the sampling of patients, and the draws as far as
    their mean still varies.
    """
    named = dict.fromkeys(modality for one in explanations for modality in one.permuted)
    found = {}
    for modality in named:
        drops = concordance_drops(study, explanations, modality)
        kept = drops.scored
        drop = corrected_t(
            drops.values[kept], drops.pairs[kept], study.test_share, confidence, (-1, 1)
        )
        found[modality] = {**drop.as_json(), "per_fold": drops.per_fold(), "method": CORRECTED_T}
    return found
