"""Plain sentences about a leaderboard of diagnoses: which differences are shown, and which not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.evaluation.roles import COMBINING
from survfuse.tasks.diagnosis.evaluation import LEAST_OF_A_CLASS
from survfuse.tasks.diagnosis.metrics import DiagnosisMetric, ranking_of
from survfuse.tasks.diagnosis.study import ClassStudy

FEW = f"fewer than {LEAST_OF_A_CLASS} patients of a class, from whom nothing is concluded"
INTERVALS = (
    "Intervals of AUROCs and of their differences are meant to hold the mean of models trained on "
    "other cohorts of this size: DeLong's variance within folds, widened for refitting. Those of "
    "shares are Wilson's and take the fitted models as they are."
)
WITHIN_FOLDS = (
    "AUROCs and calibration slopes are computed within folds, because every fold has a model of "
    "its own; shares, all other calibration and decision curves use all patients together."
)
NO_CONTROL = (
    "No row was trained on permuted labels, so that a leak of test labels would not be noticed "
    "here."
)


def statements(
    study: ClassStudy,
    rows: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    policies: Sequence[Mapping[str, Any]],
    reference: str,
    confidence: float,
) -> list[str]:
    """What the figures of an evaluation say; `rows` scored, the best first.

    The sentences count no patients, as their readers withhold small counts.
    """
    labels = {str(row["model"]): str(row["label"]) for row in rows}
    ranking = ranking_of(len(study.classes))
    return [
        *(sentence for row in rows for sentence in row["collapsed"]),
        *against_reference(rows, comparisons, reference, confidence, ranking.word),
        *leaking_controls(rows, ranking.word),
        *effect_of_pet(rows, confidence),
        *effect_of_synthesis(policies, labels, confidence),
        *censored(study),
        INTERVALS,
    ]


def notes(study: ClassStudy, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader must know and no figure says, in the order it is read; `rows` scored."""
    return [
        *(sentence for row in rows for sentence in row["one_sided"]),
        *([] if any(row["role"] == "control" for row in rows) else [NO_CONTROL]),
        *variation_over_repeats(rows, study, ranking_of(len(study.classes))),
        WITHIN_FOLDS,
    ]


def in_words(estimate: Mapping[str, Any], value: str = "value") -> str:
    """An estimate of a difference in words, or why there is none."""
    if estimate.get("low") is None:
        return str(estimate.get("reason", "no interval"))
    few = f"; {FEW}" if estimate.get("few") else ""
    return f"{estimate[value]:+.3f}, {estimate['low']:+.3f} to {estimate['high']:+.3f}{few}"


def direction(difference: Mapping[str, Any]) -> int | None:
    """1 or -1 where a difference is shown to be above or below 0, 0 where it is not.

    None where nothing may be concluded: without an interval, or from few patients of a class.
    """
    if difference.get("low") is None or difference.get("few"):
        return None
    return 1 if difference["low"] > 0 else -1 if difference["high"] < 0 else 0


def against_reference(
    rows: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    reference: str,
    confidence: float,
    word: str,
) -> list[str]:
    """Which rows are shown to be better than the reference, and which are not.

    `word` stands for the ranking metric.
    """
    of = {str(row["model"]): row for row in rows}
    better: list[str] = []
    unshown: list[str] = []
    for entry in comparisons:
        row = of[entry["model"]]
        if entry["reference"] != reference or row["role"] not in (*COMBINING, "unimodal"):
            continue
        text = f"{row['label']} ({in_words(entry, 'difference')})"
        (better if direction(entry) == 1 else unshown).append(text)
    name, level = of[reference]["label"], f"{confidence:.0%} interval"
    found = []
    if better:
        found.append(f"Better than {name} (difference in {word}, {level}): {'; '.join(better)}.")
    if unshown:
        found.append(
            f"Not shown to be better than {name} (difference in {word}, {level}): "
            f"{'; '.join(unshown)}."
        )
    return found


def leaking_controls(rows: Sequence[Mapping[str, Any]], word: str) -> list[str]:
    """A control that finds something in permuted labels means that something leaks.

    One that has collapsed finds nothing, and shows nothing.
    """
    controls = [row for row in rows if row["role"] == "control"]
    return [
        f"{row['label']} was trained on permuted labels and still scores above 0.5 ({word} "
        f"{row['discrimination']['value']:.3f}): test labels may have leaked into training, so "
        "distrust the other rows."
        for row in controls
        if above_chance(row["discrimination"])
    ] + [
        f"{row['label']} was trained on permuted labels and does not discriminate in some fold, "
        "so that a leak may go unnoticed."
        for row in controls
        if row["collapsed"]
    ]


def above_chance(auroc: Mapping[str, Any]) -> bool:
    """Whether an AUROC is shown to be above 0.5; a perfect one has no interval."""
    return auroc["value"] == 1 if auroc["low"] is None else auroc["low"] > 0.5


def effect_of_pet(rows: Sequence[Mapping[str, Any]], confidence: float) -> list[str]:
    """The effect of the real PET on the AUROC of a model, in the patients who have it."""
    found = []
    for row in rows:
        part = row["ablations"].get("without pet")
        if part is None or row["role"] == "control":
            continue
        difference = part["difference"]
        found_to = {
            None: "allows no conclusion about the AUROC",
            1: "raises the AUROC",
            -1: "lowers the AUROC",
            0: "is not shown to change the AUROC",
        }
        verdict = f"{found_to[direction(difference)]} ({in_words(difference)})"
        instead = "a synthetic one" if part["synthesised"] else "none"
        found.append(
            f"In {row['label']} the real PET, instead of {instead}, {verdict}; patients who have "
            f"PET, {confidence:.0%} interval."
        )
    return found


def effect_of_synthesis(
    policies: Sequence[Mapping[str, Any]], labels: Mapping[str, str], confidence: float
) -> list[str]:
    """Whether a synthesised volume improves the AUROC over masking the absent one."""
    where = {
        "lacking": "in patients who lack a volume",
        "withheld": "in patients whose PET was withheld at prediction",
    }
    found = []
    for entry in policies:
        names = f"{labels[entry['synthesise']]} against {labels[entry['mask']]}"
        for key, patients in where.items():
            compared = entry[key]
            if compared is None:
                continue
            auroc = compared["auroc"]
            verdict = {
                None: "allows no conclusion",
                1: "helps",
                -1: "harms",
                0: "is not shown to help or to harm",
            }[direction(auroc)]
            found.append(
                f"Synthesis instead of masking {verdict} {patients} ({names}: difference in AUROC "
                f"{in_words(auroc)}; {confidence:.0%} interval)."
            )
    return found


def censored(study: ClassStudy) -> list[str]:
    """Patients of unknown class are neither the one nor the other."""
    if (study.label >= 0).all():
        return []
    if study.outcome is not None:
        return [
            "Patients who were followed for less than the horizon without the event are of unknown "
            "class. They are predicted, and represented by the others: every figure weighs each "
            "known patient by the inverse probability of not having been censored before the class "
            "was known (Kaplan-Meier, whole cohort). That is right if censoring has nothing to do "
            "with the outcome; the error of the weights is not part of the intervals."
        ]
    return [
        "Patients whose class is not known are predicted, and left out of all figures. That is "
        "right if it is not known for reasons that have nothing to do with the class."
    ]


def variation_over_repeats(
    rows: Sequence[Mapping[str, Any]], study: ClassStudy, ranking: DiagnosisMetric[Any, Any]
) -> list[str]:
    """The variation of the figures over repeats of the cross-validation, where there are any."""
    if study.n_repeats == 1:
        return []
    key = f"{ranking.compared_as}_per_repeat"
    moved = [
        max(values) - min(values)
        for row in rows
        if (values := [v for v in row.get(key, []) if v is not None])
    ]
    if not moved:
        return []
    numbers = {row["n_repeats"] for row in rows}
    over = f"{min(numbers)}" if len(numbers) == 1 else "the"
    return [
        f"{ranking.word}s and their differences are averages over {over} repeats of the "
        "cross-validation, all other figures are of the first; over the repeats the "
        f"{ranking.word} of a row differs by up to {max(moved):.3f}."
    ]
