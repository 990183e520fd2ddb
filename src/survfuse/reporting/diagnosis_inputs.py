"""What the pages of a diagnosis read besides what all pages share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.config import Config
from survfuse.config_diagnosis import DiagnosisConfig
from survfuse.config_imaging import IMAGES
from survfuse.errors import UserInputError
from survfuse.evaluation.class_predictions import class_columns, read_class_predictions
from survfuse.evaluation.labelled import LabelledStudy, read_labelled
from survfuse.evaluation.saliency import Saliency, read_saliency
from survfuse.imaging.store import Prepared, VolumeStatus, read_tensor
from survfuse.imaging.synthetic import NAME, synthetic_paths
from survfuse.manifest import OK, QUARANTINED
from survfuse.reporting.inputs import ReportInputs, RunData, read_run

LEAST_ALIKE, ALIKE = 10, 20  # patients with the nearest estimates


@dataclass(frozen=True)
class DiagnosisData(RunData):
    """What the pages of a diagnosis share."""

    study: LabelledStudy


@dataclass(frozen=True)
class ClassPrediction:
    """Out-of-fold probabilities of one patient, the mean over repeats."""

    folds: tuple[tuple[int, int], ...]  # (repeat, fold), one per repeat
    probability: tuple[float, ...]  # of each class
    ranges: dict[int, tuple[float, float]]  # class -> lowest and highest over the members
    synthesised: bool
    threshold: float | None  # of the patient's fold in the first repeat


@dataclass(frozen=True)
class ShownVolume:
    """What a model saw of a modality in one patient."""

    modality: str
    state: str  # present, synthetic, missing or quarantined
    status: VolumeStatus | None  # the volume of the sheet, usable or not
    prepared: Prepared | None  # what was shown, if its file is there


def asked_of(config: Config) -> DiagnosisConfig:
    """The diagnosis section. Raises UserInputError where the run estimates survival."""
    if config.cohort.diagnosis is None:
        raise UserInputError("cohort.diagnosis is not set in the configuration")
    return config.cohort.diagnosis


def read_diagnosis_data(config: Config, inputs: ReportInputs) -> DiagnosisData:
    """Read what all pages share. Raises UserInputError as `inputs.read_report_data` does."""
    study = read_labelled(inputs.outcomes, inputs.splits, asked_of(config).classes)
    run = read_run(inputs, study)
    if run.evaluation.get("task") != "diagnosis":
        raise UserInputError(
            f"{inputs.evaluation_json}: is no evaluation of a diagnosis; evaluate again"
        )
    return DiagnosisData(**vars(run))


def read_classes(data: RunData, model: str) -> pd.DataFrame:
    """The checked predictions of a model, one row per patient and repeat."""
    return read_class_predictions(data.inputs.predictions / f"{model}.tsv")


def class_prediction(table: pd.DataFrame, patient_id: str) -> ClassPrediction:
    """One patient's prediction. Raises UserInputError if the table has none."""
    rows = table[table["patient_id"] == patient_id].sort_values("repeat")
    if rows.empty:
        raise UserInputError(f"patient {patient_id}: the model has no prediction; predict again")
    columns = class_columns(table)
    ranges = {
        number: (float(rows[f"p_low_{number}"].min()), float(rows[f"p_high_{number}"].max()))
        for number in range(len(columns))
        if f"p_low_{number}" in rows and rows[f"p_low_{number}"].notna().all()
        and rows[f"p_high_{number}"].notna().all()
    }  # fmt: skip
    threshold = float(rows["threshold"].iloc[0])
    return ClassPrediction(
        tuple(zip(rows["repeat"].tolist(), rows["fold"].tolist(), strict=True)),
        tuple(float(value) for value in rows[columns].mean()),
        ranges,
        bool(rows["synthesised"].iloc[0]),
        threshold if np.isfinite(threshold) else None,
    )


def alike(
    data: DiagnosisData, table: pd.DataFrame, patient_id: str, number: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels (k,) and probabilities (k,) of the patients nearest in the probability of a class.

    Out of fold, of the first repeat, with a known label, the patient left out; at most ALIKE, None
    where fewer than LEAST_ALIKE are there.
    """
    first = table[table["repeat"] == 0].set_index("patient_id")[f"p_{number}"]
    own = float(first[patient_id])
    others = first.reindex(data.study.patient_ids).to_numpy()
    usable = np.flatnonzero(
        (data.study.label >= 0) & (np.array(data.study.patient_ids) != patient_id)
    )
    if len(usable) < LEAST_ALIKE:
        return None
    nearest = usable[np.argsort(np.abs(others[usable] - own), kind="stable")[:ALIKE]]
    return data.study.label[nearest], others[nearest]


def volume_of(
    config: Config, data: RunData, patient_id: str, modality: str, synthesised: bool, fold: str
) -> ShownVolume:
    """What the model saw of `modality` (mri or pet) in a patient tested in `fold` (r0f3)."""
    own = [v for v in data.volumes if v.patient_id == patient_id]
    visit = config.imaging.visit or min((v.visit for v in own), default="")
    at_visit = [v for v in own if v.visit == visit and v.modality in IMAGES[modality]]
    ranked = sorted(at_visit, key=lambda volume: IMAGES[modality].index(volume.modality))
    usable = [volume for volume in ranked if volume.status == OK]
    manifest = data.inputs.images_manifest
    if usable and manifest is not None:
        path = manifest.parent / usable[0].tensor
        return ShownVolume(modality, "present", usable[0], tensor_at(path))
    aside = next((volume for volume in ranked if volume.status == QUARANTINED), None)
    if synthesised and (path_made := synthetic_path(data, patient_id, modality, fold)) is not None:
        return ShownVolume(modality, "synthetic", aside, tensor_at(path_made))
    if synthesised and own and other_is_there(data, patient_id, modality, visit):
        return ShownVolume(modality, "synthetic", aside, None)
    return ShownVolume(modality, "quarantined" if aside else "missing", aside, None)


def other_is_there(data: RunData, patient_id: str, modality: str, visit: str) -> bool:
    """Whether the patient has a usable volume of the other kind, which this one is made from."""
    others = {name for kind, names in IMAGES.items() if kind != modality for name in names}
    return any(
        v.patient_id == patient_id and v.visit == visit and v.modality in others and v.status == OK
        for v in data.volumes
    )


def tensor_at(path: Path) -> Prepared | None:
    """A prepared volume, None where its file is gone."""
    return read_tensor(path) if path.is_file() else None


def synthetic_path(data: RunData, patient_id: str, modality: str, fold: str) -> Path | None:
    """The tensor that stood in for a volume, if the fold lists one."""
    if data.inputs.synthesis is None or not (data.inputs.synthesis / fold / NAME).is_file():
        return None
    return synthetic_paths(data.inputs.synthesis / fold)[modality].get(patient_id)


def saliency_of(data: RunData, model: str, patient_id: str) -> Saliency | None:
    """The saliency maps of a patient, None where the model has none."""
    path = data.inputs.predictions / f"{model}.saliency.h5"
    return read_saliency(path, patient_id) if path.is_file() else None
