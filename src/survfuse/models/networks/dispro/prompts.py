"""DisPro's classes in words, or in learned vectors where there is no language model.

A class is an event status and a time bin: (event, k), the event happens in bin k, or (censored, k),
the patient is censored in it. Both forms give a vector per modality, status and bin.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from survfuse.models.networks.dispro.bert import Bert

MODALITIES = ("slides", "omics")
TEMPLATES = (
    "This is a pathology slide image from the patient with overall survival of",
    "These are gene expression profiles from the patient with overall survival of",
)
RISKS = ("high risk", "mid-high risk", "mid-low risk", "low risk")
OBSERVATIONS = (
    "short observation",
    "mid-short observation",
    "mid-long observation",
    "long observation",
)
LONGEST_TEXT = 256  # tokens


def class_names(n_bins: int) -> list[str]:
    """2 K names, first those of patients with the event, each from the first bin to the last.

    With four bins they are the published ones; else bins are numbered, the highest risk first.
    """
    if n_bins == len(RISKS):
        risks, observations = list(RISKS), list(OBSERVATIONS)
    else:
        risks = [f"risk level {n_bins - k} of {n_bins}" for k in range(n_bins)]
        observations = [f"observation length {k + 1} of {n_bins}" for k in range(n_bins)]
    return [f"dead: {name}" for name in risks] + [f"alive: {name}" for name in observations]


class Prototypes(nn.Module):
    """A learned vector per modality, status and bin, (2, 2, K, width), instead of encoded texts.

    They start as an ordinal code, the same for both modalities: u_c + v_0 + ... + v_k with
    orthonormal u and v, so that neighbouring bins are similar. Raises ValueError for a width below
    K + 2.
    """

    def __init__(self, width: int, n_bins: int) -> None:
        super().__init__()
        if width < n_bins + 2:
            raise ValueError(f"width must be at least {n_bins + 2} for {n_bins} time bins")
        axes = torch.linalg.qr(torch.randn(width, n_bins + 2)).Q.T
        code = axes[:2, None] + axes[2:].cumsum(dim=0)
        self.vectors = nn.Parameter(code.repeat(len(MODALITIES), 1, 1, 1))

    def forward(self, layers: nn.ModuleList) -> Tensor:  # noqa: ARG002
        """(2, 2, K, width); no language model is used."""
        vectors: Tensor = self.vectors
        return vectors


class Prompts(nn.Module):
    """Texts with learned context, read by a frozen language model.

    Each text is a sentence about the modality that ends in the name of the class. Behind its [CLS]
    come `context_length` learned vectors, one set per bin, shared by both statuses, that start as
    the sentence without a class; the class token of the language model, projected, stands for the
    class. Raises ValueError where the language model cannot read so many tokens.
    """

    def __init__(self, bert: Bert, n_bins: int, context_length: int) -> None:
        super().__init__()
        if context_length >= bert.longest:
            raise ValueError(
                f"context_length must be below {bert.longest}, the most the text encoder can read"
            )
        names, contexts = class_names(n_bins), []
        for modality, template in zip(MODALITIES, TEMPLATES, strict=True):
            texts, real = bert.embed([f"{template} {name}." for name in names], LONGEST_TEXT)
            self.register_buffer(f"{modality}_texts", texts, persistent=False)
            self.register_buffer(f"{modality}_real", real, persistent=False)
            start = bert.embed([template], context_length + 1, pad_to=context_length + 1)[0]
            contexts.append(start[:, 1:].expand(n_bins, -1, -1))
        self.contexts = nn.Parameter(torch.stack(contexts))
        width = bert.width
        self.projections = nn.Parameter(width**-0.5 * torch.randn(len(MODALITIES), width, width))

    def forward(self, layers: nn.ModuleList) -> Tensor:
        """(2, 2, K, width) by `layers`, those of the language model; 2 K texts at a time."""
        found = [
            self.read(
                self.get_buffer(f"{name}_texts"), self.get_buffer(f"{name}_real"), context, layers
            )
            for name, context in zip(MODALITIES, self.contexts, strict=True)
        ]
        encoded = torch.stack(found) @ self.projections
        return encoded.unflatten(1, (2, -1))

    @staticmethod
    def read(texts: Tensor, real: Tensor, context: Tensor, layers: nn.ModuleList) -> Tensor:
        """Class tokens (2 K, width) of texts (2 K, T, width) with contexts (K, M, width)."""
        context = context.repeat(2, 1, 1)
        x = torch.cat([texts[:, :1], context, texts[:, 1:]], dim=1)
        mask = torch.cat([real[:, :1], real.new_ones(context.shape[:2]), real[:, 1:]], dim=1)
        *first, last = layers
        for layer in first:
            x = layer(x, mask)
        token: Tensor = last(x, mask, rows=1)[:, 0]
        return token
