"""TransMIL: self-attention among the tiles of the slides, nothing else.

Shao et al., "TransMIL: Transformer based Correlated Multiple Instance Learning for Whole Slide
Image Classification", NeurIPS 2021. docs/reference/models.md lists what differs and why.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch, FusionModel, Output, Shapes
from survfuse.models.networks.layers.attention_shares import mean_shares
from survfuse.models.networks.layers.bags import arrange, with_null
from survfuse.models.networks.layers.token_encoder import TokenEncoder, take

LANDMARKS = 256  # half the published width


class TransMIL(FusionModel):
    """Tiles -> `width` each, two attention layers with a grid convolution between -> bins.

    The class token carries the summary. A patient without slides gets a learned tile, zero at the
    start, as the only one. Raises ValueError for data without slides, and for a width that is not a
    multiple of 8.
    """

    def __init__(self, shapes: Shapes, *, width: int = 512, attention_dropout: float = 0.1) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(shapes.dim("slides"), width), nn.ReLU())
        self.null = nn.Parameter(torch.zeros(width))
        self.encode = TokenEncoder(width, attention_dropout, on_grid=True, landmarks=LANDMARKS)
        nn.init.normal_(self.encode.cls)
        self.head = nn.Linear(width, shapes.n_bins)

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        """See Batch and Output."""
        real = batch.real("slides")
        order, grid = arrange(real, batch.coords.get("slides"))
        tiles = self.embed(take(batch.values("slides"), order))
        tiles, mask = with_null(tiles, real.gather(1, order), self.null)
        tokens = self.encode.first_layer(tiles, mask, grid)
        summary = self.encode.last_layer(tokens, mask, rows=1)[:, 0]
        logits, embeddings = self.head(summary), {"slides": summary}
        if not attention:
            return Output(logits, embeddings=embeddings)
        ordered = self.class_shares(tokens, mask)
        shares = torch.zeros_like(ordered).scatter(1, order, ordered)
        return Output(logits, embeddings=embeddings, attention={"slides": shares * real})

    def class_shares(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, N) share of each tile in what the class token sees of the tiles in the last layer.

        Always the exact softmax, also where the layer itself approximates it.
        """
        seen = self.encode.second_norm(tokens)
        q, k, _ = self.encode.second.heads_of(seen, 1)
        return mean_shares(q, k[:, :, 1:], mask)
