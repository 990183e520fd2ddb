"""When networks stop: three rules side by side on simulated cohorts whose truth is known.

    python benchmarks/stopping.py [--cohorts N] [--patients N] [--network KIND ...] [--json FILE]

A cohort is trained on once and tested on 1000 further patients of the same truth. share: C-index
against the true log-hazard, above chance, with that of the truth itself as 1. slope: the
coefficient of the predicted log-hazard in a Cox model of the test patients; 1 is calibrated. A row
of sparse factors, which is not stopped but solved, stands beside them.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import model_truth
import numpy as np
import torch
from simulated_cohort import Simulated, fit_and_predict, simulated
from sksurv.metrics import concordance_index_censored

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.models.stacking.stack import common_months, log_hazard
from survfuse.statistics.stratified_cox import stratified_slope

log = logging.getLogger(__name__)

TESTED = 1000
FOLDS = 5  # fold 0 is tested on; the others are the cohort
MEMBERS = 3
AVERAGED = 5  # epochs
RULES: Mapping[str, Mapping[str, object]] = {
    "validation": {"stop": "validation"},
    "cross-validation": {"stop": "cross_validation"},
    "and averaged": {"stop": "cross_validation", "averaged_epochs": AVERAGED},
}
NETWORKS = ("snn", "concat", "mcat")
REFERENCE = "validation"


@dataclass(frozen=True)
class Measured:
    """One fit: share of the oracle, calibration slope, CPU seconds."""

    share: float
    slope: float
    cpu_s: float


def cohort_and_others(patients: int, seed: int, tiles: int) -> Simulated:
    """A cohort in the folds 1 to 4, and further patients in fold 0."""
    both = simulated(patients + TESTED, seed, folds=FOLDS, tiles=tiles)
    fold = np.where(
        np.arange(patients + TESTED) < patients, np.arange(patients + TESTED) % 4 + 1, 0
    )
    ids = both.truth.patient_id
    order = dict(zip(ids.tolist(), fold.tolist(), strict=True))
    splits = both.splits.assign(fold=[order[patient] for patient in both.splits["patient_id"]])
    return replace(both, splits=splits)


def measured(cohort: Simulated, kind: str, rule: Mapping[str, object]) -> Measured:
    """Fit a network by a rule, and compare what it says of further patients with the truth."""
    began = time.process_time()
    config = model_truth.row(kind, members=MEMBERS, **rule)
    tested, rows, predictions = fit_and_predict(cohort, config, model_truth.EVERYTHING, 0)
    taken = time.process_time() - began
    curves = predictions["c"].survival
    score = log_hazard(curves, common_months([curves]))
    return summed_up(tested, cohort.truth.log_hazard()[rows], predictions["c"].risk, score, taken)


def summed_up(
    tested: SurvivalOutcome, true: np.ndarray, risk: np.ndarray, score: np.ndarray, cpu_s: float
) -> Measured:
    """The figures of one fit; the truth has no censoring, so its order is compared pair by pair."""
    everybody = np.ones(len(true), dtype=bool)
    against_truth = concordance_index_censored(everybody, true.max() - true + 1.0, risk)[0]
    slope = stratified_slope(tested, score, np.zeros(len(true), dtype=int)).value
    return Measured(2 * float(against_truth) - 1, slope, cpu_s)


def table(kind: str, found: Mapping[str, Sequence[Measured]]) -> dict[str, float]:
    """Print a network's rows; returns medians and differences from the reference."""
    base = [one.share for one in found[REFERENCE]]
    figures: dict[str, float] = {}
    for rule, ones in found.items():
        shares = [one.share for one in ones]
        more = [share - other for share, other in zip(shares, base, strict=True)]
        name = f"{kind}_{rule.replace(' ', '_').replace('-', '_')}"
        own = {
            f"{name}_share": median(shares),
            f"{name}_share_ratio": median(shares) / median(base),
            f"{name}_slope": median(one.slope for one in ones),
            f"{name}_cpu_s": median(one.cpu_s for one in ones),
        }
        values = "".join(f" {value:8.3f}" for value in own.values())
        better = sum(one > 0 for one in more)
        error = np.std(more, ddof=1) / np.sqrt(len(more)) if len(more) > 1 else float("nan")
        print(
            f"{kind:8s} {rule:18s}{values}  {np.mean(more):+.3f} ({error:.3f}) {better:3d}",
            flush=True,
        )
        figures |= own | {f"{name}_more": float(np.mean(more)), f"{name}_more_se": float(error)}
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Measure the networks one after the other, print a table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", action="append", help="default: snn, concat and mcat")
    parser.add_argument("--cohorts", type=int, default=8)
    parser.add_argument("--patients", type=int, default=300, help="that are trained on")
    parser.add_argument("--tiles", type=int, default=32, help="of each patient")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(1)
    print(f"{given.cohorts} cohorts of {given.patients} patients, {given.tiles} tiles, medians")
    print(f"{'network':8s} {'stop':18s}    share    ratio    slope    CPU s  more (SE) better in")
    figures: dict[str, float] = {}
    for kind in given.network or NETWORKS:
        found: dict[str, list[Measured]] = {rule: [] for rule in RULES}
        for seed in range(201, 201 + given.cohorts):
            cohort = cohort_and_others(given.patients, seed, given.tiles)
            for rule, settings in RULES.items():
                found[rule].append(measured(cohort, kind, settings))
            log.info("%s %d: %s", kind, seed, {rule: ones[-1] for rule, ones in found.items()})
        figures |= table(kind, found)
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
