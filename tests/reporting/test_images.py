"""Pictures: colours mean attention, sizes are bounded, metadata stays behind."""

import base64
import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from survfuse.core.errors import UserInputError
from survfuse.reporting.pictures import slides as images

TILES = pd.DataFrame(
    {
        "x_px0": [0, 200],
        "y_px0": [0, 100],
        "side_px0": [100.0, 100.0],
        "relative": [4.0, 0.1],
    }
)


def decode(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_scale_is_logarithmic_around_the_average():
    percentile_ranks = images.scale_position(np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 100.0]))
    np.testing.assert_allclose(percentile_ranks, [0, 0, 0.25, 0.5, 0.75, 1, 1])


def test_tiles_are_painted_where_they_lie():
    """A slide of 400 x 200 level-0 pixels on a white overview of 40 x 20."""
    painted = images.paint(np.ones((20, 40, 3), np.float32), TILES, (400, 200))
    scale = matplotlib.colormaps["viridis"]
    most = 0.3 + 0.7 * np.array(scale(1.0)[:3])
    least = 0.3 + 0.7 * np.array(scale(0.0)[:3])
    np.testing.assert_allclose(painted[0:10, 0:10], np.broadcast_to(most, (10, 10, 3)), atol=1e-6)
    np.testing.assert_allclose(
        painted[10:20, 20:30], np.broadcast_to(least, (10, 10, 3)), atol=1e-6
    )
    np.testing.assert_allclose(painted[0:10, 10:40], 1.0, atol=1e-6)


def test_a_tile_smaller_than_a_pixel_is_still_seen():
    painted = images.paint(np.ones((2, 4, 3), np.float32), TILES, (40_000, 20_000))
    assert (painted[0, 0] < 0.999).any()


def test_colours_go_from_dark_to_light():
    """Perceptually ordered: the luminance of the scale only rises."""
    steps = [float(step) for step in np.linspace(0, 1, 9)]
    luminance = [
        np.dot(matplotlib.colormaps[images.COLOURS](step)[:3], (0.2126, 0.7152, 0.0722))
        for step in steps
    ]
    assert np.all(np.diff(luminance) > 0)
    assert images.colour_gradient().count("#") == 9


def test_noise_fits_into_the_limit():
    noise = np.random.default_rng(0).integers(0, 256, (680, 680, 3), dtype=np.uint8)
    uri = images.jpeg_uri(Image.fromarray(noise), 40_000)
    assert len(base64.b64decode(uri.partition(",")[2])) <= 40_000


def test_metadata_of_the_overview_is_left_behind(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    path = tmp_path / "overview.jpg"
    Image.new("RGB", (400, 200), "pink").save(path, exif=exif, comment=b"Jane Doe")
    overview = images.read_overview_file(path, (400, 200))
    assert overview.picture.size == (400, 200)
    for uri in images.attention_pictures(overview, TILES):
        assert b"Jane" not in base64.b64decode(uri.partition(",")[2])
        assert not decode(uri).getexif()


def test_large_overviews_shrink(tmp_path):
    path = tmp_path / "overview.png"
    Image.new("RGB", (4000, 2000), "pink").save(path)
    overview = images.read_overview_file(path, (400, 200))
    assert overview.picture.size == (images.OVERVIEW_PX, images.OVERVIEW_PX // 2)
    for uri in images.attention_pictures(overview, TILES):
        assert decode(uri).size == overview.picture.size


def test_a_broken_overview_is_named(tmp_path):
    path = tmp_path / "overview.jpg"
    path.write_bytes(b"not an image")
    with pytest.raises(UserInputError, match=r"overview\.jpg"):
        images.read_overview_file(path, (400, 200))
