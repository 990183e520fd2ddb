"""Embeddings that other people made: their formats, and what hostile files try."""

from __future__ import annotations

import errno
import fcntl
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slides_fixture import stained, write_slide
from survfuse.core.hdf5_files import new_hdf5, open_hdf5
from survfuse.core.isolation import IsolatedProcess, Limits
from survfuse.modalities.slides.faults import BadFeatures, SlideFault
from survfuse.modalities.slides.reading.inspection import inspect_features
from survfuse.modalities.slides.store import read_features

FEATURES = np.arange(24, dtype=np.float16).reshape(6, 4)
COORDS = np.array([[0, 0], [512, 0], [1024, 0], [0, 512], [512, 512], [1024, 512]])


def write(path: Path, fill: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def stamp(path: Path, unit: str = "um") -> Path:
    """As STAMP 2 writes it: `feats`, positions in micrometres, attributes at the root."""

    def fill(file: h5py.File) -> None:
        file["feats"] = FEATURES
        file["coords"] = COORDS / 2.0
        file.attrs.update(
            {"extractor": "uni", "unit": unit, "tile_size_um": 256.0, "tile_size_px": 224}
        )

    return write(path, fill)


def trident(path: Path, leading: bool = False) -> Path:
    def fill(file: h5py.File) -> None:
        file["features"] = FEATURES[None] if leading else FEATURES
        file["features"].attrs["encoder"] = "uni_v1"
        file["coords"] = COORDS[None] if leading else COORDS
        file["coords"].attrs.update(
            {
                "patch_size": 256,
                "patch_size_level0": 512,
                "level0_magnification": 40,
                "target_magnification": 20,
            }
        )

    return write(path, fill)


@pytest.mark.parametrize("leading", [False, True])
def test_tridents_files(tmp_path: Path, leading: bool) -> None:
    found = read_features(trident(tmp_path / "x.h5", leading))
    np.testing.assert_array_equal(found.features, FEATURES)
    np.testing.assert_array_equal(found.coords, COORDS)
    assert (found.encoder, found.tile_um, found.tile_px0, found.note) == ("uni_v1", 128, 512, "")
    assert isinstance(found.features, np.memmap)


def test_positions_in_micrometres_become_level_0_pixels(tmp_path: Path) -> None:
    path = stamp(tmp_path / "x.h5")
    found = read_features(path, mpp=0.25)
    np.testing.assert_array_equal(found.coords, COORDS * 2)  # micrometres / 0.25
    assert (found.encoder, found.tile_um, found.tile_px0) == ("uni", 256, 1024)
    unknown = read_features(path)
    assert (unknown.tile_px0, unknown.needs_mpp) == (0, True)  # no maps are drawn
    assert "column mpp" in unknown.note
    np.testing.assert_array_equal(unknown.features, FEATURES)


def test_positions_that_are_no_whole_pixels_are_not_taken_for_pixels(tmp_path: Path) -> None:
    for number, wrong in enumerate((COORDS + 0.5, COORDS * np.nan, COORDS * 1e30)):

        def fill(file: h5py.File, coords: np.ndarray = wrong) -> None:
            file["features"], file["coords"] = FEATURES, coords

        found = read_features(write(tmp_path / f"{number}.h5", fill))
        assert found.tile_px0 == 0 and "maps of attention" in found.note
        assert found.coords[:, 0].tolist() == list(range(6))


@pytest.mark.parametrize(
    "tensor",
    [torch.from_numpy(FEATURES), torch.from_numpy(FEATURES).bfloat16()[None].requires_grad_()],
)
def test_clams_tensors(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save(tensor, tmp_path / "x.pt")
    found = read_features(tmp_path / "x.pt")
    np.testing.assert_array_equal(found.features, FEATURES)
    assert (found.tile_px0, found.encoder) == (0, "")


class Attack:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.place,))


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    torch.save({"features": Attack(tmp_path / "executed")}, tmp_path / "evil.pt")
    with pytest.raises(BadFeatures, match="more than a tensor"):
        read_features(tmp_path / "evil.pt")
    (tmp_path / "evil.h5").write_bytes(pickle.dumps(Attack(tmp_path / "executed")))
    with pytest.raises(BadFeatures, match="a Python pickle"):
        read_features(tmp_path / "evil.h5")
    assert not (tmp_path / "executed").exists()


def test_a_tensor_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    torch.save(torch.zeros(1, dtype=torch.float16).expand(10**7, 10**3), tmp_path / "x.pt")
    with pytest.raises(BadFeatures, match="larger than its file"):
        read_features(tmp_path / "x.pt")
    torch.save([torch.zeros(2, 2)], tmp_path / "x.pt")
    with pytest.raises(BadFeatures, match="holds a list"):
        read_features(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is text"),
        (b"PAR1" + bytes(60), "Parquet"),
        (b"\x93NUMPY\x01\x00" + bytes(60), "NumPy array"),
        (b"II*\0" + bytes(60), "column path"),
        (b"PK\x03\x04" + bytes(60), "damaged zip"),
        (b"\xff" * 60, "unknown kind"),
        (b"\x89HDF\r\n\x1a\n" + b"\xff" * 60, "damaged or cut short"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(BadFeatures, match=said):
        read_features(tmp_path / "x.h5")


def test_numpy_archives_and_folders_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", features=FEATURES)
    with pytest.raises(BadFeatures, match="npz"):
        read_features(tmp_path / "x.npz")
    with pytest.raises(BadFeatures, match="is a folder"):
        read_features(tmp_path)


def linked(kind: str, outside: Path) -> Callable[[h5py.File], object]:
    """A file whose embeddings, in one of many ways, are those of another file."""

    def fill(file: h5py.File) -> None:
        file["pad"] = np.zeros(4000)
        name = "coords" if kind.endswith("coords") else "features"
        if name == "coords":
            file["features"] = FEATURES
        if kind.startswith("external"):
            file[name] = h5py.ExternalLink(outside, "features")
        elif kind.startswith("soft"):
            file["way"] = h5py.ExternalLink(outside, "/")
            file[name] = h5py.SoftLink("/way/features")
        elif kind.startswith("virtual"):
            layout = h5py.VirtualLayout((6, 4), "f2")
            layout[:] = h5py.VirtualSource(outside, "features", shape=(6, 4))
            file.create_virtual_dataset(name, layout)
        else:
            file.create_dataset(name, (20, 4), "f2", external=[(outside, 0, 160)])

    return fill


@pytest.mark.parametrize("name", ["features", "coords"])
@pytest.mark.parametrize("kind", ["external", "soft", "virtual", "raw"])
def test_numbers_of_another_file_never_become_embeddings(
    tmp_path: Path, kind: str, name: str
) -> None:
    outside = trident(tmp_path / "outside.h5")
    path = write(tmp_path / "x.h5", linked(f"{kind} {name}", outside))
    with pytest.raises(BadFeatures, match=rf"{name} is a link|of {name} lie in another file"):
        read_features(path)


def absurd(kind: str) -> Callable[[h5py.File], object]:
    def fill(file: h5py.File) -> None:
        if kind == "never filled":
            file.create_dataset("features", (2**40, 2**10), "f8", chunks=(1, 1024))
        elif kind == "huge, one chunk written":
            file.create_dataset("features", (2**30, 2**10), "f4", chunks=(1, 1024), compression=1)
            file["features"][0] = 1
        elif kind == "huge chunk":
            file.create_dataset("features", (2, 2**27), "f8", chunks=(1, 2**27), compression=1)
            file["features"][0, :10] = 1
        elif kind == "objects":
            file.create_dataset("features", (2, 2), h5py.string_dtype())
        elif kind == "no shape":
            file["features"] = h5py.Empty("f4")
        elif kind == "recursive":
            file["features"] = file["/"]
        elif kind == "compound":
            file["features"] = np.zeros((2, 2), [("a", "f4"), ("b", "f4")])
        elif kind == "long double":
            file["features"] = np.zeros((2, 2), np.longdouble)

    return fill


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("never filled", "never filled"),
        ("huge, one chunk written", "GiB of memory"),
        ("huge chunk", "GiB of memory"),
        ("objects", "holds object"),
        ("no shape", "of shape None"),
        ("recursive", "is a group"),
        ("compound", "write numbers"),
        ("long double", "float128"),
    ],
)
def test_absurd_files_are_refused_before_anything_is_allocated(
    tmp_path: Path, kind: str, said: str
) -> None:
    path = write(tmp_path / "x.h5", absurd(kind))
    with pytest.raises(BadFeatures, match=said):
        read_features(path, most_bytes=2**28)


def test_a_file_that_was_cut_short_is_not_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write(path, lambda file: file.create_dataset("features", data=np.ones((4096, 64), "f2")))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadFeatures, match="cut short"):
        read_features(path)


def test_compressed_and_foreign_numbers_are_converted(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("features", data=FEATURES.astype(">f4"), chunks=(2, 4), compression=4)
        file.create_dataset("coords", data=COORDS.astype(">u2"), shuffle=True, chunks=(2, 2))

    found = read_features(write(tmp_path / "x.h5", fill))
    np.testing.assert_array_equal(found.features, FEATURES)
    assert found.features.dtype == np.float32 and found.features.dtype.isnative

    def brain_floats(file: h5py.File) -> None:  # 16 bits, of which 8 are the exponent
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_size(2)
        kind.set_ebias(127)
        space = h5py.h5s.create_simple(FEATURES.shape)
        dataset = h5py.h5d.create(file.id, b"features", kind, space)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, FEATURES.astype("f4"))

    stored = read_features(write(tmp_path / "y.h5", brain_floats)).features
    np.testing.assert_array_equal(stored, FEATURES)


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return trident(tmp_path_factory.mktemp("given") / "x.h5").read_bytes()


@pytest.fixture(scope="module")
def isolated() -> IsolatedProcess:
    with IsolatedProcess(
        Limits(300.0, 2**30), ("survfuse.modalities.slides.reading.inspection",)
    ) as process:
        yield process


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damage_anywhere_gives_embeddings_or_a_sentence(
    tmp_path: Path, whole_file: bytes, isolated: IsolatedProcess, data: st.DataObject
) -> None:
    """Never another exception: it would take the batch with it."""
    content = bytearray(whole_file)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.h5"
    path.write_bytes(content[: data.draw(st.integers(100, len(content)))])
    try:
        found = isolated.call(
            inspect_features, path, None, None, 2**28, tmp_path / "y.h5", expected=SlideFault
        )
        assert found.n_tiles > 0
    except SlideFault as fault:
        assert fault.reason.startswith("bad_features: ")


def test_positions_in_micrometres_are_converted_for_later_stages(tmp_path: Path) -> None:
    path, copy = stamp(tmp_path / "x.h5"), tmp_path / "converted" / "S1.h5"
    (found,) = inspect_features(path, None, None, 2**28, copy)
    assert not found.converted and not copy.exists() and "column mpp" in found.note
    (found,) = inspect_features(path, None, 0.25, 2**28, copy)
    assert (found.converted, found.mpp, found.mpp_source, found.note) == (True, 0.25, "sheet", "")
    stored = read_features(copy)
    np.testing.assert_array_equal(stored.features, FEATURES)
    np.testing.assert_array_equal(stored.coords, COORDS * 2)
    assert (stored.encoder, stored.tile_um, stored.tile_px0) == ("uni", 256, 1024)
    slide = write_slide(tmp_path / "a.tif", stained(128, 128, (9, 9, 99, 99)), mpp=0.5)
    (found,) = inspect_features(path, slide, None, 2**28, copy)
    assert (found.mpp, found.mpp_source) == (pytest.approx(0.5), "tiff")
    np.testing.assert_array_equal(read_features(copy).coords, COORDS)


def test_embeddings_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """h5py: "unable to lock file, errno = 37, No locks available" on NFS, Lustre and others."""
    path = trident(tmp_path / "x.h5")
    locking = h5py.File

    def without_locks(name: Path, *arguments: object, **options: object) -> h5py.File:
        if options.get("locking") is not False:
            said = "Unable to open file (unable to lock file, errno = 37, error message = 'No locks"
            raise OSError(errno.ENOLCK, said)
        return locking(name, *arguments, **options)

    monkeypatch.setattr(h5py, "File", without_locks)
    np.testing.assert_array_equal(read_features(path).features, FEATURES)
    with new_hdf5(tmp_path / "new.h5") as file:
        file["features"] = FEATURES
    with open_hdf5(tmp_path / "new.h5") as file:
        assert file["features"].shape == FEATURES.shape


def test_embeddings_that_are_still_being_written(tmp_path: Path) -> None:
    """h5py and CLAM: errno 11 where another job has the file open; half of it is no slide."""
    path = trident(tmp_path / "x.h5")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BadFeatures, match="still being written by another program"):
            read_features(path)
    assert read_features(path).features.shape == FEATURES.shape
