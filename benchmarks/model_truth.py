"""Networks on simulated cohorts: with all modalities, with missing ones, and under noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from simulated_cohort import (
    KINDS,
    Pattern,
    Simulated,
    configuration,
    modality_patterns,
    out_of_fold,
)

from survfuse.config.study import Config

Array = NDArray[np.float64]

# Settings of all models on simulated cohorts, chosen on cohorts with other seeds.
TRAINING = {"epochs": 60, "patience": 10, "batch_size": 32, "learning_rate": 3e-4, "members": 1}
NARROW = {"width": 64}
SMALL = {
    "cmta": NARROW,
    "dispro": NARROW | {"sequence_length": 64},
    "mcat": NARROW,
    "mmp": NARROW,
    "survpath": NARROW,
    "transmil": NARROW,
}
EVERYTHING: dict[str, Pattern] = {"c": {}}
# Of those who die before the median death, and of the others, who lacks slides; then the reverse.
LACKING = (0.7, 0.1)
POLICIES = ("equalise", "ignore", "use")


def row(kind: str, permuted: bool = False, **training: object) -> Config:
    """A configuration with one network."""
    options = SMALL.get(kind, {})
    model = {"name": "m", "kind": kind, "options": options, "permute_outcomes": permuted}
    return configuration([model], **(TRAINING | training))


def share(scores: dict[str, Array], name: str = "c") -> float:
    """Part of the oracle's C-index above chance."""
    return float((scores[name].mean() - 0.5) / (scores["oracle"].mean() - 0.5))


def ranking(cohort: Simulated) -> dict[str, float]:
    """All networks on one cohort; whether fusion pays, and what withholding a modality costs."""
    everything = {
        kind: out_of_fold(cohort, row(kind), modality_patterns(cohort, kind)) for kind in KINDS
    }
    print(described(cohort))
    print(f"{'model':10s} {'C':>6s} {'share':>6s}  alone: slides  omics  clinical")
    for kind, scores in sorted(everything.items(), key=lambda item: -item[1]["c"].mean()):
        alone = [scores.get(f"only {m}") for m in ("slides", "omics", "clinical")]
        shown = "".join("       –" if s is None else f"{s.mean():8.3f}" for s in alone)
        print(f"{kind:10s} {scores['c'].mean():6.3f} {share(scores):6.3f}      {shown}")
    ours = everything["sparse_factors"]
    best = max(("abmil", "snn", "transmil"), key=lambda kind: everything[kind]["c"].mean())
    gain, low, high = corrected_t(ours["c"] - everything[best]["c"])
    print(
        f"sparse factors minus {best}, the best of one modality: "
        f"{gain:.3f} ({low:.3f} to {high:.3f})"
    )
    return {
        "fusion_gain": round(gain, 4),
        "fusion_gain_low": round(low, 4),
        **{f"{kind}_share": round(share(scores), 4) for kind, scores in everything.items()},
    }


def oracle_share(cohort: Simulated) -> dict[str, float]:
    """Sparse factors with little noise; withholding a modality against never having it."""
    patterns = modality_patterns(cohort, "sparse_factors")
    ours = out_of_fold(cohort, row("sparse_factors", members=3), patterns)
    figures = {"oracle_share": round(share(ours), 4)}
    mean = {name: values.mean() for name, values in ours.items()}
    print(f"{described(cohort)}: sparse factors C {mean['c']:.3f}, oracle {mean['oracle']:.3f}")
    print(f"share of the oracle's C-index above chance: {share(ours):.3f}")
    for modality in ("slides", "omics"):
        name = f"without {modality}"
        withheld = {modality: cohort.truth.patient_id.tolist()}
        never = out_of_fold(
            cohort, row("sparse_factors", members=3), {name: patterns[name]}, withheld
        )
        cost = float((never[name] - ours[name]).mean())
        print(f"{name}: never seen {never[name].mean():.3f}, hidden at test {mean[name]:.3f}")
        figures[f"drop_{modality}_cost"] = round(cost, 4)
    return figures


def missing_by_outcome(cohort: Simulated, draws: int = 5) -> dict[str, float]:
    """A network trained where early deaths lack slides, tested where they lack them otherwise.

    `random` and `reverse` hide equally many slides. The gap under `equalise` is the figure. The
    policies are for networks that are trained by steps; sparse factors have none.
    """
    truth = cohort.truth
    early = truth.event & (truth.time_months < np.median(truth.time_months[truth.event]))
    rng = np.random.default_rng(1)

    def without(of_early: float, of_others: float) -> Pattern:
        lacking = rng.random(len(early)) < np.where(early, of_early, of_others)
        return {"slides": truth.patient_id[lacking].tolist()}

    withheld = without(*LACKING)
    rate = len(withheld["slides"]) / len(early)
    swapped = (LACKING[1], (rate - early.mean() * LACKING[1]) / (1 - early.mean()))
    patterns = dict(EVERYTHING)
    for draw in range(draws):
        patterns |= {
            f"same {draw}": without(*LACKING),
            f"random {draw}": without(rate, rate),
            f"reverse {draw}": without(*swapped),
        }
    print(
        f"{described(cohort)}; {rate:.0%} lack slides in training, {LACKING[0]:.0%} of early deaths"
    )
    print(f"{'missing in test:':17s} none     same   random  reverse")
    figures = {}
    for kind, policy in (("sparse_factors", "equalise"), *(("concat", p) for p in POLICIES)):
        config = row(kind, missingness=policy)
        name = policy if kind == "concat" else kind
        scores = out_of_fold(cohort, config, patterns, withheld)
        mean = {
            how: float(np.mean([scores[f"{how} {draw}"].mean() for draw in range(draws)]))
            for how in ("same", "random", "reverse")
        }
        print(
            f"{name:14s} {scores['c'].mean():6.3f}" + "".join(f" {c:8.3f}" for c in mean.values())
        )
        figures[f"mnar_reverse_cost_{name}"] = round(mean["random"] - mean["reverse"], 4)
    return figures


def null(cohorts: list[Simulated]) -> dict[str, float]:
    """Mean C-index of every network after permuting training outcomes, over small cohorts.

    Networks start anew for every cohort: a few epochs on noise leave much of how a network began,
    and a start that happens to agree with the truth would do so in all cohorts.
    """
    print(f"outcomes permuted, {len(cohorts)} cohorts of 150 patients")
    print(f"{'model':10s} {'mean C':>7s} {'SE':>6s}")
    off = {}
    for kind in KINDS:
        scores = []
        for start, cohort in enumerate(cohorts):
            short = {"epochs": 4, "patience": 4, "learning_rate": 1e-3}
            config = row(kind, permuted=True, seed=start, **short)
            scores.append(out_of_fold(cohort, config, EVERYTHING)["c"].mean())
        off[kind] = abs(float(np.mean(scores)) - 0.5)
        error = np.std(scores, ddof=1) / np.sqrt(len(scores))
        print(f"{kind:10s} {np.mean(scores):7.3f} {error:6.3f}", flush=True)
    return {"null_c_abs_dev": round(max(off.values()), 4)} | {
        f"{kind}_null_c_abs_dev": round(value, 4) for kind, value in off.items()
    }


def described(cohort: Simulated) -> str:
    """Size of a cohort."""
    events, folds = int(cohort.truth.event.sum()), cohort.settings.folds
    return f"{len(cohort.truth.event)} simulated patients, {events} events, {folds} folds"


def corrected_t(differences: Array) -> tuple[float, float, float]:
    """Mean and 95% interval of fold differences, corrected for shared training patients."""
    n, mean = len(differences), float(differences.mean())
    spread = differences.std(ddof=1) * np.sqrt(1 / n + 1 / (n - 1))
    half = float(stats.t.ppf(0.975, n - 1) * spread)
    return mean, mean - half, mean + half
