"""Which folds have a row that predicts the same for everybody."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse.statistics.constant_predictions import collapsed_folds

FOLD = np.array([0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ([0.4, 0.4, 0.4, 0.1, 0.2, 0.3], [0]),
        ([0.4, 0.4, 0.4, 0.2, 0.2, 0.2], [0, 1]),
        ([0.1, 0.2, 0.3, 0.1, 0.2, 0.2], []),
        ([0.4, 0.4 + 1e-8, 0.4, 0.1, 0.2, 0.3], [0]),  # the same in single precision
        ([1e-9, 2e-9, 3e-9, 1e9, 2e9, 3e9], []),  # the scale does not count
        ([0.0, 0.0, 0.0, 0.1, 0.2, 0.3], [0]),
        ([np.nan, 0.4, 0.4, np.nan, np.nan, 0.2], [0]),  # one row alone says nothing
    ],
)
def test_folds_with_one_prediction_are_found(score: list[float], expected: list[int]) -> None:
    assert collapsed_folds(np.array(score), FOLD) == expected


def test_of_several_classes_all_probabilities_must_be_the_same() -> None:
    same = np.tile([0.2, 0.3, 0.5], (6, 1))
    assert collapsed_folds(same, FOLD) == [0, 1]
    same[4] = [0.2, 0.4, 0.4]
    assert collapsed_folds(same, FOLD) == [0]


def test_folds_may_have_any_numbers_and_one_row_is_no_collapse() -> None:
    fold = np.array([7, 7, 3, 9])
    assert collapsed_folds(np.array([0.5, 0.5, 0.5, 0.5]), fold) == [7]
