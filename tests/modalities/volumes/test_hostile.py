"""Volumes that are damaged, lie about their size, or were made to do harm."""

from __future__ import annotations

import gzip
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imaging_fixture import brain_of, head, pet_tags, save, write_series
from survfuse.config.imaging import ImagingConfig
from survfuse.core.errors import RetryableError, UserInputError
from survfuse.modalities.volumes import prepare
from survfuse.modalities.volumes.batch import process_batch
from survfuse.modalities.volumes.faults import (
    BadRegistration,
    ImplausibleVoxels,
    NoOrientation,
    UnreadableVolume,
    VolumeFault,
    WrongDimension,
)
from survfuse.modalities.volumes.placement import VolumeRow
from survfuse.modalities.volumes.reading import nifti, nrrd, reader
from survfuse.modalities.volumes.reading.reader import read_volume
from survfuse.modalities.volumes.registration import read_matrix
from survfuse.modalities.volumes.store import VolumeStatus, read_manifest
from survfuse.modalities.volumes.template import read_template
from survfuse.modalities.volumes.volume import Volume, to_image

SMALL = head(8.0, 20)
SIDES = struct.Struct("<8h")  # at byte 40 of a NIfTI header
FUZZED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def prepared(out: Path, *paths: Path, **files: Path) -> list[VolumeStatus]:
    """Statuses of a T1 per patient, prepared without search and registration."""
    config = ImagingConfig(
        bias_correction=False, find_mask=False, spacing_mm=(8, 8, 8), shape=(20, 20, 20)
    )
    named = [files.get(name) for name in ("mask", "reference", "registration")]
    rows = [VolumeRow(f"P{i}", "m0", "t1", path, *named) for i, path in enumerate(paths)]
    process_batch(rows, config, out, out / "0.tsv")
    return read_manifest(out / "0.tsv")


def agrees_or_is_refused(path: Path, expected: Volume) -> None:
    """A compressed file is read with the voxels that were written, or set aside."""
    try:
        read = read_volume(path)
    except VolumeFault:
        return
    np.testing.assert_array_equal(read.data, expected.data)


def is_volume_or_refused(path: Path) -> None:
    """Where nothing tells damaged voxels from others, no more than a volume can be promised."""
    try:
        read = read_volume(path)
    except VolumeFault:
        return
    assert read.data.ndim == 3
    assert np.isfinite(read.data).all()
    assert np.isfinite(read.affine).all()


# Checksums


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One small head compressed, as NIfTI and as NRRD."""
    folder = tmp_path_factory.mktemp("packed")
    sitk.WriteImage(to_image(SMALL), str(folder / "x.nrrd"), useCompression=True)
    return {
        ".nii.gz": save(SMALL, folder / "x.nii.gz").read_bytes(),
        ".nrrd": (folder / "x.nrrd").read_bytes(),
    }


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_every_flipped_bit_of_a_compressed_volume_is_seen(
    tmp_path: Path, packed: dict[str, bytes], suffix: str
) -> None:
    """Also those that leave the compressed stream readable, with other voxels in it."""
    content, path = packed[suffix], tmp_path / f"x{suffix}"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_volume(path).data, SMALL.data)
    start = content.index(b"\x1f\x8b") + 10  # what stands before is name and time of the file
    draw = random.Random(0)
    for _ in range(40):
        damaged = bytearray(content)
        damaged[draw.randrange(start, len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        if suffix == ".nrrd" or damaged[3] == content[3]:
            with pytest.raises(UnreadableVolume):
                read_volume(path)


@pytest.mark.parametrize("name", ["template", "template_mask", "reference_region"])
def test_damaged_files_of_the_template_are_told(
    tmp_path: Path, packed: dict[str, bytes], name: str
) -> None:
    damaged = bytearray(packed[".nii.gz"])
    damaged[-5] ^= 1  # of the checksum; the stream itself is as it was
    (tmp_path / "damaged.nii.gz").write_bytes(damaged)
    inside = Volume(brain_of(SMALL).astype(np.float32), SMALL.affine)
    named = {
        "template": save(SMALL, tmp_path / "t.nii.gz"),
        "template_mask": save(inside, tmp_path / "m.nii.gz"),
        "reference_region": save(inside, tmp_path / "r.nii.gz"),
    }
    config = ImagingConfig(**(named | {name: tmp_path / "damaged.nii.gz"}))
    with pytest.raises(UserInputError, match=r"damaged\.nii\.gz: unreadable"):
        read_template(config)


def test_a_damaged_mask_sets_the_volume_aside_and_is_named(
    tmp_path: Path, packed: dict[str, bytes]
) -> None:
    damaged = bytearray(packed[".nii.gz"])
    damaged[-5] ^= 1
    (tmp_path / "mask.nii.gz").write_bytes(damaged)
    volume = save(SMALL, tmp_path / "t1.nii.gz")
    (status,) = prepared(tmp_path / "out", volume, mask=tmp_path / "mask.nii.gz")
    assert status.reason.startswith("unreadable: the mask given: the file is damaged")


# Headers that promise too much


@pytest.mark.parametrize(
    "sides",
    [
        (4, 512, 512, 512, 1000, 1, 1, 1),
        (3, 20, 20, 32767, 1, 1, 1, 1),
        (3, 21, 20, 20, 1, 1, 1, 1),
        (2, 20, 400, 1, 1, 1, 1, 1),
        (1, 8000, 1, 1, 1, 1, 1, 1),
        (4, 20, 20, 20, 2, 1, 1, 1),
        (7, 20, 20, 20, 300, 300, 300, 300),
        (5, 1, 1, 20, 20, 20, 1, 1),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_header_is_not_believed(tmp_path: Path, sides: tuple[int, ...], suffix: str) -> None:
    content = bytearray(save(SMALL, tmp_path / "x.nii").read_bytes())
    SIDES.pack_into(content, 40, *sides)
    path = tmp_path / f"y{suffix}"
    path.write_bytes(gzip.compress(bytes(content)) if suffix == ".nii.gz" else bytes(content))
    with pytest.raises((UnreadableVolume, WrongDimension, ImplausibleVoxels)):
        read_volume(path)


def test_a_header_alone_is_one_volume_set_aside(tmp_path: Path) -> None:
    content = bytearray(save(SMALL, tmp_path / "good.nii").read_bytes()[:352])
    SIDES.pack_into(content, 40, 4, 512, 512, 512, 1000, 1, 1, 1)
    (tmp_path / "bad.nii").write_bytes(content)
    bad, good = prepared(tmp_path / "out", tmp_path / "bad.nii", tmp_path / "good.nii")
    assert bad.reason.startswith("wrong_dimension: the volume has 4 axes")
    assert good.status == "ok"


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("place", [(0, 0), (1, 3)])
def test_an_affine_that_is_none_is_refused(
    tmp_path: Path, value: float, place: tuple[int, int]
) -> None:
    if value == 0 and place == (1, 3):
        return  # a place like any other
    content = bytearray(save(SMALL, tmp_path / "x.nii").read_bytes())
    struct.pack_into("<h", content, 252, 0)  # no qform
    struct.pack_into("<f", content, 280 + 16 * place[0] + 4 * place[1], value)
    (tmp_path / "x.nii").write_bytes(content)
    with pytest.raises((ImplausibleVoxels, NoOrientation)):
        read_volume(tmp_path / "x.nii")


@pytest.mark.parametrize("spacing", [0.0, -0.0, np.nan, 1e30])
def test_spacing_that_is_none_is_refused(tmp_path: Path, spacing: float) -> None:
    content = bytearray(save(SMALL, tmp_path / "x.nii").read_bytes())
    struct.pack_into("<h", content, 254, 0)  # no sform
    struct.pack_into("<f", content, 80, spacing)
    (tmp_path / "x.nii").write_bytes(content)
    with pytest.raises((ImplausibleVoxels, NoOrientation, UnreadableVolume)):
        read_volume(tmp_path / "x.nii")


def test_a_bomb_is_unpacked_no_further_than_the_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: dict[str, bytes]
) -> None:
    for module in (nifti, nrrd):
        monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    plain = gzip.decompress(packed[".nii.gz"])
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(plain + bytes(4 << 20)))
    start = packed[".nrrd"].index(b"\x1f\x8b")
    voxels = gzip.decompress(packed[".nrrd"][start:])
    bomb = packed[".nrrd"][:start] + gzip.compress(voxels + bytes(4 << 20))
    (tmp_path / "x.nrrd").write_bytes(bomb)
    for name in ("x.nii.gz", "x.nrrd"):
        with pytest.raises(UnreadableVolume, match="unpacks to more than"):
            read_volume(tmp_path / name)


def test_what_follows_the_voxels_is_read_but_not_kept(
    tmp_path: Path, packed: dict[str, bytes]
) -> None:
    plain = gzip.decompress(packed[".nii.gz"])
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(plain + bytes(8 << 20)))
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii.gz").data, SMALL.data)
    content, length = nifti.unpacked(tmp_path / "x.nii.gz")
    assert length == len(plain) + (8 << 20)
    assert len(content.getvalue()) < len(plain) + (2 << 20)


def nrrd_of(path: Path, **changes: str) -> Path:
    """SMALL as an uncompressed NRRD, fields of its header changed; empty ones left out."""
    fields = {
        "type": "float",
        "dimension": "3",
        "space": "right-anterior-superior",
        "sizes": "20 20 20",
        "space directions": "(8,0,0) (0,8,0) (0,0,8)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
    } | {name.replace("_", " "): value for name, value in changes.items()}
    lines = ["NRRD0004", *(f"{name}: {value}" for name, value in fields.items() if value)]
    voxels = SMALL.data.astype("<f4").tobytes(order="F")
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + voxels)
    return path


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"sizes": "20 20 4000000000000"}, WrongDimension),
        ({"sizes": "20 20 21"}, UnreadableVolume),
        ({"sizes": "20 20 -20"}, UnreadableVolume),
        ({"sizes": "20 20"}, UnreadableVolume),
        ({"sizes": "9" * 5000 + " 20 20"}, UnreadableVolume),
        ({"dimension": "16"}, UnreadableVolume),
        ({"type": "block"}, UnreadableVolume),
        ({"encoding": "bzip2"}, UnreadableVolume),
        ({"byte_skip": "99999999999"}, UnreadableVolume),
        ({"byte_skip": "-7"}, UnreadableVolume),
        ({"line_skip": "99999999999"}, UnreadableVolume),
        ({"space_directions": "(nan,0,0) (0,8,0) (0,0,8)"}, ImplausibleVoxels),
        ({"space_directions": "(0,0,0) (0,8,0) (0,0,8)"}, ImplausibleVoxels),
        ({"space_origin": "(inf,0,0)"}, ImplausibleVoxels),
        ({"space_directions": ""}, NoOrientation),
        ({"space_directions": "none (0,8,0) (0,0,8)"}, NoOrientation),
        ({"space": ""}, NoOrientation),
        ({"space": "scanner-xyz"}, NoOrientation),
        ({"space": "3D-right-handed"}, NoOrientation),
        ({"space": "3D-left-handed"}, NoOrientation),
        ({"space": "right-anterior-superior-time"}, NoOrientation),
        ({"space": "", "space_dimension": "3"}, NoOrientation),
        ({"space_units": '"parsec" "parsec" "parsec"'}, UnreadableVolume),
    ],
)
def test_headers_of_nrrd_that_cannot_be_followed(
    tmp_path: Path, changes: dict[str, str], fault: type[VolumeFault]
) -> None:
    with pytest.raises(fault):
        read_volume(nrrd_of(tmp_path / "x.nrrd", **changes))


@pytest.mark.parametrize(
    ("space", "signs"),
    [("RAS", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1)), ("LPS", (-1, -1, 1))],
)
def test_spaces_of_anatomy_are_followed(
    tmp_path: Path, space: str, signs: tuple[int, int, int]
) -> None:
    read = read_volume(nrrd_of(tmp_path / "x.nrrd", space=space, space_origin="(1,2,3)"))
    np.testing.assert_array_equal(read.data, SMALL.data)
    np.testing.assert_allclose(np.diag(read.affine), [*np.multiply(signs, 8.0), 1])
    np.testing.assert_allclose(read.affine[:3, 3], np.multiply(signs, [1, 2, 3]))


def test_nrrd_is_read_in_each_of_its_encodings(tmp_path: Path) -> None:
    path = nrrd_of(tmp_path / "x.nrrd", type="double", encoding="text")
    start = path.read_bytes().index(b"\n\n") + 2
    numbers = " ".join(map(repr, SMALL.data.ravel(order="F").tolist()))
    path.write_bytes(path.read_bytes()[:start] + numbers.encode())
    np.testing.assert_array_equal(read_volume(path).data, SMALL.data)
    path = nrrd_of(tmp_path / "y.nrrd", endian="big", byte_skip="-1")
    start = path.read_bytes().index(b"\n\n") + 2
    big = SMALL.data.astype(">f4").tobytes(order="F")
    path.write_bytes(path.read_bytes()[:start] + b"something else" + big)
    np.testing.assert_array_equal(read_volume(path).data, SMALL.data)
    path = nrrd_of(tmp_path / "z.nrrd", encoding="gzip", line_skip="1", byte_skip="3")
    start = path.read_bytes().index(b"\n\n") + 2
    voxels = b"abc" + SMALL.data.astype("<f4").tobytes(order="F")
    path.write_bytes(path.read_bytes()[:start] + b"a line\n" + gzip.compress(voxels))
    np.testing.assert_array_equal(read_volume(path).data, SMALL.data)


# Slices


@pytest.mark.parametrize(
    "change",
    [
        {"ImagePositionPatient": ["nan", "0", "0"]},
        {"ImagePositionPatient": ["0", "inf", "0"]},
        {"ImageOrientationPatient": ["nan", "0", "0", "0", "1", "0"]},
        {"PixelSpacing": ["nan", "8"]},
        {"PixelSpacing": ["0", "8"]},
        {"PixelSpacing": ["-8", "8"]},
        {"Rows": 60000, "Columns": 60000},
        {"Rows": 0},
    ],
)
def test_tags_of_slices_that_are_none_are_refused(tmp_path: Path, change: dict) -> None:
    import pydicom

    for path in write_series(SMALL, tmp_path / "s"):
        tags = pydicom.dcmread(path)
        for name, value in change.items():
            setattr(tags, name, value)
        tags.save_as(path)
    with pytest.raises(VolumeFault):
        read_volume(tmp_path / "s")


def test_sequences_nested_without_end_are_a_fault(tmp_path: Path) -> None:
    (path, *_) = write_series(SMALL, tmp_path / "s")
    content = path.read_bytes()
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    path.write_bytes(content + (sequence + item) * 20_000)
    with pytest.raises(UnreadableVolume):
        read_volume(tmp_path / "s")


def test_a_deflated_slice_is_not_unpacked(tmp_path: Path) -> None:
    import pydicom

    (path, *_) = write_series(SMALL, tmp_path / "s")
    tags = pydicom.dcmread(path)
    tags.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    tags.save_as(path, enforce_file_format=True)
    with pytest.raises(UnreadableVolume, match="deflated"):
        read_volume(tmp_path / "s")


# Pipes, devices, links


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.nrrd"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    volume = save(SMALL, tmp_path / "good.nii")
    files = {"mask": tmp_path / name, "registration": tmp_path / name}
    bad, good = prepared(tmp_path / "out", tmp_path / name, volume)
    assert bad.reason.startswith("unreadable: the path is a pipe")
    assert good.status == "ok"
    for column in files:
        (status,) = prepared(tmp_path / column, volume, **{column: files[column]})
        assert status.status == "quarantined"


def test_endless_transforms_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(BadRegistration):
        read_matrix(Path("/dev/zero"))
    (tmp_path / "m.txt").write_text("1 0 0 0\n" * 1_000_000)
    with pytest.raises(BadRegistration):
        read_matrix(tmp_path / "m.txt")


def test_pipes_among_slices_are_passed_over(tmp_path: Path) -> None:
    write_series(SMALL, tmp_path / "s")
    os.mkfifo(tmp_path / "s" / "000.dcm")
    assert read_volume(tmp_path / "s").data.shape == SMALL.data.shape


# Memory


def test_memory_that_one_file_takes_is_a_fault_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = save(SMALL, tmp_path / "bad.nii"), save(SMALL, tmp_path / "good.nii")
    real = reader.read_nifti

    def greedy(path: Path) -> Volume:
        if path.name == "bad.nii":
            raise MemoryError
        return real(path)

    monkeypatch.setattr(reader, "read_nifti", greedy)
    first, second = prepared(tmp_path / "out", bad, good)
    assert first.reason.startswith("unreadable: reading the volume takes more memory")
    assert second.status == "ok"


def test_memory_that_is_short_for_usual_volumes_stops_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(prepare, "write_planes", short)
    volume = save(SMALL, tmp_path / "t1.nii")
    with pytest.raises(RetryableError, match="memory"):
        prepared(tmp_path / "a", volume)
    monkeypatch.setattr(prepare, "USUAL_VOXELS", SMALL.data.size - 1)
    (status,) = prepared(tmp_path / "b", volume)
    assert "8,000 voxels, for which memory is not enough" in status.reason


# Any damage


def changed(content: bytes, cut: float, edits: list[tuple[float, int]]) -> bytes:
    """A part of a file, with some of its bytes replaced."""
    damaged = bytearray(content[: round(cut * len(content))])
    for place, value in edits:
        if damaged:
            damaged[min(int(place * len(damaged)), len(damaged) - 1)] = value
    return bytes(damaged)


CUTS = st.one_of(st.just(1.0), st.floats(0, 1))
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
@FUZZED
@given(cut=CUTS, edits=EDITS)
def test_damage_to_compressed_voxels_never_passes(
    tmp_path: Path, packed: dict[str, bytes], suffix: str, cut: float, edits: list
) -> None:
    start = packed[suffix].index(b"\x1f\x8b")
    path = tmp_path / f"x{suffix}"
    path.write_bytes(packed[suffix][:start] + changed(packed[suffix][start:], cut, edits))
    agrees_or_is_refused(path, SMALL)


@FUZZED
@given(cut=CUTS, edits=EDITS)
@example(cut=1.0, edits=[(0.5, 10)])
def test_damaged_nrrd_is_a_volume_or_a_fault(tmp_path: Path, cut: float, edits: list) -> None:
    content = nrrd_of(tmp_path / "x.nrrd").read_bytes()
    end = content.index(b"\n\n") + 10
    (tmp_path / "x.nrrd").write_bytes(changed(content[:end], 1.0, edits) + content[end:])
    is_volume_or_refused(tmp_path / "x.nrrd")
    (tmp_path / "x.nrrd").write_bytes(changed(content, cut, edits))
    is_volume_or_refused(tmp_path / "x.nrrd")


@FUZZED
@given(cut=CUTS, edits=EDITS, flipped=st.integers(0, 2))
@example(cut=1.0, edits=[(0.203125, 1)], flipped=0)  # a type of numbers that there is not
def test_damaged_headers_within_a_sound_stream(
    tmp_path: Path, packed: dict[str, bytes], cut: float, edits: list, flipped: int
) -> None:
    """Whose checksum is right, because it was compressed after the damage was done."""
    plain = gzip.decompress(packed[".nii.gz"])
    content = changed(plain[:352], 1.0, edits) + plain[352 : round(cut * len(plain))]
    packed_again = (gzip.compress(content), content, zlib.compress(content))[flipped]
    (tmp_path / "x.nii.gz").write_bytes(packed_again)
    is_volume_or_refused(tmp_path / "x.nii.gz")


@settings(FUZZED, max_examples=40)
@given(cut=CUTS, edits=EDITS)
def test_a_damaged_slice_is_a_volume_or_a_fault(tmp_path: Path, cut: float, edits: list) -> None:
    folder = tmp_path / "s"
    paths = sorted(folder.iterdir()) if folder.is_dir() else write_series(SMALL, folder, **TAGS)
    content = paths[0].read_bytes()
    voxels = 2 * 20 * 20
    head, tail = content[:-voxels], content[-voxels:]
    try:
        paths[0].write_bytes(changed(head, 1.0, edits) + tail[: round(cut * voxels)])
        is_volume_or_refused(folder)
    finally:
        paths[0].write_bytes(content)


TAGS = pet_tags() | {"ImageComments": "x" * 40}
