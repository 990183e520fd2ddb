"""Whether what is known of a new patient is unlike what was known of the patients of the study.

For every modality by itself, from the columns that models of one row of numbers read; see
`statistics.novelty` for the score and its p-value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from safetensors.numpy import load_file, save_file

from survfuse.artifacts.checkpoint import under
from survfuse.artifacts.package_layout import PackageFolder
from survfuse.config.study import Config
from survfuse.core.files import atomic_path, read_object, write_json
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.conformity import Remark
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.scaling import Scalers, fit_scalers
from survfuse.statistics.novelty import Novelty, fit_novelty

FLAGGED = 0.01  # p-values below it
LEAST_PATIENTS = 30  # of the study with a modality; fewer say too little of what is usual


def write_novelty(
    files: PackageFolder,
    inputs: CohortInputs,
    folds: Mapping[str, int],
    reads: Sequence[str],
    config: Config,
) -> None:
    """Write what is usual in the study, of every modality that enough of its patients have.

    `folds`: the fold of the first repeat that tests each patient.
    """
    scalers = fit_scalers(inputs, list(folds), reads, config)
    arrays, kept = dict[str, np.ndarray](), list[str]()
    for name, scaling in scalers.fitted.items():
        has = inputs.available(name, list(folds))
        ids = [patient for patient, there in zip(folds, has, strict=True) if there]
        numbers = np.array([folds[patient] for patient in ids])
        if len(ids) < LEAST_PATIENTS or len(np.unique(numbers)) < 2:
            continue
        columns, _ = modality(name).columns(inputs.stores[name], scaling, ids)
        found = fit_novelty(columns, numbers)
        arrays |= {f"novelty/{name}.{key}": values for key, values in found.arrays().items()}
        kept.append(name)
    arrays |= {f"scaling/{key}": values for key, values in scalers.arrays().items()}
    write_json(files.novelty, {"modalities": kept, "scaling": scalers.to_json()})
    with atomic_path(files.novelty_arrays) as temporary:
        save_file({key: np.asarray(values, order="C") for key, values in arrays.items()}, temporary)


def p_values(files: PackageFolder, inputs: CohortInputs) -> dict[str, dict[str, float]]:
    """By patient and modality: how likely a patient of the study would be as unlike the others."""
    described = read_object(files.novelty)
    arrays = load_file(files.novelty_arrays)
    names = described["modalities"]
    scalers = Scalers.from_stored(under(arrays, "scaling/"), described["scaling"], names)
    ids = inputs.patients.index.tolist()
    found: dict[str, dict[str, float]] = {patient: {} for patient in ids}
    for name in names:
        has = inputs.available(name, ids)
        own = [patient for patient, there in zip(ids, has, strict=True) if there]
        if not own:
            continue
        columns, _ = modality(name).columns(inputs.stores[name], scalers.fitted[name], own)
        novelty = Novelty.from_arrays(under(arrays, f"novelty/{name}."))
        for patient, p in zip(own, novelty.p_value(columns).tolist(), strict=True):
            found[patient][name] = p
    return found


def remarks_on(p_by_patient: Mapping[str, Mapping[str, float]]) -> list[Remark]:
    """A remark for every patient and modality that is flagged."""
    return [
        Remark(sentence_on(name, p), patient, modality=name)
        for patient, found in p_by_patient.items()
        for name, p in found.items()
        if p < FLAGGED
    ]


def sentence_on(name: str, p: float) -> str:
    """That a modality of a patient is unlike those of the study."""
    return (
        f"{MODALITIES[name].label}: unlike that of the study, of whose patients fewer than "
        f"{100 * FLAGGED:g} in 100 are as far from the others (p = {p:.2g}). Another scanner, "
        "laboratory or disease?"
    )
