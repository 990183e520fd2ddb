"""Figures of the imaging networks for benchmarks/imaging.py: cost, memory, what a mask hides."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import replace

import torch
from torch import nn

from survfuse.modalities.protocol import TokenShape
from survfuse.models.networks.interface import Batch, Shapes
from survfuse.models.networks.registry import MODELS, build
from survfuse.tasks.diagnosis.learning.loss import ClassTargets

SHAPE = (96, 128, 96)
COVARIATES = 9
BATCH = 2
REPEATS = 5


def shapes_of(grid: tuple[int, int, int]) -> Shapes:
    """Shapes of MRI, PET and covariates, for two classes."""
    volume = TokenShape(math.prod(grid), grid=grid)
    return Shapes({"mri": volume, "pet": volume, "clinical": TokenShape(COVARIATES)}, 2)


def patients(shape: tuple[int, int, int], modalities: tuple[str, ...]) -> Batch:
    """BATCH random patients who have everything."""
    generator = torch.Generator().manual_seed(0)
    voxels = shape[0] * shape[1] * shape[2]
    sizes = {name: COVARIATES if name == "clinical" else voxels for name in modalities}
    tokens = {
        name: torch.rand(BATCH, 1, size, generator=generator) * 2 - 1
        for name, size in sizes.items()
    }
    mask = {name: torch.ones(BATCH, 1, dtype=torch.bool) for name in modalities}
    available = torch.ones(BATCH, len(modalities), dtype=torch.bool)
    targets = ClassTargets(torch.arange(BATCH) % 2, torch.ones(2), torch.zeros(2))
    return Batch(tokens, mask, available, modalities, targets=targets)


def seconds_per_patient(model: nn.Module, batch: Batch) -> float:
    """Median CPU seconds of forward and backward in training, per patient, after a warm-up."""
    taken = []
    assert batch.targets is not None
    for _ in range(1 + REPEATS):
        began = time.process_time()
        model.zero_grad()
        output = model(batch)
        (batch.targets.loss(output.logits) + sum(output.losses.values())).backward()
        taken.append((time.process_time() - began) / BATCH)
    return sorted(taken[1:])[REPEATS // 2]


def peak_mib() -> int:
    """Most memory that this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def model_cost() -> dict[str, float]:
    """CPU seconds per patient at 96 x 128 x 96, one thread, parameters, peak memory so far."""
    figures: dict[str, float] = {}
    for kind in ("itcfn", "mri_cnn"):
        torch.manual_seed(0)
        model = build(kind, shapes_of(SHAPE))
        batch = patients(SHAPE, MODELS[kind].reads)
        with torch.inference_mode():
            model.eval()(replace(batch, targets=None))
        predicting = peak_mib()
        taken = seconds_per_patient(model.train(), batch)
        count = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{kind}: {taken:.2f} CPU-s per patient, {count} parameters, peak {predicting} MiB in "
            f"prediction and {peak_mib()} MiB in training"
        )
        figures |= {
            f"{kind}_cpu_s": round(taken, 3),
            f"{kind}_predict_peak_mib": predicting,
            f"{kind}_peak_mib": peak_mib(),
        }
    return figures


def mask_invariance() -> dict[str, float]:
    """Largest change of ITCFN's output with the content of an absent volume, absent: mask."""
    names = ("mri", "pet", "clinical", "synthetic_mri", "synthetic_pet")
    largest = 0.0
    for seed, missing in enumerate(("mri", "pet")):
        torch.manual_seed(seed)
        shape = (32, 40, 32)
        model = build("itcfn", shapes_of(shape), {"absent": "mask"}).eval()
        batch = patients(shape, names)
        available = batch.available.clone()
        available[:, names.index(missing)] = False
        results = []
        for value in (0.0, 1.0, -1.0, 1e6, float("inf"), float("nan")):
            content = {name: torch.full_like(batch.tokens[name], value) for name in names}
            hidden = (missing, "synthetic_mri", "synthetic_pet")
            tokens = {**batch.tokens, **{name: content[name] for name in hidden}}
            with torch.no_grad():
                results.append(model(replace(batch, tokens=tokens, available=available)).logits)
        change = torch.stack(results) - results[0]
        largest = max(largest, float("inf") if change.isnan().any() else float(change.abs().max()))
    print(f"largest change of a prediction with the content of a missing volume: {largest}")
    return {"mask_invariance": largest}
