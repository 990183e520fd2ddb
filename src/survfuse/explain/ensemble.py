"""Explaining the ensemble of a fold: attributions, permuted modalities, agreement of attention.

No outcome is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from survfuse.artifacts.explanations import FoldExplanation
from survfuse.explain.attribution import attribute, by_part, risk_of, to_numpy
from survfuse.explain.exchange import DRAWS, cyclic_permutation
from survfuse.models.networks.interface import Batch
from survfuse.statistics.stability import member_agreement
from survfuse.training.tokens import TokenSource, read_weights


@dataclass(frozen=True)
class ExplainSettings:
    """How much work goes into explaining one patient with one member.

    steps: points of the path of integrated gradients, each a pass there and back. draws: other
    patients whose modality is put in place of the own, each a prediction. max_tiles: larger bags
    are reduced to as many tiles, drawn as in training. batch_size: patients at a time.
    """

    steps: int = 16
    draws: int = DRAWS
    max_tiles: int = 512
    batch_size: int = 16
    seed: int = 0


def explain_fold(
    networks: Iterable[nn.Module],
    source: TokenSource,
    rows: Sequence[int],
    marginal: Tensor | None,
    parts: Mapping[str, Mapping[str, int]],
    repeat: int,
    fold: int,
    settings: ExplainSettings,
) -> FoldExplanation:
    """Explain the ensemble of one fold, one network at a time.

    marginal: see `risk_of`. parts: what to attribute the risk to, for "omics" gene group -> width
    in packed order, for "clinical" covariate -> number of its columns; modalities that the model
    does not read are passed over. The risk of an ensemble is the mean over its members; so are
    its attributions and permuted risks, because they are linear in the risk.
    """
    attributed = [name for name in parts if name in source.modalities]
    attributions, permuted, attended = [], [], []
    for network in networks:
        device = next(network.parameters()).device
        batches = cut(source, rows, settings, device)
        attributions.append(attribute(network, batches, attributed, marginal, settings.steps))
        permuted.append(permuted_risks(network, source, rows, marginal, settings))
        attended.append(attention_weights(network, cut(source, rows, settings, device)))
    members = {
        name: np.stack([by_part(one.columns[name], parts[name]) for one in attributions])
        for name in attributed
    }
    return FoldExplanation(
        repeat=repeat,
        fold=fold,
        members=len(attributions),
        patient_ids=tuple(source.patient_ids[row] for row in rows),
        risk=np.mean([one.risk for one in attributions], axis=0),
        at_average=np.mean([one.at_average for one in attributions], axis=0),
        names={name: tuple(parts[name]) for name in attributed},
        attribution={name: values.mean(axis=0) for name, values in members.items()},
        same_sign={name: same_sign(values) for name, values in members.items()},
        permuted={name: np.mean([one[name] for one in permuted], axis=0) for name in permuted[0]},
        group_attention=mean_weights(
            [one.get("groups", [np.zeros(0)] * len(rows)) for one in attended]
        ),
        attention_agreement={
            name: np.array([member_agreement(own) for own in zip(*every, strict=True)])
            for name in attended[0]
            if (every := [one[name] for one in attended])
        },
    )


def same_sign(members: np.ndarray) -> np.ndarray:
    """Share of members (members, n, parts) with the sign of their mean; NaN for a single one."""
    mean = members.mean(axis=0)
    share = (np.sign(members) == np.sign(mean)).mean(axis=0)
    return np.where(np.isnan(mean) | (len(members) < 2), np.nan, share)


def mean_weights(members: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Mean over the members of K weights per patient, (n, K); NaN for patients with none."""
    width = max(len(weights) for weights in members[0])
    mean = np.full((len(members[0]), width), np.nan)
    for row, own in enumerate(zip(*members, strict=True)):
        if len(own[0]):
            mean[row] = np.mean(own, axis=0)
    return mean


@torch.inference_mode()
def permuted_risks(
    network: nn.Module,
    source: TokenSource,
    rows: Sequence[int],
    marginal: Tensor | None,
    settings: ExplainSettings,
) -> dict[str, np.ndarray]:
    """Risk of each patient with one modality taken from another who has it: m -> (draws, n).

    NaN for patients without the modality; a modality that fewer than two have is left out. The
    draws depend on the seed, the modality and who has it alone: ensemble members share them.
    """
    network.eval()
    device = next(network.parameters()).device
    available = source.available[list(rows)]
    permuted = {}
    for column, modality in enumerate(source.modalities):
        present = np.flatnonzero(available[:, column])
        if len(present) < 2:
            continue
        risks = np.full((settings.draws, len(rows)), np.nan)
        for draw in range(settings.draws):
            receivers, donors = cyclic_permutation(present, (settings.seed, draw), modality)
            pairs = zip(
                cut(source, [rows[i] for i in receivers], settings, device),
                cut(source, [rows[i] for i in donors], settings, device),
                strict=True,
            )
            mixed = [network(with_modality_of(own, other, modality)).logits for own, other in pairs]
            risks[draw, receivers] = to_numpy(risk_of(torch.cat(mixed), marginal))
        permuted[modality] = risks
    return permuted


def with_modality_of(batch: Batch, other: Batch, modality: str) -> Batch:
    """The batch with one modality of another batch; the patients of both have it."""

    def replaced(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: (theirs if name == modality else own)[name] for name in own}

    return replace(
        batch,
        tokens=replaced(batch.tokens, other.tokens),
        mask=replaced(batch.mask, other.mask),
        coords=replaced(batch.coords, other.coords),
    )


@torch.inference_mode()
def attention_weights(network: nn.Module, batches: Iterable[Batch]) -> dict[str, list[np.ndarray]]:
    """Attention of every patient: "slides" on the tiles read, "groups"; empty where absent."""
    network.eval()
    weights: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        for name, values in network(batch, attention=True).attention.items():
            weights.setdefault(name, []).extend(read_weights(batch, name, values))
    return weights


def cut(
    source: TokenSource, rows: Sequence[int], settings: ExplainSettings, device: torch.device
) -> Iterator[Batch]:
    """The patients in order, a few at a time; the same tiles of each whoever is beside."""
    for start in range(0, len(rows), settings.batch_size):
        chosen = list(rows[start : start + settings.batch_size])
        yield source.batch(chosen, settings.max_tiles, (settings.seed,)).to(device)
