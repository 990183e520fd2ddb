"""A reference data set with published values, and a small simulated study on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sksurv.datasets import load_gbsg2

from survfuse.config import EvaluationConfig, ModelConfig
from survfuse.evaluation.leaderboard import evaluate
from survfuse.evaluation.study import Fold, Outcome, Study
from survfuse.files import read_json

GRID_MONTHS = [float(month) for month in range(3, 49, 3)]
# Name, kind, permuted outcomes, how well the model knows the log-hazard.
MODELS = [
    ("cmta_permuted", "cmta", True, 0.0),
    ("snn", "snn", False, 0.7),
    ("cmta", "cmta", False, 0.95),
    ("clinical_cox", "clinical_cox", False, 0.6),
    ("late_fusion", "late_fusion", False, 0.8),
    ("site_only", "site_only", False, 0.1),
    ("abmil", "abmil", False, 0.5),
]


@dataclass(frozen=True)
class Reference:
    """GBSG2 with a fixed Weibull prediction that no solver can blur; times in days."""

    outcome: Outcome
    lp: np.ndarray
    score: np.ndarray  # 1000 * lp as exact integers
    nodes: np.ndarray
    train: np.ndarray  # row numbers of the even half
    test: np.ndarray

    def survival(self, times: np.ndarray) -> np.ndarray:
        """S(t | x) of all patients, (n, k)."""
        scale = 2600 * np.exp(-self.lp / 1.3)
        return np.exp(-((np.asarray(times)[None, :] / scale[:, None]) ** 1.3))


def load_reference() -> Reference:
    """The odd rows are the test half."""
    covariates, outcome = load_gbsg2()
    nodes, receptor, size = (
        covariates[name].to_numpy(float) for name in ("pnodes", "progrec", "tsize")
    )
    rows = np.arange(len(outcome))
    return Reference(
        Outcome(outcome["time"], outcome["cens"]),
        0.05 * nodes - 0.002 * receptor + 0.01 * size,
        50 * nodes - 2 * receptor + 10 * size,
        nodes,
        rows[rows % 2 == 0],
        rows[rows % 2 == 1],
    )


def simulate(n: int, seed: int, strength: float = 1.0) -> tuple[Outcome, np.ndarray]:
    """Weibull times with a standard normal log-hazard, about a third censored; months."""
    rng = np.random.default_rng(seed)
    log_hazard = rng.normal(size=n)
    time = 40 * np.exp(-strength * log_hazard / 1.3) * rng.weibull(1.3, n)
    censored = rng.uniform(5, 90, n)
    return Outcome(np.minimum(time, censored).round(2), time <= censored), log_hazard


def random_folds(n: int, folds: int, repeats: int, seed: int) -> tuple[Fold, ...]:
    """Even random folds."""
    rng = np.random.default_rng(seed)
    made = []
    for repeat in range(repeats):
        assigned = rng.permutation(np.arange(n) % folds)
        for fold in range(folds):
            test = np.flatnonzero(assigned == fold)
            made.append(Fold(repeat, fold, np.flatnonzero(assigned != fold), test))
    return tuple(made)


def make_study(n: int = 100, folds: int = 5, repeats: int = 1, seed: int = 3) -> Study:
    """A study in memory."""
    ids = tuple(f"P{number:03d}" for number in range(n))
    return Study(ids, simulate(n, seed)[0], random_folds(n, folds, repeats, seed))


@dataclass(frozen=True)
class Written:
    """The files of a simulated study, ready for `evaluate`."""

    folder: Path
    models: tuple[ModelConfig, ...]
    config: EvaluationConfig

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / name, sep="\t", float_precision="round_trip")

    def replace_table(self, name: str, table: pd.DataFrame) -> None:
        table.to_csv(self.folder / name, sep="\t", index=False)

    def with_model(self, name: str, kind: str, like: str, **options: object) -> Written:
        """One more row, with the predictions of the row `like`."""
        self.replace_table(f"{name}.tsv", self.table(f"{like}.tsv"))
        added = ModelConfig(name=name, kind=kind, options=options)
        return replace(self, models=(*self.models, added))

    def without(self, *names: str) -> Written:
        return replace(self, models=tuple(m for m in self.models if m.name not in names))

    def evaluate(self, truth: bool = True) -> dict:
        """Run the stage and read its result."""
        evaluate(
            {model.name: self.folder / f"{model.name}.tsv" for model in self.models},
            self.folder / "outcomes.tsv",
            self.folder / "splits.tsv",
            self.models,
            self.config,
            GRID_MONTHS,
            self.folder / "truth.tsv" if truth else None,
            self.folder / "evaluation.json",
            {
                model.name: path
                for model in self.models
                if (path := self.folder / f"{model.name}.patterns.tsv").is_file()
            },
            path if (path := self.folder / "availability.tsv").is_file() else None,
        )
        return read_json(self.folder / "evaluation.json")


def write_study(folder: Path, n: int = 100, repeats: int = 1, seed: int = 3) -> Written:
    """Write outcomes, splits, truth and the predictions of seven models."""
    study = make_study(n, 5, repeats, seed)
    log_hazard = simulate(n, seed)[1]
    ids = np.array(study.patient_ids)
    models = tuple(
        ModelConfig(
            name=name,
            kind=kind,
            permute_outcomes=permuted,
            options={"parts": ["snn", "abmil"]} if kind == "late_fusion" else {},
        )
        for name, kind, permuted, _ in MODELS
    )
    written = Written(folder, models, EvaluationConfig(bootstrap=100))
    outcomes = {"time_months": study.outcome.time, "event": study.outcome.event.astype(int)}
    written.replace_table("outcomes.tsv", pd.DataFrame({"patient_id": ids, **outcomes}))
    truth = pd.DataFrame({"patient_id": ids, "log_hazard": log_hazard})
    written.replace_table("truth.tsv", truth)
    splits = pd.concat(
        pd.DataFrame({"patient_id": ids[f.test], "repeat": f.repeat, "fold": f.fold})
        for f in study.folds
    )
    written.replace_table("splits.tsv", splits)
    rng = np.random.default_rng(seed + 1)
    rows = splits["patient_id"].str[1:].astype(int).to_numpy()
    for name, _, _, knows in MODELS:
        noise = np.sqrt(1 - knows**2) * rng.normal(size=len(splits))
        table = splits.assign(risk=knows * log_hazard[rows] + noise)
        for month in GRID_MONTHS:
            hazard = (month / 40) ** 1.3 * np.exp(knows * table["risk"])
            table[f"surv_{month:g}"] = np.exp(-hazard)
        for month in (12, 24, 36):
            table[f"risk_low_{month}"] = table[f"risk_high_{month}"] = np.nan
        written.replace_table(f"{name}.tsv", table)
    return written
