"""The loss of classes: hand-computed values, weights, and who counts."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from survfuse.tasks.diagnosis.learning.loss import ClassTargets, focal

ONES = torch.ones(2)


def test_focal_loss_of_zero_logits_is_a_quarter_of_log_two() -> None:
    # p = 1/2: (1 - p)^2 = 1/4 and -log p = log 2, so 0.25 * 0.693147 = 0.1732868
    each = focal(torch.zeros(1, 2), torch.tensor([1]), ONES)
    assert each.item() == pytest.approx(0.1732868, abs=1e-6)
    # a quarter of it is the published value with weight 0.25 for both classes
    assert focal(torch.zeros(1, 2), torch.tensor([0]), 0.25 * ONES).item() == pytest.approx(
        0.0433217, abs=1e-6
    )


def test_focal_loss_of_scores_matches_the_published_value() -> None:
    each = focal(torch.tensor([[0.2, 0.9]]), torch.tensor([1]), 0.25 * ONES)
    assert each.item() == pytest.approx(0.0110976, abs=1e-6)


def test_certain_and_right_costs_nothing_certain_and_wrong_costs_much() -> None:
    logits = torch.tensor([[-30.0, 30.0]])
    assert focal(logits, torch.tensor([1]), ONES).item() == pytest.approx(0.0, abs=1e-6)
    assert focal(logits, torch.tensor([0]), ONES).item() == pytest.approx(60.0, abs=1e-3)


def test_with_gamma_zero_it_is_weighted_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 2])
    weight = torch.tensor([0.5, 1.0, 2.0])
    expected = cross_entropy(logits, label, weight, reduction="none")
    torch.testing.assert_close(focal(logits, label, weight, gamma=0.0), expected)


def test_only_marked_patients_count() -> None:
    outcome = ClassTargets(torch.tensor([0, 1, 1]), ONES, torch.zeros(2))
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0], [float("nan"), 1.0]])
    who = torch.tensor([True, True, False])
    expected = focal(logits[:2], outcome.label[:2], ONES).mean()
    torch.testing.assert_close(outcome.loss(logits, who), expected)
    assert outcome.loss(logits, torch.zeros(3, dtype=torch.bool)).item() == 0


def test_patients_count_by_what_they_stand_for() -> None:
    logits, label = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.1]]), torch.tensor([0, 1, 1])
    outcome = ClassTargets(label, ONES, torch.zeros(2), torch.tensor([0.5, 1.0, 1.5]))
    each = focal(logits, label, ONES)
    expected = (0.5 * each[0] + each[1] + 1.5 * each[2]) / 3
    torch.testing.assert_close(outcome.loss(logits), expected)
    # A batch of one keeps its weight, so that batches add up to the whole.
    alone = ClassTargets(label[:1], ONES, torch.zeros(2), torch.tensor([0.5]))
    torch.testing.assert_close(alone.loss(logits[:1]), 0.5 * each[0])
    even = ClassTargets(label, ONES, torch.zeros(2), torch.ones(3))
    assert even.loss(logits).item() == ClassTargets(label, ONES, torch.zeros(2)).loss(logits).item()
