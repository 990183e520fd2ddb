"""Low, middle and high risk: do the predictions separate patients?

A patient's group is the tertile of the risk within the test fold of the first repeat: risks of
different folds come from different models and have no common scale, and the training patients'
own predictions are too extreme to set cut-points. No log-rank p-value is given. On groups made
from cross-validated predictions it rejects a true null more than twice as often as it says,
because every fold's model was trained on the other folds' outcomes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from survfuse.evaluation.kaplan_meier import at_risk, at_risk_times, curve
from survfuse.evaluation.study import Study

GROUPS = ("low", "middle", "high")


def assign_groups(study: Study, risk: np.ndarray) -> np.ndarray:
    """0, 1 or 2 (low, middle, high) for each patient, (n,); tied risks share a group."""
    group = np.empty(len(study.patient_ids), dtype=int)
    for fold in study.folds_of(0):
        middle_rank = rankdata(risk[fold.test]) - 0.5
        group[fold.test] = np.floor(len(GROUPS) * middle_rank / len(fold.test)).astype(int)
    return group


def risk_groups(study: Study, risk: np.ndarray, confidence: float) -> list[dict[str, Any]]:
    """Kaplan-Meier curve and at-risk table of each group that has patients.

    `risk` (n,): out-of-fold risks of the first repeat.
    """
    assigned = assign_groups(study, risk)
    times = at_risk_times(study.outcome)
    rows = []
    for number, name in enumerate(GROUPS):
        outcome = study.outcome[np.flatnonzero(assigned == number)]
        if len(outcome):
            counted = {"group": name, "n": len(outcome), "events": int(outcome.event.sum())}
            drawn = curve(outcome, confidence).as_json()
            rows.append({**counted, **drawn, "at_risk": at_risk(outcome, times)})
    return rows
