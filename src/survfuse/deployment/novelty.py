"""Whether what is known of a new patient is unlike what was known of the patients of the study.

For every modality by itself (`statistics.novelty`), and for every two of them together
(`statistics.agreement`), from the columns that models of one row of numbers read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

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
from survfuse.statistics.agreement import Agreement, fit_agreement
from survfuse.statistics.novelty import Novelty, fit_novelty

FLAGGED = 0.01  # p-values below it
LEAST_PATIENTS = 30  # of the study with a modality; fewer say too little of what is usual


@dataclass(frozen=True)
class Unusual:
    """P-values of new patients, each the share of study patients who are as unusual.

    alone: by patient and modality. together: by patient and two modalities, "clinical+omics".
    """

    alone: Mapping[str, Mapping[str, float]]
    together: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Columns:
    """What is known of the patients who have a modality, (n, c)."""

    ids: Sequence[str]
    matrix: np.ndarray

    def of(self, ids: Sequence[str]) -> np.ndarray:
        """(m, c) of some of them."""
        row_of = {patient: row for row, patient in enumerate(self.ids)}
        rows: np.ndarray = self.matrix[[row_of[patient] for patient in ids]]
        return rows


def columns_of(
    inputs: CohortInputs, scalers: Scalers, names: Sequence[str], ids: Sequence[str]
) -> dict[str, Columns]:
    """By modality; one that none of the patients has is left out."""
    found = {}
    for name in names:
        has = inputs.available(name, ids)
        own = [patient for patient, there in zip(ids, has, strict=True) if there]
        if own:
            matrix, _ = modality(name).columns(inputs.stores[name], scalers.fitted[name], own)
            found[name] = Columns(own, matrix)
    return found


def both(first: Columns, second: Columns) -> list[str]:
    """The patients who have two modalities."""
    others = set(second.ids)
    return [patient for patient in first.ids if patient in others]


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
    known = columns_of(inputs, scalers, list(scalers.fitted), list(folds))
    arrays, alone, pairs = dict[str, np.ndarray](), list[str](), list[str]()
    for name, own in known.items():
        numbers = np.array([folds[patient] for patient in own.ids])
        if len(own.ids) < LEAST_PATIENTS or len(np.unique(numbers)) < 2:
            continue
        found = fit_novelty(own.matrix, numbers)
        arrays |= {f"novelty/{name}.{key}": values for key, values in found.arrays().items()}
        alone.append(name)
    for first, second in combinations(alone, 2):
        ids = both(known[first], known[second])
        numbers = np.array([folds[patient] for patient in ids])
        if len(ids) < LEAST_PATIENTS or len(np.unique(numbers)) < 2:
            continue
        agreement = fit_agreement(known[first].of(ids), known[second].of(ids), numbers)
        if agreement is not None:
            pair = f"{first}+{second}"
            arrays |= {f"agreement/{pair}.{key}": v for key, v in agreement.arrays().items()}
            pairs.append(pair)
    arrays |= {f"scaling/{key}": values for key, values in scalers.arrays().items()}
    described = {"modalities": alone, "pairs": pairs, "scaling": scalers.to_json()}
    write_json(files.novelty, described)
    with atomic_path(files.novelty_arrays) as temporary:
        save_file({key: np.asarray(values, order="C") for key, values in arrays.items()}, temporary)


def unusual(files: PackageFolder, inputs: CohortInputs) -> Unusual:
    """How likely a patient of the study would be as unlike the others, or as unlike one person."""
    described, arrays = read_object(files.novelty), load_file(files.novelty_arrays)
    names, ids = described["modalities"], inputs.patients.index.tolist()
    scalers = Scalers.from_stored(under(arrays, "scaling/"), described["scaling"], names)
    known = columns_of(inputs, scalers, names, ids)
    alone: dict[str, dict[str, float]] = {patient: {} for patient in ids}
    together: dict[str, dict[str, float]] = {patient: {} for patient in ids}
    for name, own in known.items():
        novelty = Novelty.from_arrays(under(arrays, f"novelty/{name}."))
        for patient, p in zip(own.ids, novelty.p_value(own.matrix).tolist(), strict=True):
            alone[patient][name] = p
    for pair in described["pairs"]:
        first, second = (known.get(name) for name in pair.split("+"))
        if first is None or second is None or not (own_ids := both(first, second)):
            continue
        agreement = Agreement.from_arrays(under(arrays, f"agreement/{pair}."))
        found = agreement.p_value(first.of(own_ids), second.of(own_ids))
        for patient, p in zip(own_ids, found.tolist(), strict=True):
            together[patient][pair] = p
    return Unusual(alone, together)


def remarks_on(found: Unusual) -> list[Remark]:
    """A remark for everything of a patient that is flagged."""
    kinds = ((found.alone, sentence_on), (found.together, sentence_on_pair))
    return [
        Remark(sentence(name, p), patient)
        for p_by_patient, sentence in kinds
        for patient, own in p_by_patient.items()
        for name, p in own.items()
        if p < FLAGGED
    ]


def sentence_on(name: str, p: float) -> str:
    """That a modality of a patient is unlike those of the study."""
    return (
        f"{MODALITIES[name].label}: unlike that of the study, of whose patients fewer than "
        f"{100 * FLAGGED:g} in 100 are as far from the others (p = {p:.2g}). Another scanner, "
        "laboratory or disease?"
    )


def sentence_on_pair(pair: str, p: float) -> str:
    """That two modalities of a patient do not go together."""
    first, second = (MODALITIES[name] for name in pair.split("+"))
    return (
        f"{first.label} and {second.noun} go together less than in the study, of whose patients "
        f"fewer than {100 * FLAGGED:g} in 100 differ as much (p = {p:.2g}). Are both of this "
        "patient?"
    )
