"""Rows that are a ridge Cox model of columns of the clinical table, `clinical_cox` among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.clinical.encoder import ClinicalEncoder, fit_encoder
from survfuse.modalities.clinical.modality import clinical_table
from survfuse.models.classical.cox import CoxModel, describe, fit_cox
from survfuse.models.classical.options import covariates_of, refuse_others
from survfuse.models.estimator import FitContext, NothingToLearnError, PredictContext


@dataclass(frozen=True)
class CoxOfColumns:
    """A Cox model of the `columns` that a row reads, which refuses what is wrong with its options.

    It is fitted on all training patients: there is nothing to stop early.
    """

    columns: Callable[[ModelConfig, CohortConfig], dict[str, Covariate]]

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse options that it does not know, and columns that there are not."""
        self.columns(model, config.cohort)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Raises NothingToLearnError where no column varies between the training patients."""
        part, columns = context.part, self.columns(context.model, context.config.cohort)
        rows = clinical_table(context.inputs).loc[part.patient_ids]
        encoder = fit_encoder(rows, columns)
        if not encoder.columns:
            raise NothingToLearnError(
                "no column that it reads varies between the training patients"
            )
        followed = part.outcome_as(FollowUp)
        cox = fit_cox(encoder.transform(rows), followed.time_months, followed.event)
        fitted_ids = ids_hash(context.patient_ids)
        return cox.arrays(), {
            "modalities": ["clinical"],
            "encoder": encoder.to_json(),
            "hazard_ratios": describe(cox, encoder),
            "fitted_on": {"encoder": fitted_ids, "cox": fitted_ids},
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """Linear predictors and curves, NaN beyond the follow-up of training."""
        encoder, cox = ClinicalEncoder.from_json(fitted.fit["encoder"]), CoxModel(**fitted.arrays)
        ids = list(context.patient_ids)
        x = encoder.transform(clinical_table(context.inputs).loc[ids])
        survival = cox.survival(x, np.array(context.config.grid_months()))
        return Prediction(tuple(ids), cox.risk(x), survival[None])


def covariates(model: ModelConfig, cohort: CohortConfig) -> dict[str, Covariate]:
    """What `clinical_cox` reads. Raises UserInputError naming the row where that is nothing."""
    refuse_others(model, "covariates")
    named = covariates_of(model, cohort)
    if not named:
        raise UserInputError(
            f"models.{model.name}: the clinical Cox model needs covariates; declare at least "
            "one column of patients.tsv under cohort.covariates"
        )
    return named


SURVIVAL = CoxOfColumns(covariates)
