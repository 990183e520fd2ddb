"""Synthetic batches for the fusion tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from survfuse.fusion.interface import Batch, Outcome, Shapes

Model = TypeVar("Model", bound=nn.Module)

SLIDES_DIM = 24
CLINICAL_DIM = 5
WIDTHS = (3, 1, 7, 4)
VOLUME_SHAPE = (16, 20, 16)
SHAPES = Shapes(SLIDES_DIM, WIDTHS, CLINICAL_DIM, n_bins=4, volume_shape=VOLUME_SHAPE)
MODALITIES = ("slides", "omics", "clinical")
WITH_VOLUMES = (*MODALITIES, "mri", "pet")


def square_coords(n: int) -> Tensor:
    """(n, 2) positions that fill a square row by row."""
    side = max(1, int(n**0.5 + 0.999))
    index = torch.arange(n)
    return torch.stack([index % side, index // side], dim=1)


def make_batch(
    sizes: Sequence[int],
    *,
    absent: Sequence[tuple[int, str]] = (),
    with_coords: bool = False,
    modalities: tuple[str, ...] = MODALITIES,
    shapes: Shapes = SHAPES,
    seed: int = 0,
) -> Batch:
    """Patients with `sizes` tiles each; padding and absent values are NaN."""
    generator = torch.Generator().manual_seed(seed)
    count, longest = len(sizes), max(max(sizes), 1)
    dims = {"slides": shapes.slides_dim, "omics": sum(shapes.group_widths)}
    dims["clinical"] = shapes.clinical_dim
    dims |= dict.fromkeys(("mri", "pet"), math.prod(shapes.volume_shape or (0,)))
    tokens, mask = {}, {}
    for modality in modalities:
        dim = dims[modality]
        if not dim:
            continue
        n = longest if modality == "slides" else 1
        tokens[modality] = torch.randn(count, n, dim, generator=generator)
        mask[modality] = torch.ones(count, n, dtype=torch.bool)
    for row, size in enumerate(sizes):
        mask["slides"][row, size:] = False
    available = torch.ones(count, len(modalities), dtype=torch.bool)
    for row, modality in absent:
        available[row, modalities.index(modality)] = False
        tokens[modality][row] = float("nan")
    tokens["slides"][~mask["slides"]] = float("nan")
    coords = {"slides": square_coords(longest).expand(count, -1, -1)} if with_coords else {}
    return Batch(tokens, mask, available, modalities, coords)


def make_outcome(count: int, n_bins: int = 4, seed: int = 0) -> Outcome:
    """Outcomes of `count` patients, of which every third is censored."""
    generator = torch.Generator().manual_seed(seed)
    bins = torch.arange(count) % n_bins
    return Outcome(
        time_months=6.0 * bins + 6.0 * torch.rand(count, generator=generator),
        event=torch.arange(count) % 3 != 2,
        bins=bins,
        lived=torch.rand(count, generator=generator),
        marginal=torch.linspace(-2.0, -1.0, n_bins),
    )


def rows_of(batch: Batch, rows: Sequence[int]) -> Batch:
    """Only some patients, bags cut to the longest of them, without their outcomes."""
    index = torch.as_tensor(list(rows))
    longest = max(1, int(batch.mask["slides"][index].sum(dim=1).max()))
    cut = {"slides": longest}

    def part(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value[index][:, : cut.get(name, 1)] for name, value in tensors.items()}

    return replace(
        batch,
        tokens=part(dict(batch.tokens)),
        mask=part(dict(batch.mask)),
        available=batch.available[index],
        coords=part(dict(batch.coords)),
        outcome=None,
    )


def awake(model: Model) -> Model:
    """The model with small random numbers for what starts at zero, so that all of it speaks."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model
