"""Attention of the model: relative attention, places on the overview, readable slides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from reporting_fixture import SLIDE_PX0, TILE_PX0, write_fixture
from survfuse.reporting import inputs
from survfuse.reporting.pictures import attention
from survfuse.reporting.stored_attention import read_attention


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return inputs.read_report_data(write_fixture(tmp_path_factory.mktemp("attention")).inputs)


@pytest.fixture(scope="module")
def tiles(data):
    return read_attention(data, "cmta", "P001").tiles


def test_attention_is_relative_to_an_even_spread():
    tiles = pd.DataFrame({"share": [0.1, 0.6, 0.2, 0.1]})
    found = attention.most_attended(tiles)
    assert found.index.tolist() == [1, 2, 0, 3]
    assert found["number"].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(found["relative"], [2.4, 0.8, 0.4, 0.4])


def test_only_a_few_tiles_are_shown(tiles):
    found = attention.most_attended(tiles)
    assert len(found) == attention.MOST_TILES
    assert found["share"].min() >= tiles.drop(found.index)["share"].max()


def test_overviews_are_ranked_and_marked_where_the_tiles_lie(data, tiles):
    found = attention.overviews(data, tiles)
    shares = tiles.groupby("slide_id")["share"].sum()
    assert [overview.slide_id for overview in found] == sorted(
        shares.index, key=lambda name: -shares[name]
    )
    assert sum(len(overview.markers) for overview in found) == attention.MOST_TILES
    first = attention.most_attended(tiles).iloc[0]
    overview = next(o for o in found if o.slide_id == first["slide_id"])
    scale = overview.width / SLIDE_PX0[0]
    marker = overview.markers[0]
    centre = (first["x_px0"] + TILE_PX0 / 2) * scale
    assert marker.x + marker.side / 2 == pytest.approx(centre)
    assert marker.side >= attention.SMALLEST_MARKER_PX


@pytest.mark.parametrize(
    ("width_px0", "mpp", "label", "percent"),
    [
        (100_000, 0.25, "5 mm", 20.0),
        (4000, 0.5, "500 µm", 25.0),
        (4000, None, None, 0.0),
    ],
)
def test_scale_bar_is_a_round_length(width_px0, mpp, label, percent):
    assert attention.scale_bar(width_px0, mpp) == (label, percent)


def test_tiles_are_cut_from_the_slide(data, tiles):
    found = attention.tiles_shown(data, tiles)
    assert [tile.number for tile in found] == list(range(1, 9))
    assert all(tile.picture and tile.picture.startswith("data:image/jpeg") for tile in found)
    assert all(tile.width_um == TILE_PX0 * 0.5 for tile in found)


def test_slides_that_are_gone_leave_tiles_without_pictures(data, tiles, tmp_path):
    assert data.slide_sheet is not None
    gone = replace(data, slide_sheet=data.slide_sheet.assign(path=str(tmp_path / "gone.svs")))
    assert all(tile.picture is None for tile in attention.tiles_shown(gone, tiles))
    without = replace(data, slide_sheet=None)
    assert all(tile.picture is None for tile in attention.tiles_shown(without, tiles))


def test_damaged_slides_are_reported_without_their_path(data, tiles, tmp_path, caplog):
    broken = tmp_path / "Jane_Doe.tif"
    broken.write_bytes(b"II*\x00 not a slide")
    assert data.slide_sheet is not None
    damaged = replace(data, slide_sheet=data.slide_sheet.assign(path=str(broken)))
    assert all(tile.picture is None for tile in attention.tiles_shown(damaged, tiles))
    assert "slide S001a" in caplog.text
    assert "Jane" not in caplog.text


def test_without_the_slide_the_overview_of_the_slide_stage_serves(data, tiles):
    own = attention.overviews(data, tiles)
    stage = attention.overviews(replace(data, slide_sheet=None), tiles)
    assert [o.slide_id for o in own] == [o.slide_id for o in stage]
    assert all(one.plain != other.plain for one, other in zip(own, stage, strict=True))
    assert own[0].bar_label == "200 µm"
    assert stage[0].bar_label is None  # it has a scale bar of its own


def test_slides_without_any_picture_are_left_out(data, tiles):
    for name in ("overview", "patches"):
        slides = tuple(replace(slide, **{name: ""}) for slide in data.brought["slides"])
        assert (
            attention.overviews(replace(data, brought={"slides": slides}, slide_sheet=None), tiles)
            == []
        )


def test_tiles_of_unknown_size_are_not_drawn(data, tiles):
    """Embeddings that came with the sheet may not tell the side of a tile; it is then 0."""
    unknown = tiles.assign(side_px0=0.0)
    assert attention.overviews(data, unknown) == []
    found = attention.tiles_shown(data, unknown)
    assert all(tile.picture is None and tile.width_um is None for tile in found)


def test_gene_groups_are_ranked_and_named_in_words():
    shares = pd.Series([0.1, 0.5, 0.4], index=["A_B", "HALLMARK_HYPOXIA", "C"])
    assert attention.gene_groups(shares) == [
        attention.Group("HALLMARK HYPOXIA", 1.5, 100.0),
        attention.Group("C", pytest.approx(1.2), 80.0),
        attention.Group("A B", pytest.approx(0.3), 20.0),
    ]


def test_a_sheet_of_embeddings_names_no_slide_files(data, tiles):
    shown = attention.tiles_shown(data, tiles)
    sheet = pd.DataFrame({"slide_id": [tile.slide_id for tile in shown], "path": "gone.svs"})
    named = replace(data, slide_sheet=sheet)
    assert not attention.without_files(named, shown)
    assert attention.without_files(replace(data, slide_sheet=sheet.assign(path="")), shown)


def test_tiles_with_pen_ink_are_never_among_the_most_attended(data, tiles, tmp_path):
    """A blue line is drawn over the tiles with the most attention."""
    sheet = data.slide_sheet
    path = Path(sheet.loc[sheet["slide_id"] == "S001a", "path"].iloc[0])
    pixels = tifffile.imread(path).copy()
    top = int(attention.most_attended(tiles).iloc[0]["y_px0"])
    pixels[top : top + TILE_PX0] = (20, 40, 200)
    inked = tmp_path / "inked.tif"
    tifffile.imwrite(inked, pixels, tile=(256, 256), photometric="rgb", compression="jpeg")
    drawn = replace(data, slide_sheet=sheet.assign(path=str(inked)))
    before = attention.most_attended(tiles)
    marked = attention.with_ink(drawn, tiles)
    shown = attention.most_attended(marked)
    on_the_line = (shown["y_px0"] < top + TILE_PX0) & (shown["y_px0"] + TILE_PX0 > top)
    assert not on_the_line.any()
    assert (before["y_px0"] == top).any()
    assert len(shown) == len(before) and shown["number"].tolist() == list(range(1, 9))
    assert attention.passed_over(marked) >= 1
    pictured = attention.tiles_shown(drawn, marked)
    assert all(tile.picture for tile in pictured)
    clean = attention.with_ink(data, tiles)
    assert not clean["inked"].any() and attention.passed_over(clean) == 0
    gone = attention.with_ink(replace(data, slide_sheet=None), tiles)
    assert not gone["inked"].any()
