"""What a diagnosis is asked for, by the configuration."""

from __future__ import annotations

from survfuse.config.cohort import CohortConfig, Endpoint
from survfuse.core.errors import UserInputError
from survfuse.core.event_words import UNKNOWN, event_words
from survfuse.tasks.diagnosis.section import DiagnosisConfig

NAME = "diagnosis"  # its name in evaluation.json


def asked_of(cohort: CohortConfig) -> DiagnosisConfig:
    """The section `cohort.diagnosis`. Raises UserInputError where the run asks for no classes."""
    if not isinstance(cohort.asked, DiagnosisConfig):
        raise UserInputError("cohort.diagnosis is not set in the configuration")
    return cohort.asked


def happened(cohort: CohortConfig) -> str:
    """What patients of the second class have done by the horizon: "have converted to dementia".

    As the endpoint says; else by its name, or by that of the diagnosis, where these are not
    the defaults; else by the name of the class.
    """
    endpoint, asked, usual = cohort.endpoint, asked_of(cohort), Endpoint()
    if endpoint.event_words:
        return endpoint.event_words
    own = [
        "" if mine == default else mine
        for mine, default in (
            (endpoint.name, usual.name),
            (endpoint.definition, usual.definition),
        )
    ]
    candidates = [event_words(*own), event_words(asked.name, asked.definition)]
    return next((words for words in candidates if words != UNKNOWN), f"are {asked.classes[1]}")
