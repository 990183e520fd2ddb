"""Writing a simulated memory clinic: the sheets and volumes it would bring, and the truth.

The twin of `cohort` for brains. `brain_truth.draw_brain_truth` with `brain_images.draw_volumes`
gives the same patients in memory.

Why it can serve as a test bench. Conversion follows factors that the inputs show separately (see
`brain_truth`): the MRI shows atrophy, the PET hypometabolism, which the MRI knows in part only,
and nothing shows tau. So real PET adds to MRI and table, a synthesised PET can recover the known
share of it that the anatomy promises and no more, and no model can beat the oracle in expectation.
Sites differ in the scale, the noise and the orientation of their volumes and in nothing else.
"""

from __future__ import annotations

import gzip
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, write_json
from survfuse.simulation.brain_anatomy import REGIONS
from survfuse.simulation.brain_geometry import Array, Grid, Volume
from survfuse.simulation.brain_images import draw_volumes
from survfuse.simulation.brain_limits import attainable_auroc, decline_given_mri, explained_share
from survfuse.simulation.brain_missing import Mechanism
from survfuse.simulation.brain_truth import (
    COEFFICIENTS,
    COURSE,
    HORIZON_MONTHS,
    SHARED_CORRELATION,
    BrainTruth,
    draw_brain_truth,
)
from survfuse.simulation.sheets import cut_off, emptied, write_table
from survfuse.simulation.truth import SITES, stream

VISIT = "bl"
LABELS = {1: "converter", 0: "stable", -1: "unknown"}
TRUTH_MONTHS = (12, 24, 36, 48, 60)
MISSING_EDUCATION_SHARE, MISSING_MMSE_SHARE = 0.03, 0.03
# Axes that a site's export runs the other way: voxels are turned, and the affine says so.
SITE_FLIPS = dict(zip(SITES, ((), (0, 1), (), (0,)), strict=True))
DESCRIPTION = (
    "Simulated memory clinic. The log-hazard of conversion to dementia is the sum of the columns "
    "atrophy to apoe4_education of truth.tsv; times are Weibull with proportional hazards. MRI "
    "shows hippocampus_loss, ventricle_growth and cortical_thinning, which follow atrophy and age; "
    "PET shows pet_decline, which follows hypometabolism; decline_given_mri is its mean given the "
    "MRI. Site changes scale, noise and orientation of the volumes, never the hazard."
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VolumePlan:
    """One volume to write: patient by position, `mri` or `pet`, and whether it is cut off."""

    patient: int
    modality: str
    path: str
    truncated: bool = False


def simulate_brains(
    patients: int,
    seed: int,
    out: Path,
    *,
    grid: Grid | None = None,
    missing_pet_share: float = 0.3,
    mechanism: Mechanism = "mcar",
    pet_moved: float = 0.0,
    truncated: int = 1,
    masks: bool = False,
    workers: int = 1,
) -> None:
    """Draw a memory clinic with known truth and write its sheets and volumes to `out`.

    Writes patients.tsv (times in months), images.tsv, images/*.nii.gz, truth.tsv and truth.json.
    `truncated` PET files end too early, as after a broken transfer. With `masks` the brain of every
    MRI is written too, as a tool of the clinic would, and the sheet names it, also for PET where
    that lies in the same place. The same arguments give the same bytes, whatever `workers` is. For
    `pet_moved` see `draw_volumes`, for the missing PET `draw_brain_truth`. Raises UserInputError
    when the numbers make no cohort.
    """
    if workers < 1:
        raise UserInputError(f"cannot draw volumes with {workers} workers: give 1 or more")
    truth = draw_brain_truth(patients, seed, missing_pet_share, mechanism)
    plan = plan_volumes(truth, truncated)
    by_patient = [[item for item in plan if item.patient == i] for i in range(patients)]
    write = partial(write_volumes, truth, grid or Grid(), pet_moved, masks, out)
    if workers == 1:
        for items in by_patient:
            write(items)
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for _ in pool.map(write, by_patient):
                pass  # asking for each result raises what its process raised
    masked = ("mri", "pet") if pet_moved == 0 else ("mri",)
    write_table(out / "images.tsv", images_table(truth, plan, masked if masks else ()))
    write_table(out / "patients.tsv", patients_table(truth))
    write_table(out / "truth.tsv", truth_table(truth))
    write_json(out / "truth.json", truth_summary(truth, plan, mechanism))
    log.info("simulated %d patients and %d volumes", patients, len(plan))


def plan_volumes(truth: BrainTruth, truncated: int) -> list[VolumePlan]:
    """Every volume of the cohort; `truncated` of the PET, at random, are cut off."""
    with_pet = np.flatnonzero(truth.has_pet)
    if not 0 <= truncated < len(with_pet):
        raise UserInputError(
            f"cannot truncate {truncated} PET of {len(with_pet)}: give 0 or more, and leave one"
        )
    cut = stream(truth.seed, "truncated").choice(with_pet, truncated, replace=False).tolist()
    plan = []
    for i, name in enumerate(truth.patient_id):
        plan.append(VolumePlan(i, "mri", f"images/{name}_{VISIT}_mri.nii.gz"))
        if truth.has_pet[i]:
            path = f"images/{name}_{VISIT}_pet.nii.gz"
            plan.append(VolumePlan(i, "pet", path, i in cut))
    return plan


def write_volumes(
    truth: BrainTruth, grid: Grid, pet_moved: float, masks: bool, out: Path, plan: list[VolumePlan]
) -> None:
    """Draw one patient and write the volumes that the plan asks for, and the mask of the brain."""
    drawn = draw_volumes(truth, plan[0].patient, grid, pet_moved)
    flips = SITE_FLIPS[SITES[truth.site[plan[0].patient]]]
    for item in plan:
        volume = drawn.mri.astype(np.int16) if item.modality == "mri" else drawn.pet
        content = nifti_bytes(*flipped(volume, drawn.affine, flips))
        if item.truncated:
            content = cut_off(content)
        with atomic_path(out / item.path) as path:
            path.write_bytes(content)
    if masks:
        content = nifti_bytes(*flipped(drawn.mask.astype(np.uint8), drawn.affine, flips))
        with atomic_path(out / mask_path(truth.patient_id[plan[0].patient])) as path:
            path.write_bytes(content)


def mask_path(patient_id: str) -> str:
    """Where the mask of a patient's MRI lies, relative to the sheet."""
    return f"images/{patient_id}_{VISIT}_mask.nii.gz"


def flipped(
    volume: Volume | np.ndarray, affine: Array, axes: tuple[int, ...]
) -> tuple[np.ndarray, Array]:
    """The same volume in the same place, with the voxels of these axes in the other order."""
    affine = affine.copy()
    for axis in axes:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
    return np.ascontiguousarray(np.flip(volume, axes)), affine


def nifti_bytes(volume: np.ndarray, affine: Array) -> bytes:
    """The volume as the content of a .nii.gz file, without a time stamp; millimetres, scanner."""
    import nibabel

    image = nibabel.Nifti1Image(volume, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=5, mtime=0)


def patients_table(truth: BrainTruth) -> pd.DataFrame:
    """The clinical sheet as text; a few values of education and MMSE are empty, at random."""
    rng = stream(truth.seed, "missing clinical values")
    return pd.DataFrame(
        {
            "patient_id": truth.patient_id,
            "time_months": [f"{months:.2f}" for months in truth.time_months],
            "event": truth.event.astype(int),
            "site": [SITES[site] for site in truth.site],
            "age": [f"{age:.1f}" for age in truth.age_years],
            "sex": np.where(truth.female, "female", "male"),
            "apoe4": truth.apoe4_alleles,
            "education": emptied(
                rng, [f"{years:.0f}" for years in truth.education_years], MISSING_EDUCATION_SHARE
            ),
            "mmse": emptied(rng, [f"{points:.0f}" for points in truth.mmse()], MISSING_MMSE_SHARE),
        }
    )


def images_table(
    truth: BrainTruth, plan: list[VolumePlan], masked: tuple[str, ...]
) -> pd.DataFrame:
    """The sheet of volumes; paths are relative to it. `masked` modalities have a mask."""
    rows = [(truth.patient_id[item.patient], VISIT, item.modality, item.path) for item in plan]
    table = pd.DataFrame(rows, columns=["patient_id", "visit", "modality", "path"])
    if masked:
        named = table["modality"].isin(masked)
        table["mask"] = table["patient_id"].map(mask_path).where(named, "")
    return table


def truth_table(truth: BrainTruth) -> pd.DataFrame:
    """Per patient the label, log-hazard, its components, what the images show, true survival."""
    table = pd.DataFrame(
        {
            "patient_id": truth.patient_id,
            "label": [LABELS[value] for value in truth.label().tolist()],
            "has_pet": truth.has_pet.astype(int),
            "log_hazard": truth.log_hazard(),
            **truth.components(),
            "hippocampus_loss": truth.hippocampus_loss,
            "ventricle_growth": truth.ventricle_growth,
            "cortical_thinning": truth.cortical_thinning,
            "pet_decline": truth.pet_decline,
            "decline_given_mri": decline_given_mri(truth)[0],
        }
    )
    survival = truth.survival(TRUTH_MONTHS)
    for column, months in enumerate(TRUTH_MONTHS):
        table[f"surv_{months:g}"] = survival[:, column]
    return table


def truth_summary(
    truth: BrainTruth, plan: list[VolumePlan], mechanism: Mechanism
) -> dict[str, object]:
    """What truth.json says: how the cohort was made and the AUROC each set of inputs can reach."""
    names = [LABELS[value] for value in truth.label().tolist()]
    return {
        "description": DESCRIPTION,
        "seed": truth.seed,
        "n_patients": len(truth.patient_id),
        "n_events": int(truth.event.sum()),
        "horizon_months": HORIZON_MONTHS,
        "labels": {name: names.count(name) for name in LABELS.values()},
        "coefficients": COEFFICIENTS,
        "shared_correlation": SHARED_CORRELATION,
        "weibull": {"shape": COURSE.shape, "scale_months": COURSE.scale_months},
        "regions": REGIONS,
        "auroc": attainable_auroc(truth),
        "auroc_expected": attainable_auroc(truth, expected=True),
        "explained_share_of_pet": explained_share(),
        "missing_pet": {
            "mechanism": mechanism,
            "patients": truth.patient_id[~truth.has_pet].tolist(),
        },
        "truncated": [item.path for item in plan if item.truncated],
    }
