"""Whether what is known of a new patient is unlike what was known of the patients of the study.

For every modality by itself (`statistics.new_patients.novelty`), and for every two of them together
(`statistics.new_patients.agreement`), from the columns that models of one row of numbers read.
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
from survfuse.core.messages import Message
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.conformity import Remark
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.scaling import Scalers, fit_scalers
from survfuse.statistics.new_patients.agreement import Agreement, fit_agreement
from survfuse.statistics.new_patients.novelty import Novelty, fit_novelty

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


def reference_sizes(files: PackageFolder) -> dict[str, int]:
    """The study patients whom p-values were taken from, by modality and by two modalities."""
    arrays = load_file(files.novelty_arrays)
    return {
        name.split("/", 1)[1].removesuffix(".n"): int(value)
        for name, value in arrays.items()
        if name.startswith(("novelty/", "agreement/")) and name.endswith(".n")
    }


def remarks_on(found: Unusual) -> list[Remark]:
    """A remark for everything of a patient that is flagged."""
    kinds = ((found.alone, unlike), (found.together, not_together))
    return [
        Remark(message(name, p), patient, modality=name)
        for p_by_patient, message in kinds
        for patient, own in p_by_patient.items()
        for name, p in own.items()
        if p < FLAGGED
    ]


def unlike(name: str, p: float) -> Message:
    """That a modality of a patient is unlike those of the study."""
    return Message(
        "Unlike the study: the %(noun)s of this patient. Of 100 patients of the study fewer than "
        "%(most)s are as far from the others (p = %(p)s). Another scanner, laboratory or disease?",
        {"most": round(100 * FLAGGED), "p": float(f"{p:.2g}")},
        {"noun": MODALITIES[name].noun},
    )


def not_together(pair: str, p: float) -> Message:
    """That two modalities of a patient do not go together."""
    first, second = (MODALITIES[name] for name in pair.split("+"))
    return Message(
        "Not as in the study: how the %(first)s and the %(second)s of this patient go together. Of "
        "100 patients of the study fewer than %(most)s differ as much (p = %(p)s). Are both of "
        "this patient?",
        {"most": round(100 * FLAGGED), "p": float(f"{p:.2g}")},
        {"first": first.noun, "second": second.noun},
    )
