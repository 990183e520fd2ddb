"""Whether patients still have the inputs that they had when a model was fitted.

A score belongs to the inputs it was computed from. `fit.json` therefore holds a hash of the inputs
of every patient of the cohort, under a hash of the id; whoever is not among them is a new patient
and may have any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_json
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.inputs import recorded
from survfuse.modalities.paths import InputPaths

DIGITS = 16  # of a hash, 64 bits


def input_hashes(paths: InputPaths, inputs: CohortInputs, fold: str) -> dict[str, str]:
    """Hash of everything a model may read of a patient, by patient id.

    `inputs`: what was read from `paths`, or from more.
    """
    parts: dict[str, list[Any]] = {patient: [] for patient in inputs.patients.index}
    for patient, *hashes in recorded(paths, inputs, fold):
        if patient in parts:
            parts[patient].append(hashes)
    return {
        patient: sha256_json([paths.visit, hashes])[:DIGITS] for patient, hashes in parts.items()
    }


def anonymous(hashes: Mapping[str, str]) -> dict[str, str]:
    """The same hashes under hashes of the ids, as a fitted model keeps them."""
    return {key_of(patient): content for patient, content in hashes.items()}


def key_of(patient_id: str) -> str:
    """What stands for a patient in a fitted model."""
    return hashlib.sha256(patient_id.encode()).hexdigest()[:DIGITS]


def require_same(
    fit: Mapping[str, Any], hashes: Mapping[str, str], patient_ids: Sequence[str], where: str
) -> None:
    """Raise UserInputError where a patient whom a model was fitted with now has other inputs."""
    known: Mapping[str, str] = fit.get("input_hashes", {})
    changed = [
        patient
        for patient in patient_ids
        if known.get(key_of(patient), hashes[patient]) != hashes[patient]
    ]
    if changed:
        raise UserInputError(
            f"{where}: {len(changed)} patients, {changed[0]} among them, have other inputs than "
            "when this model was fitted; restore them, or remove the folder of the model and train "
            "it again"
        )
