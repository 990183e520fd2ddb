"""Batches of slides from file to manifest: quarantine, resumption, privacy, determinism."""

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from slides_fixture import (
    damage_tile,
    glass,
    leave_out_tiles,
    stained,
    tile_corners,
    truncate,
    write_aperio,
    write_slide,
)
from survfuse.config.slides import SlideConfig
from survfuse.core.errors import MissingResourceError, RetryableError
from survfuse.core.files import sha256_file
from survfuse.modalities.slides.batch import SlideRow, batch_rows, process_batch
from survfuse.modalities.slides.encoders import loading
from survfuse.modalities.slides.encoders.encoder import EncoderIdentity
from survfuse.modalities.slides.reading.reader import Slide
from survfuse.modalities.slides.store import SlideStatus, read_features, read_manifest

BOX = (64, 64, 576, 512)  # tissue of 512 x 448 pixels: 8 x 7 tiles of 64
CONFIG = SlideConfig(tile_px=64, encoder="test_resnet", untrained=True)
IDENTITY = loading.identify(CONFIG.tile_encoder)


@dataclass(frozen=True)
class MeanColour:
    """Stands in for a network: the embedding of a tile is its mean colour."""

    identity: EncoderIdentity
    dim: int = 3
    scale: float = 1.0

    def embed(self, tiles: np.ndarray) -> np.ndarray:
        return self.scale * tiles.mean(axis=(1, 2)).astype(np.float32)


@pytest.fixture
def mean_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loading, "load_encoder", lambda _config, identity, _device: MeanColour(identity)
    )


def row(path: Path, slide_id: str = "S1", mpp: float | None = None) -> SlideRow:
    return SlideRow(slide_id, f"P{slide_id}", path, mpp, None)


def run(
    out: Path, *rows: SlideRow, config: SlideConfig = CONFIG, workers: int = 1
) -> dict[str, SlideStatus]:
    process_batch(rows, config, out, out / "batches" / "0.tsv", workers, "cpu")
    return {status.slide_id: status for status in read_manifest(out / "batches" / "0.tsv")}


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


def test_rows_are_dealt_to_batches() -> None:
    sheet = pd.DataFrame(
        {
            "slide_id": [f"S{i}" for i in range(5)],
            "patient_id": "P1",
            "path": ["/a.svs", "/b.svs", "", "/d.svs", "/e.svs"],
            "mpp": ["", "0.25", "", "", ""],
            "features": ["", "", "/c.h5", "", ""],
        }
    )
    assert batch_rows(sheet, 1, 2) == [
        SlideRow("S1", "P1", Path("/b.svs"), 0.25, None),
        SlideRow("S3", "P1", Path("/d.svs"), None, None),
    ]
    assert batch_rows(sheet, 2, 4) == [SlideRow("S2", "P1", None, None, Path("/c.h5"))]
    dealt = [row.slide_id for batch in range(3) for row in batch_rows(sheet, batch, 3)]
    assert sorted(dealt) == list(sheet["slide_id"])


@pytest.mark.usefixtures("mean_colour")
def test_a_sound_slide(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", stained(640, 640, BOX), levels=2)
    out = tmp_path / "out"
    status = run(out, row(path))["S1"]
    assert status == SlideStatus(
        "S1",
        "PS1",
        "ok",
        "",
        n_tiles=56,
        mpp=0.5,
        mpp_source="tiff",
        tissue_mm2=status.tissue_mm2,
        ink_share=0.0,
        patches="20x_64px_0px_overlap/patches/S1_patches.h5",
        features=f"20x_64px_0px_overlap/features_{IDENTITY.name}/S1.h5",
        overview="20x_64px_0px_overlap/visualization/S1.jpg",
        features_sha256=sha256_file(out / status.features),
        source_sha256=sha256_file(path),
        encoder=IDENTITY.label,
        tile_um=32.0,
        pixels=IDENTITY.pixels,
    )
    assert status.tissue_mm2 == pytest.approx(0.256 * 0.224, rel=0.1)
    coords = tile_corners(out / status.patches)
    expected = [[x, y] for y in range(64, 512, 64) for x in range(64, 576, 64)]
    stored = read_features(out / status.features)
    assert (coords.tolist(), stored.tile_px0) == (expected, 64.0)
    np.testing.assert_array_equal(stored.coords, coords)
    with Slide(path) as slide:  # every embedding belongs to its coordinates
        for corner, feature in zip(coords.tolist(), stored.features, strict=True):
            mean = slide.read_tile((corner[0], corner[1]), 64.0, 64).mean(axis=(0, 1))
            np.testing.assert_allclose(feature, mean, atol=0.1)
    with h5py.File(out / status.features) as file:
        attributes = dict(file["features"].attrs)
    assert attributes["encoder"] == "test_resnet"
    assert "untrained" in attributes["survfuse_encoder"]
    assert json.loads(attributes["survfuse_encoder_settings"])["mean"] == [0.5, 0.5, 0.5]
    assert attributes["survfuse_damaged_tiles"] == 0
    outline = json.loads((out / "contours_geojson" / "S1.geojson").read_text())
    assert len(outline["features"]) == 1


@pytest.mark.usefixtures("mean_colour")
def test_every_bad_slide_is_quarantined_for_its_reason_and_spoils_no_other(tmp_path: Path) -> None:
    tissue = stained(640, 640, BOX)
    bad = {
        "missing_mpp": write_slide(tmp_path / "a.tif", tissue, mpp=None),
        "implausible_mpp": write_slide(tmp_path / "b.tif", tissue, mpp=9.5),
        "implausible_mpp 0": write_aperio(tmp_path / "c.svs", tissue, "A^B", mpp="0"),
        "no_tissue": write_slide(tmp_path / "d.tif", glass(640, 640)),
        "too_coarse": write_slide(tmp_path / "e.tif", tissue, mpp=1.0),
        "too_small": write_slide(tmp_path / "f.tif", tissue[:48, :48]),
        "unreadable": write_slide(tmp_path / "g.tif", tissue),
        "unreadable, not there": tmp_path / "h.tif",
        "corrupt_tiles": write_slide(tmp_path / "i.tif", tissue),
    }
    truncate(bad["unreadable"], 0.6)
    damage_tile(bad["corrupt_tiles"], index=33)
    rows = [row(path, f"bad{i}") for i, path in enumerate(bad.values())]
    good = row(write_slide(tmp_path / "good.tif", tissue), "good")
    found = run(tmp_path / "out", *rows, good, workers=2)
    for i, expected in enumerate(bad):
        status = found[f"bad{i}"]
        assert status.status == "quarantined"
        assert status.reason.startswith(f"{expected.replace(',', ' ').split()[0]}: "), status
        assert (status.n_tiles, status.patches, status.features) == (0, "", "")
        assert not list((tmp_path / "out").rglob(f"*features*/bad{i}.h5"))
        assert ".tif" not in status.reason and ".svs" not in status.reason
    assert found["good"].status == "ok"
    assert (tmp_path / "out" / found["bad3"].overview).is_file()  # shows why nothing was found
    mended = run(tmp_path / "mended", row(bad["missing_mpp"], "S1", mpp=0.5))["S1"]
    assert (mended.status, mended.mpp, mended.mpp_source) == ("ok", 0.5, "sheet")


@pytest.mark.usefixtures("mean_colour")
def test_a_few_damaged_tiles_are_left_out_and_counted(tmp_path: Path) -> None:
    image = stained(1024, 1024, (0, 0, 1024, 1024))
    path = write_slide(tmp_path / "a.tif", image, tile_px=32)
    config = SlideConfig(tile_px=32, encoder="test_resnet", untrained=True, clam_export=True)
    whole = run(tmp_path / "whole", row(path), config=config)["S1"]
    assert whole.n_tiles == 1024
    damage_tile(path, index=40)  # 32 tiles a row: column 8, row 1
    status = run(tmp_path / "out", row(path), config=config)["S1"]
    assert (status.status, status.n_tiles) == ("ok", 1023)
    assert status.reason == "1 of 1024 tissue tiles are damaged and left out"
    stored = read_features(tmp_path / "out" / status.features)
    assert len(stored.features) == 1023
    assert [256, 32] not in stored.coords.tolist()
    assert stored.features.max() < 215  # glass and white are brighter: no tile was made up
    np.testing.assert_array_equal(
        tile_corners(tmp_path / "out" / "clam" / "patches" / "S1.h5"), stored.coords
    )


@pytest.mark.usefixtures("mean_colour")
def test_grey_coarse_and_penned_slides_are_used_with_a_note(tmp_path: Path) -> None:
    image = stained(640, 640, BOX)
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    penned = image.copy()
    cv2.line(penned, (100, 300), (560, 300), (40, 60, 160), 100)
    found = run(
        tmp_path / "out",
        row(write_slide(tmp_path / "a.tif", grey), "grey"),
        row(write_slide(tmp_path / "b.tif", image, mpp=0.6), "coarse"),
        row(write_slide(tmp_path / "c.tif", penned), "pen"),
        row(write_slide(tmp_path / "d.tif", image), "plain"),
    )
    assert "no colour" in found["grey"].reason
    assert "enlarged by 20%" in found["coarse"].reason
    assert found["pen"].ink_share is not None and found["pen"].ink_share > 0.05
    assert 0 < found["pen"].n_tiles < found["plain"].n_tiles - 10
    coords = tile_corners(tmp_path / "out" / found["pen"].patches)
    assert not ((coords[:, 1] == 256) & (coords[:, 0] >= 128) & (coords[:, 0] < 512)).any()


@pytest.mark.usefixtures("mean_colour")
def test_one_basename_twice_gives_two_slides(tmp_path: Path) -> None:
    a = write_slide(tmp_path / "a" / "slide.tif", stained(640, 640, BOX))
    b = write_slide(tmp_path / "b" / "slide.tif", stained(640, 640, (64, 64, 448, 448)))
    found = run(tmp_path / "out", row(a, "S1"), row(b, "S2"))
    assert found["S1"].n_tiles == 56 and found["S2"].n_tiles == 36


@pytest.mark.usefixtures("mean_colour")
def test_complete_slides_are_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_slide(tmp_path / "a.tif", stained(640, 640, BOX, seed=1))
    second = write_slide(tmp_path / "b.tif", stained(640, 640, BOX, seed=2))
    out, rows = tmp_path / "out", [row(first, "S1"), row(second, "S2")]
    statuses = run(out, *rows)
    before = contents(out)

    with monkeypatch.context() as patch:  # nothing to do: not even the encoder is loaded
        patch.setattr(loading, "load_encoder", None)
        assert run(out, *rows) == statuses
    assert contents(out) == before

    # Interrupted before the embeddings of S1 were complete: only S1 is made again.
    (out / statuses["S1"].features).unlink()
    untouched = (out / statuses["S2"].features).stat().st_mtime_ns
    assert run(out, *rows) == statuses
    assert contents(out) == before
    assert (out / statuses["S2"].features).stat().st_mtime_ns == untouched

    # Damaged, changed, or made with other settings: made again.
    (out / statuses["S1"].features).write_bytes(b"half")
    assert run(out, *rows) == statuses and contents(out) == before
    write_slide(first, stained(640, 640, (64, 64, 448, 448)))
    assert run(out, *rows)["S1"].n_tiles == 36
    stricter = CONFIG.model_copy(update={"min_tissue": 1.0})
    assert run(out, *rows, config=stricter)["S2"].n_tiles < 56


def test_the_manifest_tells_embeddings_by_other_weights_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are replaced under one name, as for a new release: nothing else would differ."""

    def load(config: SlideConfig, identity: EncoderIdentity, _: str) -> MeanColour:
        assert config.weights is not None
        scale = float(config.weights.read_text())
        return MeanColour(identity, scale=scale)

    monkeypatch.setattr(loading, "load_encoder", load)
    weights, out = tmp_path / "w.safetensors", tmp_path / "out"
    statistics = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "input_px": 160, "pooling": "none"}
    config = CONFIG.model_copy(update={"untrained": False, "weights": weights, **statistics})
    slide = row(write_slide(tmp_path / "a.tif", stained(640, 640, BOX)))
    manifests, embedded = [], []
    for scale in ("1", "1", "2", "1"):
        weights.write_text(scale)
        status = run(out, slide, config=config)["S1"]
        manifests.append((out / "batches" / "0.tsv").read_bytes())
        embedded.append(np.array(read_features(out / status.features).features, dtype=float))
    np.testing.assert_allclose(embedded[2], 2 * embedded[0], rtol=1e-3)
    assert manifests[0] == manifests[1] == manifests[3]
    assert manifests[0] != manifests[2]


@pytest.mark.usefixtures("mean_colour")
def test_a_slide_that_became_bad_leaves_no_old_embeddings(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", stained(640, 640, BOX))
    first = run(tmp_path / "out", row(path))["S1"]
    truncate(path, 0.5)
    assert run(tmp_path / "out", row(path))["S1"].status == "quarantined"
    assert not (tmp_path / "out" / first.features).exists()


def test_results_depend_neither_on_workers_nor_on_company(tmp_path: Path) -> None:
    rows = [
        row(write_slide(tmp_path / f"{i}.tif", stained(640, 640, BOX, seed=i)), f"S{i}")
        for i in range(3)
    ]
    config = CONFIG.model_copy(update={"clam_export": True})
    run(tmp_path / "one", *rows, config=config, workers=1)
    run(tmp_path / "many", *rows, config=config, workers=3)
    run(tmp_path / "alone", rows[1], config=config)
    one, many, alone = (contents(tmp_path / name) for name in ("one", "many", "alone"))
    assert one == many
    manifest = str(Path("batches") / "0.tsv")
    assert len(alone) == 8
    assert all(one[name] == alone[name] for name in alone if name != manifest)


def test_an_operation_has_one_thread_whatever_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Counting(MeanColour):
        def embed(self, tiles: np.ndarray) -> np.ndarray:
            seen.append((torch.get_num_threads(), cv2.getNumThreads()))
            return super().embed(tiles)

    monkeypatch.setattr(
        loading, "load_encoder", lambda _config, identity, _device: Counting(identity)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(tmp_path / "out", row(write_slide(tmp_path / "a.tif", stained(640, 640, BOX))))
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {(1, 1)}


def test_names_on_labels_and_in_headers_never_leave_the_slide(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = stained(640, 640, BOX)
    path = write_aperio(tmp_path / "DOE_JANE_1950.svs", image, "DOE^JANE")
    caplog.set_level("DEBUG")
    config = CONFIG.model_copy(update={"clam_export": True})
    status = run(tmp_path / "out", row(path), row(tmp_path / "DOE_JANE.svs", "S2"), config=config)
    assert (status["S1"].status, status["S2"].status) == ("ok", "quarantined")
    written = contents(tmp_path / "out")
    assert len(written) == 8
    for name, content in written.items():
        assert b"DOE" not in content and "DOE" not in name, name
    assert "DOE" not in caplog.text
    overview = cv2.imread(str(tmp_path / "out" / status["S1"].overview)).astype(int)
    magenta = (overview[..., 0] > 200) & (overview[..., 2] > 200) & (overview[..., 1] < 80)
    assert not magenta.any()  # the colour of the label and the macro image


def test_given_embeddings_are_checked_and_stay_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, nan, flat = (tmp_path / f"{name}.h5" for name in ("good", "nan", "flat"))
    for path, features in (
        (good, np.ones((4, 9), np.float32)),
        (nan, np.full((4, 9), np.nan, np.float32)),
        (flat, np.ones(9, np.float32)),
    ):
        with h5py.File(path, "w") as file:
            file["features"] = features
    monkeypatch.setattr(loading, "identify", None)  # no encoder is needed
    rows = [SlideRow(path.stem, "P1", None, None, path) for path in (good, nan, flat)]
    found = run(tmp_path / "out", *rows, config=SlideConfig())
    assert found["good"] == SlideStatus(
        "good",
        "P1",
        "ok",
        n_tiles=4,
        features=str(good),
        features_sha256=sha256_file(good),
        source_sha256=sha256_file(good),
    )
    assert found["nan"].features_sha256 == ""
    assert found["nan"].reason.startswith("bad_features: 4 of 4")
    assert found["flat"].reason.startswith("bad_features: ")


@pytest.mark.usefixtures("mean_colour")
def test_faults_of_the_machine_stop_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = row(write_slide(tmp_path / "a.tif", stained(640, 640, BOX)))

    def fail(error: BaseException) -> None:
        def write(*_: object) -> None:
            raise error

        monkeypatch.setattr("survfuse.modalities.slides.embedding.write_coords", write)

    fail(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "out", slide)
    fail(MemoryError())
    with pytest.raises(RetryableError) as error:
        run(tmp_path / "out", slide)
    assert error.value.exit_code == 75
    assert not (tmp_path / "out" / "batches" / "0.tsv").exists()


def test_missing_weights_stop_the_job_before_any_work(tmp_path: Path) -> None:
    slide = row(write_slide(tmp_path / "a.tif", stained(640, 640, BOX)))
    with pytest.raises(MissingResourceError, match="weights of the encoder are not set"):
        run(tmp_path / "out", slide, config=SlideConfig())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("mean_colour")
def test_real_slides(real_data: Path, tmp_path: Path) -> None:
    slides = real_data / "slides"
    paths = [path for path in sorted(slides.rglob("*")) if path.is_file() and path.suffix != ".png"]
    config = SlideConfig(encoder="test_resnet", untrained=True)
    found = run(tmp_path, *(row(path, path.stem) for path in paths), config=config, workers=2)
    assert {name: status.reason.split(":")[0] for name, status in found.items()} == {
        "CMU-1-Small-Region": "",
        "luna_1065626": "",
        "openslide_boxes": "implausible_mpp",
        "openslide_small": "too_small",
        "boxes_0": "too_small",
        "boxes_1": "too_small",
        "CMU-1-truncated-60pct": "unreadable",
        "histolab_broken": "unreadable",
        "kidney-48-5": "unreadable",
        "openslide_unopenable": "unreadable",
        "openslide_unreadable": "unreadable",
    }
    # Counted by eye on the overview: the section covers 30 to 40 of the 8 x 11 whole tiles.
    assert 30 <= found["CMU-1-Small-Region"].n_tiles <= 40
    assert 6 <= found["luna_1065626"].n_tiles <= 16


def absurd_tiles(path: Path) -> Path:
    """A TIFF whose tiles are 2^20 pixels wide: GLib aborts the process that opens it."""
    write_slide(path, stained(640, 640, BOX))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("TileWidth", "TileLength"):
            tiff.pages[0].tags[name].overwrite(2**20)
    return path


@pytest.mark.usefixtures("mean_colour")
def test_a_file_that_crashes_its_decoder_is_one_quarantined_slide(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row(write_slide(tmp_path / "a.tif", stained(640, 640, BOX)), "S1"),
        row(absurd_tiles(tmp_path / "b.tif"), "S2"),
        row(write_slide(tmp_path / "c.tif", stained(640, 640, BOX, seed=3)), "S3"),
        row(absurd_tiles(tmp_path / "d.tif"), "S4"),
    ]
    found = run(tmp_path / "out", *rows)
    assert [found[f"S{n}"].status for n in range(1, 5)] == ["ok", "quarantined"] * 2
    assert "unreadable: decoding the file crashed (SIG" in found["S2"].reason
    assert "GLib" not in capfd.readouterr().err


@pytest.mark.usefixtures("mean_colour")
def test_pipes_links_and_folders_are_quarantined_and_never_waited_for(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out_of_it"
    good = write_slide(inside / "good.tif", stained(640, 640, BOX))
    other = write_slide(outside / "other.tif", stained(640, 640, BOX))
    features = outside / "f.h5"
    with h5py.File(features, "w") as file:
        file["features"] = np.ones((2, 3), np.float32)
    os.mkfifo(inside / "pipe.tif")
    os.mkfifo(inside / "pipe.h5")
    (inside / "link.tif").symlink_to(other)
    (inside / "link.h5").symlink_to(features)
    (inside / "within.tif").symlink_to(good)
    rows = [
        row(good, "good"),
        row(inside / "within.tif", "within"),
        row(inside / "pipe.tif", "pipe"),
        row(inside, "folder"),
        row(inside / "link.tif", "link"),
        SlideRow("pipe5", "P", None, None, inside / "pipe.h5"),
        SlideRow("link5", "P", None, None, inside / "link.h5"),
    ]
    process_batch(rows, CONFIG, tmp_path / "o", tmp_path / "0.tsv", 1, "cpu", [inside])
    found = {status.slide_id: status for status in read_manifest(tmp_path / "0.tsv")}
    assert found["good"].status == found["within"].status == "ok"
    for name, said in (
        ("pipe", "is a pipe"),
        ("folder", "is a folder"),
        ("link", "leads out of"),
        ("pipe5", "is a pipe"),
        ("link5", "leads out of"),
    ):
        assert found[name].status == "quarantined" and said in found[name].reason


@pytest.mark.usefixtures("mean_colour")
def test_memory_and_time_that_one_slide_takes_are_limited(tmp_path: Path) -> None:
    """They are the fault of the file: running the job again would not help."""
    # A tile of 64 MB: more than memory that the imports used and freed could hold.
    slide = row(write_slide(tmp_path / "a.tif", stained(640, 640, BOX), tile_px=4096))
    small = CONFIG.model_copy(update={"decode_memory_gb": 0.03})
    status = run(tmp_path / "memory", slide, config=small)["S1"]
    assert status.reason.startswith("unreadable: decoding the file ")
    assert "decode_memory_gb" in status.reason
    quick = CONFIG.model_copy(update={"decode_timeout_s": 1e-6})
    status = run(tmp_path / "time", slide, config=quick)["S1"]
    assert "gave no sign" in status.reason


@pytest.mark.usefixtures("mean_colour")
def test_embeddings_that_changed_after_their_stage_are_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slide, out = row(write_slide(tmp_path / "a.tif", stained(640, 640, BOX))), tmp_path / "out"
    first = run(out, slide)["S1"]
    for name in ("features", "coords"):
        with h5py.File(out / first.features, "r+") as file:
            file[name][0] = 9
        assert run(out, slide)["S1"] == first
        assert "changed after they were made" in caplog.text
        caplog.clear()


@pytest.mark.usefixtures("mean_colour")
def test_tissue_that_is_missing_from_the_finest_level_is_damage(tmp_path: Path) -> None:
    """OpenSlide shows it white, and white tiles would be embedded."""
    path = write_slide(tmp_path / "a.tif", stained(640, 640, BOX), levels=2)
    leave_out_tiles(path, range(100))
    status = run(tmp_path / "out", row(path))["S1"]
    assert status.reason.startswith("corrupt_tiles: 56 of 56 tissue tiles")


@pytest.mark.usefixtures("mean_colour")
def test_damage_where_tissue_is_looked_for_does_not_cost_an_intact_slide(tmp_path: Path) -> None:
    image = stained(640, 640, BOX)
    path = write_slide(tmp_path / "a.tif", image, levels=5)  # the last level is one tile
    whole = run(tmp_path / "whole", row(path))["S1"]
    damage_tile(path, index=0, level=4)
    status = run(tmp_path / "out", row(path))["S1"]
    assert (status.status, status.n_tiles) == ("ok", whole.n_tiles)
    assert status.reason == "the end of level 4 is damaged"


@pytest.mark.usefixtures("mean_colour")
def test_a_sheet_that_disagrees_with_the_file_is_noted(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", stained(640, 640, BOX), mpp=0.25)
    status = run(tmp_path / "out", row(path, mpp=0.5))["S1"]
    assert (status.status, status.mpp) == ("ok", 0.5)
    assert "the sheet says 0.5 micrometres per pixel, the TIFF resolution tag 0.25" in status.reason
