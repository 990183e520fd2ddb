"""Simulated cohorts in memory: bags of tile embeddings, genes and a clinical table, truth known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sksurv.metrics import concordance_index_censored

from survfuse.artifacts.checkpoint import FittedModel
from survfuse.artifacts.follow_up import follow_up_in
from survfuse.artifacts.prediction import Prediction
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.config.splits import SplitConfig
from survfuse.config.study import Config
from survfuse.modalities.clinical.modality import ClinicalTable
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.omics.matrix import OmicsMatrix, pack_groups
from survfuse.modalities.slides.bags import Bag
from survfuse.modalities.slides.modality import SlideBags
from survfuse.models.estimator import FitContext, OtherRows, PredictContext
from survfuse.models.networks.registry import MODELS
from survfuse.models.registry import all_kinds
from survfuse.models.specs import estimator_of
from survfuse.simulation.genes import expression, gene_sets
from survfuse.simulation.tokens import token_bags
from survfuse.simulation.truth import STAGES, Truth, draw_truth
from survfuse.splits.outer_folds import make_splits, training_part
from survfuse.splits.training_part import TrainingPart

# The networks that read no brain volumes, which these cohorts do not have.
KINDS = tuple(
    kind for kind, entry in sorted(MODELS.items()) if not {"mri", "pet"} & set(entry.reads)
)


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
            follow_up_in(frame),
        )

    def tested(self, fold: int) -> list[str]:
        """Patients that a fold is tested on."""
        return self.splits.loc[self.splits["fold"] == fold, "patient_id"].tolist()


def simulated(
    patients: int,
    seed: int,
    folds: int = 5,
    tiles: int = 128,
    dim: int = 32,
    set_noise: float = 1.0,
) -> Simulated:
    """Draw a cohort in which everything was measured for everybody, and divide it.

    `set_noise`: of gene sets that follow a factor (survfuse.simulation.genes.activities).
    """
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
    settings = SplitConfig(folds=folds, repeats=1, seed=seed)
    splits = make_splits(outcomes, None, settings)
    inputs = inputs_of(truth, seed, tiles, dim, set_noise)
    return Simulated(truth, inputs, outcomes, splits, settings)


def inputs_of(truth: Truth, seed: int, tiles: int, dim: int, set_noise: float) -> CohortInputs:
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
    tokens = token_bags(truth, tiles, dim, seed)
    bags = {patient: bag_of(values) for patient, values in zip(ids, tokens, strict=True)}
    bags = {patient: bag for patient, bag in bags.items() if len(bag)}
    stores = {
        "clinical": ClinicalTable(clinical),
        "omics": genes_of(truth, set_noise),
        "slides": SlideBags(bags),
    }
    return CohortInputs(clinical, stores)


def bag_of(values: np.ndarray) -> Bag:
    """Tiles on a square grid."""
    place = np.arange(len(values))
    side = max(1, int(np.ceil(np.sqrt(len(values)))))
    grid = np.stack([place % side, place // side], axis=1).astype(np.int32)
    return Bag((values,), grid, ("S",))


def genes_of(truth: Truth, set_noise: float) -> OmicsMatrix:
    """Expression, grouped by the simulation's gene sets."""
    table = expression(truth, set_noise).set_index("patient_id")
    columns = table.columns.tolist()
    sets = {name: tuple(symbols) for name, symbols in gene_sets().items()}
    names, offsets, index = pack_groups(columns, {c: c for c in columns}, sets)
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


Pattern = Mapping[str, Collection[str]]  # who is shown without a modality


def modality_patterns(cohort: Simulated, kind: str) -> dict[str, Pattern]:
    """`c`: everything shown; `without m` and `only m` for every modality m that a model reads."""
    reads, everybody = all_kinds()[kind].reads, cohort.truth.patient_id.tolist()
    patterns: dict[str, Pattern] = {"c": {}}
    if len(reads) > 1:
        for modality in reads:
            patterns[f"without {modality}"] = {modality: everybody}
            others = [other for other in reads if other != modality]
            patterns[f"only {modality}"] = dict.fromkeys(others, everybody)
    return patterns


def out_of_fold(
    cohort: Simulated,
    config: Config,
    patterns: Mapping[str, Pattern],
    withheld: Pattern | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Cross-validate the last row of a configuration, as the workflow would.

    Returns arrays over the folds: the C-index under each of `patterns` of what test patients are
    shown, and `oracle`, that of the true log-hazard. `withheld`: what training must do without.
    """
    return concordances(risks_by_fold(cohort, config, patterns, withheld))


TestedFold = tuple[SurvivalOutcome, dict[str, NDArray[np.float64]]]  # outcomes, risks by name


def concordances(folds: Iterable[TestedFold]) -> dict[str, NDArray[np.float64]]:
    """Harrell's C of every risk, over the folds."""
    scores: dict[str, list[float]] = {}
    for tested, risks in folds:
        for name, risk in risks.items():
            c = concordance_index_censored(tested.event, tested.time, risk)[0]
            scores.setdefault(name, []).append(float(c))
    return {name: np.array(values) for name, values in scores.items()}


def risks_by_fold(
    cohort: Simulated,
    config: Config,
    patterns: Mapping[str, Pattern],
    withheld: Pattern | None = None,
) -> Iterator[TestedFold]:
    """Of every fold the outcomes of its test patients and their risks, named as in `out_of_fold`.

    The last row of a configuration may be of any kind that averages no other rows.
    """
    for fold in range(cohort.settings.folds):
        tested, rows, predictions = fit_and_predict(cohort, config, patterns, fold, withheld)
        risks = {name: prediction.risk for name, prediction in predictions.items()}
        yield tested, {"oracle": cohort.truth.log_hazard()[rows], **risks}


def fit_and_predict(
    cohort: Simulated,
    config: Config,
    patterns: Mapping[str, Pattern],
    fold: int,
    withheld: Pattern | None = None,
) -> tuple[SurvivalOutcome, list[int], dict[str, Prediction]]:
    """Fit the last row of a configuration on a fold, and predict its test patients.

    Returns their outcomes, their rows in the cohort, and what is said of them under each pattern.
    """
    model = config.models[-1]
    estimator = estimator_of(model, config)
    alone = OtherRows(no_other_row, no_other_row)
    part = cohort.part(fold)
    part = part.permuted(cohort.settings.seed) if model.permute_outcomes else part
    inputs = cohort.inputs.without(withheld or {}).only(part.patient_ids.tolist())
    with TemporaryDirectory() as scratch:
        context = FitContext(
            *(config, model, part, inputs, alone, no_other_row, "cpu", Path(scratch), "")
        )
        arrays, described = estimator.fit(context)
    fitted = FittedModel(model.kind, arrays, described)
    row_of = {patient: row for row, patient in enumerate(cohort.truth.patient_id)}
    tested = cohort.tested(fold)
    rows = [row_of[patient] for patient in tested]
    predictions = {}
    for name, pattern in patterns.items():
        shown = cohort.inputs.without(pattern)
        asked = PredictContext(config, model, shown, tested, alone, "cpu")
        predictions[name] = estimator.predict(fitted, asked)
    outcome = SurvivalOutcome(cohort.truth.time_months[rows], cohort.truth.event[rows])
    return outcome, rows, predictions


def no_other_row(*_: object) -> NoReturn:
    """What a row that averages no others never asks."""
    raise AssertionError("there are no other rows")
