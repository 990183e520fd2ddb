"""Attribution maps of volumes: integrated gradients, summed over blocks of the grid.

Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017. The path runs from the
mean volume of the patients whom the model was fitted on to the patient's own, so that the map says
what differs from an average brain and how much that moved the probability.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from survfuse.artifacts.saliency import BLOCK, write_saliency
from survfuse.config.study import Config
from survfuse.core.device import choose_device
from survfuse.core.errors import UserInputError
from survfuse.explain.attribution import frozen
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.registry import VOLUMES
from survfuse.modalities.volumes.measures import read_voxels
from survfuse.modalities.volumes.modality import paths_of
from survfuse.models.classical.average import is_average
from survfuse.models.networks.interface import Batch, FusionModel
from survfuse.models.specs import find_model, spec_of
from survfuse.tasks.diagnosis.learning.networks import diagnose_neural
from survfuse.training.ensemble import Ensemble, ensemble
from survfuse.training.predict import read_matching, tested_folds

log = logging.getLogger(__name__)

Voxels = NDArray[np.float32]
Map = NDArray[np.float64]

STEPS = 8  # points of Gauss-Legendre quadrature along the path
METHOD = (
    f"integrated gradients of the probability from the mean training brain to the patient's, "
    f"summed over blocks of {BLOCK}x{BLOCK}x{BLOCK} voxels, mean over the ensemble"
)


def map_volumes(
    config: Config,
    name: str,
    fold_directories: Sequence[Path],
    paths: InputPaths,
    models_directory: Path,
    out: Path,
    device: str = "auto",
) -> None:
    """Write out-of-fold maps of the volumes of patients who get a page.

    Of the first repeat. Raises UserInputError for a row that is no network or reads no volumes.
    """
    model = find_model(config, name)
    images = [image for image in spec_of(model).reads if image in VOLUMES]
    if not spec_of(model).network or not images:
        raise UserInputError(f"models.{name}: {model.kind} is no network that reads volumes")
    chosen = choose_device(device)
    maps: dict[str, dict[str, Map]] = {}
    classes: dict[str, int] = {}
    for fold in tested_folds(config, name, fold_directories, paths, models_directory, device):
        patients = [patient for patient in fold.patient_ids if on_a_page(config, patient)]
        if fold.repeat or not patients:
            continue
        fitted = read_matching(name, fold.fitted)
        if is_average(fitted):
            continue
        team = ensemble(fitted, model, fold.inputs, patients, config.training, chosen)
        means = {image: mean_volume(fold.inputs, image, fold.patient_ids, team) for image in images}
        leading = leading_classes(diagnose_neural(team).probability)
        for row, patient in enumerate(patients):
            classes[patient] = leading[row]
            maps[patient] = maps_of(team, row, means, leading[row])
        log.info("%s: volumes of %d patients mapped", fold.fitted.fold_name, len(patients))
    write_saliency(out, maps, METHOD, classes)


def leading_classes(probability: NDArray[np.floating]) -> list[int]:
    """The class that the page of each patient leads with, from probabilities (n, K).

    Of two classes the second, as the question is yes or no; of more the most probable one.
    """
    if probability.shape[1] == 2:
        return [1] * len(probability)
    return [int(number) for number in probability.argmax(axis=1)]


def on_a_page(config: Config, patient_id: str) -> bool:
    """Whether the patient gets a page."""
    return config.report.patients == "all" or patient_id in config.report.patients


def mean_volume(
    inputs: CohortInputs, image: str, tested: Sequence[str], team: Ensemble
) -> Voxels | None:
    """Mean (V,) over everybody but the tested patients; None where nobody has any."""
    shape, kept = team.source.readers[image].shape.grid, set(tested)
    files = [
        path for patient, path in paths_of(inputs.stores.get(image)).items() if patient not in kept
    ]
    if shape is None or not files:
        return None
    total = np.zeros(int(np.prod(shape)))
    for path in files:
        total += read_voxels(path, shape)
    return (total / len(files)).astype(np.float32)


def maps_of(
    team: Ensemble, row: int, means: dict[str, Voxels | None], number: int = 1
) -> dict[str, Map]:
    """The maps (i, j, k) of the real volumes of one patient, by modality, for one class."""
    batch = team.source.batch([row]).to(team.device)
    found = {}
    for image, mean in means.items():
        shape = team.source.readers[image].shape.grid
        if shape is None or mean is None or not bool(batch.has(image)[0]):
            continue
        start = torch.from_numpy(mean).to(team.device)[None, None]
        total = sum(
            gradient_along(
                team.network(member), team.marginal_logits(), batch, image, start, number
            )
            for member in range(team.members)
        )
        moved = torch.as_tensor(total) / team.members * (batch.tokens[image] - start)
        found[image] = over_blocks(moved.reshape(shape).double().cpu().numpy())
    return found


def gradient_along(
    network: FusionModel, marginal: Tensor, batch: Batch, image: str, start: Tensor, number: int
) -> Tensor:
    """Mean gradient (1, 1, V) of the probability of a class along the path from `start`.

    The probability that is predicted: `marginal` (K,) are added to the logits, as there.
    """
    points, weights = np.polynomial.legendre.leggauss(STEPS)
    total = torch.zeros_like(start)
    with frozen(network), torch.enable_grad():
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            place = start + float(point) * (batch.tokens[image] - start)
            place = place.detach().requires_grad_(True)
            moved = replace(batch, tokens={**batch.tokens, image: place})
            logits = network(moved).logits.double() + marginal.to(start.device)
            probability = logits.softmax(dim=1)[0, number]
            (gradient,) = torch.autograd.grad(probability, place)
            total += float(weight) * gradient
    return total


def over_blocks(values: Map) -> Map:
    """Sums (i, j, k) over blocks of BLOCK voxels a side, the last ones of an axis smaller."""
    for axis, side in enumerate(values.shape):
        values = np.add.reduceat(values, np.arange(0, side, BLOCK), axis=axis)
    return values
