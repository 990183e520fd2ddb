"""The explanations of one model over the cohort: what it relies on, and how stable that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse.artifacts.explanations import FoldExplanation
from survfuse.artifacts.study import Study
from survfuse.evaluation.contribution import contributions
from survfuse.statistics.stability import stability


def summarise(
    study: Study, explanations: Sequence[FoldExplanation], confidence: float
) -> dict[str, Any]:
    """Contribution and stability, ready for JSON.

    contribution: per modality the drop of Harrell's C when it is exchanged between patients.
    stability: of the attributions to gene groups ("omics") and covariates ("clinical"), and of the
    attention to gene groups ("attention"), between folds. attention_agreement: of the members of
    an ensemble, median over patients; the models of different folds predict no patient in common,
    so that nothing else can be said about tiles. Raises UserInputError if the explanations were
    made on other folds than those of the study.
    """
    named = dict.fromkeys(modality for one in explanations for modality in one.names)
    per_fold = {modality: aligned(explanations, modality) for modality in named}
    if groups := max((one.group_attention.shape[1] for one in explanations), default=0):
        per_fold["attention"] = [attention_to(groups, one) for one in explanations]
    return {
        "contribution": contributions(study, explanations, confidence),
        "stability": {name: stability(values).as_json() for name, values in per_fold.items()},
        "attention_agreement": {
            name: median_known(
                [
                    one.attention_agreement[name]
                    for one in explanations
                    if name in one.attention_agreement
                ]
            )
            for name in dict.fromkeys(n for one in explanations for n in one.attention_agreement)
        },
    }


def aligned(explanations: Sequence[FoldExplanation], modality: str) -> list[np.ndarray]:
    """Attributions (n_fold, parts) of each fold with the same parts in the same order.

    A covariate that did not vary in the training part of a fold was not read there, which is an
    attribution of zero.
    """
    names = list(dict.fromkeys(n for one in explanations for n in one.names.get(modality, ())))
    found = []
    for one in explanations:
        values = np.zeros((len(one.patient_ids), len(names)))
        own = [names.index(name) for name in one.names.get(modality, ())]
        if own:
            values[:, own] = one.attribution[modality]
        found.append(values)
    return found


def attention_to(groups: int, explanation: FoldExplanation) -> np.ndarray:
    """Attention (n_fold, groups) of a fold; NaN where nobody's genes were read there."""
    found = explanation.group_attention
    return found if found.shape[1] else np.full((len(found), groups), np.nan)


def median_known(values: Sequence[np.ndarray]) -> float | None:
    """Median of all numbers, None if there are none."""
    joined = np.concatenate(values)
    known = joined[np.isfinite(joined)]
    return float(np.median(known)) if len(known) else None
