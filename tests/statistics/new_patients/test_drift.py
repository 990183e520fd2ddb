"""Periods against a study: by hand, against other libraries, and at their rates."""

import numpy as np
import pytest
from scipy.stats import betabinom, fisher_exact

from survfuse.statistics.new_patients.drift import (
    RESAMPLES,
    counts_between,
    counts_p,
    edges,
    excess_p,
    flagged_of,
    holm,
)
from survfuse.statistics.new_patients.novelty import fit_novelty


@pytest.mark.parametrize(("found", "study"), [((8, 22), (60, 40)), ((3, 17), (20, 80))])
def test_two_cells_are_compared_about_as_by_fisher(found, study) -> None:
    p = fisher_exact([found, study]).pvalue
    assert counts_p(found, study) == pytest.approx(p, rel=0.25, abs=3 / RESAMPLES)


def test_the_same_shares_are_no_difference_and_others_are() -> None:
    assert counts_p([20, 20, 20], [100, 100, 100]) > 0.9
    assert counts_p([50, 5, 5], [100, 100, 100]) < 0.001
    assert counts_p([], []) == counts_p([0, 0], [5, 5]) == counts_p([9, 0], [50, 0]) == 1.0


def test_few_patients_raise_as_many_alarms_as_stated() -> None:
    rng = np.random.default_rng(1)
    p = []
    for _ in range(300):
        study = rng.multinomial(120, [0.6, 0.2, 0.1, 0.06, 0.04])
        p.append(counts_p(rng.multinomial(20, [0.6, 0.2, 0.1, 0.06, 0.04]), study))
    assert np.mean(np.array(p) < 0.05) < 0.09
    assert np.mean(np.array(p) < 0.5) > 0.35


def test_flagged_patients_are_counted_against_what_one_reference_gives() -> None:
    assert flagged_of(0.01, 99) == 0 and flagged_of(0.01, 100) == 1
    assert flagged_of(0.01, 199) == 1 and flagged_of(0.01, 300) == 3
    assert excess_p(3, 50, 0.01, 99) == 1.0  # nobody can be flagged
    assert excess_p(2, 50, 0.01, 150) == pytest.approx(1 - betabinom.cdf(1, 50, 1, 150))
    assert excess_p(0, 50, 0.01, 150) == 1.0


def test_patients_like_those_of_the_study_raise_as_many_alarms_as_stated() -> None:
    """A binomial test would raise more: one reference is the same for a whole period."""
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(120):
        reference = fit_novelty(rng.normal(size=(150, 6)), np.arange(150) % 5)
        flagged = int((reference.p_value(rng.normal(size=(100, 6))) < 0.01).sum())
        alarms += excess_p(flagged, 100, 0.01, reference.n) < 0.05
    assert alarms <= 14


def test_holm_by_hand() -> None:
    """5 x 0.001 and 4 x 0.001, which may not be lower; 3 x 0.012; 2 x 0.04; 0.3."""
    assert holm([0.04, 0.001, 0.3, 0.012, 0.001]) == pytest.approx([0.08, 0.005, 0.3, 0.036, 0.005])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_numbers_are_counted_between_quintiles() -> None:
    values = np.arange(100.0)
    assert counts_between(values, edges(values)) == [20] * 5
    assert counts_between(np.array([-9.0, 19.8, 500.0]), edges(values)) == [1, 1, 0, 0, 1]
    assert edges(np.ones(50)) == [1.0] and counts_between(np.ones(50), [1.0]) == [0, 50]
