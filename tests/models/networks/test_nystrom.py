"""Self-attention: exact, approximate, masked, and batched without one patient touching another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from survfuse.models.networks.layers.nystrom import (
    NystromAttention,
    SelfAttention,
    exact_attention,
    iterative_pinv,
    landmark_means,
    nystrom_attention,
)


def prefix_mask(*lengths: int) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def heads(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    return parts[0], parts[1], parts[2]


def naive_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def test_landmarks_are_means_of_equal_stretches_of_real_tokens() -> None:
    x = torch.arange(12.0)[None, :, None].repeat(2, 1, 1)
    means = landmark_means(x, prefix_mask(12, 7), 4)[:, :, 0]
    assert means[0].tolist() == [1.0, 4.0, 7.0, 10.0]  # three each
    assert means[1].tolist() == [0.5, 2.5, 4.5, 6.0]  # tokens 0-1, 2-3, 4-5, 6


def test_garbage_in_padding_does_not_reach_landmarks() -> None:
    x = torch.ones(1, 10, 3)
    x[:, 6:] = 1e6
    assert torch.equal(landmark_means(x, prefix_mask(6, 10)[:1], 3), torch.ones(1, 3, 3))


def test_pseudo_inverse_converges() -> None:
    torch.manual_seed(0)
    a = torch.randn(2, 3, 6, 6, dtype=torch.float64).softmax(-1)
    z = iterative_pinv(a, iterations=40)
    torch.testing.assert_close(z, torch.linalg.pinv(a), atol=1e-6, rtol=1e-6)


def test_pseudo_inverse_of_a_patient_ignores_the_rest_of_the_batch() -> None:
    torch.manual_seed(0)
    a = torch.randn(2, 4, 8, 8).softmax(-1)
    other = torch.eye(8).expand(1, 4, 8, 8)
    together = iterative_pinv(torch.cat([a[:1], other]))
    torch.testing.assert_close(together[:1], iterative_pinv(a[:1]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("tokens", [40, 1100])  # 1100: more scores than SMALL_TABLE
def test_half_precision_attends_as_double_precision_does(tokens: int) -> None:
    q, k, v = heads(2, 2, tokens, 16)
    exact = naive_attention(q[1:], k[1:, :, :-3], v[1:, :, :-3])
    mask = prefix_mask(tokens, tokens - 3)
    found = exact_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), mask)[1:]
    torch.testing.assert_close(found.double(), exact, atol=0.03, rtol=0)


def test_landmarks_equal_to_tokens_give_exact_attention() -> None:
    q, k, v = heads(1, 2, 12, 4)
    exact = naive_attention(q, k, v)
    errors = [
        (nystrom_attention(q, k, v, q, k, None, iterations) - exact).abs().max().item()
        for iterations in (3, 6, 40)
    ]
    assert errors[2] < 1e-10 < errors[1] < errors[0]


def test_product_from_the_right_equals_the_textbook_order() -> None:
    q, k, v = heads(2, 4, 200, 8)
    q_marks, k_marks = q[:, :, ::10], k[:, :, ::10]
    scale = 8**-0.5
    first = (q @ k_marks.transpose(-1, -2) * scale).softmax(-1)
    middle = (q_marks @ k_marks.transpose(-1, -2) * scale).softmax(-1)
    last = (q_marks @ k.transpose(-1, -2) * scale).softmax(-1)
    expected = (first @ iterative_pinv(middle)) @ (last @ v)
    found = nystrom_attention(q, k, v, q_marks, k_marks, None)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_exact_attention_ignores_padded_keys() -> None:
    q, k, v = heads(2, 2, 5, 4)
    found = exact_attention(q, k, v, prefix_mask(5, 3))
    torch.testing.assert_close(found[0], naive_attention(q, k, v)[0])
    torch.testing.assert_close(found[1], naive_attention(q, k[:, :, :3], v[:, :, :3])[1])


def test_layer_equals_the_published_form_where_that_needs_no_padding() -> None:
    """1280 tokens are ten per landmark, so the published layer pads nothing either."""
    torch.manual_seed(0)
    layer = NystromAttention(32).double().eval()
    x = torch.randn(1, 1280, 32, dtype=torch.float64)
    q, k, v = (part.view(1, 1280, 8, 4).transpose(1, 2) for part in layer.qkv(x).split(32, dim=-1))
    q = q * 4**-0.5
    q_marks, k_marks = (part.view(1, 8, 128, 10, 4).mean(3) for part in (q, k))
    first = (q @ k_marks.transpose(-1, -2)).softmax(-1)
    middle = (q_marks @ k_marks.transpose(-1, -2)).softmax(-1)
    last = (q_marks @ k.transpose(-1, -2)).softmax(-1)
    mixed = first @ iterative_pinv(middle) @ last @ v + layer.local(v)
    expected = layer.out(mixed.transpose(1, 2).flatten(2))
    found = layer(x, prefix_mask(1280))
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)


def test_short_bags_are_attended_exactly() -> None:
    torch.manual_seed(0)
    layer = NystromAttention(16).eval()
    plain = SelfAttention(16).eval()
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if k != "local.weight"})
    torch.nn.init.zeros_(layer.local.weight)
    x, mask = torch.randn(2, 40, 16), prefix_mask(40, 25)
    found, expected = layer(x, mask), plain(x, mask)
    torch.testing.assert_close(found[mask], expected[mask], atol=1e-6, rtol=0)


def test_approximation_stays_close_to_exact_attention_at_the_switch() -> None:
    torch.manual_seed(0)
    layer = NystromAttention(32, landmarks=16, exact_up_to=64).eval()
    torch.nn.init.zeros_(layer.local.weight)
    x = torch.randn(1, 64, 32).cumsum(dim=1) / 8  # neighbours are alike, as on a slide
    mask = torch.ones(1, 64, dtype=torch.bool)
    exact = layer(x, mask)
    layer.exact_up_to = 63
    difference = (layer(x, mask) - exact).norm() / exact.norm()
    assert 0 < difference.item() < 0.1


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("length", [30, 100])
def test_first_rows_alone_equal_those_of_the_whole(length: int, rows: int) -> None:
    torch.manual_seed(0)
    layer = NystromAttention(16, landmarks=8, exact_up_to=64).eval()
    x, mask = torch.randn(1, length, 16), torch.ones(1, length, dtype=torch.bool)
    torch.testing.assert_close(layer(x, mask, rows), layer(x, mask)[:, :rows], atol=1e-6, rtol=0)


def test_mixed_batch_equals_one_by_one() -> None:
    torch.manual_seed(0)
    layer = NystromAttention(16, landmarks=8, exact_up_to=32).eval()
    lengths = (5, 32, 33, 90)
    mask = prefix_mask(*lengths)
    x = torch.randn(4, 90, 16)
    together = layer(x, mask)
    for row, n in enumerate(lengths):
        alone = layer(x[row : row + 1, :n], mask[row : row + 1, :n])
        torch.testing.assert_close(together[row, :n], alone[0], atol=1e-6, rtol=0)


def test_garbage_in_padding_reaches_no_real_token() -> None:
    torch.manual_seed(0)
    layer = NystromAttention(16, landmarks=8, exact_up_to=32).eval()
    mask = prefix_mask(20, 50)
    x = torch.randn(2, 50, 16)
    changed = torch.where(mask[:, :, None], x, 1e3)
    assert torch.equal(layer(x, mask)[mask], layer(changed, mask)[mask])


def test_refuses_impossible_sizes() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        SelfAttention(20)
    with pytest.raises(ValueError, match="below the 128 landmarks"):
        NystromAttention(16, exact_up_to=100)
