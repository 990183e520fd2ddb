"""The row `geneicl`: a network that was pretrained by others reads what the clinical model leaves.

GeneICL (the weights are in the Python package of that name, which the extra `icl` installs) was
trained on synthetic tables to regress in context: it is shown patients with their genes and a
number each, and says the numbers of others, without being trained again. The numbers are martingale
residuals of the clinical Cox model, the events of a patient less those expected of him. Its answers
are weighed beside the clinical log-hazard as members of the default stack are.

What it is shown is stored with the model: genes and residuals of the training patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from survfuse.artifacts.checkpoint import Arrays, FittedModel, ids_hash
from survfuse.artifacts.prediction import Prediction
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import MissingResourceError
from survfuse.core.files import sha256_file
from survfuse.modalities.registry import PATIENT_TABLE
from survfuse.models.classical.cox import CoxModel, breslow
from survfuse.models.classical.options import refuse_others
from survfuse.models.estimator import FitContext, NothingToLearnError, PredictContext
from survfuse.models.specs import spec_of
from survfuse.models.stacking.blocks import BlockColumns, BlockFeatures, fit_blocks, side_by_side
from survfuse.models.stacking.members import CROSS_FITS, fit_clinical
from survfuse.models.stacking.partial_likelihood import PartialLikelihood
from survfuse.models.stacking.residual_ridge import without_interactions
from survfuse.models.stacking.ridge_cox import stratified_folds
from survfuse.models.stacking.stack import described, on_diagonal
from survfuse.models.stacking.survfuse import outcomes_of
from survfuse.models.stacking.weights import StackWeights, fit_stack_weights, sets_of_modalities

if TYPE_CHECKING:
    import torch

GENES = "omics"
PARTS = ("clinical", "genes in context")
WEIGHTS = "trm_segmented8_s0.pt"
SHA256 = "52609d58f5bb71850998bce8623404166cd651fcac1d450516cbd4eda7c858da"
LEAST_SHOWN = 20  # patients with genes, without whom there is no context


@dataclass(frozen=True)
class Columns:
    """What is read of n patients: clinical variables (n, q) and genes (n, p), standardised.

    has: (n, 2) bool, who has any of either.
    """

    clinical: np.ndarray
    genes: np.ndarray
    has: np.ndarray

    @staticmethod
    def of(features: BlockFeatures, blocks: BlockColumns) -> Columns:
        """Those of blocks; q is 0 where there are no clinical variables."""
        places = {name: features.of(name) for name in (PATIENT_TABLE, GENES)}
        nothing = np.empty((len(blocks.has), 0))
        clinical, genes = (
            side_by_side([nothing, *(blocks.columns[place] for place in own)])
            for own in places.values()
        )
        has = [blocks.has[:, own].any(axis=1) for own in places.values()]
        return Columns(clinical, genes.astype(np.float32), np.stack(has, axis=1))


@dataclass(frozen=True)
class Context:
    """What the network is shown: genes (n, p) of training patients and their residuals (n,).

    coefficients: (q,) of the clinical Cox model that the residuals are of.
    """

    coefficients: np.ndarray
    genes: np.ndarray
    residuals: np.ndarray

    def scores(self, columns: Columns, network: torch.nn.Module) -> np.ndarray:
        """(n, 2) clinical log-hazards, and what the network says of the genes; 0 without any."""
        found = np.zeros((len(columns.has), len(PARTS)))
        found[:, 0] = columns.clinical @ self.coefficients
        asked = columns.has[:, 1]
        if asked.any():
            found[asked, 1] = in_context(network, self.genes, self.residuals, columns.genes[asked])
        return found


class GeneIcl:
    """The estimator of the row `geneicl`."""

    def check(self, config: Config, model: ModelConfig) -> None:
        """Refuse options, and a computer without the package."""
        refuse_others(model)
        weights_file(model.name)

    def fit(self, context: FitContext) -> tuple[Arrays, dict[str, Any]]:
        """Choose what is shown and how the answers are weighed; the network stays as it is.

        Validation patients are training patients like others. Raises NothingToLearnError where
        fewer than two patients have an event, or too few have genes.
        """
        reads = spec_of(context.model).reads
        time, event, seed = outcomes_of(context)
        features, blocks = without_interactions(
            *fit_blocks(context.inputs, context.patient_ids, reads, context.config)
        )
        columns, network = Columns.of(features, blocks), load_network(context)
        everybody = shown(columns, np.ones(len(time), dtype=bool), time, event)
        folds = stratified_folds(event, CROSS_FITS, seed)
        scores = np.empty((len(time), len(PARTS)))
        for fold in range(CROSS_FITS):
            without = shown(columns, folds != fold, time, event)
            scores[folds == fold] = without.scores(of_rows(columns, folds == fold), network)
        sets = sets_of_modalities([(PATIENT_TABLE,), (GENES,)])
        weights = fit_stack_weights(on_diagonal(scores), columns.has, time, event, sets)
        score = weights.contributions(on_diagonal(scores), columns.has).sum(axis=1)
        baseline = breslow(score, time, event)
        arrays = {
            **features.arrays(),
            "shown.coefficients": everybody.coefficients,
            "shown.genes": everybody.genes,
            "shown.residuals": everybody.residuals,
            **{f"weights.{name}": values for name, values in weights.arrays().items()},
            **{f"baseline.{name}": values for name, values in baseline.arrays().items()},
        }
        ids = ids_hash(context.patient_ids)
        return arrays, {
            **features.to_json(),
            "stack": described(PARTS, weights, scores),
            "pretrained": {"file": WEIGHTS, "sha256": SHA256},
            "patients_inside": len(everybody.residuals),
            "fitted_on": {"blocks": ids, "shown": ids, "weights": ids},
        }

    def predict(self, fitted: FittedModel, context: PredictContext) -> Prediction:
        """Log-hazards and curves, NaN beyond the follow-up of training."""
        features = BlockFeatures.from_stored(fitted.arrays, fitted.fit)
        blocks = features.transform(context.inputs, context.patient_ids, context.config)
        columns = Columns.of(features, blocks)
        weights = StackWeights.from_arrays(fitted.under("weights."))
        everybody = Context(**fitted.under("shown."))
        scores = everybody.scores(columns, load_network(context))
        score = weights.contributions(on_diagonal(scores), columns.has).sum(axis=1)
        grid = np.array(context.config.grid_months())
        survival = CoxModel(**fitted.under("baseline.")).survival(score[:, None], grid)
        return Prediction(tuple(context.patient_ids), score, survival[None])


def of_rows(columns: Columns, rows: np.ndarray) -> Columns:
    """The columns of some of the patients."""
    return Columns(columns.clinical[rows], columns.genes[rows], columns.has[rows])


def shown(columns: Columns, rows: np.ndarray, time: np.ndarray, event: np.ndarray) -> Context:
    """What the network is shown of the patients `rows` (n,) bool, whose outcomes alone are read.

    Raises NothingToLearnError where too few of them have genes.
    """
    own = of_rows(columns, rows)
    if own.has[:, 1].sum() < LEAST_SHOWN:
        raise NothingToLearnError(f"fewer than {LEAST_SHOWN} training patients have genes")
    time, event = time[rows], event[rows]
    coefficients, _ = fit_clinical(own.clinical, time, event)
    residuals = martingale_residuals(own.clinical @ coefficients, time, event)
    return Context(coefficients, own.genes[own.has[:, 1]], residuals[own.has[:, 1]])


def martingale_residuals(log_hazard: np.ndarray, time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """(n,) the events of a patient less those expected under Breslow's baseline.

    >>> time, event = np.array([1.0, 2.0]), np.array([True, False])
    >>> martingale_residuals(np.zeros(2), time, event).tolist()
    [0.5, -0.5]
    """
    return PartialLikelihood.of(time, event).value_and_slope(log_hazard)[1]


def in_context(
    network: torch.nn.Module, genes: np.ndarray, residuals: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """(m,) what the network says of genes (m, p), shown those of (n, p) with residuals (n,).

    It ranks the numbers that it is shown, and says others in normal scores of them. No patient
    that is asked about changes what is said of another.
    """
    import torch

    device = next(network.parameters()).device
    rows = torch.from_numpy(np.concatenate([genes, asked])).to(device)
    numbers = torch.from_numpy(residuals.astype(np.float32)).to(device)
    with torch.no_grad():
        said = network(rows[None], numbers[None], is_cls=False)
    found: np.ndarray = said[0, :, 0].double().cpu().numpy()
    return found


def weights_file(row: str) -> Path:
    """The pretrained weights.

    Raises MissingResourceError where the package is not there, or is another version.
    """
    package = find_spec("geneicl")
    if package is None or package.origin is None:
        raise MissingResourceError(
            f"models.{row}: the Python package geneicl, which holds the pretrained network, is not "
            'installed; install it (pip install "survfuse[icl]"), or leave the row out'
        )
    path = Path(package.origin).parent / "checkpoints" / WEIGHTS
    if not path.is_file() or sha256_file(path) != SHA256:
        raise MissingResourceError(
            f"models.{row}: {path} is not the file of geneicl 1.0.0; install that version "
            '(pip install "survfuse[icl]")'
        )
    return path


def load_network(context: FitContext | PredictContext) -> torch.nn.Module:
    """The pretrained network on the device of a fit or a prediction."""
    from survfuse.core.device import choose_device

    return pretrained(weights_file(context.model.name), choose_device(context.device))


@cache
def pretrained(path: Path, device: torch.device) -> torch.nn.Module:
    """The network of a file of weights, of which no code is run."""
    from inspect import signature

    import torch
    from geneicl.model import GeneICL

    stored: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    known = signature(GeneICL.__init__).parameters
    network: torch.nn.Module = GeneICL(
        **{name: value for name, value in stored["arch"].items() if name in known}
    )
    network.load_state_dict(stored["model"])
    return network.eval().to(device)


SURVIVAL = GeneIcl()
