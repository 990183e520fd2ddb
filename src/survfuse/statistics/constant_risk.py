"""Survival models that give all patients of a fold one risk, and so rank nobody there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from survfuse.artifacts.layout import folds_in_words
from survfuse.artifacts.study import CrossValidation
from survfuse.statistics.constant_predictions import collapsed_folds
from survfuse.statistics.intervals import Estimate

CONSTANT = "in every fold it gives all patients the same risk, so it ranks nobody"


def collapsed_sentences(label: str, study: CrossValidation, risk: np.ndarray) -> list[str]:
    """A sentence for each repeat that has folds whose patients all have one risk (repeats, n)."""
    sentences = []
    for repeat, numbers in enumerate(study.fold_numbers):
        if folds := collapsed_folds(risk[repeat], numbers):
            where = folds_in_words(folds, repeat if study.n_repeats > 1 else None)
            sentences.append(f"{label} gives all patients of {where} the same risk.")
    return sentences


def always_constant(study: CrossValidation, risk: np.ndarray) -> bool:
    """Whether every fold of every repeat has one risk (repeats, n) for all its patients."""
    found = sum(len(collapsed_folds(*both)) for both in zip(risk, study.fold_numbers, strict=True))
    return found == sum(len(fold.test) > 1 for fold in study.folds)


def without_ranking(scored: Mapping[str, Any], rankings: Iterable[str]) -> dict[str, Any]:
    """The measures of ranking of a row that ranks nobody: empty, with the reason.

    `rankings`: their keys in the row, with one value or one for each horizon.
    """
    empty = Estimate(reason=CONSTANT).as_json()
    return {
        name: scored[name] | empty
        if "value" in scored[name]
        else dict.fromkeys(scored[name], empty)
        for name in rankings
    }
