"""Bags on disk: mapped rather than read, and sent to other processes as their place in a file."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from survfuse.modalities.slides.bags import Bag, SlideFile, join_slides
from survfuse.modalities.slides.reading.tiles import Tiles
from survfuse.modalities.slides.store import SlideFacts, read_features, write_features


def tiles_of(size: int) -> Tiles:
    coords = np.stack([np.arange(size) * 256, np.zeros(size, dtype=np.int64)], axis=1)
    return Tiles(coords, np.ones(size), 256.0)


@pytest.fixture
def bag(tmp_path: Path) -> Bag:
    generator = np.random.default_rng(0)
    pairs = []
    for name, size in (("A", 5), ("B", 3)):
        values = generator.normal(size=(size, 4)).astype(np.float16)
        path = tmp_path / f"{name}.h5"
        facts = SlideFacts(name, "0" * 64, (4096, 4096), 0.5, "file", 0.5, 256)
        write_features(path, values, tiles_of(size), facts, {})
        pairs.append(SlideFile(name, path))
    return join_slides(pairs)


def test_bags_are_mapped_and_rows_come_from_the_right_slide(bag: Bag) -> None:
    assert all(isinstance(slide, np.memmap) for slide in bag.slides)
    assert len(bag) == 8
    assert bag.width == 4
    chosen = np.array([0, 4, 5, 7])
    np.testing.assert_array_equal(bag.rows(chosen), bag.features[chosen])
    places = bag.places()
    assert places.slide_id[chosen].tolist() == ["A", "A", "B", "B"]
    assert places.coords[chosen, 0].tolist() == [0, 1024, 0, 512]
    assert set(places.tile_px0) == {256.0}


def test_slides_stored_in_different_types_lose_nothing() -> None:
    """100 000 is infinite as float16, whichever slide comes first."""
    coarse = np.array([[1.0, 2.0]], dtype=np.float16)
    fine = np.array([[1e5, 0.1234567]], dtype=np.float32)
    grid = np.zeros((2, 2), dtype=np.int32)
    for slides in ((coarse, fine), (fine, coarse)):
        mixed = Bag(slides, grid, ("A", "B"))
        rows = mixed.rows(np.array([0, 1]))
        np.testing.assert_array_equal(rows, np.concatenate(slides), strict=True)


def test_a_bag_travels_as_its_place_in_the_file(bag: Bag) -> None:
    sent = pickle.dumps(bag)
    again = pickle.loads(sent)
    assert all(isinstance(slide, np.memmap) for slide in again.slides)
    np.testing.assert_array_equal(again.features, bag.features)
    assert bag.features.tobytes() not in sent


def test_compressed_embeddings_are_read_instead(tmp_path: Path) -> None:
    import h5py

    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("features", data=values, chunks=(2, 3), compression="gzip")
    found = read_features(tmp_path / "x.h5").features
    assert not isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, values)
