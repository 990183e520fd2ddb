"""Is what the reports say true at its stated rate? Simulations with refitted models.

    python benchmarks/coverage.py [--cohorts 400] [--jobs 2] [--only risk survival] [--json FILE]

Every cohort is drawn anew from a known truth, models are fitted anew in every fold of it, and the
package's own functions compute what a report would print. The exit status is 1 where a figure
does not keep its limits.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one process per core; read when numpy is imported

import argparse  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402
from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402

PARTS = {
    "risk": "coverage_risk",
    "survival": "coverage_survival",
    "clinic": "coverage_clinic",
    "clinic_risk": "coverage_clinic_risk",
}


def main() -> int:
    """Simulate and print; 1 where a figure does not keep its limits."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cohorts", type=int, default=400)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    figures = []
    for part in given.only:
        start = time.perf_counter()
        for figure in import_module(PARTS[part]).figures(given.cohorts, given.jobs):
            verdict = "" if figure.kept else "  OUTSIDE"
            print(
                f"{figure.name:32} {figure.value:7.3f} (MC error {figure.error:.3f}; "
                f"{figure.low:g} to {figure.high:g}){verdict}  {figure.told}",
                flush=True,
            )
            figures.append(figure)
        print(f"{part}: {time.perf_counter() - start:.0f} s", flush=True)
    if given.json:
        found = {figure.name: figure.value for figure in figures}
        found |= {f"{figure.name}_mc_error": figure.error for figure in figures}
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
