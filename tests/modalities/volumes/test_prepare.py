"""Preparing volumes: masks, registration, grids, intensities, files, resumption."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from imaging_fixture import CENTRE_MM, brain_of, head, save
from survfuse.config.imaging import ImagingConfig
from survfuse.core.errors import TooManyFailuresError, UserInputError
from survfuse.core.files import sha256_file
from survfuse.modalities.volumes import placement, registration
from survfuse.modalities.volumes.batch import process_batch
from survfuse.modalities.volumes.bias import corrected
from survfuse.modalities.volumes.brain import dice, find_brain, given_brain, largest_piece
from survfuse.modalities.volumes.faults import BadRegistration, ConstantVolume, NoBrain
from survfuse.modalities.volumes.grid import (
    covering_grid,
    cropped_grid,
    grid_around,
    middle_of,
    resampled,
    resampled_mask,
)
from survfuse.modalities.volumes.intensity import by_percentiles, by_reference
from survfuse.modalities.volumes.pictures import planes
from survfuse.modalities.volumes.placement import VolumeRow, without_face
from survfuse.modalities.volumes.reading.reader import read_volume
from survfuse.modalities.volumes.registration import read_matrix, register
from survfuse.modalities.volumes.store import (
    VolumeStatus,
    check_failures,
    merge_manifests,
    note_copies,
    read_manifest,
    read_tensor,
    write_manifest,
)
from survfuse.modalities.volumes.template import read_mask, read_template
from survfuse.modalities.volumes.volume import Volume, to_ras

LESION_MM = CENTRE_MM + np.array([35, 30, 10])
SHIFT_MM = np.array([10, -5, 3])
QUICK = ImagingConfig(
    bias_correction=False, spacing_mm=(3, 3, 3), shape=(56, 64, 56), percentiles=(0, 100)
)


def row(path: Path, modality: str = "t1", patient: str = "P1", **files: Path) -> VolumeRow:
    named = {name: files.get(name) for name in ("mask", "reference", "registration")}
    return VolumeRow(patient, "m00", modality, path, **named)


def run(out: Path, *rows: VolumeRow, config: ImagingConfig = QUICK) -> dict[str, VolumeStatus]:
    process_batch(rows, config, out, out / "batches" / "0.tsv")
    return {"-".join(s.key): s for s in read_manifest(out / "batches" / "0.tsv")}


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A head and the mask of its brain, as files."""
    folder = tmp_path_factory.mktemp("masked")
    volume = head()
    mask = replace(volume, data=brain_of(volume).astype(np.float32))
    return save(volume, folder / "t1.nii.gz"), save(mask, folder / "mask.nii.gz")


def brightest_mm(volume: Volume) -> np.ndarray:
    """World coordinates of the middle of the lesion, the brightest spot."""
    bright = volume.data > 0.5 * (volume.data.max() + np.median(volume.data[volume.data > -1]))
    index = np.argwhere(largest_piece(bright)).mean(axis=0)
    return (volume.affine @ [*index, 1])[:3]


# Grids


def test_a_grid_has_its_middle_where_it_should() -> None:
    grid = grid_around(np.array([1.0, 2.0, 3.0]), (2.0, 2.0, 2.0), (10, 11, 12))
    np.testing.assert_allclose(grid.centre_mm, [1, 2, 3])
    np.testing.assert_allclose(grid.affine[:3, 3], [1 - 9, 2 - 10, 3 - 11])


def test_resampling_onto_the_own_grid_changes_nothing() -> None:
    volume = head(6.0, 32, turned_degrees=10)
    np.testing.assert_allclose(resampled(volume, volume.grid).data, volume.data, atol=1e-3)


def test_cropping_only_moves_voxels() -> None:
    volume = head(6.0, 32)
    grid = cropped_grid(volume.grid, CENTRE_MM, (20, 40, 20))
    cut = resampled(volume, grid)
    np.testing.assert_allclose(cut.data[:, 4:36], volume.data[6:26, :, 6:26], rtol=1e-5)
    assert (cut.data[:, :4] == 0).all()


def test_a_ramp_is_interpolated_exactly_where_the_world_says() -> None:
    grid = grid_around(np.zeros(3), (2.0, 3.0, 4.0), (20, 20, 20))
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    world = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    ramp = Volume((world @ [1, 10, 100]).astype(np.float32), grid.affine)
    target = grid_around(np.array([1.0, -2.0, 3.0]), (1.5, 1.5, 1.5), (6, 6, 6))
    shift = np.eye(4)
    shift[:3, 3] = [5, 0, 0]
    got = resampled(ramp, target, shift).data
    index = np.moveaxis(np.indices(target.shape), 0, -1)
    expected = (index @ target.affine[:3, :3].T + target.affine[:3, 3] + [5, 0, 0]) @ [1, 10, 100]
    np.testing.assert_allclose(got, expected, atol=0.05)


def test_an_upright_grid_covers_an_oblique_volume() -> None:
    volume = head(6.0, 32, turned_degrees=30)
    grid = covering_grid(volume.grid, (3.0, 3.0, 3.0), upright=True)
    total = [float(v.data.sum() * np.prod(v.spacing_mm)) for v in (volume, resampled(volume, grid))]
    assert total[1] == pytest.approx(total[0], rel=0.01)


# Bias and brain


def test_n4_takes_a_smooth_field_away() -> None:
    volume = head(4.0, 56)
    index = np.indices(volume.data.shape)[1] / 55
    shaded = replace(volume, data=(volume.data * (0.5 + index)).astype(np.float32))
    inside = brain_of(volume)

    def spread(data: np.ndarray) -> float:
        ratio = data[inside] / np.maximum(volume.data[inside], 1)
        return float(ratio.std() / ratio.mean())

    assert spread(corrected(shaded).data) < 0.4 * spread(shaded.data)


def test_n4_does_not_depend_on_the_unit() -> None:
    volume = head(4.0, 56)
    index = np.indices(volume.data.shape)[1] / 55
    shaded = replace(volume, data=(volume.data * (0.5 + index)).astype(np.float32))
    expected = corrected(shaded).data
    for unit in (1e-3, 1e3):
        other = replace(shaded, data=(shaded.data * unit).astype(np.float32))
        np.testing.assert_allclose(corrected(other).data / unit, expected, rtol=0.01, atol=2)


def test_the_brain_is_found_within_scalp_and_skull() -> None:
    volume = head()
    found = find_brain(to_ras(volume))
    assert found.found_by == "search"
    assert dice(found.mask, brain_of(volume)) > 0.93


def test_a_stripped_brain_keeps_its_outline() -> None:
    volume = head()
    inside = brain_of(volume)
    bare = replace(volume, data=np.where(inside, volume.data, 0).astype(np.float32))
    found = find_brain(bare)
    assert found.found_by == "outline"
    assert dice(found.mask, inside) > 0.99


def test_a_rim_of_the_size_of_a_brain_is_none() -> None:
    """As what is left of a tracer map that was cut out by its threshold: a bowl."""
    volume = head()
    inside = brain_of(volume)
    rim = inside & ~ndimage.binary_erosion(inside, iterations=8)
    rim[:, :, 46:] = False  # open at the top, so that it is not filled
    assert 600 < rim.sum() * 27e-3 < 2100
    with pytest.raises(NoBrain, match="not its shape"):
        given_brain(rim, volume)
    lace = replace(volume, data=np.where(rim, volume.data, 0).astype(np.float32))
    with contextlib.suppress(NoBrain):
        assert find_brain(lace).found_by == "search"


def test_noise_has_no_brain() -> None:
    noise = np.random.default_rng(0).random((40, 40, 40)).astype(np.float32)
    with pytest.raises(NoBrain):
        find_brain(Volume(noise, np.diag([5.0, 5.0, 5.0, 1.0])))


# Registration


@pytest.mark.parametrize(("axis", "degrees"), [(0, 35), (1, 20), (2, -35)])
def test_a_head_that_is_turned_far_is_found_again(axis: int, degrees: float) -> None:
    fixed = head(4.0, 56)
    inside = brain_of(fixed)
    angle = np.deg2rad(degrees)
    first, second = (other for other in range(3) if other != axis)
    motion = np.eye(4)
    motion[[first, second], [first, second]] = np.cos(angle)
    motion[first, second], motion[second, first] = -np.sin(angle), np.sin(angle)
    pet = replace(fixed, data=np.where(inside, np.sqrt(fixed.data), 0).astype(np.float32))
    moving = resampled(pet, fixed.grid, np.linalg.inv(motion))
    mask = resampled_mask(inside, fixed.grid, fixed.grid, np.linalg.inv(motion))
    found = register(moving, mask, fixed, inside, affine=False)
    points = np.array([[*CENTRE_MM, 1], [*LESION_MM, 1], [*(CENTRE_MM - 35), 1]])
    error = (points @ found.moving_from_fixed.T - points @ motion.T)[:, :3]
    assert np.linalg.norm(error, axis=1).max() < 2


def test_a_result_less_similar_than_its_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = head(6.0, 36)
    found = iter([0.8, *([0.5] * 8)])
    monkeypatch.setattr(registration, "optimised", lambda *_, **__: None)
    monkeypatch.setattr(registration, "similarity", lambda *_: next(found))
    with pytest.raises(BadRegistration, match="less similar"):
        register(volume, brain_of(volume), volume, brain_of(volume), affine=False)


def test_a_volume_that_does_not_lie_on_the_brain_of_its_visit_is_refused(
    tmp_path: Path, masked: tuple[Path, Path]
) -> None:
    (tmp_path / "m.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 45\n0 0 0 1\n")
    volume = replace(head(), data=np.pad(head().data, ((0, 0), (0, 0), (15, 15))))
    files = {"mask": masked[1], "registration": tmp_path / "m.txt"}
    pet = save(volume, tmp_path / "pet.nii.gz")
    rows = [row(masked[0], mask=masked[1]), row(pet, "fdg", **files)]
    found = run(tmp_path / "out", *rows, config=QUICK)["P1-m00-fdg"]
    assert found.reason.startswith("bad_registration: its brain overlaps that of the first MRI")


def test_a_known_movement_is_found_again_between_contrasts() -> None:
    fixed = head()
    inside = brain_of(fixed)
    angle = np.deg2rad(8)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:3, 3] = [9.0, -6.0, 4.0]
    dark = (1200 - np.minimum(fixed.data, 1150)) * (fixed.data > 120)  # another contrast
    other = replace(fixed, data=dark.astype(np.float32))
    moving = resampled(other, fixed.grid, np.linalg.inv(motion))
    mask = resampled_mask(inside, fixed.grid, fixed.grid, np.linalg.inv(motion))
    found = register(moving, mask, fixed, inside, affine=False)
    points = np.array([[*CENTRE_MM, 1], [*LESION_MM, 1], [*(CENTRE_MM - 35), 1]])
    error = (points @ found.moving_from_fixed.T - points @ motion.T)[:, :3]
    assert np.linalg.norm(error, axis=1).max() < 1.5
    assert found.after > found.before
    again = register(moving, mask, fixed, inside, affine=False)
    np.testing.assert_array_equal(again.moving_from_fixed, found.moving_from_fixed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 0 0\n",
        "a b c d\n" * 4,
        "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 2\n",
        "-1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
        "9 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
        "nan 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    ],
)
def test_transforms_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.txt").write_text(text)
    with pytest.raises(BadRegistration):
        read_matrix(tmp_path / "m.txt")


# Intensities


def test_percentiles_of_the_brain_become_minus_one_and_one() -> None:
    data = np.arange(101, dtype=np.float32).reshape(1, 1, 101)
    inside = np.ones(data.shape, bool)
    scaled, limits = by_percentiles(data, inside, (10, 90))
    assert limits == (10, 90)
    assert scaled[0, 0, [0, 10, 50, 90, 100]].tolist() == [-1, -1, 0, 1, 1]
    with pytest.raises(ConstantVolume):
        by_percentiles(np.ones_like(data), inside, (10, 90))


def test_uptake_is_told_in_units_of_the_reference_region() -> None:
    data = np.array([[[2.0, 2.0, 1.0, 3.0, 9.0]]], dtype=np.float32)
    region = np.array([[[True, True, False, False, False]]])
    scaled, mean = by_reference(data, region, (0.0, 3.0))
    assert mean == 2
    np.testing.assert_allclose(scaled[0, 0], [-1 / 3, -1 / 3, -2 / 3, 0, 1], rtol=1e-6)
    with pytest.raises(ConstantVolume):
        by_reference(data, np.zeros_like(region), (0.0, 3.0))


# Pictures


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAL"])
@pytest.mark.parametrize("display", ["radiological", "neurological"])
def test_the_right_of_the_patient_lies_where_the_letter_says(codes: str, display: str) -> None:
    """However the axes are stored; the lesion of the fixture is at the right, in front."""
    volume = head()
    inside = brain_of(volume)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(volume.affine), nib.orientations.axcodes2ornt(tuple(codes))
    )
    affine = volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.data.shape)
    data, mask = (nib.apply_orientation(array, turn) for array in (volume.data, inside))
    part = (58 + 10) / 116  # the height of the lesion
    picture = planes(data, mask, affine, part, display)
    axial = picture[:, 512:].max(axis=-1).astype(int)
    down, across = np.argwhere(axial[:, 20:-20] > 250).mean(axis=0)
    assert down < 128  # in front, upwards
    assert (across < 108) == (display == "radiological")
    letters = [(picture[115:140, 512 + left : 528 + left, 0] > 200).sum() for left in (0, 238)]
    assert min(letters) > 5
    assert (letters[0] > letters[1]) == (display == "radiological")  # R has more ink than L


# The stage


def test_a_landmark_keeps_its_world_coordinates(tmp_path: Path) -> None:
    oblique = head(2.5, 84, turned_degrees=12)
    mask = replace(oblique, data=brain_of(oblique).astype(np.float32))
    path, given = save(oblique, tmp_path / "o.nii.gz"), save(mask, tmp_path / "m.nii.gz")
    status = run(tmp_path / "out", row(path, mask=given))["P1-m00-t1"]
    assert (status.status, status.mask_by) == ("ok", "given")
    prepared = nib.load(tmp_path / "out" / status.volume)
    assert prepared.shape == QUICK.shape
    assert nib.aff2axcodes(prepared.affine) == ("R", "A", "S")
    read = read_volume(tmp_path / "out" / status.volume)
    np.testing.assert_allclose(brightest_mm(read), LESION_MM, atol=1.0)
    tensor = read_tensor(tmp_path / "out" / status.tensor)
    assert tensor.volume.dtype == np.float16
    np.testing.assert_allclose(tensor.volume, read.data, atol=1e-3)
    np.testing.assert_allclose(tensor.affine, read.affine, atol=1e-4)
    assert (tensor.volume[~tensor.mask] == -1).all()
    expected = middle_of(brain_of(oblique), oblique.affine)
    np.testing.assert_allclose(read.grid.centre_mm, expected, atol=3)


@pytest.mark.parametrize("codes", ["SAL"])
def test_orientation_makes_no_difference(
    tmp_path: Path, masked: tuple[Path, Path], codes: str
) -> None:
    image = nib.load(masked[0])
    target = nib.orientations.axcodes2ornt(tuple(codes))
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(image.affine), target)
    )
    assert nib.aff2axcodes(turned.affine) == tuple(codes)
    nib.save(turned, tmp_path / "turned.nii.gz")
    config = QUICK.model_copy(update={"bias_correction": True})
    runs = [
        run(tmp_path / name, row(path, mask=masked[1]), config=config)["P1-m00-t1"]
        for name, path in (("a", masked[0]), ("b", tmp_path / "turned.nii.gz"))
    ]
    contents = [
        read_tensor(tmp_path / name / status.tensor)
        for name, status in zip("ab", runs, strict=True)
    ]
    np.testing.assert_array_equal(contents[0].volume, contents[1].volume)
    np.testing.assert_array_equal(contents[0].mask, contents[1].mask)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Template, T1 and PET, registrations found anew."""
    template = head()
    inside = brain_of(template)
    bare = replace(template, data=np.where(inside, template.data, 0).astype(np.float32))
    pet = replace(template, data=np.sqrt(bare.data))
    scanned = head(3.2, 70, seed=1, turned_degrees=5)
    mask = replace(scanned, data=brain_of(scanned).astype(np.float32))
    files = [
        save(bare, tmp_path / "template.nii.gz"),
        save(scanned, tmp_path / "t1.nii.gz"),
        save(pet, tmp_path / "pet.nii.gz"),
    ]
    config = QUICK.model_copy(update={"template": files[0]})
    rows = [row(files[1], mask=save(mask, tmp_path / "m.nii.gz")), row(files[2], "fdg")]
    first = run(tmp_path / "a", *rows, config=config)
    second = run(tmp_path / "b", *rows, config=config)
    assert [s.status for s in first.values()] == ["ok"] * 2, first
    assert min(s.dice or 0 for s in first.values()) > 0.93
    assert [s.mask_by for s in first.values()] == ["visit", "given"]
    for key, status in first.items():
        for name in ("volume", "tensor", "mask", "transform", "picture", "alignment"):
            one, two = (
                tmp_path / o / getattr(s, name) for o, s in (("a", status), ("b", second[key]))
            )
            assert one.read_bytes() == two.read_bytes(), (key, name)
    picture = cv2.imread(str(tmp_path / "a" / first["P1-m00-t1"].picture))
    assert picture.shape == (512, 768, 3)
    coloured = picture.max(axis=-1).astype(int) - picture.min(axis=-1) > 100
    assert 1000 < coloured.sum() < 20_000  # the outline; the rest is grey
    assert cv2.imread(str(tmp_path / "a" / first["P1-m00-fdg"].alignment)).shape == (768, 768, 3)


def test_a_visit_whose_brain_was_not_cut_out_shows_no_face(
    tmp_path: Path, masked: tuple[Path, Path]
) -> None:
    """Everybody takes the mask of the anchor over: if that is the head, it stays known as such."""
    config = QUICK.model_copy(update={"find_mask": False})
    rows = [row(masked[0]), row(masked[0], "flair"), row(masked[0], "t2", mask=masked[1])]
    found = run(tmp_path, *rows, config=config)
    masks = {status.modality: status.mask_by for status in found.values()}
    assert masks == {"t1": "head", "flair": "head", "t2": "given"}
    # The picture of a registration would show the target beside it, which is a head.
    assert not list(tmp_path.rglob("*_alignment.png"))


@pytest.mark.parametrize(("uneven", "own"), [(0, "head"), (100, "search")])
def test_a_volume_without_a_brain_of_its_own_is_pictured_within_that_of_the_visit(
    tmp_path: Path,
    masked: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    uneven: int,
    own: str,
) -> None:
    """A tracer that fills the head: what is found in it is no brain, or nothing is."""
    volume = head()
    index = np.moveaxis(np.indices(volume.data.shape), 0, -1)
    world = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    radius = np.linalg.norm((world - CENTRE_MM) / [62, 78, 58], axis=-1)
    uptake = np.where(radius < 1.3, 500 + uneven * np.cos(world[..., 0] / 15), 0)
    uptake += np.random.default_rng(0).uniform(0, 10, uptake.shape)
    pet = save(replace(volume, data=uptake.astype(np.float32)), tmp_path / "fdg.nii.gz")
    found_by = []
    monkeypatch.setattr(
        placement,
        "without_face",
        lambda placed, *rest: found_by.append(placed.brain.found_by) or without_face(placed, *rest),
    )
    lit: dict[str, tuple[float, float]] = {}

    def spy(
        _path: Path, pictures: list[tuple[str, np.ndarray]], mask: np.ndarray, *_: object
    ) -> None:
        for name, data in pictures:
            near = ndimage.binary_dilation(mask, iterations=3)  # 9 mm
            bright = data > 0.1 * data.max()
            lit[name] = (bright & ~near).sum() / mask.sum(), bright.sum() / mask.sum()

    monkeypatch.setattr(placement, "write_alignment", spy)
    found = run(tmp_path / "out", row(masked[0], mask=masked[1]), row(pet, "fdg"))
    assert [status.mask_by for status in found.values()] == ["visit", "given"]
    assert found_by == [own]
    assert set(lit) == {"target", "before", "after"}
    assert max(lit["target"][0], lit["after"][0]) < 0.01
    assert lit["before"][1] < 1.4  # lies elsewhere, but is no more than the brain and a margin


@pytest.mark.parametrize(
    ("cut", "told"), [(0, ""), (22, "% of the brain lies in"), (30, "cut_off")]
)
def test_a_field_of_view_that_leaves_brain_out_is_told(
    tmp_path: Path, masked: tuple[Path, Path], cut: int, told: str
) -> None:
    """PET whose lowest slices are missing, beside an MRI of the whole brain."""
    volume, brain = head(), brain_of(head())
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * cut
    pet = save(Volume(volume.data[:, :, cut:], affine), tmp_path / "pet.nii.gz")
    config = QUICK.model_copy(update={"align_visit": False})
    rows = [row(masked[0], mask=masked[1]), row(pet, "fdg", mask=masked[1])]
    found = run(tmp_path / "out", *rows, config=config)["P1-m00-fdg"]
    share = brain[:, :, cut:].sum() / brain.sum()
    assert found.brain_in_view == pytest.approx(share, abs=1e-4)
    assert found.reason.startswith(told) if told == "cut_off" else told in found.reason
    assert (found.status == "ok") == (share > 0.8)
    if found.status == "ok":
        # What nobody saw is no brain, and does not count as dark.
        mask = read_tensor(tmp_path / "out" / found.tensor).mask
        assert mask.sum() * 27e-3 == pytest.approx(brain[:, :, cut:].sum() * 27e-3, rel=0.01)
        assert not told or found.reason == f"{share:.0%} of the brain lies in the field of view"


def test_a_grid_too_small_for_the_brain_is_told(tmp_path: Path, masked: tuple[Path, Path]) -> None:
    for side, status in ((42, "ok"), (20, "quarantined")):
        config = QUICK.model_copy(update={"shape": (side, 64, 56)})
        found = run(tmp_path / str(side), row(masked[0], mask=masked[1]), config=config)
        only = found["P1-m00-t1"]
        assert only.status == status
        expected = 1.0 if side == 42 else 0.65  # of an ellipsoid 124 mm wide the middle 60
        assert only.brain_in_grid == pytest.approx(expected, abs=0.05)
        assert ("raise imaging.shape" in only.reason) == (status != "ok")


def test_bad_volumes_are_set_aside_and_the_batch_goes_on(
    tmp_path: Path, masked: tuple[Path, Path]
) -> None:
    broken = tmp_path / "cut.nii.gz"
    broken.write_bytes(masked[0].read_bytes()[:5000])
    out = tmp_path / "out"
    found = run(
        out,
        row(broken),
        row(masked[0], "flair", mask=masked[1]),
        row(masked[0], "t1", "P2", mask=masked[0].parent / "absent.nii.gz"),
    )
    assert {key: status.status for key, status in found.items()} == {
        "P1-m00-flair": "ok",
        "P1-m00-t1": "quarantined",
        "P2-m00-t1": "quarantined",
    }
    assert found["P1-m00-t1"].reason.startswith("unreadable: ")
    assert not list(out.glob("volumes/P1/m00/t1*.nii.gz"))
    with pytest.raises(TooManyFailuresError, match=r"2 of 3.*(?s:.*)P1 m00 t1: unreadable"):
        check_failures(out / "batches" / "0.tsv", 0.2)
    check_failures(out / "batches" / "0.tsv", 0.7)


def test_a_volume_that_is_bright_all_over_is_set_aside(
    tmp_path: Path, masked: tuple[Path, Path]
) -> None:
    volume = head(5.0, 44)
    data = np.full_like(volume.data, 255.0)
    data[20:24, 20:24, 20:24] = 0
    path = save(replace(volume, data=data), tmp_path / "bright.nii.gz")
    for name, settings in (("n4", {"bias_correction": True}), ("head", {"find_mask": False})):
        config = QUICK.model_copy(update=settings)
        rows = [row(path), row(masked[0], "t1", "P2", mask=masked[1])]
        found = run(tmp_path / name, *rows, config=config)
        assert found["P1-m00-t1"].reason.startswith("constant: nearly all voxels")
        assert found["P2-m00-t1"].status == "ok"


def test_finished_volumes_are_not_done_again(tmp_path: Path, masked: tuple[Path, Path]) -> None:
    path = tmp_path / "t1.nii.gz"
    path.write_bytes(masked[0].read_bytes())
    out, rows = tmp_path / "out", [row(path, mask=masked[1])]
    first = run(out, *rows)["P1-m00-t1"]

    def stamp() -> int:
        return (out / first.tensor).stat().st_mtime_ns

    before = stamp()
    assert run(out, *rows)["P1-m00-t1"] == first
    assert stamp() == before
    (out / first.mask).unlink()  # half of it is gone
    run(out, *rows)
    assert (out / first.mask).is_file()
    assert stamp() != before
    before = stamp()
    run(out, *rows, config=QUICK.model_copy(update={"batch_size": 3}))
    assert stamp() == before
    assert first.tensor_sha256 == sha256_file(out / first.tensor)
    with (out / first.tensor).open("r+b") as tensor:  # the disk loses a byte
        tensor.seek(-1, 2)
        tensor.write(b"\x7f")
    assert replace(run(out, *rows)["P1-m00-t1"], seconds=first.seconds) == first
    assert first.tensor_sha256 == sha256_file(out / first.tensor)
    before = stamp()
    other = run(out, *rows, config=QUICK.model_copy(update={"percentiles": (1.0, 99.0)}))
    assert stamp() != before
    assert other["P1-m00-t1"].tensor_sha256 == sha256_file(out / first.tensor)
    assert other["P1-m00-t1"].tensor_sha256 != first.tensor_sha256
    save(head(seed=5), path)
    before = stamp()
    run(out, *rows, config=QUICK.model_copy(update={"percentiles": (1.0, 99.0)}))
    assert stamp() != before


def test_steps_can_be_switched_off(tmp_path: Path, masked: tuple[Path, Path]) -> None:
    off = dict.fromkeys(
        ("reorient", "bias_correction", "find_mask", "strip", "resample", "crop", "normalise"),
        False,
    )
    status = run(tmp_path, row(masked[0]), config=ImagingConfig(**off))["P1-m00-t1"]
    assert status.mask_by == "head"
    assert status.scaled_by == "none"
    before, after = read_volume(masked[0]), read_volume(tmp_path / status.volume)
    np.testing.assert_allclose(after.data, before.data, rtol=1e-5)
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)


def test_values_that_the_number_format_cannot_hold_set_a_volume_aside(tmp_path: Path) -> None:
    volume = head(5.0, 44)
    path = save(replace(volume, data=volume.data * 100), tmp_path / "t1.nii.gz")
    raw = QUICK.model_copy(
        update={"normalise": False, "find_mask": False, "cache_dtype": "float16"}
    )
    found = run(tmp_path / "half", row(path), config=raw)["P1-m00-t1"]
    assert found.status == "quarantined"
    assert found.reason.startswith("not_finite: ")
    assert "imaging.cache_dtype to float32" in found.reason
    whole = raw.model_copy(update={"cache_dtype": "float32"})
    kept = run(tmp_path / "whole", row(path), config=whole)["P1-m00-t1"]
    assert read_tensor(tmp_path / "whole" / kept.tensor).volume.max() > 65504


def test_pet_is_divided_by_the_region_that_the_sheet_names(
    tmp_path: Path, masked: tuple[Path, Path]
) -> None:
    volume = head()
    region = np.zeros(volume.data.shape, np.float32)
    region[30:36, 30:36, 20:24] = 1
    save(replace(volume, data=region), tmp_path / "pons.nii.gz")
    files = {"mask": masked[1], "reference": tmp_path / "pons.nii.gz"}
    found = run(tmp_path / "out", row(masked[0], "fdg", **files))["P1-m00-fdg"]
    assert found.scaled_by == "reference"
    tensor = read_tensor(tmp_path / "out" / found.tensor)
    uptake = (tensor.volume.astype(float) + 1) * 1.5
    expected = volume.data[brain_of(volume)].mean() / volume.data[region > 0].mean()
    assert uptake[tensor.mask].mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("source", "filled", "cut", "said"),
    [
        ("sheet", False, 0, ""),
        ("sheet", False, 22, "of the reference region"),
        ("sheet", True, 22, "of the reference region"),
        ("sheet", False, 25, "cut_"),
        ("template", True, 22, "of the reference region"),
        ("template", False, 22, "of the reference region"),
    ],
)
def test_uptake_ratios_count_no_reference_that_was_not_measured(
    tmp_path: Path, masked: tuple[Path, Path], source: str, filled: bool, cut: int, said: str
) -> None:
    """A PET without its lowest slices, cut off or filled with zeros; a reference at their edge."""
    volume = head()
    inside = brain_of(volume)
    uptake = np.where(inside, 90, 5).astype(np.float32)
    region = ndimage.binary_erosion(inside, iterations=2)
    region[:, :, 27:] = False
    region[:, :, :20] = False
    uptake[region] = 100
    reference = save(replace(volume, data=region.astype(np.float32)), tmp_path / "r.nii.gz")
    affine = volume.affine.copy()
    if filled:
        uptake[:, :, :cut] = 0
    else:
        affine[:3, 3] += affine[:3, 2] * cut
        uptake = uptake[:, :, cut:]
    pet = save(Volume(uptake, affine), tmp_path / "pet.nii.gz")
    config, files = QUICK.model_copy(update={"align_visit": False}), {"mask": masked[1]}
    if source == "sheet":
        files["reference"] = reference
    else:
        named = {"template": masked[0], "template_mask": masked[1], "reference_region": reference}
        config = config.model_copy(update=named)
        (tmp_path / "m.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
        files["registration"] = tmp_path / "m.txt"
    found = run(tmp_path / "out", row(pet, "fdg", **files), config=config)["P1-m00-fdg"]
    if said == "cut_":
        assert found.reason.startswith("cut_off: the field of view holds")
        assert found.status == "quarantined"
        return
    assert found.status == "ok"
    assert found.scaled_by == "reference"
    assert said in found.reason
    share = region[:, :, cut:].sum() / region.sum()
    assert found.reference_in_view == pytest.approx(share, abs=1e-4)
    tensor = read_tensor(tmp_path / "out" / found.tensor)
    ratio = (np.median(tensor.volume[tensor.mask].astype(float)) + 1) * 1.5
    assert ratio == pytest.approx(0.9, abs=0.02)  # with the fill value: 1.2


@pytest.mark.parametrize("column", ["mask", "reference"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_segmentation_is_no_mask(
    tmp_path: Path, masked: tuple[Path, Path], column: str, dtype: type
) -> None:
    """Half of its maximum is the hemisphere of the higher numbers."""
    volume, labels = head(), np.zeros(head().data.shape, dtype)
    inside = brain_of(volume)
    labels[inside] = 3
    labels[inside & (np.indices(labels.shape)[0] > 36)] = 42
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(labels, volume.affine), path)
    found = run(tmp_path / "out", row(masked[0], "fdg", **({"mask": masked[1]} | {column: path})))
    said = found["P1-m00-fdg"].reason
    assert said.startswith(f"not_a_mask: the {column} given: it holds several structures (3, 42)")


@pytest.mark.parametrize("name", ["template_mask", "reference_region"])
def test_a_segmentation_is_no_mask_of_the_template(
    tmp_path: Path, masked: tuple[Path, Path], name: str
) -> None:
    labels = nib.load(masked[1]).get_fdata().astype(np.uint8)
    labels[:36] *= 2
    nib.save(nib.Nifti1Image(labels, head().affine), tmp_path / "labels.nii.gz")
    files = {"template": masked[0], "template_mask": masked[1]} | {name: tmp_path / "labels.nii.gz"}
    with pytest.raises(UserInputError, match=r"labels\.nii\.gz: not_a_mask: .*\(1, 2\)"):
        read_template(QUICK.model_copy(update=files))


def test_shares_and_masks_of_any_height_are_masks(tmp_path: Path) -> None:
    volume = head()
    inside = brain_of(volume)
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 1)
    for number, data in enumerate([inside.astype(np.uint8) * 255, soft, soft * 255]):
        path = save(replace(volume, data=data.astype(np.float32)), tmp_path / f"{number}.nii.gz")
        assert dice(read_mask(path, volume.grid, "mask"), inside) > 0.98


def test_a_given_transform_is_followed(tmp_path: Path, masked: tuple[Path, Path]) -> None:
    (tmp_path / "m.txt").write_text("1 0 0 10\n0 1 0 -5\n0 0 1 3\n0 0 0 1\n")
    files = {"mask": masked[1], "registration": tmp_path / "m.txt"}
    found = run(tmp_path / "out", row(masked[0], **files))["P1-m00-t1"]
    moved = brightest_mm(read_volume(tmp_path / "out" / found.volume))
    np.testing.assert_allclose(moved, LESION_MM + SHIFT_MM, atol=1.0)


def test_a_bad_template_stops_before_any_work(tmp_path: Path, masked: tuple[Path, Path]) -> None:
    (tmp_path / "t.nii").write_bytes(b"no template")
    config = QUICK.model_copy(update={"template": tmp_path / "t.nii"})
    with pytest.raises(UserInputError, match=r"t\.nii: unreadable"):
        run(tmp_path / "out", row(masked[0]), config=config)


def test_volumes_of_two_patients_with_the_same_voxels_are_told(
    tmp_path: Path, masked: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """However they are compressed; visits of one patient may repeat a volume."""
    volume = read_volume(masked[0])
    copy = save(volume, tmp_path / "copy.nii")
    other = save(replace(volume, data=volume.data + 1), tmp_path / "other.nii")
    rows = [row(masked[0], "t1", "P1"), row(masked[0], "flair", "P1"), row(copy, "t1", "P2")]
    rows += [row(other, "t1", "P3")]
    off = QUICK.model_copy(update={"find_mask": False, "align_visit": False})
    run(tmp_path / "out", *rows, config=off)
    with caplog.at_level("WARNING"):
        note_copies(tmp_path / "out" / "batches" / "0.tsv")
    found = {"-".join(s.key): s for s in read_manifest(tmp_path / "out" / "batches" / "0.tsv")}
    assert "the same voxels as a volume of P2" in found["P1-m00-t1"].reason
    assert "the same voxels as a volume of P1" in found["P2-m00-t1"].reason
    assert "same voxels" not in found["P3-m00-t1"].reason
    assert "P1 m00 t1" in caplog.text


def test_manifests_are_joined_once(tmp_path: Path) -> None:
    rows = [VolumeStatus(f"P{i}", "m00", "t1", "ok", dice=0.9 + i / 100) for i in range(3)]
    write_manifest(tmp_path / "0.tsv", rows[1:])
    write_manifest(tmp_path / "1.tsv", rows[:1])
    merge_manifests([tmp_path / "0.tsv", tmp_path / "1.tsv"], tmp_path / "all.tsv")
    assert read_manifest(tmp_path / "all.tsv") == rows
    with pytest.raises(UserInputError, match="already in another batch"):
        merge_manifests([tmp_path / "0.tsv", tmp_path / "0.tsv"], tmp_path / "all.tsv")
    (tmp_path / "2.tsv").write_text("slide_id\n")
    with pytest.raises(UserInputError, match="no manifest"):
        read_manifest(tmp_path / "2.tsv")


def test_a_real_head_reaches_the_template(tmp_path: Path, real_data: Path) -> None:
    """A T1 with scalp and skull; its brain, found by itself, must lie upon that of MNI152."""
    brain = real_data / "brain"
    config = ImagingConfig(template=brain / "mni_icbm152_t1.nii.gz", bias_correction=False)
    found = run(tmp_path, row(brain / "spm_single_subj_T1.nii.gz"), config=config)["P1-m00-t1"]
    assert found.status == "ok", found.reason
    assert found.mask_by == "search"
    assert found.dice is not None
    assert found.dice > 0.93
    assert found.similarity is not None
    assert found.similarity_before is not None
    assert found.similarity > found.similarity_before
