"""The outcomes of patients who are not divided into folds, checked as those of a study."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from survfuse.cohort.check_patients import check_patients
from survfuse.cohort.new_patients import filled, read_patients
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.sheets.findings import Findings
from survfuse.tasks.loading import task_of


def checked_outcomes(config: Config) -> tuple[pd.DataFrame, list[str]]:
    """outcomes.tsv of the patient sheet of a configuration, sorted by id, and notes on it.

    Raises SheetError (a UserInputError) with everything that is wrong with ids, outcomes and
    covariates, a covariate that repeats the outcome included.
    """
    found = Findings()
    words = task_of(config).outcome_words(config.cohort)
    patients = read_patients(config, found, words)
    found.stop_if_any()
    assert patients is not None, "a patient sheet that cannot be read is a problem"
    wanted = task_of(config).outcome_columns(config.cohort)
    if absent := [name for name in wanted if name not in patients.rows]:
        raise UserInputError(
            f"{Path(str(patients.path))}: there is no column {absent[0]}, which holds the outcome; "
            "name it in the configuration, as for a study"
        )
    settings = config.model_copy(update={"cohort": filled(config.cohort, patients)})
    outcomes = check_patients(patients, settings, found)
    found.stop_if_any()
    assert outcomes is not None, "outcomes that cannot be read are problems"
    notes = list(dict.fromkeys(note.sentence for note in found.notes))
    return outcomes.sort_values("patient_id", ignore_index=True), notes
