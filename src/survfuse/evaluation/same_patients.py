"""Patients who have a PET, by what is known of them: with it, with something in its place, without.

Rows of a leaderboard that read PET and rows that do not are told apart by models and by who has a
PET. Here everybody has one, so that what is left is the models and the PET.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from survfuse.evaluation.class_predictions import WITHOUT
from survfuse.evaluation.class_rows import ClassRow
from survfuse.evaluation.class_scores import LEAST_PAIRS, pairs_within, ranked
from survfuse.evaluation.diagnosis import Diagnosis, compare_diagnoses
from survfuse.evaluation.rows import ORACLE, Heading

WITHHELD = WITHOUT + "pet"
UNRANKED = ("site", "control")


def compare_with_pet(
    rows: Sequence[ClassRow], reference: str, true_risk: np.ndarray | None, confidence: float
) -> dict[str, Any] | None:
    """The AUROCs of all rows on those who have a PET, real, replaced or unread, the highest first.

    `against` is the first row that reads the MRI and nothing else, or the reference where there is
    none. Each of `rungs` has a model and its label, what it knows of the `pet` ("real",
    "synthetic", "none" where it was withheld, "unread", or "truth" for the true risk (n,) of
    simulated patients), its `auroc`, and the paired `difference` from `against`. Only the first
    repeat counts. None where no row was shown less, or for fewer than LEAST_PAIRS pairs.
    """
    withheld = [row.shown[WITHHELD] for row in rows if WITHHELD in row.shown]
    if not withheld or pairs_within(withheld[0].known()) < LEAST_PAIRS:
        return None
    patients = withheld[0].patient
    found: list[tuple[Heading, str, Diagnosis]] = []
    for row in rows:
        if row.role in UNRANKED:
            continue
        found.append((row, "real" if "pet" in row.modalities else "unread", row.first.of(patients)))
        if WITHHELD in row.shown:
            less = row.shown[WITHHELD].of(patients)
            found.append((row, "synthetic" if less.synthesised.any() else "none", less))
    if true_risk is not None:
        p = expit(true_risk)
        told = replace(rows[0].first, probability=np.column_stack([1 - p, p]))
        found.append((ORACLE, "truth", told.of(patients)))
    base = baseline(rows, reference)
    their = base.first.of(patients)
    rungs: list[dict[str, Any]] = []
    for heading, pet, ours in found:
        auroc = ranked(ours, confidence)
        itself = heading is base and pet in ("real", "unread")
        compared = None if itself else compare_diagnoses(ours, their, confidence)["auroc"]
        rung = {"model": heading.model, "label": heading.label, "pet": pet}
        rungs.append({**rung, "auroc": auroc.as_json(), "difference": compared})
    rungs.sort(key=lambda rung: -(rung["auroc"]["value"] or 0.0))
    return {"n": len(their.known()), "against": base.model, "rungs": rungs}


def baseline(rows: Sequence[ClassRow], reference: str) -> ClassRow:
    """The first row that reads the MRI alone and is no control, or else the reference."""
    alone = [row for row in rows if row.modalities == ["mri"] and row.role not in UNRANKED]
    return (alone or [row for row in rows if row.model == reference])[0]
