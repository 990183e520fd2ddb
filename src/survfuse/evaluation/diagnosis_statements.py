"""Plain sentences about a leaderboard of diagnoses: who beats whom, and what is not shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.evaluation.labelled import LabelledStudy
from survfuse.evaluation.rows import COMBINING

NOTES = (
    "Intervals of AUROCs and of their differences are DeLong's, those of shares Wilson's; they are "
    "conditional on the fitted models and a little too narrow: in simulations 95 % intervals held "
    "the truth for 93 to 94 of 100 cohorts.",
    "AUROCs are computed within folds, because every fold has a model of its own; shares, "
    "calibration and decision curves use all patients together.",
)


def statements(
    study: LabelledStudy,
    rows: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    policies: Sequence[Mapping[str, Any]],
    reference: str,
    confidence: float,
) -> list[str]:
    """All sentences in the order they are read; `rows` scored, the best first.

    They count no patients, as pages print them and withhold small counts.
    """
    labels = {str(row["model"]): str(row["label"]) for row in rows}
    return [
        *against_reference(rows, comparisons, reference, confidence),
        *leaking(rows),
        *worth_of_pet(rows, confidence),
        *worth_of_synthesis(policies, labels, confidence),
        *censored(study),
        *unsteady(rows, study),
        *NOTES,
    ]


def told(estimate: Mapping[str, Any], value: str = "value") -> str:
    """An estimate of a difference in words, or why there is none."""
    if estimate.get("low") is None:
        return str(estimate.get("reason", "no interval"))
    return f"{estimate[value]:+.3f}, {estimate['low']:+.3f} to {estimate['high']:+.3f}"


def against_reference(
    rows: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    reference: str,
    confidence: float,
) -> list[str]:
    """Who is shown to beat the reference, and who is not."""
    of = {str(row["model"]): row for row in rows}
    better: list[str] = []
    unshown: list[str] = []
    for entry in comparisons:
        row = of[entry["model"]]
        if entry["reference"] != reference or row["role"] not in (*COMBINING, "unimodal"):
            continue
        text = f"{row['label']} ({told(entry, 'difference')})"
        (better if (entry["low"] or 0) > 0 else unshown).append(text)
    name, level = of[reference]["label"], f"{confidence:.0%} interval"
    found = []
    if better:
        found.append(f"Better than {name} (difference in AUROC, {level}): {'; '.join(better)}.")
    if unshown:
        found.append(
            f"Not shown to be better than {name} (difference in AUROC, {level}): "
            f"{'; '.join(unshown)}."
        )
    return found


def leaking(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A control that finds something in permuted labels means that something leaks."""
    controls = [row for row in rows if row["role"] == "control"]
    if not controls:
        return [
            "No row was trained on permuted labels, so that a leak of test labels would not be "
            "noticed here."
        ]
    return [
        f"{row['label']} was trained on permuted labels and still scores above 0.5 (AUROC "
        f"{row['discrimination']['value']:.3f}): test labels may have leaked into training, so "
        "distrust the other rows."
        for row in controls
        if above_chance(row["discrimination"])
    ]


def above_chance(auroc: Mapping[str, Any]) -> bool:
    """Whether an AUROC is shown to be above 0.5; a perfect one has no interval."""
    return auroc["value"] == 1 if auroc["low"] is None else auroc["low"] > 0.5


def worth_of_pet(rows: Sequence[Mapping[str, Any]], confidence: float) -> list[str]:
    """What the real PET adds to a model, in the patients who have it."""
    found = []
    for row in rows:
        part = row["patterns"].get("without pet")
        if part is None or row["role"] == "control":
            continue
        difference = part["difference"]
        if difference.get("low") is None:
            verdict = f"cannot be told: {difference.get('reason', 'no interval')}"
        elif difference["low"] > 0:
            verdict = f"raises the AUROC ({told(difference)})"
        elif difference["high"] < 0:
            verdict = f"lowers the AUROC ({told(difference)})"
        else:
            verdict = f"is not shown to change the AUROC ({told(difference)})"
        instead = "a synthetic one in its place" if part["synthesised"] else "none at all"
        found.append(
            f"In {row['label']} the real PET, instead of {instead}, {verdict}; patients who have "
            f"PET, {confidence:.0%} interval."
        )
    return found


def worth_of_synthesis(
    policies: Sequence[Mapping[str, Any]], labels: Mapping[str, str], confidence: float
) -> list[str]:
    """Whether a synthesised volume helps over leaving the place empty."""
    places = {
        "lacking": "in patients who lack a volume",
        "withheld": "in patients whose PET was withheld at prediction",
    }
    found = []
    for entry in policies:
        names = f"{labels[entry['synthesise']]} against {labels[entry['mask']]}"
        for key, place in places.items():
            compared = entry[key]
            if compared is None:
                continue
            auroc = compared["auroc"]
            if auroc["low"] is None:
                verdict = "cannot be told to help or not"
            elif auroc["low"] > 0:
                verdict = "helps"
            elif auroc["high"] < 0:
                verdict = "harms"
            else:
                verdict = "is not shown to help or to harm"
            found.append(
                f"Synthesis over a mask {verdict} {place} ({names}: difference in AUROC "
                f"{told(auroc)}; {confidence:.0%} interval)."
            )
    return found


def censored(study: LabelledStudy) -> list[str]:
    """Patients of unknown class are neither the one nor the other."""
    if (study.label >= 0).all():
        return []
    return [
        "Patients whose class is not known, for instance because they were followed for less than "
        "the horizon, are predicted, and left out of all figures."
    ]


def unsteady(rows: Sequence[Mapping[str, Any]], study: LabelledStudy) -> list[str]:
    """How far other divisions into folds move the figures, where there were any."""
    if study.n_repeats == 1:
        return []
    moved = [
        max(values) - min(values)
        for row in rows
        if (values := [v for v in row.get("auroc_per_repeat", []) if v is not None])
    ]
    if not moved:
        return []
    return [
        f"AUROCs and their differences are averages over {study.n_repeats} divisions into folds, "
        "all other figures are of the first; over the divisions the AUROC of a row differs by up "
        f"to {max(moved):.3f}."
    ]
