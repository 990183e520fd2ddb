"""The honest protocol, end to end through the stage functions: nothing of a test fold leaks."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sksurv.metrics import concordance_index_censored

from survfuse.artifacts.checkpoint import ids_hash
from survfuse.config.study import Config
from survfuse.modalities.omics.matrix import OmicsMatrix, write_matrix
from survfuse.modalities.paths import InputPaths
from survfuse.splits.outer_folds import make_splits, write_splits
from survfuse.training import neural
from survfuse.training.predict import predict_model
from survfuse.training.stage import train_fold

ROOT = Path(__file__).parents[2]
FOLDS = 3


def configuration(**changes: object) -> Config:
    return Config.model_validate(
        {
            "name": "protocol",
            "output": "unused",
            "cohort": {
                "patients": "unused.tsv",
                "site": "site",
                "covariates": {"age": {"type": "continuous"}},
            },
            "splits": {"folds": FOLDS, "repeats": 1},
            "training": {
                "epochs": 6,
                "patience": 6,
                "members": 1,
                "batch_size": 32,
                "learning_rate": 1e-3,
                "min_events_per_bin": 5,
            },
            "models": [
                {"name": "clinical_cox", "kind": "clinical_cox"},
                {"name": "snn", "kind": "snn"},
                {"name": "snn_permuted", "kind": "snn", "permute_outcomes": True},
            ],
            **changes,
        }
    )


class Driver:
    """A cohort of n patients on disk, and the stages that a run would call on it."""

    def __init__(self, home: Path, n: int = 120, signal: float = 1.0, seed: int = 0) -> None:
        self.home, self.config = home, configuration()
        generator = np.random.default_rng(seed)
        self.ids = [f"P{i:03d}" for i in range(n)]
        programme = generator.normal(size=n)
        self.genes = generator.normal(size=(n, 12)).astype(np.float32)
        self.genes[:, :4] += signal * programme[:, None].astype(np.float32)
        time = generator.exponential(24 * np.exp(-1.5 * signal * programme)) + 0.1
        censoring = generator.uniform(6, 90, n)
        self.outcomes = pd.DataFrame(
            {
                "patient_id": self.ids,
                "time_months": np.minimum(time, censoring),
                "event": (time <= censoring).astype(int),
            }
        )
        self.clinical = pd.DataFrame(
            {
                "patient_id": self.ids,
                "site": np.where(np.arange(n) % 2, "a", "b"),
                "age": generator.normal(60, 5, n).round(1).astype(str),
            }
        )
        self.splits = make_splits(self.outcomes, None, self.config.splits)

    def write(self) -> InputPaths:
        """Write the cohort as the workflow would find it."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.clinical.to_csv(self.home / "clinical.tsv", sep="\t", index=False)
        names = [f"G{i}" for i in range(self.genes.shape[1])]
        matrix = OmicsMatrix(
            np.array(self.ids),
            np.array(names),
            self.genes,
            np.array(["all"]),
            np.array([0, len(names)]),
            np.arange(len(names)),
        )
        write_matrix(self.home / "omics.npz", matrix)
        write_splits(self.splits, self.outcomes, self.config.splits, self.home / "splits")
        return InputPaths(
            self.home / "splits/splits.tsv",
            self.home / "clinical.tsv",
            {"omics": self.home / "omics.npz"},
        )

    def run(self, model: str) -> pd.DataFrame:
        """Train and predict all folds; returns the prediction table."""
        paths = self.write()
        folds = [self.home / "splits" / f"r0f{fold}" for fold in range(FOLDS)]
        for fold in folds:
            train_fold(self.config, model, fold, paths, self.home / "models", "cpu")
        out = self.home / "predictions.tsv"
        predict_model(self.config, model, folds, paths, self.home / "models", out, device="cpu")
        return pd.read_csv(out, sep="\t", dtype={"patient_id": str})

    def concordance(self, predictions: pd.DataFrame) -> float:
        """Mean Harrell's C over the folds."""
        joined = predictions.merge(self.outcomes, on="patient_id")
        return float(
            np.mean(
                [
                    concordance_index_censored(
                        fold["event"].astype(bool), fold["time_months"], fold["risk"]
                    )[0]
                    for _, fold in joined.groupby("fold")
                ]
            )
        )


@pytest.mark.parametrize(("in_one_job", "of_folds", "of_rows"), [("true", 0, 9), ("false", 20, 4)])
def test_no_training_or_prediction_rule_reads_test_outcomes(
    in_one_job: str, of_folds: int, of_rows: int
) -> None:
    given = ["--config", f"training={{folds_in_one_job: {in_one_job}}}"]
    printed = subprocess.run(
        ["snakemake", "-n", "-p", "--forceall", "--directory", ".", "--nolock", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    blocks = re.findall(r"rule (\w+):\n\s+input: (.*)\n", printed)
    readers = {name for name, files in blocks if "outcomes.tsv" in files}
    # make_splits hands each fold its training outcomes; evaluate is the first to see the others.
    assert readers == {"make_splits", "evaluate"}
    trained = [files for name, files in blocks if name == "train"]
    rows = [files for name, files in blocks if name == "train_rows"]
    assert len(trained) >= of_folds and len(rows) >= of_rows
    for files in (*trained, *rows):
        outcome_files = [f for f in files.split(", ") if f.endswith("train.tsv")]
        assert outcome_files and (files in rows or len(outcome_files) == 1)
        assert not re.search(r"sheets/|patients|truth|evaluation", files)
    for name, files in blocks:
        if name == "predict":
            assert "train.tsv" not in files


def test_fitted_parts_have_seen_training_patients_alone(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.run("snn")
    for fold in range(FOLDS):
        train = pd.read_csv(tmp_path / f"splits/r0f{fold}/train.tsv", sep="\t")
        test = (tmp_path / f"splits/r0f{fold}/test_ids.tsv").read_text().split()[1:]
        assert not set(train["patient_id"]) & set(test)
        assert set(train["patient_id"]) | set(test) == set(driver.ids)
        fit = json.loads((tmp_path / f"models/snn/r0f{fold}/fit.json").read_text())
        seen = ids_hash(train.loc[train["role"] == "train", "patient_id"].tolist())
        assert fit["fitted_on"] == dict.fromkeys(("bins", "scalers", "missingness"), seen)


def test_scalers_are_given_training_patients_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash above is what the code says of itself; this is what it does."""
    given: list[set[str]] = []
    genuine: Callable = neural.fit_scalers

    def spy(inputs: object, ids: list[str], *rest: object) -> object:
        given.append(set(ids))
        return genuine(inputs, ids, *rest)

    monkeypatch.setattr(neural, "fit_scalers", spy)
    Driver(tmp_path).run("snn")
    for fold, ids in enumerate(given):
        train = pd.read_csv(tmp_path / f"splits/r0f{fold}/train.tsv", sep="\t")
        assert ids == set(train.loc[train["role"] == "train", "patient_id"])


@pytest.mark.parametrize("model", ["snn", "clinical_cox"])
def test_a_leak_planted_in_the_test_fold_changes_nothing(tmp_path: Path, model: str) -> None:
    """A column that holds the outcome, but for test patients only, cannot be learnt from."""
    clean = Driver(tmp_path / "clean")
    clean.genes[:, -1] = 0.0
    before = clean.run(model)
    planted = Driver(tmp_path / "planted")
    tested = planted.splits.query("fold == 0")["patient_id"]
    rows = np.isin(planted.ids, tested)
    planted.genes[:, -1] = np.where(rows, planted.outcomes["time_months"], 0.0)
    after = planted.run(model)
    first = before["fold"] == 0
    np.testing.assert_array_equal(before.loc[first, "risk"], after.loc[first, "risk"])


def test_training_does_not_depend_on_test_inputs_or_other_folds(tmp_path: Path) -> None:
    whole = Driver(tmp_path / "whole")
    together = whole.run("snn")
    alone = Driver(tmp_path / "alone")
    tested = alone.splits.query("fold == 2")["patient_id"]
    rows = np.isin(alone.ids, tested)
    paths = alone.write()
    alone.genes[rows] = 1e3
    fold = alone.home / "splits/r0f2"
    train_fold(alone.config, "snn", fold, paths, alone.home / "models", "cpu")
    assert (alone.home / "models/snn/r0f2/model.safetensors").read_bytes() == (
        whole.home / "models/snn/r0f2/model.safetensors"
    ).read_bytes()
    assert len(together) == len(whole.ids)


def test_signal_is_found_and_permuting_outcomes_destroys_it(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "signal", n=150)
    assert driver.concordance(driver.run("snn")) > 0.68
    null = [
        (other := Driver(tmp_path / str(seed), n=90, seed=seed)).concordance(
            other.run("snn_permuted")
        )
        for seed in range(20)
    ]
    assert 0.47 <= np.mean(null) <= 0.53


def test_choosing_genes_in_pure_noise_gains_nothing(tmp_path: Path) -> None:
    """Many noise genes: selection on all patients would give C of about 0.76."""
    scores = []
    for seed in range(20):
        driver = Driver(tmp_path / str(seed), n=100, signal=0.0, seed=100 + seed)
        generator = np.random.default_rng(seed)
        driver.genes = generator.normal(size=(100, 400)).astype(np.float32)
        scores.append(driver.concordance(driver.run("snn")))
    assert abs(np.mean(scores) - 0.5) < 0.03
