"""The honest protocol, end to end through the stage functions: nothing of a test fold leaks."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocol_fixture import FOLDS, Driver
from survfuse.artifacts.checkpoint import ids_hash
from survfuse.training import neural
from survfuse.training.stage import train_fold

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("in_one_job", "of_folds", "of_rows"), [("true", 0, 9), ("false", 15, 6)])
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
