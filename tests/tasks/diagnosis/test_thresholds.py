"""The threshold of a diagnosis: on whom it is chosen, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.diagnosis.outcomes import Classes
from survfuse.tasks.diagnosis.thresholds import threshold_of, threshold_patients


@pytest.mark.parametrize(
    ("role", "label", "judging", "threshold"),
    [
        ("ttiiii", [0, 1, 0, -1, 0, 1], [2, 4, 5], 0.55),  # validation, class known: .3 .5 | .6
        (
            "tttttt",
            [0, 1, 0, -1, 0, 1],
            [0, 1, 2, 4, 5],
            0.55,
        ),  # none for validation: all of known class
        ("ttttii", [0, 1, 0, 1, 1, 1], [4, 5], float("nan")),  # one class alone has no threshold
    ],
)
def test_the_threshold_is_chosen_on_validation_patients_of_known_class(
    role: str, label: list[int], judging: list[int], threshold: float
) -> None:
    positive = np.array([0.1, 0.7, 0.3, 0.4, 0.5, 0.6])
    roles = np.array([{"t": "train", "i": "validation"}[letter] for letter in role])
    ids = np.arange(6).astype(str)
    part = TrainingPart(0, 0, ids, roles, Classes(np.array(label), ("A", "B")))
    assert np.flatnonzero(threshold_patients(part)).tolist() == judging
    p = np.column_stack([1 - positive, positive])[threshold_patients(part)]
    assert threshold_of(p, part) == pytest.approx([threshold], nan_ok=True)
    three = np.column_stack([p / 2, np.full(len(p), 0.5)])
    assert np.isnan(threshold_of(three, part))
