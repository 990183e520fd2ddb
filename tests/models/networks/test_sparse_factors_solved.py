"""The weights of sparse factors are solutions: optimal, and independent of scale and width."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sksurv.linear_model import CoxnetSurvivalAnalysis, CoxPHSurvivalAnalysis
from sksurv.util import Surv
from torch import Tensor

from inputs_fixture import shapes_of
from survfuse.models.networks.registry import build
from survfuse.models.networks.sparse_factors.model import SparseFactors
from survfuse.models.networks.sparse_factors.problems import (
    LIGHT,
    Fit,
    Part,
    fit_dense,
    fit_effects,
    fit_factors,
    steepest,
    svd_of_product,
    weights_of,
)
from survfuse.models.networks.sparse_factors.solve import Columns, solve
from survfuse.tasks.survival.hazards import partial_nll

N, P = 200, 40
OWNER = torch.tensor([0] * 20 + [1] * 18 + [2] * 2)
FREE = OWNER == 2
NOTHING = Fit(torch.zeros(P).double(), *2 * [torch.zeros(P, 0).double()])


def drawn(
    interaction: float = 0.0, effect: float = 0.8, n: int = N, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Columns, of which the first of each modality matters, times and events."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, P))
    ratio = effect * (x[:, 0] + x[:, 20] + x[:, 38]) + interaction * x[:, 0] * x[:, 20]
    time = rng.exponential(np.exp(-ratio))
    censored = rng.exponential(2.0, n)
    event = torch.from_numpy(time <= censored)
    return torch.from_numpy(x), torch.from_numpy(np.minimum(time, censored)), event


def whole(x: Tensor, time: Tensor, event: Tensor) -> Part:
    return Part(x, lambda ratio: partial_nll(ratio, time, event) * event.sum())


def solved(
    x: Tensor, time: Tensor, event: Tensor, pairs: tuple[tuple[int, int], ...] = ((0, 1),)
) -> tuple[Fit, dict[str, float | None]]:
    def loss(rows: Tensor, ratio: Tensor) -> Tensor:
        return partial_nll(ratio, time[rows], event[rows]) * event[rows].sum()

    return solve(Columns(x, OWNER, FREE), pairs, 2, loss, torch.arange(len(x)) % 5)


def test_no_effect_could_be_better() -> None:
    """Where an effect is 0 the slope is within the penalty; elsewhere both cancel."""
    x, time, event = drawn()
    part, penalty = whole(x, time, event), 0.05
    found = fit_effects(part, FREE, ~FREE, penalty, NOTHING)
    slope = x.T @ part.slope(found)
    zero = found.effect == 0
    assert 2 < int((~zero).sum()) < 30
    assert float(slope[zero & ~FREE].abs().max()) <= penalty + 1e-3
    there = ~zero & ~FREE
    balance = slope[there] + penalty * found.effect[there].sign()
    assert float(balance.abs().max()) < 1e-3
    assert float((slope[FREE] + LIGHT * found.effect[FREE] / N).abs().max()) < 1e-3


def test_effects_are_those_of_an_elastic_net_package() -> None:
    x, time, event = drawn()
    nobody = torch.zeros_like(FREE)
    found = fit_effects(whole(x, time, event), nobody, ~nobody, 0.05, NOTHING)
    other = CoxnetSurvivalAnalysis(l1_ratio=1.0, alphas=[0.05], tol=1e-10, max_iter=1_000_000)
    other.fit(x.numpy(), Surv.from_arrays(event.numpy(), time.numpy()))
    np.testing.assert_allclose(found.effect.numpy(), other.coef_[:, 0], atol=2e-3)


def test_factors_begin_downhill_and_no_step_could_be_better() -> None:
    x, time, event = drawn(interaction=0.8)
    part = whole(x, time, event)
    fit = fit_effects(part, FREE, ~FREE, 0.05, NOTHING)
    begun, fastest = steepest(part, fit, OWNER, [(0, 1)], 2)
    assert part.loss(begun) < part.loss(fit)
    found = fit_factors(part, OWNER, fastest / 3, begun)
    assert part.loss(found) < part.loss(fit) - 5
    weighted = x * weights_of(found.effect, OWNER)
    slope = part.slope(found)
    used = weights_of(found.effect, OWNER)[:, None] > 0
    own = torch.where(used, found.left / weights_of(found.effect, OWNER)[:, None], 0.0)
    balance = weighted.T @ (slope[:, None] * (x @ found.right)) + fastest / 3 * own
    assert float(balance[OWNER == 0].abs().max()) < 2e-3
    strong = fit_factors(part, OWNER, 1.5 * fastest, begun)
    assert part.loss(fit) - part.loss(strong) < 0.01


def test_an_interaction_is_found_with_its_sign_and_none_where_there_is_none() -> None:
    x, time, event = drawn(interaction=-0.8, n=400)
    found, penalties = solved(x, time, event)
    assert penalties["factor_penalty"] is not None
    matrix = (found.left @ found.right.T)[0, 20]
    assert float(matrix) < -0.3
    assert not found.left[OWNER != 0].any() and not found.right[OWNER != 1].any()


def test_noise_has_no_effect() -> None:
    x, time, event = drawn(effect=0.0)
    others = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    found, penalties = solved(x[others], time, event)
    assert int((found.effect[~FREE] != 0).sum()) <= 3
    assert penalties["l1_penalty"] is None or penalties["l1_penalty"] > 0.03


def test_many_small_effects_are_fitted_by_ridge_and_few_large_ones_are_not() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, P))
    small = torch.tensor(x, dtype=torch.float64), np.where(OWNER.numpy() == 2, 0.5, 0.18)
    large = small[0], 1.2 * (np.arange(P) % 20 == 0)
    chosen = []
    for columns, effect in (small, large):
        time = torch.tensor(rng.exponential(np.exp(-columns.numpy() @ effect)))
        found, penalties = solved(columns, time, torch.ones(300, dtype=torch.bool), ())
        chosen.append({name for name, value in penalties.items() if value is not None})
        assert np.corrcoef(found.effect.numpy()[:38], effect[:38])[0, 1] > 0.5 or effect is small[1]
    assert chosen == [{"ridge_penalty"}, {"l1_penalty"}]


def test_dense_effects_are_those_of_a_ridge_package() -> None:
    """Its penalty is beside the sum of the loss, ours beside the mean."""
    x, time, event = drawn()
    part = whole(x, time, event)
    found = fit_dense(part, 0, 0.2, NOTHING)
    other = CoxPHSurvivalAnalysis(alpha=0.2 * N)
    other.fit(x.numpy(), Surv.from_arrays(event.numpy(), time.numpy()))
    np.testing.assert_allclose(found.effect.numpy(), other.coef_, atol=2e-3)


def test_the_svd_of_a_product_is_the_same_for_more_columns_than_patients() -> None:
    generator = torch.Generator().manual_seed(2)
    a, b = (torch.randn(7, width, generator=generator).double() for width in (12, 5))
    u, values, v = svd_of_product(a, b)
    torch.testing.assert_close(u @ torch.diag(values) @ v, a.T @ b)
    torch.testing.assert_close(values, torch.linalg.svdvals(a.T @ b)[:5])
    torch.testing.assert_close(u.T @ u, torch.eye(5).double())


def test_no_effect_at_all_can_be_recorded() -> None:
    """JSON has no infinite penalty."""
    x, time, event = drawn()
    x[:, ~FREE] = 0.0
    found, penalties = solved(x, time, event)
    assert not found.effect[~FREE].any()
    assert json.loads(json.dumps(penalties, allow_nan=False)) == {
        "l1_penalty": None,
        "ridge_penalty": None,
        "factor_penalty": None,
    }


def test_more_columns_of_noise_change_little() -> None:
    """The fault of a constant for single genes: what it did depended on their number."""
    x, time, event = drawn(n=400)
    few = x.clone()
    few[:, 3:20], few[:, 23:38] = 0.0, 0.0
    (narrow, _), (wide, _) = (solved(one, time, event, ()) for one in (few, x))
    for column in (0, 20, 38):
        ratio = float(wide.effect[column] / narrow.effect[column])
        assert 0.8 < ratio < 1.25


def model_solved(factor: float) -> tuple[SparseFactors, Tensor]:
    """A network solved on columns of which some are in other units, and what it says of them."""
    x, time, event = drawn()
    model = build("sparse_factors", shapes_of(10, (17,), 2, 1)).eval()
    assert isinstance(model, SparseFactors)
    columns = x.float().clone()
    columns[:, 20:38] = factor * columns[:, 20:38] + 7 * (factor - 1)
    has = torch.ones(N, 3, dtype=torch.bool)
    has[:9, 0] = False

    def loss(rows: Tensor, ratio: Tensor) -> Tensor:
        return partial_nll(ratio, time[rows], event[rows]) * event[rows].sum()

    described = model.solve(columns, has, loss, torch.arange(N) % 5)
    assert described["columns"]["omics"] == int((model.effects[20:38] != 0).sum()) > 0
    return model, model.standardised(columns, has) @ model.effects


def test_units_of_inputs_change_nothing() -> None:
    (one, risk), (other, again) = model_solved(1.0), model_solved(30.0)
    torch.testing.assert_close(other.scale[20:38], one.scale[20:38] / 30, rtol=1e-3, atol=0)
    torch.testing.assert_close(risk, again, atol=0.02, rtol=0)


def test_a_constant_column_and_nobody_with_a_modality() -> None:
    x, time, event = drawn()
    model = build("sparse_factors", shapes_of(10, (17,), 2, 1)).eval()
    assert isinstance(model, SparseFactors)
    columns, has = x.float().clone(), torch.ones(N, 3, dtype=torch.bool)
    columns[:, 5], has[:, 1] = 4.0, False

    def loss(rows: Tensor, ratio: Tensor) -> Tensor:
        return partial_nll(ratio, time[rows], event[rows]) * event[rows].sum()

    model.solve(columns, has, loss, torch.arange(N) % 5)
    assert model.scale[5] == 0 and not model.scale[20:38].any()
    assert not model.effects[20:38].any() and model.effects[0] > 0.2
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@pytest.mark.parametrize("events", [0, 1])
def test_without_events_nothing_has_an_effect(events: int) -> None:
    x, time, _ = drawn()
    event = torch.arange(N) < events
    found, _ = solved(x, time, event)
    assert torch.isfinite(found.effect).all()
    assert events or not found.effect.any()
