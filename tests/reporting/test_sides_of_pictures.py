"""Which side is which: one body, stored in several orientations, gives one picture.

The body has a bright spot that a reader of the file would find on the left, in front and on top.
"""

from __future__ import annotations

import base64
import io

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray
from PIL import Image

from survfuse.config.imaging import Display
from survfuse.modalities.volumes.pictures import SIDE_PX
from survfuse.modalities.volumes.store import Prepared
from survfuse.reporting.pictures.volumes import three_planes

SIDE = 40
MIDDLE = slice(17, 24)
LETTERS_PX = 28  # from either side of a plane
ORIENTATIONS = ("RAS", "LAS", "LPS", "PIR", "SAL")


def body(codes: str) -> Prepared:
    """The body in a file whose axes point to `codes`; in RAS the first axis goes to the right."""
    volume = np.full((SIDE, SIDE, SIDE), -1, np.float32)
    at = np.indices(volume.shape) - (SIDE - 1) / 2
    mask = (at**2).sum(axis=0) < 17**2
    volume[mask] = 0
    volume[7:12, 24:30, MIDDLE] = 1  # on the left and in front, in the middle axial plane
    volume[7:12, MIDDLE, 24:30] = 1  # on the left and on top, in the middle coronal plane
    volume[MIDDLE, 28:34, MIDDLE] = 1  # in front, in the middle sagittal plane
    turned = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    affine = np.eye(4) @ inv_ornt_aff(turned, volume.shape)
    assert nib.aff2axcodes(affine) == tuple(codes)
    stored, inside = (nib.apply_orientation(one, turned) for one in (volume, mask))
    return Prepared(np.ascontiguousarray(stored), np.ascontiguousarray(inside), affine)


def planes(codes: str, display: Display) -> list[NDArray[np.float64]]:
    """The sagittal, coronal and axial plane of a page's picture, in grey."""
    content = base64.b64decode(three_planes(body(codes), display=display).split(",")[1])
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=float)
    assert picture.shape == (SIDE_PX, 3 * SIDE_PX)
    return [picture[:, n * SIDE_PX : (n + 1) * SIDE_PX] for n in range(3)]


def bright(plane: NDArray[np.float64]) -> tuple[float, float]:
    """Where the bright spot lies between the letters: from the top and from the left, 0 to 1."""
    rows, columns = np.nonzero(plane[:, LETTERS_PX:-LETTERS_PX] > 225)
    return rows.mean() / SIDE_PX, (columns.mean() + LETTERS_PX) / SIDE_PX


def reads_as_l(letter: NDArray[np.float64]) -> bool:
    """Whether it is an L and no R: an L has nothing at its upper right."""
    rows, columns = np.nonzero(letter > 160)
    drawn = letter[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] > 160
    high, wide = drawn.shape
    return not drawn[: high // 2, wide // 2 + 1 :].any()


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("display", ["radiological", "neurological"])
def test_the_spot_on_the_left_lies_at_the_letter_l(codes: str, display: Display) -> None:
    sagittal, coronal, axial = planes(codes, display)
    for plane in (coronal, axial):
        top, left = bright(plane)
        assert top < 0.45  # front and top are up
        assert left > 0.55 if display == "radiological" else left < 0.45
        ends = (plane[:, :LETTERS_PX], plane[:, -LETTERS_PX:])
        near, far = ends[::-1] if display == "radiological" else ends
        assert reads_as_l(near[100:156])
        assert not reads_as_l(far[100:156])
    assert bright(sagittal)[1] < 0.45  # the front is on the left, where the A is


def test_all_orientations_give_the_same_picture() -> None:
    pictures = {three_planes(body(codes)) for codes in ORIENTATIONS}
    assert len(pictures) == 1
