"""Order and grid of tiles, and the stand-in for an absent bag."""

from __future__ import annotations

import torch

from survfuse.models.networks.layers.bags import (
    GAP,
    MAX_CELLS,
    arrange,
    closed_up,
    with_null,
    z_curve,
)


def test_without_coordinates_the_file_order_is_folded_into_a_square() -> None:
    mask = torch.tensor([[True] * 5, [True, False, True, True, True]])
    order, grid = arrange(mask, None)
    assert order.tolist() == [[0, 1, 2, 3, 4], [0, 2, 3, 4, 1]]
    assert (grid.rows, grid.columns) == (2, 3)
    # five tiles: a 3 x 3 square; four tiles: 2 x 2, in a canvas three wide; padding at cell 0
    assert grid.cell.tolist() == [[0, 1, 2, 3, 4], [0, 1, 3, 4, 0]]


def test_with_coordinates_tiles_lie_where_they_are_and_follow_the_z_curve() -> None:
    coords = torch.tensor([[[11, 20], [10, 21], [11, 21], [10, 20], [0, 0]]])
    mask = torch.tensor([[True, True, True, True, False]])
    order, grid = arrange(mask, coords)
    assert order.tolist() == [[3, 0, 1, 2, 4]]
    assert (grid.rows, grid.columns) == (2, 2)
    assert grid.cell.tolist() == [[0, 1, 2, 3, 0]]


def test_wide_gaps_close_to_just_beyond_the_kernel() -> None:
    values = torch.tensor([[1000, 7, 8, 8, 10, -5, 99]])
    mask = torch.tensor([[True] * 5 + [False] * 2])
    assert closed_up(values, mask).tolist() == [[3 + GAP, 0, 1, 1, 3, 0, 0]]


def test_a_patient_without_tiles_has_a_grid_too() -> None:
    mask = torch.tensor([[False, False], [True, True]])
    coords = torch.tensor([[[5, 5], [6, 6]], [[3, 1], [2, 1]]])
    for given in (None, coords):
        _, grid = arrange(mask, given)
        assert grid.cell[0].tolist() == [0, 0]
        assert (grid.rows, grid.columns) == (1, 2)


def test_an_enormous_grid_is_made_coarser() -> None:
    diagonal = torch.arange(1000)
    coords = torch.stack([diagonal, diagonal], dim=1)[None]
    _, grid = arrange(torch.ones(1, 1000, dtype=torch.bool), coords)
    assert grid.rows * grid.columns <= MAX_CELLS
    assert grid.rows == 334  # a third: 1000^2 / 2^17 = 7.6, whose root rounds up to 3
    assert torch.equal(grid.cell[0], diagonal // 3 * 335)


def test_one_patients_enormous_grid_leaves_the_others_as_they_are() -> None:
    diagonal = torch.arange(1000)
    coords = torch.stack(
        [torch.stack([diagonal, diagonal], 1), torch.stack([diagonal, diagonal * 0], 1)]
    )
    _, grid = arrange(torch.ones(2, 1000, dtype=torch.bool), coords)
    assert torch.equal(grid.cell[1], diagonal)


def test_z_curve_interleaves_bits() -> None:
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    expected = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert z_curve(rows, columns).tolist() == expected


def test_null_token_stands_in_only_for_empty_bags() -> None:
    tokens, null = torch.ones(2, 3, 4), torch.full((4,), 7.0)
    mask = torch.tensor([[True, False, False], [False, False, False]])
    filled, now = with_null(tokens, mask, null)
    assert torch.equal(filled[0], tokens[0])
    assert torch.equal(filled[1, 0], null)
    assert now.tolist() == [[True, False, False], [True, False, False]]
