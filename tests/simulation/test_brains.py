"""The simulated memory clinic: its truth, its anatomy, its images, and the files it writes."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from nibabel.affines import apply_affine
from scipy.ndimage import affine_transform
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from survfuse.config.models import IDENTIFIER
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_file
from survfuse.simulation.brain_anatomy import REGIONS, Anatomy, Signs, draw_anatomy
from survfuse.simulation.brain_geometry import Grid, Position, depth, draw_waves, waves
from survfuse.simulation.brain_images import BrainVolumes, decline_map, draw_volumes
from survfuse.simulation.brain_limits import (
    attainable_auroc,
    decline_given_mri,
    expected_factors,
    expected_log_hazard,
    explained_share,
    weighted_auroc,
)
from survfuse.simulation.brain_missing import CONVERTER_ODDS
from survfuse.simulation.brain_truth import (
    COEFFICIENTS,
    FACTORS,
    MRI_SIGNS,
    SIGNS,
    BrainTruth,
    draw_brain_truth,
    sign_covariance,
)
from survfuse.simulation.brains import flipped, plan_volumes, simulate_brains

ORDER = ("oracle", "real_pet", "synthesisable_pet", "mri", "clinical", "site")
MIDDLE = Grid((40, 50, 40), 4.0)


@pytest.fixture(scope="module")
def many() -> BrainTruth:
    return draw_brain_truth(20_000, 7)


@pytest.fixture(scope="module")
def clinic() -> tuple[BrainTruth, list[BrainVolumes]]:
    truth = draw_brain_truth(60, 2)
    return truth, [draw_volumes(truth, patient) for patient in range(60)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("clinic")
    simulate_brains(16, 3, out, mechanism="outcome")
    return out


def read(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


# --- Truth ---------------------------------------------------------------------------------------


def test_survival_of_a_patient_computed_by_hand():
    ones = np.ones(12)
    truth = replace(
        draw_brain_truth(12, 0),
        atrophy=ones,
        hypometabolism=0.5 * ones,
        tau=-ones,
        age_years=80 * ones,
        apoe4_alleles=np.full(12, 2),
        education_years=13 * ones,
    )
    # 0.9 + 1.6 / 2 - 1.2 + 0.1 * (80 - 73) / 7 + 0.95 * (2 - 0.67) + 0.5, as the mean number of
    # alleles is 0.41 + 2 * 0.13 = 0.67 and education is one spread below its mean.
    assert truth.log_hazard() == pytest.approx(np.full(12, 2.3635), abs=1e-12)
    by_hand = [np.exp(-np.exp(2.3635)), np.exp(-(0.5**1.3) * np.exp(2.3635))]
    assert truth.survival([62, 31])[5] == pytest.approx(by_hand, rel=1e-12)


def test_components_sum_to_the_log_hazard(many):
    assert sum(many.components().values()) == pytest.approx(many.log_hazard())
    assert abs(many.log_hazard().mean()) < 0.06


def test_label_says_unknown_where_follow_up_is_short():
    truth = replace(
        draw_brain_truth(12, 0),
        time_months=np.array([20.0, 20, 36, 36, 50, 50] * 2),
        event=np.array([True, False] * 6),
    )
    assert truth.label()[:6].tolist() == [1, -1, 1, 0, 0, 0]
    assert truth.label(60)[:6].tolist() == [1, -1, 1, -1, 1, -1]


def test_true_survival_agrees_with_kaplan_meier(many):
    months = [12, 24, 36, 60]
    observed = KaplanMeierFitter().fit(many.time_months, many.event).predict(months)
    assert many.survival(months).mean(axis=0) == pytest.approx(observed.to_numpy(), abs=0.012)


def test_outcomes_are_those_of_a_memory_clinic(many):
    label = many.label()
    assert 0.38 < (label == 1).mean() < 0.50
    assert 0.12 < (label == -1).mean() < 0.25
    assert 26 < many.mmse().mean() < 27.5 and many.mmse().max() == 30
    assert many.age_years.min() >= 55 and many.age_years.max() <= 91
    assert np.bincount(many.apoe4_alleles) / 20_000 == pytest.approx([0.46, 0.41, 0.13], abs=0.02)


def test_cox_regression_on_the_factors_recovers_the_coefficients(many):
    table = pd.DataFrame(
        {
            "atrophy": many.atrophy,
            "hypometabolism": many.hypometabolism,
            "tau": many.tau,
            "age_per_sd": many.sign("age"),
            "apoe4_per_allele": many.apoe4_alleles,
            "education_per_sd": many.education_years / 3,
            "site": many.site,
            "time": many.time_months,
            "event": many.event,
        }
    )
    fitted = CoxPHFitter().fit(table, "time", "event").params_
    for name, coefficient in COEFFICIENTS.items():
        assert fitted[name] == pytest.approx(coefficient, abs=0.06), name
    assert fitted["site"] == pytest.approx(0, abs=0.04)


def test_signs_have_the_covariance_that_is_said(many):
    names = [name for name in SIGNS if name != "age"]
    observed = np.cov([many.sign(name) for name in names])
    assert observed == pytest.approx(sign_covariance(names), abs=0.04)


def test_what_is_expected_agrees_with_regression(many):
    """Conditional means of the normal distribution are what least squares finds."""
    signs = np.column_stack([many.sign(name) for name in MRI_SIGNS])
    found = expected_factors(many, MRI_SIGNS)
    for column, factor in enumerate(FACTORS[:2]):
        fitted = LinearRegression().fit(signs, getattr(many, factor)).predict(signs)
        assert found[:, column] == pytest.approx(fitted, abs=0.08), factor
    names = (*MRI_SIGNS, "age", "cognition_loss", "pet_decline")
    inputs = np.column_stack(
        [*(many.sign(name) for name in names), many.components()["apoe4_education"]]
    )
    fitted = LinearRegression().fit(inputs, many.log_hazard()).predict(inputs)
    assert expected_log_hazard(many, names, direct=True) == pytest.approx(fitted, abs=0.15)


def test_the_mri_explains_a_known_share_of_the_pet(many):
    expected, deviation = decline_given_mri(many)
    left = many.pet_decline - expected
    assert left.std() == pytest.approx(deviation, rel=0.02)
    assert 1 - left.var() / many.pet_decline.var() == pytest.approx(explained_share(), abs=0.02)
    assert 0.2 < explained_share() < 0.35
    assert np.corrcoef(left, expected)[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_inputs_are_worth_what_they_should_be_in_order(seed):
    truth = draw_brain_truth(400, seed)
    seen, expected = attainable_auroc(truth), attainable_auroc(truth, expected=True)
    for better, worse in itertools.pairwise(ORDER):
        assert seen[better] > seen[worse] + 0.02, (better, worse)
        assert expected[better] > expected[worse] + 0.02, (better, worse)
    assert seen["synthesisable_pet"] == seen["mri+clinical"]
    label = truth.label()
    known = label >= 0
    by_sklearn = roc_auc_score(label[known], truth.log_hazard()[known])
    assert seen["oracle"] == pytest.approx(by_sklearn, abs=1e-12)


def test_weighted_auroc_by_all_pairs():
    rng = np.random.default_rng(0)
    risk, case = rng.normal(size=30).round(1), rng.random(30)
    wins = 0.5 * (1 + np.sign(risk[:, None] - risk[None, :]))
    weight = case[:, None] * (1 - case)[None, :] * (1 - np.eye(30))
    assert weighted_auroc(risk, case, 1 - case) == pytest.approx(
        (wins * weight).sum() / weight.sum(), abs=1e-12
    )


@pytest.mark.parametrize("mechanism", ["mcar", "outcome"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.55, 0.9])
def test_missing_pet_is_counted_exactly(mechanism, share):
    for patients in (12, 61, 400):
        truth = draw_brain_truth(patients, 1, share, mechanism)
        assert (~truth.has_pet).sum() == round(share * patients)


def test_missing_pet_says_nothing_or_as_much_as_announced(many):
    case = many.label() == 1
    assert abs(np.corrcoef(many.has_pet, case)[0, 1]) < 0.02
    dependent = draw_brain_truth(20_000, 7, 0.3, "outcome")
    odds = [
        has.mean() / (1 - has.mean()) for has in (dependent.has_pet[case], dependent.has_pet[~case])
    ]
    assert odds[0] / odds[1] == pytest.approx(CONVERTER_ODDS, rel=0.01)
    # Nothing else depends on the mechanism.
    assert np.array_equal(dependent.time_months, many.time_months)


def test_same_seed_same_patients():
    first, again, other = (draw_brain_truth(50, seed) for seed in (3, 3, 4))
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(again, name)), name
    assert not np.array_equal(first.atrophy, other.atrophy)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((11, 1), "11 patients"),
        ((20, -1), "the seed of a simulation is -1"),
        ((20, 1, 1.0), "share of 1 of the patients"),
        ((20, 1, 0.3, "luck"), "missing by 'luck'"),
    ],
)
def test_impossible_requests_are_refused(arguments, words):
    with pytest.raises(UserInputError, match=words):
        draw_brain_truth(*arguments)


# --- Anatomy -------------------------------------------------------------------------------------


def anatomy(
    signs: Signs | None = None, position: Position | None = None, grid: Grid = MIDDLE
) -> Anatomy:
    return draw_anatomy(np.random.default_rng(5), signs or Signs(), position or Position(), grid)


def litres(share: np.ndarray, grid: Grid = MIDDLE) -> float:
    return float(share.sum()) * grid.voxel_mm**3 / 1e6


def test_depth_in_an_ellipsoid():
    points = np.array([[0, 0, 0], [9, 0, 0], [11, 0, 0], [0, 19, 0]], np.float32).T
    found = depth(points, (0, 0, 0), (10.0, 20.0, 10.0))
    assert found == pytest.approx([10, 1, -1, 1], abs=1e-5)


def test_waves_have_mean_0_and_deviation_1():
    field = waves(draw_waves(np.random.default_rng(0), (1, 20), (10, 20)), MIDDLE.points_mm())
    assert field.mean() == pytest.approx(0, abs=0.05) and field.std() == pytest.approx(1, abs=0.1)


def test_a_position_and_its_inverse():
    position = Position((5.0, -8.0, 3.0), (2.0, -1.0, 4.0))
    points = np.random.default_rng(0).normal(0, 50, (3, 20)).astype(np.float32)
    scanner = apply_affine(position.matrix(), points.T).T.astype(np.float32)
    assert position.to_head(scanner) == pytest.approx(points, abs=1e-3)


def test_tissues_fill_the_head_and_nothing_else():
    head = anatomy()
    total = np.sum(list(head.tissue.values()), axis=0)
    assert all(share.min() >= -1e-6 for share in head.tissue.values())
    assert total.max() == pytest.approx(1, abs=1e-5)
    inside = total > 0.999
    assert inside[20, 25, 20] and not total[0, 0, 0] and inside.mean() > 0.35
    for part in (head.hippocampi, head.deep_grey, head.cerebellum):
        assert (part <= head.tissue["grey"] + 1e-5).all()
    assert (head.ventricles <= head.tissue["csf"] + 1e-5).all()


def test_volumes_are_those_of_a_human_head():
    head = anatomy()
    assert 1.0 < litres(head.tissue["grey"] + head.tissue["white"]) < 1.4
    assert 0.015 < litres(head.ventricles) < 0.05
    assert 0.006 < litres(head.hippocampi) < 0.014
    assert 0.3 < litres(head.tissue["white"]) / litres(head.tissue["grey"]) < 1.2


def test_the_same_head_on_every_grid():
    fine_grid = Grid((96, 128, 96), 1.65)
    coarse, fine = anatomy(), anatomy(grid=fine_grid)
    for name, tolerance in (("csf", 0.08), ("grey", 0.05), ("white", 0.05), ("scalp", 0.05)):
        assert litres(coarse.tissue[name]) == pytest.approx(
            litres(fine.tissue[name], fine_grid), rel=tolerance
        ), name
    assert litres(coarse.hippocampi) == pytest.approx(litres(fine.hippocampi, fine_grid), rel=0.05)
    assert litres(coarse.ventricles) == pytest.approx(litres(fine.ventricles, fine_grid), rel=0.05)


@pytest.mark.parametrize(
    ("sign", "part", "direction"),
    [
        ("hippocampus_loss", "hippocampi", -1),
        ("ventricle_growth", "ventricles", 1),
        ("cortical_thinning", "grey", -1),
    ],
)
def test_each_sign_moves_its_own_structure(sign, part, direction):
    heads = [anatomy(Signs(**{sign: value})) for value in (-2.0, 0.0, 2.0)]

    def volumes(name: str) -> np.ndarray:
        return np.array(
            [litres(getattr(h, name, None) if name != "grey" else h.tissue["grey"]) for h in heads]
        )

    assert (direction * np.diff(volumes(part)) > 0.02 * volumes(part)[1]).all()
    others = {"hippocampi", "ventricles"} - {part}
    for other in others:
        assert np.ptp(volumes(other)) < 0.03 * volumes(other)[1], other


def test_a_moved_head_is_the_same_head():
    position = Position((6.0, -4.0, 8.0), (4.0, 3.0, -5.0))
    still, moved = anatomy().tissue["white"], anatomy(position=position).tissue["white"]
    affine = MIDDLE.affine()
    # Voxel of the still head -> millimetres -> moved -> voxel.
    back = np.linalg.inv(affine) @ position.matrix() @ affine
    resampled = affine_transform(moved, back[:3, :3], back[:3, 3], order=1)
    assert np.corrcoef(resampled.ravel(), still.ravel())[0, 1] > 0.98
    assert np.corrcoef(moved.ravel(), still.ravel())[0, 1] < 0.85


def test_regions_cover_the_mask():
    head = anatomy()
    labels, mask = head.region_labels(), head.brain_mask()
    assert np.array_equal(labels > 0, mask)
    assert set(np.unique(labels)) == {0, *REGIONS.values()}
    # Posterior, on both sides, away from the midline; and in the middle.
    x, y, _ = MIDDLE.points_mm()
    lateral, medial = labels == REGIONS["temporoparietal"], labels == REGIONS["posterior_cingulate"]
    assert y[lateral].mean() < -20 and np.abs(x[lateral]).min() > 15
    assert 0.3 < (x[lateral] > 0).mean() < 0.7
    assert y[medial].mean() < -20 and np.abs(x[medial]).max() < 25


# --- Images --------------------------------------------------------------------------------------


def test_volumes_are_finite_of_one_grid_and_reproducible(clinic):
    truth, volumes = clinic
    one, again = volumes[7], draw_volumes(truth, 7)
    for name in ("mri", "pet", "expected_pet", "synthesisable_pet", "mask", "regions"):
        volume = getattr(one, name)
        assert volume.shape == (32, 40, 32) and np.isfinite(volume).all(), name
        assert np.array_equal(volume, getattr(again, name)), name
    assert one.mri.min() >= 0 and one.pet.min() >= 0
    assert not np.array_equal(one.mri, volumes[8].mri)
    assert one.affine[:3, 3] == pytest.approx([-77.5, -97.5, -77.5])


def test_contrast_is_that_of_t1_and_fdg(clinic):
    _, volumes = clinic
    one = volumes[0]

    def mean(volume, name):
        return volume[one.regions == REGIONS[name]].mean()

    assert (
        mean(one.mri, "white") > 1.2 * mean(one.mri, "cortex") > 1.2 * mean(one.mri, "ventricles")
    )
    assert mean(one.pet, "cortex") > 1.5 * mean(one.pet, "white") > mean(one.pet, "ventricles")
    assert one.pet[one.mask].mean() > 5 * one.pet[~one.mask].mean()


def log_ratio(volume: np.ndarray, regions: np.ndarray) -> float:
    """Of the diseased regions to the cerebellum, as a reader of PET would take it."""
    diseased = np.isin(regions, (REGIONS["temporoparietal"], REGIONS["posterior_cingulate"]))
    return float(np.log(volume[diseased].mean() / volume[regions == REGIONS["cerebellum"]].mean()))


def test_images_show_what_the_truth_says(clinic):
    truth, volumes = clinic

    def share(*names):
        numbers = [REGIONS[name] for name in names]
        return [np.isin(v.regions, numbers).sum() / v.mask.sum() for v in volumes]

    def correlation(first, second):
        return np.corrcoef(first, second)[0, 1]

    assert correlation(np.log(share("ventricles")), truth.ventricle_growth) > 0.9
    assert correlation(np.log(share("hippocampi")), truth.hippocampus_loss) < -0.85
    cortex = share("cortex", "temporoparietal", "posterior_cingulate")
    assert correlation(cortex, truth.cortical_thinning) < -0.7
    real = [log_ratio(v.pet, v.regions) for v in volumes]
    expected = [log_ratio(v.synthesisable_pet, v.regions) for v in volumes]
    assert correlation(real, truth.pet_decline) < -0.85
    assert correlation(expected, decline_given_mri(truth)[0]) < -0.85
    assert abs(correlation(expected, truth.pet_decline)) < 0.75


def test_site_changes_scale_and_nothing_of_the_anatomy(clinic):
    truth, volumes = clinic
    other = replace(truth, site=(truth.site + 1) % 4)
    moved = draw_volumes(other, 0)
    assert np.array_equal(moved.regions, volumes[0].regions)
    assert np.array_equal(moved.pet, volumes[0].pet)
    assert not np.array_equal(moved.mri, volumes[0].mri)


def test_synthesisable_pet_is_the_mean_over_what_the_mri_leaves_open(clinic):
    truth, _ = clinic
    expected, deviation = decline_given_mri(truth)
    pattern = replace(anatomy(), pattern=np.linspace(0, 1, 11, dtype=np.float32))
    draws = np.random.default_rng(0).normal(expected[3], deviation, 40_000)
    simulated = np.mean([decline_map(pattern, value, 0.0) for value in draws], axis=0)
    closed = decline_map(pattern, float(expected[3]), deviation)
    assert closed == pytest.approx(simulated, rel=2e-3)


def test_no_guess_from_the_mri_beats_the_synthesisable_pet(clinic):
    truth, volumes = clinic
    expected, _ = decline_given_mri(truth)

    def squared_error(guess) -> float:
        return float(
            np.mean(
                [((guess(i) - v.expected_pet)[v.mask] ** 2).mean() for i, v in enumerate(volumes)]
            )
        )

    def turned(factor):
        """The map of another guess: more or less decline than expected."""

        def guess(i):
            v = volumes[i]
            with np.errstate(divide="ignore", invalid="ignore"):
                change = np.log(v.expected_pet / v.synthesisable_pet)
            gap = truth.pet_decline[i] - expected[i]
            per_unit = np.where(np.isfinite(change), change, 0) / gap if abs(gap) > 0.05 else 0
            return v.synthesisable_pet * np.exp(per_unit * (factor - 1) * expected[i])

        return guess

    best = squared_error(turned(1.0))
    assert best == pytest.approx(squared_error(lambda i: volumes[i].synthesisable_pet))
    assert squared_error(turned(0.0)) > 1.1 * best  # healthy brains: no decline expected at all
    assert squared_error(turned(2.5)) > 1.1 * best
    mean = np.mean([v.expected_pet for v in volumes], axis=0)
    assert squared_error(lambda _: mean) > 3 * best  # another anatomy
    assert best > 0  # and the rest is out of reach


def test_a_moved_pet_is_brought_back_by_the_true_registration(clinic):
    truth, _ = clinic
    moved = draw_volumes(truth, 4, MIDDLE, pet_moved=1.0)
    still = draw_volumes(truth, 4, MIDDLE)
    assert np.array_equal(moved.mri, still.mri)
    assert np.array_equal(moved.expected_pet, still.expected_pet)
    assert still.pet_position == still.mri_position
    affine = moved.affine
    to_pet = moved.pet_position.matrix() @ np.linalg.inv(moved.mri_position.matrix())
    voxels = np.linalg.inv(affine) @ to_pet @ affine
    back = affine_transform(moved.pet, voxels[:3, :3], voxels[:3, 3], order=1)
    unregistered = np.corrcoef(moved.pet.ravel(), moved.expected_pet.ravel())[0, 1]
    registered = np.corrcoef(back.ravel(), moved.expected_pet.ravel())[0, 1]
    assert registered > 0.97 > unregistered


# --- Files ---------------------------------------------------------------------------------------


def test_same_arguments_same_bytes_whatever_the_workers(written, tmp_path):
    simulate_brains(16, 3, tmp_path, mechanism="outcome", workers=2)
    files = sorted(p.relative_to(written) for p in written.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 4 + 16 + 11
    for file in files:
        assert sha256_file(written / file) == sha256_file(tmp_path / file), file


def test_image_sheet_fits_patients_and_files(written):
    images, patients = read(written / "images.tsv"), read(written / "patients.tsv")
    assert images.columns.tolist() == ["patient_id", "visit", "modality", "path"]
    assert sorted(images["path"]) == sorted(
        p.relative_to(written).as_posix() for p in (written / "images").iterdir()
    )
    counts = images["modality"].value_counts()
    assert counts.to_dict() == {"mri": 16, "pet": 11}
    with_mri = images.loc[images["modality"] == "mri", "patient_id"]
    assert with_mri.tolist() == patients["patient_id"].tolist()
    known = json.loads((written / "truth.json").read_text())
    without = set(patients["patient_id"]) - set(
        images.loc[images["modality"] == "pet", "patient_id"]
    )
    assert without == set(known["missing_pet"]["patients"])


def test_volumes_open_but_the_truncated_one(written):
    truth = draw_brain_truth(16, 3, 0.3, "outcome")
    known = json.loads((written / "truth.json").read_text())
    assert len(known["truncated"]) == 1 and known["truncated"][0].endswith("_pet.nii.gz")
    orientations = set()
    for row in read(written / "images.tsv").itertuples():
        if row.path in known["truncated"]:
            with pytest.raises((EOFError, OSError)):
                gzip.decompress((written / row.path).read_bytes())
            continue
        image = nibabel.load(written / row.path)
        patient = truth.patient_id.tolist().index(row.patient_id)
        drawn = draw_volumes(truth, patient)
        upright = nibabel.as_closest_canonical(image)
        assert upright.affine == pytest.approx(drawn.affine)
        assert np.array_equal(np.asanyarray(upright.dataobj), getattr(drawn, row.modality))
        assert image.header.get_zooms() == (5, 5, 5)
        assert image.header["sform_code"] == image.header["qform_code"] == 1
        assert image.get_qform() == pytest.approx(image.get_sform())
        orientations.add("".join(nibabel.aff2axcodes(image.affine)))
    assert len(orientations) > 1 and "RAS" in orientations


def test_a_flipped_volume_stays_where_it_was():
    volume, affine = np.arange(24).reshape(2, 3, 4), Grid((2, 3, 4), 2.0).affine()
    turned, other = flipped(volume, affine, (0, 2))
    assert turned[1, 1, 0] == volume[0, 1, 3]
    assert apply_affine(other, [1, 1, 0]) == pytest.approx(apply_affine(affine, [0, 1, 3]))


def test_patient_sheet_is_valid(written):
    patients = read(written / "patients.tsv")
    assert patients.columns.tolist() == [
        "patient_id",
        "time_months",
        "event",
        "site",
        "age",
        "sex",
        "apoe4",
        "education",
        "mmse",
    ]
    assert all(re.fullmatch(IDENTIFIER, name) for name in patients["patient_id"])
    assert (patients["time_months"].astype(float) > 0).all()
    assert set(patients["event"]) == {"0", "1"} and set(patients["apoe4"]) <= {"0", "1", "2"}
    assert (patients["mmse"] == "").sum() == 1 and (patients["education"] == "").sum() == 1


def test_truth_files_agree_with_the_sheets(written):
    truth, patients = pd.read_csv(written / "truth.tsv", sep="\t"), read(written / "patients.tsv")
    assert truth["patient_id"].tolist() == patients["patient_id"].tolist()
    parts = ["atrophy", "hypometabolism", "tau", "age", "apoe4_education"]
    assert truth[parts].sum(axis=1).to_numpy() == pytest.approx(truth["log_hazard"].to_numpy())
    time, event = patients["time_months"].astype(float), patients["event"] == "1"
    assert ((truth["label"] == "converter") == (event & (time <= 36))).all()
    assert ((truth["label"] == "unknown") == (~event & (time < 36))).all()
    known = json.loads((written / "truth.json").read_text())
    assert known["labels"] == {k: int((truth["label"] == k).sum()) for k in known["labels"]}
    assert known["auroc"]["oracle"] >= known["auroc"]["clinical"]


def test_wrong_numbers_are_refused(tmp_path):
    with pytest.raises(UserInputError, match="0 workers"):
        simulate_brains(16, 1, tmp_path, workers=0)
    with pytest.raises(UserInputError, match="cannot truncate 11 PET of 11"):
        plan_volumes(draw_brain_truth(16, 3), 11)
    assert not list(tmp_path.iterdir())


def test_masks_lie_where_the_mri_does_and_change_nothing_else(tmp_path, written):
    """Also where a site writes its voxels in another order."""
    simulate_brains(16, 3, tmp_path, mechanism="outcome", masks=True)
    images = read(tmp_path / "images.tsv")
    assert images.drop(columns="mask").equals(read(written / "images.tsv"))
    assert images.groupby("patient_id")["mask"].nunique().eq(1).all()
    truth = draw_brain_truth(16, 3, 0.3, "outcome")
    of_mri = images[images["modality"] == "mri"]
    for patient, row in enumerate(of_mri.itertuples()):
        mri, mask = nibabel.load(tmp_path / row.path), nibabel.load(tmp_path / row.mask)
        assert (tmp_path / row.path).read_bytes() == (written / row.path).read_bytes()
        np.testing.assert_array_equal(mri.affine, mask.affine)
        drawn = draw_volumes(truth, patient)
        back = nibabel.as_closest_canonical(mask)
        np.testing.assert_array_equal(np.asarray(back.dataobj), drawn.mask)


def test_a_moved_pet_has_no_mask(tmp_path):
    simulate_brains(12, 3, tmp_path, masks=True, pet_moved=1.0, truncated=0)
    images = read(tmp_path / "images.tsv")
    assert ((images["mask"] == "") == (images["modality"] == "pet")).all()
