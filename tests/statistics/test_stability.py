"""Agreement of explanations between folds and between ensemble members."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from survfuse.statistics.stability import (
    importance,
    jaccard_by_chance,
    member_agreement,
    pairwise_spearman,
    stability,
    top_parts,
)


def test_rank_correlations_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(4, 9)).round(1)  # rounding makes ties
    expected = [spearmanr(a, b).statistic for a, b in combinations(values, 2)]
    np.testing.assert_allclose(pairwise_spearman(values), expected, atol=1e-12)


def test_constant_rows_have_no_rank_correlation() -> None:
    found = pairwise_spearman(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [3.0, 2.0, 1.0]]))
    np.testing.assert_array_equal(np.isnan(found), [True, False, True])
    assert found[1] == pytest.approx(-1.0)


def test_importance_is_the_mean_magnitude_of_those_who_have_it() -> None:
    values = np.array([[1.0, -2.0], [-3.0, 0.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(importance(values), [2.0, 1.0])
    assert np.isnan(importance(values[2:])).all()


def test_two_folds_by_hand() -> None:
    """Importances 4 3 2 1 and 4 1 3 2: the differences of the ranks are 0, 2, -1, -1."""
    one = np.array([[4.0, -3.0, 2.0, 1.0], [-4.0, 3.0, 2.0, -1.0]])
    two = np.array([[8.0, 1.0, 3.0, 2.0], [0.0, 1.0, 3.0, 2.0], [np.nan] * 4])
    found = stability([one, two], top=2)
    assert (found.folds, found.parts, found.top) == (2, 4, 2)
    assert found.spearman == pytest.approx(1 - 6 * (0 + 4 + 1 + 1) / (4 * 15))
    assert found.shared == 1.0  # {0, 1} and {0, 2}
    assert found.jaccard == pytest.approx(1 / 3)
    assert found.shared_by_chance == 1.0
    assert found.jaccard_by_chance == pytest.approx((1 * 0 + 4 * (1 / 3) + 1 * 1) / 6)


def test_the_spread_over_pairs_of_folds() -> None:
    up, down = np.arange(1.0, 7.0)[None], np.arange(6.0, 0.0, -1.0)[None]
    found = stability([up, 3 * up, down], top=3)
    assert (found.lowest, found.highest) == (pytest.approx(-1.0), pytest.approx(1.0))
    assert found.spearman == pytest.approx(-1 / 3)
    assert found.shared == pytest.approx((3 + 0 + 0) / 3)


def test_random_rankings_agree_as_chance_says() -> None:
    generator = np.random.default_rng(1)
    found = [stability(list(generator.random((2, 1, 30))), top=10) for _ in range(400)]
    assert np.mean([one.spearman for one in found]) == pytest.approx(0.0, abs=0.03)
    chance = found[0]
    assert chance.shared_by_chance == pytest.approx(10 * 10 / 30)
    assert np.mean([one.shared for one in found]) == pytest.approx(10 / 3, abs=0.2)
    expected = pytest.approx(chance.jaccard_by_chance, abs=0.02)
    assert np.mean([one.jaccard for one in found]) == expected


def test_jaccard_by_chance_at_its_ends() -> None:
    assert jaccard_by_chance(7, 7) == pytest.approx(1.0)
    assert jaccard_by_chance(5, 1) == pytest.approx(1 / 5)


def test_parts_without_any_importance_are_never_on_top() -> None:
    """Otherwise two folds that use one group each would share the zeros of the others."""
    assert top_parts(np.array([0.0, 0.0, 3.0, 0.0]), 2) == {2}
    first, second = np.zeros((1, 8)), np.zeros((1, 8))
    first[0, 6], second[0, 7] = 1.0, 1.0
    found = stability([first, second], top=4)
    assert (found.shared, found.jaccard) == (0.0, 0.0)


def test_half_of_the_parts_at_most_are_top() -> None:
    found = stability(list(np.random.default_rng(0).random((2, 3, 5))), top=10)
    assert found.top == 2
    assert found.jaccard_by_chance < 1


def test_folds_that_rank_nothing_are_left_out() -> None:
    ranked = np.array([[1.0, 2.0, 3.0]])
    nothing, nobody = np.zeros((2, 3)), np.full((2, 3), np.nan)
    found = stability([ranked, nothing, nobody, 2 * ranked])
    assert (found.folds, found.spearman) == (2, pytest.approx(1.0))
    alone = stability([ranked, nothing, nobody])
    assert alone.spearman is None
    assert alone.reason == "1 of 3 folds rank the parts, two are needed"
    assert alone.as_json()["reason"] == alone.reason
    assert "reason" not in found.as_json()


@pytest.mark.parametrize("folds", [[], [np.ones((3, 1)), np.ones((2, 1))], [np.ones((3, 0))] * 2])
def test_a_single_part_has_no_ranking(folds: list[np.ndarray]) -> None:
    assert stability(folds).reason == "there are no two parts to rank"


def test_agreement_of_members() -> None:
    a, b, c = np.array([0.1, 0.2, 0.7]), np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])
    assert member_agreement([a, b]) == pytest.approx(1.0)
    assert member_agreement([a, b, c]) == pytest.approx((1 - 1 - 1) / 3)
    assert np.isnan(member_agreement([a]))
    assert np.isnan(member_agreement([np.zeros(0), np.zeros(0)]))
    assert np.isnan(member_agreement([np.ones(1), np.ones(1)]))
    even = np.full(3, 1 / 3)
    assert member_agreement([a, b, even]) == pytest.approx(1.0)  # no ranking, no opinion
