"""The files of the slide stage, against the layouts of TRIDENT and CLAM."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from survfuse.core.errors import TooManyFailuresError, UserInputError
from survfuse.modalities.slides.faults import BadFeatures
from survfuse.modalities.slides.formats.clam import export_clam
from survfuse.modalities.slides.formats.other_tools import stored_side_px0
from survfuse.modalities.slides.reading.tiles import Tiles
from survfuse.modalities.slides.store import (
    SlideFacts,
    SlideStatus,
    check_failures,
    content_sha256,
    merge_manifests,
    nominal_magnification,
    read_features,
    read_manifest,
    tree_name,
    write_coords,
    write_features,
    write_manifest,
)

# A 40x slide: 256 pixels at 0.5 are 256 * 0.5 / 0.2525 = 506.93 level-0 pixels.
FACTS = SlideFacts("S1", "ab" * 32, (40960, 32768), 0.2525, "metadata", 0.5, 256)
TILES = Tiles(
    np.array([[507, 0], [1014, 0], [0, 507]]), np.array([1.0, 0.5, 0.25]), 256 * 0.5 / 0.2525
)
FEATURES = np.arange(12, dtype=np.float16).reshape(3, 4)
COORDINATE_ATTRIBUTES = {
    "patch_size": 256,
    "patch_size_level0": 507,
    "level0_magnification": 40,
    "target_magnification": 20,
    "overlap": 0,
    "name": "S1",
    "level0_width": 40960,
    "level0_height": 32768,
    "survfuse_schema": 1,
    "survfuse_mpp": 0.2525,
    "survfuse_mpp_source": "metadata",
    "survfuse_target_mpp": 0.5,
    "survfuse_slide_sha256": "ab" * 32,
}


def attributes(dataset: h5py.Dataset) -> dict[str, object]:
    return {
        name: value.item() if hasattr(value, "item") else value
        for name, value in dataset.attrs.items()
    }


@pytest.mark.parametrize(
    ("target_mpp", "name"),
    [(0.5, "20x_256px_0px_overlap"), (4.0, "2.5x_256px_0px_overlap"), (1, "10x_256px_0px_overlap")],
)
def test_directories_are_named_as_trident_names_them(target_mpp: float, name: str) -> None:
    assert tree_name(target_mpp, 256) == name


@pytest.mark.parametrize(
    ("mpp", "expected"),
    [(0.12, 80), (0.17, 60), (0.2201, 40), (0.25, 40), (0.499, 20), (0.46, 20), (1, 10), (8, 1)],
)
def test_nominal_magnification(mpp: float, expected: int) -> None:
    assert nominal_magnification(mpp) == expected


def test_coordinates_in_the_layout_of_trident(tmp_path: Path) -> None:
    path = tmp_path / "patches" / "S1_patches.h5"
    write_coords(path, TILES, FACTS)
    with h5py.File(path) as file:
        assert set(file) == {"coords", "tissue"} and not file.attrs
        assert (file["coords"].dtype, file["coords"].shape) == (np.int64, (3, 2))
        assert attributes(file["coords"]) == {**COORDINATE_ATTRIBUTES, "savetodir": "patches"}
        assert file["tissue"].dtype == np.float16
        assert file["tissue"][:].tolist() == [1.0, 0.5, 0.25]
        np.testing.assert_array_equal(file["coords"], TILES.coords)
        assert stored_side_px0(file["coords"]) == TILES.side_px0


def test_embeddings_in_the_layout_of_trident(tmp_path: Path) -> None:
    path = tmp_path / "features_x" / "S1.h5"
    write_features(path, FEATURES, TILES, FACTS, {"encoder": "x", "survfuse_note": ""})
    with h5py.File(path) as file:
        assert set(file) == {"features", "coords"}
        assert (file["features"].dtype, file["features"].chunks) == (np.float16, None)
        assert attributes(file["features"]) == {
            "name": "S1",
            "savetodir": "features_x",
            "survfuse_content_sha256": content_sha256(FEATURES, TILES.coords),
            "encoder": "x",
            "survfuse_note": "",
        }
        assert attributes(file["coords"]) == {**COORDINATE_ATTRIBUTES, "savetodir": "features_x"}
    stored = read_features(path)
    np.testing.assert_array_equal(stored.features, FEATURES)
    np.testing.assert_array_equal(stored.coords, TILES.coords)
    assert stored.tile_px0 == TILES.side_px0


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_coords(tmp_path / name / "patches" / "x.h5", TILES, FACTS)
        write_features(tmp_path / name / "features" / "x.h5", FEATURES, TILES, FACTS, {})
    for kind in ("patches", "features"):
        a, b = (tmp_path / name / kind / "x.h5" for name in ("a", "b"))
        assert a.read_bytes() == b.read_bytes()


def test_what_is_not_finite_is_never_published(tmp_path: Path) -> None:
    for bad in (np.inf, np.nan):
        features = FEATURES.copy()
        features[1, 2] = bad
        with pytest.raises(BadFeatures, match="1 of 3"):
            write_features(tmp_path / "x.h5", features, TILES, FACTS, {})
    assert list(tmp_path.iterdir()) == []


def test_export_in_the_layout_of_clam(tmp_path: Path) -> None:
    export_clam(tmp_path, FEATURES, TILES, FACTS, 1, 4.0, (10240, 8192))
    with h5py.File(tmp_path / "patches" / "S1.h5") as file:
        assert set(file) == {"coords"}
        coords = file["coords"]
        assert (coords.dtype, coords.chunks, coords.maxshape) == (np.int64, (1, 2), (None, 2))
        assert {name: np.asarray(value).tolist() for name, value in coords.attrs.items()} == {
            "patch_size": 127,  # 506.93 level-0 pixels / 4
            "patch_level": 1,
            "downsample": [4.0, 4.0],
            "downsampled_level_dim": [10240, 8192],
            "level_dim": [10240, 8192],
            "name": "S1",
            "save_path": "patches",
        }
        np.testing.assert_array_equal(coords, TILES.coords)
        assert stored_side_px0(coords) == 508.0  # 127 pixels of level 1
    with h5py.File(tmp_path / "h5_files" / "S1.h5") as file:
        assert set(file) == {"features", "coords"}
        assert (file["features"].dtype, file["features"].chunks) == (np.float32, (32, 4))
        assert (file["coords"].dtype, file["coords"].chunks) == (np.int32, (32, 2))
        assert not file["features"].attrs and not file["coords"].attrs
    tensor = torch.load(tmp_path / "pt_files" / "S1.pt", weights_only=True)
    assert (tensor.dtype, tensor.shape) == (torch.float32, (3, 4))
    stored = read_features(tmp_path / "h5_files" / "S1.h5")
    np.testing.assert_array_equal(stored.features, tensor.numpy())
    assert stored.tile_px0 == 507.0  # no attributes: the smallest step


def write_foreign(path: Path, coords_attributes: dict[str, object] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((2, 7), np.float32)
        if coords_attributes is not None:
            file["coords"] = np.array([[0, 0], [512, 0]])
            file["coords"].attrs.update(coords_attributes)
    return path


@pytest.mark.parametrize(
    ("found", "side"),
    [
        ({"patch_size": 256, "patch_size_level0": 510}, 510.0),
        ({"patch_size": 256, "level0_magnification": 40, "target_magnification": 20}, 512.0),
        ({"patch_size": 256, "patch_level": 0}, 256.0),
        ({"patch_size": 256, "patch_level": 1, "downsample": [4.0, 4.0]}, 1024.0),
        ({}, 512.0),
    ],
)
def test_tile_sides_of_other_programs(
    tmp_path: Path, found: dict[str, object], side: float
) -> None:
    assert read_features(write_foreign(tmp_path / "x.h5", found)).tile_px0 == side


def test_embeddings_without_positions_are_accepted(tmp_path: Path) -> None:
    stored = read_features(write_foreign(tmp_path / "x.h5"))
    assert stored.features.shape == (2, 7)
    assert (stored.coords.tolist(), stored.tile_px0) == ([[0, 0], [1, 0]], 0.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": np.ones((2, 3))}, "no dataset named features"),
        ({"features": np.ones((2, 3, 4))}, r"\(2, 3, 4\)"),
        ({"features": np.ones((0, 3))}, r"\(0, 3\)"),
        ({"features": np.ones((2, 3), int)}, "int64"),
        ({"features": np.ones((2, 3)), "coords": np.ones((3, 2))}, r"\(3, 2\)"),
    ],
)
def test_unusable_embeddings_are_refused(
    tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.update(content)
    with pytest.raises(BadFeatures, match=message):
        read_features(tmp_path / "x.h5")


def test_files_that_are_no_hdf5_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_text("slide")
    with pytest.raises(BadFeatures):
        read_features(tmp_path / "x.h5")


def status(number: int, state: str = "ok") -> SlideStatus:
    reason = "" if state == "ok" else "no_tissue: nothing there"
    return SlideStatus(
        f"S{number}", f"P{number}", state, reason, 3, 0.25, "tiff", 1.5, 0.0, "a", "b", "c"
    )


def test_manifest_survives_the_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "batches" / "0.tsv"
    rows = [status(2), SlideStatus("S1", "P1", "quarantined", "unreadable: copy it again")]
    write_manifest(path, rows)
    assert read_manifest(path) == rows[::-1]
    header, *lines = path.read_text().splitlines()
    assert header == (
        "slide_id\tpatient_id\tstatus\treason\tn_tiles\tmpp\tmpp_source\ttissue_mm2\tink_share\t"
        "patches\tfeatures\toverview\tfeatures_sha256\tsource_sha256\tencoder\ttile_um\tpixels"
    )
    assert lines[0] == "S1\tP1\tquarantined\tunreadable: copy it again\t0" + 12 * "\t"
    assert lines[1] == "S2\tP2\tok\t\t3\t0.25\ttiff\t1.5\t0\ta\tb\tc\t\t\t\t\t"


def test_a_manifest_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "slides.tsv"
    write_manifest(path, [replace(status(1), features_sha256="12ab"), status(2)])
    lines = [line.rsplit("\t", 5)[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    assert read_manifest(path) == [status(1), status(2)]


def test_batches_are_merged_and_no_slide_twice(tmp_path: Path) -> None:
    write_manifest(tmp_path / "0.tsv", [status(3), status(1)])
    write_manifest(tmp_path / "1.tsv", [status(2)])
    merge_manifests([tmp_path / "0.tsv", tmp_path / "1.tsv"], tmp_path / "slides.tsv")
    assert [row.slide_id for row in read_manifest(tmp_path / "slides.tsv")] == ["S1", "S2", "S3"]
    write_manifest(tmp_path / "1.tsv", [replace(status(3), n_tiles=4)])
    with pytest.raises(UserInputError, match="S3"):
        merge_manifests([tmp_path / "0.tsv", tmp_path / "1.tsv"], tmp_path / "slides.tsv")


def test_a_table_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("slide_id\tpath\nS1\tx\n")
    with pytest.raises(UserInputError, match=r"x\.tsv"):
        read_manifest(tmp_path / "x.tsv")


def test_too_many_quarantined_slides_stop_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "slides.tsv"
    write_manifest(path, [status(1), status(2), status(3), status(4), status(5, "quarantined")])
    check_failures(path, 0.2)
    (told,) = caplog.messages  # a tolerated failure is told where the run is watched
    assert "1 of 5 slides are quarantined, and the run goes on without them" in told
    assert "S5: no_tissue: nothing there" in told
    with pytest.raises(TooManyFailuresError, match="S5: no_tissue: nothing there") as error:
        check_failures(path, 0)
    assert error.value.exit_code == 4
    assert "1 of 5" in str(error.value)


@pytest.mark.parametrize(
    ("usable", "failed", "fraction", "stops"),
    [
        (2, 1, 0.2, False),  # one slide too small among three
        (1, 1, 0.2, False),
        (1, 2, 0.2, True),
        (0, 1, 0.2, True),  # nothing is left
        (0, 2, 0.9, True),
        (100, 1, 0.0, True),  # none may fail
        (7, 2, 0.2, True),
        (8, 2, 0.2, False),
    ],
)
def test_one_failure_does_not_stop_a_small_cohort(
    tmp_path: Path, usable: int, failed: int, fraction: float, stops: bool
) -> None:
    path = tmp_path / "slides.tsv"
    rows = [status(i, "ok" if i < usable else "quarantined") for i in range(usable + failed)]
    write_manifest(path, rows)
    with pytest.raises(TooManyFailuresError) if stops else nullcontext():
        check_failures(path, fraction)
