"""Writing a checked cohort: inputs and outcomes in separate files, and a summary of both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.artifacts.cohort_tables import write_brought, write_table
from survfuse.artifacts.layout import CohortFolder
from survfuse.cohort.checked import Cohort
from survfuse.config.cohort import Covariate
from survfuse.config.study import Config
from survfuse.core.files import write_json
from survfuse.tasks.loading import task_of


def write_cohort(cohort: Cohort, config: Config, out: Path) -> None:
    """Write the tables of a cohort and cohort.json to the directory `out`.

    They are clinical, outcomes, availability and excluded.tsv, and one for each sheet that is
    brought, of which there is something to keep.
    """
    files = CohortFolder(out)
    write_table(files.clinical, cohort.clinical)
    write_table(files.outcomes, cohort.outcomes)
    write_brought(files, cohort.tables)
    write_table(files.availability, cohort.available(config).astype(int).reset_index())
    write_table(files.excluded, cohort.excluded)
    write_json(files.summary, summarise(cohort, config))


def summarise(cohort: Cohort, config: Config) -> dict[str, Any]:
    """The content of cohort.json: counts, follow-up, modalities, sites, covariates, notes."""
    outcomes = cohort.outcomes
    clinical = cohort.clinical.set_index("patient_id")
    described = clinical[list(config.cohort.covariates)]
    available = cohort.available(config)
    combinations = Counter(
        tuple(name for name, present in row.items() if present)
        for row in available.to_dict("records")
    )
    return {
        "n_patients": len(outcomes),
        "flow": flow(cohort),
        **task_of(config).summary(outcomes, config),
        "modalities": {name: int(available[name].sum()) for name in available},
        "overlap": [{"modalities": list(names), "n": n} for names, n in combinations.most_common()],
        "sites": site_counts(cohort, config),
        "covariates": [
            {
                "name": name,
                "type": covariate.type,
                **spread(described[name], covariate),
                "missing": int((described[name] == "").sum()),
            }
            for name, covariate in config.cohort.covariates.items()
        ],
        **cohort.facts,
        "notes": list(dict.fromkeys(note.sentence for note in cohort.notes)),
    }


def flow(cohort: Cohort) -> dict[str, Any]:
    """From the patients of the sheet to those who are analysed, by the reason of leaving."""
    reasons = Counter(cohort.excluded["reason"].tolist())
    return {
        "in_sheet": len(cohort.outcomes) + len(cohort.excluded),
        "excluded": [{"reason": reason, "n": n} for reason, n in reasons.most_common()],
        "analysed": len(cohort.outcomes),
    }


def site_counts(cohort: Cohort, config: Config) -> list[dict[str, Any]]:
    """Patients and events (or cases, see `Task.cases`) per site, largest first."""
    if cohort.sites is None:
        return []
    event = task_of(config).cases(cohort.outcomes).set_axis(cohort.outcomes["patient_id"])
    counts = [
        {"site": str(site), "n": len(at_site), "events": int(at_site.sum())}
        for site, at_site in event.groupby(cohort.sites)
    ]
    return sorted(counts, key=lambda count: -count["n"])


def spread(values: pd.Series[str], covariate: Covariate) -> dict[str, Any]:
    """Quartiles of a continuous covariate, patients per level of another; the rest is None."""
    filled = values[values != ""]
    if covariate.type == "continuous":
        quartiles = np.quantile(filled.astype(float), [0.25, 0.5, 0.75]).tolist()
        return {"quartiles": quartiles, "levels": None}
    counts = filled.value_counts()
    levels = covariate.levels or sorted(counts.index)
    counted = [{"level": level, "n": int(counts.get(level, 0))} for level in levels]
    return {"quartiles": None, "levels": counted}
