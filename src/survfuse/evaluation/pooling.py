"""Finished studies side by side: the differences between their rows, pooled over cohorts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from survfuse.artifacts.comparison import (
    ComparedRow,
    ComparedStudies,
    Difference,
    NotPooled,
    PooledDifference,
    Score,
)
from survfuse.core.errors import UserInputError
from survfuse.evaluation.comparable import FinishedStudy, PairedDifference
from survfuse.evaluation.pooling_notes import notes_on
from survfuse.evaluation.roles import COMBINING, ORDER
from survfuse.evaluation.rows import ORACLE
from survfuse.statistics.meta_analysis import POOLING, random_effects, standard_error

LEAST_STUDIES = 2


def compare_studies(
    studies: Sequence[FinishedStudy], asked: Sequence[str] = (), reference: str | None = None
) -> ComparedStudies:
    """Pool the differences of rows from the reference over studies, which are of one kind.

    `asked`: names of rows, by default all that two studies or more have; the first one is drawn.
    `reference`: by default that of the studies. A study that lacks a row or its difference is left
    out of that row with a sentence.

    Raises UserInputError where a row is in no study, where the studies have different references,
    and where no row can be pooled.
    """
    reference = reference or shared_reference(studies)
    for name in (reference, *asked):
        require_somewhere(studies, name)
    names = list(dict.fromkeys(asked)) or rows_of_several(studies, reference)
    if reference in names:
        raise UserInputError(
            f"the row {reference} is the reference and cannot be compared with itself; name "
            "another --row or --reference"
        )
    differences: list[Difference] = []
    pooled: list[PooledDifference] = []
    left_out: list[NotPooled] = []
    for model in names:
        for metric in studies[0].comparable.differences:
            found, without = differences_of(studies, model, reference, metric)
            left_out += [one for one in without if one not in left_out]
            if len(found) >= LEAST_STUDIES:
                whole, weights = pool(model, metric, found, studies[0].evaluation["confidence"])
                pooled.append(whole)
                differences += [{**one, "weight": w} for one, w in zip(found, weights, strict=True)]
    if not pooled:
        reasons = " ".join(one["sentence"] for one in left_out)
        raise UserInputError(
            f"no row can be pooled, as none has a difference from {reference} in two studies. "
            f"{reasons}".rstrip()
        )
    kept = [name for name in names if any(one["model"] == name for one in pooled)]
    rows = [described(studies, name) for name in kept]
    return {
        "kind": studies[0].comparable.heading,
        "confidence": studies[0].evaluation["confidence"],
        "reference": reference,
        "reference_label": described(studies, reference)["label"],
        "main": kept[0] if asked else main_row(rows, pooled),
        "method": POOLING,
        "studies": [
            {
                "study": study.name,
                "n_patients": study.evaluation["n_patients"],
                "n_events": study.n_events,
                "splits_sha256": study.evaluation["splits_sha256"],
                "evaluation_sha256": study.sha256,
                "simulated": study.row(ORACLE.model) is not None,
            }
            for study in studies
        ],
        "rows": rows,
        "scores": [
            score
            for name in (reference, *kept)
            for study in studies
            for score in scores(study, name)
        ],
        "differences": differences,
        "pooled": pooled,
        "left_out": left_out,
        "notes": notes_on(studies, [reference, *kept], differences, pooled),
    }


def shared_reference(studies: Iterable[FinishedStudy]) -> str:
    """The reference of all studies. Raises UserInputError where it differs."""
    names = {study.name: study.evaluation["reference"] for study in studies}
    if len(found := set(names.values())) > 1:
        told = ", ".join(f"{row} in {study}" for study, row in names.items())
        raise UserInputError(
            f"the studies compare with different rows: {told}; name one that they share with "
            "--reference"
        )
    return found.pop()


def require_somewhere(studies: Sequence[FinishedStudy], model: str) -> None:
    """Raise UserInputError where no study has a row of this name."""
    if not any(study.row(model) for study in studies):
        known = dict.fromkeys(row["model"] for s in studies for row in s.evaluation["rows"])
        raise UserInputError(
            f"no study has a row {model!r}; the rows of these studies are {', '.join(known)}"
        )


def rows_of_several(studies: Sequence[FinishedStudy], reference: str) -> list[str]:
    """The rows that two studies or more have: by role, then by name, whatever their results."""
    roles: dict[str, str] = {}
    count: dict[str, int] = {}
    for study in studies:
        for row in study.evaluation["rows"]:
            roles.setdefault(row["model"], row["role"])
            count[row["model"]] = count.get(row["model"], 0) + 1
    shared = [
        name
        for name, number in count.items()
        if number >= LEAST_STUDIES and name != reference and roles[name] != ORACLE.role
    ]
    if not shared:
        raise UserInputError(
            f"no row beside the reference {reference} is in two of these studies; rows are matched "
            "by their names"
        )
    return sorted(shared, key=lambda name: (ORDER.get(roles[name], 2), name))


def differences_of(
    studies: Sequence[FinishedStudy], model: str, reference: str, metric: PairedDifference
) -> tuple[list[Difference], list[NotPooled]]:
    """The difference of a row in every study that has one, and why others have none."""
    found: list[Difference] = []
    without: list[NotPooled] = []
    for study in studies:
        one = difference_of(study, model, reference, metric)
        if isinstance(one, str):
            sentence = f"{study.name} is left out of {model}: {one}."
            without.append({"study": study.name, "model": model, "sentence": sentence})
        else:
            found.append(one)
    if len(found) == 1:
        sentence = (
            f"{model} is not pooled in {metric.metric.label}: only {found[0]['study']} has its "
            f"difference from {reference}."
        )
        without.append({"study": found[0]["study"], "model": model, "sentence": sentence})
    return found, without


def difference_of(
    study: FinishedStudy, model: str, reference: str, metric: PairedDifference
) -> Difference | str:
    """The difference of a row in a study, or why it has none."""
    for name in (model, reference):
        if study.row(name) is None:
            return f"it has no row {name}"
    comparison = study.comparison(model, reference)
    estimate = metric.found(comparison) if comparison else None
    if comparison is None or estimate is None:
        return f"its evaluation does not compare {model} with {reference}"
    value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return str(estimate.get("reason") or "the difference has no interval").rstrip(".")
    freedom = metric.freedom(study.evaluation, comparison)
    error = standard_error(value, low, high, freedom, study.evaluation["confidence"])
    if not error > 0:
        return f"{model} and {reference} score the same in every fold, so there is no interval"
    return {
        "study": study.name,
        "model": model,
        "metric": metric.metric.name,
        "value": value,
        "low": low,
        "high": high,
        "standard_error": error,
        "freedom": None if math.isinf(freedom) else freedom,
        "weight": 0.0,  # until the others are known
        "few": bool({**comparison, **estimate}.get("few")),
    }


def pool(
    model: str, metric: PairedDifference, found: Sequence[Difference], confidence: float
) -> tuple[PooledDifference, list[float]]:
    """The differences of a row pooled, and what each weighs.

    Limits are clipped to what a difference can be, which those of two or three studies exceed.
    """
    values = np.array([one["value"] for one in found])
    variances = np.array([one["standard_error"] for one in found]) ** 2
    pooled = random_effects(values, variances, confidence)

    def limit(value: np.ndarray) -> float:
        return float(np.clip(value, *metric.limits))

    predicts = len(found) > LEAST_STUDIES
    whole: PooledDifference = {
        "model": model,
        "metric": metric.metric.name,
        "better": metric.metric.better,
        "n_studies": len(found),
        "value": float(pooled.value),
        "low": limit(pooled.low),
        "high": limit(pooled.high),
        "prediction_low": limit(pooled.prediction_low) if predicts else None,
        "prediction_high": limit(pooled.prediction_high) if predicts else None,
        "tau2": float(pooled.tau2),
        "tau": float(pooled.tau2) ** 0.5,
        "tau2_moments": float(pooled.tau2_moments),
        "i2": float(pooled.i2),
        "q": float(pooled.q),
        "q_p": float(pooled.q_p),
    }
    return whole, pooled.weights.tolist()


def described(studies: Iterable[FinishedStudy], model: str) -> ComparedRow:
    """A row as the first study that has it describes it."""
    row = next(row for study in studies if (row := study.row(model)))
    return {"model": model, "label": row["label"], "role": row["role"]}


def main_row(rows: Sequence[ComparedRow], pooled: Sequence[PooledDifference]) -> str:
    """The row that is drawn where none is named: chosen by its studies and role, not its result."""
    number = {one["model"]: one["n_studies"] for one in reversed(pooled)}
    combining = {role: place for place, role in enumerate(COMBINING)}

    def place(row: ComparedRow) -> tuple[int, int, str]:
        last = 2 * len(COMBINING) if row["role"] in ORDER else len(COMBINING)
        return -number[row["model"]], combining.get(row["role"], last), row["model"]

    return min(rows, key=place)["model"]


def scores(study: FinishedStudy, model: str) -> list[Score]:
    """The metrics that are shown of a row of a study; none where it has no such row."""
    row = study.row(model)
    if row is None:
        return []
    found: list[Score] = []
    for metric in study.comparable.shown:
        part, months = metric.found(row) or {}, None
        if metric.each == "horizon" and part:
            months = max(part, key=float)
            part, months = part[months], float(months)
        found.append(score(study.name, model, metric.name, months, part))
    return found


def score(
    study: str, model: str, metric: str, months: float | None, part: Mapping[str, Any]
) -> Score:
    """One metric of a row."""
    return {
        "study": study,
        "model": model,
        "metric": metric,
        "horizon_months": months,
        "value": part.get("value"),
        "low": part.get("low"),
        "high": part.get("high"),
    }
