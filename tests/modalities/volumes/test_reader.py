"""Reading volumes: where they lie, what they hold, and which are set aside."""

from __future__ import annotations

import gzip
import math
import struct
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imaging_fixture import head, pet_tags, save, write_series
from survfuse.modalities.volumes.faults import (
    ConstantVolume,
    ImplausibleVoxels,
    MissingSlices,
    MixedSeries,
    NoOrientation,
    NotFinite,
    UnreadableVolume,
    VolumeFault,
    WrongDimension,
)
from survfuse.modalities.volumes.reading.reader import read_volume
from survfuse.modalities.volumes.reading.suv import moment, suv_factor, uptake
from survfuse.modalities.volumes.volume import Volume, from_image, to_image, to_ras

SMALL = head(6.0, 32)
ORIENTATIONS = ["RAS", "LPS", "ASL", "SPR", "PIR"]


def as_stored(volume: Volume, codes: str) -> Volume:
    """The same volume with its axes stored another way."""
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    turn = ornt_transform(io_orientation(volume.affine), axcodes2ornt(tuple(codes)))
    data = nib.apply_orientation(volume.data, turn)
    affine = volume.affine @ inv_ornt_aff(turn, volume.data.shape)
    return Volume(np.ascontiguousarray(data), affine)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_keeps_voxels_and_place(tmp_path: Path, suffix: str) -> None:
    read = read_volume(save(SMALL, tmp_path / f"x{suffix}"))
    assert read.data.dtype == np.float32
    np.testing.assert_array_equal(read.data, SMALL.data)
    np.testing.assert_allclose(read.affine, SMALL.affine, atol=1e-4)


def test_slope_and_intercept_of_nifti_are_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(
        np.arange(4096, dtype=np.int16).reshape(16, 16, 16), np.diag([8.0, 8.0, 8.0, 1.0])
    )
    image.header.set_slope_inter(0.5, 3.0)
    nib.save(image, tmp_path / "x.nii")
    read = read_volume(tmp_path / "x.nii")
    assert read.data[0, 0, :2].tolist() == [3.0, 3.5]


def test_micrometres_become_millimetres(tmp_path: Path) -> None:
    image = nib.Nifti1Image(SMALL.data, np.diag([1000.0, 1000.0, 1000.0, 1.0]) @ SMALL.affine)
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "x.nii.gz")
    assert read_volume(tmp_path / "x.nii.gz").spacing_mm == pytest.approx((6, 6, 6), rel=1e-5)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_turns_into_the_same_bits(codes: str) -> None:
    turned = to_ras(as_stored(SMALL, codes))
    expected = to_ras(SMALL)
    np.testing.assert_array_equal(turned.data, expected.data)
    np.testing.assert_array_equal(turned.affine, expected.affine)


def test_simpleitk_and_back() -> None:
    oblique = head(6.0, 32, turned_degrees=20)
    back = from_image(to_image(oblique))
    np.testing.assert_array_equal(back.data, oblique.data)
    np.testing.assert_allclose(back.affine, oblique.affine, atol=1e-9)
    # x and y change sign between the two conventions.
    point = to_image(oblique).TransformIndexToPhysicalPoint((3, 5, 7))
    np.testing.assert_allclose(
        (oblique.affine @ [3, 5, 7, 1])[:3], np.array(point) * [-1, -1, 1], atol=1e-6
    )


def test_nrrd_agrees_with_nifti(tmp_path: Path) -> None:
    image = to_image(SMALL)
    sitk.WriteImage(image, str(tmp_path / "x.nrrd"))
    read = read_volume(tmp_path / "x.nrrd")
    np.testing.assert_array_equal(read.data, SMALL.data)
    np.testing.assert_allclose(read.affine, SMALL.affine, atol=1e-6)


def test_a_series_agrees_with_nifti(tmp_path: Path) -> None:
    oblique = head(6.0, 32, turned_degrees=15)
    write_series(oblique, tmp_path / "series")
    (tmp_path / "series" / "notes.txt").write_text("no slice")
    ours, theirs = to_ras(read_volume(tmp_path / "series")), to_ras(oblique)
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
    np.testing.assert_allclose(ours.data, theirs.data, atol=1.01)  # stored in steps of 2


def test_a_series_agrees_with_simpleitk(tmp_path: Path) -> None:
    paths = write_series(SMALL, tmp_path / "series")
    image = sitk.ReadImage([str(path) for path in paths])
    ours, theirs = to_ras(read_volume(tmp_path / "series")), to_ras(from_image(image))
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
    np.testing.assert_array_equal(ours.data, theirs.data)


def test_suv_of_a_pet_series(tmp_path: Path) -> None:
    write_series(SMALL, tmp_path / "mri")
    write_series(SMALL, tmp_path / "pet", **pet_tags())
    mri, pet = read_volume(tmp_path / "mri"), read_volume(tmp_path / "pet")
    assert pet.unit == "SUV"
    # 370 MBq an hour before the scan are 370 x 2^(-60/110) = 253.5 MBq; 70 kg over that.
    factor = 70_000 / (370e6 * 2 ** (-60 / 110))
    np.testing.assert_allclose(pet.data, mri.data * factor, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"PatientWeight": 0}, "weight"),
        ({"Units": "CNTS"}, "CNTS"),
        ({"DecayCorrection": "NONE"}, "NONE"),
        ({"SeriesTime": "", "AcquisitionTime": ""}, "times"),
        ({"RadiopharmaceuticalInformationSequence": []}, "dose"),
    ],
)
def test_without_the_tags_pet_stays_as_it_is(tmp_path: Path, change: dict, said: str) -> None:
    write_series(SMALL, tmp_path / "pet", **(pet_tags() | change))
    read = read_volume(tmp_path / "pet")
    assert read.unit != "SUV"
    assert said in read.note
    assert read.data.max() > 100


def pet_slice(**changes: object) -> pydicom.Dataset:
    """Tags of a slice of PET, of 1 January; what is changed by name, also of the injection."""
    tags = pydicom.Dataset()
    for name, value in (
        pet_tags() | {"SeriesDate": "20260101", "AcquisitionDate": "20260101"}
    ).items():
        setattr(tags, name, value)
    (dose,) = tags.RadiopharmaceuticalInformationSequence
    for name, value in changes.items():
        setattr(dose if name.startswith("Radio") else tags, name, value)
    return tags


@pytest.mark.parametrize(
    ("changes", "unit", "said"),
    [
        ({}, "SUV", ""),
        ({"RadiopharmaceuticalStartDateTime": "20260101100000.00"}, "SUV", ""),
        ({"RadiopharmaceuticalStartDateTime": "20251231100000"}, "Bq/ml", "more than 12 hours"),
        ({"RadiopharmaceuticalStartDateTime": "20260102100000"}, "Bq/ml", "before the injection"),
        ({"RadiopharmaceuticalStartDateTime": "20260101103000"}, "Bq/ml", "two times of injection"),
        ({"RadiopharmaceuticalStartDateTime": "no date"}, "SUV", ""),
        ({"RadionuclideTotalDose": 370.0}, "Bq/ml", "MBq"),
        ({"RadionuclideTotalDose": 370e9}, "Bq/ml", "dose is implausible"),
        ({"RadionuclideTotalDose": "nan"}, "Bq/ml", "dose"),
        ({"RadionuclideHalfLife": 109.8}, "Bq/ml", "hardly any of the dose"),
        ({"RadionuclideHalfLife": 1.83}, "Bq/ml", "half-life is implausible"),
        ({"PatientWeight": None}, "Bq/ml", "weight"),
        ({"PatientWeight": 70_000}, "Bq/ml", "weight"),
        ({"Units": "CNTS"}, "", "CNTS"),
        ({"Units": "GML"}, "SUV", ""),
        ({"Units": "GML", "SUVType": "BW"}, "SUV", ""),
        ({"Units": "GML", "SUVType": "LBM"}, "", "SUV by LBM"),
        ({"Units": "CM2ML"}, "", "CM2ML"),
        ({"DecayCorrection": "ADMIN", "SeriesTime": ""}, "SUV", ""),
        ({"DecayCorrection": ""}, "Bq/ml", "not told"),
    ],
)
def test_suv_is_told_only_where_the_tags_can_be_believed(
    changes: dict[str, object], unit: str, said: str
) -> None:
    factor, found, note = uptake([pet_slice(**changes)])
    assert found == unit
    assert said in note
    assert (note == "") == (unit == "SUV")
    assert (factor == 1.0) == (unit != "SUV" or changes.get("Units") == "GML")
    assert "2026" not in note


def test_suv_of_slices_that_differ_is_not_told() -> None:
    factor, unit, note = uptake([pet_slice(), pet_slice(Units="CNTS")])
    assert (factor, unit) == (1.0, "")
    assert "differ in Units" in note


def test_a_series_made_again_on_a_later_day_keeps_the_time_of_its_acquisition() -> None:
    told = {"RadiopharmaceuticalStartDateTime": "20260101100000"}
    again = pet_slice(SeriesDate="20260103", SeriesTime="080000", **told)
    factor, unit, _ = uptake([again])
    assert unit == "SUV"
    assert factor == pytest.approx(70_000 / (370e6 * math.exp2(-65 / 110)))
    # With no day of the acquisition that of the series counts, and not the nearest one.
    del again.AcquisitionDate
    assert "more than 12 hours" in uptake([again])[2]


def test_suv_over_midnight_and_decayed_to_injection() -> None:
    tags = pydicom.Dataset()
    for name, value in pet_tags().items():
        setattr(tags, name, value)
    tags.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = "233000"
    tags.SeriesTime = tags.AcquisitionTime = "003000"
    assert suv_factor([tags])[0] == pytest.approx(70_000 / (370e6 * math.exp2(-60 / 110)))
    # Midnight within the scan: its last slices are not its first.
    tags.SeriesTime = "235500"
    slices = [deepcopy(tags) for _ in range(3)]
    for piece, acquired in zip(slices, ("235500", "000500", "001500"), strict=True):
        piece.AcquisitionTime = acquired
    waited = suv_factor(slices)[0]
    assert waited == pytest.approx(70_000 / (370e6 * math.exp2(-25 / 110)))
    tags.DecayCorrection = "ADMIN"
    assert suv_factor([tags])[0] == pytest.approx(70_000 / 370e6)


@settings(max_examples=50, deadline=None)
@given(st.from_regex(r"[0-9 :.a]{0,9}", fullmatch=True))
def test_times_are_read_or_refused(text: str) -> None:
    read = moment(text)
    if len(text) == 6 and text.isdigit():
        valid = int(text[:2]) < 24 and int(text[2:4]) < 60 and int(text[4:]) < 60
        assert (read is not None) == valid
        assert not valid or f"{read:%H%M%S}" == text


def spoilt(kind: str, tmp_path: Path) -> Path:
    """A bad volume of a kind."""
    path, data = tmp_path / "x.nii.gz", SMALL.data.copy()
    affine = SMALL.affine.copy()
    if kind == "nan":
        data[3, 3, 3] = np.nan
    elif kind == "infinite":
        data[3, 3, 3] = np.inf
    elif kind == "constant":
        data[:] = 5
    elif kind == "frames":
        data = np.stack([data, data], axis=-1)
    elif kind == "flat":
        data = data[:, :, :1]
    elif kind == "micro":
        affine[:3, :3] /= 1000
    elif kind == "huge":
        affine[:3, :3] *= 10
    elif kind == "sheared":
        affine[0, 1] = 3
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, 1)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("nan", NotFinite),
        ("infinite", NotFinite),
        ("constant", ConstantVolume),
        ("frames", WrongDimension),
        ("flat", WrongDimension),
        ("micro", ImplausibleVoxels),
        ("huge", ImplausibleVoxels),
        ("sheared", ImplausibleVoxels),
    ],
)
def test_bad_volumes_say_why(tmp_path: Path, kind: str, fault: type[VolumeFault]) -> None:
    with pytest.raises(fault) as caught:
        read_volume(spoilt(kind, tmp_path))
    assert caught.value.reason.startswith(fault.code + ": ")
    assert str(tmp_path) not in caught.value.reason


def test_nan_may_be_allowed_and_becomes_background(tmp_path: Path) -> None:
    read = read_volume(spoilt("nan", tmp_path), max_nonfinite=0.01)
    assert read.data[3, 3, 3] == np.nanmin(read.data) == read.data.min()
    assert "1 voxels" in read.note


def test_no_orientation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoOrientation):
        read_volume(save(SMALL, tmp_path / "x.nii", code=0))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.6, 0.999])
def test_truncated_nifti_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = save(SMALL, tmp_path / f"x{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UnreadableVolume):
        read_volume(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name in ("x.nii", "x.nii.gz", "x.nrrd", "x.nhdr", "x.mgz", "x.dcm"):
        (tmp_path / name).write_bytes(b"not a volume")
        with pytest.raises(UnreadableVolume):
            read_volume(tmp_path / name)
    with pytest.raises(UnreadableVolume):
        read_volume(tmp_path / "absent.nii")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableVolume):
        read_volume(tmp_path / "empty")


def test_voxels_in_another_file_are_refused(tmp_path: Path) -> None:
    """Which would be read from wherever the header says, and whose changes nobody would see."""
    sitk.WriteImage(to_image(SMALL), str(tmp_path / "x.nhdr"))
    header = (tmp_path / "x.nhdr").read_bytes()
    assert b"data file: x.raw" in header
    with pytest.raises(UnreadableVolume, match="suffix"):
        read_volume(tmp_path / "x.nhdr")
    for said in (b"data file: ", b"Data File: ", b"datafile: "):
        (tmp_path / "y.nrrd").write_bytes(header.replace(b"data file: ", said))
        with pytest.raises(UnreadableVolume, match="names another file"):
            read_volume(tmp_path / "y.nrrd")


def test_truncated_nrrd_is_refused(tmp_path: Path) -> None:
    sitk.WriteImage(to_image(SMALL), str(tmp_path / "x.nrrd"))
    content = (tmp_path / "x.nrrd").read_bytes()
    (tmp_path / "x.nrrd").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableVolume):
        read_volume(tmp_path / "x.nrrd")


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 347), value=st.integers(0, 255))
@example(position=43, value=128)  # a first side below zero
@example(position=42, value=0)  # a first side of zero
@example(position=40, value=1)  # one side
@example(position=111, value=127)  # voxels beyond the end of any file
@example(position=123, value=4)  # no unit of length
@example(position=259, value=192)  # a quaternion that is no rotation
def test_damaged_headers_are_faults_not_crashes(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.nii"
    save(SMALL, path)
    content = bytearray(path.read_bytes())
    content[position] = value
    path.write_bytes(content)
    try:
        read = read_volume(path)
    except VolumeFault:
        return
    assert read.data.ndim == 3
    assert np.isfinite(read.data).all()


def test_a_series_with_holes_or_strangers_is_refused(tmp_path: Path) -> None:
    paths = write_series(SMALL, tmp_path / "gap")
    paths[10].unlink()
    with pytest.raises(MissingSlices, match="1 slices"):
        read_volume(tmp_path / "gap")
    write_series(SMALL, tmp_path / "two")
    other = write_series(SMALL, tmp_path / "other")
    other[4].rename(tmp_path / "two" / "stranger.dcm")
    with pytest.raises(MixedSeries, match="2 series"):
        read_volume(tmp_path / "two")
    paths = write_series(SMALL, tmp_path / "twice")
    (tmp_path / "twice" / "copy.dcm").write_bytes(paths[3].read_bytes())
    with pytest.raises(MixedSeries, match="another one lies"):
        read_volume(tmp_path / "twice")
    for path in write_series(SMALL, tmp_path / "few")[5:]:
        path.unlink()
    with pytest.raises(WrongDimension):
        read_volume(tmp_path / "few")


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_slice_is_refused(tmp_path: Path, part: float) -> None:
    path = write_series(SMALL, tmp_path / "s")[6]
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UnreadableVolume):
        read_volume(tmp_path / "s")


def test_a_damaged_number_of_frames_is_a_fault(tmp_path: Path) -> None:
    paths = write_series(SMALL, tmp_path / "series", NumberOfFrames="1")
    content = paths[0].read_bytes()
    start = content.index(b"\x28\x00\x08\x00IS\x02\x00") + 8  # tag, type and length of the value
    paths[0].write_bytes(content[:start] + b"x " + content[start + 2 :])
    with pytest.raises(UnreadableVolume, match="number of frames"):
        read_volume(tmp_path / "series")


def test_gzip_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(UnreadableVolume):
        read_volume(tmp_path / "x.nii.gz")


def test_a_large_number_is_not_finite(tmp_path: Path) -> None:
    huge = replace(SMALL, data=SMALL.data.astype(np.float64))
    huge.data[1, 1, 1] = 1e300
    image = nib.Nifti1Image(huge.data, huge.affine)
    nib.save(image, tmp_path / "x.nii.gz")
    with pytest.raises(NotFinite):
        read_volume(tmp_path / "x.nii.gz")


def test_the_real_volumes_are_read(real_data: Path) -> None:
    expected = {
        "TCGA-FG-6692_t1.nii.gz": (0.898, 0.898, 5.5),
        "niivue_chris_t1.nii.gz": (0.879, 0.879, 0.879),
        "pyradiomics_brain1_image.nrrd": (0.781, 0.781, 6.5),
        "spm_PET.nii.gz": (2.0, 2.0, 2.0),
        "pet_D1_SCH23390_hc13_kaller.nii.gz": (3.0, 3.0, 3.0),
    }
    for name, spacing in expected.items():
        volume = to_ras(read_volume(real_data / "brain" / name))
        assert volume.spacing_mm == pytest.approx(spacing, abs=0.01), name
        assert (np.diag(volume.affine)[:3] > 0).all(), name


@pytest.mark.parametrize("code", ["NaN", "zero", "infinite"])
def test_a_slope_that_says_nothing_is_none(tmp_path: Path, code: str) -> None:
    """nibabel, fslhd: `scl_slope` of 0, NaN or infinity, as converters leave it, is no factor."""
    nib.save(nib.Nifti1Image(SMALL.data.astype(np.int16), SMALL.affine), tmp_path / "x.nii")
    slope = {"NaN": math.nan, "zero": 0.0, "infinite": math.inf}[code]
    content = bytearray((tmp_path / "x.nii").read_bytes())
    content[112:116] = struct.pack("<f", slope)
    (tmp_path / "x.nii").write_bytes(content)
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii").data, SMALL.data.astype(np.int16))


@pytest.mark.parametrize("dtype", ["uint64", "int64", "float64", ">f4"])
def test_numbers_of_all_widths(tmp_path: Path, dtype: str) -> None:
    """nibabel, FreeSurfer: 64-bit integers and big-endian files, of which viewers complain."""
    whole = np.round(SMALL.data)
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    nib.save(
        nib.Nifti1Image(whole.astype(dtype), SMALL.affine, header, dtype=dtype), tmp_path / "x.nii"
    )
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii").data, whole)


def test_gzip_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    """nibabel: "Cannot work out file type" of files that were renamed with or without .gz."""
    packed, plain = save(SMALL, tmp_path / "a.nii.gz"), save(SMALL, tmp_path / "b.nii")
    packed.rename(tmp_path / "packed.nii")
    plain.rename(tmp_path / "plain.nii.gz")
    for name in ("packed.nii", "plain.nii.gz"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).data, SMALL.data)


def test_members_and_padding_of_gzip(tmp_path: Path) -> None:
    """pigz and bgzip write several members, tapes pad the last block with zeros."""
    content = save(SMALL, tmp_path / "x.nii").read_bytes()
    packed = gzip.compress(content[:999]) + gzip.compress(content[999:])
    (tmp_path / "x.nii.gz").write_bytes(packed + bytes(512))
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii.gz").data, SMALL.data)


def test_an_sform_of_zeros_is_told(tmp_path: Path) -> None:
    """nibabel, ANTs: a valid qform beside an sform that is set but empty."""
    image = nib.Nifti1Image(SMALL.data, SMALL.affine)
    image.set_qform(SMALL.affine, 1)
    image.set_sform(np.diag([0.0, 0.0, 0.0, 1.0]), 1)
    nib.save(image, tmp_path / "x.nii")
    with pytest.raises(ImplausibleVoxels, match="correct the header"):
        read_volume(tmp_path / "x.nii")


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    """dcm2niix, dicom2nifti: each slice lies a little further along; the brain would be sheared."""
    for k, path in enumerate(write_series(SMALL, tmp_path / "series")):
        tags = pydicom.dcmread(path)
        x, y, z = map(float, tags.ImagePositionPatient)
        tags.ImagePositionPatient = [x, y + 1.5 * k, z]
        tags.save_as(path)
    with pytest.raises(ImplausibleVoxels, match="tilted gantry"):
        read_volume(tmp_path / "series")


@pytest.mark.parametrize("spoiled", [5, 32])
def test_slices_without_the_mark_of_dicom(tmp_path: Path, spoiled: int) -> None:
    """pydicom: "File is missing DICOM File Meta Information"; such slices were passed over.

    Those at the top of the head left a volume that looked whole.
    """
    for path in write_series(SMALL, tmp_path / "series")[-spoiled:]:
        path.write_bytes(path.read_bytes()[132:])
    with pytest.raises(UnreadableVolume, match="lacks the mark"):
        read_volume(tmp_path / "series")


def test_shadows_of_macos_are_no_slices(tmp_path: Path) -> None:
    """OpenNeuro, dcm2niix: `._` files that macOS puts beside every file on a foreign disk."""
    for path in write_series(SMALL, tmp_path / "series"):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(4092))
    assert read_volume(tmp_path / "series").data.shape == SMALL.data.shape


def test_a_report_and_a_copy_among_the_slices(tmp_path: Path) -> None:
    """dcm2niix: structured reports are no slices; "IM (1).dcm" is one twice."""
    first, *_ = write_series(SMALL, tmp_path / "series")
    report = pydicom.dcmread(first)
    del report.PixelData, report.Rows
    report.save_as(tmp_path / "series" / "report.dcm")
    assert read_volume(tmp_path / "series").data.shape == SMALL.data.shape
    (tmp_path / "series" / "IM (1).dcm").write_bytes(first.read_bytes())
    with pytest.raises(MixedSeries, match="1 slices lie where another one lies"):
        read_volume(tmp_path / "series")
