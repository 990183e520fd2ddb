"""The patient page of a memory clinic: one out-of-fold diagnosis and what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.layout import fold_name
from survfuse.artifacts.saliency import Saliency
from survfuse.config.imaging import LEFT_OF_PICTURES
from survfuse.config.study import Config
from survfuse.evaluation.synthesis_measures import error_of_patient
from survfuse.modalities.registry import COSTLY, PATIENT_TABLE, VOLUMES
from survfuse.modalities.volumes.store import Prepared
from survfuse.reporting import findings, wording
from survfuse.reporting.diagnosis.class_counts import class_rows
from survfuse.reporting.diagnosis.cohort_page import share_of_case, words_on_classes
from survfuse.reporting.diagnosis.inputs import (
    ClassPrediction,
    DiagnosisData,
    class_prediction,
    nearest_patients,
    read_classes,
    saliency_of,
)
from survfuse.reporting.inputs import RunData, risks_of
from survfuse.reporting.parts import Attempt, Part, attempt
from survfuse.reporting.patient_shell import ShownModel, patient_shell, shown_model
from survfuse.reporting.pictures import volumes
from survfuse.reporting.sections.horizon_risk import HorizonRow, why_none, widened
from survfuse.reporting.sections.input_chips import PatientInputs, patient_chips
from survfuse.reporting.sections.shown_volumes import (
    SYNTHETIC,
    ShownVolume,
    source_of,
    tensor_at,
    volume_of,
    volumes_of,
)
from survfuse.reporting.sections.unread import fits_of, unread_modalities, why_average, with_unread
from survfuse.statistics.proportions import proportion
from survfuse.tasks.diagnosis.asked import happened
from survfuse.tasks.diagnosis.evaluation import LEAST_OF_A_CLASS
from survfuse.tasks.diagnosis.metrics import ranking_of
from survfuse.tasks.diagnosis.predictions import WITHOUT


@dataclass(frozen=True)
class ClassModel(ShownModel):
    """The model that patient pages show, read once for all of them."""

    table: pd.DataFrame  # its predictions


@dataclass(frozen=True)
class VolumePicture:
    """A volume on the page; None where there is no picture."""

    name: str
    state: str
    uri: str | None
    why_none: str
    saliency: str | None  # the same planes with the map laid over


def read_class_model(config: Config, data: RunData) -> ClassModel:
    """Read the model of the patient pages. Raises UserInputError where it was not evaluated."""
    shown = shown_model(config, data)
    return ClassModel(**vars(shown), table=read_classes(data, shown.name))


def diagnosis_patient_context(
    config: Config, data: DiagnosisData, model: ClassModel, patient_id: str
) -> dict[str, Any]:
    """Everything the template prints. Raises UserInputError without a prediction."""
    evaluation = data.evaluation
    prediction = class_prediction(model.table, patient_id)
    repeat, fold = prediction.folds[0]
    place = fold_name(repeat, fold)
    reads = list(model.row["modalities"])
    remarks: list[str] = []  # what is not on the page, and why

    def part(what: str, make: Callable[[], Part], otherwise: Part) -> Part:
        return attempt(f"patient {patient_id}", what, make, otherwise, remarks)

    def voxels(path: Path) -> Prepared | None:
        return part("picture of a volume", lambda: tensor_at(path), None)

    shown = [
        volume_of(
            config, data, patient_id, name, prediction.synthesised and name in reads, place, voxels
        )
        for name in VOLUMES
        if name in reads or volumes_of(data)
    ]
    made = [one for one in shown if one.state == SYNTHETIC]
    fits = fits_of(data, model.row, prediction.folds)
    unread = unread_modalities(model.row, fits)
    seen = {one.modality: one for one in shown}
    own = patient_chips(PatientInputs(data, patient_id, reads, seen, [PATIENT_TABLE]))
    own = {name: own[name] for name in (*seen, *own)}  # a name keeps its first place
    at_horizon = recalibrated(config, data, model, patient_id)
    risk = at_horizon.risk if at_horizon else None
    chips = [with_unread(chip, name in unread) for name, chip in own.items()]
    saliency = part("map", lambda: saliency_of(data, model.name, patient_id), None)
    pictures = [picture_of(config, one, saliency, part) for one in shown if one.modality in reads]
    ranking, two = ranking_of(len(evaluation["classes"])), len(evaluation["classes"]) == 2
    leading = evaluation["classes"][1 if two else int(np.argmax(prediction.probability))]
    return {
        **patient_shell(config, data, model, patient_id, prediction.folds, ranking),
        **words_on_classes(config, data),
        "chips": chips,
        "unread": [wording.within_sentence(chip.name) for chip in chips if not chip.read],
        "why_average": why_average(fits),
        "made": [findings.MODALITIES[one.modality] for one in made],
        "made_from": [source_of(one.modality) for one in made],
        "lacking": [
            findings.MODALITIES[one.modality]
            for one in shown
            if one.modality in reads and one.state in ("missing", "quarantined")
        ],
        "left": [
            wording.within_sentence(chip.name)
            for chip in chips
            if chip.used and chip.read and chip.state in ("present", SYNTHETIC)
        ],
        "prediction": prediction,
        "happened": happened(config.cohort),
        "at_horizon": at_horizon,
        "few": evaluation["counts"]["classes"][1] < LEAST_OF_A_CLASS,
        "least_of_a_class": LEAST_OF_A_CLASS,
        "widened": widened(risk) if risk else "",
        "why_none": why_none(evaluation, model.name) if at_horizon and not risk else "",
        "chances": class_chances(data, prediction, config.report.min_cell),
        "headline": prediction.probability[1] if two and at_horizon is None else None,
        "disagreement": prediction.ranges.get(1) if two else None,
        "filled": round(100 * (risk.risk if risk else prediction.probability[1])) if two else 0,
        "called": called(prediction) if two else None,
        "similar": similar(config, data, model, patient_id) if two and not at_horizon else None,
        "pictures": pictures,
        "remarks": remarks,
        "left_side": LEFT_OF_PICTURES[config.imaging.display],
        "saliency_method": saliency.method
        if saliency and any(p.saliency for p in pictures)
        else None,
        "mapped_class": evaluation["classes"][saliency.number] if saliency else None,
        "leading": leading,
        "expected": [expected_error(data, one.modality) for one in made],
        "own_error": own_errors(data, shown, place, patient_id),
        "withheld": model.row["ablations"].get(WITHOUT + COSTLY),
        "of_synthesised": (model.row.get("by_pet") or {}).get("synthesised") if made else None,
        "drawings": [],
    }


def recalibrated(
    config: Config, data: DiagnosisData, model: ClassModel, patient_id: str
) -> HorizonRow | None:
    """The risk by the horizon beside those of the reference and the cohort; None without one."""
    evaluation = data.evaluation
    months, reference = evaluation["horizon_months"], evaluation["reference"]
    if months is None:
        return None
    share = share_of_case(evaluation, config.report.min_cell)
    return HorizonRow(
        months,
        risks_of(data.risks, model.name, patient_id).get(months),
        None
        if model.name == reference
        else risks_of(data.risks, reference, patient_id).get(months),
        None if share is None else share["value"],
    )


def picture_of(
    config: Config, shown: ShownVolume, saliency: Saliency | None, part: Attempt
) -> VolumePicture:
    """The key slices of what the model saw; what fails of them is left out, with the reason."""
    name = findings.MODALITIES[shown.modality]
    synthetic, why = shown.state == SYNTHETIC, ""
    cut_out = (
        shown.source if synthetic else shown.status
    )  # the one whose mask is that of the picture
    if shown.state in ("missing", "quarantined"):
        why = "There is no usable volume."
    elif shown.prepared is None:
        why = "The prepared volume is not at hand."
    elif cut_out is None or not volumes.may_be_shown(config, cut_out):
        made = "the one it was made from" if synthetic else "this volume"
        why = f"Not shown: the brain was not cut out of {made}, so that it may show a face."
    prepared = shown.prepared
    if why or prepared is None:
        return VolumePicture(name, shown.state, None, why, None)
    display = config.imaging.display
    planes = part(
        f"picture of {name}",
        lambda: volumes.three_planes(prepared, synthetic, display=display),
        None,
    )
    if planes is None:
        return VolumePicture(name, shown.state, None, "The picture could not be drawn.", None)
    values = saliency.maps.get(shown.modality) if saliency and not synthetic else None
    mapped = None
    if values is not None:
        mapped = part(
            f"map of {name}",
            lambda: volumes.three_planes(prepared, saliency=values, display=display),
            None,
        )
    return VolumePicture(name, shown.state, planes, "", mapped)


def class_chances(
    data: DiagnosisData, prediction: ClassPrediction, least: int
) -> list[dict[str, Any]]:
    """Every class with its probability, range, and share in the whole cohort.

    The share is None where it is not known or the number of patients is withheld.
    """
    rows = class_rows(data.evaluation, least)
    return [
        {
            "number": number,
            "name": name,
            "probability": prediction.probability[number],
            "spread": prediction.ranges.get(number),
            "share": None
            if rows[number]["n"] is None
            else data.evaluation["shares"][number]["value"],
        }
        for number, name in enumerate(data.evaluation["classes"])
    ]


def called(prediction: ClassPrediction) -> bool | None:
    """Whether the probability reaches the threshold of the fold; None without or over repeats."""
    if prediction.threshold is None or len(prediction.folds) > 1:
        return None
    return prediction.probability[1] >= prediction.threshold


def similar(
    config: Config, data: DiagnosisData, model: ClassModel, patient_id: str
) -> dict[str, Any] | None:
    """How many of the patients with the nearest estimates were of the second class."""
    found = nearest_patients(data, model.table, patient_id, 1)
    if found is None:
        return None
    label, probability, weight = found
    n, cases = len(label), int((label == 1).sum())
    share = proportion(label == 1, data.evaluation["confidence"], None, weight)
    hidden = min(cases, n - cases) < config.report.min_cell
    return {
        "n": n,
        "cases": cases,
        "few": hidden and cases < n - cases,
        "most": hidden and cases >= n - cases,
        "share": share.value,
        "low": share.low,
        "high": share.high,
        "from": float(probability.min()),
        "to": float(probability.max()),
    }


def expected_error(data: DiagnosisData, modality: str) -> dict[str, Any] | None:
    """What is known of the error of synthetic volumes of a modality; None if never measured."""
    for entry in data.evaluation["synthesis"]:
        if entry["target"] == modality and "masked_mae" in entry["measures"]:
            return {
                "name": findings.MODALITIES[modality],
                "key": f"evaluation/synthesis/{modality}",
                "n": entry["n"],
                "error": entry["measures"]["masked_mae"]["synthetic"],
                "mean": entry["measures"]["masked_mae"]["training_mean"],
                "peculiar": entry["measures"].get("departure_correlation", {}).get("synthetic"),
            }
    return None


def own_errors(
    data: RunData, shown: list[ShownVolume], place: str, patient_id: str
) -> list[tuple[str, float]]:
    """Of the real volumes: how far what synthesis would have made of them lies from them."""
    if data.inputs.synthesis is None:
        return []
    found = []
    for one in shown:
        if one.state != "present":
            continue
        error = error_of_patient(data.inputs.synthesis, place, one.modality, patient_id)
        if error is not None:
            found.append((findings.MODALITIES[one.modality], error))
    return found
