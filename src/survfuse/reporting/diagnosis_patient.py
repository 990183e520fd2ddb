"""The patient page of a memory clinic: one out-of-fold diagnosis and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from survfuse import __version__
from survfuse.config import Config
from survfuse.errors import UserInputError
from survfuse.evaluation.class_predictions import WITHOUT
from survfuse.evaluation.proportions import proportion
from survfuse.evaluation.saliency import Saliency
from survfuse.evaluation.synthesis_measures import error_of_patient
from survfuse.reporting import findings, provenance, volumes
from survfuse.reporting.diagnosis_inputs import (
    ClassPrediction,
    DiagnosisData,
    alike,
    class_prediction,
    read_classes,
    saliency_of,
)
from survfuse.reporting.diagnosis_page import class_rows, shared_context
from survfuse.reporting.input_chips import clinical_chip
from survfuse.reporting.inputs import RunData
from survfuse.reporting.patient_page import covariate_rows
from survfuse.reporting.shown_volumes import (
    SYNTHETIC,
    ShownVolume,
    source_of,
    volume_chip,
    volume_of,
)


@dataclass(frozen=True)
class ClassModel:
    """The model that patient pages show, read once for all of them."""

    name: str
    label: str
    row: findings.Row
    table: pd.DataFrame


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
    name = findings.page_model(config, data.evaluation)
    row = findings.row_of(data.evaluation, name)
    if row is None:
        raise UserInputError(f"report.model {name!r} was not evaluated; evaluate it first")
    return ClassModel(name, row["label"], row, read_classes(data, name))


def diagnosis_patient_context(
    config: Config, data: DiagnosisData, model: ClassModel, patient_id: str
) -> dict[str, Any]:
    """Everything the template prints. Raises UserInputError without a prediction."""
    evaluation = data.evaluation
    prediction = class_prediction(model.table, patient_id)
    repeat, fold = prediction.folds[0]
    place = f"r{repeat}f{fold}"
    reads = list(model.row["modalities"])
    shown = [
        volume_of(config, data, patient_id, name, prediction.synthesised and name in reads, place)
        for name in ("mri", "pet")
        if name in reads or data.volumes
    ]
    made = [one for one in shown if one.state == SYNTHETIC]
    chips = [volume_chip(one, one.modality in reads) for one in shown]
    chips.append(clinical_chip(data, patient_id, "clinical" in reads))
    saliency = saliency_of(data, model.name, patient_id)
    pictures = [picture_of(config, one, saliency) for one in shown if one.modality in reads]
    two = len(evaluation["classes"]) == 2
    return {
        **shared_context(config, data),
        "patient_id": patient_id,
        "model": model.name,
        "label": model.label,
        "row": model.row,
        "comparison": findings.comparisons(evaluation, "auroc").get(model.name),
        "folds": prediction.folds,
        "members": config.training.members,
        "chips": chips,
        "made": [findings.MODALITIES[one.modality] for one in made],
        "made_from": [source_of(one.modality) for one in made],
        "lacking": [
            findings.MODALITIES[one.modality]
            for one in shown
            if one.modality in reads and one.state in ("missing", "quarantined")
        ],
        "prediction": prediction,
        "chances": class_chances(data, prediction, config.report.min_cell),
        "headline": prediction.probability[1] if two else None,
        "spread": prediction.ranges.get(1) if two else None,
        "filled": round(100 * prediction.probability[1]) if two else 0,
        "called": called(prediction) if two else None,
        "alike": similar(config, data, model, patient_id) if two else None,
        "pictures": pictures,
        "saliency_method": saliency.method
        if saliency and any(p.saliency for p in pictures)
        else None,
        "expected": [expected_error(data, one.modality) for one in made],
        "own_error": own_errors(data, shown, place, patient_id),
        "withheld": model.row["patterns"].get(WITHOUT + "pet"),
        "of_synthesised": (model.row.get("by_pet") or {}).get("synthesised") if made else None,
        "covariates": covariate_rows(data, patient_id, config.report.min_cell),
        "clinical_used": "clinical" in reads,
        "version": __version__,
        "configuration_hash": provenance.configuration_hash(config),
        "weights": provenance.weights_hashes(data, model.name, prediction.folds),
    }


def picture_of(config: Config, shown: ShownVolume, saliency: Saliency | None) -> VolumePicture:
    """The key slices of what the model saw."""
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
    if why or shown.prepared is None:
        return VolumePicture(name, shown.state, None, why, None)
    values = saliency.maps.get(shown.modality) if saliency and not synthetic else None
    return VolumePicture(
        name,
        shown.state,
        volumes.three_planes(shown.prepared, synthetic),
        "",
        None if values is None else volumes.three_planes(shown.prepared, saliency=values),
    )


def class_chances(
    data: DiagnosisData, prediction: ClassPrediction, least: int
) -> list[dict[str, Any]]:
    """Every class with its probability, range, and share among the patients of known class.

    The share is None where nobody is of known class or the number of patients is withheld.
    """
    counts = data.evaluation["counts"]
    rows = class_rows(data.evaluation, least)
    return [
        {
            "number": number,
            "name": name,
            "probability": prediction.probability[number],
            "spread": prediction.ranges.get(number),
            "share": None
            if rows[number]["n"] is None or not counts["known"]
            else counts["classes"][number] / counts["known"],
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
    found = alike(data, model.table, patient_id, 1)
    if found is None:
        return None
    label, probability = found
    n, cases = len(label), int((label == 1).sum())
    share = proportion(label == 1, data.evaluation["confidence"], None)
    hidden = min(cases, n - cases) < config.report.min_cell
    return {
        "n": n,
        "cases": cases,
        "few": hidden and cases < n - cases,
        "most": hidden and cases >= n - cases,
        "low": share.low,
        "high": share.high,
        "from": float(probability.min()),
        "to": float(probability.max()),
    }


def expected_error(data: RunData, modality: str) -> dict[str, Any] | None:
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
