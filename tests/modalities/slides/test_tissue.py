"""Tissue detection on images whose tissue is known, and its outlines."""

import json

import cv2
import numpy as np
import pytest

from slides_fixture import glass, stained
from survfuse.modalities.slides.reading.tissue import find_ink, find_tissue, geojson, outlines

MPP = 8.0
MM2_PER_PX = (MPP / 1000) ** 2
BOX = (30, 40, 130, 120)  # 100 x 80 pixels: 0.512 mm2


def truth(width: int = 200, height: int = 160) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    return mask


def overlap(found: np.ndarray, expected: np.ndarray) -> float:
    """Intersection over union."""
    return float((found & expected).sum() / (found | expected).sum())


@pytest.mark.parametrize("strength", [1.0, 0.4, 0.16])
def test_tissue_is_found_also_where_it_is_pale(strength: float) -> None:
    tissue = find_tissue(stained(200, 160, BOX, strength=strength), MPP, 0.02)
    assert overlap(tissue.mask, truth()) > 0.95
    assert tissue.mm2 == pytest.approx(8000 * MM2_PER_PX, rel=0.03)
    assert (tissue.ink_share, tissue.found_by) == (0.0, "saturation")


def test_pale_tissue_beside_a_little_dark_tissue_is_not_lost() -> None:
    image = stained(600, 600, (100, 100, 160, 160))
    image[300:380, 300:380] = stained(600, 600, (300, 300, 380, 380), strength=0.3)[
        300:380, 300:380
    ]
    mask = find_tissue(image, MPP, 0.02).mask
    assert mask[100:160, 100:160].mean() > 0.9
    assert mask[300:380, 300:380].mean() > 0.9
    assert mask.sum() < 1.1 * (60**2 + 80**2)


def test_narrow_clefts_are_closed() -> None:
    image = stained(200, 160, BOX)
    image[:, 80:84] = glass(4, 160)
    assert find_tissue(image, MPP, 0.02).mask[50:110, 80:84].all()
    image[:, 80:90] = glass(10, 160)
    assert not find_tissue(image, MPP, 0.02).mask[50:110, 83:87].any()


def test_blank_slides_have_no_tissue() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 200, 3)).astype(np.uint8)
    pictures = [glass(200, 160, seed) for seed in range(5)]
    pictures += [np.full((160, 200, 3), level, np.uint8) for level in (255, 240, 1)]
    pictures += [(0.08 * noise + 225).astype(np.uint8)]  # grainy glass, up to 20 levels
    for picture in pictures:
        tissue = find_tissue(picture, MPP, 0.0)
        assert not tissue.mask.any(), tissue.found_by
        assert tissue.mm2 == 0.0


def test_grey_slides_are_found_by_brightness() -> None:
    image = stained(200, 160, BOX)
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    tissue = find_tissue(grey, MPP, 0.02)
    assert tissue.found_by == "brightness"
    assert overlap(tissue.mask, truth()) > 0.95


def test_tissue_that_fills_the_image_is_not_divided() -> None:
    tissue = find_tissue(stained(200, 160, (0, 0, 200, 160)), MPP, 0.02)
    assert tissue.mask.mean() > 0.99


@pytest.mark.parametrize("colour", [(40, 60, 160), (30, 120, 70), (30, 30, 35)])
def test_pen_is_no_tissue(colour: tuple[int, int, int]) -> None:
    image = stained(200, 160, BOX)
    cv2.line(image, (10, 20), (190, 20), colour, 6)  # beside the tissue
    cv2.line(image, (60, 60), (100, 100), colour, 6)  # across it
    pen = np.zeros((160, 200), np.uint8)
    cv2.line(pen, (10, 20), (190, 20), 1, 6)
    cv2.line(pen, (60, 60), (100, 100), 1, 6)
    tissue = find_tissue(image, MPP, 0.02)
    assert not (tissue.mask & pen.astype(bool)).any()
    assert overlap(tissue.mask, truth() & ~pen.astype(bool)) > 0.9
    assert tissue.ink_share >= pen.mean()
    assert tissue.ink_share < 3 * pen.mean()


def test_nuclei_are_no_ink() -> None:
    image = stained(200, 160, BOX)
    for y in range(44, 116, 6):
        for x in range(34, 126, 6):
            image[y : y + 2, x : x + 2] = (60, 55, 120)  # 16 micrometres of dark blue
    assert not find_ink(image, MPP).any()


def test_pieces_are_measured_in_square_millimetres_not_pixels() -> None:
    for mpp in (4.0, 8.0):
        image = glass(200, 160)
        small, large = round(0.1e3 / mpp), round(0.3e3 / mpp)  # 0.01 and 0.09 mm2
        image[10 : 10 + small, 10 : 10 + small] = (190, 110, 170)
        image[60 : 60 + large, 60 : 60 + large] = (190, 110, 170)
        mask = find_tissue(image, mpp, 0.02).mask
        assert not mask[: 10 + small, : 10 + small].any()
        assert mask[60 : 60 + large, 60 : 60 + large].mean() > 0.9
        assert find_tissue(image, mpp, 0.0).mask[10 : 10 + small, 10 : 10 + small].mean() > 0.8


def test_tissue_moves_with_the_image() -> None:
    image = stained(200, 160, BOX)
    for turned, back in ((np.flipud, np.flipud), (np.fliplr, np.fliplr)):
        flipped = find_tissue(np.ascontiguousarray(turned(image)), MPP, 0.02).mask
        assert overlap(back(flipped), find_tissue(image, MPP, 0.02).mask) > 0.98


def test_outlines_keep_holes_and_pieces() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:25, 5:25] = True
    mask[10:15, 10:18] = False
    mask[30:38, 40:58] = True
    polygons = outlines(mask)
    assert sorted(len(polygon) for polygon in polygons) == [1, 2]
    drawn = np.zeros((40, 60), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(drawn, polygon, 1)
        for hole in polygon[1:]:
            cv2.polylines(drawn, [hole], True, 1)
    np.testing.assert_array_equal(drawn.astype(bool), mask)
    assert outlines(np.zeros((4, 4), bool)) == []


def test_geojson_is_what_qupath_reads_and_starts_where_it_does() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:6, 3:9] = True  # pixel centres x 3.5 to 8.5, y 2.5 to 5.5
    assert json.loads(geojson(mask, px0=16.0)) == {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}},
        "features": [
            {
                "type": "Feature",
                "properties": {"tissue_id": 0},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [
                        [[56.0, 40.0], [56.0, 88.0], [136.0, 88.0], [136.0, 40.0], [56.0, 40.0]]
                    ],
                },
            }
        ],
        "origin_px0": [0, 0],
    }
    moved = json.loads(geojson(mask, px0=16.0, origin_px0=(50, 30)))
    assert moved["features"][0]["geometry"]["coordinates"][0][:2] == [[6.0, 10.0], [6.0, 58.0]]
    assert moved["origin_px0"] == [50, 30]
