"""Explanations of the models of each fold for their test patients, and the file that holds them.

Layout of `<model>.explain.h5`: one group per fold, `r<repeat>f<fold>`, with `patient_id`, `risk`
and `at_average`, all (n,), and `group_attention` (n, K); below `attribution` and `same_sign` one
dataset (n, parts) for each of "omics" and "clinical", whose attribute `names` lists the parts;
below `permuted` one dataset (draws, n) per modality; below `attention_agreement` one dataset (n,)
for "slides" and "groups".
No outcome is stored here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from survfuse.artifacts.layout import fold_name
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path
from survfuse.core.hdf5_files import new_hdf5, open_hdf5, write_checked


@dataclass(frozen=True)
class FoldExplanation:
    """One ensemble and its n test patients. Everything in units of the risk, higher is worse.

    risk: of the ensemble. at_average: the same with the genes and covariates of the average
    training patient and the patient's own slides. names[m] and attribution[m] (n, parts):
    integrated gradients of the risk, summed within each gene group (m = "omics") or covariate
    ("clinical"); over all parts they sum to risk - at_average. same_sign[m]: share of the members
    whose attribution has the sign of the mean. permuted[m] (draws, n): risk with the modality of
    another patient. group_attention (n, K): shares of the gene groups, K = 0 for a model without.
    attention_agreement: mean Spearman correlation between the members' weights of "slides" (tiles)
    and "groups". NaN: the patient lacks the modality, or there is one member only.
    """

    repeat: int
    fold: int
    members: int
    patient_ids: tuple[str, ...]
    risk: np.ndarray
    at_average: np.ndarray
    names: dict[str, tuple[str, ...]]
    attribution: dict[str, np.ndarray]
    same_sign: dict[str, np.ndarray]
    permuted: dict[str, np.ndarray]
    group_attention: np.ndarray
    attention_agreement: dict[str, np.ndarray]

    @property
    def gap(self) -> np.ndarray:
        """(n,) what the attributions fail to account for; 0 for a perfect integration."""
        accounted = sum((np.nansum(v, axis=1) for v in self.attribution.values()), np.zeros(1))
        return self.risk - self.at_average - accounted


def find_patient(
    explanations: Sequence[FoldExplanation], patient_id: str
) -> tuple[FoldExplanation, int] | None:
    """The first fold that tested the patient, and the patient's row in it."""
    for explanation in explanations:
        if patient_id in explanation.patient_ids:
            return explanation, explanation.patient_ids.index(patient_id)
    return None


def write_explanations(path: Path, explanations: Sequence[FoldExplanation]) -> None:
    """Write all folds of one model, atomically."""
    with atomic_path(path) as temporary, new_hdf5(temporary, track_order=True) as file:
        for one in explanations:
            group = file.create_group(fold_name(one.repeat, one.fold), track_order=True)
            group.attrs.update(repeat=one.repeat, fold=one.fold, members=one.members)
            group["patient_id"] = np.array(one.patient_ids, dtype=h5py.string_dtype())
            write_checked(group, "risk", one.risk)
            write_checked(group, "at_average", one.at_average)
            write_checked(group, "group_attention", one.group_attention.astype(np.float32))
            for name in ("attribution", "same_sign", "permuted", "attention_agreement"):
                parts = group.create_group(name, track_order=True)
                for modality, values in getattr(one, name).items():
                    write_checked(parts, modality, values.astype(np.float32))
            for modality, names in one.names.items():
                group["attribution"][modality].attrs["names"] = json.dumps(names)


def read_explanations(path: Path) -> tuple[FoldExplanation, ...]:
    """Read what `write_explanations` wrote. Raises UserInputError if it is not such a file."""
    try:
        with open_hdf5(path) as file:
            return tuple(read_fold(group) for group in file.values())
    except FileNotFoundError:
        raise UserInputError(
            f"{path}: no such file; run the stage that explains the model"
        ) from None
    except (OSError, KeyError) as error:
        raise UserInputError(
            f"{path}: not readable as explanations ({error}); explain the model again"
        ) from None


def read_fold(group: h5py.Group) -> FoldExplanation:
    """One fold of an open file."""

    def parts(name: str) -> dict[str, np.ndarray]:
        return {modality: values[:].astype(float) for modality, values in group[name].items()}

    return FoldExplanation(
        repeat=int(group.attrs["repeat"]),
        fold=int(group.attrs["fold"]),
        members=int(group.attrs["members"]),
        patient_ids=tuple(group["patient_id"].asstr()[:]),
        risk=group["risk"][:],
        at_average=group["at_average"][:],
        names={
            modality: tuple(json.loads(values.attrs["names"]))
            for modality, values in group["attribution"].items()
        },
        attribution=parts("attribution"),
        same_sign=parts("same_sign"),
        permuted=parts("permuted"),
        group_attention=group["group_attention"][:].astype(float),
        attention_agreement=parts("attention_agreement"),
    )
