"""A simulated memory clinic with every file that evaluation and reports of a diagnosis read.

Outcomes are those of `draw_brain_truth`. Every model predicts from what an ideal one could know
of its inputs, with some noise, so that the order of the models is known.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from survfuse.config import Config
from survfuse.demo.brain_geometry import Grid
from survfuse.demo.brain_images import BrainVolumes, draw_volumes
from survfuse.demo.brain_limits import expected_log_hazard
from survfuse.demo.brain_truth import CLINICAL_SIGNS, MRI_SIGNS, BrainTruth, draw_brain_truth
from survfuse.demo.brains import patients_table, truth_summary, truth_table
from survfuse.demo.truth import SITES
from survfuse.evaluation.class_predictions import write_class_patterns, write_class_predictions
from survfuse.evaluation.diagnosis_board import evaluate_diagnoses
from survfuse.evaluation.probabilities import logistic_fit
from survfuse.evaluation.saliency import write_saliency
from survfuse.files import sha256_file, write_json
from survfuse.imaging import store
from survfuse.imaging.intensity import by_percentiles
from survfuse.imaging.pictures import write_alignment, write_planes
from survfuse.imaging.store import VolumeStatus
from survfuse.manifest import OK, QUARANTINED

DRAWN = Grid((48, 64, 48), 3.2)
VISIT = "bl"
# kind, options, control, inputs, noise of the log-odds
MODELS: dict[str, tuple[str, dict[str, Any], bool, tuple[str, ...], float]] = {
    "site_only": ("site_only", {}, False, ("site",), 0.0),
    "logistic": ("logistic", {}, False, ("clinical",), 0.3),
    "mri_cnn": ("mri_cnn", {}, False, ("mri",), 0.5),
    "itcfn": ("itcfn", {"absent": "synthesise"}, False, ("mri", "pet", "clinical"), 0.4),
    "itcfn_mask": ("itcfn", {"absent": "mask"}, False, ("mri", "pet", "clinical"), 0.6),
    "itcfn_permuted": ("itcfn", {"absent": "synthesise"}, True, (), 1.0),
}
HORIZON = 36.0


@dataclass(frozen=True)
class Clinic:
    """A written clinic, and the patients whose volumes are on disk, by situation."""

    config: Config
    truth: BrainTruth
    out: Path
    with_pet: str
    without_pet: str
    quarantined_pet: str

    @property
    def evaluation(self) -> Path:
        return self.out / "evaluation" / "evaluation.json"


def configuration(output: Path, **changes: Any) -> Config:
    """The configuration that belongs to the clinic; `changes` replace whole sections."""
    values: dict[str, Any] = {
        "name": "clinic",
        "output": str(output),
        "cohort": {
            "patients": "patients.tsv",
            "images": "images.tsv",
            "site": "site",
            "diagnosis": {
                "name": "conversion to dementia",
                "definition": "clinical diagnosis of dementia within 36 months of the first visit "
                "in patients with mild cognitive impairment; seen half-yearly, death is censored",
                "classes": ["stable", "converted"],
                "horizon_months": HORIZON,
            },
            "covariates": {
                "age": {"type": "continuous"},
                "sex": {"type": "categorical"},
                "apoe4": {"type": "ordinal", "levels": ["0", "1", "2"]},
                "education": {"type": "continuous"},
                "mmse": {"type": "continuous"},
            },
        },
        "models": [
            {"name": name, "kind": kind, "options": options, "permute_outcomes": control}
            for name, (kind, options, control, _, _) in MODELS.items()
        ],
        "evaluation": {"reference": "logistic"},
        "report": {"title": "Memory clinic: MRI, PET and clinical data", "model": "itcfn"},
    }
    return Config.model_validate(values | changes)


def write_clinic(out: Path, patients: int = 120, seed: int = 3, volumes: bool = True) -> Clinic:
    """Write all files under `out` and evaluate; without `volumes` no picture and no tensor."""
    truth = draw_brain_truth(patients, seed)
    config = configuration(out)
    rng = np.random.default_rng(seed)
    ids = truth.patient_id.tolist()
    write_table(
        pd.DataFrame(
            {
                "patient_id": ids,
                "time_months": truth.time_months,
                "event": truth.event.astype(int),
                "label": truth.label(),
            }
        ),
        out / "cohort" / "outcomes.tsv",
    )
    clinical = patients_table(truth).drop(columns=["time_months", "event"])
    write_table(clinical, out / "cohort" / "clinical.tsv")
    splits = pd.DataFrame({"patient_id": ids, "repeat": 0, "fold": stratified(truth, rng)})
    write_table(splits, out / "splits" / "splits.tsv")
    shown = with_volumes(truth)
    write_volumes(out / "images", truth, shown, volumes, rng)
    has_pet = truth.has_pet & (np.arange(patients) != ids.index(shown["quarantined"]))
    has = {"slides": np.zeros(patients, bool), "omics": np.zeros(patients, bool),
           "clinical": np.ones(patients, bool), "mri": np.ones(patients, bool),
           "pet": has_pet}  # fmt: skip
    write_table(
        pd.DataFrame({"patient_id": ids, **{k: v.astype(int) for k, v in has.items()}}),
        out / "predictions" / "availability.tsv",
    )
    write_json(out / "cohort" / "cohort.json", cohort_summary(truth, has_pet))
    for name in MODELS:
        write_model(out / "predictions", name, truth, splits, has_pet)
    write_synthesis(out / "synthesis", splits, ids, has_pet, rng)
    if volumes:
        for key in ("without", "quarantined"):
            write_synthetic(out / "synthesis", truth, splits, shown[key])
    maps = {
        shown[key]: {"mri": bump(rng), **({"pet": bump(rng)} if key == "with" else {})}
        for key in ("with", "without")
    }
    write_saliency(out / "predictions" / "itcfn.saliency.h5", maps, "hiding one block at a time")
    write_table(truth_table(truth), out / "sheets" / "truth.tsv")
    write_json(out / "sheets" / "truth.json", truth_summary(truth, [], "mcar"))
    clinic = Clinic(config, truth, out, shown["with"], shown["without"], shown["quarantined"])
    evaluate_diagnoses(
        config,
        out / "cohort" / "outcomes.tsv",
        out / "splits" / "splits.tsv",
        out / "predictions",
        clinic.evaluation,
        truth=out / "sheets" / "truth.tsv",
        availability=out / "predictions" / "availability.tsv",
        synthesis=out / "synthesis",
    )
    return clinic


def write_table(table: pd.DataFrame, path: Path) -> None:
    """A TSV with a header, missing values empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False)


def stratified(truth: BrainTruth, rng: np.random.Generator, folds: int = 5) -> np.ndarray:
    """A fold for every patient, the classes spread evenly."""
    fold = np.zeros(len(truth.patient_id), dtype=int)
    for value in (-1, 0, 1):
        rows = rng.permutation(np.flatnonzero(truth.label() == value))
        fold[rows] = np.arange(len(rows)) % folds
    return fold


def with_volumes(truth: BrainTruth) -> dict[str, str]:
    """Who gets volumes on disk: the first with PET, the first without, the last with PET."""
    has = np.flatnonzero(truth.has_pet)
    lacks = np.flatnonzero(~truth.has_pet)
    rows = {"with": has[0], "without": lacks[0], "quarantined": has[-1]}
    return {key: str(truth.patient_id[row]) for key, row in rows.items()}


def known_risk(truth: BrainTruth, inputs: tuple[str, ...], has_pet: np.ndarray) -> np.ndarray:
    """What an ideal model could know of the log-hazard, (n,)."""
    if inputs == ("site",):
        return truth.site.astype(float)
    signs = (*(CLINICAL_SIGNS if "clinical" in inputs else ()),
             *(MRI_SIGNS if "mri" in inputs else ()))  # fmt: skip
    if not signs:
        return np.zeros(len(truth.patient_id))
    direct = "clinical" in inputs
    without = expected_log_hazard(truth, signs, direct)
    if "pet" not in inputs:
        return without
    return np.where(has_pet, expected_log_hazard(truth, (*signs, "pet_decline"), direct), without)


def stable_rng(*names: str) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()) for name in names])


def calibrated(risk: np.ndarray, truth: BrainTruth) -> np.ndarray:
    """Probabilities (n,) with the best slope and intercept."""
    known = truth.label() >= 0
    design = np.column_stack([np.ones(len(risk)), risk])
    beta, _ = logistic_fit(
        design[known], np.zeros(int(known.sum())), (truth.label()[known] == 1).astype(float)
    )
    return np.asarray(expit(design @ beta))


def table_of(p: np.ndarray, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(p_0=1 - p, p_1=p)


def write_model(
    folder: Path, name: str, truth: BrainTruth, splits: pd.DataFrame, has_pet: np.ndarray
) -> None:
    """Predictions of a model and of what it says where it is shown less."""
    _, options, _, inputs, noise = MODELS[name]
    rng = stable_rng(name)
    own = noise * rng.normal(size=len(has_pet))
    p = calibrated(known_risk(truth, inputs, has_pet) + own, truth)
    synthesises = options.get("absent") == "synthesise"
    synthesised = (~has_pet & synthesises).astype(int)
    rows = splits.assign(synthesised=synthesised, threshold=0.42 + 0.02 * splits["fold"])
    table = table_of(p, rows)
    if name not in ("site_only", "logistic"):
        spread = rng.uniform(0.02, 0.08, len(p))
        table["p_low_1"], table["p_high_1"] = (p - spread).clip(0, p), (p + spread).clip(p, 1)
    write_class_predictions(folder / f"{name}.tsv", table)
    if len(inputs) < 2:
        write_class_patterns(folder / f"{name}.patterns.tsv", None)
        return
    parts = []
    shown = {**{m: (m,) for m in inputs if m != "pet"}, "without pet": ("mri", "clinical")}
    for pattern, reads in shown.items():
        members = has_pet if pattern == "without pet" else np.ones(len(p), bool)
        risk = known_risk(truth, reads, has_pet) + own
        flag = int(synthesises and pattern == "without pet")
        rows = splits.assign(pattern=pattern, synthesised=flag)
        parts.append(table_of(calibrated(risk, truth), rows)[members])
    write_class_patterns(folder / f"{name}.patterns.tsv", pd.concat(parts))


def bump(rng: np.random.Generator, shape: tuple[int, int, int] = (12, 16, 12)) -> np.ndarray:
    """A coarse map with one region that speaks for conversion and one against."""
    axes = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))

    def at(x: float, y: float, z: float) -> np.ndarray:
        away = axes - np.array([x, y, z])[:, None, None, None]
        return np.asarray(np.exp(-6 * (away**2).sum(axis=0)))

    return 0.06 * at(0.35, -0.1, -0.1) - 0.03 * at(-0.3, 0.4, 0.1) + 0.002 * rng.normal(size=shape)


def prepared(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A volume as preparation leaves it."""
    scaled, _ = by_percentiles(data, mask, (0.5, 99.5))
    return np.where(mask, scaled, np.float32(-1)).astype(np.float32)


def write_volumes(
    out: Path, truth: BrainTruth, shown: dict[str, str], volumes: bool, rng: np.random.Generator
) -> None:
    """The manifest of all volumes; pictures and tensors of the patients of `shown` only."""
    rows = []
    for number, patient in enumerate(truth.patient_id.tolist()):
        wanted = volumes and patient in shown.values()
        drawn = draw_volumes(truth, number, DRAWN, 1.0) if wanted else None
        for modality in ("mri", "pet"):
            if modality == "pet" and not truth.has_pet[number]:
                continue
            if modality == "pet" and patient == shown["quarantined"]:
                reason = "unreadable: /data/clinic/jane_doe/pet.nii.gz ends early"
                rows.append(VolumeStatus(patient, VISIT, modality, QUARANTINED, reason, 0.4))
                continue
            paths = {k: str(v) for k, v in store.paths_of(patient, VISIT, modality).items()}
            aligned = modality == "pet"
            row = VolumeStatus(
                patient, VISIT, modality, OK, "", 9.1, "1.7x1.7x1.7", "SUV" if aligned else "",
                "percentiles", "visit" if aligned else "search", 1350.0 + rng.normal(0, 90),
                1.0, 1.0, None if aligned else float(rng.uniform(0.9, 0.97)),
                0.31 if aligned else None, 0.62 if aligned else None,
                paths["volume"], paths["tensor"], paths["mask"], paths["transform"],
                paths["picture"], paths["alignment"] if aligned else "",
            )  # fmt: skip
            rows.append(row)
            if drawn is not None:
                write_files(out, row, drawn)
    store.write_manifest(out / "images.tsv", rows)


def write_files(out: Path, row: VolumeStatus, drawn: BrainVolumes) -> None:
    """Tensor and pictures of one volume."""
    mask = drawn.mask
    data = prepared(drawn.mri if row.modality == "mri" else drawn.pet, mask)
    spacing = (DRAWN.voxel_mm,) * 3
    store.write_tensor(out / row.tensor, data, mask, drawn.affine, "float16")
    write_planes(out / row.picture, data, mask, spacing)
    if row.alignment:
        mri = prepared(drawn.mri, mask)
        moved = np.where(mask, np.roll(data, (3, -4, 2), (0, 1, 2)), -1)
        pictures = [("MRI", mri), ("before", moved), ("after", data)]
        write_alignment(out / row.alignment, pictures, mask, spacing)


def write_synthesis(
    out: Path, splits: pd.DataFrame, ids: list[str], has_pet: np.ndarray, rng: np.random.Generator
) -> None:
    """synthesis.json of every fold, with synthetic PET better than both controls."""
    levels = {"synthetic": (0.09, 24.0, 0.90, 0.86), "training_mean": (0.14, 20.5, 0.80, 0.71),
              "copied_source": (0.42, 12.0, 0.41, 0.22)}  # fmt: skip
    names = ("masked_mae", "masked_psnr", "masked_ssim", "regional_correlation")
    for fold in range(5):
        tested = [
            p for p, f, h in zip(ids, splits["fold"], has_pet, strict=True) if f == fold and h
        ]
        test = {
            "n": len(tested),
            "measures": {
                candidate: {
                    name: {"mean": round(value * float(rng.uniform(0.96, 1.04)), 6),
                           "sd": round(0.12 * value, 6), "n": len(tested)}
                    for name, value in zip(names, values, strict=True)
                }
                | {"departure_correlation": {
                    "mean": None if candidate == "training_mean" else 0.4, "sd": 0.2,
                    "n": 0 if candidate == "training_mean" else len(tested)}}
                for candidate, values in levels.items()
            },
            "patients": {p: {"masked_mae": 0.09 + 0.001 * n} for n, p in enumerate(tested)},
        }  # fmt: skip
        told = {"source": "mri", "generator": "unet", "test": test}
        write_json(
            out / f"r0f{fold}" / "synthesis.json",
            {"schema": 1, "repeat": 0, "fold": fold, "directions": {"pet": told}},
        )


def write_synthetic(out: Path, truth: BrainTruth, splits: pd.DataFrame, patient: str) -> None:
    """The best synthetic PET of a patient who lacks a real one, in the folder of the fold."""
    number = truth.patient_id.tolist().index(patient)
    drawn = draw_volumes(truth, number, DRAWN)
    folder = out / f"r0f{splits['fold'].iloc[number]}"
    path = Path("volumes") / f"{patient}_pet.safetensors"
    made = prepared(drawn.synthesisable_pet, drawn.mask)
    store.write_tensor(folder / path, made, drawn.mask, drawn.affine, "float16")
    listed = folder / "synthetic.tsv"
    rows = [(patient, "pet", str(path))]
    if listed.is_file():
        rows += pd.read_csv(listed, sep="\t").itertuples(index=False, name=None)
    write_table(pd.DataFrame(rows, columns=["patient_id", "modality", "tensor"]), listed)


def cohort_summary(truth: BrainTruth, has_pet: np.ndarray) -> dict[str, Any]:
    """cohort.json"""
    number = len(truth.patient_id)
    label = truth.label()
    with_pet = int(has_pet.sum())
    return {
        "n_patients": number,
        "modalities": {"slides": 0, "omics": 0, "clinical": number, "mri": number,
                       "pet": int(truth.has_pet.sum())},
        "overlap": [
            {"modalities": ["clinical", "mri", "pet"], "n": with_pet},
            {"modalities": ["clinical", "mri"], "n": number - with_pet},
        ],
        "sites": [
            {"site": name, "n": int((truth.site == k).sum()),
             "events": int(((truth.site == k) & (label == 1)).sum())}
            for k, name in enumerate(SITES)
        ],
        "covariates": [
            {"name": name, "type": "continuous", "quartiles": quartiles, "levels": None,
             "missing": missing}
            for name, quartiles, missing in (
                ("age", [68, 73, 78], 0), ("education", [14, 16, 18], 4), ("mmse", [26, 27, 28], 4)
            )
        ] + [
            {"name": name, "type": kind, "quartiles": None, "missing": 0,
             "levels": [{"level": level, "n": n} for level, n in counts.items()]}
            for name, kind, counts in (
                ("sex", "categorical", {"female": 55, "male": 65}),
                ("apoe4", "ordinal", {"0": 55, "1": 49, "2": 16}),
            )
        ],
        "notes": [],
    }  # fmt: skip


def fits(out: Path, model: str = "itcfn") -> None:
    """fit.json of every fold, with the splits they were fitted on."""
    for fold in range(5):
        write_json(
            out / "models" / model / f"r0f{fold}" / "fit.json",
            {
                "kind": model,
                "model": {"name": model},
                "repeat": 0,
                "fold": fold,
                "splits_sha256": sha256_file(out / "splits" / "splits.tsv"),
                "weights_sha256": f"{fold}abcdef0123456789",
                "software": {"survfuse": "0.1.0", "torch": "2.6.0"},
            },
        )
