"""What the benchmark of bounds and flags measures, small: nominal coverage less 2 %, few flags."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import conformal


@pytest.mark.parametrize("name", ["s3", "s5", "folds"])
def test_the_gate_keeps_the_coverage(name: str) -> None:
    found = np.array(list(conformal.coverages(name, 200, 20, 0.1)))
    ipcw, observed, gated, fell_back, shown = found.mean(axis=0)
    assert gated >= 0.88
    assert observed >= 0.89
    assert shown > 0.9
    if name == "s5":  # those at low risk are censored early: the weights mislead, and the gate sees
        assert ipcw < 0.86 and fell_back > 0.9


def test_two_in_five_are_censored_but_of_new_ones_the_truth_is_known() -> None:
    _, outcome, _, new = conformal.scenario(np.random.default_rng(1), "s1", 2000)
    assert 0.37 < 1 - outcome.event.mean() < 0.45
    assert np.quantile(new, 0.1) == pytest.approx(0.1, abs=0.05)  # uniform for the true model


def test_flags_are_rare_but_where_something_is_wrong() -> None:
    null, scanner, shifted, shuffled = np.mean(
        [conformal.flag_rates(150, 50, repeat) for repeat in range(3)], axis=0
    )
    assert null <= 0.02
    assert min(scanner, shifted) >= 0.95
    assert shuffled > 0.7
