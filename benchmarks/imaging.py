"""The imaging arm: cost of preparing a volume and of the networks that read it.

    python benchmarks/imaging.py [--part prepare ...] [--json FILE] [--t1 FILE --template FILE]

prepare: CPU seconds for one T1 of 256 x 256 x 180 voxels with everything switched on (N4, brain
mask, affine registration to a template, resampling, scaling, pictures, files), one thread, and the
peak of memory. Without --t1 and --template it takes simulated heads; a real T1 is brought to 256 x
256 x 180 voxels of its own field of view first.
models: CPU seconds per patient of ITCFN and the MRI CNN, forward and backward, two patients of 96 x
128 x 96 voxels, one thread, and the peak of memory; and by how much the content of a missing volume
changes a prediction of ITCFN where it is masked.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from imaging_fixture import brain_of, head, save
from survfuse.config_imaging import ImagingConfig
from survfuse.imaging.batch import process_batch
from survfuse.imaging.grid import grid_around, resampled
from survfuse.imaging.placement import VolumeRow
from survfuse.imaging.reader import read_volume
from survfuse.imaging.store import read_manifest
from survfuse.imaging.volume import Volume, to_ras

PARTS = ("prepare", "models")
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{status.status}: {taken:.1f} CPU-s, {waited:.1f} s, peak {peak:.0f} MiB")
    print(f"Dice with the template {status.dice}, {status.reason or 'nothing to note'}")
    return {
        "prepare_cpu_s": round(taken, 2),
        "prepare_dice": round(status.dice or 0.0, 4),
        "prepare_peak_mib": round(peak),
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
    given = parser.parse_args()
    figures: dict[str, float] = {}
    if "prepare" in (given.part or PARTS):
        figures |= prepare(given.t1, given.template)
    if "models" in (given.part or PARTS):
        from imaging_models import mask_invariance, model_cost

        figures |= model_cost() | mask_invariance()
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
