"""What networks learn of survival: hazards in time bins, or a log-hazard ratio."""

from __future__ import annotations

import numpy as np

from survfuse.artifacts.checkpoint import Arrays
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.study import Config
from survfuse.models.classical.cox import CoxModel
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.survival.bins import fit_bins, survival_at
from survfuse.tasks.survival.hazards import survival_from_logits
from survfuse.tasks.survival.learning.missingness import strata_of
from survfuse.tasks.survival.learning.targets import cox_survival, discrete_survival
from survfuse.training.ensemble import Ensemble, logits_of
from survfuse.training.missingness_association import OutcomeStrata
from survfuse.training.network_task import NetworkTask
from survfuse.training.targets import TrainingTargets


class NetworkSurvival(NetworkTask):
    """Any network, for survival."""

    def least_outputs(self, config: Config) -> int:
        """One log-hazard ratio, or a time bin and the open one."""
        return 1 if config.training.loss == "cox" else 2

    def targets(
        self, config: Config, part: TrainingPart, fitting: np.ndarray
    ) -> tuple[TrainingTargets, Arrays]:
        """Follow-up, in bins that are fitted unless the loss is the partial likelihood."""
        settings, followed = config.training, part.outcome_as(FollowUp)
        time, event = followed.time_months, followed.event
        if settings.loss == "cox":
            return cox_survival(time, event), {}
        edges = fit_bins(
            settings.bins_months, time[fitting], event[fitting], settings.min_events_per_bin
        )
        survival = discrete_survival(time, event, edges, fitting)
        return survival, {"edges_months": edges, "marginal_logits": survival.marginal}

    def strata(self, part: TrainingPart, fitted: np.ndarray) -> OutcomeStrata:
        """Event before, followed to, or censored before the median event time."""
        followed = part.outcome_as(FollowUp)
        return strata_of(followed.time_months, followed.event, fitted)

    def predict(self, team: Ensemble, config: Config, attention: bool) -> Prediction:
        """The mean of the ensemble."""
        return predict_neural(team, np.array(config.grid_months()), attention)


def predict_neural(team: Ensemble, grid_months: np.ndarray, attention: bool = False) -> Prediction:
    """Survival by every member; optionally with attention per patient."""
    fitted = team.fitted
    members, weights = logits_of(team, attention)
    curves, risks = [], []
    for member, logits in enumerate(members):
        if fitted.fit["loss"] == "cox":
            cox = CoxModel(np.ones(1), **fitted.under(f"baseline{member}."))
            risks.append(logits[:, 0].numpy())
            curves.append(cox.survival(logits.numpy(), grid_months))
        else:
            surviving = survival_from_logits(logits + team.marginal_logits()).numpy()
            risks.append(-surviving.sum(axis=1))
            edges = fitted.arrays["edges_months"]
            curves.append(survival_at(surviving, edges, grid_months))
    return Prediction(team.source.patient_ids, np.mean(risks, axis=0), np.stack(curves), weights)


NETWORKS = NetworkSurvival()
