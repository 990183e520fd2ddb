"""Every patient's risk by a survival model at each horizon, as `risks.tsv` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from survfuse.artifacts.study import Study
from survfuse.evaluation.absolute_risk import Risks, absolute_risks, inputs_of
from survfuse.evaluation.risks import ESTIMATED, ModelRisks
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import HorizonError
from survfuse.tasks.survival.rows import Row


def model_risks(
    study: Study,
    row: Row,
    horizons_months: Sequence[float],
    tau_months: float,
    confidence: float,
    present: Mapping[str, np.ndarray],
) -> ModelRisks:
    """Recalibrate a row's predictions at each horizon up to tau.

    `present`: who has each modality, (n,).
    """
    inputs = inputs_of(row.modalities, present)
    found: dict[float, Risks] = {}
    reasons: dict[float, str] = {}
    for months in horizons_months:
        if months > tau_months:
            reasons[months] = f"{months:g} months lie beyond {tau_months:.0f} months"
            continue
        try:
            survival = row.predicted.survival_at(months)
            ablated = row.ablated_survival.get(months)
            found[months] = absolute_risks(study, survival, months, confidence, inputs, ablated)
        except (HorizonError, NotEstimableError) as error:
            reasons[months] = str(error)
    return ModelRisks(inputs, never_falling(found), reasons)


def never_falling(by_months: Mapping[float, Risks]) -> dict[float, Risks]:
    """The same, with no estimate or limit below that of an earlier horizon.

    Every horizon is fitted on its own, and whoever had the event by one has had it by the next. An
    interval that held the risk still does.
    """
    found: dict[float, Risks] = {}
    before: Risks | None = None
    for months, one in sorted(by_months.items()):
        if before is not None:
            raised = {
                name: np.maximum(getattr(one, name), getattr(before, name)) for name in ESTIMATED
            }
            one = replace(one, **raised)
        found[months] = before = one
    return found
