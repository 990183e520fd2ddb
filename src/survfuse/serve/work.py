"""What is done with a run, in a process of its own: checking what was sent, and predicting it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from survfuse.artifacts.package import Package, open_package
from survfuse.cohort.new_patients import NewPatients, check_new_patients
from survfuse.config.study import Config
from survfuse.core.errors import SurvfuseError
from survfuse.core.files import read_object
from survfuse.core.system_errors import of_system
from survfuse.deployment.inputs import NewSheets, prepare_new, settings_for
from survfuse.deployment.predict import predict_new
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import MODALITIES
from survfuse.models.specs import find_model, reads_synthesised
from survfuse.reporting.wording import without_paths
from survfuse.serve.failures import place_of
from survfuse.serve.form import PATIENTS, listed_by
from survfuse.serve.means import Means
from survfuse.serve.runs import CHECKED, DONE, FAILED, REFUSED, Run
from survfuse.sheets.problems import Problem, SheetError

Outcome = dict[str, Any]


def check(means: Means, run: Run) -> Generator[Outcome]:
    """Check what was sent, files of slides and volumes excepted; yields how it ended."""
    yield outcome(lambda: {"state": CHECKED, "patients": reviewed(means, run)}, run)


def predict(means: Means, run: Run) -> Generator[Outcome]:
    """Predict what was sent; yields how it ended."""
    yield outcome(lambda: {"state": DONE, "patients": predicted(means, run)}, run)


def outcome(work: Callable[[], Outcome], run: Run) -> Outcome:
    """What work came to, or what is wrong with what was sent."""
    try:
        return work()
    except SheetError as error:
        problems = [described(problem, run) for problem in error.problems]
        others = [{"sentence": without_paths(one)} for one in error.others]
        several = run.read()["several"]
        return {"state": REFUSED, "problems": [*problems, *others], "several": several}
    except SurvfuseError as error:
        sentence = str(error)
    except Exception as error:
        if not (system := of_system(error)):
            return {"state": FAILED, "place": place_of(error)}
        sentence = str(system)
    return {"state": REFUSED, "problems": [{"sentence": without_paths(sentence)}]}


def described(problem: Problem, run: Run) -> dict[str, Any]:
    """A problem of a sheet without the path under which it was stored."""
    stem = Path(problem.file)
    parts = stem.relative_to(run.sent).parts if stem.is_relative_to(run.sent) else (problem.file,)
    return {
        "sheet": parts[0].partition(".")[0],
        "row": problem.row,
        "column": problem.column,
        "value": problem.value,
        "problem": problem.problem,
        "remedy": problem.remedy,
    }


def sheets_of(means: Means, run: Run, files_too: bool = True) -> NewSheets:
    """The sheets of a run; without `files_too` those that list files are left out."""
    named = {name: run.sent / path for name, path in run.read()["sheets"].items()}
    patients = named.pop(PATIENTS)
    kept = {name: path for name, path in named.items() if files_too or not listed_by(name)}
    return NewSheets(patients, kept, means.weights)


def reviewed(means: Means, run: Run) -> list[dict[str, Any]]:
    """Of each patient what there is, what is empty and what is unusual, before it is predicted.

    Files of slides and volumes are not opened yet, which takes long.
    """
    package, folder = open_package(means.package), run.working
    config = settings_for(package, sheets_of(means, run), folder.root)
    listed = check_new_patients(config)
    quick = settings_for(package, sheets_of(means, run, files_too=False), folder.root)
    try:
        new = prepare_new(package, quick, folder, means.threads, means.device)
    finally:
        shutil.rmtree(folder.root, ignore_errors=True)
    given = {name: given_to(listed, name, config) for name in read_object(package.files.reference)}
    has = {
        name: owners if MODALITIES[name].lists_files else having(new.inputs, name, owners)
        for name, owners in given.items()
    }
    rows = listed.clinical.set_index("patient_id")
    covariates = [name for name in package.config.cohort.covariates if name in rows]
    return [
        {
            "patient_id": patient,
            "given": {name: patient in owners for name, owners in has.items()},
            "made": made_for(package, patient, has),
            "covariates": {name: str(rows.at[patient, name]) for name in covariates},
            "remarks": [
                {"sentence": str(one.message), "flagged": one.flagged}
                for one in new.remarks
                if one.patient_id in (None, patient)
            ],
        }
        for patient in listed.ids
    ]


def having(inputs: CohortInputs, name: str, ids: set[str]) -> set[str]:
    """Those of the patients who have a modality in a form that models read."""
    ordered = sorted(ids)
    return {
        one for one, there in zip(ordered, inputs.available(name, ordered), strict=True) if there
    }


def given_to(listed: NewPatients, name: str, config: Config) -> set[str]:
    """The patients who have a modality by the sheets."""
    source = MODALITIES[name].source
    if source and source not in listed.tables:
        return set()
    return set(modality(name).in_sheets(listed, config) or ())


def made_for(package: Package, patient: str, has: Mapping[str, set[str]]) -> list[str]:
    """The modalities that a patient lacks and that are made from another one for the models."""
    model = find_model(package.config, package.row)
    if package.config.synthesis is None or not package.files.synthesis.is_dir():
        return []
    if not reads_synthesised(model, package.config.models):
        return []
    return [
        name
        for name, owners in has.items()
        if patient not in owners and patient in has.get(MODALITIES[name].made_from, set())
    ]


def predicted(means: Means, run: Run) -> list[str]:
    """Predict a run; returns the ids of its patients, in the order of the records."""
    package = open_package(means.package)
    folder, sheets = run.working.root, sheets_of(means, run)
    shutil.rmtree(folder, ignore_errors=True)
    records = predict_new(package, sheets, folder, means.threads, means.device, style=means.style)
    return [record["patient_id"] for record in records]
