"""The record of a prediction: what is known and estimated of one new patient, as JSON.

Pages, documents and messages to other systems are made of it and, but for pictures of volumes, of
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from survfuse import __version__
from survfuse.artifacts.package import Package
from survfuse.core.files import read_object
from survfuse.core.messages import Message
from survfuse.deployment.inputs import NewInputs
from survfuse.modalities.cohort import SYNTHETIC, CohortInputs
from survfuse.modalities.conformity import Remark
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import MODALITIES
from survfuse.models.specs import find_model, label_of
from survfuse.tasks.loading import task_of

SCHEMA = "survfuse/prediction/1"
USE = "Research use only. Not validated for clinical decisions."


def prediction_records(
    package: Package,
    new: NewInputs,
    seen: CohortInputs,
    estimates: Mapping[str, Sequence[Mapping[str, Any]]],
    without: Mapping[str, Sequence[Mapping[str, Any]]],
    contributions: Sequence[Mapping[str, Any]] | None,
    on: date,
) -> list[dict[str, Any]]:
    """A record of each patient, in the order of the ids.

    seen: what a model of the row read, with what was synthesised. estimates: by row. without: those
    of the row that predicts, as if a modality were missing.
    """
    config, performance = package.config, read_object(package.files.performance)
    states, reference = states_of(package, new, seen), package.reference

    def present(name: str, patient: str) -> bool:
        return bool(new.inputs.available(name, [patient])[0])

    return [
        {
            "schema": SCHEMA,
            "patient_id": patient,
            "predicted_on": on.isoformat(),
            "use": USE,
            "package": {
                "name": package.record["name"],
                "title": package.record["title"],
                "sha256": package.identity,
                "survfuse": __version__,
                "predicts": package.record["predicts"],
                "simulated": package.record["simulated"],
                "untrained": package.record["untrained"],
            },
            "task": config.task,
            "predicted": task_of(config).predicted(config),
            "confidence": config.evaluation.confidence,
            "row": package.row,
            "label": label_of(find_model(config, package.row)),
            "estimates": estimates[package.row][number],
            "reference": None
            if reference is None
            else {
                "row": reference,
                "label": label_of(find_model(config, reference)),
                "estimates": estimates[reference][number],
            },
            "inputs": states[patient],
            "without_modality": {
                name: found[number] for name, found in without.items() if present(name, patient)
            },
            "remarks": [
                {
                    "sentence": str(one.message),
                    "message": one.message.to_json(),
                    "flagged": one.flagged,
                }
                for one in (
                    *remarks_on(new, patient),
                    *remarks_on_estimates(estimates[package.row][number]),
                )
            ],
            "novelty_p": dict(new.unusual.alone[patient]),
            "agreement_p": dict(new.unusual.together[patient]),
            "contributions": None if contributions is None else contributions[number],
            "performance": performance,
        }
        for number, patient in enumerate(new.patients.ids)
    ]


def remarks_on(new: NewInputs, patient: str) -> list[Remark]:
    """What is unusual of a patient, and of all of them."""
    return [one for one in new.remarks if one.patient_id in (None, patient)]


def remarks_on_estimates(estimates: Mapping[str, Any]) -> list[Remark]:
    """That the models place a patient where the study had nobody."""
    if not any(one["beyond_study"] for one in estimates["horizons"]):
        return []
    said = Message(
        "The models place this patient beyond all patients of the study; the estimate is that of "
        "the most extreme of them."
    )
    return [Remark(said)]


def states_of(
    package: Package, new: NewInputs, seen: CohortInputs
) -> dict[str, list[dict[str, Any]]]:
    """By patient: of every modality that the row reads whether it is there, and why not.

    The state is present, synthetic (made from another one), unusable or missing.
    """
    ids = new.patients.ids
    states: dict[str, list[dict[str, Any]]] = {patient: [] for patient in ids}
    for name in package.record["reads"]:
        has, made = seen.available(name, ids), seen.available(SYNTHETIC + name, ids)
        entry = MODALITIES[name]
        reasons = modality(name).unusable(new.paths) if entry.source in new.paths.files else {}
        for patient, there, synthetic in zip(ids, has, made, strict=True):
            state, reason = "present" if there else "missing", None
            if not there and (synthetic or patient in reasons):
                state = "synthetic" if synthetic else "unusable"
                reason = reasons.get(patient)
            told = {"modality": name, "name": entry.noun, "state": state, "reason": reason}
            states[patient].append(told)
    return states


def table_of(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each patient and estimate, for a spreadsheet."""
    rows = [
        {
            "patient_id": record["patient_id"],
            **one,
            "missing": "+".join(
                found["modality"] for found in record["inputs"] if found["state"] != "present"
            ),
            "flags": sum(remark["flagged"] for remark in record["remarks"]),
        }
        for record in records
        for one in (*record["estimates"]["classes"], *record["estimates"]["horizons"])
    ]
    return pd.DataFrame(rows)
