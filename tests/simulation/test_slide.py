"""Drawn slides: real files for OpenSlide, with the morphology they were asked to show."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import openslide
import pytest

from survfuse.simulation.painter import Tint
from survfuse.simulation.slide import SlideSpec, draw_slide, write_pyramid, write_slide
from survfuse.simulation.texture import KINDS, materials, smooth_noise
from survfuse.simulation.tissue import TISSUE_SHARE, draw_anatomy

SPEC = SlideSpec("S0001", (1, 2), high_grade_share=0.4, infiltrate_share=0.2, tint=Tint())


@pytest.fixture(scope="module")
def drawn():
    return draw_slide(SPEC)


def tissue(image):
    """Pixels with colour, as any tissue finder would see them."""
    return image.max(axis=2).astype(int) - image.min(axis=2) > 20


def dark_share(image):
    return ((image[..., 0] < 100) & tissue(image)).sum() / tissue(image).sum()


def test_openslide_reads_what_was_drawn(drawn, tmp_path):
    path = tmp_path / "slide.tif"
    write_pyramid(path, drawn)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "generic-tiff"
        assert float(slide.properties["openslide.mpp-x"]) == 0.5
        assert float(slide.properties["openslide.mpp-y"]) == 0.5
        assert slide.level_dimensions == ((3072, 2304), (1536, 1152), (768, 576), (384, 288))
        assert slide.level_downsamples == (1, 2, 4, 8)
        read = np.asarray(slide.read_region((1024, 768), 0, (1024, 768)).convert("RGB"))
        small = np.asarray(slide.read_region((0, 0), 3, (384, 288)).convert("RGB"))
    part = drawn[768:1536, 1024:2048].astype(float)
    assert np.abs(read - part).mean() < 6
    assert read.mean(axis=(0, 1)) == pytest.approx(part.mean(axis=(0, 1)), abs=2)
    reduced = cv2.resize(drawn, (384, 288), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(small - reduced).mean() < 8


def test_a_truncated_file_is_refused_and_60_percent_long(drawn, tmp_path):
    write_slide(replace(SPEC, truncated=True), tmp_path)
    write_pyramid(tmp_path / "whole.tif", drawn)
    whole, cut = (tmp_path / name for name in ("whole.tif", "S0001.tif"))
    assert cut.stat().st_size == int(0.6 * whole.stat().st_size)
    assert whole.read_bytes().startswith(cut.read_bytes())
    with pytest.raises(openslide.OpenSlideError):
        openslide.OpenSlide(cut)


def test_tissue_is_pink_and_purple_on_white(drawn):
    mask = tissue(drawn)
    assert 0.35 < mask.mean() < TISSUE_SHARE + 0.03
    assert not mask[:60].any() and not mask[-60:].any()
    assert not mask[:, :60].any() and not mask[:, -60:].any()
    glass = drawn[:60].reshape(-1, 3)
    assert glass.min() > 230 and 0.5 < glass.std(axis=0).mean() < 4
    red, green, blue = drawn[mask].mean(axis=0)
    assert green < blue < red or green < red < blue


def test_a_blank_slide_is_glass_only():
    image = draw_slide(replace(SPEC, blank=True))
    assert image.shape == (2304, 3072, 3)
    assert image.min() > 225
    assert not tissue(image).any()


def test_pen_adds_ink_and_changes_nothing_else(drawn):
    marked = draw_slide(replace(SPEC, pen=True))
    changed = (np.abs(marked.astype(int) - drawn).max(axis=2) > 4).mean()
    assert 0.005 < changed < 0.15
    assert (marked <= drawn).all()


def test_anatomy_has_exactly_the_shares_asked_for():
    for high_grade, infiltrate in ((0.04, 0.4), (0.7, 0.05)):
        anatomy = draw_anatomy(np.random.default_rng(1), high_grade, infiltrate)
        inside = anatomy.tissue > 0
        assert inside.mean() == pytest.approx(TISSUE_SHARE, abs=0.001)
        assert (anatomy.high_grade[inside] > 0).mean() == pytest.approx(high_grade, abs=0.001)
        assert (anatomy.infiltrate[inside] > 0).mean() == pytest.approx(infiltrate, abs=0.001)


def test_the_high_grade_share_is_visible():
    shares = np.linspace(0.04, 0.76, 6)
    infiltrates = [0.3, 0.05, 0.2, 0.1, 0.4, 0.15]
    dark = [
        dark_share(draw_slide(SlideSpec("S", (3, number), high, infiltrate, Tint())))
        for number, (high, infiltrate) in enumerate(zip(shares, infiltrates, strict=True))
    ]
    assert np.corrcoef(shares, dark)[0, 1] > 0.8


def test_stain_changes_colour_and_not_anatomy(drawn):
    pale = draw_slide(replace(SPEC, tint=Tint(haematoxylin=0.8, eosin=0.8)))
    mask = tissue(drawn)
    assert (pale[mask].mean(axis=0) > drawn[mask].mean(axis=0) + 5).all()
    assert (tissue(pale) & mask).sum() > 0.95 * mask.sum()


def test_high_grade_nuclei_are_larger_and_more_varied_than_low_grade_ones():
    areas = {
        kind: [(stamp > 40).sum() for stamps in materials().nuclei[kind] for stamp in stamps]
        for kind in KINDS
    }
    assert np.mean(areas["high"]) > 1.6 * np.mean(areas["low"])
    assert np.std(areas["high"]) > 2 * np.std(areas["low"])
    assert np.mean(areas["lymphocyte"]) < np.mean(areas["low"]) * 1.2


def test_smooth_noise_is_standardised_and_as_smooth_as_asked():
    rng = np.random.default_rng(0)
    field = smooth_noise(rng, (200, 300), 20)
    assert field.shape == (200, 300)
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-5)

    def neighbours(shift):
        return np.corrcoef(field[:, :-shift].ravel(), field[:, shift:].ravel())[0, 1]

    assert neighbours(2) > 0.95
    assert abs(neighbours(60)) < 0.3
