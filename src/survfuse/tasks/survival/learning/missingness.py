"""Strata of follow-up, and the association of missing modalities with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.availability import associations
from survfuse.training.missingness_association import CONFIDENCE, OutcomeStrata

STRATA: tuple[str, ...] = ("event before tau", "followed to tau", "censored before tau")


def strata_of(time_months: np.ndarray, event: np.ndarray, fitted: np.ndarray) -> OutcomeStrata:
    """Those of n patients, divided at the median event time of those in `fitted` (n,) bool."""
    tau = median_event_time(time_months[fitted], event[fitted])

    def associated(
        available: np.ndarray, rows: np.ndarray, modalities: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        return association(available[rows], time_months[rows], event[rows], modalities)

    return OutcomeStrata(
        strata(time_months, event, tau), STRATA, of_follow_up(tau), associated, tau
    )


def association(
    available: np.ndarray, time_months: np.ndarray, event: np.ndarray, modalities: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """AUROC of having each modality for an event before tau, with its interval, by modality.

    See `survfuse.statistics.availability`. `available` (n, M), times and events (n,). The value
    and its limits are None, with a reason, where all or none have the modality or nobody had the
    event.
    """
    if not np.any(event):
        unknown = {"auroc": None, "low": None, "high": None, "reason": "nobody had the event"}
        return {modality: dict(unknown) for modality in modalities}
    present = {modality: available[:, column] for column, modality in enumerate(modalities)}
    found = associations(present, SurvivalOutcome(time_months, event), CONFIDENCE)
    return {one.pop("modality"): one for one in found}


def median_event_time(time_months: np.ndarray, event: np.ndarray) -> float:
    """tau: the median time of the events, infinite if there is none."""
    return float(np.median(time_months[event])) if event.any() else float("inf")


def strata(time_months: np.ndarray, event: np.ndarray, tau_months: float) -> np.ndarray:
    """Index (n,) into STRATA. Of those censored before tau the outcome at tau is unknown."""
    return np.where(time_months >= tau_months, 1, np.where(event, 0, 2))


def of_follow_up(tau_months: float) -> tuple[str, ...]:
    """The strata of STRATA in words."""
    return (
        f"with an event before {tau_months:.1f} months",
        f"followed to {tau_months:.1f} months",
        f"censored before {tau_months:.1f} months",
    )
