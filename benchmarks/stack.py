"""The row `survfuse` on simulated cohorts whose truth is known, its cost, and finished studies.

    python benchmarks/stack.py [--part cost|noisy|clear|null ...] [--json FILE]
        [--studies RESULTS_DIR ...]

cost: CPU seconds of five folds (--folds) of 500 patients with 20,000 genes, members and prediction
included, one thread, and the peak of memory, that of the whole process.
noisy: C-index and calibration on 400 patients with gene sets as noisy as in the demonstration,
beside sparse factors and clinical Cox. clear: 2000 patients with clear gene sets. null: C-index
after outcomes were permuted among training patients. --studies: by how much survfuse exceeds
clinical Cox in Harrell's C in finished studies, pooled as `survfuse compare` does.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import model_truth
import numpy as np
import torch
from simulated_cohort import (
    Simulated,
    TestedFold,
    concordances,
    out_of_fold,
    risks_by_fold,
    simulated,
)

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.evaluation.pooling import compare_studies
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.omics.matrix import OmicsMatrix
from survfuse.statistics.stratified_cox import stratified_slope
from survfuse.tasks.finished import read_studies

PARTS = ("cost", "noisy", "clear", "null")
ROW, REFERENCE = "survfuse", "clinical_cox"
GENES_PER_SET = 200


def with_genes(cohort: Simulated, genes: int) -> Simulated:
    """The cohort with as many genes, in sets of which the first follow the true factors."""
    truth, generator = cohort.truth, np.random.default_rng(cohort.settings.seed)
    sets = genes // GENES_PER_SET
    activity = generator.normal(size=(len(truth.event), sets))
    activity[:, 0], activity[:, 1] = truth.programme, truth.shared
    values = generator.normal(size=(len(truth.event), sets * GENES_PER_SET)).astype(np.float32)
    values += 0.5 * np.repeat(activity, GENES_PER_SET, axis=1).astype(np.float32)
    matrix = OmicsMatrix(
        truth.patient_id,
        np.array([f"G{number}" for number in range(values.shape[1])]),
        values,
        np.array([f"SET{number}" for number in range(sets)]),
        np.arange(sets + 1) * GENES_PER_SET,
        np.arange(values.shape[1]),
    )
    inputs = cohort.inputs
    return replace(cohort, inputs=CohortInputs(inputs.patients, {**inputs.stores, "omics": matrix}))


def cost(cohort: Simulated, genes: int) -> dict[str, float]:
    """CPU seconds and memory of all folds."""
    wide = with_genes(cohort, genes)
    began = time.process_time()
    scores = out_of_fold(wide, model_truth.row(ROW), model_truth.EVERYTHING)
    taken = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{model_truth.described(cohort)}, {genes} genes: C {scores['c'].mean():.3f}")
    print(f"CPU seconds of all folds: {taken:.1f}; peak of memory: {peak:.0f} MiB\n", flush=True)
    return {f"cpu_s_{len(cohort.truth.event)}": round(taken, 1), "peak_mib": round(peak)}


@dataclass(frozen=True)
class Measured:
    """C-indices over the folds, of a row as `c` and of the truth as `oracle`; and the slope.

    It is the coefficient of the predicted risk in a Cox model of all test patients, stratified by
    fold. Only of a risk that is a log-hazard does it mean calibration.
    """

    scores: dict[str, np.ndarray]
    slope: float


def measured(cohort: Simulated, kind: str) -> Measured:
    """Cross-validate a row."""
    folds = risks_by_fold(cohort, model_truth.row(kind), model_truth.EVERYTHING)
    return summed_up(list(folds))


def summed_up(folds: Sequence[TestedFold]) -> Measured:
    """C-indices and slope of what test patients are told."""
    time = np.concatenate([tested.time for tested, _ in folds])
    event = np.concatenate([tested.event for tested, _ in folds])
    fold = np.repeat(np.arange(len(folds)), [len(tested) for tested, _ in folds])
    risk = np.concatenate([risks["c"] for _, risks in folds])
    slope = stratified_slope(SurvivalOutcome(time, event), risk, fold).value
    return Measured(concordances(folds), slope)


def truth(cohort: Simulated, rows: Sequence[str], suffix: str) -> dict[str, float]:
    """Table of rows on a cohort, and the figures of survfuse under names with a suffix."""
    found = {kind: measured(cohort, kind) for kind in rows}
    ours = found[ROW]
    print(model_truth.described(cohort))
    print(f"{'row':16s} {'C':>6s} {'share':>6s} {'slope':>6s}  survfuse minus it")
    for kind, one in found.items():
        line = f"{kind:16s} {one.scores['c'].mean():6.3f} {model_truth.share(one.scores):6.3f}"
        line += f" {one.slope:6.2f}"
        if kind != ROW:
            more, low, high = model_truth.corrected_t(ours.scores["c"] - one.scores["c"])
            line += f"  {more:+.3f} ({low:+.3f} to {high:+.3f})"
        print(line)
    print(f"{'true log-hazard':16s} {ours.scores['oracle'].mean():6.3f}\n", flush=True)
    shares = {
        f"{'' if kind == ROW else kind + '_'}oracle_share_{suffix}": model_truth.share(one.scores)
        for kind, one in found.items()
    }
    figures = {**shares, f"calibration_slope_{suffix}": ours.slope}
    return {name: round(value, 4) for name, value in figures.items()}


def null(seeds: int) -> dict[str, float]:
    """Mean C-index after permuting training outcomes, over small cohorts."""
    scores = []
    for seed in range(seeds):
        cohort = simulated(150, 1000 + seed, tiles=16, dim=16)
        config = model_truth.row(ROW, permuted=True, seed=seed)
        scores.append(out_of_fold(cohort, config, model_truth.EVERYTHING)["c"].mean())
    mean, error = float(np.mean(scores)), float(np.std(scores, ddof=1)) / np.sqrt(len(scores))
    print(f"outcomes permuted, {seeds} cohorts of 150 patients: C {mean:.3f} (SE {error:.3f})\n")
    return {"null_c_abs_dev": round(abs(mean - 0.5), 4), "null_c_se": round(error, 4)}


def pooled(folders: Sequence[Path]) -> dict[str, float]:
    """Differences of survfuse from clinical Cox in finished studies, pooled over them."""
    compared = compare_studies(read_studies(folders), [ROW], REFERENCE)
    whole = next(one for one in compared["pooled"] if one["metric"] == "harrell_c")
    print(f"survfuse minus clinical Cox, {len(folders)} studies")
    own = [one for one in compared["differences"] if one["metric"] == "harrell_c"]
    for one in [*own, {**whole, "study": "pooled"}]:
        print(f"{one['study']:24s} {one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})")
    for left in compared["left_out"]:
        print(left["sentence"])
    figures = {
        "pooled_diff": whole["value"],
        "pooled_low": whole["low"],
        "worst_cohort_diff": min(one["value"] for one in own),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Run the chosen parts, print their tables and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--studies", type=Path, nargs="+", default=[], help="results to pool")
    parser.add_argument("--patients", type=int, default=400, help="of noisy; clear has five times")
    parser.add_argument("--wide", type=int, nargs=2, default=(500, 20_000), help="size of cost")
    parser.add_argument("--folds", type=int, default=5, help="of cost")
    parser.add_argument("--seeds", type=int, default=60, help="cohorts of the null")
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts = given.part or ([] if given.studies else list(PARTS))
    figures: dict[str, float] = {}
    if "cost" in parts:
        patients, genes = given.wide
        figures |= cost(simulated(patients, 1, given.folds), genes)
    if "noisy" in parts:
        rows = (ROW, "sparse_factors", REFERENCE)
        figures |= truth(simulated(given.patients, 1), rows, str(given.patients))
    if "clear" in parts:
        size = 5 * given.patients
        figures |= truth(simulated(size, 1, tiles=512, set_noise=0.25), (ROW,), str(size))
    if "null" in parts:
        figures |= null(given.seeds)
    if given.studies:
        figures |= pooled(given.studies)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
