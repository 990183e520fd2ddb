"""The AUROCs of all rows in patients who have a PET: with it, with a synthetic one, without.

Rows of a leaderboard that read PET and rows that do not differ in their models and in who has a
PET. Here everybody has one, so that what is left is the models and the PET.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse.evaluation.board import LEAST_PAIRS
from survfuse.evaluation.rows import ORACLE, Heading
from survfuse.modalities.registry import COSTLY, MODALITIES
from survfuse.tasks.diagnosis.evaluation import auroc, compare_diagnoses
from survfuse.tasks.diagnosis.predictions import WITHOUT
from survfuse.tasks.diagnosis.rows import ClassRow
from survfuse.tasks.diagnosis.scored import ClassPredictions, of_true_risk
from survfuse.tasks.diagnosis.scores import pairs_within

WITHHELD = WITHOUT + COSTLY
UNRANKED = ("site", "control")


def compare_with_pet(
    rows: Sequence[ClassRow], reference: str, true_risk: np.ndarray | None, confidence: float
) -> dict[str, Any] | None:
    """The AUROCs of all rows on those who have a PET, real, replaced or unread, the highest first.

    `against` is the first row that reads the MRI and nothing else, or the reference where there is
    none. Each of `rungs` has a model and its label, which `pet` it was given ("real",
    "synthetic", "none" where it was withheld, "unread", or "truth" for the true risk (n,) of
    simulated patients), its `auroc`, and the paired `difference` from `against`. Only the first
    repeat counts. None where no row has ablations, or for fewer than LEAST_PAIRS pairs.
    """
    withheld = [row.ablations[WITHHELD] for row in rows if WITHHELD in row.ablations]
    if not withheld or pairs_within(withheld[0].known()) < LEAST_PAIRS:
        return None
    patients = withheld[0].patient
    found: list[tuple[Heading, str, ClassPredictions]] = []
    for row in rows:
        if row.role in UNRANKED:
            continue
        found.append(
            (row, "real" if COSTLY in row.modalities else "unread", row.first.of(patients))
        )
        if WITHHELD in row.ablations:
            less = row.ablations[WITHHELD].of(patients)
            found.append((row, "synthetic" if less.synthesised.any() else "none", less))
    if true_risk is not None:
        truth = of_true_risk(true_risk, rows[0].first)
        found.append((ORACLE, "truth", truth.of(patients)))
    base = baseline(rows, reference)
    their = base.first.of(patients)
    rungs: list[dict[str, Any]] = []
    for heading, pet, ours in found:
        found_auroc = auroc(ours.known(), confidence)
        itself = heading is base and pet in ("real", "unread")
        compared = None if itself else compare_diagnoses(ours, their, confidence)["auroc"]
        rung = {"model": heading.model, "label": heading.label, "pet": pet}
        rungs.append({**rung, "auroc": found_auroc.as_json(), "difference": compared})
    rungs.sort(key=lambda rung: -(rung["auroc"]["value"] or 0.0))
    return {"n": len(their.known()), "against": base.model, "rungs": rungs}


def baseline(rows: Sequence[ClassRow], reference: str) -> ClassRow:
    """The first row that reads the MRI alone and is no control, or else the reference."""
    alone = [
        row
        for row in rows
        if row.modalities == [MODALITIES[COSTLY].made_from] and row.role not in UNRANKED
    ]
    return (alone or [row for row in rows if row.model == reference])[0]
