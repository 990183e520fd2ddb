"""Simulated cohorts in memory: bags of tile embeddings, genes and a clinical table, truth known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from survfuse.cohort.splits import make_splits, training_part
from survfuse.config import Config, SplitConfig
from survfuse.demo.genes import expression, gene_sets
from survfuse.demo.tokens import token_bags
from survfuse.demo.truth import STAGES, Truth, draw_truth
from survfuse.omics.matrix import OmicsMatrix, pack_groups
from survfuse.training.inputs import Bag, CohortInputs
from survfuse.training.part import TrainingPart

TILES, DIM = 60, 32


@dataclass(frozen=True)
class Simulated:
    """A cohort with its folds."""

    truth: Truth
    inputs: CohortInputs
    outcomes: pd.DataFrame  # patient_id, time_months, event
    splits: pd.DataFrame  # patient_id, repeat, fold
    settings: SplitConfig

    def part(self, fold: int) -> TrainingPart:
        """The training part of a fold."""
        frame = training_part(self.splits, self.outcomes, self.settings, 0, fold)
        return TrainingPart(
            0,
            fold,
            frame["patient_id"].to_numpy(dtype=str),
            frame["role"].to_numpy(dtype=str),
            frame["time_months"].to_numpy(dtype=float),
            frame["event"].to_numpy(dtype=bool),
        )

    def tested(self, fold: int) -> list[str]:
        """Patients that a fold is tested on."""
        return self.splits.loc[self.splits["fold"] == fold, "patient_id"].tolist()


def simulated(patients: int, seed: int, folds: int = 5) -> Simulated:
    """Draw a cohort in which everything was measured for everybody, and divide it."""
    truth = draw_truth(patients, seed)
    everybody = np.ones(patients, dtype=bool)
    truth = replace(truth, n_slides=np.maximum(truth.n_slides, 1), has_rna=everybody)
    outcomes = pd.DataFrame(
        {
            "patient_id": truth.patient_id,
            "time_months": truth.time_months,
            "event": truth.event.astype(int),
        }
    )
    settings = SplitConfig(folds=folds, seed=seed)
    splits = make_splits(outcomes, None, settings)
    return Simulated(truth, inputs_of(truth, seed), outcomes, splits, settings)


def inputs_of(truth: Truth, seed: int) -> CohortInputs:
    """Tile embeddings, expression and clinical table of simulated patients."""
    ids = truth.patient_id.tolist()
    clinical = pd.DataFrame(
        {
            "age": truth.age_years.astype(int).astype(str),
            "sex": np.where(truth.female, "female", "male"),
            "stage": np.array(STAGES)[truth.stage],
        },
        index=pd.Index(ids, name="patient_id"),
    )
    tokens = token_bags(truth, TILES, DIM, seed)
    bags = {patient: bag_of(values) for patient, values in zip(ids, tokens, strict=True)}
    return CohortInputs(clinical, {p: bag for p, bag in bags.items() if len(bag)}, genes_of(truth))


def bag_of(values: np.ndarray) -> Bag:
    """Tiles on a square grid."""
    place = np.arange(len(values))
    side = max(1, int(np.ceil(np.sqrt(len(values)))))
    grid = np.stack([place % side, place // side], axis=1)
    names = np.full(len(values), "S")
    return Bag((values,), grid, grid * 256, np.full(len(values), 256.0), names)


def genes_of(truth: Truth) -> OmicsMatrix:
    """Expression, grouped by the simulation's gene sets."""
    table = expression(truth).set_index("patient_id")
    columns = table.columns.tolist()
    sets = {name: tuple(symbols) for name, symbols in gene_sets().items()}
    names, offsets, index = pack_groups(columns, {c: c for c in columns}, sets, 2)
    return OmicsMatrix(
        table.index.to_numpy(dtype=str),
        np.array(columns),
        table.to_numpy(np.float32),
        np.array(names),
        offsets,
        index,
    )


def configuration(models: Sequence[dict], **training: object) -> Config:
    """A configuration for simulated cohorts; only what models read matters."""
    return Config.model_validate(
        {
            "name": "simulated",
            "output": "unused",
            "cohort": {
                "patients": "unused.tsv",
                "covariates": {
                    "age": {"type": "continuous"},
                    "sex": {"type": "categorical"},
                    "stage": {"type": "ordinal", "levels": list(STAGES)},
                },
            },
            "training": training,
            "models": [{"name": "clinical_cox", "kind": "clinical_cox"}, *models],
        }
    )
