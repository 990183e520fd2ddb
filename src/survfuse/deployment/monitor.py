"""Periods of new patients beside the study of a package: do inputs drift, do risks come true?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse import __version__
from survfuse.artifacts.package import Package
from survfuse.artifacts.package_layout import MonitoringFolder, NewPatientsFolder
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, read_object, read_text_table, write_json
from survfuse.deployment.novelty import FLAGGED, reference_sizes
from survfuse.deployment.population import counted_again
from survfuse.deployment.record import SCHEMA as PREDICTION
from survfuse.reporting.monitoring import write_monitoring_page
from survfuse.sheets.problems import stop_if_any
from survfuse.sheets.text_table import check_identifiers, read_sheet
from survfuse.statistics.new_patients.drift import counts_p, excess_p, flagged_of, holm
from survfuse.tasks.loading import task_of

SCHEMA = "survfuse/monitoring/1"
LEVEL, LOOKS = 0.05, 12  # of any false alarm in so many periods: a year of months
FEWEST_PATIENTS = 20  # of a period; fewer say too little


@dataclass(frozen=True)
class Comparison:
    """One comparison of a period with the study.

    kind: availability, covariate, unusual or agreement. found, of: patients in question, and all.
    usual: the share that is expected, where it is one share. cells: counts of the period, where it
    is a distribution, and `study_cells` those of the study.
    """

    kind: str
    name: str
    found: int | None
    of: int
    usual: float | None
    cells: list[int] | None
    study_cells: list[int] | None
    p: float
    adjusted_p: float = 1.0
    alarm: bool = False


def monitor(
    package: Package,
    periods: Sequence[Path],
    out: Path,
    outcomes: Path | None = None,
    level: float = LEVEL,
    looks: int = LOOKS,
) -> dict[str, Any]:
    """Compare folders of `survfuse predict`, one for each period, with the study of the package.

    Writes and returns what is found. `outcomes`: a sheet with patient_id and the outcome columns of
    the study, of patients of any period. level: the chance of any alarm in `looks` periods, if
    nothing changes. Raises UserInputError where a folder holds no predictions of this package, or
    there are more periods than looks.
    """
    if not 0 < level < 1 or looks < 1:
        raise UserInputError("--level is a share below 1 and --looks a number of periods")
    if len(periods) > looks:
        raise UserInputError(
            f"{len(periods)} periods are more than the {looks} looks over which the level is "
            "divided; plan more looks (--looks)"
        )
    known = observed_outcomes(package.config, outcomes) if outcomes else None
    found = {
        "schema": SCHEMA,
        "survfuse": __version__,
        "package": {
            **{key: package.record[key] for key in ("name", "title", "simulated", "untrained")},
            **{"sha256": package.identity, "survfuse": package.record["survfuse"]},
        },
        "level": level,
        "looks": looks,
        "n_study": study_of(package)["n_patients"],
        "periods": [one_period(package, path, known, level / looks) for path in periods],
    }
    files = MonitoringFolder(out)
    write_json(files.record, found)
    with atomic_path(files.table) as temporary:
        table_of(found).to_csv(temporary, sep="\t", index=False, lineterminator="\n")
    write_monitoring_page(found, files.page)
    return found


def study_of(package: Package) -> dict[str, Any]:
    """The counts of the study. Raises UserInputError where the package has none."""
    if not package.files.population.is_file():
        raise UserInputError(
            f"{package.files.population}: is not there, so there is nothing to compare with; "
            "package the study again"
        )
    return read_object(package.files.population)


def one_period(
    package: Package, path: Path, known: pd.DataFrame | None, level: float
) -> dict[str, Any]:
    """What is found of the patients of one folder; `level` of this look."""
    records = read_period(package, path)
    few = len(records) < FEWEST_PATIENTS
    compared = [] if few else list(comparisons(package, path, records))
    adjusted = holm([one.p for one in compared])
    tests = [
        asdict(one) | {"adjusted_p": p, "alarm": p < level}
        for one, p in zip(compared, adjusted, strict=True)
    ]
    days = sorted(record["predicted_on"] for record in records)
    found: dict[str, Any] = {
        "name": path.name,
        "from": days[0],
        "to": days[-1],
        "n_patients": len(records),
        "too_few": few,
        "comparisons": tests,
        "observed": [],
    }
    if known is not None:
        both = [one for one in records if one["patient_id"] in known.index]
        of_both = known.loc[[one["patient_id"] for one in both]]
        task, confidence = task_of(package.config), package.config.evaluation.confidence
        estimates = [one["estimates"] for one in both]
        found["observed"] = task.observed(estimates, of_both, confidence) if both else []
    return found


def read_period(package: Package, path: Path) -> list[dict[str, Any]]:
    """The records of a folder. Raises UserInputError unless this package predicted them all."""
    files = sorted(NewPatientsFolder(path).table.parent.glob("*.json"))
    if not files:
        raise UserInputError(f"{path}: holds no predictions; name a folder of survfuse predict")
    records = [read_object(one) for one in files]
    for file, record in zip(files, records, strict=True):
        made_by = record.get("package", {}).get("sha256")
        if record.get("schema") != PREDICTION or made_by != package.identity:
            raise UserInputError(
                f"{file}: was not predicted by this package; name its package, or leave the folder "
                "out"
            )
    return records


def comparisons(
    package: Package, path: Path, records: Sequence[Mapping[str, Any]]
) -> Iterator[Comparison]:
    """All of one period, with their own p-values."""
    study, n = study_of(package), len(records)
    for name, had in study["has"].items():
        found = sum(
            one["modality"] == name and one["state"] == "present"
            for record in records
            for one in record["inputs"]
        )
        p = counts_p([found, n - found], [had, study["n_patients"] - had])
        share = had / study["n_patients"]
        yield Comparison("availability", name, found, n, share, None, None, p)
    clinical = read_text_table(NewPatientsFolder(path).cohort.clinical, ["patient_id"])
    for name, kept in study["covariates"].items():
        if name in clinical and sum(kept["counts"]):
            counts = counted_again(clinical[name], kept)
            p = counts_p(counts, kept["counts"])
            of = sum(counts)
            yield Comparison("covariate", name, None, of, None, counts, kept["counts"], p)
    sizes = reference_sizes(package.files)
    for kind, key in (("unusual", "novelty_p"), ("agreement", "agreement_p")):
        for name in sorted({name for record in records for name in record[key]}):
            values = [record[key][name] for record in records if name in record[key]]
            flagged, of = sum(p < FLAGGED for p in values), len(values)
            p, usual = excess_p(flagged, of, FLAGGED, sizes[name]), expected_share(sizes[name])
            yield Comparison(kind, name, flagged, of, usual, None, None, p)


def expected_share(n: int) -> float:
    """Of new patients, flagged on average if they are like n patients of the study."""
    return flagged_of(FLAGGED, n) / (n + 1)


def observed_outcomes(config: Config, path: Path) -> pd.DataFrame:
    """The outcomes by patient_id, as outcomes.tsv of a study holds them.

    Raises SheetError with everything that is wrong with the sheet.
    """
    task = task_of(config)
    columns = ["patient_id", *task.outcome_columns(config.cohort)]
    sheet = read_sheet(path, columns)
    outcomes, problems = task.read_outcomes(sheet, config.cohort)
    stop_if_any([*check_identifiers(sheet, "patient_id"), *problems])
    return outcomes.set_index(sheet.rows["patient_id"].to_numpy())


def table_of(found: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each comparison of each period."""
    columns = ("kind", "name", "found", "of", "usual", "p", "adjusted_p", "alarm")
    rows = [
        {"period": period["name"], **{name: one[name] for name in columns}}
        for period in found["periods"]
        for one in period["comparisons"]
    ]
    return pd.DataFrame(rows, columns=["period", *columns])
