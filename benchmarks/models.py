"""The fusion models: cost, distance to a known truth, and what they make of noise.

    python benchmarks/models.py [--part cost|scaling|truth|null ...] [--json FILE]

cost: CPU seconds of forward and backward for one patient, one thread, fp32, at the published
shapes; models interleaved, so that a busy machine slows all alike; medians. scaling: the same
against the number of tiles. truth: C-index on simulated cohorts whose log-hazard is known. null:
the same after outcomes were permuted among training patients. All parts take about half an hour.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy import stats
from simulated_cohort import Simulated, configuration, out_of_fold, simulated

from survfuse.config import Config
from survfuse.fusion.interface import Batch, FusionModel, Outcome, Shapes
from survfuse.fusion.registry import MODELS, build
from survfuse.training.engine import keep_freed_memory

SIX_FAMILIES = (94, 334, 521, 468, 1496, 479)  # of TCGA-BLCA
BINS = 4
PATHWAYS = 331
PARTS = ("cost", "scaling", "truth", "null")
# Settings of all models on simulated cohorts, chosen on cohorts with other seeds.
TRAINING = {"epochs": 60, "patience": 10, "batch_size": 32, "learning_rate": 3e-4, "members": 1}
SMALL = {"cmta": {"width": 64}, "dispro": {"width": 64, "sequence_length": 64}, "pibd": {}}


def pathway_widths() -> tuple[int, ...]:
    """331 groups of 1 to 199 genes, 9,745 together, as many as in Reactome and the Hallmarks."""
    raw = np.geomspace(1, 199, PATHWAYS) ** 1.13
    widths = np.clip(np.round(raw * 9745 / raw.sum()), 1, 199).astype(int)
    widths[-60:] += np.diff(np.linspace(0, 9745 - widths.sum(), 61).round()).astype(int)
    return tuple(int(width) for width in np.clip(widths, 1, 199))


def shapes_of(kind: str) -> Shapes:
    """Published shapes: PIBD and DisPro read 331 pathways; PIBD tiles of 768, others of 1024."""
    groups = pathway_widths() if kind in ("pibd", "dispro") else SIX_FAMILIES
    return Shapes(768 if kind == "pibd" else 1024, groups, 10, BINS)


def patients(kind: str, shapes: Shapes, tiles: int) -> Batch:
    """One patient with random tokens, tiles on a square grid."""
    side = max(1, int(tiles**0.5))
    place = torch.arange(tiles)
    sizes = {"slides": (1, tiles), "omics": (1, 1), "clinical": (1, 1)}
    reads = MODELS[kind].reads
    coords = torch.stack([place % side, place // side], dim=1)[None]
    return Batch(
        tokens={name: torch.randn(*sizes[name], shapes.dim(name)) for name in reads},
        mask={name: torch.ones(sizes[name], dtype=torch.bool) for name in reads},
        available=torch.ones(1, len(reads), dtype=torch.bool),
        modalities=reads,
        coords={"slides": coords} if "slides" in reads else {},
        outcome=Outcome(
            torch.tensor([9.0]),
            torch.tensor([True]),
            torch.tensor([1]),
            torch.tensor([0.5]),
            torch.zeros(BINS),
        ),
    )


def last_stage(kind: str, shapes: Shapes) -> FusionModel:
    """A model in the last stage of its training."""
    model = build(kind, shapes)
    for stage in model.stages:
        model.begin(stage)
    return model.train()


def cpu_seconds(model: FusionModel, batch: Batch) -> float:
    """CPU seconds of one forward and backward pass."""
    assert batch.outcome is not None
    began = time.process_time()
    output = model(batch)
    loss = batch.outcome.loss(output.logits) + sum(output.losses.values())
    loss.backward()
    model.zero_grad()
    return time.process_time() - began


def cost(repetitions: int) -> dict[str, float]:
    """Table of CPU seconds, parameters and memory of all models."""
    torch.manual_seed(0)
    shapes = {kind: shapes_of(kind) for kind in sorted(MODELS)}
    models = {kind: last_stage(kind, shapes[kind]) for kind in shapes}
    batches = {kind: patients(kind, shapes[kind], 4096) for kind in shapes}
    seconds: dict[str, list[float]] = {kind: [] for kind in models}
    for repetition in range(repetitions + 1):
        for kind, model in models.items():
            taken = cpu_seconds(model, batches[kind])
            if repetition:  # the first pass warms up
                seconds[kind].append(taken)
    print(f"{'model':10s} {'median CPU-s':>13s} {'fastest':>9s} {'parameters':>12s}")
    for kind, values in seconds.items():
        parameters = sum(p.numel() for p in models[kind].parameters())
        print(f"{kind:10s} {median(values):13.3f} {min(values):9.3f} {parameters:12,d}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of all together: {peak:.0f} MiB\n")
    figures = {f"{kind}_cpu_s": round(median(values), 4) for kind, values in seconds.items()}
    return figures | {"peak_mib": round(peak)}


def scaling(repetitions: int) -> dict[str, float]:
    """Prediction against the number of tiles, 1,000 to 200,000; the exponent of the growth."""
    sizes = (1000, 5000, 20_000, 80_000, 200_000)
    figures = {}
    print(f"{'model':10s}" + "".join(f"{size:>11,d}" for size in sizes) + "   exponent")
    for kind in sorted(kind for kind in MODELS if "slides" in MODELS[kind].reads):
        shapes = Shapes(64, (20,) * 10, 10, BINS)
        model = last_stage(kind, shapes).eval()
        taken = []
        for size in sizes:
            batch = patients(kind, shapes, size)
            times = []
            for _ in range(repetitions):
                began = time.process_time()
                with torch.inference_mode():
                    model(batch)
                times.append(time.process_time() - began)
            taken.append(median(times))
        slope = float(np.polyfit(np.log(sizes[1:]), np.log(taken[1:]), 1)[0])
        figures[f"{kind}_200k_cpu_s"] = round(taken[-1], 3)
        figures[f"{kind}_exponent"] = round(slope, 2)
        print(f"{kind:10s}" + "".join(f"{t:11.3f}" for t in taken) + f"{slope:11.2f}")
    print()
    return figures


def row(kind: str, permuted: bool = False, **training: object) -> Config:
    """A configuration with one network."""
    options = SMALL.get(kind, {})
    model = {"name": "m", "kind": kind, "options": options, "permute_outcomes": permuted}
    return configuration([model], **(TRAINING | training))


def share(scores: dict[str, np.ndarray]) -> float:
    """Part of the oracle's C-index above chance."""
    return float((scores["c"].mean() - 0.5) / (scores["oracle"].mean() - 0.5))


def truth(cohort: Simulated) -> dict[str, float]:
    """All networks on one simulated cohort, with what remains when a modality is hidden."""
    everything = {kind: out_of_fold(cohort, row(kind)) for kind in sorted(MODELS)}
    n, events = len(cohort.truth.event), int(cohort.truth.event.sum())
    print(f"{n} simulated patients, {events} events, 5 folds")
    print(f"{'model':10s} {'C':>6s} {'share':>6s}  alone: slides  omics  clinical")
    for kind, scores in sorted(everything.items(), key=lambda item: -item[1]["c"].mean()):
        alone = [scores.get(f"only {m}") for m in ("slides", "omics", "clinical")]
        shown = "".join("       –" if s is None else f"{s.mean():8.3f}" for s in alone)
        print(f"{kind:10s} {scores['c'].mean():6.3f} {share(scores):6.3f}      {shown}")
    ours = everything["survfuse"]
    unimodal = max((everything[kind]["c"] for kind in ("abmil", "snn", "transmil")), key=np.mean)
    gain, low, high = corrected_t(ours["c"] - unimodal)
    print(f"survfuse minus the best unimodal network: {gain:.3f} ({low:.3f} to {high:.3f})")
    drops = {}
    for modality in ("slides", "omics"):
        withheld = {modality: cohort.truth.patient_id.tolist()}
        without = out_of_fold(cohort, row("survfuse"), withheld)
        drops[modality] = float((without["c"] - ours[f"without {modality}"]).mean())
        print(f"trained without {modality} minus hidden at test: {drops[modality]:+.3f}")
    print()
    return {
        "oracle_share": round(share(ours), 4),
        "fusion_gain": round(gain, 4),
        "fusion_gain_low": round(low, 4),
        "drop_slides_cost": round(drops["slides"], 4),
        "drop_omics_cost": round(drops["omics"], 4),
        **{f"{kind}_share": round(share(scores), 4) for kind, scores in everything.items()},
    }


def corrected_t(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95% interval of fold differences, corrected for shared training patients."""
    n = len(differences)
    spread = differences.std(ddof=1) * np.sqrt(1 / n + 1 / (n - 1))
    half = stats.t.ppf(0.975, n - 1) * spread
    return (
        float(differences.mean()),
        float(differences.mean() - half),
        float(differences.mean() + half),
    )


def null(seeds: int) -> dict[str, float]:
    """Mean C-index of every network after permuting training outcomes, over small cohorts."""
    print(f"{'model':10s} {'mean C':>7s} {'SE':>6s}   permuted outcomes, {seeds} cohorts of 150")
    off = {}
    for kind in sorted(MODELS):
        config = row(kind, permuted=True, epochs=4, patience=4, learning_rate=1e-3)
        scores = [
            out_of_fold(simulated(150, 1000 + seed, tiles=16, dim=16), config)["c"].mean()
            for seed in range(seeds)
        ]
        off[kind] = abs(float(np.mean(scores)) - 0.5)
        error = np.std(scores, ddof=1) / np.sqrt(seeds)
        print(f"{kind:10s} {np.mean(scores):7.3f} {error:6.3f}", flush=True)
    print()
    return {"null_c_abs_dev": round(max(off.values()), 4)} | {
        f"{kind}_null_c_abs_dev": round(value, 4) for kind, value in off.items()
    }


def main() -> None:
    """Run the chosen parts, print their tables and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--repetitions", type=int, default=5, help="of cost and scaling")
    parser.add_argument("--patients", type=int, default=400, help="of the simulated truth")
    parser.add_argument("--seeds", type=int, default=10, help="cohorts of the null")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as training does
    parts = given.part or list(PARTS)
    figures: dict[str, float] = {}
    if "cost" in parts:
        figures |= cost(given.repetitions)
    if "scaling" in parts:
        figures |= scaling(max(1, given.repetitions // 2))
    if "truth" in parts:
        figures |= truth(simulated(given.patients, 1))
    if "null" in parts:
        figures |= null(given.seeds)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
