"""Is what is found of a package in another hospital true? Against known truth, by simulation.

    python benchmarks/external.py [--cohorts N] [--json FILE]

First, a model that is right in one hospital (it reads clinical data and a noisy measure of the
programme that genes show) states the risks of 300 patients of another one, again and again. Known
are its concordance, observed over expected, slope and error among all patients that the hospital
could have. Printed is how often the intervals of `survfuse validate-external` hold them, and what
recalibration does to the true calibration.

Then a real package: a study of 300 simulated patients with genes and clinical data is fitted and
packaged, and checked on hospitals of 400 patients.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from survfuse import api
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.config.evaluation import EvaluationConfig
from survfuse.evaluation.external import recalibrate
from survfuse.simulation.cohort import simulate_cohort
from survfuse.simulation.hospital import Hospital, draw_hospital, simulate_hospital
from survfuse.simulation.truth import COEFFICIENTS, Truth, stream
from survfuse.statistics.intervals import percentile_interval
from survfuse.statistics.updating import KINDS, SLOPE, Update, update_risk
from survfuse.tasks.survival.external import ExternalSurvival, external_of
from survfuse.tasks.survival.metrics import METRICS

HORIZONS = (12.0, 24.0, 36.0)
MONTHS = HORIZONS[1]
TAU = 48.0
PATIENTS, RESAMPLES = 300, 300
LARGE, LARGE_COHORTS = 4000, 12  # patients and cohorts that stand for all patients
NOISE = 0.6  # of the measured programme, in its standard deviations
HOSPITALS = {
    "same": Hospital(),
    "twice the hazard": Hospital(hazard_factor=2.0),
    "genes miss by chance": Hospital(without_genes=0.4),
    "genes miss by risk": Hospital(without_genes=0.4, mechanism="mnar"),
}
TOLD = ("harrell_c", "uno_c", "observed_expected", "calibration_slope", "brier")
STUDY: dict[str, Any] = {
    "name": "first_hospital",
    "cohort": {
        "covariates": {
            "age": {"type": "continuous"},
            "sex": {"type": "categorical"},
            "stage": {"type": "ordinal", "levels": ["I", "II", "III", "IV"]},
        },
    },
    "omics": {"suffixes": {"rna": ""}},
    "splits": {"folds": 5, "repeats": 1},
    "models": [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "survfuse", "kind": "survfuse", "options": {"modalities": ["clinical", "omics"]}},
        {"name": "permuted", "kind": "clinical_cox", "permute_outcomes": True},
    ],
    "evaluation": {"horizons_months": list(HORIZONS), "bootstrap": 300},
    "report": {"patients": [], "model": "survfuse"},
}


def outcome_of(truth: Truth) -> SurvivalOutcome:
    return SurvivalOutcome(truth.time_months, truth.event)


class Model:
    """Risks by the horizons from what can be measured; right in the first hospital."""

    def __init__(self) -> None:
        many = draw_hospital(Hospital(without_genes=0.0), 40_000, 10_001)
        self.updates: dict[bool, list[Update]] = {}
        for genes in (True, False):
            said = self.raw(many, genes)
            self.updates[genes] = [
                update_risk(outcome_of(many), said, months, SLOPE) for months in HORIZONS
            ]

    def raw(self, truth: Truth, genes: bool) -> np.ndarray:
        """(n,) a risk that is not recalibrated yet."""
        noise = stream(truth.seed, "noise of the programme").normal(size=len(truth.programme))
        measured = (truth.programme + NOISE * noise) / (1 + NOISE**2)
        log_hazard = truth.components()["clinical"] + COEFFICIENTS["programme"] * genes * measured
        return np.asarray(-np.expm1(-0.7 * np.exp(log_hazard)))

    def risks(self, truth: Truth) -> np.ndarray:
        """(n, horizons); without the genes of those who lack them."""
        found = [
            np.stack([one.apply(self.raw(truth, genes)) for one in self.updates[genes]], axis=1)
            for genes in (True, False)
        ]
        return np.where(truth.has_rna[:, None], *found)


def external(truth: Truth, resamples: int) -> ExternalSurvival:
    """How predictions of simulated patients are scored."""
    outcomes = pd.DataFrame(
        {
            "patient_id": truth.patient_id,
            "time_months": truth.time_months,
            "event": truth.event.astype(int),
        }
    )
    frozen = {"horizons": {f"{h:g}": {"months": h} for h in HORIZONS}, "tau_months": TAU}
    config = EvaluationConfig(bootstrap=resamples, horizons_months=list(HORIZONS))
    return external_of(config, frozen, outcomes)


def values_of(scored: ExternalSurvival, risks: np.ndarray) -> dict[str, np.ndarray]:
    """(1 + B,) of every metric, at MONTHS where it has a horizon."""
    found = {}
    for name in TOLD:
        draws = scored.draws(METRICS[name], risks)
        values = draws.get(f"{MONTHS:g}", draws.get(""))
        assert isinstance(values, np.ndarray)
        found[name] = values
    return found


def truth_of(hospital: Hospital, model: Model) -> dict[str, float]:
    """What the metrics are among all patients; those of follow-up with the same censoring."""
    found = defaultdict(list)
    for number in range(LARGE_COHORTS):
        truth = draw_hospital(hospital, LARGE, 20_000 + number)
        risks = model.risks(truth)
        for name, values in values_of(external(truth, 20), risks).items():
            found[name].append(float(values[0]))
        said, true = risks[:, 1], 1 - truth.survival([MONTHS])[:, 0]
        # Known without follow-up.
        found["ratio"].append(float(true.mean() / said.mean()))
        found["error"].append(float((true * (1 - said) ** 2 + (1 - true) * said**2).mean()))
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    return {**mean, "observed_expected": mean["ratio"], "brier": mean["error"]}


def covered(name: str, hospital: Hospital, model: Model, cohorts: int) -> dict[str, float]:
    """How often intervals hold the truth, and the true calibration before and after."""
    known = truth_of(hospital, model)
    large = draw_hospital(hospital, 20_000, 30_000)
    said = model.risks(large)[:, 1]
    true = 1 - large.survival([MONTHS])[:, 0]
    hits, after = defaultdict(list), defaultdict(list)
    for number in range(cohorts):
        truth = draw_hospital(hospital, PATIENTS, 40_000 + number)
        scored, risks = external(truth, RESAMPLES), model.risks(truth)
        for metric, values in values_of(scored, risks).items():
            one = percentile_interval(values, 0.95)
            assert one.low is not None and one.high is not None
            hits[metric].append(one.low <= known[metric] <= one.high)
        for kind in KINDS:
            recalibrated = recalibrate(scored, risks, kind)
            update = recalibrated.fitted[f"{MONTHS:g}"]
            draws = scored.draws(METRICS["observed_expected"], recalibrated.probability)
            own = draws[f"{MONTHS:g}"]
            assert isinstance(update, Update) and isinstance(own, np.ndarray)
            after[f"{kind}_oe_cross_fitted"].append(float(own[0]))
            p = update.apply(said)
            after[f"{kind}_oe_true"].append(float(true.mean() / p.mean()))
            after[f"{kind}_rmse_true"].append(float(np.sqrt(np.mean((p - true) ** 2))))
    key = name.replace(" ", "_")
    return {
        **{f"{key}/coverage_{m}": float(np.mean(held)) for m, held in hits.items()},
        **{f"{key}/true_{m}": known[m] for m in TOLD},
        f"{key}/untouched_rmse_true": float(np.sqrt(np.mean((said - true) ** 2))),
        **{f"{key}/{what}": float(np.mean(values)) for what, values in after.items()},
    }


def packaged(folder: Path) -> Path:
    """A package of a study of the first hospital."""
    simulate_cohort(300, 1, folder / "study", slides=False)
    described = with_sheets(STUDY, folder / "study", folder / "out")
    (folder / "study.yaml").write_text(yaml.safe_dump(described))
    config = api.load_config(folder / "study.yaml")
    api.prepare(config)
    for row in config.models:
        api.fit(config, row.name, "cpu")
        api.predict(config, row.name, "cpu")
    api.evaluate(config)
    return api.package(config, folder / "package")


def with_sheets(config: dict[str, Any], sheets: Path, out: Path) -> dict[str, Any]:
    """A configuration of the sheets of a folder."""
    named = {"patients": str(sheets / "patients.tsv"), "omics": str(sheets / "omics.parquet")}
    return {**config, "output": str(out), "cohort": {**config["cohort"], **named}}


def end_to_end(folder: Path) -> dict[str, float]:
    """What validate-external says of a real package in each hospital."""
    package, found = packaged(folder), {}
    for number, (name, hospital) in enumerate(HOSPITALS.items()):
        key = name.replace(" ", "_")
        sheets = folder / key
        simulate_hospital(hospital, 400, 500 + number, 1, sheets)
        described = with_sheets(STUDY, sheets, folder / f"{key}_out") | {"name": key}
        (folder / f"{key}.yaml").write_text(yaml.safe_dump(described))
        started = time.perf_counter()
        record = api.validate_external(
            package, api.load_config(folder / f"{key}.yaml"), folder / f"{key}_found"
        )
        took, at = time.perf_counter() - started, f"{MONTHS:g}"
        row, again = record["rows"]["survfuse"], record["recalibrated"][SLOPE]["metrics"]
        found |= {
            f"package/{key}/harrell_c": row["harrell_c"]["value"],
            f"package/{key}/difference": record["differences"]["harrell_c"]["value"],
            f"package/{key}/oe": row["observed_expected"][at]["value"],
            f"package/{key}/oe_recalibrated": again["observed_expected"][at]["value"],
            f"package/{key}/slope": row["calibration_slope"][at]["value"],
            f"package/{key}/slope_recalibrated": again["calibration_slope"][at]["value"],
            f"package/{key}/brier": row["brier"][at]["value"],
            f"package/{key}/brier_recalibrated": again["brier"][at]["value"],
            f"package/{key}/seconds": took,
        }
    return found


def table(found: dict[str, float], prefix: str) -> str:
    """A row for each hospital, a column for each number."""
    rows: dict[str, dict[str, float]] = defaultdict(dict)
    for key, value in found.items():
        if key.startswith("package/") == bool(prefix):
            hospital, what = key.removeprefix(prefix).split("/")
            rows[hospital][what] = value
    return pd.DataFrame(rows).round(3).to_string()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=200, help="replicates of each hospital")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    started, model, found = time.perf_counter(), Model(), dict[str, float]()
    for name, hospital in HOSPITALS.items():
        found |= covered(name, hospital, model, given.cohorts)
    print(f"{given.cohorts} cohorts of {PATIENTS} patients\n{table(found, '')}\n")
    with tempfile.TemporaryDirectory() as folder:
        found |= end_to_end(Path(folder))
    print(f"A package of a study of 300 patients\n{table(found, 'package/')}")
    found["seconds"] = time.perf_counter() - started
    if given.json:
        given.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
