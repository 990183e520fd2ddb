"""Decision curves of several predictions, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse.statistics.decision_curve import decision_curve


def test_net_benefit_by_hand() -> None:
    case = np.array([True, True, False, False])
    weight = np.array([1.0, 1.0, 1.0, 2.0])
    counts = np.vstack([np.ones(4), np.ones(4), np.ones(4)])
    probability = {"ours": np.array([0.9, 0.1, 0.6, 0.2]), "theirs": np.zeros(4)}
    (point,) = decision_curve(probability, case, weight, counts, 0.95, "theirs", [0.5])
    # One true and one false positive of five, a false one costs as much as a true one gains.
    assert point["net_benefit"]["ours"]["value"] == pytest.approx(0.0)
    assert point["net_benefit"]["theirs"]["value"] == 0
    assert point["act_on_everybody"]["value"] == pytest.approx((2 - 3) / 5)
    (low,) = decision_curve(probability, case, weight, counts, 0.95, "theirs", [0.2])
    # Above 0.2: patients 1, 3 and 4; the price is a quarter.
    assert low["net_benefit"]["ours"]["value"] == pytest.approx((1 - 3 / 4) / 5)
    assert low["difference"]["ours"]["value"] == pytest.approx(0.05)
    assert "theirs" not in low["difference"]


def test_who_is_not_known_counts_for_nothing() -> None:
    case, counts = np.array([True, False, False]), np.ones((3, 3))
    curves = [
        decision_curve({"a": np.array([0.9, 0.8, p])}, case, np.array([1.0, 1.0, 0.0]), counts, 0.9)
        for p in (0.0, 1.0)
    ]
    assert curves[0] == curves[1]
