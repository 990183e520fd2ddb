"""The label of a package: what a hospital has to know of a predictive model, item by item.

Two lists. The 31 source attributes that the rule of the United States on predictive decision
support asks for (45 CFR 170.315(b)(11)(iv)(B), known as HTI-1), and the 27 items of TRIPOD+AI
(Collins et al., BMJ 2024;385:e078378), both in our words. Filled is what the study shows; all else
is left to the people who answer for the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.config.study import Config
from survfuse.deployment.words import inputs_in_words, performance_in_words
from survfuse.tasks.loading import task_of

FILLED, PARTIAL, OPEN = "filled", "partial", "to be filled by a person"
# Group, then its attributes: key and title.
ATTRIBUTES: dict[str, dict[str, str]] = {
    "Details and output": {
        "developer": "Name and contact of the developer",
        "funding": "Who paid for the development",
        "output": "The value that is put out",
        "output_type": "Prediction, classification, recommendation or other",
    },
    "Purpose": {
        "intended_use": "Intended use",
        "population": "Intended patients",
        "users": "Intended users",
        "role": "Role in decisions",
    },
    "Out-of-scope use": {
        "cautioned": "Tasks, situations and patients it is not for",
        "limitations": "Known risks, unsuitable settings and limitations",
    },
    "Development and inputs": {
        "criteria": "Who was in the training data and who was not",
        "demographic_inputs": "Demographic and social variables among the inputs",
        "representativeness": "How representative the training data are",
        "relevance": "How relevant the training data are to the place of use",
    },
    "Fairness in development": {
        "fairness_approach": "What was done so that the output is fair",
        "bias": "How bias was found, reduced or removed",
    },
    "External validation": {
        "external_data": "Data and setting of the external validation",
        "external_party": "Who did it",
        "external_representativeness": "How representative its data were",
        "external_process": "How it was done",
    },
    "Performance": {
        "validity_internal": "Validity in test data of the same source",
        "fairness_internal": "Fairness in test data of the same source",
        "validity_external": "Validity in external data",
        "fairness_external": "Fairness in external data",
        "outcome_studies": "Studies of its use on outcomes",
    },
    "Maintenance": {
        "validity_monitoring": "How and how often validity is monitored",
        "validity_local": "Validity in local data",
        "fairness_monitoring": "How and how often fairness is monitored",
        "fairness_local": "Fairness in local data",
    },
    "Updates": {
        "update_process": "How and how often it is updated",
        "correction": "How often performance is corrected",
    },
}
ITEMS = (
    "Title",
    "Abstract",
    "Background, and inequalities between groups",
    "Objectives",
    "Sources and dates of the data",
    "Setting, eligibility and treatments",
    "Preparation of the data",
    "Outcome",
    "Predictors",
    "Sample size",
    "Missing data",
    "Methods of analysis",
    "Class imbalance",
    "Fairness",
    "Output of the model",
    "Differences between training and evaluation",
    "Ethical approval",
    "Open science: funding, protocol, data, code",
    "Involvement of patients and public",
    "Participants",
    "Numbers of participants and outcomes in each analysis",
    "Specification of the full model",
    "Performance of the model",
    "Updating of the model",
    "Interpretation",
    "Limitations",
    "Use in current care",
)


def model_label(
    config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]
) -> dict[str, Any]:
    """The source attributes and the reporting items, with how many are filled."""
    attributes = source_attributes(config, record, performance)
    items = reporting_items(config, record, performance)
    return {
        "name": record["name"],
        "source_attributes": attributes,
        "tripod_ai": items,
        "counts": {
            "source_attributes": counted(attributes),
            "tripod_ai": counted(items),
        },
    }


def counted(items: list[dict[str, Any]]) -> dict[str, int]:
    """How many items have each status."""
    return {
        status: sum(one["status"] == status for one in items) for status in (FILLED, PARTIAL, OPEN)
    }


def source_attributes(
    config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The 31 attributes: id, group, title, status, text."""
    told = known_of_study(config, record, performance)
    return [
        {"id": key, "group": group, "title": title, **told.get(key, {"status": OPEN, "text": ""})}
        for group, titles in ATTRIBUTES.items()
        for key, title in titles.items()
    ]


def known_of_study(
    config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """What the study shows, by the key of the attribute."""
    predicted, study = task_of(config).predicted(config), record["study"]
    until = ", ".join(f"{months:g}" for months in config.evaluation.horizons_months)
    filled = {
        "output": f"How many of 100 patients with such an estimate {predicted['happened']} by "
        f"{until} months ({predicted['name']}: {predicted['definition']}), with an interval for "
        "their average.",
        "output_type": "A prediction.",
        "role": "Informs, for research; it is not validated for clinical decisions.",
        "cautioned": "Choosing a treatment; patients unlike those of the study, of whom its pages "
        "flag those that they can tell; any use as the only ground of a decision.",
        "validity_internal": performance_in_words(config, performance),
    }
    partial = {
        "intended_use": "Research on the prognosis or diagnosis of patients like those of the "
        "study.",
        "population": f"Patients like the {study['n_patients']} of the study.",
        "limitations": "Tested by cross-validation within one study only. "
        + ("Its patients are simulated. " if record["simulated"] else "")
        + ("The slide encoder is untrained. " if record["untrained"] else ""),
        "criteria": f"{study['n_patients']} patients with at least one input that a model reads; "
        "why patients came into the study is not known to the program.",
        "demographic_inputs": f"Inputs: {inputs_in_words(config, record)}.",
        "validity_external": "None was done.",
        "validity_local": "None was done.",
    }
    return {key: {"status": FILLED, "text": text} for key, text in filled.items()} | {
        key: {"status": PARTIAL, "text": text.strip()} for key, text in partial.items()
    }


def reporting_items(
    config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The 27 items: item, title, status, text."""
    predicted, study = task_of(config).predicted(config), record["study"]
    splits = config.splits
    filled = {
        8: f"{predicted['name']}: {predicted['definition']}.",
        9: f"{inputs_in_words(config, record)}; declared in config.json.",
        12: f"{record['predicts'][:1].upper()}{record['predicts'][1:]}. Folds: {splits.folds}, "
        f"repeated {performance['rows'][record['row']]['n_repeats']} times; everything that is "
        "fitted sees the training part of a fold alone.",
        15: "A probability with its interval; see schemas/prediction.schema.json.",
        22: "The weights and every scaling are in models/, with their hashes in package.json.",
        23: performance_in_words(config, performance),
        24: "Predictions are recalibrated on the out-of-fold predictions of the study.",
    }
    counted_events = f", {study['n_events']} with the event" if "n_events" in study else ""
    partial = {
        1: record["title"] or "",
        7: "As the settings in config.json say.",
        10: f"{study['n_patients']} patients{counted_events}; no calculation of the size was made.",
        11: "Who lacks a modality is predicted from the others, and the interval widened by what "
        "that did in the study; missing values of a variable count as its median.",
        20: f"{study['n_patients']} patients; by modality: "
        + ", ".join(f"{name} {n}" for name, n in study.get("modalities", {}).items())
        + ".",
        21: f"{study['n_patients']} patients{counted_events} in every repeat of the folds.",
        26: "See the limitations among the source attributes.",
    }
    told = {number: {"status": FILLED, "text": text} for number, text in filled.items()}
    told |= {number: {"status": PARTIAL, "text": text} for number, text in partial.items()}
    return [
        {"item": number, "title": title, **told.get(number, {"status": OPEN, "text": ""})}
        for number, title in enumerate(ITEMS, start=1)
    ]
