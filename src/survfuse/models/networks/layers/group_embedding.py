"""Each gene group as one token."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import elu

from survfuse.models.networks.interface import Shapes
from survfuse.models.networks.layers.grouped import GroupedLinear


class GroupEmbedding(nn.Module):
    """Two layers with ELU and AlphaDropout per gene group: packed (B, W) -> (B, K, width).

    Raises ValueError for data without gene groups.
    """

    def __init__(self, shapes: Shapes, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        shapes.dim("omics")
        self.first = GroupedLinear(shapes.groups("omics"), hidden)
        self.second = GroupedLinear([hidden] * len(shapes.groups("omics")), width)
        self.dropout = nn.AlphaDropout(dropout)

    def forward(self, packed: Tensor) -> Tensor:
        hidden = self.dropout(elu(self.first(packed)))
        return self.dropout(elu(self.second(hidden.flatten(1))))
