"""Self-attention over a bag: exact while that is cheap, the Nyström approximation beyond.

Xiong et al., "Nyströmformer", AAAI 2021, equations 13-16, per patient and with masked padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from survfuse.models.networks.layers.bernoulli_dropout import BernoulliDropout

SMALL_TABLE = 2**20  # scores of one head that fit into the caches


class SelfAttention(nn.Module):
    """Exact multi-head softmax attention: (B, n, width) -> (B, n, width), padding never a key."""

    def __init__(self, width: int, heads: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of {heads}, the number of heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.dropout = BernoulliDropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, rows: int | None = None) -> Tensor:
        """Attend from the first `rows` tokens (default: all) to all: (B, rows, width).

        mask: (B, n) bool, true where real; at least one true per row.
        """
        q, k, v = self.heads_of(x, rows)
        return self.project(exact_attention(q, k, v, mask))

    def heads_of(self, x: Tensor, rows: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, heads, rows, width / heads), and keys and values for all n tokens."""
        # Three products: the gradients of the parts of one would have to be put together first.
        to_q, to_k, to_v = self.qkv.weight.chunk(3)
        q, k, v = linear(x[:, :rows], to_q), linear(x, to_k), linear(x, to_v)
        return self.divide(q), self.divide(k), self.divide(v)

    def divide(self, x: Tensor) -> Tensor:
        """(B, n, width) -> (B, heads, n, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def project(self, mixed: Tensor) -> Tensor:
        return self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))


class NystromAttention(SelfAttention):
    """Self-attention plus a convolution of the values along the sequence.

    Bags of at most `exact_up_to` tokens get exact attention, which up to there costs no more than
    its approximation; longer ones the Nyström form with `landmarks` landmarks, each the mean of an
    equal stretch of the sequence. Which form a patient gets depends on that patient alone. Real
    tokens must come first in every row.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        dropout: float = 0.1,
        *,
        landmarks: int = 128,
        taps: int = 33,
        exact_up_to: int = 1024,
    ) -> None:
        super().__init__(width, heads, dropout)
        if exact_up_to < landmarks:
            raise ValueError(f"exact_up_to {exact_up_to} is below the {landmarks} landmarks")
        self.landmarks = landmarks
        self.exact_up_to = exact_up_to
        self.local = nn.Conv2d(
            heads, heads, (taps, 1), padding=(taps // 2, 0), groups=heads, bias=False
        )

    def forward(self, x: Tensor, mask: Tensor, rows: int | None = None) -> Tensor:
        """As `SelfAttention.forward`."""
        keys = None if mask.all() else mask  # attention without a mask is faster
        if keys is not None:
            x = x * mask[:, :, None]  # the projection has no bias: values of padding are zero too
        q, k, v = self.heads_of(x, rows)
        long = mask.sum(dim=1) > self.exact_up_to
        if not long.any():
            mixed = exact_attention(q, k, v, keys)
        elif long.all():
            mixed = nystrom_attention(q, k, v, *self.landmarks_of(x, mask), keys)
        else:
            short, cut = ~long, self.exact_up_to
            mixed = torch.zeros_like(q)
            mixed[short, :, :cut] = exact_attention(
                q[short, :, :cut], k[short, :, :cut], v[short, :, :cut], mask[short, :cut]
            )
            landmarks = self.landmarks_of(x[long], mask[long])
            mixed[long] = nystrom_attention(q[long], k[long], v[long], *landmarks, mask[long])
        seen = v[:, :, : q.shape[2] + self.local.kernel_size[0] // 2]
        return self.project(mixed + self.local(seen)[:, :, : q.shape[2]])

    def landmarks_of(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of the landmarks, (B, heads, landmarks, width / heads) each."""
        # The mean of projections is the projection of the mean: there is no bias.
        q, k, _ = self.heads_of(landmark_means(x, mask, self.landmarks), None)
        return q, k


def exact_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for (B, heads, n, d), keys limited to mask (B, n)."""
    keys = None if mask is None else mask[:, None, None, :]
    if q.dtype == torch.bfloat16 and q.is_cpu and q.shape[-2] * k.shape[-2] <= SMALL_TABLE:
        # Matrix products gain from bf16 on a CPU, the fused kernel does not.
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if keys is not None:
            scores = scores.masked_fill(~keys, -torch.inf)
        return scores.softmax(dim=-1) @ v
    return scaled_dot_product_attention(q, k, v, attn_mask=keys)


def nystrom_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_marks: Tensor,
    k_marks: Tensor,
    mask: Tensor | None,
    iterations: int = 6,
) -> Tensor:
    """A1 pinv(A2) A3 v, multiplied from the right so that nothing is n x n.

    A1 = softmax(q k_marks^T), A2 = softmax(q_marks k_marks^T), A3 = softmax(q_marks k^T), all over
    sqrt(d); the pseudo-inverse by `iterations` steps of a cubic iteration.
    """
    middle = (q_marks @ k_marks.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    summary = iterative_pinv(middle, iterations) @ exact_attention(q_marks, k, v, mask)
    return exact_attention(q, k_marks, summary, None)


def iterative_pinv(a: Tensor, iterations: int = 6) -> Tensor:
    """Approximate pseudo-inverse of (B, heads, m, m), scaled per patient.

    Razavi et al. 2014, as used by the Nyströmformer: z <- z (13 - y (15 - y (7 - y))) / 4, y = a z.
    The starting scale is a maximum over heads but never over patients: a batch would otherwise
    change the result of each of its members.
    """
    scale = a.abs().sum(-1).amax((1, 2)) * a.abs().sum(-2).amax((1, 2))
    z = (a.mT / scale[:, None, None, None]).flatten(0, 1)
    given = a.flatten(0, 1)
    for _ in range(iterations):
        y = given @ z
        inner = torch.baddbmm(y, y, y, beta=7, alpha=-1)  # y (7 - y)
        outer = torch.baddbmm(y, y, inner, beta=15, alpha=-1)  # y (15 - inner)
        z = torch.baddbmm(z, z, outer, beta=13 / 4, alpha=-1 / 4)
    return z.view_as(a)


def landmark_means(x: Tensor, mask: Tensor, landmarks: int) -> Tensor:
    """Means of `landmarks` equal stretches of the real tokens: (B, n, d) -> (B, landmarks, d).

    Real tokens come first in each row and there are at least as many as landmarks.
    """
    batch, n, _ = x.shape
    lengths = mask.sum(dim=1, keepdim=True)
    stretch = torch.arange(n, device=x.device) * landmarks // lengths
    stretch = stretch.clamp(max=landmarks)  # padding: one stretch more, which is let go of below
    place = (stretch + (landmarks + 1) * torch.arange(batch, device=x.device)[:, None]).flatten()
    counts = place.bincount(minlength=batch * (landmarks + 1)).clamp(min=1)
    sums = x.new_zeros(len(counts), x.shape[-1]).index_add(0, place, x.flatten(0, 1))
    return (sums / counts[:, None]).unflatten(0, (batch, landmarks + 1))[:, :-1]
