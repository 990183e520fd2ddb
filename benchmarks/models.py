"""The fusion models: cost, distance to a known truth, and under missing modalities and noise.

    python benchmarks/models.py [--part cost|bert|scaling|truth|missing|null ...] [--json FILE]

cost: CPU seconds of forward and backward for one patient, one thread, at the published shapes;
models interleaved, so that a busy machine slows all alike; medians. bert: DisPro with a language
model of the shapes of BERT-base, random weights. scaling: prediction against the number of tiles,
`--plot FILE` draws it. truth: C-index on simulated cohorts whose log-hazard is known. missing: what
slides cost that are missing by outcome. null: C-index after outcomes were permuted among training
patients.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import model_truth
import numpy as np
import torch
from simulated_cohort import KINDS, simulated

from survfuse.modalities.protocol import TokenShape
from survfuse.modalities.slides.torchvision_shim import declare_missing_operators
from survfuse.models.networks.interface import Batch, FusionModel, Shapes, SurvivalTargets
from survfuse.models.networks.registry import MODELS, build
from survfuse.training.engine import keep_freed_memory

SIX_FAMILIES = (94, 334, 521, 468, 1496, 479)  # of TCGA-BLCA
BINS = 4
PATHWAYS = 331
PARTS = ("cost", "bert", "scaling", "truth", "missing", "null")
TILES = (1000, 5000, 20_000, 80_000, 200_000)


def pathway_widths() -> tuple[int, ...]:
    """331 groups of 1 to 199 genes, 9,745 together, as many as in Reactome and the Hallmarks."""
    raw = np.geomspace(1, 199, PATHWAYS) ** 1.13
    widths = np.clip(np.round(raw * 9745 / raw.sum()), 1, 199).astype(int)
    widths[-60:] += np.diff(np.linspace(0, 9745 - widths.sum(), 61).round()).astype(int)
    return tuple(int(width) for width in np.clip(widths, 1, 199))


def token_shapes(tile: int, groups: tuple[int, ...]) -> Shapes:
    """Shapes of tiles, gene groups and ten covariates."""
    genes = TokenShape(sum(groups), groups=groups)
    tokens = {"slides": TokenShape(tile), "omics": genes, "clinical": TokenShape(10)}
    return Shapes(tokens, BINS)


def shapes_of(kind: str) -> Shapes:
    """Published shapes: PIBD and DisPro read 331 pathways; PIBD tiles of 768, others of 1024."""
    groups = pathway_widths() if kind in ("pibd", "dispro") else SIX_FAMILIES
    return token_shapes(768 if kind == "pibd" else 1024, groups)


def patients(kind: str, shapes: Shapes, tiles: int, n: int = 1) -> Batch:
    """n patients with random tokens, tiles on a square grid."""
    side = max(1, int(tiles**0.5))
    place = torch.arange(tiles)
    sizes = {"slides": (n, tiles), "omics": (n, 1), "clinical": (n, 1)}
    reads = MODELS[kind].reads
    coords = torch.stack([place % side, place // side], dim=1).expand(n, -1, -1)
    return Batch(
        tokens={name: torch.randn(*sizes[name], shapes.dim(name)) for name in reads},
        mask={name: torch.ones(sizes[name], dtype=torch.bool) for name in reads},
        available=torch.ones(n, len(reads), dtype=torch.bool),
        modalities=reads,
        coords={"slides": coords} if "slides" in reads else {},
        targets=SurvivalTargets(
            torch.full((n,), 9.0),
            torch.ones(n, dtype=torch.bool),
            torch.ones(n, dtype=torch.int64),
            torch.full((n,), 0.5),
            torch.zeros(BINS),
        ),
    )


def last_stage(kind: str, shapes: Shapes, options: Mapping[str, object] = {}) -> FusionModel:
    """A model in the last stage of its training."""
    model = build(kind, shapes, dict(options))
    for stage in model.stages:
        model.begin(stage)
    return model.train()


def cpu_seconds(model: FusionModel, batch: Batch, half: bool) -> float:
    """CPU seconds of one forward and backward pass, per patient."""
    assert batch.targets is not None
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        output = model(batch)
    loss = batch.targets.loss(output.logits.float()) + sum(output.losses.values())
    loss.backward()
    taken = time.process_time() - began
    model.zero_grad()
    return taken / len(batch.available)


def cost(repetitions: int, half: bool) -> dict[str, float]:
    """Table of CPU seconds, parameters and memory of all models; PIBD also in batches of four."""
    torch.manual_seed(0)
    rows = {kind: (kind, 1) for kind in KINDS} | {"pibd (4)": ("pibd", 4)}
    shapes = {kind: shapes_of(kind) for kind in KINDS}
    models = {kind: last_stage(kind, shapes[kind]) for kind in KINDS}
    batches = {name: patients(kind, shapes[kind], 4096, n) for name, (kind, n) in rows.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for repetition in range(repetitions + 1):
        for name, (kind, _) in rows.items():
            taken = cpu_seconds(models[kind], batches[name], half)
            if repetition:  # the first pass warms up
                seconds[name].append(taken)
    print(f"{'model':10s} {'median CPU-s':>13s} {'fastest':>9s} {'parameters':>12s}")
    for name, values in seconds.items():
        parameters = sum(p.numel() for p in models[rows[name][0]].parameters())
        print(f"{name:10s} {median(values):13.3f} {min(values):9.3f} {parameters:12,d}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of all together: {peak:.0f} MiB\n")
    figures = {f"{name}_cpu_s": round(median(values), 4) for name, values in seconds.items()}
    # Training never sees one patient at a time.
    figures["pibd_single_cpu_s"] = figures["pibd_cpu_s"]
    figures["pibd_cpu_s"] = figures.pop("pibd (4)_cpu_s")
    return figures | {"peak_mib": round(peak)}


def bert(repetitions: int, half: bool) -> dict[str, float]:
    """Stage 2 of DisPro with a language model of the shapes of BERT-base and random weights."""
    declare_missing_operators()  # transformers imports torchvision
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "survival", "death", "censored"]
    with TemporaryDirectory() as directory:
        language = BertModel(BertConfig(vocab_size=len(words)), add_pooling_layer=False)
        language.save_pretrained(directory)
        (Path(directory) / "vocab.txt").write_text("\n".join(words))
        shapes = shapes_of("dispro")
        # Short contexts, because stage 1, which is not measured, begins by encoding them.
        options = {"text_encoder": directory, "context_length": 4}
        model = last_stage("dispro", shapes, options)
    batch = patients("dispro", shapes, 4096)
    taken = [cpu_seconds(model, batch, half) for _ in range(repetitions + 1)][1:]
    print(f"DisPro with BERT-base, stage 2: {median(taken):.2f} CPU-s\n")
    return {"dispro_bert_cpu_s": round(median(taken), 3)}


def scaling(repetitions: int, plot: Path | None) -> dict[str, float]:
    """Prediction against the number of tiles; the exponent of the growth from 5,000 on."""
    figures, curves = {}, {}
    print(f"{'model':10s}" + "".join(f"{size:>11,d}" for size in TILES) + "   exponent")
    for kind in (kind for kind in KINDS if "slides" in MODELS[kind].reads):
        shapes = token_shapes(64, (20,) * 10)
        model = last_stage(kind, shapes).eval()
        taken = []
        for size in TILES:
            batch = patients(kind, shapes, size)
            times = []
            for _ in range(repetitions + 1):
                began = time.process_time()
                with torch.inference_mode():
                    model(batch)
                times.append(time.process_time() - began)
            taken.append(median(times[1:]))
        slope = float(np.polyfit(np.log(TILES[1:]), np.log(taken[1:]), 1)[0])
        figures[f"{kind}_200k_cpu_s"] = round(taken[-1], 3)
        figures[f"{kind}_exponent"] = round(slope, 2)
        curves[kind] = taken
        print(f"{kind:10s}" + "".join(f"{t:11.3f}" for t in taken) + f"{slope:11.2f}", flush=True)
    print()
    if plot:
        draw(curves, plot)
    return figures


def draw(curves: Mapping[str, list[float]], path: Path) -> None:
    """Cost against the number of tiles, both logarithmic, every curve labelled at its end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    colours = plt.get_cmap("tab10")
    heights: list[float] = []
    for place, (kind, taken) in enumerate(sorted(curves.items(), key=lambda item: item[1][-1])):
        axes.loglog(TILES, taken, "o-", color=colours(place), markersize=4)
        # Labels one above the other where curves end close together.
        heights.append(max(taken[-1], heights[-1] * 1.42 if heights else 0.0))
        axes.text(TILES[-1] * 1.12, heights[-1], kind, color=colours(place), va="center")
    ends = np.array([TILES[0], TILES[-1]])
    axes.loglog(ends, ends * 2e-7, "--", color="grey")
    axes.text(ends[0], ends[0] * 2.6e-7, "linear", color="grey", va="bottom", rotation=24)
    axes.set(xlabel="tiles of one patient", ylabel="CPU seconds of a prediction, one thread")
    axes.set_xlim(TILES[0] * 0.8, TILES[-1] * 3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run the chosen parts, print their tables and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--plot", type=Path, help="also draw the growth with the tiles")
    parser.add_argument("--repetitions", type=int, default=5, help="of cost and scaling")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="of cost and bert; auto: bf16 where the processor multiplies it (AVX512-BF16)",
    )
    parser.add_argument("--patients", type=int, default=400, help="of the ranking of all models")
    parser.add_argument("--seeds", type=int, default=60, help="cohorts of the null")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as training does
    native = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    half = given.precision == "bf16" or (given.precision == "auto" and native)
    parts = given.part or list(PARTS)
    figures: dict[str, float] = {}
    if {"cost", "bert"} & set(parts):
        print(f"precision: {'bf16' if half else 'fp32'}")
    if "cost" in parts:
        figures |= cost(given.repetitions, half)
    if "bert" in parts:
        figures |= bert(max(1, given.repetitions // 2), half)
    if "scaling" in parts:
        figures |= scaling(max(1, given.repetitions // 2), given.plot)
    if "truth" in parts:
        figures |= model_truth.ranking(simulated(given.patients, 1))
        clear = simulated(5 * given.patients, 1, tiles=512, set_noise=0.25)
        figures |= model_truth.oracle_share(clear)
    if "missing" in parts:
        figures |= model_truth.missing_by_outcome(simulated(5 * given.patients, 2, set_noise=0.25))
    if "null" in parts:
        cohorts = [simulated(150, 1000 + seed, tiles=16, dim=16) for seed in range(given.seeds)]
        figures |= model_truth.null(cohorts)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
