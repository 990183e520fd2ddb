"""Trained on one half of the hospitals of a published cohort, checked on the other half.

    python benchmarks/external_sites.py CONFIG [--json FILE]

CONFIG: of a published cohort with sites, genes and clinical variables, such as
configs/tcga_kirc.yaml. Its sites are dealt into two halves of about as many patients; a study of
the first is fitted and packaged, and the package is checked on the second as it is, and where genes
are taken from 40 of 100 of its patients: by chance, or the more likely the earlier a patient dies
(which no hospital could do on purpose, and which is the worst that could happen).
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from survfuse import api
from survfuse.config.source import PorpoiseSource
from survfuse.config.study import Config
from survfuse.published.porpoise import import_porpoise

SEED, WITHOUT_GENES = 0, 0.4
INFORMATIVE = 1.5  # of the rank of the time against chance
ROW, REFERENCE = "survfuse", "clinical_cox"
MODELS: list[dict[str, Any]] = [
    {"name": REFERENCE, "kind": "clinical_cox"},
    {"name": ROW, "kind": "survfuse", "options": {"modalities": ["clinical", "omics"]}},
    {"name": "permuted", "kind": "clinical_cox", "permute_outcomes": True},
]


def sheets_of(source: PorpoiseSource, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The patient sheet as text, and the genes of a published cohort."""
    import_porpoise(source, folder)
    patients = pd.read_csv(folder / "patients.tsv", sep="\t", dtype=str, keep_default_na=False)
    return patients, pd.read_parquet(folder / "omics.parquet")


def first_half(sites: pd.Series[str]) -> np.ndarray:
    """(n,) bool: whose site is in the first half; sites in random order, while it has room."""
    sizes, taken, total = sites.value_counts(), set[str](), 0
    order = np.random.default_rng(SEED).permutation(np.array(sorted(sizes.index)))
    for site in order.tolist():
        if total + sizes[site] <= len(sites) / 2:
            taken.add(site)
            total += sizes[site]
    return sites.isin(taken).to_numpy()


def described(config: Config, folder: Path, name: str) -> dict[str, Any]:
    """A configuration of the sheets of a folder, otherwise that of the published cohort."""
    dumped = config.model_dump(mode="json", exclude_unset=True)
    cohort = {key: dumped["cohort"][key] for key in ("endpoint", "covariates")}
    return {
        "name": name,
        "output": str(folder / "out"),
        "cohort": {
            **cohort,
            "patients": str(folder / "patients.tsv"),
            "omics": str(folder / "omics.parquet"),
        },
        "omics": dumped["omics"],
        "splits": {"folds": 5, "repeats": 1},
        "models": MODELS,
        "evaluation": {**dumped.get("evaluation", {}), "bootstrap": 500},
        "report": {"patients": [], "model": ROW},
    }


def written(
    config: Config, patients: pd.DataFrame, genes: pd.DataFrame, folder: Path, name: str
) -> Config:
    """The configuration of some patients, whose sheets are written now."""
    folder.mkdir(parents=True)
    patients.to_csv(folder / "patients.tsv", sep="\t", index=False)
    genes[genes["patient_id"].isin(patients["patient_id"])].to_parquet(
        folder / "omics.parquet", index=False
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(described(config, folder, name)))
    return api.load_config(folder / "config.yaml")


def with_genes(patients: pd.DataFrame, informative: bool) -> set[str]:
    """Who keeps the genes."""
    n = len(patients)
    missed = np.random.default_rng(SEED).normal(size=n)
    if informative:
        rank = patients["time"].astype(float).rank().to_numpy() / n
        missed += INFORMATIVE * (patients["event"] == "1").to_numpy() * (1 - rank)
    kept = np.argsort(missed)[: n - round(WITHOUT_GENES * n)]
    return set(patients["patient_id"].iloc[kept])


def numbers(record: dict[str, Any], key: str, months: str) -> dict[str, Any]:
    """What a validation found, flat."""
    found: dict[str, Any] = {f"{key}/n": record["cohort"]["n_patients"]}
    found[f"{key}/events"] = record["cohort"]["n_events"]
    row, apart = record["rows"][ROW], record["differences"]["harrell_c"]
    large, slope = row["observed_expected"][months], row["calibration_slope"][months]
    told = {
        "c": row["harrell_c"],
        "reference_c": record["rows"][REFERENCE]["harrell_c"],
        "difference": apart,
        "oe": large,
        "slope": slope,
        "brier": row["brier"][months],
    }
    for kind, one in record["recalibrated"].items():
        told[f"{kind}_oe"] = one["metrics"]["observed_expected"][months]
        told[f"{kind}_brier"] = one["metrics"]["brier"][months]
    for name, estimate in told.items():
        found |= {f"{key}/{name}/{part}": estimate[part] for part in ("value", "low", "high")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--out", type=Path, help="keep the package and the pages in this folder")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    config = api.load_config(given.config)
    if not isinstance(config.source, PorpoiseSource):
        parser.error(f"{given.config}: source.kind is not porpoise")
    with tempfile.TemporaryDirectory() as temporary:
        folder, found = given.out or Path(temporary), dict[str, Any]()
        patients, genes = sheets_of(config.source, folder / "published")
        first = first_half(patients["site"])
        study = written(config, patients[first], genes, folder / "first", "first_half")
        api.prepare(study)
        for row in study.models:
            api.fit(study, row.name, "cpu")
            api.predict(study, row.name, "cpu")
        rows = {one["model"]: one for one in api.evaluate(study)["rows"]}
        found |= {
            f"study/{part}": rows[ROW]["harrell_c"][part] for part in ("value", "low", "high")
        }
        package = api.package(study, folder / "package")
        second = patients[~first]
        kept = {
            "as_it_is": set(second["patient_id"]),
            "mcar": with_genes(second, False),
            "mnar": with_genes(second, True),
        }
        for name, has in kept.items():
            own = genes[genes["patient_id"].isin(has)]
            other = written(config, second, own, folder / name, name)
            record = api.validate_external(package, other, folder / name / "found")
            months = list(record["parts"])[-1]
            found |= numbers(record, name, months)
    for key, value in found.items():
        print(f"{key}\t{value if value is None else round(value, 3)}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
