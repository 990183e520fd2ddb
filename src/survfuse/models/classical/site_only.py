"""The row `site_only`: what can be told from the centre alone, which others have to beat."""

from __future__ import annotations

from typing import Any

from survfuse.artifacts.checkpoint import Arrays, FittedModel
from survfuse.artifacts.prediction import ClassPrediction
from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.clinical.encoder import ClinicalEncoder, fit_encoder
from survfuse.modalities.clinical.modality import clinical_table
from survfuse.models.classical.clinical_cox import CoxOfColumns
from survfuse.models.classical.logistic import diagnose_matrix, fit_matrix
from survfuse.models.classical.options import refuse_others
from survfuse.models.estimator import FitContext, NothingToLearnError, PredictContext


def site(model: ModelConfig, cohort: CohortConfig) -> dict[str, Covariate]:
    """The column of the centre. Raises UserInputError naming the row where there is none."""
    refuse_others(model)
    if cohort.site is None:
        raise UserInputError(
            f"models.{model.name}: site_only needs the column of the centre; set cohort.site or "
            "remove the row"
        )
    return {"site": Covariate(type="categorical")}


class LogisticSite:
    """Logistic regression on the centre, with a ridge penalty."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse options, and cohorts without a column of the centre."""
        site(model, config.cohort)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Raises NothingToLearnError where all training patients are of one centre."""
        rows = clinical_table(context.inputs).loc[context.patient_ids]
        encoder = fit_encoder(rows, site(context.model, context.config.cohort))
        if not encoder.columns:
            raise NothingToLearnError("all training patients are of one site")
        arrays, described = fit_matrix(encoder.transform(rows), context, l1_ratio=0.0)
        return arrays, {"modalities": ["clinical"], "encoder": encoder.to_json(), **described}

    def predict(self, fitted: FittedModel, context: PredictContext) -> ClassPrediction:
        """Probabilities by the centre; an unknown one counts as the commonest."""
        encoder = ClinicalEncoder.from_json(fitted.fit["encoder"])
        rows = clinical_table(context.inputs).loc[list(context.patient_ids)]
        return diagnose_matrix(fitted, encoder.transform(rows), context)


SURVIVAL = CoxOfColumns(site)
DIAGNOSIS = LogisticSite()
