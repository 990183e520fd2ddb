"""What intervals of survival models are worth, on a few simulated cohorts with refitted models."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from coverage_survival import (
    C_SETTINGS,
    SLOPE_SETTINGS,
    expected_c,
    simulate_c,
    simulate_slope,
)


def test_slope_is_that_of_the_fold_models_on_new_patients() -> None:
    """A pooled slope without strata is 0.05 to 0.13 too low here."""
    found = [simulate_slope(SLOPE_SETTINGS[0], seed) for seed in range(40)]
    errors = np.array([one.error for one in found])
    assert abs(errors.mean()) < 0.05 + 2 * errors.std() / len(errors) ** 0.5
    assert np.mean([one.covered for one in found]) >= 0.85


def test_interval_of_c_covers_the_expected_c() -> None:
    truth = expected_c(C_SETTINGS[0], trainings=20)
    assert 0.6 < truth < 0.75
    assert np.mean([simulate_c(C_SETTINGS[0], truth, seed) for seed in range(25)]) >= 0.8
