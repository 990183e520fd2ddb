"""What the models behind an estimate did not read although they are made for it, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from survfuse.artifacts.evaluation import Evaluation
from survfuse.reporting.findings import MODALITIES
from survfuse.reporting.inputs import RunData
from survfuse.reporting.sections.input_chips import Chip

UNREAD = "not read: the model of this fold had nobody else with it to learn from"


def fits_of(
    data: RunData, row: Mapping[str, Any], folds: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """What the models of a row were made of in these folds (repeat, fold).

    Empty where predictions were brought without their models.
    """
    return [
        fit
        for fit in data.fits
        if fit.get("model", {}).get("name") == row["model"]
        and (fit.get("repeat"), fit.get("fold")) in folds
    ]


def why_average(fits: Sequence[Mapping[str, Any]]) -> str | None:
    """Why nothing could be learned in any of the folds; None where something was."""
    reasons = [fit.get("not_estimable") for fit in fits]
    return reasons[0] if reasons and all(reasons) else None


def unread_modalities(row: Mapping[str, Any], fits: Sequence[Mapping[str, Any]]) -> set[str]:
    """The modalities of a row that the models of no fold learned to read."""
    if why_average(fits) or not any("read" in fit for fit in fits):
        return set()
    return set(row["modalities"]) - {name for fit in fits for name in fit.get("read", [])}


def with_unread(chip: Chip, unread: bool) -> Chip:
    """A chip that says so where the patient has the modality and the model did not read it."""
    if not (unread and chip.used and chip.state == "present"):
        return chip
    return replace(chip, lines=[*chip.lines, UNREAD], read=False)


def unread_sentences(evaluation: Evaluation) -> list[str]:
    """A sentence for every modality of a row that it read of no patient, though it read others."""
    return [
        f"{row['label']} read the {MODALITIES[name]} of no patient: in no fold was somebody who "
        "has them tested by a model that had others with them to learn from."
        for row in evaluation["rows"]
        if row["role"] != "control" and row.get("read") and row.get("n_read")
        for name in row["modalities"]
        if name in MODALITIES and not row["read"].get(name)
    ]
