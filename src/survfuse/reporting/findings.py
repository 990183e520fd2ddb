"""The findings of the evaluation as the pages print them: verdict, forest axis, reasons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.artifacts.evaluation import Evaluation
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.evaluation.roles import CLINICAL, COMBINING
from survfuse.modalities.registry import MODALITIES as REGISTRY

Row = Mapping[str, Any]

# What each modality is called in sentences.
MODALITIES = {name: entry.noun for name, entry in REGISTRY.items()}


@dataclass(frozen=True)
class Verdict:
    """How the models that combine modalities compare with the reference, by rows."""

    better: list[Row]
    worse: list[Row]
    unclear: list[Row]  # the interval of the difference includes zero
    unknown: list[Row]  # no comparison could be made


def verdict(
    evaluation: Evaluation,
    metric: str,
    roles: Sequence[str] = COMBINING,
) -> Verdict:
    """Sort the models of these roles by the interval of their difference from the reference."""
    found = Verdict([], [], [], [])
    differences = comparisons(evaluation, metric)
    for row in evaluation["rows"]:
        if row["role"] not in roles or row["model"] == evaluation["reference"]:
            continue
        difference = differences.get(row["model"])
        limits = (difference or {}).get("low"), (difference or {}).get("high")
        if difference is None or None in limits or difference.get("few"):
            found.unknown.append(row)
        elif difference["low"] > 0:
            found.better.append(row)
        elif difference["high"] < 0:
            found.worse.append(row)
        else:
            found.unclear.append(row)
    return found


def comparisons(evaluation: Evaluation, metric: str) -> dict[str, Mapping[str, Any]]:
    """Difference in a metric from the reference, by model."""
    return {
        entry["model"]: entry
        for entry in evaluation["comparisons"]
        if entry["metric"] == metric and entry["reference"] == evaluation["reference"]
    }


def standing(
    evaluation: Evaluation,
    row: Row,
    metric: str,
    roles: Sequence[str] = COMBINING,
) -> str | None:
    """A sentence on how a model ranks patients beside the reference; None for the reference."""
    if row["model"] == evaluation["reference"]:
        return None
    reference = row_of(evaluation, evaluation["reference"])
    other = reference["label"] if reference else evaluation["reference"]
    label = row["label"]
    found = comparisons(evaluation, metric).get(row["model"], {})
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return f"Whether {label} ranks patients better than {other} could not be estimated."
    if found.get("few"):
        return f"There are too few events to decide whether {label} ranks better than {other}."
    if low > 0:
        return f"In cross-validation {label} ranks patients better than {other}."
    if high < 0:
        return f"In cross-validation {label} ranks patients worse than {other}."
    if row["role"] in COMBINING and not verdict(evaluation, metric, roles).better:
        return (
            "No model that combines modalities is shown to rank patients better than "
            f"{other}; neither is this one."
        )
    return f"{label} is not shown to rank patients better than {other}."


def row_of(evaluation: Evaluation, model: str) -> Row | None:
    """The leaderboard row of a model."""
    return next((row for row in evaluation["rows"] if row["model"] == model), None)


def headings(noun: str) -> list[tuple[str, Sequence[str]]]:
    """The parts of the leaderboard, in its order: heading and roles. `noun`: of what ranks it."""
    return [
        ("For reference", ("site", CLINICAL)),
        (f"Models, highest {noun} first", ("unimodal", *COMBINING)),
        ("For checking, not for use", ("control", "oracle")),
    ]


def parts(
    rows: Sequence[Row], headings: Sequence[tuple[str, Sequence[str]]]
) -> list[tuple[str, list[Row]]]:
    """The rows under their headings, each in the order of the leaderboard."""
    divided = [
        (heading, [row for row in rows if row["role"] in roles]) for heading, roles in headings
    ]
    return [(heading, found) for heading, found in divided if found]


def alone(rows: Sequence[Row]) -> tuple[list[Row], dict[str, int | None]]:
    """The models with modality ablations, and the kinds of input with their numbers of patients.

    The number of patients is None where it differs between models. Controls are left out.
    """
    shown = [row for row in rows if row.get("ablations") and row["role"] != "control"]
    counts: dict[str, int | None] = {}
    for name in MODALITIES:
        if found := {row["ablations"][name]["n"] for row in shown if name in row["ablations"]}:
            counts[name] = found.pop() if len(found) == 1 else None
    return shown, counts


@dataclass(frozen=True)
class Associated:
    """What having a modality goes with, in words: with an AUROC above 0.5, below it, or neither."""

    above: str
    below: str
    unclear: str


def associations(
    evaluation: Evaluation, words: Associated
) -> list[tuple[Mapping[str, Any], str, str]]:
    """What having each modality says of the outcome: entry, modality, and finding.

    Modalities that all patients or none have are left out.
    """
    found = []
    for entry in evaluation["availability"]:
        limits = limits_of(entry)
        if limits is None:
            continue
        low, high = limits
        finding = words.above if low > 0.5 else words.below if high < 0.5 else words.unclear
        found.append((entry, MODALITIES.get(entry["modality"], entry["modality"]), finding))
    return found


def limits_of(entry: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of the AUROC of having a modality; None where there is no AUROC.

    An AUROC without limits is its own: having the modality separates the patients completely.
    """
    value = entry["auroc"]
    if value is None:
        return None
    low, high = (value if entry[key] is None else entry[key] for key in ("low", "high"))
    return low, high


def metric(row: Row | None, name: str, horizon: float | None = None) -> Any:
    """One metric of a row, None where evaluation.json has none."""
    value = (row or {}).get(name)
    if horizon is not None and value is not None:
        value = value.get(f"{horizon:g}")
    return value


def suspicious(evaluation: Evaluation, role: str, metric_name: str) -> list[Row]:
    """Rows of a role that rank patients better than chance (the interval lies above 0.5).

    For the control, trained on permuted outcomes, this means a leak; for the site alone, that a
    part of every model's C may only be the site.
    """
    rows = [row for row in evaluation["rows"] if row["role"] == role]
    return [row for row in rows if above_chance(metric(row, metric_name) or {})]


def above_chance(found: Mapping[str, Any]) -> bool:
    """Whether a C-index or AUROC is shown to be above 0.5; a perfect one has no interval."""
    low = found.get("low")
    return found.get("value") == 1 if low is None else low > 0.5


def page_model(config: Config, evaluation: Evaluation) -> str:
    """The model of the patient pages: the configured one, else the first fusion model.

    Where that could be fitted in no fold, so that the evaluation left it out, the best row that
    combines modalities takes its place, or else the best row there is (see `page_model_note`).
    Raises UserInputError if there is none.
    """
    roles = {row["model"]: row["role"] for row in evaluation["rows"]}
    gone = {one["model"] for one in evaluation["left_out"]}
    asked = config.report.model
    if asked is not None and asked not in gone:
        return asked
    if asked is None:
        for role in COMBINING:
            for model in config.models:
                if roles.get(model.name) == role:
                    return model.name
    usable = [name for name, role in roles.items() if role not in ("site", "control", "oracle")]
    combining = [name for name in usable if roles[name] in COMBINING]
    if gone and usable:
        best = [name for name in usable if roles[name] != CLINICAL] or usable
        return (combining or best)[0]
    raise UserInputError(
        "no fusion model was evaluated, so patient pages have no model; set report.model"
    )


def page_model_note(config: Config, evaluation: Evaluation) -> str | None:
    """Why patient pages show another row than the configuration asks for; None where they do not.

    `page_model` must have found one.
    """
    shown = row_of(evaluation, page_model(config, evaluation))
    gone = {one["model"] for one in evaluation["left_out"]}
    asked = config.report.model
    if shown is None or (asked is None and (shown["role"] in COMBINING or not gone)):
        return None
    if asked is None:
        return f"They show {shown['label']}, because no row that combines modalities is left."
    if shown["model"] == asked:
        return None
    return f"They show {shown['label']}, because {asked} could be fitted in no fold."


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of the forest plot."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """Place of a value as a CSS percentage."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return f"{3 + 94 * share:.2f}%"

    @property
    def ticks(self) -> list[float]:
        first, last = round(10 * self.low), round(10 * self.high)
        step = 1 if last - first <= 7 else 2
        return [tick / 10 for tick in range(first, last + 1, step)]


def forest_axis(rows: Iterable[Row], name: str) -> Axis:
    """An axis that holds all intervals and folds, 0.4 to 0.8 at least, in whole tenths."""
    values: list[float | None] = [0.4, 0.8]
    for row in rows:
        found = metric(row, name) or {}
        values += [found.get(key) for key in ("value", "low", "high")] + found.get("per_fold", [])
    return axis_over(values)


def axis_over(values: Iterable[float | None]) -> Axis:
    """The shortest axis in whole tenths that holds all values that are known."""
    known = [value for value in values if value is not None]
    return Axis(math.floor(10 * min(known)) / 10, math.ceil(10 * max(known)) / 10)


def reasons(
    rows: Sequence[Row], names: Mapping[str, str], place: str = " at {} months"
) -> list[tuple[str, list[str]]]:
    """Why metrics or their intervals are absent: each reason with the places it applies to.

    `names` maps the metrics of a table (keys of evaluation.json) to their names on the page;
    `place` says where a metric with several values has one, by horizon or modality.
    """
    found: dict[str, list[str]] = {}
    for row in rows:
        for key, name in names.items():
            value = row.get(key) or {}
            parts = {"": value} if "value" in value else value
            for part_name, part in parts.items():
                if isinstance(part, Mapping) and part.get("reason"):
                    at = place.format(MODALITIES.get(part_name, part_name)) if part_name else ""
                    found.setdefault(part["reason"], []).append(f"{row['label']}: {name}{at}")
    return list(found.items())
