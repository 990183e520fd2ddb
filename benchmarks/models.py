"""CPU cost of the fusion models: forward and backward of one patient at published shapes.

    python benchmarks/models.py [--json FILE] [--repetitions N]

One thread, fp32, 4096 tiles of width 1024 and the six gene families of TCGA-BLCA. Process CPU
seconds, median over repetitions, models interleaved so that a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from statistics import median

import torch

from survfuse.fusion.hazards import discrete_nll
from survfuse.fusion.interface import Batch, FusionModel, Shapes
from survfuse.fusion.registry import MODELS, build

TILES, WIDTH, GROUPS, BINS = 4096, 1024, (94, 334, 521, 468, 1496, 479), 4


def patient(modalities: tuple[str, ...]) -> Batch:
    """One patient with random tokens, tiles on a square grid."""
    side = int(TILES**0.5)
    place = torch.arange(TILES)
    tokens = {"slides": torch.randn(1, TILES, WIDTH), "omics": torch.randn(1, 1, sum(GROUPS))}
    return Batch(
        tokens={name: tokens[name] for name in modalities},
        mask={name: torch.ones(tokens[name].shape[:2], dtype=torch.bool) for name in modalities},
        available=torch.ones(1, len(modalities), dtype=torch.bool),
        modalities=modalities,
        coords={"slides": torch.stack([place % side, place // side], dim=1)[None]}
        if "slides" in modalities
        else {},
    )


def cpu_seconds(model: FusionModel, batch: Batch) -> float:
    """CPU seconds of one forward and backward pass."""
    began = time.process_time()
    output = model(batch)
    loss = discrete_nll(output.logits, torch.tensor([1]), torch.tensor([True]))
    for auxiliary in output.losses.values():
        loss = loss + auxiliary
    loss.backward()
    model.zero_grad()
    return time.process_time() - began


def main() -> None:
    """Measure all registered models and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--repetitions", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shapes = Shapes(WIDTH, GROUPS, None, BINS)
    models = {kind: build(kind, shapes) for kind in sorted(MODELS)}
    batches = {kind: patient(MODELS[kind].reads) for kind in models}
    seconds: dict[str, list[float]] = {kind: [] for kind in models}
    for repetition in range(given.repetitions + 1):
        for kind, model in models.items():
            taken = cpu_seconds(model, batches[kind])
            if repetition:  # the first pass warms up
                seconds[kind].append(taken)
    figures = {f"{kind}_cpu_s": round(median(values), 4) for kind, values in seconds.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["peak_mib"] = round(peak)
    print(f"{'model':8s} {'median CPU-s':>13s} {'fastest':>9s} {'parameters':>12s}")
    for kind, values in seconds.items():
        parameters = sum(p.numel() for p in models[kind].parameters())
        print(f"{kind:8s} {median(values):13.3f} {min(values):9.3f} {parameters:12,d}")
    print(f"peak memory of all together: {peak:.0f} MiB")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
