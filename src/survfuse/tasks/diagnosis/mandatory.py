"""What the leaderboard of a diagnosis cannot do without."""

from __future__ import annotations

from collections.abc import Sequence

from survfuse.config.models import ModelConfig
from survfuse.evaluation.mandatory import Mandatory
from survfuse.modalities.registry import PATIENT_TABLE
from survfuse.models.specs import reads_of


def is_clinical(model: ModelConfig, models: Sequence[ModelConfig]) -> bool:
    """Whether a row reads the clinical table and nothing else, and is no control."""
    return tuple(reads_of(model, models)) == (PATIENT_TABLE,) and not model.permute_outcomes


MANDATORY = Mandatory(
    is_clinical=is_clinical,
    needs_clinical="of a diagnosis needs a row that reads the clinical table alone; add {name: "
    "logistic, kind: logistic}",
    needs_control="needs a control trained on permuted outcomes; add a row such as {name: "
    "logistic_permuted, kind: logistic, permute_outcomes: true}",
)
