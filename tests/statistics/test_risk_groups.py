"""Risk groups: thirds of the cohort by the estimate that patients are told."""

import numpy as np
import pytest

from evaluation_fixture import make_study, simulate
from survfuse.statistics.risk_groups import GROUPS, assign_groups, risk_groups

STUDY = make_study(90, folds=5, repeats=2)
RISK = simulate(90, 3)[1]
PROBABILITY = 1 / (1 + np.exp(-RISK))


def test_thirds_of_the_cohort() -> None:
    assigned = assign_groups(RISK)
    assert np.bincount(assigned).tolist() == [30, 30, 30]
    assert (np.diff(assigned[np.argsort(RISK)]) >= 0).all()


def test_ties_share_a_group() -> None:
    assert (assign_groups(np.zeros(90)) == 1).all()
    two = (np.arange(90) % 2).astype(float)
    for value in (0, 1):
        assert len(set(assign_groups(two)[two == value])) == 1


def test_curves_and_tables_add_up() -> None:
    groups = risk_groups(STUDY.outcome, assign_groups(RISK), PROBABILITY, 24.0, 0.95)
    assert [group["group"] for group in groups] == list(GROUPS)
    assert sum(group["n"] for group in groups) == 90
    assert sum(group["events"] for group in groups) == STUDY.outcome.event.sum()
    for group in groups:
        assert len(group["time"]) == len(group["survival"]) == len(group["low"])
        for row in group["at_risk"]:
            assert row["n"] + row["events"] + row["censored"] == group["n"]
        assert group["at_risk"][0]["n"] == group["n"]
    # With the true risk, the groups part: survival near two years falls from group to group.
    at = [np.interp(24, group["time"], group["survival"]) for group in groups]
    assert at[0] > at[1] > at[2]


def test_what_was_estimated_stands_beside_what_was_observed() -> None:
    groups = risk_groups(STUDY.outcome, assign_groups(RISK), PROBABILITY, 24.0, 0.95)
    for number, group in enumerate(groups):
        members = assign_groups(RISK) == number
        assert group["months"] == 24.0
        assert group["estimated"] == pytest.approx(PROBABILITY[members].mean())
        step = np.searchsorted(group["time"], 24.0, side="right") - 1
        assert group["observed"]["value"] == pytest.approx(1 - group["survival"][step])
        assert group["observed"]["low"] < group["observed"]["value"] < group["observed"]["high"]
    late = risk_groups(STUDY.outcome, assign_groups(RISK), PROBABILITY, 1000.0, 0.95)
    assert any(group["observed"]["value"] is None for group in late)


def test_groups_without_patients_are_left_out() -> None:
    groups = risk_groups(STUDY.outcome, assign_groups(np.zeros(90)), PROBABILITY, 24.0, 0.95)
    assert [group["group"] for group in groups] == ["middle"]
