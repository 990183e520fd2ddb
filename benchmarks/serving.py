"""What a package says of patients who were in no study, against their true risk; and how fast.

    python benchmarks/serving.py [--cohorts N] [--json FILE]

Cohorts of 300 patients with four covariates and 200 genes are drawn with known risk, run through
the functions of `import survfuse`, packaged, and applied to 1,000 new patients each. Printed are

- how often the 95 % interval holds the mean true risk of new patients with such an estimate;
- the error of risks, and the concordance with the true log-hazard, of what a package asks (the
  models of all folds, recalibrated), of their plain mean, and of one fit on all patients;
- the share of new patients who are flagged, of the same population and of another scanner;
- the time that one patient (with documents) and a thousand (without) take, by `survfuse predict` as
  a command;
- the size of the document of a patient, and the CPU time of a page of it.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import tempfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pypdf import PdfReader
from scipy.stats import kendalltau

from survfuse import api
from survfuse.artifacts.cohort_tables import read_outcomes
from survfuse.artifacts.follow_up import follow_up_in
from survfuse.artifacts.layout import ResultsFolder
from survfuse.artifacts.package import Package, open_package
from survfuse.artifacts.package_layout import NewPatientsFolder
from survfuse.config.study import Config
from survfuse.core.files import read_object
from survfuse.deployment.freeze import freeze_study
from survfuse.deployment.inputs import NewInputs, NewSheets, prepare_new, settings_for
from survfuse.deployment.predict import predict_new
from survfuse.modalities.inputs import load_inputs
from survfuse.models.specs import find_model
from survfuse.reporting.language import language_of
from survfuse.reporting.new_patients import pdf
from survfuse.reporting.new_patients.documents import document_of
from survfuse.reporting.new_patients.style import Style
from survfuse.splits.training_part import TrainingPart
from survfuse.training.predict import Fitted, predict_fold
from survfuse.training.stage import fit_and_write

PATIENTS, NEW, GENES, MONTHS = 300, 1000, 200, 24.0
BINS = 20  # of new patients by their estimate
FLAG = 0.01
DOCUMENTS = 20  # that are timed
ROW = "survfuse"
PAGES_ALONE = Style(documents=False)
CONFIG: dict[str, Any] = {
    "name": "serving",
    "cohort": {"covariates": {f"x{i}": {"type": "continuous"} for i in range(4)}},
    "omics": {"suffixes": {"rna": ""}},
    "splits": {"folds": 5, "repeats": 1},
    "models": [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": ROW, "kind": "survfuse", "options": {"modalities": ["clinical", "omics"]}},
        {"name": "permuted", "kind": "clinical_cox", "permute_outcomes": True},
    ],
    "evaluation": {"horizons_months": [MONTHS], "bootstrap": 30},
    "report": {"patients": "all", "model": ROW},
}


@dataclass(frozen=True)
class Drawn:
    """Patients with their genes, and the true log-hazard (n,)."""

    patients: pd.DataFrame
    genes: pd.DataFrame
    log_hazard: np.ndarray

    @property
    def true_risk(self) -> np.ndarray:
        """(n,) of the event by MONTHS."""
        risk: np.ndarray = -np.expm1(-MONTHS / 30 * np.exp(self.log_hazard))
        return risk


def drawn(number: int, seed: int, prefix: str) -> Drawn:
    """Patients of one population: two covariates and a factor behind forty genes matter."""
    draw = np.random.default_rng(seed)
    x, factor = draw.normal(size=(number, 4)), draw.normal(size=number)
    values = draw.normal(size=(number, GENES))
    values[:, :40] += 0.8 * factor[:, None]
    log_hazard = 0.6 * x[:, 0] + 0.3 * x[:, 1] + 0.6 * factor
    time_months = draw.exponential(30 * np.exp(-log_hazard)) + 0.01
    censored = draw.uniform(12, 72, number)
    ids = [f"{prefix}{row:04d}" for row in range(number)]
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "time": np.minimum(time_months, censored).round(3),
            "event": (time_months <= censored).astype(int),
            **{f"x{i}": x[:, i].round(4) for i in range(4)},
        }
    )
    genes = pd.DataFrame(5 + values, columns=[f"G{i}" for i in range(GENES)]).round(4)
    genes.insert(0, "patient_id", ids)
    return Drawn(patients, genes, log_hazard)


def written(cohort: Drawn, folder: Path) -> NewSheets:
    """The sheets of patients, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    cohort.patients.to_csv(folder / "patients.tsv", sep="\t", index=False)
    cohort.genes.to_parquet(folder / "genes.parquet", index=False)
    return NewSheets(folder / "patients.tsv", {"omics": folder / "genes.parquet"})


def finished_study(cohort: Drawn, folder: Path) -> Config:
    """A study of a cohort, evaluated."""
    sheets = written(cohort, folder)
    described = json.loads(json.dumps(CONFIG)) | {"output": str(folder / "out")}
    described["cohort"] |= {
        "patients": str(sheets.patients),
        "omics": str(sheets.brought["omics"]),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(described))
    config = api.load_config(folder / "config.yaml")
    api.prepare(config)
    for row in config.models:
        api.fit(config, row.name, "cpu")
        api.predict(config, row.name, "cpu")
    api.evaluate(config)
    return config


def fit_on_all(config: Config, folder: Path) -> Path:
    """Fit the row once on all patients of a study, as no package does; returns the models."""
    outcomes = read_outcomes(ResultsFolder(config.output).cohort.outcomes)
    ids = outcomes["patient_id"].to_numpy(dtype=str)
    role = np.array(["validation" if row % 5 == 0 else "train" for row in range(len(ids))])
    part = TrainingPart(0, 0, ids, role, follow_up_in(outcomes))
    paths = api.input_paths(config)
    place = Fitted(config, folder, "r0f0", "cpu")
    fit_and_write(find_model(config, ROW), part, load_inputs(paths), place, paths, "all")
    return folder


def error(risk: np.ndarray, true: np.ndarray) -> float:
    """Root mean squared error of risks (n,)."""
    return float(np.sqrt(np.mean((risk - true) ** 2)))


def concordance(risk: np.ndarray, log_hazard: np.ndarray) -> float:
    """Share of pairs in the order of the true log-hazard."""
    return float((kendalltau(risk, log_hazard).statistic + 1) / 2)


def covered(records: list[dict[str, Any]], true: np.ndarray) -> float:
    """Share of groups of like estimates whose mean true risk lies within their mean limits."""
    at = [record["estimates"]["horizons"][0] for record in records]
    order = np.argsort([one["risk"] for one in at])
    low, high = (np.array([one[name] for one in at]) for name in ("low", "high"))
    groups = np.array_split(order, BINS)
    inside = [low[g].mean() <= true[g].mean() <= high[g].mean() for g in groups]
    return float(np.mean(inside))


def one_cohort(seed: int, folder: Path) -> dict[str, float]:
    """The figures of one cohort and its new patients."""
    config = finished_study(drawn(PATIENTS, 2 * seed, "P"), folder / "study")
    package = open_package(freeze_study(config, folder / "package", archive=False))
    new = drawn(NEW, 2 * seed + 1, "N")
    sheets = written(new, folder / "new")
    records = predict_new(package, sheets, folder / "out", device="cpu", style=PAGES_ALONE)
    asked = prepared(package, sheets, folder / "out")
    models = fit_on_all(config, folder / "all")
    once = predict_fold(
        ROW, Fitted(package.config, models, "r0f0", "cpu", packaged=True), asked.inputs, ids(new)
    )
    column = package.config.grid_months().index(MONTHS)
    every = pd.read_csv(NewPatientsFolder(folder / "out").members, sep="\t")
    plain = 1 - every[every["model"] == ROW].groupby("patient_id")[f"surv_{MONTHS:g}"].mean()
    found = {
        "package": np.array([r["estimates"]["horizons"][0]["risk"] for r in records]),
        "mean": plain[ids(new)].to_numpy(),
        "all": 1 - once.survival[:, column],
    }
    scanned = Drawn(new.patients, new.genes.copy(), new.log_hazard)
    measured = scanned.genes.columns.drop("patient_id")
    draw = np.random.default_rng(seed)
    scale, shift = draw.normal(1, 0.2, GENES), draw.normal(0, 0.5, GENES)
    scanned.genes[measured] = (new.genes[measured] - 5) * scale + 5 + shift
    other = prepared(package, written(scanned, folder / "scanned"), folder / "scanned_out")
    return {
        "coverage": covered(records, new.true_risk),
        "null": flagged(asked),
        "scanner": flagged(other),
        **{f"rmse_{name}": error(risk, new.true_risk) for name, risk in found.items()},
        **{f"c_{name}": concordance(risk, new.log_hazard) for name, risk in found.items()},
    }


def ids(cohort: Drawn) -> list[str]:
    """The patients, in the order of the sheet, which is sorted."""
    listed: list[str] = cohort.patients["patient_id"].tolist()
    return listed


def prepared(package: Package, sheets: NewSheets, out: Path) -> NewInputs:
    """The inputs of new patients as the models read them."""
    config = settings_for(package, sheets, out)
    return prepare_new(package, config, NewPatientsFolder(out), 1, "cpu")


def flagged(inputs: NewInputs) -> float:
    """The share of patients whose genes are flagged."""
    return float(np.mean([found["omics"] < FLAG for found in inputs.unusual.alone.values()]))


def documents_of(records: list[dict[str, Any]], folder: NewPatientsFolder) -> dict[str, float]:
    """The mean size of the reports of patients, and the CPU time of one page of them."""
    language, printing = language_of("en"), pdf.printing_on("A4")
    attached = [folder.prediction(one["patient_id"]).read_bytes() for one in records]
    before = time.process_time()
    made = [
        document_of(record, content, language, printing)
        for record, content in zip(records, attached, strict=True)
    ]
    spent = time.process_time() - before
    pages = sum(len(PdfReader(BytesIO(content)).pages) for content in made)
    size = np.mean([len(content) for content in made])
    return {"pdf_kib": float(size) / 1024, "pdf_cpu_s": spent / pages}


def seconds(package: Path, number: int, folder: Path, *options: str) -> float:
    """How long the command takes for some patients."""
    sheets = written(drawn(number, 999, "N"), folder)
    given = ["--patients", sheets.patients, "--omics", sheets.brought["omics"]]
    command = ["survfuse", "predict", "--package", package, *given, "--out", folder / "out"]
    command += options
    before = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return time.perf_counter() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = pd.DataFrame(
            [one_cohort(seed, folder / str(seed)) for seed in range(given.cohorts)]
        )
        package, out = folder / "0" / "package", NewPatientsFolder(folder / "0" / "out")
        records = [read_object(out.prediction(one)) for one in ids(drawn(DOCUMENTS, 1, "N"))]
        figures = {
            "coverage_risk_interval": found["coverage"].mean(),
            "flag_rate_null": found["null"].mean(),
            "flag_power_scanner": found["scanner"].mean(),
            **found.filter(regex="^(rmse|c)_").mean().to_dict(),
            "predict_s_one": seconds(package, 1, folder / "one"),
            "predict_s_1000": seconds(package, 1000, folder / "thousand", "--no-documents"),
            **documents_of(records, out),
        }
    for name, value in figures.items():
        print(f"{name:24} {value:8.4f}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
