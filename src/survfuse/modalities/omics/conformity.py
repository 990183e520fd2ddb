"""Whether genes of new patients are those of the study that a package was made of, on its scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from survfuse.core.errors import UserInputError
from survfuse.core.messages import Message
from survfuse.modalities.conformity import Conformed, Reference, Remark
from survfuse.modalities.omics.gene_names import why_apart
from survfuse.modalities.omics.matrix import OmicsMatrix
from survfuse.modalities.omics.sheet import type_of_columns

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of a patient's values, which show their scale
LEAST_MEASURED = 0.5  # share of the genes; with fewer nothing is predicted from them
# Distance from the study's mean quantiles, in its standard deviations or tenths of its range.
UNUSUAL, ANOTHER_SCALE = 6.0, 25.0


def kept_of(matrix: OmicsMatrix, patient_ids: Sequence[str], suffixes: dict[str, str]) -> Reference:
    """Genes and groups of a study, and the mean quantiles of its patients, by data type."""
    values, present = matrix.rows(patient_ids)
    kinds = kinds_of(matrix.features.tolist(), suffixes)
    scales = {kind: scale_of(values[present][:, kinds == kind]) for kind in suffixes}
    described = {
        "features": matrix.features.tolist(),
        "groups": matrix.groups.tolist(),
        "suffixes": suffixes,
        "scales": {kind: scale for kind, scale in scales.items() if scale},
    }
    layout = {"group_offsets": matrix.group_offsets, "group_index": matrix.group_index}
    return Reference(described, layout)


def kinds_of(columns: Sequence[str], suffixes: dict[str, str]) -> np.ndarray:
    """The data type of every column."""
    return np.array([kind or "" for kind in type_of_columns(columns, suffixes)])


def quantiles_of(values: np.ndarray) -> np.ndarray:
    """(n, levels) quantiles of each patient's values, NaN for who has none."""
    found = np.full((len(values), len(LEVELS)), np.nan)
    measured = np.isfinite(values).any(axis=1)
    if measured.any():
        found[measured] = np.nanquantile(values[measured], LEVELS, axis=1).T
    return found


def scale_of(values: np.ndarray) -> dict[str, list[float]] | None:
    """Mean and spread over patients of their quantiles; None where nobody has any value."""
    if not np.isfinite(values).any():
        return None
    quantiles = quantiles_of(values)
    mean, spread = np.nanmean(quantiles, axis=0), np.nanstd(quantiles, axis=0)
    unit = np.maximum(spread, max((mean[-1] - mean[0]) / 10, 1e-6))
    return {"mean": mean.tolist(), "unit": unit.tolist()}


def conformed(matrix: OmicsMatrix, reference: Reference, what: str) -> Conformed[OmicsMatrix]:
    """The genes of the study in its order; those that were not measured are missing.

    `what`: the file, for messages. Raises UserInputError where too few of the genes are there, or
    the values of most patients are on another scale.
    """
    kept, place = reference.described, {g: i for i, g in enumerate(matrix.features.tolist())}
    features = kept["features"]
    absent = [feature for feature in features if feature not in place]
    if len(absent) > (1 - LEAST_MEASURED) * len(features):
        genes = {name.rpartition("_")[0] or name for name in features}
        reason = why_apart(set(place), genes | set(features)) or ""
        raise UserInputError(
            f"{what}: holds {len(features) - len(absent)} of the {len(features)} genes that the "
            f"models of this package read (not, for example, {absent[0]}); name genes as the study "
            f"did. {reason}".strip()
        )
    values = np.full((len(matrix.values), len(features)), np.nan, dtype=np.float32)
    there = [column for column, feature in enumerate(features) if feature in place]
    values[:, there] = matrix.values[:, [place[features[column]] for column in there]]
    found = arranged(matrix.patient_ids, values, reference)
    remarks = list(remarks_on_scale(found, kept, what))
    if absent:
        said = Message(
            "%(absent)s of %(wanted)s genes that the models read were not measured (for example "
            "%(example)s); they count as average.",
            {"absent": len(absent), "wanted": len(features), "example": absent[0]},
        )
        remarks.insert(0, Remark(said, flagged=len(absent) > len(features) // 20))
    return Conformed(found, remarks)


def of_nobody(reference: Reference) -> OmicsMatrix:
    """The genes of the study, measured in nobody."""
    features = reference.described["features"]
    return arranged(np.empty(0, dtype=str), np.empty((0, len(features)), np.float32), reference)


def arranged(patient_ids: np.ndarray, values: np.ndarray, reference: Reference) -> OmicsMatrix:
    """Values (n, g) in the order and the groups of the study."""
    return OmicsMatrix(
        patient_ids,
        np.array(reference.described["features"], dtype=str),
        values,
        np.array(reference.described["groups"], dtype=str),
        reference.arrays["group_offsets"].astype(np.int64),
        reference.arrays["group_index"].astype(np.int64),
    )


def remarks_on_scale(matrix: OmicsMatrix, kept: Any, what: str) -> Iterator[Remark]:
    """A remark for every patient whose values lie elsewhere than those of the study.

    Raises UserInputError where those of most patients are on another scale.
    """
    kinds = kinds_of(matrix.features.tolist(), kept["suffixes"])
    for kind, scale in kept["scales"].items():
        own = quantiles_of(matrix.values[:, kinds == kind])
        apart = np.abs(own - np.array(scale["mean"])) / np.array(scale["unit"])
        known = np.isfinite(apart).all(axis=1)
        if not known.any():
            continue
        farthest = apart[known].max(axis=1)
        middle = len(LEVELS) // 2
        if np.median(farthest) > ANOTHER_SCALE:
            raise UserInputError(
                f"{what}: values of the data type {kind} are on another scale than those of the "
                f"study: half of a patient's values lie below {np.median(own[known][:, middle]):g} "
                f"and 95 of 100 below {np.median(own[known][:, -1]):,.4g}, in the study below "
                f"{scale['mean'][middle]:.3g} and {scale['mean'][-1]:.3g}. Give them as the study "
                "had them (log2 of TPM + 1, say, not raw counts)"
            )
        for patient, far in zip(matrix.patient_ids[known].tolist(), farthest, strict=True):
            if far > UNUSUAL:
                said = Message(
                    "The values of the data type %(kind)s are distributed otherwise than in any "
                    "usual patient of the study: another scale, unit or laboratory?",
                    {"kind": kind},
                )
                yield Remark(said, patient)
