"""A study in words, for the card and the label of its package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.config.study import Config
from survfuse.modalities.registry import MODALITIES
from survfuse.models.runnable import listed


def inputs_in_words(config: Config, record: Mapping[str, Any]) -> str:
    """What the row that predicts reads: "clinical data (age, sex) and gene expression"."""
    covariates = f" ({', '.join(config.cohort.covariates)})" if config.cohort.covariates else ""
    return listed(
        [
            f"{MODALITIES[name].noun}{'' if MODALITIES[name].source else covariates}"
            for name in record["reads"]
        ]
    )


def estimate_in_words(found: Mapping[str, Any] | None) -> str:
    """An estimate with its interval."""
    point = None if found is None else found.get("value", found.get("difference"))
    if found is None or point is None:
        return "not estimable"
    if found.get("low") is None:
        return f"{point:.2f} (no interval)"
    return f"{point:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def performance_in_words(config: Config, performance: Mapping[str, Any]) -> str:
    """The ranking metric of the row and of the reference, and their difference."""
    ranking, level = performance["ranking"], f"{100 * config.evaluation.confidence:g} % interval"
    rows = [
        f"{row['label']} {estimate_in_words(row['metrics'][ranking['name']]['found'])}"
        for row in performance["rows"].values()
        if ranking["name"] in row["metrics"]
    ]
    told = f"{ranking['label']}, out-of-fold, with the {level}: {'; '.join(rows)}."
    for one in performance["comparisons"]:
        told += (
            f" Difference to the reference {performance['reference']}: {estimate_in_words(one)}."
        )
    return told
