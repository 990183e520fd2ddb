"""The synthesis stage: one generator per direction, fitted on the training part of one fold.

A generator sees the complete pairs of the fold's training patients and nobody else. It is then
shown the sources of patients who lack the target, and of the fold's test patients who have both,
whose real target it is measured against. Training patients who have both get a synthetic target
too, for when training hides the real one, and by generators that have not learned from them: a
model that learned with better ones than it will meet would trust them too much.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from survfuse.artifacts.checkpoint import ids_hash, software
from survfuse.artifacts.layout import SynthesisFolder, fold_numbers
from survfuse.artifacts.manifest import table_digest
from survfuse.config.study import Config
from survfuse.config.synthesis import SynthesisConfig
from survfuse.core.device import choose_device
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, sha256_file, sha256_json, write_json
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.volumes.store import read_tensor, write_tensor
from survfuse.modalities.volumes.synthetic import write_synthetic
from survfuse.synthesis.fit import FittedGenerator, fit_generator
from survfuse.synthesis.make import (
    controls_of,
    make_volume,
    mean_volume,
    seed_of_direction,
    seed_of_patient,
)
from survfuse.synthesis.measures import measures, summary
from survfuse.synthesis.pairs import FoldImages, Pairs, read_fold, read_volume
from survfuse.training.engine import keep_freed_memory
from survfuse.training.resume import Resume

log = logging.getLogger(__name__)

SCHEMA = 1
Made = tuple[str, str, Path]  # patient, modality, tensor relative to the stage's folder


@dataclass(frozen=True)
class Direction:
    """What is made, from what, and where the results of the fold go."""

    target: str
    settings: SynthesisConfig
    images: FoldImages
    seed: int
    out: Path

    @property
    def source(self) -> str:
        """The modality that it is made from."""
        return MODALITIES[self.target].made_from

    def path_of(self, patient: str) -> Path:
        """Where a made volume lies, relative to `out`."""
        return Path("volumes") / f"{patient}_{self.target}.safetensors"


def synthesise_fold(
    config: Config, fold_directory: Path, images_manifest: Path, out: Path, device: str = "auto"
) -> None:
    """Fit the generators of one fold and write what they make to `out`.

    Writes synthetic.tsv (patient_id, modality, tensor), the tensors, the generators' weights and
    synthesis.json (how they were fitted, and measurements on the fold's test pairs). An
    interrupted fit continues. Raises UserInputError without `synthesis` in the configuration or
    with fewer pairs than `synthesis.min_pairs`.
    """
    settings = config.synthesis
    if settings is None:
        raise UserInputError(
            "synthesis is not set in the configuration; there is nothing to synthesise"
        )
    keep_freed_memory()
    torch.set_num_threads(config.training.threads)
    repeat, fold = fold_numbers(fold_directory)
    images = read_fold(fold_directory, images_manifest, config.imaging.visit)
    scratch = out.parent / ".scratch" / out.name
    made: list[Made] = []
    directions: dict[str, Any] = {}
    for number, target in enumerate(settings.directions):
        seed = seed_of_direction(settings, (repeat, fold), number)
        direction = Direction(target, settings, images, seed, out)
        train, validation = training_pairs(direction)
        key = resume_key(settings, seed, train, validation)
        resume = Resume(scratch / f"{target}.safetensors", key)
        where = choose_device(device)
        log.info(
            "%s from %s: %d pairs, %d for validation",
            target,
            direction.source,
            len(train),
            len(validation),
        )
        fitted = fit_generator(train, validation, settings, seed, where, resume)
        figures = measured(direction, fitted, train)
        made += [(patient, target, direction.path_of(patient)) for patient in figures]
        made += fill_in(direction, fitted, validation)
        if settings.cross_fit:
            made += cross_fitted(direction, train, validation, where, resume)
        directions[target] = described(direction, fitted, train, validation, figures)
    write_synthetic(out, made)
    write_json(
        SynthesisFolder(out).measures,
        {
            "schema": SCHEMA,
            "repeat": repeat,
            "fold": fold,
            "settings": settings.model_dump(mode="json"),
            "images_sha256": table_digest(images_manifest),
            "directions": directions,
            "software": software(),
        },
    )
    shutil.rmtree(scratch, ignore_errors=True)


def training_pairs(direction: Direction) -> tuple[Pairs, Pairs]:
    """The complete pairs of the fold's training patients, and of its validation ones.

    Raises UserInputError where there are fewer of the former than `min_pairs`.
    """
    images, target = direction.images, direction.target
    train = images.of(images.complete(images.train), target)
    if len(train) < direction.settings.min_pairs:
        raise UserInputError(
            f"{len(train)} training patients of this fold have both MRI and PET, fewer than "
            f"synthesis.min_pairs = {direction.settings.min_pairs}; leave out the section "
            "synthesis, or lower that number"
        )
    return train, images.of(images.complete(images.validation), target)


def resume_key(settings: SynthesisConfig, seed: int, train: Pairs, validation: Pairs) -> str:
    """Hash of everything that a fit depends on."""
    files = [
        sha256_file(p) for pairs in (train, validation) for p in (*pairs.sources, *pairs.targets)
    ]
    return sha256_json([settings.model_dump(mode="json"), seed, train.patients, files, software()])


def write_made(
    direction: Direction, fitted: FittedGenerator, patient: str, source_path: Path
) -> Path:
    """Make a patient's target and write it where it belongs; returns the file."""
    source, mask, prepared = read_volume(source_path)
    seed = seed_of_patient(direction.seed, patient)
    made = make_volume(fitted.generator, source, mask, direction.settings, seed)
    path = direction.out / direction.path_of(patient)
    write_tensor(path, made, mask, prepared.affine, prepared.volume.dtype.name)
    return path


def fill_in(direction: Direction, fitted: FittedGenerator, validation: Pairs) -> list[Made]:
    """Make the target of everybody in the fold who lacks it and has its source.

    And of the validation patients, who were used for early stopping only.
    """
    sources = direction.images.tensors[direction.source]
    patients = (*direction.images.lacking(direction.target), *validation.patients)
    for patient in patients:
        write_made(direction, fitted, patient, sources[patient])
    return [(patient, direction.target, direction.path_of(patient)) for patient in patients]


def cross_fitted(
    direction: Direction, train: Pairs, validation: Pairs, where: torch.device, resume: Resume
) -> list[Made]:
    """Make the target of each half of the training pairs by a generator fitted on the other."""
    order = np.random.default_rng(direction.seed).permutation(len(train))
    halves = [np.sort(order[0::2]).tolist(), np.sort(order[1::2]).tolist()]
    made: list[Made] = []
    for number, half in enumerate(halves):
        learned = train.rows(halves[1 - number])
        seed = int(np.random.SeedSequence([direction.seed, number]).generate_state(1)[0] >> 1)
        key = resume_key(direction.settings, seed, learned, validation)
        kept = Resume(resume.path.with_suffix(f".half{number}.safetensors"), key)
        fitted = fit_generator(learned, validation, direction.settings, seed, where, kept)
        shown = train.rows(half)
        for patient, source_path in zip(shown.patients, shown.sources, strict=True):
            write_made(direction, fitted, patient, source_path)
            made.append((patient, direction.target, direction.path_of(patient)))
    return made


def measured(
    direction: Direction, fitted: FittedGenerator, train: Pairs
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Patient -> synthetic, training_mean or copied_source -> measures, of the fold's test pairs.

    What is measured is what was written, rounded as it is there.
    """
    images = direction.images
    test = images.of(images.complete(images.test), direction.target)
    mean = mean_volume(train)
    figures = {}
    for patient, source_path, target_path in zip(
        test.patients, test.sources, test.targets, strict=True
    ):
        path = write_made(direction, fitted, patient, source_path)
        source, mask, _ = read_volume(source_path)
        real, brain, _ = read_volume(target_path)
        candidates = {
            "synthetic": read_tensor(path).volume.astype(np.float32),
            **controls_of(mean, source, mask),
        }
        figures[patient] = {
            name: measures(volume, real, brain, mean) for name, volume in candidates.items()
        }
    return figures


def described(
    direction: Direction,
    fitted: FittedGenerator,
    train: Pairs,
    validation: Pairs,
    figures: dict[str, dict[str, dict[str, float | None]]],
) -> dict[str, Any]:
    """What synthesis.json says of a direction; writes the weights beside it."""
    from safetensors.torch import save_file

    weights = direction.out / f"generator_{direction.target}.safetensors"
    with atomic_path(weights) as temporary:
        save_file({k: v.contiguous() for k, v in fitted.weights.items()}, temporary)
    progress = fitted.progress
    return {
        "source": direction.source,
        "generator": direction.settings.generator,
        "weights": weights.name,
        "weights_sha256": sha256_file(weights),
        "fit": {
            "n_train": len(train),
            "n_validation": len(validation),
            "ids_sha256": ids_hash([*train.patients, *validation.patients]),
            "epochs": len(progress.history),
            "best_epoch": progress.best_epoch,
            "history": list(progress.history),
        },
        "n_filled_in": len(direction.images.lacking(direction.target)),
        "test": {
            "n": len(figures),
            "measures": {
                name: summary([row[name] for row in figures.values()])
                for name in ("synthetic", "training_mean", "copied_source")
            },
            "patients": {patient: row["synthetic"] for patient, row in figures.items()},
        },
    }
