"""Reading what a model sees of patients: every modality of the study, joined by patient id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse.artifacts.cohort_tables import read_clinical
from survfuse.artifacts.layout import SynthesisFolder
from survfuse.core.files import atomic_path, sha256_file, sha256_json
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.protocol import Store
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.volumes.modality import VolumeFiles
from survfuse.modalities.volumes.synthetic import recorded_hashes, unchanged_synthetic


def there(paths: InputPaths) -> list[str]:
    """The modalities whose files are named, in their usual order."""
    return [
        name
        for name, entry in MODALITIES.items()
        if not entry.source or entry.source in paths.files
    ]


def one_of_each_source(names: Iterable[str]) -> Iterator[str]:
    """The first modality of every file; what is recorded of a file is recorded once."""
    yield from {MODALITIES[name].source: name for name in reversed(list(names))}.values()


def load_inputs(paths: InputPaths, patient_ids: Collection[str] | None = None) -> CohortInputs:
    """Read the inputs of the cohort; what is large, of some patients alone if they are named.

    Raises UserInputError where a file is not there, of another kind or not the one that its stage
    wrote, and where slides have embeddings of different widths.
    """
    stores: dict[str, Store] = {}
    for name in there(paths):
        store = modality(name).open(paths, patient_ids)
        if store is not None:
            stores[name] = store
    return CohortInputs(read_clinical(paths.clinical).set_index("patient_id"), stores)


def for_fold(
    paths: InputPaths,
    inputs: CohortInputs,
    fold: str,
    patient_ids: Collection[str] | None = None,
) -> CohortInputs:
    """The same inputs with the volumes that were synthesised for a fold.

    Raises UserInputError where one is not the one that was made.
    """
    if paths.synthesis is None:
        return inputs
    made = unchanged_synthetic(paths.synthesis / fold, patient_ids)
    return replace(inputs, synthetic={name: VolumeFiles(of) for name, of in made.items()})


def digest(paths: InputPaths, fold: str | None = None) -> str:
    """Hash of the contents, by which interrupted work is recognised.

    Embeddings and volumes are among them, by the hashes that their tables hold; where they lie
    and how long they took is not.
    """
    made = SynthesisFolder(paths.synthesis / fold).measures if paths.synthesis and fold else None
    found: dict[str, Any] = {
        name: modality(name).digest(paths) for name in one_of_each_source(there(paths))
    }
    files = [sha256_file(paths.splits), sha256_file(made) if made else None]
    return sha256_json([paths.visit, files, found])


def recorded(paths: InputPaths, inputs: CohortInputs, fold: str) -> list[tuple[str, ...]]:
    """(patient, ...) for everything that a model may read of a patient, by the hash of its content.

    Of embeddings and volumes these are the hashes that their tables hold; that they are true is
    checked where the files are read.
    """
    found = [
        row
        for name in one_of_each_source(there(paths))
        for row in modality(name).hashes(paths, inputs.stores.get(name))
    ]
    return found + (recorded_hashes(paths.synthesis / fold) if paths.synthesis else [])


def write_availability(paths: InputPaths, out: Path) -> None:
    """Write who has which modality: patient_id, and 0 or 1 for each modality of the study.

    Raises UserInputError where slides were embedded by different encoders.
    """
    ids = read_clinical(paths.clinical)["patient_id"].tolist()
    columns = {name: modality(name).who_has(paths, ids).astype(int) for name in there(paths)}
    with atomic_path(out) as temporary:
        table = pd.DataFrame({"patient_id": ids, **columns})
        table.to_csv(temporary, sep="\t", index=False, lineterminator="\n")
