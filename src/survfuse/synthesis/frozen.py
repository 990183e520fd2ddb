"""Volumes of new patients from the generators of a finished study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from survfuse.artifacts.layout import SynthesisFolder, fold_numbers
from survfuse.config.synthesis import SynthesisConfig
from survfuse.core.device import choose_device
from survfuse.core.files import read_object
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.volumes.modality import VolumeFiles, paths_of
from survfuse.modalities.volumes.store import write_tensor
from survfuse.synthesis.build import build_generator
from survfuse.synthesis.make import make_volume, seed_of_direction, seed_of_patient
from survfuse.synthesis.pairs import read_volume


def synthesise_new(
    generators: Path, settings: SynthesisConfig, inputs: CohortInputs, out: Path, device: str
) -> dict[str, VolumeFiles]:
    """Make what patients lack by the generators of one fold; returns it by modality.

    `generators`: the folder of the fold, named after it, with its weights and synthesis.json.
    """
    made: dict[str, VolumeFiles] = {}
    described = read_object(SynthesisFolder(generators).measures)["directions"]
    for number, target in enumerate(settings.directions):
        sources = paths_of(inputs.stores.get(MODALITIES[target].made_from))
        there = paths_of(inputs.stores.get(target))
        lacking = [patient for patient in sources if patient not in there]
        if lacking:
            weights = generators / described[target]["weights"]
            seed = seed_of_direction(settings, fold_numbers(generators), number)
            own = make_all(weights, settings, {p: sources[p] for p in lacking}, seed, device)
            made[target] = VolumeFiles(written(own, out, target))
    return made


def make_all(
    weights: Path, settings: SynthesisConfig, sources: dict[str, Path], seed: int, device: str
) -> dict[str, tuple[Any, Any, Any]]:
    """Volume, mask and the source's volume of each patient, as `synthesis.stage` makes them."""
    generator = build_generator(settings)
    generator.load_state_dict(load_file(weights))
    generator.to(choose_device(device)).eval()
    found = {}
    for patient, path in sources.items():
        source, mask, prepared = read_volume(path)
        volume = make_volume(generator, source, mask, settings, seed_of_patient(seed, patient))
        found[patient] = (volume, mask, prepared)
    return found


def written(made: dict[str, tuple[Any, Any, Any]], out: Path, target: str) -> dict[str, Path]:
    """The files of volumes that were made, by patient."""
    paths = {}
    for patient, (volume, mask, prepared) in made.items():
        paths[patient] = out / f"{patient}_{target}.safetensors"
        write_tensor(paths[patient], volume, mask, prepared.affine, prepared.volume.dtype.name)
    return paths
