"""How risks by horizons are scored in a cohort that had no part in the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.config.evaluation import EvaluationConfig
from survfuse.core.errors import UserInputError
from survfuse.evaluation.external import AnyMetric, Draws, External
from survfuse.statistics.calibration import calibration_curve
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.updating import Link, Update, update_risk
from survfuse.tasks.survival.metrics import METRICS, RANKING, SurvivalMetric
from survfuse.tasks.survival.protocol import Protocol, elsewhere
from survfuse.tasks.survival.scores import ModelPredictions, Scored

RANKED_BY = "Patients are ranked by their estimates at the last horizon, {months:g} months."
GRID = "it is taken over the horizons here, and over the study's grid of times there"
TAU = "it is truncated at {here:.1f} months here and at {there:.1f} months in the study"


class ExternalSurvival(External):
    """Follow-up of patients, and the horizons by which a package states their risks."""

    link: Link | None = "cloglog"

    def __init__(self, protocol: Protocol, tau_of_study: float, seed: int) -> None:
        self.protocol, self.tau_of_study, self.seed = protocol, tau_of_study, seed
        self.counts, self.confidence = protocol.counts, protocol.confidence
        self.parts = tuple(f"{months:g}" for months in protocol.horizons_months)
        self.ranking = RANKING
        self.metrics = [metric for metric in METRICS.values() if metric.elsewhere is not None]
        tau = protocol.tau_months
        others = {"uno_c": TAU.format(here=tau, there=tau_of_study)}
        self.not_as_in_study = {"ibs": GRID} | (others if tau < tau_of_study else {})
        self.notes = [
            RANKED_BY.format(months=protocol.horizons_months[-1]),
            f"Uno's C is truncated at {tau:.1f} months. Patients who were lost are stood for by "
            "others, with weights from the follow-up of this cohort that resamples do not change.",
        ]

    @property
    def outcome(self) -> SurvivalOutcome:
        """The follow-up of all patients."""
        return self.protocol.study.outcome

    def probabilities(self, estimates: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """The risk by each horizon."""
        by_months = [{one["months"]: one["risk"] for one in own["horizons"]} for own in estimates]
        horizons = self.protocol.horizons_months
        return np.array([[own.get(months, np.nan) for months in horizons] for own in by_months])

    def draws(self, metric: AnyMetric, probability: np.ndarray) -> Draws:
        """A metric of risks (n, horizons)."""
        assert isinstance(metric, SurvivalMetric) and metric.elsewhere is not None
        if metric.topic == "discrimination" and np.isnan(probability[:, -1]).any():
            raise NotEstimableError(f"no risk is stated at {self.parts[-1]} months")
        months = self.protocol.horizons_months
        survival = {at: 1 - probability[None, :, column] for column, at in enumerate(months)}
        predicted = ModelPredictions(probability[None, :, -1], survival)
        scored = Scored(self.protocol, predicted, self.protocol.tau_months)
        if metric.each != "horizon":
            return {"": metric.elsewhere(scored)}
        return {
            part: value_at(metric, replace(scored, months=at))
            for part, at in zip(self.parts, months, strict=True)
        }

    def in_words(self, part: str) -> str:
        """The horizon."""
        return f"by {part} months"

    def among(self, rows: np.ndarray) -> Self:
        """The same of some patients, with resamples of them."""
        own, ids = self.protocol, self.protocol.study.patient_ids
        settings = EvaluationConfig(
            confidence=own.confidence, bootstrap=len(own.counts) - 1, seed=self.seed
        )
        chosen = [ids[row] for row in rows]
        some = elsewhere(
            self.outcome[rows], chosen, own.horizons_months, self.tau_of_study, settings
        )
        return type(self)(some, self.tau_of_study, self.seed)

    def events(self, part: str) -> int:
        """Events by a horizon."""
        return int((self.outcome.event & (self.outcome.time <= float(part))).sum())

    def calibration(self, probability: np.ndarray, part: str) -> list[dict[str, Any]]:
        """Observed against predicted risk, in groups of rising risk."""
        return calibration_curve(self.outcome, 1 - probability, float(part), self.confidence)

    def happened(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Who had the event by a horizon, with the censoring weights."""
        case = self.outcome.event & (self.outcome.time <= float(part))
        return case, self.protocol.weights_at(float(part))[0]

    def update(self, probability: np.ndarray, part: str, kind: str, rows: np.ndarray) -> Update:
        """A shift of the log cumulative hazard by a horizon, and its slope."""
        return update_risk(self.outcome[rows], probability[rows], float(part), kind)

    def never_falling(self, probability: np.ndarray) -> np.ndarray:
        """Whoever had the event by one horizon has had it by the next."""
        raised = np.fmax.accumulate(probability, axis=1)
        return np.where(np.isnan(probability), np.nan, raised)


def value_at(metric: SurvivalMetric[Any, Any], scored: Scored) -> np.ndarray | NotEstimableError:
    """A metric at a horizon, or why it has none there."""
    assert metric.elsewhere is not None
    try:
        return metric.elsewhere(scored)
    except NotEstimableError as error:
        return error


def external_of(
    config: EvaluationConfig, frozen: Mapping[str, Any], outcomes: pd.DataFrame
) -> ExternalSurvival:
    """How a package is scored on patients; `frozen` of a row, `outcomes` as of outcomes.tsv.

    Raises UserInputError where the package states no risk at any horizon, or nobody had the event.
    """
    if "tau_months" not in frozen:
        raise UserInputError(
            "the package does not say at which time its study truncated Uno's C; package the study "
            "again with this version"
        )
    months = sorted(one["months"] for one in frozen["horizons"].values())
    if not months:
        raise UserInputError("the package states no risk by any horizon, so there is none to check")
    outcome = SurvivalOutcome(outcomes["time_months"].to_numpy(), outcomes["event"].to_numpy())
    if not outcome.event.any():
        raise UserInputError(
            f"none of the {len(outcome)} patients had the event, so that nothing can be checked; "
            "look at the coding of the endpoint, or wait for more follow-up"
        )
    ids = outcomes["patient_id"].tolist()
    protocol = elsewhere(outcome, ids, months, frozen["tau_months"], config)
    return ExternalSurvival(protocol, frozen["tau_months"], config.seed)
