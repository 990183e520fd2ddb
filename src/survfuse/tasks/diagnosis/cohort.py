"""How many patients of each class a cohort has, and whether its folds have enough of them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from survfuse.artifacts.layout import folds_in_words
from survfuse.config.splits import SplitConfig
from survfuse.config.study import Config
from survfuse.sheets.problems import Problem
from survfuse.splits.outer_folds import ROLES, make_splits, parts, tested_in, training_part
from survfuse.tasks.diagnosis.asked import asked_of
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.section import DiagnosisConfig


def check_splits(
    outcomes: pd.DataFrame,
    sites: pd.Series[str] | None,
    folds: pd.DataFrame | None,
    config: Config,
) -> list[Problem]:
    """Problems of a cohort whose classes cannot be divided as configured."""
    labels = outcomes["label"]
    remedy = "use fewer folds, or other classes; every part needs patients of every class"
    needed = 2 * config.splits.folds
    rare = [
        Problem("configuration", None, "cohort.diagnosis", None, sentence, remedy)
        for number, name in enumerate(asked_of(config.cohort).classes)
        if (n := int((labels == number).sum())) < needed
        for sentence in (
            f"class {name} has {n} patients, {needed} are needed for {config.splits.folds} folds",
        )
    ]
    if rare:
        return rare
    splits = make_splits(outcomes, sites, config.splits, folds)
    where = "cohort.folds" if folds is not None else "splits.folds"
    return [
        Problem("configuration", None, where, None, sentence, remedy)
        for sentence in too_few_of_a_class(splits, outcomes, config.splits)
    ]


def described_classes(outcomes: pd.DataFrame, asked: DiagnosisConfig) -> dict[str, Any]:
    """Patients per class, and those whose class is not known."""
    counts = outcomes["label"].value_counts()
    return {
        "diagnosis": {
            "name": asked.name,
            "definition": asked.definition,
            "horizon_months": asked.horizon_months,
            "classes": [
                {"name": name, "n": int(counts.get(number, 0))}
                for number, name in enumerate(asked.classes)
            ],
            "unknown": int(counts.get(UNKNOWN, 0)),
        }
    }


def too_few_of_a_class(
    splits: pd.DataFrame, outcomes: pd.DataFrame, config: SplitConfig
) -> list[str]:
    """Sentences about folds in which a class that the cohort has is not tested or not trained."""
    labels = outcomes.set_index("patient_id")["label"]
    known = set(labels[labels != UNKNOWN])
    sentences = []
    for repeat, fold in parts(splits):
        part = training_part(splits, outcomes, config, repeat, fold)
        groups = {
            "test": labels.loc[tested_in(splits, repeat, fold)],
            **{role: part.loc[part["role"] == role, "label"] for role in ROLES},
        }
        where = folds_in_words([fold], repeat if config.repeats > 1 else None)
        sentences += [
            f"{where} has no patient of class {number} in its {role} part"
            for role, members in groups.items()
            for number in sorted(known - set(members))
        ]
    return sentences
