"""The grid of tiles: hand-computed corners, exact shares of tissue."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survfuse.modalities.slides.reading.tiles import cut_tiles, grid_corners, side_px0, tissue_share


def test_corners_are_rounded_multiples_without_drift() -> None:
    side = side_px0(256, 0.5, 0.265)
    assert side == pytest.approx(483.0188679)
    corners = grid_corners(50_000, side)
    assert corners[:4].tolist() == [0, 483, 966, 1449]
    assert corners[100] == 48302  # 48301.887 rounded; adding 483 a hundred times gives 48300
    assert len(corners) == 103  # the last tile ends at 49750.9, one more would at 50233.9


@pytest.mark.parametrize(
    ("length", "expected"), [(1024, 4), (1023, 3), (256, 1), (255, 0), (0, 0), (1300, 5)]
)
def test_tiles_lie_inside_the_slide(length: int, expected: int) -> None:
    assert len(grid_corners(length, 256.0)) == expected


@given(
    mpp=st.floats(0.16, 0.6),
    target_mpp=st.sampled_from([0.25, 0.5, 1.0]),
    length=st.integers(1, 200_000),
)
def test_corners_neither_drift_nor_overlap(mpp: float, target_mpp: float, length: int) -> None:
    side = side_px0(256, target_mpp, mpp)
    corners = grid_corners(length, side)
    exact = np.arange(len(corners)) * side
    assert (np.abs(corners - exact) <= 0.5).all()
    assert (np.diff(corners) >= np.floor(side)).all()
    assert (corners + round(side) <= length).all()
    assert (len(corners) + 1) * side > length - 1  # no tile is forgotten


def test_share_is_exact_where_tiles_cut_mask_pixels() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[1, 1] = True
    # Mask pixels are 10 wide, tiles 15: the first holds pixel (0, 0) and a quarter of (1, 1);
    # the second column sees 5 x 5 of (1, 1).
    share = tissue_share(mask, 10.0, np.array([0, 15]), np.array([0, 15]), 15.0)
    np.testing.assert_allclose(share, np.array([[100 + 25, 25], [25, 25]]) / 225, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), side=st.integers(3, 40), x=st.integers(0, 20))
def test_share_agrees_with_counting_pixels(seed: int, side: int, x: int) -> None:
    mask = np.random.default_rng(seed).random((16, 16)) < 0.4
    drawn = np.kron(mask, np.ones((4, 4)))  # the mask at level 0, four pixels per mask pixel
    y = 5
    share = tissue_share(mask, 4.0, np.array([x]), np.array([y]), float(side))
    counted = drawn[y : y + side, x : x + side].sum() / side**2
    assert share[0, 0] == pytest.approx(counted, abs=1e-12)


def test_tiles_are_kept_by_share_and_run_row_by_row() -> None:
    mask = np.zeros((8, 12), bool)  # mask pixels of 16: a slide of 192 x 128
    mask[0:4, 4:8] = True  # the whole tile (64, 0)
    mask[4:8, 0:2] = True  # half of tile (0, 64)
    mask[4:5, 8:12] = True  # a quarter of tile (128, 64)
    tiles = cut_tiles(mask, 16.0, (192, 128), 64.0, 0.3)
    assert tiles.coords.tolist() == [[64, 0], [0, 64]]
    assert tiles.tissue.tolist() == [1.0, 0.5]
    assert tiles.coords.dtype == np.int64
    assert cut_tiles(mask, 16.0, (192, 128), 64.0, 0.25).coords.tolist()[-1] == [128, 64]
    assert len(cut_tiles(mask, 16.0, (192, 128), 64.0, 0.0).coords) == 3  # never without tissue
    assert cut_tiles(~mask & mask, 16.0, (192, 128), 64.0, 0.0).coords.shape == (0, 2)


def test_the_grid_is_anchored_at_the_corner_of_the_slide_not_of_the_tissue() -> None:
    mask = np.zeros((40, 40), bool)
    mask[7:33, 9:31] = True
    coords = cut_tiles(mask, 16.0, (640, 640), 64.0, 0.3).coords
    assert (coords % 64 == 0).all()
