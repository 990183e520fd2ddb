"""Members of the stack: what each reads, and that cross-fitted scores know no own outcome."""

from __future__ import annotations

import json

import numpy as np
import pytest

from survfuse.models.classical.cox import PENALISER
from survfuse.models.stacking import members
from survfuse.models.stacking.members import CROSS_FITS, Design, cross_fitted, fit_members
from survfuse.models.stacking.partial_likelihood import PartialLikelihood
from survfuse.models.stacking.ridge_cox import fit_exactly, fit_ridge_cox, stratified_folds

N, SEED = 60, 5
NAMES = ("clinical", "genes", "tiles", "genes x tiles")
WIDTHS = (2, 70, 3, 2)  # one block has more columns than patients


def drawn(
    seed: int = 0, effect: float = 1.0, known: int | None = 0
) -> tuple[Design, np.ndarray, np.ndarray]:
    """A design, times and events; ten patients lack tiles, and with them the products."""
    generator = np.random.default_rng(seed)
    columns = [generator.normal(size=(N, width)) for width in WIDTHS]
    has = np.ones((N, 4), dtype=bool)
    has[:10, 2:] = False
    columns = [block * there[:, None] for block, there in zip(columns, has.T, strict=True)]
    score = effect * sum(block[:, 0] for block in columns[:3])
    time = generator.exponential(10 * np.exp(-score))
    censoring = generator.uniform(1, 40, N)
    alone = [1, 2] if known == 0 else [0, 1, 2]
    design = Design.of(NAMES, columns, has, known, alone)
    return design, np.minimum(time, censoring), time <= censoring


def scores(added: np.ndarray) -> np.ndarray:
    """(n, M) of the members."""
    total: np.ndarray = added.sum(axis=2)
    return total


def test_members_are_the_clinical_one_each_block_and_the_joint_one() -> None:
    design, time, event = drawn()
    assert design.members == ["clinical", "genes", "tiles", "joint"]
    fitted = fit_members(design, np.ones(N, bool), time, event, SEED)
    assert [set(own) for own in fitted.coefficients] == [{0}, {1}, {2}, {0, 1, 2, 3}]
    assert json.loads(json.dumps(fitted.chosen, allow_nan=False))
    unknown, *_ = drawn(known=None)
    assert unknown.members == ["clinical", "genes", "tiles", "joint"]
    assert fit_members(unknown, np.ones(N, bool), time, event, SEED).coefficients[0].keys() == {0}
    alone = Design.of(NAMES[:1], design.columns[:1], design.has[:, :1], 0, [])
    assert alone.members == ["clinical"]
    assert len(fit_members(alone, np.ones(N, bool), time, event, SEED).coefficients) == 1


def test_the_clinical_member_is_the_clinical_cox_model() -> None:
    design, time, event = drawn()
    fitted = fit_members(design, np.ones(N, bool), time, event, SEED)
    x = design.columns[0]
    expected = fit_exactly(x, PartialLikelihood.of(time, event), np.zeros(N), PENALISER * N)
    np.testing.assert_allclose(design.back[0] @ fitted.coefficients[0][0], expected, atol=1e-7)


def test_a_member_of_a_block_learns_from_those_who_have_it() -> None:
    design, time, event = drawn()
    fitted = fit_members(design, np.ones(N, bool), time, event, SEED)
    there = design.has[:, 2]
    own = fit_ridge_cox(design.columns[2][there], time[there], event[there], SEED)
    assert own.gain > 0
    np.testing.assert_allclose(
        design.back[2] @ fitted.coefficients[2][2], own.coefficients, atol=1e-7
    )
    assert fitted.chosen[2] == {"penalty": own.penalty, "gain": own.gain}


def test_members_are_fitted_on_the_rows_that_they_are_given() -> None:
    design, time, event = drawn()
    rows = np.arange(N) % 4 > 0
    first = fit_members(design, rows, time, event, SEED)
    later = fit_members(design, rows, np.where(rows, time, 99.0), event | ~rows, SEED)
    for one, other in zip(first.coefficients, later.coefficients, strict=True):
        assert all((one[place] == other[place]).all() for place in one)
    assert first.chosen == later.chosen


@pytest.mark.parametrize(("patient", "moved_to"), [(3, 0.01), (40, 99.0)])
def test_a_patient_s_outcome_does_not_reach_his_cross_fitted_score(
    patient: int, moved_to: float
) -> None:
    """Folds depend on events, which therefore stay; the time of one patient moves."""
    design, time, event = drawn()
    before = cross_fitted(design, time, event, SEED)
    other = time.copy()
    other[patient] = moved_to
    after = cross_fitted(design, other, event, SEED)
    folds = stratified_folds(event, CROSS_FITS, SEED)
    together = folds == folds[patient]
    assert (before[together] == after[together]).all()
    changed = (scores(before) != scores(after)).any(axis=1)
    assert changed[~together].all()


def test_outcomes_that_change_places_within_a_fold_change_nothing_there() -> None:
    design, time, event = drawn()
    before = cross_fitted(design, time, event, SEED)
    own = stratified_folds(event, CROSS_FITS, SEED) == 1
    other = time.copy()
    for status in (False, True):
        rows = np.flatnonzero(own & (event == status))
        assert len(rows) > 1
        other[rows] = time[rows[::-1]]
    after = cross_fitted(design, other, event, SEED)
    assert (after[own] == before[own]).all()
    assert (after[~own] != before[~own]).any()


def test_members_of_a_fold_are_fitted_without_it() -> None:
    design, time, event = drawn()
    seen = list[np.ndarray]()

    def spied(_: Design, rows: np.ndarray, *outcomes_and_seed: object) -> members.Members:
        assert len(outcomes_and_seed) == 3
        seen.append(rows)
        nothing = ({0: np.full(2, float(len(seen)))}, {}, {}, {})
        return members.Members(nothing, ({},) * 4)

    added = cross_fitted(design, time, event, SEED, spied)
    assert np.array(seen).shape == (CROSS_FITS, N)
    assert (np.sum(~np.array(seen), axis=0) == 1).all()  # everybody is left out once
    for number, rows in enumerate(seen, start=1):
        expected = design.reduced[0][~rows] @ np.full(2, float(number))
        np.testing.assert_array_equal(added[~rows, 0, 0], expected)


def test_in_noise_cross_fitted_scores_tell_nothing_of_the_own_outcome() -> None:
    """Members that saw the patients rank them well in noise; cross-fitted ones do not."""
    seen, unseen = list[float](), list[float]()
    for seed in range(4):
        design, time, event = drawn(seed, effect=0.0)
        likelihood = PartialLikelihood.of(time, event)
        place = 1  # the block with more columns than patients, with hardly a penalty
        x = design.reduced[place]
        own = x @ fit_exactly(x, likelihood, np.zeros(N), 0.1)
        seen.append(agreement(own, time, event))
        added = scores(cross_fitted(design, time, event, seed))
        unseen += [agreement(score, time, event) for score in added.T if score.any()]
    assert np.mean(seen) > 0.9
    assert np.mean(unseen) < 0.56


def agreement(score: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """Harrell's C-index."""
    first = event[:, None] & (time[:, None] < time[None])
    right = (score[:, None] > score[None]) + 0.5 * (score[:, None] == score[None])
    return float(right[first].mean())


def test_absent_blocks_add_nothing() -> None:
    design, time, event = drawn()
    assert not cross_fitted(design, time, event, SEED)[:10, :, 2:].any()
