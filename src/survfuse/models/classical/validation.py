"""Comparing models fitted on the training role by their likelihood in the validation role."""

from __future__ import annotations

import numpy as np

from survfuse.artifacts.follow_up import FollowUp
from survfuse.splits.training_part import TrainingPart


def held_out_gain(score: np.ndarray, part: TrainingPart) -> np.ndarray:
    """The part of the validation patients in the log partial likelihood of k scores (n, k).

    Relative to score 0.

    The likelihood of all training patients less that of the training role (Verweij and van
    Houwelingen 1993): validation patients are compared with all who are at risk, few as they may
    be.
    """

    followed = part.outcome_as(FollowUp)

    def gain(rows: np.ndarray) -> np.ndarray:
        time, event = followed.time_months[rows], followed.event[rows]
        nothing = np.zeros((len(time), 1))
        return log_partial_likelihood(score[rows], time, event) - (
            log_partial_likelihood(nothing, time, event)
        )

    return gain(np.ones(len(score), dtype=bool)) - gain(part.role == "train")


def log_partial_likelihood(score: np.ndarray, time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Cox's log partial likelihood (k,) of k log-hazard ratios (n, k), ties after Breslow."""
    order = np.argsort(-time, kind="stable")
    score, falling = score[order], -time[order]
    at_risk = np.searchsorted(falling, falling, side="right") - 1  # the last of those tied
    log_sum = np.logaddexp.accumulate(score, axis=0)[at_risk]
    return ((score - log_sum) * event[order][:, None]).sum(axis=0)
