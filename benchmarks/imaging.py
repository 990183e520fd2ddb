"""The imaging arm: cost of preparing a volume, worth and cost of synthesis, cost of the networks.

    python benchmarks/imaging.py [--part prepare ...] [--json FILE] [--generator unet]
        [--target pet] [--t1 FILE --template FILE]

prepare: CPU seconds for one T1 of 256 x 256 x 180 voxels with everything switched on (N4, brain
mask, affine registration to a template, resampling, scaling, pictures, files), one thread, and the
peak of memory. Without --t1 and --template it takes simulated heads; a real T1 is brought to 256 x
256 x 180 voxels of its own field of view first.

synthesis: PET made from MRI (--target mri: the other way) on a simulated memory clinic of 60
patients, one split (40 train, 8 validation, 12 test), by the default generator; the error within
the brain over that of the training mean. Other generators: --generator.

synth_step: CPU seconds of a full training step of the chosen generator at its default size, at
1 x 96 x 128 x 96 voxels (of vqgan: generator, discriminator and both optimisers), one thread, and
the peaks of memory of making a volume and of training.

models: CPU seconds per patient of ITCFN and the MRI CNN, forward and backward, two patients of 96 x
128 x 96 voxels, one thread, and the peaks of memory in prediction and training; and by how much the
content of a missing volume changes a prediction of ITCFN where it is masked.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/fixtures"))

from imaging_models import mask_invariance, model_cost, peak_mib

from imaging_fixture import brain_of, head, save
from survfuse.config.imaging import ImagingConfig
from survfuse.config.synthesis import SynthesisConfig
from survfuse.modalities.volumes.batch import process_batch
from survfuse.modalities.volumes.grid import grid_around, resampled
from survfuse.modalities.volumes.placement import VolumeRow
from survfuse.modalities.volumes.reading.reader import read_volume
from survfuse.modalities.volumes.store import read_manifest
from survfuse.modalities.volumes.volume import Volume, to_ras
from survfuse.simulation.brain_geometry import Grid
from survfuse.synthesis.build import build_generator
from survfuse.synthesis.fit import fit_generator
from survfuse.synthesis.generator import PairBatch, inputs_of
from survfuse.synthesis.make import controls_of, make_volume, mean_volume
from survfuse.synthesis.measures import measures, summary
from survfuse.synthesis.pairs import read_fold
from survfuse.synthesis.pairs import read_volume as read_prepared
from synthesis_fixture import clinic, fold

PARTS = ("prepare", "synthesis", "synth_step", "models")
FULL_GRID = (96, 128, 96)
STEPS = 3  # timed, after one that is not
SHAPE = (256, 256, 180)


def of_full_size(volume: Volume) -> Volume:
    """The volume on 256 x 256 x 180 voxels that cover its field of view."""
    ras = to_ras(volume)
    extent = np.asarray(ras.data.shape) * ras.spacing_mm
    x, y, z = (float(side / count) for side, count in zip(extent, SHAPE, strict=True))
    return resampled(ras, grid_around(ras.grid.centre_mm, (x, y, z), SHAPE))


def prepare(t1: Path | None, template: Path | None) -> dict[str, float]:
    """CPU seconds, wall seconds and peak memory of one volume."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        volume = of_full_size(read_volume(t1) if t1 else head(turned_degrees=6))
        save(volume, folder / "t1.nii.gz")
        if template is None:
            other = head(2.0, 108, seed=1)
            bare = np.where(brain_of(other), other.data, 0).astype(np.float32)
            template = save(replace(other, data=bare), folder / "template.nii.gz")
        config = ImagingConfig(template=template)
        row = VolumeRow("P1", "m00", "t1", folder / "t1.nii.gz", None, None, None)
        began, wall = time.process_time(), time.perf_counter()
        process_batch([row], config, folder / "out", folder / "0.tsv")
        taken, waited = time.process_time() - began, time.perf_counter() - wall
        status = read_manifest(folder / "0.tsv")[0]
    print(f"{status.status}: {taken:.1f} CPU-s, {waited:.1f} s, peak {peak_mib()} MiB")
    print(f"Dice with the template {status.dice}, {status.reason or 'nothing to note'}")
    return {
        "prepare_cpu_s": round(taken, 2),
        "prepare_dice": round(status.dice or 0.0, 4),
        "prepare_peak_mib": peak_mib(),
    }


def synthesis(settings: SynthesisConfig, target: str) -> dict[str, float]:
    """Worth of a generator and of the controls on the simulated clinic, seed 1."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest, ids, _ = clinic(folder / "images", 60, 1, Grid((24, 32, 24), 6.0))
        directory = fold(folder / "splits", ids[:40], ids[40:48], ids[48:])
        images = read_fold(directory, manifest, None)
        parts = (images.train, images.validation, images.test)
        train, validation, test = (images.of(part, target) for part in parts)
        began = time.process_time()
        fitted = fit_generator(train, validation, settings, 0, torch.device("cpu"))
        taken, mean = time.process_time() - began, mean_volume(train)
        figures: dict[str, list[dict[str, float | None]]] = {}
        for source_path, target_path in zip(test.sources, test.targets, strict=True):
            source, mask, _ = read_prepared(source_path)
            real, brain, _ = read_prepared(target_path)
            made = make_volume(fitted.generator, source, mask, settings, 0)
            for name, volume in {"synthetic": made, **controls_of(mean, source, mask)}.items():
                figures.setdefault(name, []).append(measures(volume, real, brain, mean))
    told = {name: summary(rows) for name, rows in figures.items()}
    for name, row in told.items():
        print(f"{name}: " + ", ".join(f"{key} {value['mean']}" for key, value in row.items()))
    error = {name: float(row["masked_mae"]["mean"] or 0) for name, row in told.items()}
    print(f"{settings.generator}: {len(fitted.progress.history)} epochs, {taken:.0f} CPU-s")
    return {
        "synthesis_vs_mean_mae": round(error["synthetic"] / error["training_mean"], 4),
        "synthesis_vs_copy_mae": round(error["synthetic"] / error["copied_source"], 4),
        "synthesis_ssim": float(told["synthetic"]["masked_ssim"]["mean"] or 0),
        "synthesis_mean_ssim": float(told["training_mean"]["masked_ssim"]["mean"] or 0),
        "synthesis_fit_cpu_s": round(taken, 1),
    }


def synth_step(settings: SynthesisConfig) -> dict[str, float]:
    """CPU seconds of one training step at full size, the least of a few, and peak memory."""
    torch.manual_seed(0)
    generator = build_generator(settings)
    optimisers = generator.optimisers(1e-4)
    mask = torch.ones(FULL_GRID, dtype=torch.bool)
    source, target = torch.rand(2, *FULL_GRID) * 2 - 1
    batch = PairBatch(inputs_of(source, mask)[None], target[None, None], mask[None, None].float())
    make_volume(generator.eval(), source.numpy(), mask.numpy(), settings, 0)
    making = peak_mib()
    generator.train()
    taken = []
    for _ in range(1 + STEPS):
        began = time.process_time()
        generator.step(batch, settings.vqgan.adversarial_epoch, optimisers)
        taken.append(time.process_time() - began)
    print(
        f"{settings.generator}: {min(taken[1:]):.2f} CPU-s a step, peak {making} MiB in making a "
        f"volume and {peak_mib()} MiB in training"
    )
    return {
        "synth_step_cpu_s": round(min(taken[1:]), 2),
        "synth_make_peak_mib": making,
        "synth_step_peak_mib": peak_mib(),
    }


def main() -> None:
    """Run the chosen parts and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--t1", type=Path, help="a real T1")
    parser.add_argument("--template", type=Path, help="a real template")
    parser.add_argument("--generator", choices=["unet", "vqgan", "flow"], default="unet")
    parser.add_argument("--target", choices=["pet", "mri"], default="pet", help="what is made")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    if "prepare" in (given.part or PARTS):
        figures |= prepare(given.t1, given.template)
    settings = SynthesisConfig(generator=given.generator)
    if "synthesis" in (given.part or PARTS):
        figures |= synthesis(settings, given.target)
    if "synth_step" in (given.part or PARTS):
        figures |= synth_step(settings)
    if "models" in (given.part or PARTS):
        figures |= model_cost() | mask_invariance()
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
