"""GroupedLinear against as many separate linear layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from survfuse.models.networks.layers.grouped import GroupedLinear, padded_layout

BLCA = [94, 334, 521, 468, 1496, 479]
PATHWAYS = [1 + (37 * group) % 199 for group in range(331)]


def separate(layer: GroupedLinear) -> list[nn.Linear]:
    """The same parameters as one nn.Linear per group."""
    layers = []
    for block, bias in zip(layer.weight.split(layer.widths), layer.bias, strict=True):
        linear = nn.Linear(len(block), len(bias)).to(block.dtype)
        linear.weight.data, linear.bias.data = block.T.clone(), bias.clone()
        layers.append(linear)
    return layers


@pytest.mark.parametrize(
    "widths", [BLCA, PATHWAYS, [5], [4, 4, 4], [1, 1, 9, 1]], ids=lambda w: str(len(w))
)
def test_equals_separate_layers_forward_and_backward(widths: list[int]) -> None:
    torch.manual_seed(0)
    layer = GroupedLinear(widths, 16).double()
    nn.init.normal_(layer.bias)
    layers = separate(layer)
    packed = torch.randn(3, sum(widths), dtype=torch.float64, requires_grad=True)
    expected = torch.stack(
        [linear(part) for linear, part in zip(layers, packed.split(widths, 1), strict=True)], 1
    )
    found = layer(packed)
    assert found.shape == (3, len(widths), 16)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)

    weights = torch.randn_like(expected)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), packed, retain_graph=True)
    (expected * weights).sum().backward()
    packed.grad = None
    (found * weights).sum().backward()
    torch.testing.assert_close(packed.grad, wanted, atol=1e-10, rtol=0)
    stacked = torch.cat([linear.weight.grad.T for linear in layers])
    torch.testing.assert_close(layer.weight.grad, stacked, atol=1e-10, rtol=0)
    biases = torch.stack([linear.bias.grad for linear in layers])
    torch.testing.assert_close(layer.bias.grad, biases, atol=1e-10, rtol=0)


def test_single_precision_is_within_a_millionth() -> None:
    torch.manual_seed(0)
    layer = GroupedLinear(BLCA, 64)
    packed = torch.randn(2, sum(BLCA))
    expected = torch.stack(
        [f(part) for f, part in zip(separate(layer), packed.split(BLCA, 1), strict=True)], 1
    )
    scale = expected.abs().max()
    assert ((layer(packed) - expected).abs().max() / scale).item() < 1e-6


def test_parameter_count_is_that_of_separate_layers() -> None:
    layer = GroupedLinear(BLCA, 1024)
    assert sum(p.numel() for p in layer.parameters()) == 1024 * (sum(BLCA) + len(BLCA))
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_each_group_is_initialised_for_its_own_width() -> None:
    torch.manual_seed(0)
    layer = GroupedLinear([10, 1000], 200)
    narrow, wide = layer.weight.split([10, 1000])
    assert narrow.std().item() == pytest.approx((2 / 210) ** 0.5, rel=0.1)
    assert wide.std().item() == pytest.approx((2 / 1200) ** 0.5, rel=0.02)
    assert not layer.bias.any()


def test_one_group_does_not_leak_into_another() -> None:
    torch.manual_seed(0)
    layer = GroupedLinear(PATHWAYS, 8)
    packed = torch.randn(1, sum(PATHWAYS))
    changed = packed.clone()
    start = sum(PATHWAYS[:100])
    changed[:, start : start + PATHWAYS[100]] += 100.0
    differs = (layer(packed) != layer(changed)).any(dim=2)[0]
    assert differs.nonzero().flatten().tolist() == [100]


@pytest.mark.parametrize(("widths", "most"), [(BLCA, 4), (PATHWAYS, 9)])
def test_layout_has_few_products_and_bounded_padding(widths: list[int], most: int) -> None:
    buckets, columns, _ = padded_layout(widths)
    assert len(buckets) <= most
    assert len(columns) <= 2 * sum(widths)
    assert sorted(columns[columns >= 0].tolist()) == list(range(sum(widths)))


@pytest.mark.parametrize("widths", [[], [3, 0]])
def test_empty_groups_are_refused(widths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one column"):
        GroupedLinear(widths, 4)
