"""Risk groups: tertiles within folds."""

from dataclasses import replace

import numpy as np

from evaluation_fixture import make_study, simulate
from survfuse.evaluation.risk_groups import GROUPS, assign_groups, risk_groups

STUDY = make_study(90, folds=5, repeats=2)
RISK = simulate(90, 3)[1]


def test_thirds_of_every_fold() -> None:
    assigned = assign_groups(STUDY, RISK)
    for fold in STUDY.folds_of(0):
        assert np.bincount(assigned[fold.test]).tolist() == [6, 6, 6]
        order = fold.test[np.argsort(RISK[fold.test])]
        assert (np.diff(assigned[order]) >= 0).all()


def test_scales_of_folds_do_not_matter() -> None:
    shifted = RISK.copy()
    for fold in STUDY.folds_of(0):
        shifted[fold.test] = shifted[fold.test] * (1 + fold.fold) + 1000 * fold.fold
    assert (assign_groups(STUDY, shifted) == assign_groups(STUDY, RISK)).all()


def test_ties_share_a_group() -> None:
    assert (assign_groups(STUDY, np.zeros(90)) == 1).all()
    two = (np.arange(90) % 2).astype(float)
    assigned = assign_groups(STUDY, two)
    for fold in STUDY.folds_of(0):
        for value in (0, 1):
            assert len(set(assigned[fold.test[two[fold.test] == value]])) == 1


def test_curves_and_tables_add_up() -> None:
    groups = risk_groups(STUDY, RISK, 0.95)
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


def test_groups_without_patients_are_left_out() -> None:
    assert [group["group"] for group in risk_groups(STUDY, np.zeros(90), 0.95)] == ["middle"]


def test_only_the_first_repeat_counts() -> None:
    first = replace(STUDY, folds=tuple(STUDY.folds_of(0)))
    assert (assign_groups(first, RISK) == assign_groups(STUDY, RISK)).all()
