"""Does `survfuse monitor` raise as many false alarms as it states, and does it see drift?

    python benchmarks/monitoring.py [--studies N] [--json FILE]

A study of 150 patients with four covariates, a modality that eight in ten have, and a table of 20
features, by which unusual patients are found; then a year of months of 60 patients each. In the
first half of the studies nothing changes. In the others, from the seventh month on, one thing does:
a covariate moves by half its standard deviation, the modality falls to half, or the features come
from another scanner (each moved by 1.5 standard deviations, up or down).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.deployment.monitor import FLAGGED, LEVEL, LOOKS
from survfuse.deployment.population import cells, counted_again
from survfuse.statistics.new_patients.drift import counts_p, excess_p, holm
from survfuse.statistics.new_patients.novelty import fit_novelty

STUDY, MONTH, COVARIATES, FEATURES, FROM = 150, 60, 4, 20, 6
CHANGES = ("nothing", "covariate", "modality", "scanner")


def first_alarm(change: str, seed: int) -> int | None:
    """The number of the first month with an alarm, from 1; None in a year without any."""
    rng = np.random.default_rng([CHANGES.index(change), seed])
    loadings = 0.5 * rng.normal(size=(3, FEATURES))

    def draw(n: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        values = pd.DataFrame(rng.normal(size=(n, COVARIATES))).round(2)
        features = rng.normal(size=(n, 3)) @ loadings + rng.normal(size=(n, FEATURES))
        return values, rng.random(n) < 0.8, features

    values, has, features = draw(STUDY)
    kept = [cells(values[name].astype(str), continuous=True) for name in values]
    novelty = fit_novelty(features[has], np.arange(has.sum()) % 5)
    scanner = 1.5 * rng.choice([-1, 1], FEATURES) * features.std(axis=0)
    for month in range(LOOKS):
        new, own, columns = draw(MONTH)
        if month >= FROM:
            new[0] += 0.5 * (change == "covariate")
            own &= (rng.random(MONTH) < 0.625) | (change != "modality")
            columns = columns + scanner * (change == "scanner")
        p = [
            counts_p(counted_again(new[name].astype(str), cell), cell["counts"])
            for name, cell in zip(new, kept, strict=True)
        ]
        p.append(counts_p([own.sum(), (~own).sum()], [has.sum(), (~has).sum()]))
        flagged = int((novelty.p_value(columns[own]) < FLAGGED).sum()) if own.any() else 0
        p.append(excess_p(flagged, int(own.sum()), FLAGGED, novelty.n))
        if min(holm(p)) < LEVEL / LOOKS:
            return month + 1
    return None


def main() -> None:
    """Print the table and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200, help="without a change; half with one")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    print(f"level {LEVEL:g} over {LOOKS} months; what changes does so from month {FROM + 1} on")
    print("change      studies  any alarm  before  by the third month after")
    figures = {}
    for change in CHANGES:
        number = given.studies if change == "nothing" else given.studies // 2
        alarms = [first_alarm(change, seed) for seed in range(number)]
        any_of = float(np.mean([one is not None for one in alarms]))
        before = float(np.mean([one is not None and one <= FROM for one in alarms]))
        soon = float(np.mean([one is not None and FROM < one <= FROM + 3 for one in alarms]))
        print(f"{change:10s} {number:8d} {any_of:10.3f} {before:7.3f} {soon:9.3f}", flush=True)
        name = "false_alarms" if change == "nothing" else f"alarms_{change}"
        figures[name] = round(any_of if change == "nothing" else soon, 4)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
