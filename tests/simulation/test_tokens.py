"""Token bags: shapes, absence, and the morphology they carry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from survfuse.simulation.tokens import token_bags
from survfuse.simulation.truth import draw_truth


@pytest.fixture(scope="module")
def truth():
    return draw_truth(400, 1)


def test_shapes_follow_the_number_of_slides(truth):
    bags = token_bags(truth, tiles=20, dim=16, seed=0)
    assert len(bags) == 400
    for bag, slides in zip(bags, truth.n_slides, strict=True):
        assert bag.dtype == np.float32 and bag.shape[1] == 16
        assert 10 * slides <= len(bag) <= 30 * slides
    assert sum(len(bag) == 0 for bag in bags) == 24  # 6 % of 400


def explained(bags, target):
    """R² of a linear regression of `target` on mean-pooled bags, fitted on one half."""
    kept = [row for row, bag in enumerate(bags) if len(bag)]
    pooled = np.stack([bags[row].mean(axis=0) for row in kept]).astype(float)
    design = np.column_stack([np.ones(len(kept)), pooled])
    half = len(kept) // 2
    weights = np.linalg.lstsq(design[:half], target[kept][:half], rcond=None)[0]
    return np.corrcoef(design[half:] @ weights, target[kept][half:])[0, 1] ** 2


def test_bags_show_morphology_and_infiltrate_but_not_the_programme(truth):
    bags = token_bags(truth, tiles=100, dim=24, seed=0)
    assert explained(bags, truth.high_grade_share()) > 0.85
    assert explained(bags, truth.infiltrate_share()) > 0.6
    assert explained(bags, truth.programme) < 0.05


def test_the_signal_sits_in_a_share_of_the_tiles():
    few = draw_truth(8, 0)
    all_high = replace(
        few, morphology=np.full(8, 9.0), shared=np.full(8, -9.0), n_slides=few.n_slides * 0 + 1
    )
    none_high = replace(all_high, morphology=np.full(8, -9.0))
    high = token_bags(all_high, tiles=4000, dim=8, seed=3)
    low = token_bags(none_high, tiles=4000, dim=8, seed=3)
    # Same draws otherwise, so whole tiles either move by the class's distance of 3, or stay.
    moved = np.linalg.norm(high[0] - low[0], axis=1)
    assert set(np.round(moved, 3)) == {0.0, 3.0}
    assert (moved > 1).mean() == pytest.approx(0.72, abs=0.03)  # 0.76 against 0.04


def test_same_seed_same_bags(truth):
    first, again = token_bags(truth, 5, 4, seed=1), token_bags(truth, 5, 4, seed=1)
    other = token_bags(truth, 5, 4, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
