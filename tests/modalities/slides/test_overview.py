"""The overview picture: size, alignment, and nothing in it that should not be."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from slides_fixture import stained, write_slide
from survfuse.modalities.slides.reading.overview import DAMAGED_RGB, GRID_RGB, draw, overview_jpeg
from survfuse.modalities.slides.reading.reader import LowResolution, Slide
from survfuse.modalities.slides.reading.tiles import Tiles

NO_TILES = Tiles(np.zeros((0, 2), np.int64), np.zeros(0), 64.0)


def white(width: int, height: int, px0: float) -> LowResolution:
    return LowResolution(
        np.full((height, width, 3), 255, np.uint8), np.zeros((height, width), bool), px0, 0.5 * px0
    )


def bluish(picture: np.ndarray) -> np.ndarray:
    """Where the colour of the grid was laid over white."""
    return np.abs(picture.astype(int) - GRID_RGB).sum(axis=2) < 150


def test_tiles_and_outlines_lie_where_they_were_taken() -> None:
    mask = np.zeros((10, 10), bool)
    mask[5:8, 5:8] = True  # mask pixels of 16: centres at 88 to 120 level-0 pixels
    tiles = Tiles(np.array([[20, 40]]), np.array([1.0]), 64.0)
    picture = draw(white(90, 90, 2.0), mask, 16.0, tiles)  # half of 180 x 180
    ys, xs = np.nonzero(bluish(picture))
    assert (xs.min(), xs.max()) == (pytest.approx(10, abs=1), pytest.approx(42, abs=1))
    assert (ys.min(), ys.max()) == (pytest.approx(20, abs=1), pytest.approx(52, abs=1))
    ys, xs = np.nonzero(picture.max(axis=2) < 60)  # the black line
    assert (xs.min(), xs.max()) == (pytest.approx(44, abs=2), pytest.approx(60, abs=2))
    assert (ys.min(), ys.max()) == (pytest.approx(44, abs=2), pytest.approx(60, abs=2))


@pytest.mark.parametrize(("width", "height"), [(4000, 300), (300, 4000), (1600, 1600), (5, 3)])
def test_the_long_side_is_limited(width: int, height: int) -> None:
    picture = draw(white(width, height, 4.0), np.zeros((2, 2), bool), 16.0, NO_TILES)
    assert max(picture.shape) == min(1600, max(width, height))
    assert picture.shape[0] * width == pytest.approx(picture.shape[1] * height, rel=0.01)


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    # 1000 pixels of 1 micrometre: the longest bar within a fifth is 200 micrometres.
    picture = draw(white(1000, 800, 2.0), np.zeros((2, 2), bool), 16.0, NO_TILES)
    dark = (picture[780] < 60).all(axis=1)
    assert dark.sum() == pytest.approx(200, abs=2)


def test_damaged_areas_are_grey_not_white() -> None:
    low = white(300, 200, 2.0)
    low.damaged[20:60, 100:180] = True
    picture = draw(low, np.zeros((2, 2), bool), 16.0, NO_TILES)
    assert (picture[30:50, 110:170] == DAMAGED_RGB).all()
    assert (picture[100:120, 110:170] == 255).all()


def test_a_written_overview_is_plain_jpeg(tmp_path: Path) -> None:
    image = stained(640, 512, (100, 100, 500, 400))
    path = write_slide(tmp_path / "slide.tif", image)
    mask = np.zeros((32, 40), bool)
    mask[7:25, 7:31] = True
    with Slide(path) as slide:
        jpeg = overview_jpeg(slide, mask, 16.0, NO_TILES)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    content = (tmp_path / "a.jpg").read_bytes()
    assert content[:2] == b"\xff\xd8"
    assert b"Exif" not in content and b"http" not in content
    shown = cv2.cvtColor(cv2.imread(str(tmp_path / "a.jpg")), cv2.COLOR_BGR2RGB)
    assert shown.shape == (512, 640, 3)
    assert shown[200:300, 200:400].mean(axis=(0, 1)) == pytest.approx((195, 120, 175), abs=5)
