"""What a diagnosis is asked for, by the configuration."""

from __future__ import annotations

from survfuse.config.cohort import CohortConfig
from survfuse.core.errors import UserInputError
from survfuse.tasks.diagnosis.section import DiagnosisConfig

NAME = "diagnosis"  # its name in evaluation.json


def asked_of(cohort: CohortConfig) -> DiagnosisConfig:
    """The section `cohort.diagnosis`. Raises UserInputError where the run asks for no classes."""
    if not isinstance(cohort.asked, DiagnosisConfig):
        raise UserInputError("cohort.diagnosis is not set in the configuration")
    return cohort.asked
