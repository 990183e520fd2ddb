"""The slide reader: exact resolution, damage, and what it refuses."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slides_fixture import (
    damage_tile,
    leave_out_tiles,
    stained,
    truncate,
    write_aperio,
    write_slide,
)
from survfuse.modalities.slides.faults import (
    CorruptTile,
    ImplausibleMpp,
    MissingMpp,
    SlideFault,
    TooCoarse,
    UnreadableSlide,
)
from survfuse.modalities.slides.reading.reader import Slide
from survfuse.modalities.slides.reading.resolution import disagreement, resolve_mpp
from survfuse.modalities.slides.reading.tiff import incomplete_levels
from survfuse.modalities.slides.reading.tiles import side_px0

RAMP_PX = 1280


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossless two-level slide whose red is proportional to x, and green to y."""
    steps = np.linspace(0, 255, RAMP_PX)
    image = np.zeros((RAMP_PX, RAMP_PX, 3), np.uint8)
    dither = np.random.default_rng(0).random((RAMP_PX, RAMP_PX))  # else 8 bits make stairs of it
    image[..., 0] = np.floor(steps[None, :] + dither)
    image[..., 1] = np.floor(steps[:, None] + dither)
    path = tmp_path_factory.mktemp("ramp") / "ramp.tif"
    return write_slide(path, image, levels=2, compression="deflate", tile_px=256)


def measured_px0(profile: np.ndarray) -> tuple[float, float]:
    """Side and centre, in level-0 pixels, of the field that a profile of the ramp shows."""
    position = np.arange(len(profile)) - (len(profile) - 1) / 2
    slope, centre = np.polyfit(position, profile * (RAMP_PX - 1) / 255, 1)
    return slope * len(profile), centre


@settings(max_examples=25, deadline=None, derandomize=True)
@given(mpp=st.floats(0.16, 0.60), x=st.integers(0, 400), y=st.integers(0, 400))
@example(mpp=0.501953125, x=0, y=0)  # 255.004 pixels are not 256
def test_field_of_view_is_exact_to_two_per_mille(ramp: Path, mpp: float, x: int, y: int) -> None:
    side = side_px0(256, 0.5, mpp)
    with Slide(ramp, declared_mpp=mpp) as slide:
        tile = slide.read_tile((x, y), side, 256).astype(float)
    assert tile.shape == (256, 256, 3)
    for profile, corner in ((tile[..., 0].mean(axis=0), x), (tile[..., 1].mean(axis=1), y)):
        seen, centre = measured_px0(profile)
        assert seen * mpp == pytest.approx(128, rel=0.002 + 0.0003)  # 0.0003 of noise in the slope
        # A pixel's value belongs to its centre, half a pixel from its corner. Corners are exact
        # to half a pixel of level 1, and one grey level is five pixels of the ramp.
        assert centre + 0.5 == pytest.approx(corner + side / 2, abs=2.5)


def test_tiles_are_the_very_pixels_of_the_level(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (320, 320, 3)).astype(np.uint8)
    path = write_slide(tmp_path / "a.tif", image, mpp=0.25, levels=2, compression="deflate")
    half = cv2.resize(image, (160, 160), interpolation=cv2.INTER_AREA)
    with Slide(path) as slide:
        np.testing.assert_array_equal(slide.read_tile((101, 37), 64.0, 64), image[37:101, 101:165])
        np.testing.assert_array_equal(slide.read_tile((102, 38), 128.0, 64), half[19:83, 51:115])
        # Corners between the pixels of a level go to the nearest, without blending neighbours.
        np.testing.assert_array_equal(slide.read_tile((103, 37), 128.0, 64), half[18:82, 52:116])


@pytest.mark.parametrize(
    ("mpp", "level"), [(0.22, 1), (0.2476, 1), (0.252, 1), (0.2526, 0), (0.26, 0), (0.5, 0)]
)
def test_the_coarsest_level_that_is_fine_enough_is_read(ramp: Path, mpp: float, level: int) -> None:
    # Level 1 has twice the mpp; up to 1 % coarser than 0.5 is fine enough: 0.2525 * 2 = 0.505.
    with Slide(ramp, declared_mpp=mpp) as slide:
        assert slide.level_for(0.5) == level


def test_a_slide_much_too_coarse_is_refused(ramp: Path) -> None:
    with Slide(ramp, declared_mpp=0.63) as slide, pytest.raises(TooCoarse, match=r"0\.63"):
        slide.read_tile((0, 0), side_px0(256, 0.5, 0.63), 256)


@pytest.mark.parametrize(
    ("properties", "declared", "expected"),
    [
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}, None, (0.25, "metadata")),
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}, 0.5, (0.5, "sheet")),
        ({"openslide.mpp-x": "0", "openslide.mpp-y": "0"}, 0.5, (0.5, "sheet")),
        # 40000 pixels per centimetre = 0.25 micrometres; 101600 per inch = 0.25.
        (
            {
                "tiff.XResolution": "40000",
                "tiff.YResolution": "40000",
                "tiff.ResolutionUnit": "centimeter",
            },
            None,
            (0.25, "tiff"),
        ),
        (
            {
                "tiff.XResolution": "101600",
                "tiff.YResolution": "101600",
                "tiff.ResolutionUnit": "inch",
            },
            None,
            (0.25, "tiff"),
        ),
        # Up to 5 % anisotropy the geometric mean counts: sqrt(0.5 * 0.52) = 0.5099.
        ({"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.52"}, None, (0.50990, "metadata")),
    ],
)
def test_resolution_order(
    properties: dict[str, str], declared: float | None, expected: tuple[float, str]
) -> None:
    mpp, source = resolve_mpp(properties, declared)
    assert (mpp, source) == (pytest.approx(expected[0], rel=1e-4), expected[1])


@pytest.mark.parametrize(
    ("x", "y"), [("0", "0"), ("nan", "nan"), ("9.5", "9.5"), ("0.5", "0.53"), ("-0.5", "-0.5")]
)
def test_impossible_resolution_is_refused(x: str, y: str) -> None:
    with pytest.raises(ImplausibleMpp, match="column mpp of the slide sheet"):
        resolve_mpp({"openslide.mpp-x": x, "openslide.mpp-y": y}, None)


@pytest.mark.parametrize(
    "properties", [{}, {"tiff.ResolutionUnit": "inch"}, {"openslide.mpp-x": ""}]
)
def test_missing_resolution_is_never_guessed(properties: dict[str, str]) -> None:
    with pytest.raises(MissingMpp, match="column mpp of the slide sheet"):
        resolve_mpp({**properties, "openslide.objective-power": "20"}, None)


def test_resolution_of_real_files(tmp_path: Path) -> None:
    image = stained(256, 256, (20, 20, 200, 200))
    with Slide(write_slide(tmp_path / "tiff.tif", image, mpp=0.46)) as slide:
        assert (slide.mpp, slide.mpp_source) == (pytest.approx(0.46, rel=1e-6), "tiff")
    with Slide(write_aperio(tmp_path / "aperio.svs", image, "A^B", mpp="0.2528")) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.2528, "metadata")
    with pytest.raises(MissingMpp):
        Slide(write_slide(tmp_path / "none.tif", image, mpp=None))
    with pytest.raises(ImplausibleMpp):
        Slide(write_aperio(tmp_path / "zero.svs", image, "A^B", mpp="0"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_files_are_unreadable(tmp_path: Path, share: float) -> None:
    path = write_slide(tmp_path / "cut.tif", stained(640, 640, (20, 20, 600, 600)), levels=3)
    truncate(path, share)
    with pytest.raises(UnreadableSlide, match="copy it again"):
        Slide(path)


def test_a_file_whose_last_tile_is_missing_is_unreadable(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "cut.tif", stained(640, 640, (20, 20, 600, 600)), levels=2)
    damage_tile(path, index=99)  # 10 x 10 tiles of 64 in level 0
    with pytest.raises(UnreadableSlide, match="level 0"):
        Slide(path)


@pytest.mark.parametrize("index", [0, 12, 24])
def test_a_damaged_tile_of_a_coarser_level_is_read_from_a_finer_one(
    tmp_path: Path, index: int
) -> None:
    path = write_slide(tmp_path / "a.tif", stained(640, 640, (20, 20, 600, 600)), levels=2)
    with Slide(path) as slide:
        expected = slide.read_whole(8.0)
    damage_tile(path, index=index, level=1)  # 5 x 5 tiles of 64 in level 1
    with Slide(path) as slide:
        low = slide.read_whole(8.0)
        assert slide.notes == (["the end of level 1 is damaged"] if index == 24 else [])
    assert not low.damaged.any()
    np.testing.assert_allclose(low.rgb.astype(int), expected.rgb.astype(int), atol=12)


@pytest.mark.parametrize("missing", [[0], [12, 13], list(range(25))])
def test_a_coarser_level_that_lacks_data_is_not_taken_for_glass(
    tmp_path: Path, missing: list[int]
) -> None:
    path = write_slide(tmp_path / "a.tif", stained(640, 640, (20, 20, 600, 600)), levels=2)
    with Slide(path) as slide:
        expected = slide.read_whole(8.0)
    leave_out_tiles(path, missing, level=1)
    with Slide(path) as slide:
        low = slide.read_whole(8.0)
    assert not low.damaged.any()
    np.testing.assert_allclose(low.rgb.astype(int), expected.rgb.astype(int), atol=12)


def test_levels_of_a_sparse_scan_are_complete(tmp_path: Path) -> None:
    """Glass that was not scanned has no data in any level."""
    path = write_slide(tmp_path / "a.tif", stained(640, 640, (20, 20, 600, 600)), levels=2)
    leave_out_tiles(path, [0, 1, 10, 11])
    leave_out_tiles(path, [0], level=1)
    assert incomplete_levels(path, [(640, 640), (320, 320)]) == set()
    leave_out_tiles(path, [1], level=1)
    assert incomplete_levels(path, [(640, 640), (320, 320)]) == {1}


def test_tissue_that_the_file_does_not_hold_is_damage(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", stained(640, 640, (0, 0, 640, 640)), levels=2)
    leave_out_tiles(path, [0])
    with Slide(path) as slide:
        with pytest.raises(CorruptTile, match="not in the file"):
            slide.read_tile((0, 0), 64.0, 64, tissue=1.0)
        with pytest.raises(CorruptTile):
            slide.read_tile((0, 24), 64.0, 64, tissue=1.0)  # 63 % of it
        slide.read_tile((0, 0), 64.0, 64, tissue=0.2)  # glass that was not scanned
        slide.read_tile((64, 0), 64.0, 64, tissue=1.0)


@pytest.mark.parametrize(
    ("x", "declared", "said"),
    [
        ("0.25", 0.5, "the sheet says 0.5 micrometres per pixel, the scanner's metadata 0.25"),
        ("0.25", 0.26, None),
        ("0.25", None, None),
        ("0", 0.5, None),  # which the sheet is there to correct
        ("352", 0.5, None),
    ],
)
def test_a_sheet_that_disagrees_with_the_file_is_told(
    x: str, declared: float | None, said: str | None
) -> None:
    found = disagreement({"openslide.mpp-x": x, "openslide.mpp-y": x}, declared)
    assert found == [] if said is None else said in found[0]


def test_wrong_and_too_coarse_are_told_apart(tmp_path: Path) -> None:
    image = stained(256, 256, (20, 20, 200, 200))
    with pytest.raises(ImplausibleMpp, match="which is wrong"):
        Slide(write_slide(tmp_path / "a.tif", image, mpp=2.5))
    with (
        Slide(write_slide(tmp_path / "b.tif", image, mpp=1.5)) as slide,
        pytest.raises(TooCoarse, match="possible but too coarse"),
    ):
        slide.level_for(0.5)
    with Slide(tmp_path / "a.tif", declared_mpp=2.5) as slide:  # an exported image, and said so
        assert slide.mpp == 2.5


def test_one_damaged_tile_does_not_spoil_the_others(tmp_path: Path) -> None:
    image = stained(640, 640, (0, 0, 640, 640))
    path = write_slide(tmp_path / "slide.tif", image)
    with Slide(path) as slide:
        before = slide.read_tile((128, 0), 64.0, 64)
    damage_tile(path, index=0)
    with Slide(path) as slide:
        for _ in range(2):
            with pytest.raises(CorruptTile):
                slide.read_tile((0, 0), 64.0, 64)
            np.testing.assert_array_equal(slide.read_tile((128, 0), 64.0, 64), before)
        low = slide.read_whole(8.0)
    assert low.damaged[0, 0] and low.damaged.mean() < 0.5
    assert not low.damaged[-1, -1]


def test_a_whole_slide_is_averaged_over_whole_squares(tmp_path: Path) -> None:
    # Columns alternate between 0 and 200, in blocks of one pixel: the average of 16 is 100.
    image = np.zeros((320, 480, 3), np.uint8)
    image[:, ::2] = 200
    path = write_slide(tmp_path / "stripes.tif", image, mpp=0.5, compression="deflate")
    with Slide(path) as slide:
        low = slide.read_whole(8.0)
    assert low.rgb.shape == (20, 30, 3)
    assert (low.px0, low.mpp) == (16.0, pytest.approx(8.0))
    assert (low.rgb == 100).all() and not low.damaged.any()


@pytest.mark.parametrize("block", [1, 5_000, 16_000_000])
def test_reading_in_blocks_changes_nothing(
    ramp: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    with Slide(ramp, 0.5) as slide:
        expected = slide.read_whole(8.0)
        monkeypatch.setattr("survfuse.modalities.slides.reading.reader.BLOCK_PX", block)
        np.testing.assert_array_equal(slide.read_whole(8.0).rgb, expected.rgb)


def test_real_slides(real_data: Path) -> None:
    with Slide(real_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        assert (slide.size_px0, slide.mpp, slide.mpp_source) == ((2220, 2967), 0.499, "metadata")
    with Slide(real_data / "slides" / "luna_1065626.svs") as slide:
        assert slide.size_px0 == (11952, 10249)
        assert slide.level_for(2.02) == 1
    with Slide(real_data / "slides" / "boxes_dicom" / "boxes_0.dcm") as slide:
        assert slide.mpp == pytest.approx(0.499)
    with pytest.raises(ImplausibleMpp, match="352"):
        Slide(real_data / "slides" / "openslide_boxes.tiff")


def test_real_damaged_files_are_unreadable(real_data: Path) -> None:
    bad = sorted((real_data / "slides" / "bad").iterdir())
    assert len(bad) == 5
    for path in bad:
        with pytest.raises(SlideFault) as fault:
            Slide(path)
        assert fault.value.reason.startswith("unreadable: ")
        assert path.name not in fault.value.reason


def write_pages(path: Path, pages: list[np.ndarray], **options: object) -> Path:
    """A tiled TIFF of 0.5 micrometres per pixel with these pages."""
    resolution = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        for page in pages:
            tiff.write(page, tile=(64, 64), metadata=None, **resolution, **options)
    return path


BLOT = stained(256, 192, (32, 32, 200, 150))
GREY = BLOT.mean(axis=2).astype(np.uint8)
WITH_OPACITY = np.dstack([BLOT, np.full_like(GREY, 255)])


@pytest.mark.parametrize(
    ("pages", "options", "said"),
    [
        ([GREY.astype(np.uint16) * 16], {"photometric": "minisblack"}, "16 bits per channel"),
        ([BLOT.astype(np.uint16) * 16], {"photometric": "rgb"}, "16 bits per channel"),
        ([BLOT.astype(np.float32) / 255], {"photometric": "rgb"}, "32 bits per channel"),
        ([GREY // 20] * 5, {"photometric": "minisblack"}, "5 channels"),
        (
            [np.dstack([GREY // 20] * 4)],
            {"photometric": "minisblack", "planarconfig": "contig"},
            "4 channels",
        ),
        ([np.dstack([BLOT, GREY, GREY])], {"photometric": "rgb", "extrasamples": [0, 0]}, "5 chan"),
    ],
)
def test_pixels_that_are_no_colours_are_refused(
    tmp_path: Path, pages: list[np.ndarray], options: dict, said: str
) -> None:
    """OpenSlide, tiffslide, HistoPrep: 16 bits and fluorescence (OME-TIFF, CycIF).

    Those of 12 bits in 16 were embedded as black, of five channels the first as grey.
    """
    with pytest.raises(UnreadableSlide, match=said):
        Slide(write_pages(tmp_path / "x.tif", pages, **options))


@pytest.mark.parametrize(
    ("pages", "options", "notes"),
    [
        ([GREY], {"photometric": "minisblack"}, []),
        ([WITH_OPACITY], {"photometric": "rgb", "extrasamples": ["unassalpha"]}, []),
        ([np.moveaxis(BLOT, -1, 0)], {"photometric": "rgb", "planarconfig": "separate"}, []),
        (
            [BLOT] * 3,
            {"photometric": "rgb"},
            ["the file holds 3 planes of focus; the first is read"],
        ),
    ],
)
def test_other_layouts_of_colours_are_read(
    tmp_path: Path, pages: list[np.ndarray], options: dict, notes: list[str]
) -> None:
    """QuPath and Bio-Formats write grey, RGBA, planar and z-stacked slides (OpenSlide's #31)."""
    with Slide(write_pages(tmp_path / "x.tif", pages, **options)) as slide:
        assert slide.notes == notes
        colour = slide.read_tile((64, 64), 64, 64).mean(axis=(0, 1))
    wanted = BLOT if pages[0] is not GREY else np.dstack([GREY] * 3)
    np.testing.assert_allclose(colour, wanted[64:128, 64:128].mean(axis=(0, 1)), atol=1)


def test_a_mirax_index_without_its_folder(tmp_path: Path) -> None:
    """OpenSlide: "Unsupported or missing image file" where the .mrxs alone was copied."""
    cv2.imwrite(str(tmp_path / "x.jpg"), BLOT)
    (tmp_path / "x.jpg").rename(tmp_path / "slide.mrxs")
    with pytest.raises(UnreadableSlide, match="folder of the same name"):
        Slide(tmp_path / "slide.mrxs")


def test_any_name_of_a_slide_file(tmp_path: Path) -> None:
    """CLAM and QuPath: names with spaces, quotes, accents, percent signs."""
    path = write_slide(tmp_path / "Mu\u0308ller's {x} $HOME & %20 (1) #2.tif", BLOT)
    with Slide(path) as slide:
        assert slide.size_px0 == (256, 192)
