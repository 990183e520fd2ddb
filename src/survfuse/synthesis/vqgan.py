"""The generator of ITCFN: a vector-quantised autoencoder that learns against a discriminator.

Networks are MONAI's VQVAE and PatchDiscriminator; at the published sizes they are the published
networks. The losses are the published ones but for two: the least squares of the discriminator
are taken without an activation before them (with one, its answer cannot reach its aim), and the
perceptual loss, whose network would have to be downloaded, is the match of the discriminator's
feature maps (pix2pixHD, arXiv:1711.11585, eq. 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from survfuse.config.synthesis import VQGANConfig
from survfuse.synthesis.generator import Generator, PairBatch, cut_to, masked_l1, padded

COMMITMENT = 0.25
CODEBOOK_DECAY = 0.5
HALVING = (2, 4, 1, 1)  # stride, kernel, dilation, padding
DOUBLING = (2, 4, 1, 1, 0)  # and output padding


class VQGAN(Generator):
    """Decodes the target from codes of a codebook, given the source."""

    def __init__(self, settings: VQGANConfig, checkpointing: bool = False) -> None:
        from monai.networks.nets import VQVAE, PatchDiscriminator

        super().__init__()
        self.settings = settings
        levels = len(settings.channels)
        self.multiple = 2**levels
        self.network = VQVAE(
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
            channels=settings.channels,
            num_res_layers=2,
            num_res_channels=[settings.residual_channels] * levels,
            downsample_parameters=(HALVING,) * levels,
            upsample_parameters=(DOUBLING,) * levels,
            num_embeddings=settings.codes,
            embedding_dim=settings.code_width,
            commitment_cost=COMMITMENT,
            decay=CODEBOOK_DECAY,
            ddp_sync=False,
            use_checkpointing=checkpointing,
        )
        self.discriminator = PatchDiscriminator(
            spatial_dims=3,
            channels=settings.discriminator_channels,
            in_channels=1,
            num_layers_d=settings.discriminator_layers,
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return self.reconstructed(inputs)[0]

    def loss(self, batch: PairBatch) -> Tensor:
        """Error within the mask and commitment to the codebook; the adversary left out."""
        made, commitment = self.reconstructed(batch.inputs)
        return masked_l1(made.float(), batch) + commitment

    def reconstructed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The target and the commitment loss, from the source alone as published."""
        made, commitment = self.network(padded(inputs[:, :1], self.multiple))
        return cut_to(made, inputs), commitment

    def optimisers(self, learning_rate: float) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.AdamW(part.parameters(), lr=learning_rate, weight_decay=1e-4, fused=True)
            for part in (self.network, self.discriminator)
        ]

    def step(
        self, batch: PairBatch, epoch: int, optimisers: Sequence[torch.optim.Optimizer]
    ) -> dict[str, float]:
        """The generator's step against a frozen discriminator, then the discriminator's."""
        self.start_codebook(batch.inputs)
        settings, adversarial = self.settings, epoch >= self.settings.adversarial_epoch
        shown: dict[str, float] = {}
        with self.arithmetic(batch):
            made, commitment = self.reconstructed(batch.inputs)
            # Outside the brain there is nothing to discriminate.
            made = made.float() * batch.mask + batch.target * (1 - batch.mask)
            loss = masked_l1(made, batch) + commitment
            if adversarial:
                against, features = self.scored(made, batch)
                loss = loss + settings.adversarial_weight * against
                loss = loss + settings.feature_weight * features
                shown |= {
                    "adversarial": float(against.detach()),
                    "features": float(features.detach()),
                }
        optimisers[0].zero_grad()
        loss.backward()
        optimisers[0].step()
        if adversarial:
            shown["discriminator"] = self.discriminator_step(made.detach(), batch, optimisers[1])
        shown["perplexity"] = float(self.network.quantizer.perplexity)
        return {"loss": float(loss.detach()), **shown}

    @torch.no_grad()
    def start_codebook(self, inputs: Tensor) -> None:
        """Before the first step, take the codes from the output of the encoder.

        Codes far from all of it would never be chosen, and all voxels get the same code.
        """
        book = self.network.quantizer.quantizer
        if book.ema_cluster_size.sum() > 0:
            return
        predicted = self.network.encode(padded(inputs[:, :1], self.multiple)).float()
        predicted = predicted.movedim(1, -1).reshape(-1, predicted.shape[1])
        chosen = predicted[
            torch.randint(len(predicted), (book.num_embeddings,), device=predicted.device)
        ]
        book.embedding.weight.copy_(chosen)
        book.ema_w.copy_(chosen)
        book.ema_cluster_size.fill_(1.0)

    def scored(self, made: Tensor, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Adversarial loss and feature match of the generator; the discriminator is frozen."""
        with frozen(self.discriminator):
            fake = self.discriminator(made)
            with torch.no_grad():
                real = self.discriminator(batch.target)
            return least_squares(fake[-1], 1.0), feature_match(fake[:-1], real[:-1])

    def discriminator_step(
        self, made: Tensor, batch: PairBatch, optimiser: torch.optim.Optimizer
    ) -> float:
        """One step of the discriminator on a made volume, whose generator gets no gradient."""
        with self.arithmetic(batch):
            fake = least_squares(self.discriminator(made)[-1], 0.0)
            real = least_squares(self.discriminator(batch.target)[-1], 1.0)
            loss = (fake + real) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())


def least_squares(answer: Tensor, aim: float) -> Tensor:
    """Least-squares loss of a discriminator's answer, without an activation: -1 against 1 is 4."""
    return (answer.float() - aim).square().mean()


def feature_match(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of feature maps, averaged over layers."""
    return torch.stack(
        [(a.float() - b.float()).abs().mean() for a, b in zip(fake, real, strict=True)]
    ).mean()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within it a module gets no gradients, though they pass through it."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
