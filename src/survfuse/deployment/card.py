"""The model card of a package, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from survfuse.config.study import Config
from survfuse.deployment.words import estimate_in_words, inputs_in_words
from survfuse.tasks.loading import task_of

LIMITS = (
    "It was tested by cross-validation within one study, and on no other patients. What it is "
    "worth in another hospital, at another time or behind another scanner is not known. It says "
    "nothing of what a treatment does and must not be used to choose one; nor for patients unlike "
    "those of the study; nor as the only ground of any decision.\n\n"
    "**Research use only. It is no medical device and is not validated for clinical decisions.**"
)
PRIVACY = (
    "No row of it belongs to a patient. It holds fitted weights, means and deviations of inputs, "
    "the values between which 98 of 100 patients lie, the levels of covariates that occurred, the "
    "times of events in baseline hazards, and figures over all patients. Weights can nevertheless "
    "tell something of those whom they were fitted on: treat a package as you treat the results "
    "of the study."
)
LICENCE = (
    "To be filled by those who answer for the study: who may use the weights, for what, and whom "
    "to ask. survfuse itself is under the licence of its source."
)
USAGE = (
    "    survfuse predict --package FOLDER --patients patients.tsv --out results\n\n"
    "`model_label.json` lists, item by item, what is known and what a person has to add; "
    "`schemas/` describes the patient sheet and the records of predictions."
)


def model_card(config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    return "\n\n".join(parts(config, record, performance)) + "\n"


def parts(
    config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]
) -> Iterator[str]:
    """The card, part by part."""
    predicted, study = task_of(config).predicted(config), record["study"]
    label = performance["rows"][record["row"]]["label"]
    yield f"# {record['title'] or record['name']}"
    if record["simulated"]:
        yield "**The patients of this study were simulated: use it for nothing but learning.**"
    if record["untrained"]:
        yield "**The slide encoder has random weights; slides say nothing here.**"
    yield (
        f"Predicts {predicted['name']} ({predicted['definition']}) from "
        f"{inputs_in_words(config, record)}, by the row {label}."
    )
    events = f", of whom {study['n_events']} had the event" if "n_events" in study else ""
    follow_up = study.get("median_follow_up_months")
    followed = f"; median follow-up {follow_up:g} months" if follow_up is not None else ""
    yield f"## For whom\n\nFitted on {study['n_patients']} patients{events}{followed}."
    yield f"What predicts: {record['predicts']}."
    yield f"## What it is worth\n\n{table(config, performance)}"
    yield f"## What it is not for\n\n{LIMITS}"
    yield f"## What is inside\n\n{PRIVACY}"
    yield f"## Licence and intended use\n\n{LICENCE}"
    yield f"## How to use it\n\n{USAGE}"
    versions = ", ".join(f"{name} {version}" for name, version in record["software"].items())
    yield f"Made with {versions}."


def table(config: Config, performance: Mapping[str, Any]) -> str:
    """The metrics of the row and of the reference as a table."""
    rows = performance["rows"]
    names = {name: one["label"] for row in rows.values() for name, one in row["metrics"].items()}
    level = f"{100 * config.evaluation.confidence:g} %"
    lines = [
        f"Out-of-fold, in {performance['n_patients']} patients, with the {level} interval.",
        "",
        f"| | {' | '.join(row['label'] for row in rows.values())} |",
        f"|---|{'---|' * len(rows)}",
    ]
    for name, label in names.items():
        cells = [in_words(row["metrics"].get(name, {}).get("found")) for row in rows.values()]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    for one in performance["comparisons"]:
        told = f"Difference to {performance['reference']} in {performance['ranking']['label']}"
        lines += ["", f"{told}: {estimate_in_words(one)}. {verdict(one)}"]
    return "\n".join(lines)


def in_words(found: Any) -> str:
    """A metric, or its values by horizon or class."""
    if isinstance(found, Mapping) and "value" not in found:
        return "; ".join(f"{key}: {estimate_in_words(one)}" for key, one in found.items())
    if isinstance(found, Mapping):
        return estimate_in_words(found)
    return "–" if found is None else f"{found:.2f}" if isinstance(found, float) else str(found)


def verdict(difference: Mapping[str, Any]) -> str:
    """What the interval of a difference allows to say."""
    low, high = difference.get("low"), difference.get("high")
    if low is None or high is None:
        return "No interval could be estimated, so that nothing is shown."
    if difference.get("few"):
        return "There are too few events to conclude anything."
    if low > 0:
        return "The interval lies above zero."
    return "The interval lies below zero." if high < 0 else "The interval holds zero."
