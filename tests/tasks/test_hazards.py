"""The discrete-time likelihood: hand-computed values, stability and what its maximum estimates."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from survfuse.tasks.survival.hazards import discrete_nll, risk_from_logits, survival_from_logits

HAZARDS = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
LOGITS = torch.logit(HAZARDS)[None]
# -log S_{y-1} - log h_y with an event; -log S_y censored, in full and at half weight
TABLE = [
    (2.302585, 0.105361, 0.052680),
    (1.714798, 0.328504, 0.164252),
    (1.532477, 0.685179, 0.342589),
    (1.601470, 1.196005, 0.598002),
]


def nll(bin_index: int, event: int, **options: object) -> float:
    return discrete_nll(LOGITS, torch.tensor([bin_index]), torch.tensor([event]), **options).item()


@pytest.mark.parametrize("bin_index", range(4))
def test_hand_computed_values(bin_index: int) -> None:
    with_event, censored, half = TABLE[bin_index]
    assert nll(bin_index, 1) == pytest.approx(with_event, abs=1e-6)
    assert nll(bin_index, 1, censored_weight=0.5) == pytest.approx(with_event, abs=1e-6)
    assert nll(bin_index, 0) == pytest.approx(censored, abs=1e-6)
    assert nll(bin_index, 0, censored_weight=0.5) == pytest.approx(half, abs=1e-6)


def test_hand_computed_curve_and_risk() -> None:
    curve = survival_from_logits(LOGITS)[0].tolist()
    assert curve == pytest.approx([0.9, 0.72, 0.504, 0.3024])
    assert risk_from_logits(LOGITS).item() == pytest.approx(-2.4264)


def test_single_precision_agrees_with_the_table() -> None:
    found = discrete_nll(LOGITS.float(), torch.tensor([3]), torch.tensor([1]))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(1.601470, abs=1e-6)


def test_reductions() -> None:
    arguments = LOGITS.expand(2, -1), torch.tensor([0, 2]), torch.tensor([1, 0])
    each = discrete_nll(*arguments, reduction="none")
    assert each.tolist() == pytest.approx([2.302585, 0.685179], abs=1e-6)
    assert discrete_nll(*arguments, reduction="sum").item() == pytest.approx(2.987764, abs=1e-6)
    assert discrete_nll(*arguments).item() == pytest.approx(2.987764 / 2, abs=1e-6)


def test_partly_lived_bin_of_a_censored_patient() -> None:
    half = torch.tensor([0.5])
    assert nll(1, 0, exposure=half) == pytest.approx(-math.log(0.9) - 0.5 * math.log(0.8))
    assert nll(1, 0, exposure=torch.tensor([0.0])) == pytest.approx(-math.log(0.9))
    assert nll(1, 0, exposure=torch.tensor([1.0])) == pytest.approx(nll(1, 0))
    assert nll(1, 1, exposure=half) == pytest.approx(nll(1, 1))


def test_maximum_is_the_actuarial_estimate() -> None:
    """100 enter the bin, 30 have the event, 20 are censored half-way: 30 / (100 - 20 / 2)."""
    event = torch.tensor([1] * 30 + [0] * 70)
    share = torch.tensor([1.0] * 80 + [0.5] * 20, dtype=torch.float64)
    bins = torch.zeros(100, dtype=torch.long)
    slopes = []
    for hazard in (0.32, 30 / 90, 0.35):
        logit = torch.logit(torch.tensor(hazard, dtype=torch.float64)).requires_grad_()
        discrete_nll(logit.expand(100, 1), bins, event, exposure=share).backward()
        slopes.append(logit.grad.item())
    assert slopes[0] < -1e-3 < 1e-3 < slopes[2]
    assert slopes[1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("logit", [40.0, -40.0])
@pytest.mark.parametrize("event", [0, 1])
@pytest.mark.parametrize("bin_index", range(4))
def test_saturated_logits_keep_finite_loss_and_a_gradient_that_corrects(
    logit: float, event: int, bin_index: int
) -> None:
    logits = torch.full((1, 4), logit, requires_grad=True)
    loss = discrete_nll(logits, torch.tensor([bin_index]), torch.tensor([event]))
    loss.backward()
    wrong_before = bin_index if logit > 0 else 0
    wrong_at = int((logit > 0) != bool(event))
    assert loss.item() == pytest.approx(40.0 * (wrong_before + wrong_at), abs=1e-3)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum().item() == pytest.approx(wrong_before + wrong_at, abs=1e-5)
    assert logits.grad.abs().max().item() > 0


LOGIT_ROWS = st.lists(st.floats(-60, 60), min_size=1, max_size=8)


@settings(deadline=None, max_examples=60)
@given(LOGIT_ROWS)
def test_curve_never_rises_and_stays_a_probability(row: list[float]) -> None:
    curve = survival_from_logits(torch.tensor([row], dtype=torch.float64))[0]
    assert ((curve >= 0) & (curve <= 1)).all()
    assert (curve.diff() <= 0).all()
    product = torch.cumprod(torch.sigmoid(-torch.tensor(row, dtype=torch.float64)), dim=0)
    torch.testing.assert_close(curve, product, atol=1e-12, rtol=1e-9)


@settings(deadline=None, max_examples=60)
@given(LOGIT_ROWS)
def test_chances_of_all_outcomes_sum_to_one(row: list[float]) -> None:
    """An event in any bin, or surviving them all, exhausts what can happen."""
    bins = len(row)
    logits = torch.tensor([row], dtype=torch.float64).expand(bins + 1, -1)
    outcome = torch.tensor([*range(bins), bins - 1])
    event = torch.tensor([1] * bins + [0])
    chances = (-discrete_nll(logits, outcome, event, reduction="none")).exp()
    assert chances.sum().item() == pytest.approx(1.0, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(LOGIT_ROWS, st.data())
def test_higher_hazard_in_any_bin_is_a_higher_risk(row: list[float], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(row) - 1))
    worse = [*row]
    worse[index] += 1.0
    low, high = risk_from_logits(torch.tensor([row, worse], dtype=torch.float64)).tolist()
    assert high >= low
