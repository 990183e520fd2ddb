"""The risk of a patient by a horizon, as the pages of all tasks print it."""

from __future__ import annotations

from dataclasses import dataclass

from survfuse.artifacts.evaluation import Evaluation
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting import findings, wording
from survfuse.reporting.inputs import PatientRisk

# The clinical model's estimate differs from the page's by more than this, of 100, to be remarked.
REMARKABLE = 15


@dataclass(frozen=True)
class HorizonRow:
    """The estimates at one horizon; None is not estimable."""

    horizon: float
    risk: PatientRisk | None
    reference: PatientRisk | None  # by the reference model
    observed: float | None  # of the whole cohort, by Kaplan-Meier

    @property
    def ratio(self) -> float | None:
        if self.risk is None or not self.observed:
            return None
        return self.risk.risk / self.observed

    @property
    def apart(self) -> int | None:
        """By how many of 100 the two estimates differ, as they are printed; None if by few."""
        if self.risk is None or self.reference is None:
            return None
        apart = abs(round(100 * self.risk.risk) - round(100 * self.reference.risk))
        return apart if apart > REMARKABLE else None


def widened(risk: PatientRisk) -> str:
    """A sentence on how the missing inputs widen the interval; empty where none are missing."""
    if not risk.lacking:
        return ""
    names = [wording.within_sentence(findings.MODALITIES.get(m, m)) for m in risk.lacking]
    what = wording.listed(names)
    limits = f"{wording.of_100(risk.low)} to {wording.of_100(risk.high)}"
    if not risk.n_complete:
        return (
            f"How far the missing {what} could move the estimate is not known, because too few "
            f"patients have everything: the interval, {limits}, is as wide as if nothing were "
            "known of the patient."
        )
    alone = f"{wording.of_100(risk.as_is_low)} to {wording.of_100(risk.as_is_high)}"
    one, *more = (MODALITIES[m].pronoun if m in MODALITIES else "it" for m in risk.lacking)
    with_it = "with them" if more else f"with {one}"
    return (
        f"The missing {what} could move the estimate: {limits} holds what the model would give "
        f"{with_it} too, as far as patients who have everything show; without that the interval "
        f"would be {alone}."
    )


def why_none(evaluation: Evaluation, model: str) -> str:
    """Why there is no estimate at the first horizon."""
    horizons = evaluation["absolute_risk"].get(model, {}).get("horizons", {})
    reasons = [one["reason"] for one in horizons.values() if one.get("reason")]
    return reasons[0] if reasons else "the model of this page makes no prediction at any horizon"
