"""Do lower bounds on survival time and flags of unusual patients keep their rates?

    python benchmarks/conformal.py [--repeats 200] [--alpha 0.1] [--json FILE]

Bounds: calibration sets of 100, 200 and 500 patients drawn from a known truth (0.8 x1
+ 0.5 x2, Weibull times, 41 % censored), and the share of new patients who survive their bound. S1 a
correct model; S2 survival 1.6 times too long; S3 effects twice too strong and the wrong shape; S4
and S5 the same where those at high or at low risk are censored early; folds: ridge Cox models of
five folds, calibrated out of fold, whose mean curve is what new patients get.
Flags at p < 0.01: patients like those of training; from another scanner (every column stretched
and moved, by one SD on average); moved by 5 SD in all columns; with their columns interchanged.
Pairs: two modalities that share three of eight common factors, of weights SHARED in relation to the
others; of one patient each, and with the second modality of another patient.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import ridge_cox

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics.new_patients.agreement import fit_agreement
from survfuse.statistics.new_patients.conformal_survival import (
    calibrate,
    calibration_values,
    check_coverage,
    level,
)
from survfuse.statistics.new_patients.novelty import fit_novelty

SIZES = (100, 200, 500)
# What the model believes: factor of the log-hazard, shape, scale. Then by how much x1 shifts the
# log of the censoring time.
SCENARIOS = {
    "s1": (1.0, 1.3, 1.0, 0.0),
    "s2": (1.0, 1.3, 1.6, 0.0),
    "s3": (2.0, 0.9, 1.2, 0.0),
    "s4": (2.0, 0.9, 1.2, -1.0),
    "s5": (2.0, 0.9, 1.2, 1.0),
}
SHAPE, CENSORING_MEAN = 1.3, 1.6
FOLDS, NEW = 5, 300
FEATURES, PENALTY = 10, 5.0
GRID_MONTHS = np.arange(1.0, 49.0)
FLAGGED = 0.01
SHARED, WIDTHS = (0.0, 0.3, 0.6, 1.0), (64, 300)
COLUMNS = ((150, 5), (150, 50), (400, 50), (150, 500), (400, 500))


def scenario(
    rng: np.random.Generator, name: str, n: int
) -> tuple[np.ndarray, SurvivalOutcome, np.ndarray, np.ndarray]:
    """Calibration values (n,), outcome and covariates (n, 3) of n patients; u of new ones."""
    steeper, shape, scale, shift = SCENARIOS[name]
    x = rng.normal(size=(n + NEW, 3))
    log_hazard = 0.8 * x[:, 0] + 0.5 * x[:, 1]
    event = (rng.exponential(size=n + NEW) * np.exp(-log_hazard)) ** (1 / SHAPE)
    censored = CENSORING_MEAN * rng.exponential(size=n + NEW) * np.exp(shift * x[:, 0])
    observed = np.r_[np.minimum(event, censored)[:n], event[n:]]  # of new ones the truth
    values = -np.expm1(-((observed / scale) ** shape) * np.exp(steeper * log_hazard))
    outcome = SurvivalOutcome(observed[:n], (event <= censored)[:n])
    return values[:n], outcome, x[:n], values[n:]


def of_folds(
    rng: np.random.Generator, n: int
) -> tuple[np.ndarray, SurvivalOutcome, np.ndarray, np.ndarray]:
    """The same from models fitted in folds; new patients are read from the mean curve."""
    effects = np.array([0.6, 0.4, 0.3])
    x, outcome = ridge_cox.draw_patients(rng, n, effects, FEATURES)
    new = rng.normal(size=(NEW, FEATURES))
    fold = np.arange(n) % FOLDS
    values, mean = np.empty(n), np.zeros((NEW, len(GRID_MONTHS)))
    for number in range(FOLDS):
        out = fold == number
        model = ridge_cox.fit(x[~out], outcome[~out], PENALTY)
        values[out] = calibration_values(GRID_MONTHS, curves(model, x[out]), outcome.time[out])
        mean += curves(model, new) / FOLDS
    true_months = ridge_cox.draw_months(rng, new, effects)
    return values, outcome, x[:, :3], calibration_values(GRID_MONTHS, mean, true_months)


def curves(model: ridge_cox.RidgeCox, x: np.ndarray) -> np.ndarray:
    """Predicted survival on the grid."""
    return np.stack([model.survival(x, months) for months in GRID_MONTHS], axis=1)


def bounds(repeats: int, alpha: float) -> dict[str, float]:
    """Table of mean coverage by scenario and size, and the figures."""
    print(f"mean coverage at nominal {1 - alpha:g}, {repeats} calibration sets")
    print("scenario    n   ipcw  observed  gated (SE)     worst 5 %  observed used  shown")
    figures: dict[str, float] = {}
    for name in (*SCENARIOS, "folds"):
        for n in SIZES:
            covered = np.array(list(coverages(name, n, repeats, alpha)))
            ipcw, observed, gated, fell_back, shown = covered.mean(axis=0)
            error = covered[:, 2].std(ddof=1) / np.sqrt(repeats)
            low = np.quantile(covered[:, 2], 0.05)
            print(
                f"{name:8s} {n:4d}  {ipcw:.3f}  {observed:.3f}     {gated:.3f} ({error:.3f})  "
                f"{low:.3f}      {fell_back:.2f}           {shown:.2f}",
                flush=True,
            )
            figures[f"coverage_{name}_{n}"] = round(gated, 4)
            figures[f"shown_{name}_{n}"] = round(shown, 4)
    worst = min(value for name, value in figures.items() if name.startswith("coverage"))
    print(f"lowest mean coverage with the gate: {worst:.3f}\n")
    return {"coverage_conformal": worst, **figures}


def coverages(name: str, n: int, repeats: int, alpha: float) -> Iterator[tuple[float, ...]]:
    """Coverage of new patients with each method and the gate; whether it fell back and is shown."""
    for repeat in range(repeats):
        rng = np.random.default_rng([n, repeat])
        values, outcome, covariates, new = (
            of_folds(rng, n) if name == "folds" else scenario(rng, name, n)
        )
        bound = calibrate(values, outcome, covariates, alpha)
        taus = [level(values, outcome, alpha, "ipcw")]
        taus += [level(values, outcome, alpha, "observed_time"), bound.tau]
        check = check_coverage(values, outcome, np.arange(n) % FOLDS, bound, 0.95)
        kept = [float((new >= tau).mean()) for tau in taus]
        yield (*kept, float(bound.method == "observed_time"), float(check.is_shown))


def flags(repeats: int) -> dict[str, float]:
    """Table of flag rates by size, and the figures."""
    names = ("null", "scanner", "shifted", "shuffled")
    print(f"patients flagged at p < {FLAGGED:g}, {repeats} training sets")
    print("  n    c  " + "  ".join(f"{name:>8s}" for name in names))
    figures: dict[str, float] = {}
    for n, columns in COLUMNS:
        rates = np.mean([flag_rates(n, columns, repeat) for repeat in range(repeats)], axis=0)
        print(f"{n:4d} {columns:4d}  " + "  ".join(f"{rate:8.3f}" for rate in rates), flush=True)
        for name, rate in zip(names, rates, strict=True):
            figures[f"flags_{name}_{n}_{columns}"] = round(float(rate), 4)
    null = max(value for name, value in figures.items() if name.startswith("flags_null"))
    # One SD in five columns is within the spread of patients: that rate is printed, not counted.
    power = min(
        value
        for name, value in figures.items()
        if name.startswith("flags_scanner") and not name.endswith("_5")
    )
    return {"flag_rate_null": null, "flag_power_scanner": power, **figures}


def flag_rates(n: int, columns: int, repeat: int) -> list[float]:
    """Shares of new patients who are flagged, in the order of the table.

    Columns follow up to five common factors, as genes of modules do, and noise.
    """
    rng = np.random.default_rng([n, columns, repeat])
    loadings = 0.6 * rng.normal(size=(max(1, min(5, columns // 3)), columns))

    def draw(patients: int) -> np.ndarray:
        common = rng.normal(size=(patients, len(loadings))) @ loadings
        return common + 0.7 * rng.normal(size=(patients, columns))

    train, new = draw(n), draw(NEW)
    mean, sd = train.mean(axis=0), train.std(axis=0)
    direction = rng.normal(size=columns)
    direction *= 5 / np.sqrt((direction**2).mean())
    scanner = new * np.exp(0.2 * rng.normal(size=columns)) + sd * rng.normal(size=columns)
    shuffled = mean + sd * ((new - mean) / sd)[:, rng.permutation(columns)]
    fitted = fit_novelty(train, np.arange(n) % FOLDS)
    kinds = (new, scanner, new + sd * direction, shuffled)
    return [float((fitted.p_value(kind) < FLAGGED).mean()) for kind in kinds]


def pairs(repeats: int) -> dict[str, float]:
    """Table of flag rates of two modalities together, and the figures."""
    print(f"pairs of modalities flagged at p < {FLAGGED:g}, {repeats} training sets")
    print("  n  shared  fitted  of one patient  of two")
    figures: dict[str, float] = {}
    for n in SIZES[1:]:
        for shared in SHARED:
            found = [rates_of_pairs(n, shared, repeat) for repeat in range(repeats)]
            fitted = [one for one in found if one is not None]
            null, power = np.mean(fitted, axis=0) if fitted else (np.nan, np.nan)
            print(f"{n:3d} {shared:7.1f} {len(fitted):7d} {null:15.3f} {power:7.3f}", flush=True)
            figures[f"pairs_fitted_{n}_{shared}"] = len(fitted) / repeats
            if fitted:
                figures[f"pairs_null_{n}_{shared}"] = round(float(null), 4)
                figures[f"pairs_shuffled_{n}_{shared}"] = round(float(power), 4)
    null = max(value for name, value in figures.items() if name.startswith("pairs_null"))
    power = min(value for name, value in figures.items() if name.startswith("pairs_shuffled"))
    return {"pairs_rate_null": null, "flag_power_shuffled": power, **figures}


def rates_of_pairs(n: int, shared: float, repeat: int) -> tuple[float, float] | None:
    """Shares of new patients flagged, their own two modalities and interchanged ones.

    None where the modalities tell nothing of each other.
    """
    rng = np.random.default_rng([n, round(10 * shared), repeat])
    common = [shared * rng.normal(size=(3, width)) for width in WIDTHS]
    own = [0.7 * rng.normal(size=(5, width)) for width in WIDTHS]

    def draw(patients: int) -> list[np.ndarray]:
        factors = rng.normal(size=(patients, 3))
        return [
            factors @ of_both
            + rng.normal(size=(patients, 5)) @ of_one
            + rng.normal(size=(patients, w))
            for of_both, of_one, w in zip(common, own, WIDTHS, strict=True)
        ]

    fitted = fit_agreement(*draw(n), np.arange(n) % FOLDS)
    if fitted is None:
        return None
    first, second = draw(NEW)
    kinds = (second, np.roll(second, 1, axis=0))
    null, power = (float((fitted.p_value(first, one) < FLAGGED).mean()) for one in kinds)
    return null, power


def main() -> None:
    """Print all tables and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--repeats", type=int, default=200, help="a fifth of them for flags and pairs"
    )
    parser.add_argument("--alpha", type=float, default=0.1, help="1 - nominal coverage")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    few = max(2, given.repeats // 5)
    figures = bounds(given.repeats, given.alpha) | flags(few) | pairs(few)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
