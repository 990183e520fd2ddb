"""Which genes and covariates move the risk that a network assigns: integrated gradients.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, by Captum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from survfuse.models.networks.interface import Batch
from survfuse.tasks.survival.hazards import risk_from_logits


@dataclass(frozen=True)
class Attribution:
    """Integrated gradients of the risk of n patients.

    columns[m]: (n, width) for each attributed modality, NaN for patients without it. risk (n,): of
    the patients. at_average (n,): with the average training patient's values in these modalities.
    All columns of a patient sum to risk - at_average, up to the error of the integration.
    """

    columns: dict[str, np.ndarray]
    risk: np.ndarray
    at_average: np.ndarray


def risk_of(logits: Tensor, marginal: Tensor | None) -> Tensor:
    """(B, K) logits of a network -> (B,) risk, higher is worse.

    K > 1: minus the sum of the survival curve of the logits added to the `marginal` ones (K,).
    K = 1: the log-hazard ratio itself; `marginal` is not needed.
    """
    if logits.shape[1] == 1:
        return logits[:, 0]
    assert marginal is not None, "logits of hazards are relative to the marginal ones"
    return risk_from_logits(logits + marginal.to(logits))


def attribute(
    network: nn.Module,
    batches: Iterable[Batch],
    modalities: Sequence[str],
    marginal: Tensor | None,
    steps: int,
) -> Attribution:
    """Attribute the risk of all patients to the columns of modalities of one token.

    The path runs from zero, which is the average training patient because columns are
    standardised, to the patient, in all of the modalities at once, with `steps` points of
    Gauss-Legendre quadrature. Everything else, slides above all, is held as it is.
    """
    columns: dict[str, list[np.ndarray]] = {modality: [] for modality in modalities}
    risks, averages = [], []
    with frozen(network):
        for batch in batches:
            vectors = tuple(batch.values(modality) for modality in modalities)
            zeros = tuple(torch.zeros_like(vector) for vector in vectors)
            risk_at = RiskOfVectors(network, batch, tuple(modalities), marginal)
            risks.append(to_numpy(risk_at(*vectors)))
            averages.append(to_numpy(risk_at(*zeros)))
            if not modalities:
                continue
            attributed = IntegratedGradients(risk_at).attribute(
                vectors,
                zeros,
                n_steps=steps,
                internal_batch_size=len(batch.available),  # one point of the path at a time
            )
            for modality, values in zip(modalities, attributed, strict=True):
                has = batch.has(modality)[:, None]
                columns[modality].append(to_numpy(torch.where(has, values[:, 0], torch.nan)))
    return Attribution(
        {modality: np.concatenate(parts) for modality, parts in columns.items()},
        np.concatenate(risks),
        np.concatenate(averages),
    )


@dataclass(frozen=True)
class RiskOfVectors:
    """The risk (B,) of a batch as a function of the tokens (B, 1, D) of some modalities."""

    network: nn.Module
    batch: Batch
    modalities: tuple[str, ...]
    marginal: Tensor | None

    def __call__(self, *vectors: Tensor) -> Tensor:
        tokens = {**self.batch.tokens, **dict(zip(self.modalities, vectors, strict=True))}
        risk = risk_of(self.network(replace(self.batch, tokens=tokens)).logits, self.marginal)
        for vector in vectors:
            # Captum refuses inputs that the result does not depend on.
            risk = risk + 0.0 * vector.sum(dim=(1, 2))
        return risk


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, and no gradients of weights: only paths from the inputs are recorded."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def by_part(columns: np.ndarray, parts: Mapping[str, int]) -> np.ndarray:
    """Sum columns (n, width) within consecutive parts, name -> number of columns: (n, parts).

    A gene that belongs to several groups has a column in each, and counts there with what it does
    there. Raises ValueError if the parts do not fit the columns.
    """
    widths = list(parts.values())
    if not widths or min(widths) < 1 or sum(widths) != columns.shape[1]:
        raise ValueError(f"parts of widths {widths} do not fit {columns.shape[1]} columns")
    return np.add.reduceat(columns, np.cumsum([0, *widths[:-1]]), axis=1)


def to_numpy(values: Tensor) -> np.ndarray:
    """A tensor as float64 on the CPU."""
    array: np.ndarray = values.detach().double().cpu().numpy()
    return array
