"""Where the model looked: overviews coloured by attention, the tiles it weighted most, gene groups.

Attention is shown relative to an even spread over the patient's tiles or gene groups, because the
raw weights depend on how many there are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from survfuse.modalities.slides.faults import SlideFault
from survfuse.modalities.slides.reading.overview import BAR_LENGTHS_UM, bar_label
from survfuse.modalities.slides.store import SlideStatus
from survfuse.reporting.inputs import ReportData
from survfuse.reporting.pictures import slides as images
from survfuse.reporting.pictures.ink import inked_tiles
from survfuse.reporting.stored_slides import level0_size_px0, slide_file, slides_of

log = logging.getLogger(__name__)

MOST_SLIDES = 2
MOST_TILES = 8
MOST_GROUPS = 10
SMALLEST_MARKER_PX = 9.0


@dataclass(frozen=True)
class Marker:
    """The outline of a shown tile on an overview, in pixels of the overview."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Overview:
    """One slide: as it is, coloured by attention, and where the shown tiles lie."""

    slide_id: str
    plain: str
    coloured: str
    width: int
    height: int
    markers: list[Marker]
    bar_label: str | None
    bar_percent: float


@dataclass(frozen=True)
class Tile:
    """One of the most attended tiles; `picture` is None where the slide cannot be read."""

    number: int
    slide_id: str
    relative: float  # attention, 1 = an average tile
    picture: str | None
    width_um: float | None


@dataclass(frozen=True)
class Group:
    """Attention on a gene group, 1 = an even spread."""

    name: str
    relative: float
    bar_percent: float


def most_attended(tiles: pd.DataFrame) -> pd.DataFrame:
    """The tiles with the most attention, numbered from 1, with `relative` to the average tile.

    Those that `with_ink` has marked are passed over.
    """
    tiles = tiles.assign(relative=tiles["share"] * len(tiles))
    if "inked" in tiles:
        tiles = tiles[~tiles["inked"].to_numpy(dtype=bool)]
    ranked = tiles.sort_values("share", ascending=False, kind="stable").head(MOST_TILES)
    return ranked.assign(number=range(1, len(ranked) + 1))


def with_ink(data: ReportData, tiles: pd.DataFrame) -> pd.DataFrame:
    """The tiles with a column `inked`, true where there is pen ink on one that would be shown.

    Only slides that hold such tiles are read. Of those that cannot be read nothing is known, and
    there are no pictures of them either.
    """
    tiles = tiles.assign(inked=False)
    mpp = {slide.slide_id: slide.mpp for slide in slides_of(data)}
    looked_at: set[str] = set()
    while unseen := set(most_attended(tiles)["slide_id"].astype(str)) - looked_at:
        for slide_id in sorted(unseen):
            looked_at.add(slide_id)
            own = tiles["slide_id"] == slide_id
            path, resolution = slide_path(data, slide_id), mpp.get(slide_id)
            if path is None or resolution is None or (tiles.loc[own, "side_px0"] <= 0).any():
                continue
            try:
                tiles.loc[own, "inked"] = inked_tiles(path, resolution, tiles[own])
            except SlideFault as fault:
                log.warning("slide %s: no search for ink: %s", slide_id, fault)
    return tiles


def passed_over(tiles: pd.DataFrame) -> int:
    """How many tiles with ink have more attention than the last one that is shown."""
    least = most_attended(tiles)["share"].min()
    return int((tiles["inked"].to_numpy(dtype=bool) & (tiles["share"] > least).to_numpy()).sum())


def overviews(data: ReportData, tiles: pd.DataFrame) -> list[Overview]:
    """The slides with the most attention that have an overview image, most attended first."""
    relative = tiles.assign(relative=tiles["share"] * len(tiles))
    shown = most_attended(tiles)
    shares = tiles.groupby("slide_id")["share"].sum().sort_values(ascending=False, kind="stable")
    status = {slide.slide_id: slide for slide in slides_of(data)}
    found: list[Overview] = []
    for slide_id in shares.index.astype(str):
        if slide_id in status and len(found) < MOST_SLIDES:
            own = relative[relative["slide_id"] == slide_id]
            marked = shown[shown["slide_id"] == slide_id]
            if overview := draw_overview(data, status[slide_id], own, marked):
                found.append(overview)
    return found


def draw_overview(
    data: ReportData, slide: SlideStatus, tiles: pd.DataFrame, marked: pd.DataFrame
) -> Overview | None:
    """One slide with its attention, None where its picture or the places of tiles are missing."""
    if (tiles["side_px0"] <= 0).any():
        return None
    from_slide = overview_from_slide(data, slide)
    overview = from_slide or overview_from_stage(data, slide)
    if overview is None:
        return None
    plain, coloured = images.attention_pictures(overview, tiles)
    width, height = overview.picture.size
    # The picture of the slide stage has a scale bar of its own.
    label, percent = scale_bar(overview.size_px0[0], slide.mpp if from_slide else None)
    places = marked[["x_px0", "y_px0", "side_px0"]].to_numpy(float) * width / overview.size_px0[0]
    return Overview(
        slide_id=slide.slide_id,
        plain=plain,
        coloured=coloured,
        width=width,
        height=height,
        markers=[marker(*place) for place in places.tolist()],
        bar_label=label,
        bar_percent=percent,
    )


def overview_from_slide(data: ReportData, slide: SlideStatus) -> images.Overview | None:
    """The overview read from the slide file, without anything drawn on it; None if it is gone."""
    path = slide_path(data, slide.slide_id)
    if path is None or slide.mpp is None:
        return None
    try:
        return images.read_slide_overview(path, slide.mpp)
    except SlideFault as fault:
        log.warning("slide %s: no overview from the file: %s", slide.slide_id, fault)
        return None


def overview_from_stage(data: ReportData, slide: SlideStatus) -> images.Overview | None:
    """The overview that the slide stage drew, with outlines and tiles; None if there is none."""
    picture, patches = slide_file(data, slide.overview), slide_file(data, slide.patches)
    size_px0 = level0_size_px0(patches) if patches else None
    if picture is None or size_px0 is None:
        return None
    return images.read_overview_file(picture, size_px0)


def marker(x: float, y: float, side: float) -> Marker:
    """The outline of a tile, widened around its centre where it would be too small to see."""
    extra = max(SMALLEST_MARKER_PX - side, 0)
    return Marker(x - extra / 2, y - extra / 2, side + extra)


def scale_bar(width_px0: int, mpp: float | None) -> tuple[str | None, float]:
    """Label of a scale bar and its length in percent of the image's width."""
    if not mpp:
        return None, 0.0
    width_um = width_px0 * mpp
    length = max((um for um in BAR_LENGTHS_UM if um <= 0.3 * width_um), default=BAR_LENGTHS_UM[0])
    return bar_label(length), round(100 * length / width_um, 2)


def tiles_shown(data: ReportData, tiles: pd.DataFrame) -> list[Tile]:
    """The most attended tiles with their pictures, where the slide files can still be read."""
    ranked = most_attended(tiles)
    mpp = {slide.slide_id: slide.mpp for slide in slides_of(data)}
    pictures: dict[int, str] = {}
    for slide_id, own in ranked.groupby("slide_id"):
        path, resolution = slide_path(data, str(slide_id)), mpp.get(str(slide_id))
        if path is None or resolution is None or (own["side_px0"] <= 0).any():
            continue  # embeddings that came with the sheet may lack all of these
        try:
            cut = images.tile_pictures(path, resolution, own)
        except SlideFault as fault:
            log.warning("slide %s: no pictures of tiles: %s", slide_id, fault)
            continue
        pictures.update(zip(own["number"].tolist(), cut, strict=True))
    return [
        Tile(
            number=row["number"],
            slide_id=row["slide_id"],
            relative=row["relative"],
            picture=pictures.get(row["number"]),
            width_um=row["side_px0"] * (mpp.get(row["slide_id"]) or 0) or None,
        )
        for row in ranked.to_dict("records")
    ]


def without_files(data: ReportData, tiles: Iterable[Tile]) -> bool:
    """Whether the sheet names no file of the slides of these tiles, only embeddings."""
    return not any(named_path(data, tile.slide_id) for tile in tiles)


def slide_path(data: ReportData, slide_id: str) -> Path | None:
    """The image file of a slide, if the sheet names one and it is there."""
    path = named_path(data, slide_id)
    return path if path is not None and path.is_file() else None


def named_path(data: ReportData, slide_id: str) -> Path | None:
    """The image file that the sheet names for a slide."""
    if data.slide_sheet is None:
        return None
    named = data.slide_sheet.loc[data.slide_sheet["slide_id"] == slide_id, "path"]
    return Path(named.iloc[0]) if len(named) and named.iloc[0] else None


def gene_groups(shares: pd.Series) -> list[Group]:
    """The gene groups with the most attention."""
    relative = (shares * len(shares)).sort_values(ascending=False, kind="stable")
    top = relative.head(MOST_GROUPS)
    return [
        Group(str(name).replace("_", " "), float(value), round(100 * value / top.iloc[0], 2))
        for name, value in top.items()
    ]
