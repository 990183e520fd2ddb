"""Memory of a training job per 1,000 patients: what is held of every tile of the cohort.

    python benchmarks/memory.py [--patients 50] [--tiles 15000] [--json FILE]

Embeddings of a small cohort are written to disk and opened as a training job opens them. What an
earlier version held besides, ids of slides and coordinates of all tiles, is measured in the same
run, with ids as long as those of TCGA.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np

from survfuse.core.files import sha256_file
from survfuse.modalities.slides.bags import Bag, load_bags
from survfuse.modalities.slides.store import SlideStatus, write_manifest

WIDTH = 64  # of the embeddings, which stay on disk
MB = 1e6


def write_slides(folder: Path, patients: int, tiles: int) -> Path:
    """Embeddings of one slide per patient, and their manifest."""
    rng = np.random.default_rng(0)
    rows = []
    side = int(np.ceil(np.sqrt(tiles)))
    place = np.arange(tiles)
    coords = 256 * np.stack([place % side, place // side], axis=1)
    for number in range(patients):
        slide = f"TCGA-{number:02}-{number:04}-01Z-00-DX1.00000000-0000-4000-8000-{number:012}"
        path = folder / f"{slide}.h5"
        with h5py.File(path, "w") as file:
            file["features"] = rng.normal(size=(tiles, WIDTH)).astype(np.float16)
            file["coords"] = coords
        rows.append(
            SlideStatus(
                slide, f"P{number}", "ok", features=path.name, features_sha256=sha256_file(path)
            )
        )
    write_manifest(folder / "slides.tsv", rows)
    return folder / "slides.tsv"


def held_before(bags: dict[str, Bag]) -> list[tuple[np.ndarray, ...]]:
    """What was held of every tile: 64-bit grid and coordinates, side, and the id of its slide."""
    held = []
    for bag in bags.values():
        places = bag.places()
        grid = bag.grid.astype(np.int64)
        held.append((grid, places.coords, places.tile_px0, places.slide_id))
    return held


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--patients", type=int, default=50)
    options.add_argument("--tiles", type=int, default=15_000)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_slides(Path(folder), given.patients, given.tiles)
        stored_mb = sum(path.stat().st_size for path in Path(folder).glob("*.h5")) / MB
        tracemalloc.start()
        start = time.process_time()
        bags = load_bags(manifest)
        seconds = time.process_time() - start
        after, peak = (value / MB for value in tracemalloc.get_traced_memory())
        earlier = held_before(bags)
        before = sum(values.nbytes for values_of in earlier for values in values_of) / MB
        start = time.process_time()
        for path in Path(folder).glob("*.h5"):
            sha256_file(path)
        hashing = time.process_time() - start
    per_1000 = 1000 / given.patients
    found = {
        "job_held_mb_per_1000_patients": after * per_1000,
        "job_peak_mb_per_1000_patients": peak * per_1000,
        "job_held_before_mb_per_1000_patients": before * per_1000,
        "open_and_verify_cpu_s_per_1000_patients": seconds * per_1000,
        "hashing_gb_per_cpu_s": stored_mb / 1000 / hashing,
    }
    print(f"{given.patients} patients with {given.tiles} tiles each, {stored_mb:.0f} MB on disk")
    for name, value in found.items():
        print(f"{name:40} {value:10.2f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
