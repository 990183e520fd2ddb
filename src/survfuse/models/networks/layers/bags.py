"""Bags of tiles: their order, their place on a grid, and what stands in for an absent bag."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

GAP = 4  # grid units; one more than the reach of a 7 x 7 kernel, so a wider gap changes nothing
MAX_CELLS = 1 << 17  # per patient: 134 MB at width 256


@dataclass(frozen=True)
class Grid:
    """cell: (B, N) index of each tile's cell in a canvas of rows x columns, row-major."""

    cell: Tensor
    rows: int
    columns: int


def arrange(mask: Tensor, coords: Tensor | None) -> tuple[Tensor, Grid]:
    """Order of the tiles in each bag, real ones first, and their grid in that order.

    mask: (B, N) bool. coords: (B, N, 2) integer (column, row). Without coordinates the order is
    that of the file, folded row by row into a square: results then depend on that order. With them,
    tiles follow a Z-curve, so that stretches of the sequence are compact regions and the order of
    the file does not matter. A grid of more than MAX_CELLS cells is made coarser until it fits.
    """
    index = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    if coords is None:
        order = (index + mask.shape[1] * ~mask).argsort(dim=1)
        side = mask.sum(dim=1, keepdim=True).double().sqrt().ceil().long().clamp(min=1)
        rows, columns = index // side, index % side
    else:
        columns = closed_up(coords[:, :, 0], mask)
        rows = closed_up(coords[:, :, 1], mask)
        cells = (rows.amax(1) + 1) * (columns.amax(1) + 1)
        coarser = (cells / MAX_CELLS).sqrt().ceil().long().clamp(min=1)[:, None]
        rows, columns = rows // coarser, columns // coarser
        key = z_curve(rows, columns)
        order = key.masked_fill(~mask, torch.iinfo(key.dtype).max).argsort(dim=1, stable=True)
        rows, columns = rows.gather(1, order), columns.gather(1, order)
    real = mask.gather(1, order)
    rows, columns = rows * real, columns * real
    width = int(columns.max()) + 1
    return order, Grid(rows * width + columns, int(rows.max()) + 1, width)


def closed_up(values: Tensor, mask: Tensor) -> Tensor:
    """Grid positions from 0 along one axis, gaps wider than GAP narrowed to it; padding at 0."""
    lowest = values.masked_fill(~mask, torch.iinfo(values.dtype).max).amin(1, keepdim=True)
    ordered, order = torch.where(mask, values, lowest).sort(dim=1)
    steps = ordered.diff(dim=1).clamp(max=GAP)
    return torch.zeros_like(values).scatter(1, order, pad(steps.cumsum(dim=1), (1, 0)))


def z_curve(rows: Tensor, columns: Tensor) -> Tensor:
    """Position on the Z-order curve: the bits of row and column interleaved."""
    key = torch.zeros_like(rows)
    for bit in range(int(max(rows.max(), columns.max())).bit_length()):
        key |= ((columns >> bit) & 1) << (2 * bit)
        key |= ((rows >> bit) & 1) << (2 * bit + 1)
    return key


def with_null(tokens: Tensor, mask: Tensor, null: Tensor) -> tuple[Tensor, Tensor]:
    """Give each patient without any real token the learned `null` (d,) as the only one."""
    stand_in = torch.zeros_like(mask)
    stand_in[:, 0] = ~mask.any(dim=1)
    return torch.where(stand_in[:, :, None], null, tokens), mask | stand_in
